//! How the state of a workout, as commands have it, becomes what answers show.

use domain::{exercises::Exercises, workout};
use events::{ExerciseId, SetValues, WeightUnit, WorkoutId};
use projections::represent::{self, Known, Parts};

/// Whether a set is of an exercise of the athlete's own, which are then needed to show it.
pub(crate) fn is_own(set: &SetValues) -> bool {
    matches!(set.exercise, ExerciseId::Custom(_))
}

/// A workout with all its sets.
pub(crate) fn workout(
    id: WorkoutId,
    workout: workout::Workout,
    own: Option<&Exercises>,
    unit: Option<WeightUnit>,
) -> represent::Workout {
    let sets = workout.sets.into_iter().map(|set| {
        let known = known(&set.values, own);
        (set, known)
    });
    let parts = Parts {
        id,
        status: workout.status,
        details: workout.details,
        completed_at: workout.completed_at,
        feeling: workout.feeling,
        imported_from: workout.imported_from,
        sets: sets.collect(),
    };
    parts.show(unit, |_| true)
}

/// One set.
pub(crate) fn set(set: workout::Set, own: Option<&Exercises>) -> represent::Set {
    let known = known(&set.values, own);
    represent::show_set(set, known.as_ref(), None)
}

fn known(set: &SetValues, own: Option<&Exercises>) -> Option<Known> {
    Known::find(set, |id| {
        let exercise = own?.get(id)?;
        Some(Known { name: exercise.name.clone(), measurement: exercise.traits.kind })
    })
}
