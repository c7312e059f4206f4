//! `/v1/admin/accounts…`: accounts, for who runs the place.

use std::collections::BTreeSet;

use axum::extract::State;
use events::{Actor, AthleteId, Channel, Role, Tier, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{Answer, Caller, Detail, Error, Json, Path, Query, Routes, Seen, What};

use super::sessions::Ended;
use crate::{
    access_log::AccessLog,
    accounts::{About, Accounts, Arrival, Email, SessionEnd},
    app::App,
    commands::{
        Origin,
        accounts::{Grant, check_grant},
    },
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("admin.rs"))
        .get("/v1/admin/accounts", find)
        .put("/v1/admin/accounts/{athlete}/role", grant_role)
        .put("/v1/admin/accounts/{athlete}/tier", grant_tier)
        .delete("/v1/admin/accounts/{athlete}/sessions", end_sessions)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Find {
    /// Whose account it is, by address …
    email: Option<Email>,
    /// … or by id.
    athlete: Option<AthleteId>,
}

/// The account of an address or an athlete, if there is one.
async fn find(
    State(accounts): State<Accounts>,
    State(access_log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
    Query(query): Query<Find>,
) -> Result<Answer<Vec<About>>, Error> {
    let known = match (&query.email, query.athlete) {
        (Some(email), _) => accounts.of_email(&email.0).await?,
        (None, Some(athlete)) => accounts.of_athlete(athlete).await?,
        (None, None) => {
            let detail = Detail::new("email", "must be given, or athlete");
            return Err(Error::validation(vec![detail]));
        }
    };
    let Some(known) = known else {
        return Answer::list(&[], None);
    };
    // Whom the query names by id, the door has written down.
    if query.athlete != Some(known.athlete) {
        access_log.record(&[looked_at(&caller, &arrival, known.athlete.uuid())]).await?;
    }
    Answer::list(&[accounts.about(known.athlete).await?], None)
}

/// An admin looks at the affairs of several: each of them learns of it, but whom the query named, which the
/// door has written down.
pub(super) fn looked_at_all(
    caller: &Caller,
    arrival: &Arrival,
    named: Option<AthleteId>,
    of: impl Iterator<Item = Uuid>,
) -> Vec<Seen> {
    let known = [Some(caller.actor), named.map(AthleteId::uuid)];
    let others: BTreeSet<Uuid> = of.filter(|athlete| !known.contains(&Some(*athlete))).collect();
    others.into_iter().map(|athlete| looked_at(caller, arrival, athlete)).collect()
}

/// An admin looks at somebody's affairs.
fn looked_at(caller: &Caller, arrival: &Arrival, athlete: Uuid) -> Seen {
    Seen {
        athlete: Some(athlete),
        actor: Some(caller.actor),
        what: What::AdminRead,
        credential: Some(caller.credential),
        route: arrival.route.clone(),
        status: None,
        address: arrival.address,
        device: arrival.device.clone(),
        request: arrival.request.clone(),
    }
}

/// An admin changes somebody's account.
pub(super) fn acted_on(caller: &Caller, arrival: &Arrival, athlete: AthleteId) -> Seen {
    Seen { what: What::AdminActed, ..looked_at(caller, arrival, athlete.uuid()) }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GrantRole {
    /// What the account may do from now on.
    role: Role,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GrantTier {
    /// What it has from now on.
    tier: Tier,
    /// When it ends; never by default.
    until: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct Granted {
    athlete: AthleteId,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// Lets an account do more, or less.
async fn grant_role(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    Path(athlete): Path<AthleteId>,
    body: Json<GrantRole>,
) -> Result<Answer<Granted>, Error> {
    let role = body.good()?.role;
    grant(&app, &caller, &arrival, athlete, Grant::Role(role)).await?;
    Answer::ok(&Granted { athlete, role: Some(role), tier: None, until: None })
}

/// Gives an account a tier.
async fn grant_tier(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    Path(athlete): Path<AthleteId>,
    body: Json<GrantTier>,
) -> Result<Answer<Granted>, Error> {
    let GrantTier { tier, until } = body.good()?;
    check_grant(tier, until, Some(app.commands.clock.now()))?;
    let granting = Grant::Tier { tier, until, notice: None };
    grant(&app, &caller, &arrival, athlete, granting).await?;
    Answer::ok(&Granted { athlete, role: None, tier: Some(tier), until })
}

async fn grant(
    app: &App,
    caller: &Caller,
    arrival: &Arrival,
    athlete: AthleteId,
    grant: Grant,
) -> Result<(), Error> {
    let origin = origin_of(app, caller, arrival, athlete).await?;
    app.accounts.grant(&origin, grant).await?;
    app.access_log.record(&[acted_on(caller, arrival, athlete)]).await
}

/// An admin gives a command about somebody.
pub(super) async fn origin_of(
    app: &App,
    caller: &Caller,
    arrival: &Arrival,
    athlete: AthleteId,
) -> Result<Origin, Error> {
    let (athlete, partition) = app.accounts.side(athlete, "athlete").await?;
    let admin = AthleteId::new(caller.actor).map_err(Error::internal)?;
    let mut origin = Origin::new(athlete, partition, Actor::Athlete(admin), Channel::Api);
    origin.device = arrival.device.clone();
    origin.request = Some(arrival.request.clone());
    Ok(origin)
}

/// Signs an account out everywhere.
async fn end_sessions(
    State(accounts): State<Accounts>,
    State(access_log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Ended>, Error> {
    access_log.record(&[acted_on(&caller, &arrival, athlete)]).await?;
    Answer::ok(&Ended { ended: accounts.end_sessions(athlete, SessionEnd::All).await? })
}
