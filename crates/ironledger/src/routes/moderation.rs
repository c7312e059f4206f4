//! `/v1/reports` and `/v1/admin/…`: what does not belong here, told by athletes and dealt with by admins.

use axum::extract::State;
use events::{AthleteId, ContentId, PublicId, ReportId, ReportOutcome, Timestamp};
use projections::{
    Reading,
    social::{self, Fresh, QueuedReport, Reported},
};
use schemars::JsonSchema;
use serde::Deserialize;
use web::{Accepted, Answer, Caller, Cursor, Detail, Error, Json, Limit, Path, Query, Routes};

use super::{
    admin::{acted_on, looked_at_all, origin_of},
    posts::seen,
};
use crate::{
    accounts::Arrival,
    app::App,
    commands::{
        Origin,
        moderation::{Hidden, Suspension, TellOf, Told},
    },
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("moderation.rs"))
        .get("/v1/admin/reports", queue)
        .post("/v1/admin/reports/{reporter}/{report}/resolve", resolve)
        .or(|operation| operation.fails(&[409]))
        .put("/v1/admin/content/{content}/hidden", hide)
        .delete("/v1/admin/content/{content}/hidden", restore)
        .get("/v1/admin/accounts/{athlete}/suspension", suspension)
        .put("/v1/admin/accounts/{athlete}/suspension", suspend)
        .delete("/v1/admin/accounts/{athlete}/suspension", lift)
}

/// The routes of those who tell.
pub(super) fn of_athletes() -> Routes<App> {
    Routes::of(include_str!("moderation.rs"))
        .post("/v1/reports", report)
        .or(|operation| operation.needs_body())
}

/// Tells who runs the place of a post, a comment or an athlete that the caller sees.
async fn report(
    State(app): State<App>,
    origin: Origin,
    body: Json<TellOf>,
) -> Result<Accepted<Told>, Error> {
    let body = body.good()?;
    let about = match (body.content, body.athlete) {
        (Some(PublicId(content)), None) => {
            seen(&app, &origin, &content).await?;
            content.owner
        }
        (None, Some(athlete)) => {
            let side = app.accounts.side(athlete, "athlete").await?;
            // Also whom one blocks.
            app.commands.toward(&origin, side).await?.known()?;
            athlete
        }
        _ => {
            let message = "must be given, or athlete, and not both";
            return Err(Error::validation(vec![Detail::new("content", message)]));
        }
    };
    app.commands.report(&origin, about, body).await.map(Accepted)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueueQuery {
    /// Those that were looked at, instead of those that wait.
    #[serde(default)]
    resolved: Resolved,
    cursor: Option<Cursor<Reported>>,
    #[serde(default)]
    limit: Limit,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Resolved {
    #[default]
    False,
    True,
}

/// Reports, the oldest first.
async fn queue(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    reading: Reading,
    Query(query): Query<QueueQuery>,
) -> Result<Answer<Vec<QueuedReport>>, Error> {
    let fresh = Fresh::read(&app.queries, &reading).await?;
    let (resolved, after) = (query.resolved == Resolved::True, query.cursor.map(|at| at.0));
    let (reports, next) = social::queue(&app.queries, resolved, after, query.limit.0).await?;
    // Whatever it is, the admin reads it here.
    let of = reports.iter().flat_map(QueuedReport::about).map(AthleteId::uuid);
    app.access_log.record(&looked_at_all(&caller, &arrival, None, of)).await?;
    let next = next.map(|place| Cursor(place).encode());
    Ok(Answer::list(&reports, next)?.at(&fresh.position))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resolve {
    /// What comes of it: `hidden` hides the post or comment, `suspended` suspends whose doing it is.
    outcome: ReportOutcome,
    /// Of a suspension, when it ends; never by default.
    until: Option<Timestamp>,
}

/// Deals with a report of an athlete's, and says so.
async fn resolve(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    Path((reporter, id)): Path<(AthleteId, ReportId)>,
    body: Json<Resolve>,
) -> Result<Answer<Told>, Error> {
    let Resolve { outcome, until } = body.good()?;
    if until.is_some() && outcome != ReportOutcome::Suspended {
        let message = "must not be given: nobody is suspended";
        return Err(Error::validation(vec![Detail::new("until", message)]));
    }
    let origin = origin_of(&app, &caller, &arrival, reporter).await?;
    let report = app.commands.report_of(&origin, id).await?;
    let report = report.state.as_ref().ok_or_else(|| Error::not_found("report"))?;
    // What follows is done first: a report that is left open can be dealt with again.
    if report.outcome.is_none() {
        match (outcome, report.said.content) {
            (ReportOutcome::Dismissed, _) => {}
            (ReportOutcome::Hidden, Some(content)) => {
                set_hidden(&app, &caller, &arrival, &content, true).await?;
            }
            (ReportOutcome::Hidden, None) => {
                let message = "must not be hidden: the report is of an athlete";
                return Err(Error::validation(vec![Detail::new("outcome", message)]));
            }
            (ReportOutcome::Suspended, _) => {
                let about = report.said.athlete;
                let of = origin_of(&app, &caller, &arrival, about).await?;
                app.commands.suspend(&of, until).await?;
                app.access_log.record(&[acted_on(&caller, &arrival, about)]).await?;
            }
        }
    }
    app.commands.resolve_report(&origin, id, outcome).await
}

/// Shows a post or comment to nobody any more but whose it is.
async fn hide(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    Path(content): Path<PublicId>,
) -> Result<Answer<Hidden>, Error> {
    let side = app.accounts.side(content.0.owner, "content").await?;
    if !app.commands.is_there(side, &content.0).await? {
        return Err(Error::not_found("content"));
    }
    set_hidden(&app, &caller, &arrival, &content.0, true).await
}

/// Shows a post or comment again.
async fn restore(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    Path(content): Path<PublicId>,
) -> Result<Answer<Hidden>, Error> {
    set_hidden(&app, &caller, &arrival, &content.0, false).await
}

async fn set_hidden(
    app: &App,
    caller: &Caller,
    arrival: &Arrival,
    content: &ContentId,
    hides: bool,
) -> Result<Answer<Hidden>, Error> {
    let origin = origin_of(app, caller, arrival, content.owner).await?;
    let answer = app.commands.hide(&origin, *content, hides).await?;
    app.access_log.record(&[acted_on(caller, arrival, content.owner)]).await?;
    Ok(answer)
}

/// Whether an athlete is suspended.
async fn suspension(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Suspension>, Error> {
    let origin = origin_of(&app, &caller, &arrival, athlete).await?;
    app.commands.suspension_of(&origin).await
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Suspend {
    /// When it ends; never by default.
    until: Option<Timestamp>,
}

/// Suspends an athlete: others see nothing of theirs, and they have nothing to do with others. They
/// train on.
async fn suspend(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    Path(athlete): Path<AthleteId>,
    body: Json<Suspend>,
) -> Result<Answer<Suspension>, Error> {
    let until = body.good()?.until;
    let origin = origin_of(&app, &caller, &arrival, athlete).await?;
    let answer = app.commands.suspend(&origin, until).await?;
    app.access_log.record(&[acted_on(&caller, &arrival, athlete)]).await?;
    Ok(answer)
}

/// Suspends an athlete no longer.
async fn lift(
    State(app): State<App>,
    caller: Caller,
    arrival: Arrival,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Suspension>, Error> {
    let origin = origin_of(&app, &caller, &arrival, athlete).await?;
    let answer = app.commands.lift_suspension(&origin).await?;
    app.access_log.record(&[acted_on(&caller, &arrival, athlete)]).await?;
    Ok(answer)
}
