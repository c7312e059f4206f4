//! `/v1/coaching/…`: asking, accepting and ending; the lists are those of the coaching projection.

use axum::extract::State;
use domain::profile::Username;
use events::{AthleteId, InvitationId};
use schemars::JsonSchema;
use serde::Deserialize;
use web::{Answer, Created, Detail, Error, Json, Path, Routes};

use crate::{
    accounts::Accounts,
    app::App,
    commands::{
        Commands, Origin,
        coaching::{Asked, Ended},
    },
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("coaching.rs"))
        .post("/v1/coaching/clients", invite)
        .or(|operation| operation.needs_body())
        .delete("/v1/coaching/clients/{athlete}", dismiss)
        .post("/v1/coaching/coaches/{athlete}/accept", accept)
        .delete("/v1/coaching/coaches/{athlete}", leave)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    /// Whom to ask, by id …
    athlete: Option<AthleteId>,
    /// … or by username.
    username: Option<Username>,
}

/// Asks an athlete to be the caller's client.
async fn invite(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    origin: Origin,
    body: Json<Invite>,
) -> Result<Created<Asked>, Error> {
    let client = match body.good()? {
        Invite { athlete: Some(athlete), username: None } => Some(athlete),
        Invite { athlete: None, username: Some(name) } => accounts.of_username(&name).await?,
        _ => {
            let message = "must be given, or username, and not both";
            return Err(Error::validation(vec![Detail::new("athlete", message)]));
        }
    };
    let client = client.ok_or_else(|| Error::not_found("athlete"))?;
    commands.invite_client(&origin, accounts.side(client, "athlete").await?).await.map(Created)
}

/// Withdraws an invitation, or ends what came of it.
async fn dismiss(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    origin: Origin,
    Path(client): Path<AthleteId>,
) -> Result<Answer<Ended>, Error> {
    commands.dismiss_client(&origin, accounts.side(client, "athlete").await?).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Accept {
    /// The invitation that is accepted: another one of the same coach is not.
    invitation: InvitationId,
}

/// Accepts an invitation.
async fn accept(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    origin: Origin,
    Path(coach): Path<AthleteId>,
    body: Json<Accept>,
) -> Result<Answer<Asked>, Error> {
    let invitation = body.good()?.invitation.uuid();
    commands.accept_coach(&origin, accounts.side(coach, "athlete").await?, invitation).await
}

/// Declines an invitation, or ends what came of it, at once.
async fn leave(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    origin: Origin,
    Path(coach): Path<AthleteId>,
) -> Result<Answer<Ended>, Error> {
    commands.leave_coach(&origin, accounts.side(coach, "athlete").await?).await
}
