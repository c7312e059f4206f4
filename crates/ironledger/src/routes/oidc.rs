//! `/v1/auth/oidc/…`: sign-in by others, and the identities that are linked to an account.

use axum::extract::State;
use events::{AthleteRegistered, Text, TimeZone, Units};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Caller, Error, Json, MaybeCaller, Path, Routes};

use super::auth::{Entered, RefreshIn, SignedIn, athlete};
use crate::{
    accounts::{Accounts, Arrival, Attempt, Identity, Outcome},
    app::App,
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("oidc.rs"))
        .get("/v1/auth/oidc", issuers)
        .post("/v1/auth/oidc/{issuer}/start", start)
        .or(|operation| operation.fails(&[409]))
        .post("/v1/auth/oidc/{issuer}/finish", finish)
        .or(|operation| operation.fails(&[409]))
        .get("/v1/auth/identities", identities)
        .post("/v1/auth/identities/unlink", unlink)
        .or(|operation| operation.fails(&[404, 409]))
}

/// The issuers that one can sign in by.
async fn issuers(State(accounts): State<Accounts>) -> Result<Answer<Vec<String>>, Error> {
    let names = accounts.issuers().into_iter().map(str::to_owned).collect::<Vec<_>>();
    Answer::list(&names, None)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OidcStart")]
struct Start {
    /// Where the issuer sends the athlete back to: one that is configured.
    redirect_uri: String,
}

/// Begins a sign-in, or for who has signed in, the linking of an identity.
async fn start(
    State(accounts): State<Accounts>,
    MaybeCaller(caller): MaybeCaller,
    Path(issuer): Path<String>,
    body: Json<Start>,
) -> Result<Answer<Attempt>, Error> {
    let body = body.good()?;
    let athlete = caller.as_ref().map(athlete).transpose()?;
    Answer::ok(&accounts.begin_oidc(&issuer, &body.redirect_uri, athlete).await?)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OidcFinish")]
struct Finish {
    /// What the issuer sent back.
    code: String,
    /// The same.
    state: String,
    /// What starting answered, and the issuer never saw.
    ticket: String,
    /// Where a new athlete's days begin and end; UTC by default.
    time_zone: Option<TimeZone>,
    /// In which units a new athlete reads figures.
    #[serde(default)]
    units: Units,
    /// Where the refresh token is to be.
    #[serde(default)]
    refresh_in: RefreshIn,
}

/// Ends it: signs in.
async fn finish(
    State(accounts): State<Accounts>,
    MaybeCaller(caller): MaybeCaller,
    arrival: Arrival,
    Path(issuer): Path<String>,
    body: Json<Finish>,
) -> Result<Answer<SignedIn>, Error> {
    let body = body.good()?;
    let athlete = caller.as_ref().map(athlete).transpose()?;
    let outcome = Outcome { code: body.code, state: body.state, ticket: body.ticket };
    let time_zone = body.time_zone.unwrap_or(TimeZone::UTC);
    let registered = AthleteRegistered { time_zone, units: body.units };
    let known = accounts.end_oidc(&issuer, &outcome, registered, athlete, &arrival).await?;
    let begun = accounts.begin_session(&known, &issuer, &arrival).await?;
    Entered { known, begun, refresh_in: body.refresh_in }.answer(&accounts, None).await
}

/// The identities that are linked to the account.
async fn identities(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Answer<Vec<Identity>>, Error> {
    let identities = accounts.identities(athlete(&caller)?).await?;
    Answer::list(&identities, None)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "IdentityUnlink")]
struct Unlink {
    /// The issuer of the identity.
    issuer: Text<255>,
    /// Who it is there.
    subject: Text<255>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IdentityUnlinked")]
struct Unlinked {
    unlinked: bool,
}

/// Takes one from the account.
async fn unlink(
    State(accounts): State<Accounts>,
    caller: Caller,
    arrival: Arrival,
    body: Json<Unlink>,
) -> Result<Answer<Unlinked>, Error> {
    let body = body.good()?;
    accounts
        .unlink(athlete(&caller)?, body.issuer.as_str(), body.subject.as_str(), &arrival)
        .await?;
    Answer::ok(&Unlinked { unlinked: true })
}
