//! What is planned: the state and decisions of `routine-…` streams.

use std::collections::BTreeSet;

use events::{
    CopiedFrom, Event, ExerciseId, FolderId, Measurement, Personal, PlannedExercise, PlannedSet,
    RoutineChanged, RoutineCreated, RoutineDeleted, RoutineDetails, Weekday,
};

use crate::{Patch, Rejection, folders::Folders, rejection::Problems, workout::MAX_SETS};

/// Most routines of an athlete.
pub const MAX: usize = 200;

/// Most exercises of a routine.
const MAX_EXERCISES: usize = 50;

/// Most sets of an exercise of a routine.
const MAX_SETS_OF_EXERCISE: usize = 30;

/// Who has more wrong than this hears of the rest later.
const MOST_TOLD: usize = 100;

/// A routine as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routine {
    /// What it says.
    pub details: RoutineDetails,
    /// Whose routine it was copied from.
    pub copied_from: Option<Personal<CopiedFrom>>,
    /// Whether it was thrown away, and is not there any more.
    pub is_deleted: bool,
}

impl Routine {
    /// Takes in what happened; the first event makes the routine.
    pub fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        match (state, event) {
            (None, Event::RoutineCreated(created)) => Some(Self {
                details: created.routine.clone(),
                copied_from: created.copied_from.clone(),
                is_deleted: false,
            }),
            (Some(routine), Event::RoutineChanged(changed)) => {
                Some(Self { details: changed.routine.clone(), ..routine })
            }
            (Some(routine), Event::RoutineDeleted(_)) => Some(Self { is_deleted: true, ..routine }),
            (state, _) => state,
        }
    }

    /// The routine, unless it was thrown away.
    pub fn there(&self) -> Option<&Self> {
        Some(self).filter(|routine| !routine.is_deleted)
    }

    /// Whether others may see it, as far as the routine itself goes.
    pub fn is_public(&self) -> bool {
        !self.is_deleted && self.details.public && self.details.name.clear().is_some()
    }
}

/// What of the athlete's a plan speaks of.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// How sets of an exercise are measured; `None` where the athlete has no such exercise.
    pub measurement: &'a dyn Fn(&ExerciseId) -> Option<Measurement>,
    /// The athlete's folders.
    pub folders: &'a Folders,
}

/// What a new routine says.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Draft {
    pub name: String,
    pub notes: Option<String>,
    pub folder: Option<FolderId>,
    pub exercises: Vec<PlannedExercise>,
    pub schedule: BTreeSet<Weekday>,
    pub public: bool,
}

/// Decides on making a routine, for an athlete who has so many already.
pub fn create(draft: Draft, around: Around<'_>, others: usize) -> Result<Vec<Event>, Rejection> {
    not_too_many(others)?;
    let mut problems = Problems::default();
    check_folder(draft.folder, around, &mut problems);
    check(&draft.exercises, around, &mut problems);
    problems.into_result()?;
    let routine = RoutineDetails {
        name: Personal::Clear(draft.name),
        notes: draft.notes.map(Personal::Clear),
        folder: draft.folder,
        exercises: draft.exercises,
        schedule: draft.schedule,
        public: draft.public,
    };
    Ok(vec![RoutineCreated { routine, copied_from: None }.into()])
}

/// What to change of a routine.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Change {
    pub name: Patch<String>,
    pub notes: Patch<String>,
    pub folder: Patch<FolderId>,
    pub exercises: Patch<Vec<PlannedExercise>>,
    pub schedule: Patch<BTreeSet<Weekday>>,
    pub public: Patch<bool>,
}

/// Decides on changing a routine; no events when it says so already.
pub fn change(
    routine: &Routine,
    change: Change,
    around: Around<'_>,
) -> Result<Vec<Event>, Rejection> {
    let routine = routine.there().ok_or(Rejection::NotFound("routine"))?;
    let mut problems = Problems::default();
    let mut next = routine.details.clone();
    if let Patch::Set(folder) = change.folder {
        check_folder(Some(folder), around, &mut problems);
    }
    if let Patch::Set(exercises) = &change.exercises {
        check(exercises, around, &mut problems);
    }
    change.name.map(Personal::Clear).apply_required(&mut next.name, "name", &mut problems);
    change.notes.map(Personal::Clear).apply(&mut next.notes);
    change.folder.apply(&mut next.folder);
    change.exercises.apply_or_default(&mut next.exercises);
    change.schedule.apply_or_default(&mut next.schedule);
    change.public.apply_required(&mut next.public, "public", &mut problems);
    problems.into_result()?;
    if next == routine.details {
        return Ok(Vec::new());
    }
    Ok(vec![RoutineChanged { routine: next }.into()])
}

/// Decides on throwing a routine away; no events when it is gone already.
pub fn delete(routine: &Routine) -> Vec<Event> {
    if routine.is_deleted { Vec::new() } else { vec![RoutineDeleted {}.into()] }
}

/// Decides on copying a routine that the athlete sees: the plan alone, in which exercises of its
/// owner's own are replaced by those that `own` says. The copier has so many routines already.
pub fn copy(
    from: CopiedFrom,
    source: &RoutineDetails,
    own: impl Fn(&ExerciseId) -> ExerciseId,
    others: usize,
) -> Result<Vec<Event>, Rejection> {
    not_too_many(others)?;
    let mut routine = source.clone();
    for planned in &mut routine.exercises {
        planned.exercise = own(&planned.exercise);
    }
    routine.folder = None;
    routine.schedule = BTreeSet::new();
    routine.public = false;
    let copied_from = Some(Personal::Clear(from));
    Ok(vec![RoutineCreated { routine, copied_from }.into()])
}

fn not_too_many(others: usize) -> Result<(), Rejection> {
    if others >= MAX {
        let message = "an athlete has at most 200 routines";
        return Err(Rejection::Conflict { code: "TOO_MANY_ROUTINES", message });
    }
    Ok(())
}

fn check_folder(folder: Option<FolderId>, around: Around<'_>, problems: &mut Problems) {
    let unknown = folder.is_some_and(|folder| around.folders.get(folder).is_none());
    problems.add_if(unknown, "folder", "must be one of your folders");
}

/// What must hold of a plan.
fn check(exercises: &[PlannedExercise], around: Around<'_>, problems: &mut Problems) {
    let too_many = exercises.len() > MAX_EXERCISES;
    problems.add_if(too_many, "exercises", "must have at most 50 entries");
    let sets: usize = exercises.iter().map(|planned| planned.sets.len()).sum();
    problems.add_if(sets > MAX_SETS, "exercises", "must have at most 500 sets in all");
    for (index, planned) in exercises.iter().take(MAX_EXERCISES).enumerate() {
        let at = format!("exercises[{index}]");
        let count = planned.sets.len();
        if !(1..=MAX_SETS_OF_EXERCISE).contains(&count) {
            problems.add(format!("{at}.sets"), "must have 1 to 30 entries");
        }
        let measurement = (around.measurement)(&planned.exercise);
        if measurement.is_none() {
            let message = "must be an exercise of the library or one of your own";
            problems.add(format!("{at}.exercise"), message);
        }
        for (index, set) in planned.sets.iter().take(MAX_SETS_OF_EXERCISE).enumerate() {
            for (field, message) in wrong_with(set, measurement) {
                problems.add(format!("{at}.sets[{index}].{field}"), message);
            }
            if problems.len() >= MOST_TOLD {
                return;
            }
        }
    }
}

/// What is wrong with a set of an exercise that is measured so.
fn wrong_with(
    set: &PlannedSet,
    measurement: Option<Measurement>,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let is_not = |has: fn(Measurement) -> bool| measurement.is_some_and(|kind| !has(kind));
    let upside_down = set.reps.is_some_and(|reps| reps.max < reps.min);
    [
        (upside_down, "reps.max", "must not be less than min"),
        (
            set.reps.is_some() && is_not(Measurement::has_reps),
            "reps",
            "must be absent: the exercise is not measured by repetitions",
        ),
        (
            set.weight.is_some() && is_not(Measurement::has_weight),
            "weight",
            "must be absent: the exercise is not measured by weight",
        ),
        (
            set.distance_metres.is_some() && is_not(Measurement::has_distance),
            "distance_metres",
            "must be absent: the exercise is not measured by distance",
        ),
    ]
    .into_iter()
    .filter_map(|(wrong, field, message)| wrong.then_some((field, message)))
}

#[cfg(test)]
#[path = "routines_tests.rs"]
mod tests;
