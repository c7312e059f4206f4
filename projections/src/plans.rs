//! How plans look in answers: those of routines, and those that workouts follow.

use events::{ExerciseId, Number, PlannedExercise, PlannedSet, RepRange, SetKind, WeightUnit};
use schemars::JsonSchema;
use serde::Serialize;

use crate::represent::{Exercise, Known, ShownWeight, clear, show_weight};

/// What is planned of an exercise, in an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Planned {
    pub exercise: Exercise,
    pub sets: Vec<Set>,
    pub rest_seconds: u32,
    pub superset_id: Option<u16>,
    pub notes: Option<String>,
}

/// What a set is to be, in an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlannedSet")]
#[expect(missing_docs, reason = "as in the events")]
pub struct Set {
    pub kind: SetKind,
    pub reps: Option<RepRange>,
    pub weight: Option<ShownWeight>,
    pub duration_seconds: Option<u32>,
    pub distance_metres: Option<Number>,
    pub rpe: Option<f64>,
}

/// Whether a plan has any exercise of the athlete's own, which are then needed to show it.
pub fn has_own(plan: &[PlannedExercise]) -> bool {
    plan.iter().any(|planned| matches!(planned.exercise, ExerciseId::Custom(_)))
}

/// Shows what is planned of an exercise; personal fields open.
pub fn show(planned: PlannedExercise, known: Option<Known>, unit: Option<WeightUnit>) -> Planned {
    Planned {
        exercise: Exercise {
            id: planned.exercise.to_string(),
            name: known.and_then(|known| known.name),
        },
        sets: planned.sets.into_iter().map(|set| show_set(set, unit)).collect(),
        rest_seconds: planned.rest_seconds.get(),
        superset_id: planned.superset_id.map(|id| id.get()),
        notes: clear(planned.notes),
    }
}

fn show_set(set: PlannedSet, unit: Option<WeightUnit>) -> Set {
    Set {
        kind: set.kind,
        reps: set.reps,
        weight: set.weight.map(|weight| show_weight(weight, unit)),
        duration_seconds: set.duration_seconds.map(|seconds| seconds.get()),
        distance_metres: set.distance_metres.map(|metres| Number(metres.get())),
        rpe: set.rpe.map(|rpe| rpe.get()),
    }
}
