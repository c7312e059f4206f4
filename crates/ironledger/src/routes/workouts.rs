//! Workouts and their sets: `/v1/workouts…`, as the log has them.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    routing::{get, patch, post},
};
use domain::{Totals, workout::Workout};
use events::{SetId, WeightUnit, WorkoutId};
use log::Positions;
use projections::represent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use web::{Answer, Error, Json, Path, Query};

use crate::{
    app::App,
    commands::{
        Commands, Done, Failure, Loaded, Origin,
        requests::{ChangeWorkout, CompleteWorkout, CorrectSet, LogSet, StartWorkout},
    },
    shown,
};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/workouts", post(start))
        .route("/v1/workouts/{id}", get(show).patch(change).delete(discard))
        .route("/v1/workouts/{id}/complete", post(complete))
        .route("/v1/workouts/{id}/sets", post(log_set))
        .route("/v1/workouts/{id}/sets/{set}", patch(correct_set).delete(remove_set))
}

/// Starts a workout.
async fn start(
    State(commands): State<Commands>,
    origin: Origin,
    body: Json<StartWorkout>,
) -> Result<Answer, Error> {
    let body = body.good_or_judged(async |body| commands.judge_start(&body)).await?;
    match commands.start_workout(&origin, body).await {
        Ok((id, done)) => {
            let answer = whole(&commands, &origin, id, &done).await?;
            Ok(answer.created(format!("/v1/workouts/{id}")))
        }
        Err(failure) => Err(refused(&commands, &origin, None, failure).await),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    unit: Option<WeightUnit>,
}

/// A workout with its sets and totals.
async fn show(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    Query(query): Query<ShowQuery>,
) -> Result<Answer, Error> {
    let loaded = commands.workout(&origin, id).await?;
    let workout = represented(&commands, &origin, id, &loaded, query.unit).await?;
    let workout = workout.ok_or_else(|| Error::not_found("workout"))?;
    let position = Positions::one(loaded.epoch, loaded.partition, loaded.position);
    Ok(tagged(&loaded, &workout)?.at(position))
}

/// Changes what is said about a workout.
async fn change(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    body: Json<ChangeWorkout>,
) -> Result<Answer, Error> {
    let judge = async |body| commands.judge_change(&origin, id, &body).await;
    let body = body.good_or_judged(judge).await?;
    match commands.change_workout(&origin, id, body).await {
        Ok(done) => whole(&commands, &origin, id, &done).await,
        Err(failure) => Err(refused(&commands, &origin, Some(id), failure).await),
    }
}

/// Completes a workout.
async fn complete(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    body: Json<CompleteWorkout>,
) -> Result<Answer, Error> {
    let judge = async |body| commands.judge_completion(&origin, id, &body).await;
    let body = body.good_or_judged(judge).await?;
    match commands.complete_workout(&origin, id, body).await {
        Ok(done) => whole(&commands, &origin, id, &done).await,
        Err(failure) => Err(refused(&commands, &origin, Some(id), failure).await),
    }
}

/// Throws a workout away.
async fn discard(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
) -> Result<Answer, Error> {
    match commands.discard_workout(&origin, id).await {
        Ok(done) => whole(&commands, &origin, id, &done).await,
        Err(failure) => Err(refused(&commands, &origin, Some(id), failure).await),
    }
}

/// Logs a set.
async fn log_set(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    body: Json<LogSet>,
) -> Result<Answer, Error> {
    let judge = async |body| commands.judge_set(&origin, id, &body).await;
    let body = body.good_or_judged(judge).await?;
    match commands.log_set(&origin, id, body).await {
        Ok((set, done)) => {
            let answer = one_set(&commands, &origin, id, set, &done).await?;
            Ok(answer.created(format!("/v1/workouts/{id}/sets/{set}")))
        }
        Err(failure) => Err(refused(&commands, &origin, Some(id), failure).await),
    }
}

/// Corrects a set.
async fn correct_set(
    State(commands): State<Commands>,
    origin: Origin,
    Path((id, set)): Path<(WorkoutId, SetId)>,
    body: Json<CorrectSet>,
) -> Result<Answer, Error> {
    let judge = async |body| commands.judge_correction(&origin, id, set, &body).await;
    let body = body.good_or_judged(judge).await?;
    match commands.correct_set(&origin, id, set, body).await {
        Ok(done) => one_set(&commands, &origin, id, set, &done).await,
        Err(failure) => Err(refused(&commands, &origin, Some(id), failure).await),
    }
}

/// Removes a set.
async fn remove_set(
    State(commands): State<Commands>,
    origin: Origin,
    Path((id, set)): Path<(WorkoutId, SetId)>,
) -> Result<Answer, Error> {
    match commands.remove_set(&origin, id, set).await {
        Ok(done) => one_set(&commands, &origin, id, set, &done).await,
        Err(failure) => Err(refused(&commands, &origin, Some(id), failure).await),
    }
}

/// What a command about one set answers: the set, and how the workout stands with it.
#[derive(Serialize, JsonSchema)]
struct SetAnswer {
    /// The set; `null` once it is removed.
    set: Option<represent::Set>,
    workout: Standing,
}

/// How a workout stands.
#[derive(Serialize, JsonSchema)]
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
    done: &Done<Workout>,
) -> Result<Answer, Error> {
    let workout = represented(commands, origin, id, &done.loaded, None).await?;
    Ok(tagged(&done.loaded, &workout)?.at(&done.position))
}

/// One set after a command, and how the workout stands.
async fn one_set(
    commands: &Commands,
    origin: &Origin,
    id: WorkoutId,
    set: SetId,
    done: &Done<Workout>,
) -> Result<Answer, Error> {
    let workout = represented(commands, origin, id, &done.loaded, None).await?;
    let workout = workout.ok_or_else(|| Error::not_found("workout"))?;
    let tag = tag(&done.loaded, &workout)?;
    let answer = SetAnswer {
        workout: Standing { id, status: workout.status, totals: workout.totals },
        set: workout.sets.into_iter().find(|shown| shown.id == set),
    };
    Ok(Answer::ok(&answer)?.etag(tag).at(&done.position))
}

/// What the caller of a failed command is told; of a stale one, what is there now.
async fn refused(
    commands: &Commands,
    origin: &Origin,
    id: Option<WorkoutId>,
    failure: Failure<Workout>,
) -> Error {
    match failure {
        Failure::Refused(error) => error,
        Failure::Stale(loaded) => {
            let Some(id) = id else { return Error::stale(&()) };
            match represented(commands, origin, id, &loaded, None).await {
                Ok(Some(workout)) => Error::stale(&workout),
                // What is not there, or another's, is not stale.
                Ok(None) => Error::not_found("workout"),
                Err(error) => error,
            }
        }
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
    let any_own = workout.sets.iter().any(|set| shown::is_own(&set.values));
    let own = if any_own { Some(commands.own_exercises(origin).await?) } else { None };
    let own = own.as_ref().and_then(|own| own.state.as_ref());
    Ok(Some(shown::workout(id, workout, own, unit)))
}

fn tagged(loaded: &Loaded<Workout>, shown: &impl Serialize) -> Result<Answer, Error> {
    Ok(Answer::ok(shown)?.etag(tag(loaded, shown)?))
}

/// `version-hash`: the version is what `If-Match` compares, the hash tells representations apart.
fn tag(loaded: &Loaded<Workout>, shown: &impl Serialize) -> Result<String, Error> {
    let bytes = serde_json::to_vec(shown).map_err(Error::internal)?;
    let digest = Sha256::digest(&bytes);
    let hash = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(format!("{}-{hash}", loaded.version))
}
