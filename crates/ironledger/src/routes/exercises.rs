//! `GET` and `POST /v1/exercises`: the library and one's own.

use std::sync::Arc;

use axum::extract::State;
use domain::{
    exercises,
    library::{self, Difficulty, Library},
    search,
};
use events::{Equipment, ExerciseId, Measurement, Muscle};
use log::Positions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{Answer, Created, Cursor, Error, Json, Limit, Path, Query, Routes};

use crate::{
    app::App,
    commands::{Commands, Loaded, Origin, exercises::CreateExercise},
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("exercises.rs"))
        .get("/v1/exercises", list)
        .post("/v1/exercises", create)
        .get("/v1/exercises/{exercise}", show)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only names that begin so, whatever their capitals.
    name: Option<String>,
    /// What somebody may have typed: words of names and descriptions, in any order, misspelt. The best
    /// come first.
    q: Option<String>,
    /// Only those that train it.
    muscle: Option<Muscle>,
    /// Only those that take this.
    equipment: Option<Equipment>,
    /// Only those that are so hard to learn.
    difficulty: Option<Difficulty>,
    /// Only those whose sets are measured so.
    kind: Option<Measurement>,
    /// No more than so many.
    limit: Option<Limit>,
    cursor: Option<Cursor<Place>>,
}

/// A place in the list.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Place {
    /// How many come before.
    #[serde(rename = "n")]
    before: usize,
}

/// An exercise in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LibraryExercise")]
struct Exercise {
    id: String,
    name: Option<String>,
    custom: bool,
    /// `null` of one's own, and so are the texts.
    difficulty: Option<Difficulty>,
    equipment: Equipment,
    primary_muscles: Vec<Muscle>,
    secondary_muscles: Vec<Muscle>,
    kind: Measurement,
}

/// An exercise with all that is said of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExerciseInFull")]
struct Whole {
    #[serde(flatten)]
    exercise: Exercise,
    description: Option<String>,
    /// What to think of while doing it.
    cues: Vec<String>,
    /// What people often do wrong.
    mistakes: Vec<String>,
    /// Addresses of pictures and films.
    media: Vec<String>,
}

impl Exercise {
    fn of_library(exercise: &library::Exercise) -> Self {
        Self {
            id: exercise.id.to_string(),
            name: Some(exercise.name.clone()),
            custom: false,
            difficulty: Some(exercise.difficulty),
            equipment: exercise.equipment,
            primary_muscles: exercise.primary_muscles.clone(),
            secondary_muscles: exercise.secondary_muscles.clone(),
            kind: exercise.kind,
        }
    }

    fn own(id: Uuid, exercise: &exercises::Exercise) -> Self {
        Self {
            id: id.to_string(),
            name: exercise.name.clone(),
            custom: true,
            difficulty: None,
            equipment: exercise.traits.equipment,
            primary_muscles: exercise.traits.primary_muscles.clone(),
            secondary_muscles: exercise.traits.secondary_muscles.clone(),
            kind: exercise.traits.kind,
        }
    }
}

impl ListQuery {
    fn takes(&self, exercise: &Exercise) -> bool {
        let named = self.name.as_deref().map(library::fold).is_none_or(|prefix| {
            let name = exercise.name.as_deref().map(library::fold);
            name.is_some_and(|name| name.starts_with(&prefix))
        });
        let trains = |muscle| {
            exercise.primary_muscles.contains(&muscle)
                || exercise.secondary_muscles.contains(&muscle)
        };
        named
            && self.equipment.is_none_or(|equipment| exercise.equipment == equipment)
            && self.kind.is_none_or(|kind| exercise.kind == kind)
            && self.difficulty.is_none_or(|wanted| exercise.difficulty == Some(wanted))
            && self.muscle.is_none_or(trains)
    }
}

/// The exercises of the library and the caller's own: by name, or the best first of a search.
async fn list(
    State(commands): State<Commands>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Exercise>>, Error> {
    let own = commands.own_exercises(&origin).await?;
    let of_athlete: Vec<(Uuid, &exercises::Exercise)> =
        own.state.iter().flat_map(|state| state.all()).collect();
    let mut found: Vec<Exercise> = match &query.q {
        None => {
            let of_library = Library::system().all().iter().map(Exercise::of_library);
            let of_athlete = of_athlete.iter().map(|(id, exercise)| Exercise::own(*id, exercise));
            let mut all: Vec<Exercise> = of_library.chain(of_athlete).collect();
            all.sort_by_cached_key(|exercise| exercise.name.as_deref().map(library::fold));
            all
        }
        Some(wanted) => {
            let of_library = Library::system().search(wanted).into_iter();
            let of_library = of_library.map(|(found, score)| (Exercise::of_library(found), score));
            let mut index = search::Index::default();
            for (_, exercise) in &of_athlete {
                index.add([(exercise.name.as_deref().unwrap_or_default(), 1.0)]);
            }
            let of_athlete = index.search(wanted).into_iter().map(|(at, score)| {
                let (id, exercise) = of_athlete[at];
                (Exercise::own(id, exercise), score)
            });
            let mut all: Vec<(Exercise, f64)> = of_athlete.chain(of_library).collect();
            all.sort_by(|(_, one), (_, other)| other.total_cmp(one));
            all.into_iter().map(|(exercise, _)| exercise).collect()
        }
    };
    found.retain(|exercise| query.takes(exercise));
    let before = query.cursor.map_or(0, |cursor| cursor.0.before).min(found.len());
    found.drain(..before);
    let limit = query.limit.map_or(usize::MAX, |limit| limit.0);
    let next = (found.len() > limit).then(|| Cursor(Place { before: before + limit }).encode());
    found.truncate(limit);
    let position = Positions::one(own.epoch, own.partition, own.position);
    Ok(Answer::list(&found, next)?.at(position))
}

/// One exercise of the library or of the caller's own, with all that is said of it.
async fn show(
    State(commands): State<Commands>,
    origin: Origin,
    Path(exercise): Path<String>,
) -> Result<Answer<Whole>, Error> {
    let id: ExerciseId = exercise.parse().map_err(|_| Error::not_found("exercise"))?;
    let own = commands.own_exercises(&origin).await?;
    let position = Positions::one(own.epoch, own.partition, own.position);
    let whole = match &id {
        ExerciseId::Custom(id) => {
            own.state.as_ref().and_then(|state| state.get(*id)).map(|exercise| Whole {
                exercise: Exercise::own(*id, exercise),
                description: None,
                cues: Vec::new(),
                mistakes: Vec::new(),
                media: Vec::new(),
            })
        }
        system => Library::system().get(system).map(|exercise| Whole {
            exercise: Exercise::of_library(exercise),
            description: Some(exercise.description.clone()),
            cues: exercise.cues.clone(),
            mistakes: exercise.mistakes.clone(),
            media: exercise.media.clone(),
        }),
    };
    let whole = whole.ok_or_else(|| Error::not_found("exercise"))?;
    Ok(Answer::ok(&whole)?.at(position))
}

/// Makes an exercise of the caller's own.
async fn create(
    State(commands): State<Commands>,
    origin: Origin,
    body: Json<CreateExercise>,
) -> Result<Created<Exercise>, Error> {
    let show = |id, loaded: Arc<Loaded<exercises::Exercises>>| async move {
        let exercise = loaded.state.as_ref().and_then(|state| state.get(id));
        let exercise = exercise.map(|exercise| Exercise::own(id, exercise));
        let exercise = exercise.ok_or_else(|| Error::not_found("exercise"))?;
        Ok(Answer::ok(&exercise)?.created(format!("/v1/exercises/{id}")))
    };
    commands.create_exercise(&origin, body.good()?, show).await.map(Created)
}
