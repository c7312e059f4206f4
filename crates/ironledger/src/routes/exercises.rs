//! `GET` and `POST /v1/exercises`: the library and one's own.

use std::sync::Arc;

use axum::{Router, extract::State, routing::get};
use domain::{
    exercises,
    library::{self, Library},
};
use events::{Equipment, Measurement, Muscle};
use log::Positions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{Answer, Error, Json, Query};

use crate::{
    app::App,
    commands::{Commands, Loaded, Origin, exercises::CreateExercise},
};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/exercises", get(list).post(create))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only names that begin so, whatever their capitals.
    name: Option<String>,
    muscle: Option<Muscle>,
    equipment: Option<Equipment>,
}

/// An exercise in an answer.
#[derive(Debug, Serialize, JsonSchema)]
struct Exercise {
    id: String,
    name: Option<String>,
    custom: bool,
    equipment: Equipment,
    primary_muscles: Vec<Muscle>,
    secondary_muscles: Vec<Muscle>,
    kind: Measurement,
}

impl Exercise {
    fn own(id: Uuid, exercise: &exercises::Exercise) -> Self {
        Self {
            id: id.to_string(),
            name: exercise.name.clone(),
            custom: true,
            equipment: exercise.traits.equipment,
            primary_muscles: exercise.traits.primary_muscles.clone(),
            secondary_muscles: exercise.traits.secondary_muscles.clone(),
            kind: exercise.traits.kind,
        }
    }
}

/// The exercises of the library and the caller's own, by name.
async fn list(
    State(commands): State<Commands>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Answer, Error> {
    let own = commands.own_exercises(&origin).await?;
    let of_library = Library::system().all().iter().map(|exercise| Exercise {
        id: exercise.id.to_string(),
        name: Some(exercise.name.clone()),
        custom: false,
        equipment: exercise.equipment,
        primary_muscles: exercise.primary_muscles.clone(),
        secondary_muscles: exercise.secondary_muscles.clone(),
        kind: exercise.kind,
    });
    let of_athlete = own.state.iter().flat_map(|state| state.all());
    let of_athlete = of_athlete.map(|(id, exercise)| Exercise::own(id, exercise));
    let prefix = query.name.as_deref().map(library::fold);
    let mut found: Vec<Exercise> = of_library
        .chain(of_athlete)
        .filter(|exercise| {
            let name = exercise.name.as_deref().map(library::fold).unwrap_or_default();
            prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix))
                && query.equipment.is_none_or(|equipment| exercise.equipment == equipment)
                && query.muscle.is_none_or(|muscle| {
                    exercise.primary_muscles.contains(&muscle)
                        || exercise.secondary_muscles.contains(&muscle)
                })
        })
        .collect();
    found.sort_by_cached_key(|exercise| exercise.name.as_deref().map(library::fold));
    let position = Positions::one(own.epoch, own.partition, own.position);
    Ok(Answer::ok(&found)?.list(found.len(), None).at(position))
}

/// Makes an exercise of the caller's own.
async fn create(
    State(commands): State<Commands>,
    origin: Origin,
    body: Json<CreateExercise>,
) -> Result<Answer, Error> {
    let show = |id, loaded: Arc<Loaded<exercises::Exercises>>| async move {
        let exercise = loaded.state.as_ref().and_then(|state| state.get(id));
        let exercise = exercise.map(|exercise| Exercise::own(id, exercise));
        Ok(Answer::ok(&exercise)?.created(format!("/v1/exercises/{id}")))
    };
    commands.create_exercise(&origin, body.good()?, show).await
}
