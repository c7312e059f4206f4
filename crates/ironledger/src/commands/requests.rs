//! What requests about workouts and sets say, and what the rules make of it.

use std::collections::BTreeMap;

use domain::{Patch, Rejection, usual::Usual, workout};
use events::{
    CustomMetric, Energy, Event, ExerciseId, Feeling, FormScore, ImportFormat, Metres, MetricKind,
    Muscle, Number, Rating, Reps, RoutineId, Rpe, Seconds, SetId, SetKind, SetNumber, Side,
    Soreness, SupersetId, Text, Timestamp, Visibility, Weight, WeightUnit, WorkoutId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exercises::Measurements;

type Decided = Result<Vec<Event>, Rejection>;

/// The body of `POST /v1/workouts`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartWorkout {
    /// A UUID of version 7 that makes the command safe to send twice.
    pub(crate) id: Option<WorkoutId>,
    /// When it began; now by default.
    pub(crate) started_at: Option<Timestamp>,
    /// A title.
    pub(crate) title: Option<Text<100>>,
    /// Notes.
    pub(crate) notes: Option<Text<1000>>,
    /// Who may see it; followers by default.
    pub(crate) visibility: Option<Visibility>,
    /// One of the athlete's routines, which it follows: its plan stays as it is now, and its name is the
    /// title unless another is given.
    pub(crate) routine: Option<RoutineId>,
}

/// The body of `PATCH /v1/workouts/{id}`: absent fields stay, `null` empties what may be empty.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ChangeWorkout {
    /// A new start. Alone, for a completed workout, it moves end and sets along.
    #[schemars(with = "Timestamp")]
    pub(crate) started_at: Patch<Timestamp>,
    /// A new end, for a completed workout.
    #[schemars(with = "Timestamp")]
    pub(crate) completed_at: Patch<Timestamp>,
    /// A title.
    pub(crate) title: Patch<Text<100>>,
    /// Notes.
    pub(crate) notes: Patch<Text<1000>>,
    /// Who may see it.
    #[schemars(with = "Visibility")]
    pub(crate) visibility: Patch<Visibility>,
    /// How it felt, for a completed workout.
    pub(crate) feeling: Patch<FeelingBody>,
}

/// The body of `POST /v1/workouts/{id}/complete`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteWorkout {
    /// When it ended; now by default.
    pub(crate) completed_at: Option<Timestamp>,
    /// Stars, 1 to 5.
    pub(crate) rating: Option<Rating>,
    /// Energy, 1 to 10.
    pub(crate) energy: Option<Energy>,
    /// Soreness of muscles, 0 to 10 each.
    #[serde(default)]
    pub(crate) soreness: BTreeMap<Muscle, Soreness>,
}

/// How a workout felt, as a request says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with rating, energy and soreness")]
#[schemars(rename = "FeelingInput")]
pub(crate) struct FeelingBody {
    /// Stars, 1 to 5.
    rating: Option<Rating>,
    /// Energy, 1 to 10.
    energy: Option<Energy>,
    /// Soreness of muscles, 0 to 10 each.
    #[serde(default)]
    soreness: BTreeMap<Muscle, Soreness>,
}

/// The body of `POST /v1/workouts/{id}/sets`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSet {
    /// A UUID of version 7 that makes the command safe to send twice.
    pub(crate) id: Option<SetId>,
    /// The slug of a library exercise or the id of one's own.
    pub(crate) exercise: ExerciseId,
    /// The athlete's own count within the exercise.
    pub(crate) number: SetNumber,
    /// What the set was for; normal by default.
    #[serde(default)]
    pub(crate) kind: SetKind,
    /// The side of the body that worked; both by default.
    #[serde(default, skip_serializing_if = "Side::is_both")]
    pub(crate) side: Side,
    /// Repetitions.
    pub(crate) reps: Option<Reps>,
    /// Weight lifted, added or assisting.
    pub(crate) weight: Option<TypedWeight>,
    /// Rating of perceived exertion.
    pub(crate) rpe: Option<Rpe>,
    /// Rest after the set, in seconds.
    pub(crate) rest_seconds: Option<Seconds>,
    /// How long it took, in seconds.
    pub(crate) duration_seconds: Option<Seconds>,
    /// How far, in metres.
    pub(crate) distance_metres: Option<TypedMetres>,
    /// What else was counted, such as floors climbed.
    pub(crate) custom_metric: Option<TypedMetric>,
    /// Which superset of the workout it belongs to.
    pub(crate) superset_id: Option<SupersetId>,
    /// Notes.
    pub(crate) notes: Option<Text<500>>,
    /// When it was performed; now by default, or in a completed workout its end.
    pub(crate) performed_at: Option<Timestamp>,
}

/// The body of `PATCH /v1/workouts/{id}/sets/{set}`: absent fields stay, `null` empties what may be
/// empty.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CorrectSet {
    /// The slug of a library exercise or the id of one's own.
    #[schemars(with = "ExerciseId")]
    pub(crate) exercise: Patch<ExerciseId>,
    /// The athlete's own count within the exercise.
    #[schemars(with = "SetNumber")]
    pub(crate) number: Patch<SetNumber>,
    /// What the set was for.
    #[schemars(with = "SetKind")]
    pub(crate) kind: Patch<SetKind>,
    /// The side of the body that worked.
    #[schemars(with = "Side")]
    pub(crate) side: Patch<Side>,
    /// Repetitions.
    pub(crate) reps: Patch<Reps>,
    /// Weight lifted, added or assisting.
    pub(crate) weight: Patch<TypedWeight>,
    /// Rating of perceived exertion.
    pub(crate) rpe: Patch<Rpe>,
    /// Rest after the set, in seconds.
    pub(crate) rest_seconds: Patch<Seconds>,
    /// How long it took, in seconds.
    pub(crate) duration_seconds: Patch<Seconds>,
    /// How far, in metres.
    pub(crate) distance_metres: Patch<TypedMetres>,
    /// What else was counted, such as floors climbed.
    pub(crate) custom_metric: Patch<TypedMetric>,
    /// Which superset of the workout it belongs to.
    pub(crate) superset_id: Patch<SupersetId>,
    /// Notes.
    pub(crate) notes: Patch<Text<500>>,
    /// When it was performed.
    #[schemars(with = "Timestamp")]
    pub(crate) performed_at: Patch<Timestamp>,
}

/// The body of `PUT /v1/workouts/{id}/exercises/{exercise}`: what is absent or `null` is emptied.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoteExercise {
    /// Notes.
    pub(crate) notes: Option<Text<1000>>,
    /// How well it was executed, in points of 100.
    pub(crate) form_score: Option<FormScore>,
    /// Notes on the execution.
    pub(crate) form_notes: Option<Text<1000>>,
}

/// A weight as a request says it: a number and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "WeightBody")]
#[schemars(with = "WeightBody")]
pub(crate) struct TypedWeight(pub(crate) Weight);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with value and unit")]
#[schemars(extend(
    "if" = { "properties": { "unit": { "const": "kg" } } },
    "then" = { "properties": { "value": { "maximum": 1000 } } },
))]
struct WeightBody {
    /// 0 to 1000 kg (2204.622621 lb), with at most six decimals.
    #[schemars(extend("minimum" = 0, "maximum" = 2204.622621, "multipleOf" = 0.000001))]
    value: Number,
    /// Kilograms or pounds.
    unit: WeightUnit,
}

impl TryFrom<WeightBody> for TypedWeight {
    type Error = events::OutOfRange;

    fn try_from(body: WeightBody) -> Result<Self, events::OutOfRange> {
        Weight::new(body.value.0, body.unit).map(Self)
    }
}

/// What the document says of a weight that is somebody's own.
#[derive(JsonSchema)]
#[schemars(rename = "TypedBodyweight", deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "unit": { "const": "kg" } } },
    "then" = { "properties": { "value": { "maximum": 500 } } },
    "else" = { "properties": { "value": { "minimum": 22.046227 } } },
))]
#[expect(dead_code, reason = "it is read as any weight")]
pub(crate) struct BodyweightBody {
    /// 10 to 500 kg (22.046227 to 1102.31131 lb), with at most six decimals.
    #[schemars(extend("minimum" = 10, "maximum" = 1102.31131, "multipleOf" = 0.000001))]
    value: Number,
    /// Kilograms or pounds.
    unit: WeightUnit,
}

/// A distance as a request says it: a number of metres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Number")]
#[schemars(with = "Number", extend("minimum" = 0, "maximum" = 1000000, "multipleOf" = 0.001))]
pub(crate) struct TypedMetres(pub(crate) Metres);

impl TryFrom<Number> for TypedMetres {
    type Error = events::OutOfRange;

    fn try_from(number: Number) -> Result<Self, events::OutOfRange> {
        Metres::new(number.0).map(Self)
    }
}

/// A custom metric as a request says it: what was counted, and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "MetricBody")]
#[schemars(with = "MetricBody")]
pub(crate) struct TypedMetric(pub(crate) CustomMetric);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with kind and value")]
struct MetricBody {
    /// Floors or steps.
    kind: MetricKind,
    /// 0 to 1 000 000, with at most three decimals.
    #[schemars(extend("minimum" = 0, "maximum" = 1000000, "multipleOf" = 0.001))]
    value: Number,
}

impl TryFrom<MetricBody> for TypedMetric {
    type Error = events::OutOfRange;

    fn try_from(body: MetricBody) -> Result<Self, events::OutOfRange> {
        CustomMetric::new(body.kind, body.value.0).map(Self)
    }
}

impl StartWorkout {
    pub(super) fn decide(
        &self,
        imported_from: Option<ImportFormat>,
        follows: workout::Follows,
        now: Timestamp,
    ) -> Decided {
        let start = workout::Start {
            started_at: self.started_at,
            title: self.title.clone().map(Text::into_string),
            notes: self.notes.clone().map(Text::into_string),
            visibility: self.visibility.unwrap_or_default(),
            imported_from,
            follows,
        };
        workout::start(start, now)
    }
}

impl ChangeWorkout {
    pub(super) fn decide(&self, workout: &workout::Workout, now: Timestamp) -> Decided {
        let command = self.clone();
        let change = workout::Change {
            started_at: command.started_at,
            completed_at: command.completed_at,
            title: command.title.map(Text::into_string),
            notes: command.notes.map(Text::into_string),
            visibility: command.visibility,
            feeling: command.feeling.map(|feeling| Feeling {
                rating: feeling.rating,
                energy: feeling.energy,
                soreness: feeling.soreness,
            }),
        };
        workout::change(workout, change, now)
    }
}

impl CompleteWorkout {
    pub(super) fn decide(&self, workout: &workout::Workout, now: Timestamp) -> Decided {
        let feeling =
            Feeling { rating: self.rating, energy: self.energy, soreness: self.soreness.clone() };
        let feeling = (feeling != Feeling::default()).then_some(feeling);
        workout::complete(workout, self.completed_at, feeling, now)
    }
}

impl LogSet {
    pub(super) fn decide(
        &self,
        workout: &workout::Workout,
        id: SetId,
        measurements: &Measurements,
        usual: Usual,
        now: Timestamp,
    ) -> Decided {
        let command = self.clone();
        let measurement = measurements.of(&command.exercise);
        let set = workout::NewSet {
            exercise: command.exercise,
            number: command.number,
            kind: command.kind,
            side: command.side,
            reps: command.reps,
            weight: command.weight.map(|weight| weight.0),
            rpe: command.rpe,
            rest_seconds: command.rest_seconds,
            duration_seconds: command.duration_seconds,
            distance_metres: command.distance_metres.map(|metres| metres.0),
            custom_metric: command.custom_metric.map(|metric| metric.0),
            superset_id: command.superset_id,
            notes: command.notes.map(Text::into_string),
            performed_at: command.performed_at,
        };
        workout::log_set(workout, id, set, measurement, usual, now)
    }
}

impl NoteExercise {
    pub(super) fn decide(
        &self,
        workout: &workout::Workout,
        exercise: &ExerciseId,
        measurements: &Measurements,
    ) -> Decided {
        let command = self.clone();
        let note = workout::Note {
            exercise: exercise.clone(),
            notes: command.notes.map(Text::into_string),
            form_score: command.form_score,
            form_notes: command.form_notes.map(Text::into_string),
        };
        workout::note_exercise(workout, note, measurements.of(exercise))
    }
}

impl CorrectSet {
    pub(super) fn decide(
        &self,
        workout: &workout::Workout,
        id: SetId,
        measurements: &Measurements,
        usual: Usual,
        now: Timestamp,
    ) -> Decided {
        let command = self.clone();
        let exercise = self.exercise_of(workout, id);
        let measurement = exercise.and_then(|exercise| measurements.of(&exercise));
        let correction = workout::Correction {
            exercise: command.exercise,
            number: command.number,
            kind: command.kind,
            side: command.side,
            reps: command.reps,
            weight: command.weight.map(|weight| weight.0),
            rpe: command.rpe,
            rest_seconds: command.rest_seconds,
            duration_seconds: command.duration_seconds,
            distance_metres: command.distance_metres.map(|metres| metres.0),
            custom_metric: command.custom_metric.map(|metric| metric.0),
            superset_id: command.superset_id,
            notes: command.notes.map(Text::into_string),
            performed_at: command.performed_at,
        };
        workout::correct_set(workout, id, correction, measurement, usual, now)
    }

    /// The exercise that the set has once it is corrected.
    pub(super) fn exercise_of(&self, workout: &workout::Workout, id: SetId) -> Option<ExerciseId> {
        match &self.exercise {
            Patch::Set(exercise) => Some(exercise.clone()),
            Patch::Keep | Patch::Clear => workout.set(id).map(|set| set.values.exercise.clone()),
        }
    }
}
