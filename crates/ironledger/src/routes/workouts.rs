//! Workouts and their sets: `/v1/workouts…`, as the log has them.

use std::sync::Arc;

use axum::extract::State;
use domain::{Totals, body::Bodyweights, exercises::Exercises, workout::Workout};
use events::{ExerciseId, SetId, TimeZone, WeightUnit, WorkoutId};
use projections::represent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Accepted, Answer, Created, Error, Json, Path, Query, Routes};

use super::tagged;
use crate::{
    app::App,
    commands::{
        Commands, Failure, Loaded, Origin,
        bulk::{RecordWorkouts, RecordedWorkout},
        requests::{
            ChangeWorkout, CompleteWorkout, CorrectSet, LogSet, NoteExercise, StartWorkout,
        },
    },
    shown,
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("workouts.rs"))
        .post("/v1/workouts", start)
        .post("/v1/workouts:bulk", record)
        .get("/v1/workouts/{id}", show)
        .patch("/v1/workouts/{id}", change)
        .delete("/v1/workouts/{id}", discard)
        .post("/v1/workouts/{id}/complete", complete)
        .post("/v1/workouts/{id}/sets", log_set)
        .patch("/v1/workouts/{id}/sets/{set}", correct_set)
        .delete("/v1/workouts/{id}/sets/{set}", remove_set)
        .post("/v1/workouts/{id}/sets/{set}/confirm", confirm_set)
        .put("/v1/workouts/{id}/exercises/{exercise}", note_exercise)
}

/// Starts a workout.
async fn start(
    State(commands): State<Commands>,
    origin: Origin,
    body: Json<StartWorkout>,
) -> Result<Created<represent::Workout>, Error> {
    let body = body.good_or_judged(async |body| commands.judge_start(&origin, &body).await).await?;
    let (commands, origin) = (&commands, &origin);
    let show = |id, loaded| async move {
        let answer = whole(commands, origin, id, loaded).await?;
        Ok(answer.created(format!("/v1/workouts/{id}")))
    };
    let started = commands.start_workout(origin, body, show).await;
    started.map(Created).map_err(Failure::of_new)
}

/// Records whole workouts, all of them or none.
async fn record(
    State(commands): State<Commands>,
    origin: Origin,
    body: Json<RecordWorkouts>,
) -> Result<Accepted<Vec<RecordedWorkout>>, Error> {
    let judge = async |body| commands.judge_workouts(&origin, body).await;
    let body = body.good_or_judged(judge).await?;
    commands.record_workouts(&origin, body).await.map(Accepted)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// A workout with its sets and totals.
async fn show(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    Query(query): Query<ShowQuery>,
) -> Result<Answer<represent::Workout>, Error> {
    let loaded = commands.workout(&origin, id).await?;
    let workout = represented(&commands, &origin, id, &loaded, query.unit).await?;
    let workout = workout.ok_or_else(|| Error::not_found("workout"))?;
    Ok(tagged(loaded.version, &workout)?.at(loaded.positions()))
}

/// Changes what is said about a workout.
async fn change(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    body: Json<ChangeWorkout>,
) -> Result<Answer<represent::Workout>, Error> {
    let judge = async |body| commands.judge_change(&origin, id, &body).await;
    let body = body.good_or_judged(judge).await?;
    let show = |loaded| whole(&commands, &origin, id, loaded);
    let changed = commands.change_workout(&origin, id, body, show).await;
    or_stale(&commands, &origin, id, changed).await
}

/// Completes a workout.
async fn complete(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    body: Json<CompleteWorkout>,
) -> Result<Answer<represent::Workout>, Error> {
    let judge = async |body| commands.judge_completion(&origin, id, &body).await;
    let body = body.good_or_judged(judge).await?;
    let show = |loaded| whole(&commands, &origin, id, loaded);
    let completed = commands.complete_workout(&origin, id, body, show).await;
    or_stale(&commands, &origin, id, completed).await
}

/// Throws a workout away.
async fn discard(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
) -> Result<Answer<represent::Workout>, Error> {
    let show = |loaded| whole(&commands, &origin, id, loaded);
    let discarded = commands.discard_workout(&origin, id, show).await;
    or_stale(&commands, &origin, id, discarded).await
}

/// Logs a set.
async fn log_set(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    body: Json<LogSet>,
) -> Result<Created<SetAnswer>, Error> {
    let judge = async |body| commands.judge_set(&origin, id, &body).await;
    let body = body.good_or_judged(judge).await?;
    let (commands, origin) = (&commands, &origin);
    let show = |set, loaded| async move {
        let answer = one_set(commands, origin, id, set, loaded).await?;
        Ok(answer.created(format!("/v1/workouts/{id}/sets/{set}")))
    };
    let logged = commands.log_set(origin, id, body, show).await;
    or_stale(commands, origin, id, logged).await.map(Created)
}

/// Corrects a set.
async fn correct_set(
    State(commands): State<Commands>,
    origin: Origin,
    Path((id, set)): Path<(WorkoutId, SetId)>,
    body: Json<CorrectSet>,
) -> Result<Answer<SetAnswer>, Error> {
    let judge = async |body| commands.judge_correction(&origin, id, set, &body).await;
    let body = body.good_or_judged(judge).await?;
    let show = |loaded| one_set(&commands, &origin, id, set, loaded);
    let corrected = commands.correct_set(&origin, id, set, body, show).await;
    or_stale(&commands, &origin, id, corrected).await
}

/// Confirms a set that was found unusual.
async fn confirm_set(
    State(commands): State<Commands>,
    origin: Origin,
    Path((id, set)): Path<(WorkoutId, SetId)>,
) -> Result<Answer<SetAnswer>, Error> {
    let show = |loaded| one_set(&commands, &origin, id, set, loaded);
    let confirmed = commands.confirm_set(&origin, id, set, show).await;
    or_stale(&commands, &origin, id, confirmed).await
}

/// Removes a set.
async fn remove_set(
    State(commands): State<Commands>,
    origin: Origin,
    Path((id, set)): Path<(WorkoutId, SetId)>,
) -> Result<Answer<SetAnswer>, Error> {
    let show = |loaded| one_set(&commands, &origin, id, set, loaded);
    let removed = commands.remove_set(&origin, id, set, show).await;
    or_stale(&commands, &origin, id, removed).await
}

/// Notes something of an exercise of a workout.
async fn note_exercise(
    State(commands): State<Commands>,
    origin: Origin,
    Path((id, exercise)): Path<(WorkoutId, ExerciseId)>,
    body: Json<NoteExercise>,
) -> Result<Answer<represent::Workout>, Error> {
    let judge = async |body| commands.judge_note(&origin, id, &exercise, &body).await;
    let body = body.good_or_judged(judge).await?;
    let show = |loaded| whole(&commands, &origin, id, loaded);
    let noted = commands.note_exercise(&origin, id, &exercise, body, show).await;
    or_stale(&commands, &origin, id, noted).await
}

/// What a command about one set answers: the set, and how the workout stands with it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SetInWorkout")]
struct SetAnswer {
    /// The set; `null` once it is removed.
    set: Option<represent::Set>,
    workout: Standing,
}

/// How a workout stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WorkoutStanding")]
struct Standing {
    id: WorkoutId,
    status: &'static str,
    totals: Totals,
}

/// The whole workout after a command.
async fn whole(
    commands: &Commands,
    origin: &Origin,
    id: WorkoutId,
    loaded: Arc<Loaded<Workout>>,
) -> Result<Answer<represent::Workout>, Error> {
    let workout = represented(commands, origin, id, &loaded, None).await?;
    let workout = workout.ok_or_else(|| Error::not_found("workout"))?;
    tagged(loaded.version, &workout)
}

/// One set after a command, and how the workout stands.
async fn one_set(
    commands: &Commands,
    origin: &Origin,
    id: WorkoutId,
    set: SetId,
    loaded: Arc<Loaded<Workout>>,
) -> Result<Answer<SetAnswer>, Error> {
    // Not of the whole workout as it is shown: this is what is asked most, and sets are many.
    let workout = loaded.state.as_ref().ok_or_else(|| Error::not_found("workout"))?;
    let beside = Beside::of(commands, origin, workout).await?;
    let totals = shown::totals(workout, beside.own(), &beside.weighed);
    let answer = SetAnswer {
        set: workout.set(set).map(|set| shown::set(set.clone(), beside.own())),
        workout: Standing { id, status: represent::status(workout.status), totals },
    };
    Ok(Answer::ok(&answer)?.version(loaded.version))
}

/// What the caller is told of a workout; of a stale command, what it is now.
async fn or_stale<T>(
    commands: &Commands,
    origin: &Origin,
    id: WorkoutId,
    done: Result<Answer<T>, Failure<Workout>>,
) -> Result<Answer<T>, Error> {
    let now = async |loaded| represented(commands, origin, id, &loaded, None).await;
    match done {
        Ok(answer) => Ok(answer),
        Err(failure) => Err(failure.told("workout", now).await),
    }
}

/// A workout as answers show it; `None` when there is none.
async fn represented(
    commands: &Commands,
    origin: &Origin,
    id: WorkoutId,
    loaded: &Arc<Loaded<Workout>>,
    unit: Option<WeightUnit>,
) -> Result<Option<represent::Workout>, Error> {
    let Some(workout) = loaded.state.clone() else { return Ok(None) };
    let beside = Beside::of(commands, origin, &workout).await?;
    let parts = shown::parts(id, workout, beside.own(), beside.weighed.clone());
    Ok(Some(parts.show(unit, |_| true)))
}

/// What it takes to show a workout beside its own stream, where it takes that.
struct Beside {
    own: Option<Arc<Loaded<Exercises>>>,
    weighed: (Bodyweights, TimeZone),
}

impl Beside {
    async fn of(commands: &Commands, origin: &Origin, workout: &Workout) -> Result<Self, Error> {
        let has_own = shown::has_own(workout);
        let own = if has_own { Some(commands.own_exercises(origin).await?) } else { None };
        let mut beside = Self { own, weighed: (Bodyweights::default(), TimeZone::UTC) };
        if shown::weighs(workout, beside.own()) {
            beside.weighed = commands.bodyweights(origin).await?;
        }
        Ok(beside)
    }

    fn own(&self) -> Option<&Exercises> {
        self.own.as_ref()?.state.as_ref()
    }
}
