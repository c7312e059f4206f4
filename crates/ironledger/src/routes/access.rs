//! `GET /v1/athletes/me/access` and `GET /v1/admin/access`: who came in, was refused, or looked.

use axum::extract::State;
use events::AthleteId;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use web::{Answer, Caller, Cursor, Error, Limit, Query, Routes};

use super::{admin::looked_at_all, auth::athlete};
use crate::{
    access_log::{AccessLog, Entry, Filter},
    accounts::Arrival,
    app::App,
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("access.rs"))
        .get("/v1/athletes/me/access", own)
        .get("/v1/admin/access", all)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OwnQuery {
    cursor: Option<Cursor<Uuid>>,
    #[serde(default)]
    limit: Limit,
}

/// What happened at the door about the caller's own account and data, the newest first.
async fn own(
    State(log): State<AccessLog>,
    caller: Caller,
    Query(query): Query<OwnQuery>,
) -> Result<Answer<Vec<Entry>>, Error> {
    let (mut entries, next) =
        page(&log, Some(athlete(&caller)?), query.cursor, query.limit).await?;
    // By what others are known is theirs.
    entries.iter_mut().for_each(|entry| entry.hide_from(caller.athlete));
    Answer::list(&entries, next)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AllQuery {
    /// Whose; everybody's, and nobody's in particular, by default.
    athlete: Option<AthleteId>,
    cursor: Option<Cursor<Uuid>>,
    #[serde(default)]
    limit: Limit,
}

/// The same of everybody.
async fn all(
    State(log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
    Query(query): Query<AllQuery>,
) -> Result<Answer<Vec<Entry>>, Error> {
    let (entries, next) = page(&log, query.athlete, query.cursor, query.limit).await?;
    let athletes = entries.iter().filter_map(|entry| entry.athlete);
    log.record(&looked_at_all(&caller, &arrival, query.athlete, athletes)).await?;
    Answer::list(&entries, next)
}

async fn page(
    log: &AccessLog,
    athlete: Option<AthleteId>,
    cursor: Option<Cursor<Uuid>>,
    limit: Limit,
) -> Result<(Vec<Entry>, Option<String>), Error> {
    // What just happened is there, too.
    log.flush().await;
    let before = cursor.map(|cursor| cursor.0);
    let mut entries = log.entries(Filter { athlete, before, limit: limit.0 + 1 }).await?;
    let more = entries.len() > limit.0;
    entries.truncate(limit.0);
    let next = entries.last().filter(|_| more).map(|last| Cursor(last.id).encode());
    Ok((entries, next))
}
