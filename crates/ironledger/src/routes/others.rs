//! Routines of others: `/v1/athletes/{athlete}/routines/{routine}…`, seen, copied and liked where they
//! are public.

use axum::extract::State;
use domain::routines::Routine;
use events::{AthleteId, RoutineId, WeightUnit};
use projections::{
    Context, Reading,
    plans::{self, Planned},
    routines::{self, Place, Routines, Shared},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Created, Cursor, Error, Json, Limit, Path, Query, Routes};

use super::{
    routines::{made, plan},
    tagged,
};
use crate::{
    accounts::Accounts,
    app::App,
    commands::{
        Commands, Failure, Origin,
        others::{CopyRoutine, Liked},
    },
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("others.rs"))
        .get("/v1/athletes/{athlete}/routines", list)
        .get("/v1/athletes/{athlete}/routines/{routine}", show)
        .post("/v1/athletes/{athlete}/routines/{routine}/copy", copy)
        .put("/v1/athletes/{athlete}/routines/{routine}/like", like)
        .delete("/v1/athletes/{athlete}/routines/{routine}/like", unlike)
}

/// A routine, as others see it: where its owner keeps it and when they do it is nobody's business.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SharedRoutine")]
struct Shown {
    id: RoutineId,
    owner: AthleteId,
    name: Option<String>,
    notes: Option<String>,
    exercises: Vec<Planned>,
    /// Whether the caller likes it.
    liked: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
}

/// The public routines of somebody, newest first.
async fn list(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    State(context): State<Context>,
    origin: Origin,
    reading: Reading,
    Path(athlete): Path<AthleteId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Shared>>, Error> {
    context.wait::<Routines>(&reading).await?;
    let owner = accounts.side(athlete, "athlete").await?;
    if !commands.is_open_to(&origin, owner).await? {
        return Err(Error::not_found("athlete"));
    }
    let after = query.cursor.map(|cursor| cursor.0);
    routines::public(&context, athlete, owner.1, after, query.limit.0).await?.answer()
}

/// A public routine of somebody, or one of the caller's own.
async fn show(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    origin: Origin,
    Path((athlete, id)): Path<(AthleteId, RoutineId)>,
    Query(query): Query<ShowQuery>,
) -> Result<Answer<Shown>, Error> {
    let owner = accounts.side(athlete, "routine").await?;
    let loaded = commands.visible_routine(&origin, owner, id).await?;
    let routine = loaded.state.as_ref().and_then(Routine::there);
    let details = &routine.ok_or_else(|| Error::not_found("routine"))?.details;
    let theirs = if plans::has_own(&details.exercises) {
        Some(commands.exercises_of(owner).await?)
    } else {
        None
    };
    let likes = commands.likes(&origin).await?;
    let shown = Shown {
        id,
        owner: athlete,
        name: details.name.clear().cloned(),
        notes: details.notes.as_ref().and_then(|notes| notes.clear().cloned()),
        exercises: plan(details, theirs.as_ref().and_then(|own| own.state.as_ref()), query.unit),
        liked: likes.state.as_ref().is_some_and(|likes| likes.has(athlete, id)),
    };
    Ok(tagged(loaded.version, &shown)?.at(loaded.positions()))
}

/// Makes a routine of the caller's own from one that they see.
async fn copy(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    origin: Origin,
    Path((athlete, id)): Path<(AthleteId, RoutineId)>,
    body: Json<CopyRoutine>,
) -> Result<Created<super::routines::Shown>, Error> {
    let body = body.good()?;
    let owner = accounts.side(athlete, "routine").await?;
    let (commands, origin) = (&commands, &origin);
    let show = |id, loaded, own| async move { made(commands, origin, id, loaded, own).await };
    let copied = commands.copy_routine(origin, owner, id, body, show).await;
    copied.map(Created).map_err(Failure::of_new)
}

/// Likes a routine that the caller sees; twice is once.
async fn like(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    origin: Origin,
    Path((athlete, id)): Path<(AthleteId, RoutineId)>,
) -> Result<Answer<Liked>, Error> {
    commands.like_routine(&origin, accounts.side(athlete, "routine").await?, id).await
}

/// Likes a routine no longer.
async fn unlike(
    State(commands): State<Commands>,
    origin: Origin,
    Path((athlete, id)): Path<(AthleteId, RoutineId)>,
) -> Result<Answer<Liked>, Error> {
    commands.unlike_routine(&origin, athlete, id).await
}
