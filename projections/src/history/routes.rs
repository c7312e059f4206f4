//! `GET /v1/history` and `GET /v1/workouts`.

use std::{borrow::Cow, collections::HashSet};

use axum::{
    extract::{FromRef, State},
    http::HeaderMap,
};
use domain::library::{Library, fold};
use events::{AthleteId, ExerciseId, Muscle, WeightUnit};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use web::{Answer, Caller, Cursor, Error, Limit, Query, Routes};

use super::{
    History,
    query::{self, Place, Wanted},
};
use crate::{Context, athlete::custom_exercises, context, days::Edge, represent::Workout};

/// The routes of history.
pub fn routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    Routes::default().get("/v1/history", history).get("/v1/workouts", workouts)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
    exercise: Option<String>,
    muscle: Option<Muscle>,
    from: Option<Edge>,
    to: Option<Edge>,
    unit: Option<WeightUnit>,
    fields: Option<Fields>,
}

/// The caller's workouts, newest first. Under a filter by exercise or muscle, only the matching
/// sets and notes are shown, with the totals of the whole workout.
async fn history(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<HistoryQuery>,
) -> Result<Answer, Error> {
    context.wait::<History>(&headers).await?;
    let (owner, partition) = context::athlete(&caller)?;
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
    let answer = match &query.fields {
        Some(fields) => Answer::ok(&fields.only(&shown)?)?,
        None => Answer::ok(&shown)?,
    };
    let next = page.next.map(|place| Cursor(place).encode());
    Ok(answer.list(shown.len(), next).at(page.position))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkoutsQuery {
    status: Option<Status>,
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
    unit: Option<WeightUnit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Active,
    Completed,
}

/// The caller's workouts by status, newest first: `?status=active` finds what goes on.
async fn workouts(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<WorkoutsQuery>,
) -> Result<Answer, Error> {
    context.wait::<History>(&headers).await?;
    let (owner, partition) = context::athlete(&caller)?;
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
    Ok(Answer::ok(&shown)?.list(shown.len(), next).at(page.position))
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
        library.map(|exercise| ExerciseId::System(exercise.id.clone())).collect();
    let custom = custom_exercises::<History>(context, owner).await?;
    let own = custom.into_iter().filter(|(_, exercise)| {
        muscle.is_none_or(|muscle| exercise.trains(muscle))
            && exercise.known.name.as_deref().is_some_and(named)
    });
    found.extend(own.map(|(id, _)| ExerciseId::Custom(id)));
    Ok(found)
}

/// The fields of a workout that the caller wants to see.
#[derive(Debug)]
struct Fields(HashSet<String>);

impl Fields {
    const KNOWN: [&str; 14] = [
        "id",
        "status",
        "title",
        "notes",
        "visibility",
        "started_at",
        "completed_at",
        "feeling",
        "imported_from",
        "routine",
        "plan",
        "totals",
        "exercises",
        "sets",
    ];

    fn only(&self, workouts: &[Workout]) -> Result<Value, Error> {
        let mut shown = serde_json::to_value(workouts).map_err(Error::internal)?;
        for workout in shown.as_array_mut().into_iter().flatten() {
            if let Value::Object(fields) = workout {
                fields.retain(|name, _| self.0.contains(name));
            }
        }
        Ok(shown)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let names: HashSet<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        match names.iter().find(|name| !Self::KNOWN.contains(&name.as_str())) {
            None => Ok(Self(names)),
            Some(_) => Err(de::Error::custom(format!(
                "must be some of {}, with commas between",
                Self::KNOWN.join(", ")
            ))),
        }
    }
}
