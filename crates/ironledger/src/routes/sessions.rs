//! `/v1/auth/sessions…`: where an athlete is signed in, and an end to it.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use web::{Answer, Caller, Credential, Error, Path, Routes, What};

use super::auth::athlete;
use crate::{
    access_log::AccessLog,
    accounts::{Accounts, Arrival, Session, SessionEnd},
    app::App,
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("sessions.rs"))
        .get("/v1/auth/sessions", list)
        .delete("/v1/auth/sessions", end_all)
        .delete("/v1/auth/sessions/{id}", end)
}

/// How many sessions are over.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionsEnded")]
pub(super) struct Ended {
    pub(super) ended: usize,
}

/// The sessions, the last used first.
async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Answer<Vec<Session>>, Error> {
    let current = match caller.credential {
        Credential::Session(id) => Some(id),
        Credential::Key(_) => None,
    };
    let sessions = accounts.sessions(athlete(&caller)?, current).await?;
    Answer::list(&sessions, None)
}

/// Signs out everywhere, here too.
async fn end_all(
    State(accounts): State<Accounts>,
    State(access_log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
) -> Result<Answer<Ended>, Error> {
    let athlete = athlete(&caller)?;
    let ended = accounts.end_sessions(athlete, SessionEnd::All).await?;
    access_log.note(arrival.by(athlete, What::SignedOut));
    Answer::ok(&Ended { ended })
}

/// Ends one.
async fn end(
    State(accounts): State<Accounts>,
    State(access_log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
    Path(id): Path<Uuid>,
) -> Result<Answer<Ended>, Error> {
    let athlete = athlete(&caller)?;
    let ended = accounts.end_sessions(athlete, SessionEnd::One(id)).await?;
    if ended == 0 {
        return Err(Error::not_found("session"));
    }
    access_log.note(arrival.by(athlete, What::SignedOut));
    Answer::ok(&Ended { ended })
}
