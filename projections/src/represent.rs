//! How workouts and sets look in answers, whichever route gives them.

use domain::{Totals, library::Library, totals, workout};
use events::{
    Feeling, ImportFormat, Measurement, Number, Personal, SetId, SetKind, SetValues, Timestamp,
    Visibility, Weight, WeightUnit, WorkoutDetails, WorkoutId,
};
use rust_decimal::RoundingStrategy;
use schemars::JsonSchema;
use serde::Serialize;

/// A workout in an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Workout {
    pub id: WorkoutId,
    pub status: &'static str,
    pub title: Option<String>,
    pub notes: Option<String>,
    pub visibility: Visibility,
    pub started_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub feeling: Option<Feeling>,
    pub imported_from: Option<ImportFormat>,
    pub totals: Totals,
    pub sets: Vec<Set>,
}

/// A set in an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Set {
    pub id: SetId,
    pub exercise: Exercise,
    pub number: u8,
    pub kind: SetKind,
    pub reps: Option<u16>,
    pub weight: Option<ShownWeight>,
    pub rpe: Option<f64>,
    pub rest_seconds: Option<u32>,
    pub duration_seconds: Option<u32>,
    pub distance_metres: Option<Number>,
    pub superset_id: Option<u16>,
    pub notes: Option<String>,
    pub performed_at: Timestamp,
}

/// Which exercise a set is of.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Exercise {
    /// Its id.
    pub id: String,
    /// Its name as it is now; `null` when it was erased.
    pub name: Option<String>,
}

/// A weight in an answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownWeight {
    /// As the athlete typed it, or, with `unit=`, converted and rounded to two decimals.
    pub value: Number,
    /// The unit of the value.
    pub unit: WeightUnit,
    /// The exact weight in kg.
    pub kg: Number,
}

/// What is known of an exercise when a workout is shown.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it is called.
    pub name: Option<String>,
    /// How its sets are measured.
    pub measurement: Measurement,
}

impl Known {
    /// An exercise of the library, or one that `custom` knows.
    pub fn find(set: &SetValues, custom: impl FnOnce(uuid::Uuid) -> Option<Self>) -> Option<Self> {
        match &set.exercise {
            events::ExerciseId::Custom(id) => custom(*id),
            system => Library::system().get(system).map(|exercise| Self {
                name: Some(exercise.name.clone()),
                measurement: exercise.kind,
            }),
        }
    }
}

/// The parts of a workout before they are shown; personal fields open.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Parts {
    pub id: WorkoutId,
    pub status: workout::Status,
    pub details: WorkoutDetails,
    pub completed_at: Option<Timestamp>,
    pub feeling: Option<Personal<Feeling>>,
    pub imported_from: Option<ImportFormat>,
    pub sets: Vec<(workout::Set, Option<Known>)>,
}

impl Parts {
    /// Shows the workout with the totals of all its sets, and of the sets those that `shown`
    /// takes.
    pub fn show(self, unit: Option<WeightUnit>, shown: impl Fn(&SetValues) -> bool) -> Workout {
        let counted = self
            .sets
            .iter()
            .filter_map(|(set, known)| Some((&set.values, known.as_ref()?.measurement)));
        let totals = totals(counted, None, self.details.started_at, self.completed_at);
        let sets = self.sets.into_iter().filter(|(set, _)| shown(&set.values));
        Workout {
            id: self.id,
            status: status(self.status),
            title: clear(self.details.title),
            notes: clear(self.details.notes),
            visibility: self.details.visibility,
            started_at: self.details.started_at,
            completed_at: self.completed_at,
            feeling: clear(self.feeling),
            imported_from: self.imported_from,
            totals,
            sets: sets.map(|(set, known)| show_set(set, known.as_ref(), unit)).collect(),
        }
    }
}

/// Shows one set.
pub fn show_set(set: workout::Set, known: Option<&Known>, unit: Option<WeightUnit>) -> Set {
    let values = set.values;
    Set {
        id: set.id,
        exercise: Exercise {
            id: values.exercise.to_string(),
            name: known.and_then(|known| known.name.clone()),
        },
        number: values.number.get(),
        kind: values.kind,
        reps: values.reps.map(|reps| reps.get()),
        weight: values.weight.map(|weight| show_weight(weight, unit)),
        rpe: values.rpe.map(|rpe| rpe.get()),
        rest_seconds: values.rest_seconds.map(|seconds| seconds.get()),
        duration_seconds: values.duration_seconds.map(|seconds| seconds.get()),
        distance_metres: values.distance_metres.map(|metres| Number(metres.get())),
        superset_id: values.superset_id.map(|id| id.get()),
        notes: clear(values.notes),
        performed_at: values.performed_at,
    }
}

fn show_weight(weight: Weight, unit: Option<WeightUnit>) -> ShownWeight {
    let kg = Number(weight.kg());
    match unit {
        Some(unit) if unit != weight.unit() => {
            let value = unit.from_kg(weight.kg());
            let value = value.round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven);
            ShownWeight { value: Number(value), unit, kg }
        }
        _ => ShownWeight { value: Number(weight.value()), unit: weight.unit(), kg },
    }
}

/// The word for where a workout is in its life.
pub fn status(status: workout::Status) -> &'static str {
    match status {
        workout::Status::Active => "active",
        workout::Status::Completed => "completed",
        workout::Status::Discarded => "discarded",
    }
}

fn clear<T>(field: Option<Personal<T>>) -> Option<T> {
    match field {
        Some(Personal::Clear(value)) => Some(value),
        _ => None,
    }
}
