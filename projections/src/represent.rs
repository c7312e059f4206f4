//! How workouts and sets look in answers, whichever route gives them.

use domain::{Totals, body::Bodyweights, library::Library, records::Unit, totals, workout};
use events::{
    CustomMetric, ExerciseId, ExerciseNoted, Feeling, FormScore, ImportFormat, Measurement,
    MetricKind, Number, Personal, PlannedExercise, RoutineId, SetId, SetKind, SetValues, Side,
    TimeZone, Timestamp, Visibility, Weight, WeightUnit, WorkoutDetails, WorkoutId,
};
use rust_decimal::{Decimal, RoundingStrategy};
use schemars::JsonSchema;
use serde::Serialize;

use crate::plans::{self, Planned};

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
    /// It was left open for a day, and closed at the time of its last set.
    pub abandoned: bool,
    pub feeling: Option<Feeling>,
    pub imported_from: Option<ImportFormat>,
    /// The routine that it follows, which may have changed since.
    pub routine: Option<RoutineId>,
    /// What was planned, as the routine said it then.
    pub plan: Vec<Planned>,
    pub totals: Totals,
    pub exercises: Vec<Noted>,
    pub sets: Vec<Set>,
}

/// What is noted of an exercise of a workout, in an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "as in the events")]
#[schemars(rename = "ExerciseNotes")]
pub struct Noted {
    pub exercise: Exercise,
    pub notes: Option<String>,
    pub form_score: Option<FormScore>,
    pub form_notes: Option<String>,
}

/// A set in an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Set {
    pub id: SetId,
    pub exercise: Exercise,
    pub number: u8,
    pub kind: SetKind,
    pub side: Side,
    pub reps: Option<u16>,
    pub weight: Option<ShownWeight>,
    pub rpe: Option<f64>,
    pub rest_seconds: Option<u32>,
    pub duration_seconds: Option<u32>,
    pub distance_metres: Option<Number>,
    pub custom_metric: Option<ShownMetric>,
    pub superset_id: Option<u16>,
    pub notes: Option<String>,
    pub performed_at: Timestamp,
    /// Ten times or more what was known of the athlete when it was said, and not confirmed: ask them.
    pub unusual: bool,
}

/// Which exercise something is of.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Exercise {
    /// Its id.
    pub id: String,
    /// Its name as it is now; `null` when it was erased.
    pub name: Option<String>,
}

/// A weight in an answer.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct ShownWeight {
    /// As the athlete typed it, or, with `unit=`, converted and rounded to two decimals.
    pub value: Number,
    /// The unit of the value.
    pub unit: WeightUnit,
    /// The exact weight in kg.
    pub kg: Number,
}

/// A custom metric in an answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownMetric {
    /// What was counted.
    pub kind: MetricKind,
    /// How many.
    pub value: Number,
}

impl From<CustomMetric> for ShownMetric {
    fn from(metric: CustomMetric) -> Self {
        Self { kind: metric.kind(), value: Number(metric.value()) }
    }
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
    pub fn find(
        exercise: &ExerciseId,
        custom: impl FnOnce(uuid::Uuid) -> Option<Self>,
    ) -> Option<Self> {
        match exercise {
            ExerciseId::Custom(id) => custom(*id),
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
    pub abandoned: bool,
    pub feeling: Option<Personal<Feeling>>,
    pub imported_from: Option<ImportFormat>,
    pub routine: Option<RoutineId>,
    pub plan: Vec<(PlannedExercise, Option<Known>)>,
    pub sets: Vec<(workout::Set, Option<Known>)>,
    pub noted: Vec<(ExerciseNoted, Option<Known>)>,
    /// What the athlete weighed; may be left out where no set [weighs](Self::weighs).
    pub bodyweights: Bodyweights,
    /// Where the athlete's days begin and end.
    pub zone: TimeZone,
}

impl Parts {
    /// Whether the bodyweight of the day is part of what was lifted in some set.
    pub fn weighs(&self) -> bool {
        let known = self.sets.iter().filter_map(|(_, known)| known.as_ref());
        known.into_iter().any(|known| known.measurement.has_bodyweight())
    }

    /// Shows the workout with the totals of all its sets, and of the plan, sets and notes those of the
    /// exercises that `shown` takes. Notes come in the order of their exercises' first sets, those
    /// without sets at the end.
    pub fn show(self, unit: Option<WeightUnit>, shown: impl Fn(&ExerciseId) -> bool) -> Workout {
        let known = self.sets.iter();
        let known =
            known.filter_map(|(set, known)| Some((&set.values, known.as_ref()?.measurement)));
        let times = (self.details.started_at, self.completed_at);
        let totals = totals_of(known, &self.bodyweights, self.zone, times);
        let mut noted = self.noted;
        noted.retain(|(noted, _)| !noted.is_empty() && shown(&noted.exercise));
        noted.sort_by_cached_key(|(noted, _)| {
            let of_it = |(set, _): &(workout::Set, _)| set.values.exercise == noted.exercise;
            (self.sets.iter().position(of_it).unwrap_or(usize::MAX), noted.exercise.clone())
        });
        let sets = self.sets.into_iter().filter(|(set, _)| shown(&set.values.exercise));
        let plan = self.plan.into_iter().filter(|(planned, _)| shown(&planned.exercise));
        Workout {
            id: self.id,
            status: status(self.status),
            title: clear(self.details.title),
            notes: clear(self.details.notes),
            visibility: self.details.visibility,
            started_at: self.details.started_at,
            completed_at: self.completed_at,
            abandoned: self.abandoned,
            feeling: clear(self.feeling),
            imported_from: self.imported_from,
            routine: self.routine,
            plan: plan.map(|(planned, known)| plans::show(planned, known, unit)).collect(),
            totals,
            exercises: noted.into_iter().map(|(noted, known)| show_noted(noted, known)).collect(),
            sets: sets.map(|(set, known)| show_set(set, known.as_ref(), unit)).collect(),
        }
    }
}

/// What sets add up to, each with how it is measured, of a workout that went on from one time to the
/// other.
pub fn totals_of<'a>(
    sets: impl Iterator<Item = (&'a SetValues, Measurement)>,
    bodyweights: &Bodyweights,
    zone: TimeZone,
    (started_at, completed_at): (Timestamp, Option<Timestamp>),
) -> Totals {
    let counted = sets.map(|(set, measurement)| {
        let on_its_day = || bodyweights.on(set.performed_at, zone);
        let bodyweight = if measurement.has_bodyweight() { on_its_day() } else { None };
        (set, measurement, bodyweight)
    });
    totals(counted, started_at, completed_at)
}

fn show_noted(noted: ExerciseNoted, known: Option<Known>) -> Noted {
    Noted {
        exercise: Exercise {
            id: noted.exercise.to_string(),
            name: known.and_then(|known| known.name),
        },
        notes: clear(noted.notes),
        form_score: noted.form_score,
        form_notes: clear(noted.form_notes),
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
        side: values.side,
        reps: values.reps.map(|reps| reps.get()),
        weight: values.weight.map(|weight| show_weight(weight, unit)),
        rpe: values.rpe.map(|rpe| rpe.get()),
        rest_seconds: values.rest_seconds.map(|seconds| seconds.get()),
        duration_seconds: values.duration_seconds.map(|seconds| seconds.get()),
        distance_metres: values.distance_metres.map(|metres| Number(metres.get())),
        custom_metric: values.custom_metric.map(ShownMetric::from),
        superset_id: values.superset_id.map(|id| id.get()),
        notes: clear(values.notes),
        performed_at: values.performed_at,
        unusual: set.unusual,
    }
}

/// A weight, as typed or in the unit that is wanted.
pub fn show_weight(weight: Weight, unit: Option<WeightUnit>) -> ShownWeight {
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

/// The figure of a record with its unit: in kg exact, or, where a unit is wanted, rounded to two
/// decimals.
pub fn show_figure(
    unit: Unit,
    figure: Decimal,
    wanted: Option<WeightUnit>,
) -> (Number, &'static str) {
    let rounded = |figure: Decimal| {
        let rounded = figure.round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven);
        Number(rounded.normalize())
    };
    match (unit, wanted) {
        (Unit::Kg, Some(WeightUnit::Lb)) => (rounded(WeightUnit::Lb.from_kg(figure)), "lb"),
        (Unit::Kg, Some(WeightUnit::Kg)) => (rounded(figure), "kg"),
        (Unit::Kg, None) => (Number(figure.normalize()), "kg"),
        (Unit::Reps, _) => (Number(figure), "reps"),
        (Unit::Seconds, _) => (Number(figure), "s"),
        (Unit::Metres, _) => (Number(figure.normalize()), "m"),
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

pub(crate) fn clear<T>(field: Option<Personal<T>>) -> Option<T> {
    match field {
        Some(Personal::Clear(value)) => Some(value),
        _ => None,
    }
}
