//! An athlete's own routines: `/v1/routines…`, as the log has them. The list is that of the projection.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::State;
use domain::{exercises::Exercises, routines::Routine};
use events::{CopiedFrom, FolderId, RoutineDetails, RoutineId, Weekday, WeightUnit};
use projections::plans::{self, Planned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Created, Error, Json, Path, Query, Routes};

use super::tagged;
use crate::{
    app::App,
    commands::{
        Commands, Failure, Loaded, Origin,
        routines::{ChangeRoutine, CreateRoutine},
    },
    shown,
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("routines.rs"))
        .post("/v1/routines", create)
        .get("/v1/routines/{id}", show)
        .patch("/v1/routines/{id}", change)
        .delete("/v1/routines/{id}", delete)
}

/// A routine, as its owner sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Routine")]
pub(super) struct Shown {
    id: RoutineId,
    /// `null` when it was erased.
    name: Option<String>,
    notes: Option<String>,
    /// `null` also where the folder was deleted since.
    folder: Option<FolderId>,
    schedule: BTreeSet<Weekday>,
    public: bool,
    /// Whose routine it was copied from.
    copied_from: Option<CopiedFrom>,
    exercises: Vec<Planned>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// Makes a routine.
async fn create(
    State(commands): State<Commands>,
    origin: Origin,
    body: Json<CreateRoutine>,
) -> Result<Created<Shown>, Error> {
    let judge = async |body| commands.judge_routine(&origin, &body).await;
    let body = body.good_or_judged(judge).await?;
    let (commands, origin) = (&commands, &origin);
    let show = |id, loaded| async move { made(commands, origin, id, loaded, None).await };
    let created = commands.create_routine(origin, body, show).await;
    created.map(Created).map_err(Failure::of_new)
}

/// A routine with all that it says.
async fn show(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<RoutineId>,
    Query(query): Query<ShowQuery>,
) -> Result<Answer<Shown>, Error> {
    let loaded = commands.routine(&origin, id).await?;
    let view = View { unit: query.unit, own: None };
    let routine = represented(&commands, &origin, id, &loaded, view).await?;
    let routine = routine.ok_or_else(|| Error::not_found("routine"))?;
    Ok(tagged(loaded.version, &routine)?.at(loaded.positions()))
}

/// Changes a routine.
async fn change(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<RoutineId>,
    body: Json<ChangeRoutine>,
) -> Result<Answer<Shown>, Error> {
    let judge = async |body| commands.judge_routine_change(&origin, id, &body).await;
    let body = body.good_or_judged(judge).await?;
    let show = |loaded| whole(&commands, &origin, id, loaded);
    let changed = commands.change_routine(&origin, id, body, show).await;
    or_stale(&commands, &origin, id, changed).await
}

/// Throws a routine away: `null` is what is left of it.
async fn delete(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<RoutineId>,
) -> Result<Answer<Option<Shown>>, Error> {
    let show = |loaded: Arc<Loaded<Routine>>| {
        let (commands, origin) = (&commands, &origin);
        async move {
            let left = represented(commands, origin, id, &loaded, View::default()).await?;
            tagged(loaded.version, &left)
        }
    };
    let deleted = commands.delete_routine(&origin, id, show).await;
    or_stale(&commands, &origin, id, deleted).await
}

/// A routine that was just made; `own` are the exercises of its owner's own, where the log does not have
/// all of them yet.
pub(super) async fn made(
    commands: &Commands,
    origin: &Origin,
    id: RoutineId,
    loaded: Arc<Loaded<Routine>>,
    own: Option<Arc<Exercises>>,
) -> Result<Answer<Shown>, Error> {
    let own = own.as_deref();
    let shown = represented(commands, origin, id, &loaded, View { own, unit: None }).await?;
    let shown = shown.ok_or_else(|| Error::not_found("routine"))?;
    Ok(tagged(loaded.version, &shown)?.created(format!("/v1/routines/{id}")))
}

/// How a routine is to be shown.
#[derive(Clone, Copy, Default)]
struct View<'a> {
    /// The exercises of its owner's own, where the log is not to be asked.
    own: Option<&'a Exercises>,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// The routine after a command.
async fn whole(
    commands: &Commands,
    origin: &Origin,
    id: RoutineId,
    loaded: Arc<Loaded<Routine>>,
) -> Result<Answer<Shown>, Error> {
    let routine = represented(commands, origin, id, &loaded, View::default()).await?;
    tagged(loaded.version, &routine.ok_or_else(|| Error::not_found("routine"))?)
}

/// What the caller is told of a routine; of a stale command, what it is now.
async fn or_stale<T>(
    commands: &Commands,
    origin: &Origin,
    id: RoutineId,
    done: Result<Answer<T>, Failure<Routine>>,
) -> Result<Answer<T>, Error> {
    let now = async |loaded: Arc<Loaded<Routine>>| {
        represented(commands, origin, id, &loaded, View::default()).await
    };
    match done {
        Ok(answer) => Ok(answer),
        Err(failure) => Err(failure.told("routine", now).await),
    }
}

/// A routine as its owner sees it; `None` when it is not there.
async fn represented(
    commands: &Commands,
    origin: &Origin,
    id: RoutineId,
    loaded: &Loaded<Routine>,
    view: View<'_>,
) -> Result<Option<Shown>, Error> {
    let Some(routine) = loaded.state.as_ref().and_then(Routine::there) else { return Ok(None) };
    let details = &routine.details;
    let own = if view.own.is_none() && plans::has_own(&details.exercises) {
        Some(commands.own_exercises(origin).await?)
    } else {
        None
    };
    let own = own.as_ref().and_then(|own| own.state.as_ref());
    let folder = match details.folder {
        Some(folder) => {
            let folders = commands.folders(origin).await?;
            let is_there = folders.state.as_ref().is_some_and(|all| all.get(folder).is_some());
            details.folder.filter(|_| is_there)
        }
        None => None,
    };
    Ok(Some(Shown {
        id,
        name: details.name.clear().cloned(),
        notes: details.notes.as_ref().and_then(|notes| notes.clear().cloned()),
        folder,
        schedule: details.schedule.clone(),
        public: details.public,
        copied_from: routine.copied_from.as_ref().and_then(|from| from.clear().copied()),
        exercises: plan(details, view.own.or(own), view.unit),
    }))
}

/// What a routine plans, with the names of exercises; `own` are those of its owner.
pub(super) fn plan(
    details: &RoutineDetails,
    own: Option<&Exercises>,
    unit: Option<WeightUnit>,
) -> Vec<Planned> {
    let exercises = details
        .exercises
        .iter()
        .map(|planned| plans::show(planned.clone(), shown::known(&planned.exercise, own), unit));
    exercises.collect()
}
