//! `/v1/auth/sessions…`: where an athlete is signed in, and an end to it.

use axum::extract::State;
use serde::Serialize;
use uuid::Uuid;
use web::{Answer, Caller, Credential, Error, Path, Routes};

use super::auth::athlete;
use crate::{
    accounts::{Accounts, SessionEnd},
    app::App,
};

pub(super) fn routes() -> Routes<App> {
    Routes::default()
        .get("/v1/auth/sessions", list)
        .delete("/v1/auth/sessions", end_all)
        .delete("/v1/auth/sessions/{id}", end)
}

/// How many sessions are over.
#[derive(Serialize)]
pub(super) struct Ended {
    pub(super) ended: usize,
}

/// The sessions, the last used first.
async fn list(State(accounts): State<Accounts>, caller: Caller) -> Result<Answer, Error> {
    let current = match caller.credential {
        Credential::Session(id) => Some(id),
        Credential::Key(_) => None,
    };
    let sessions = accounts.sessions(athlete(&caller)?, current).await?;
    Ok(Answer::ok(&sessions)?.list(sessions.len(), None))
}

/// Signs out everywhere, here too.
async fn end_all(State(accounts): State<Accounts>, caller: Caller) -> Result<Answer, Error> {
    Answer::ok(&Ended { ended: accounts.end_sessions(athlete(&caller)?, SessionEnd::All).await? })
}

/// Ends one.
async fn end(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Answer, Error> {
    match accounts.end_sessions(athlete(&caller)?, SessionEnd::One(id)).await? {
        0 => Err(Error::not_found("session")),
        ended => Answer::ok(&Ended { ended }),
    }
}
