//! `/v1/auth/keys…`: API keys, for programs that act for an athlete.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use web::{Answer, Caller, Created, Error, Json, Path, Routes, What};

use super::auth::athlete;
use crate::{
    access_log::AccessLog,
    accounts::{Accounts, Arrival, Key, NewKey},
    app::App,
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("keys.rs"))
        .get("/v1/auth/keys", list)
        .post("/v1/auth/keys", create)
        .delete("/v1/auth/keys/{id}", delete)
}

/// A key that was just made.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MadeApiKey")]
struct MadeKey {
    #[serde(flatten)]
    key: Key,
    /// The key itself: shown now, and never again.
    secret: String,
}

/// The keys, without their secrets.
async fn list(State(accounts): State<Accounts>, caller: Caller) -> Result<Answer<Vec<Key>>, Error> {
    let keys = accounts.api_keys(athlete(&caller)?).await?;
    Answer::list(&keys, None)
}

/// Makes a key.
async fn create(
    State(accounts): State<Accounts>,
    State(access_log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
    body: Json<NewKey>,
) -> Result<Created<MadeKey>, Error> {
    let athlete = athlete(&caller)?;
    let (key, secret) = accounts.create_key(athlete, body.good()?).await?;
    access_log.note(arrival.by(athlete, What::KeyMade));
    let location = format!("/v1/auth/keys/{}", key.id);
    Ok(Created(Answer::ok(&MadeKey { key, secret })?.created(location)))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKeyDeleted")]
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
) -> Result<Answer<Deleted>, Error> {
    let athlete = athlete(&caller)?;
    if !accounts.delete_key(athlete, id).await? {
        return Err(Error::not_found("API key"));
    }
    access_log.note(arrival.by(athlete, What::KeyDeleted));
    Answer::ok(&Deleted { deleted: id })
}
