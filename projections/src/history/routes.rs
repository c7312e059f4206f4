//! `GET /v1/history` and `GET /v1/workouts`.

use std::{collections::HashSet, time::Duration};

use axum::extract::{FromRef, State};
use domain::library::{Library, fold};
use events::{AthleteId, ExerciseId, Muscle, WeightUnit};
use schemars::JsonSchema;
use serde::Deserialize;
use web::{Answer, Cursor, Error, Limit, Query, Routes};

use super::{
    History,
    query::{self, Place, Wanted},
};
use crate::{
    Context,
    athlete::custom_exercises,
    days::Edge,
    reading::{Keeping, Reading, kept},
    represent::Workout,
};

/// How long answers are good, if nothing changes.
const KEEPING: Keeping = Keeping { shared: Duration::from_secs(5 * 60), by_day: false };

/// The routes of history.
pub fn routes<S>(context: &Context) -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    let routes = Routes::of(include_str!("routes.rs"))
        .get("/v1/history", history)
        .get("/v1/workouts", workouts);
    kept::<History, S>(routes, context, KEEPING)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
    /// Only sets of exercises whose names begin so, whatever their capitals.
    exercise: Option<String>,
    /// Only sets of exercises that train it.
    muscle: Option<Muscle>,
    /// Only workouts that began then or later.
    from: Option<Edge>,
    /// Only workouts that began then or earlier.
    to: Option<Edge>,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// The caller's workouts, newest first. Under a filter by exercise or muscle, only the matching
/// sets and notes are shown, with the totals of the whole workout.
async fn history(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<HistoryQuery>,
) -> Result<Answer<Vec<Workout>>, Error> {
    let (owner, partition) = (reading.owner, reading.partition);
    let exercises = match (&query.exercise, query.muscle) {
        (None, None) => None,
        (name, muscle) => Some(matching(&context, owner, name.as_deref(), muscle).await?),
    };
    let wanted = Wanted {
        exercises: exercises.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect()),
        completed: None,
        from: query.from,
        to: query.to,
        after: query.cursor.map(|cursor| cursor.0),
        limit: query.limit.0,
    };
    let page = query::page(&context, owner, partition, &wanted).await?;
    let shown: Vec<Workout> = page
        .workouts
        .into_iter()
        .map(|workout| {
            workout.show(query.unit, |exercise| {
                exercises.as_ref().is_none_or(|exercises| exercises.contains(exercise))
            })
        })
        .collect();
    let next = page.next.map(|place| Cursor(place).encode());
    Ok(Answer::list(&shown, next)?.at(page.position))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WorkoutsQuery {
    /// Only those that go on, or that are over.
    status: Option<Status>,
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Status {
    Active,
    Completed,
}

/// The caller's workouts by status, newest first: `?status=active` finds what goes on.
async fn workouts(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<WorkoutsQuery>,
) -> Result<Answer<Vec<Workout>>, Error> {
    let (owner, partition) = (reading.owner, reading.partition);
    let wanted = Wanted {
        completed: query.status.map(|status| status == Status::Completed),
        after: query.cursor.map(|cursor| cursor.0),
        limit: query.limit.0,
        ..Wanted::default()
    };
    let page = query::page(&context, owner, partition, &wanted).await?;
    let shown: Vec<_> =
        page.workouts.into_iter().map(|workout| workout.show(query.unit, |_| true)).collect();
    let next = page.next.map(|place| Cursor(place).encode());
    Ok(Answer::list(&shown, next)?.at(page.position))
}

/// The exercises whose folded name begins with a prefix and that train a muscle: of the library
/// and the athlete's own.
async fn matching(
    context: &Context,
    owner: AthleteId,
    name: Option<&str>,
    muscle: Option<Muscle>,
) -> Result<HashSet<ExerciseId>, Error> {
    let prefix = name.map(fold);
    let named = |name: &str| prefix.as_ref().is_none_or(|prefix| fold(name).starts_with(prefix));
    let library = Library::system().all().iter().filter(|exercise| {
        let trains = muscle.is_none_or(|muscle| {
            exercise.primary_muscles.contains(&muscle)
                || exercise.secondary_muscles.contains(&muscle)
        });
        trains && named(&exercise.name)
    });
    let mut found: HashSet<ExerciseId> =
        library.map(|exercise| ExerciseId::System((*exercise.id).into())).collect();
    let custom = custom_exercises::<History>(context, owner).await?;
    let own = custom.into_iter().filter(|(_, exercise)| {
        muscle.is_none_or(|muscle| exercise.trains(muscle))
            && exercise.known.name.as_deref().is_some_and(named)
    });
    found.extend(own.map(|(id, _)| ExerciseId::Custom(id)));
    Ok(found)
}
