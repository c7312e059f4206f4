//! What a run of events comes to: the last truth of every workout, set and note it touches.

use std::collections::BTreeMap;

use events::{
    AthleteId, Event, ExerciseId, ExerciseNoted, Feeling, Personal, SetId, SetValues, Timestamp,
    Version, WorkoutDetails, WorkoutStarted,
};
use projector::Happened;
use uuid::Uuid;

use crate::{athlete::Athletes, weighings::Weighings};

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    pub(super) athletes: Athletes,
    pub(super) weighings: Weighings,
    pub(super) workouts: BTreeMap<(AthleteId, Uuid), Workout>,
}

/// The changes of a workout.
#[derive(Default)]
pub(super) struct Workout {
    pub(super) row: Row,
    /// In the order in which they were first mentioned.
    pub(super) sets: Vec<(SetId, Set)>,
    /// Those that say nothing any more go.
    pub(super) notes: BTreeMap<ExerciseId, ExerciseNoted>,
}

/// What becomes of a workout's row.
#[derive(Default)]
pub(super) enum Row {
    /// It is there, and stays as it is.
    #[default]
    Same,
    /// It is new in this batch.
    New(New),
    /// It is there, and some of it changes.
    Changed(Change),
    /// It goes, with all its sets and notes.
    Gone,
}

/// A workout that is new.
pub(super) struct New {
    /// With what was said of it since, in its details.
    pub(super) started: WorkoutStarted,
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
    /// Whether it was left open and closed; `None` where an event says nothing of that.
    pub(super) abandoned: Option<bool>,
    pub(super) feeling: Option<Personal<Feeling>>,
}

/// What becomes of a set's row.
pub(super) enum Set {
    /// It is new in this batch, logged by the event of that version.
    New(Version, Values),
    /// It is there, logged by an earlier event than this one, and now says this.
    Corrected(Version, Values),
    /// It is there, says what it says, and is confirmed.
    Confirmed,
    /// It is there, and goes.
    Gone,
}

/// What a set says, and whether that is unusual.
pub(super) struct Values {
    pub(super) set: SetValues,
    pub(super) unusual: bool,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        let owner = happened.owner;
        let key = (owner, happened.stream.id);
        self.athletes.take(&happened);
        self.weighings.take(&happened);
        match happened.event {
            Event::WorkoutStarted(started) => {
                self.workout(key).row = Row::New(New { started, ending: Ending::default() });
            }
            Event::WorkoutDetailsChanged(changed) => {
                let (completed_at, feeling) = (changed.completed_at, changed.feeling);
                let ending = Ending { completed_at, abandoned: None, feeling };
                self.workout(key).change(Some(changed.details), ending);
            }
            Event::WorkoutCompleted(completed) => {
                let ending = Ending {
                    completed_at: Some(completed.completed_at),
                    abandoned: Some(completed.abandoned),
                    feeling: completed.feeling,
                };
                self.workout(key).change(None, ending);
            }
            Event::WorkoutDiscarded(_) => {
                // Of one that came and went within the batch, nothing is there that would go.
                if let Some(Workout { row: Row::New(_), .. }) = self.workouts.remove(&key) {
                    return;
                }
                self.workout(key).row = Row::Gone;
            }
            Event::SetLogged(logged) => {
                let values = Values { set: logged.set, unusual: logged.unusual };
                let set = Set::New(happened.version, values);
                self.workout(key).sets.push((logged.set_id, set));
            }
            Event::SetCorrected(corrected) => {
                let values = Values { set: corrected.set, unusual: corrected.unusual };
                self.workout(key).correct(corrected.set_id, happened.version, values);
            }
            Event::SetConfirmed(confirmed) => self.workout(key).confirm(confirmed.set_id),
            Event::SetRemoved(removed) => self.workout(key).remove(removed.set_id),
            Event::ExerciseNoted(noted) => {
                self.workout(key).notes.insert(noted.exercise.clone(), noted);
            }
            _ => {}
        }
    }

    fn workout(&mut self, key: (AthleteId, Uuid)) -> &mut Workout {
        self.workouts.entry(key).or_default()
    }
}

impl Workout {
    fn change(&mut self, details: Option<WorkoutDetails>, mut ending: Ending) {
        match &mut self.row {
            Row::New(row) => {
                ending.abandoned = ending.abandoned.or(row.ending.abandoned);
                row.ending = ending;
                if let Some(details) = details {
                    row.started.details = details;
                }
            }
            Row::Changed(change) => {
                let known = change.ending.as_ref().and_then(|ending| ending.abandoned);
                ending.abandoned = ending.abandoned.or(known);
                change.ending = Some(ending);
                change.details = details.or(change.details.take());
            }
            Row::Same => self.row = Row::Changed(Change { details, ending: Some(ending) }),
            // A discarded workout takes nothing more.
            Row::Gone => {}
        }
    }

    fn confirm(&mut self, id: SetId) {
        match self.sets.iter_mut().find(|(known, _)| *known == id) {
            Some((_, Set::New(_, values) | Set::Corrected(_, values))) => values.unusual = false,
            Some(_) => {}
            None => self.sets.push((id, Set::Confirmed)),
        }
    }

    fn correct(&mut self, id: SetId, version: Version, values: Values) {
        match self.sets.iter_mut().find(|(known, _)| *known == id) {
            Some((_, Set::New(_, set) | Set::Corrected(_, set))) => *set = values,
            Some((_, gone)) => *gone = Set::Corrected(version, values),
            None => self.sets.push((id, Set::Corrected(version, values))),
        }
    }

    fn remove(&mut self, id: SetId) {
        match self.sets.iter().position(|(known, _)| *known == id) {
            Some(index) if matches!(self.sets[index].1, Set::New(..)) => {
                self.sets.remove(index);
            }
            Some(index) => self.sets[index].1 = Set::Gone,
            None => self.sets.push((id, Set::Gone)),
        }
    }
}
