//! What a run of events comes to: the last truth of every workout, set and note it touches.

use std::collections::BTreeMap;

use events::{
    AthleteId, CustomExerciseCreated, Event, ExerciseId, ExerciseNoted, Feeling, ImportFormat,
    Personal, Recorded, SetId, SetValues, TimeZone, Timestamp, Version, WorkoutDetails,
};
use uuid::Uuid;

type WorkoutKey = (AthleteId, Uuid);
type SetKey = (AthleteId, Uuid, SetId);
type NoteKey = (AthleteId, Uuid, ExerciseId);

/// The changes of a batch, by row.
#[derive(Default)]
pub struct Batch {
    pub(super) athletes: BTreeMap<AthleteId, TimeZone>,
    pub(super) exercises: BTreeMap<(AthleteId, Uuid), CustomExerciseCreated>,
    pub(super) workouts: BTreeMap<WorkoutKey, Workout>,
    pub(super) sets: BTreeMap<SetKey, Set>,
    /// Those that say nothing any more go.
    pub(super) notes: BTreeMap<NoteKey, ExerciseNoted>,
}

/// What becomes of a workout's row.
pub(super) enum Workout {
    /// It is new in this batch.
    New(Row),
    /// It is there already, and some of it changes.
    Changed(Change),
    /// It goes, with all its sets and notes.
    Gone,
}

/// A workout's row.
pub(super) struct Row {
    pub(super) details: WorkoutDetails,
    pub(super) imported_from: Option<ImportFormat>,
    pub(super) ending: Ending,
}

/// What changes of a row that is there already.
#[derive(Default)]
pub(super) struct Change {
    pub(super) details: Option<WorkoutDetails>,
    pub(super) ending: Option<Ending>,
}

/// Whether and how a workout ended.
#[derive(Default)]
pub(super) struct Ending {
    pub(super) completed_at: Option<Timestamp>,
    pub(super) feeling: Option<Personal<Feeling>>,
}

/// What becomes of a set's row.
pub(super) enum Set {
    /// It is as said here. The ordinal counts only where the row is new.
    Is(Version, SetValues),
    /// It goes.
    Gone,
}

impl Batch {
    pub(super) fn fold(&mut self, recorded: Recorded) {
        let owner = recorded.id.owner;
        let stream = recorded.id.stream.id;
        let workout = (owner, stream);
        match recorded.event {
            Event::AthleteRegistered(registered) => {
                self.athletes.insert(owner, registered.time_zone);
            }
            Event::CustomExerciseCreated(created) => {
                self.exercises.insert((owner, created.exercise_id), created);
            }
            Event::WorkoutStarted(started) => {
                let row = Row {
                    details: started.details,
                    imported_from: started.imported_from,
                    ending: Ending::default(),
                };
                self.workouts.insert(workout, Workout::New(row));
            }
            Event::WorkoutDetailsChanged(changed) => {
                let ending =
                    Ending { completed_at: changed.completed_at, feeling: changed.feeling };
                self.change(workout, Some(changed.details), Some(ending));
            }
            Event::WorkoutCompleted(completed) => {
                let ending = Ending {
                    completed_at: Some(completed.completed_at),
                    feeling: completed.feeling,
                };
                self.change(workout, None, Some(ending));
            }
            Event::WorkoutDiscarded(_) => {
                self.workouts.insert(workout, Workout::Gone);
                self.sets.retain(|(o, w, _), _| (*o, *w) != workout);
                self.notes.retain(|(o, w, _), _| (*o, *w) != workout);
            }
            Event::SetLogged(logged) => {
                let set = Set::Is(recorded.id.version, logged.set);
                self.sets.insert((owner, stream, logged.set_id), set);
            }
            Event::SetCorrected(corrected) => {
                let key = (owner, stream, corrected.set_id);
                let ordinal = match self.sets.get(&key) {
                    Some(Set::Is(ordinal, _)) => *ordinal,
                    _ => recorded.id.version,
                };
                self.sets.insert(key, Set::Is(ordinal, corrected.set));
            }
            Event::SetRemoved(removed) => {
                self.sets.insert((owner, stream, removed.set_id), Set::Gone);
            }
            Event::ExerciseNoted(noted) => {
                self.notes.insert((owner, stream, noted.exercise.clone()), noted);
            }
            Event::AuditRead(_) => {}
        }
    }

    fn change(&mut self, key: WorkoutKey, details: Option<WorkoutDetails>, ending: Option<Ending>) {
        let workout =
            self.workouts.entry(key).or_insert_with(|| Workout::Changed(Change::default()));
        match workout {
            Workout::New(row) => {
                row.details = details.unwrap_or_else(|| row.details.clone());
                row.ending = ending.unwrap_or_default();
            }
            Workout::Changed(change) => {
                change.details = details.or(change.details.take());
                change.ending = ending.or(change.ending.take());
            }
            // A discarded workout takes nothing more.
            Workout::Gone => {}
        }
    }
}
