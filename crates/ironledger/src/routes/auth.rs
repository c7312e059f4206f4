//! `POST /v1/auth/register` and `POST /v1/auth/login`.

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use events::{AthleteRegistered, TimeZone, Units};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{Answer, Caller, Error, Json, Role, Tokens};

use crate::{
    accounts::{Accounts, Email, NewPassword},
    app::App,
    idempotency,
};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/auth/register", post(register)).route("/v1/auth/login", post(login))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Register {
    /// Where the account is reached; it is no part of the log.
    email: Email,
    /// 8 to 128 characters.
    password: NewPassword,
    /// Where the athlete's days begin and end, such as Europe/Paris.
    time_zone: TimeZone,
    /// In which units the athlete reads figures; kg and km by default.
    #[serde(default)]
    units: Units,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    email: Email,
    password: String,
}

#[derive(Serialize)]
struct SignedIn {
    athlete: Uuid,
    role: Role,
    access_token: String,
    token_type: &'static str,
    /// Seconds until the token expires.
    expires_in: u64,
}

/// Makes an account and signs in.
async fn register(
    State(accounts): State<Accounts>,
    State(tokens): State<Tokens>,
    headers: HeaderMap,
    body: Json<Register>,
) -> Result<Answer, Error> {
    let body = body.good()?;
    let key = idempotency::key(&headers)?;
    let registered = AthleteRegistered { time_zone: body.time_zone, units: body.units };
    let (caller, position) =
        accounts.register(&body.email.0, &body.password.0, registered, key).await?;
    Ok(signed_in(&tokens, caller)?.created("/v1/workouts").at(position))
}

/// Signs in with e-mail address and password.
async fn login(
    State(accounts): State<Accounts>,
    State(tokens): State<Tokens>,
    body: Json<Login>,
) -> Result<Answer, Error> {
    let body = body.good()?;
    let caller = accounts.sign_in(&body.email.0, &body.password).await?;
    signed_in(&tokens, caller)
}

fn signed_in(tokens: &Tokens, caller: Caller) -> Result<Answer, Error> {
    Answer::ok(&SignedIn {
        athlete: caller.athlete,
        role: caller.role,
        access_token: tokens.issue(caller)?,
        token_type: "Bearer",
        expires_in: Tokens::LIFETIME.as_secs(),
    })
}
