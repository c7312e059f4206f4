//! `/v1/auth/keys…`: API keys, for programs that act for an athlete.

use axum::extract::State;
use serde::Serialize;
use uuid::Uuid;
use web::{Answer, Caller, Error, Json, Path, Routes, What};

use super::auth::athlete;
use crate::{
    access_log::AccessLog,
    accounts::{Accounts, Arrival, Key, NewKey},
    app::App,
};

pub(super) fn routes() -> Routes<App> {
    Routes::default()
        .get("/v1/auth/keys", list)
        .post("/v1/auth/keys", create)
        .delete("/v1/auth/keys/{id}", delete)
}

/// A key that was just made.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    key: Key,
    /// The key itself: shown now, and never again.
    secret: String,
}

/// The keys, without their secrets.
async fn list(State(accounts): State<Accounts>, caller: Caller) -> Result<Answer, Error> {
    let keys = accounts.api_keys(athlete(&caller)?).await?;
    Ok(Answer::ok(&keys)?.list(keys.len(), None))
}

/// Makes a key.
async fn create(
    State(accounts): State<Accounts>,
    State(access_log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
    body: Json<NewKey>,
) -> Result<Answer, Error> {
    let athlete = athlete(&caller)?;
    let (key, secret) = accounts.create_key(athlete, body.good()?).await?;
    access_log.note(arrival.by(athlete, What::KeyMade));
    let location = format!("/v1/auth/keys/{}", key.id);
    Ok(Answer::ok(&Created { key, secret })?.created(location))
}

#[derive(Serialize)]
struct Deleted {
    deleted: Uuid,
}

/// Deletes a key.
async fn delete(
    State(accounts): State<Accounts>,
    State(access_log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
    Path(id): Path<Uuid>,
) -> Result<Answer, Error> {
    let athlete = athlete(&caller)?;
    if !accounts.delete_key(athlete, id).await? {
        return Err(Error::not_found("API key"));
    }
    access_log.note(arrival.by(athlete, What::KeyDeleted));
    Answer::ok(&Deleted { deleted: id })
}
