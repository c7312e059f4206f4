//! How the state of a workout, as commands have it, becomes what answers show.

use domain::{Totals, body::Bodyweights, exercises::Exercises, library::Library, workout};
use events::{ExerciseId, Measurement, SetValues, TimeZone, WorkoutId};
use projections::{
    plans,
    represent::{self, Known, Parts},
};

/// Whether an exercise is one of the athlete's own, which are then needed to show it.
fn is_own(exercise: &ExerciseId) -> bool {
    matches!(exercise, ExerciseId::Custom(_))
}

/// Whether a workout has anything of an exercise of the athlete's own.
pub(crate) fn has_own(workout: &workout::Workout) -> bool {
    let exercises = workout.sets.iter().map(|set| &set.values.exercise);
    exercises.chain(workout.noted.keys()).any(is_own) || plans::has_own(&workout.plan)
}

/// Whether the bodyweight of the day is part of what was lifted in some set.
pub(crate) fn weighs(workout: &workout::Workout, own: Option<&Exercises>) -> bool {
    measured(workout, own).any(|(_, measurement)| measurement.has_bodyweight())
}

/// What the sets of a workout add up to.
pub(crate) fn totals(
    workout: &workout::Workout,
    own: Option<&Exercises>,
    (bodyweights, zone): &(Bodyweights, TimeZone),
) -> Totals {
    let times = (workout.details.started_at, workout.completed_at);
    represent::totals_of(measured(workout, own), bodyweights, *zone, times)
}

/// The sets of exercises that there are, and how they are measured.
fn measured<'a>(
    workout: &'a workout::Workout,
    own: Option<&'a Exercises>,
) -> impl Iterator<Item = (&'a SetValues, Measurement)> {
    // Sets of one exercise mostly follow each other.
    let mut latest: Option<(&ExerciseId, Option<Measurement>)> = None;
    workout.sets.iter().filter_map(move |set| {
        let exercise = &set.values.exercise;
        let known = match latest {
            Some((latest, known)) if latest == exercise => known,
            _ => measurement(exercise, own),
        };
        latest = Some((exercise, known));
        Some((&set.values, known?))
    })
}

/// The parts of a workout with all its sets.
pub(crate) fn parts(
    id: WorkoutId,
    workout: workout::Workout,
    own: Option<&Exercises>,
    (bodyweights, zone): (Bodyweights, TimeZone),
) -> Parts {
    let sets = workout.sets.into_iter().map(|set| {
        let known = known(&set.values.exercise, own);
        (set, known)
    });
    let noted = workout.noted.into_values().map(|noted| {
        let known = known(&noted.exercise, own);
        (noted, known)
    });
    let plan = workout.plan.into_iter().map(|planned| {
        let known = known(&planned.exercise, own);
        (planned, known)
    });
    Parts {
        id,
        status: workout.status,
        details: workout.details,
        completed_at: workout.completed_at,
        abandoned: workout.abandoned,
        feeling: workout.feeling,
        imported_from: workout.imported_from,
        routine: workout.routine.map(|routine| routine.id),
        plan: plan.collect(),
        sets: sets.collect(),
        noted: noted.collect(),
        bodyweights,
        zone,
    }
}

/// One set.
pub(crate) fn set(set: workout::Set, own: Option<&Exercises>) -> represent::Set {
    let known = known(&set.values.exercise, own);
    represent::show_set(set, known.as_ref(), None)
}

/// What is known of an exercise: of the library, or of its owner's.
pub(crate) fn known(exercise: &ExerciseId, own: Option<&Exercises>) -> Option<Known> {
    Known::find(exercise, |id| {
        let exercise = own?.get(id)?;
        Some(Known { name: exercise.name.clone(), measurement: exercise.traits.kind })
    })
}

/// How sets of an exercise are measured; `None` when there is no such exercise.
pub(crate) fn measurement(exercise: &ExerciseId, own: Option<&Exercises>) -> Option<Measurement> {
    match exercise {
        ExerciseId::Custom(id) => Some(own?.get(*id)?.traits.kind),
        system => Some(Library::system().get(system)?.kind),
    }
}
