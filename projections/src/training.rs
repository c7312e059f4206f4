//! What a run of events comes to for those who keep workouts with their sets.

use std::collections::BTreeMap;

use events::{AthleteId, Event, Position, SetId, SetValues, Timestamp};
use projector::Happened;
use uuid::Uuid;

/// The changes of workouts, by workout and owner.
#[derive(Default)]
pub(crate) struct Workouts(pub(crate) BTreeMap<(Uuid, AthleteId), Change>);

/// The changes of a workout.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) is_new: bool,
    pub(crate) is_gone: bool,
    /// The first event of the batch that says something of it.
    pub(crate) first: Position,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Option<Timestamp>>,
    /// In their order.
    pub(crate) sets: Vec<(SetId, Position, Said)>,
}

/// What an event says of a set.
pub(crate) enum Said {
    Logged(SetValues),
    Corrected(SetValues),
    Removed,
}

impl Workouts {
    /// Takes an event of a workout; others it passes over.
    pub(crate) fn take(&mut self, happened: Happened) {
        let (key, at) = ((happened.stream.id, happened.owner), happened.position);
        match happened.event {
            Event::WorkoutStarted(started) => {
                let workout = self.change(key, at);
                workout.is_new = true;
                workout.started_at = Some(started.details.started_at);
            }
            Event::WorkoutDetailsChanged(changed) => {
                let workout = self.change(key, at);
                workout.started_at = Some(changed.details.started_at);
                workout.completed_at = Some(changed.completed_at);
            }
            Event::WorkoutCompleted(completed) => {
                self.change(key, at).completed_at = Some(Some(completed.completed_at));
            }
            Event::WorkoutDiscarded(_) => self.change(key, at).is_gone = true,
            Event::SetLogged(logged) => {
                self.change(key, at).sets.push((logged.set_id, at, Said::Logged(logged.set)));
            }
            Event::SetCorrected(corrected) => {
                self.change(key, at).sets.push((
                    corrected.set_id,
                    at,
                    Said::Corrected(corrected.set),
                ));
            }
            Event::SetRemoved(removed) => {
                self.change(key, at).sets.push((removed.set_id, at, Said::Removed));
            }
            Event::AthleteRegistered(_)
            | Event::CustomExerciseCreated(_)
            | Event::ExerciseNoted(_)
            | Event::AuditRead(_) => {}
        }
    }

    fn change(&mut self, key: (Uuid, AthleteId), at: Position) -> &mut Change {
        self.0.entry(key).or_insert_with(|| Change { first: at, ..Change::default() })
    }
}
