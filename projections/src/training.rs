//! What a run of events comes to for those who keep workouts with their sets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{AthleteId, Event, Partition, Position, SetId, SetValues, Timestamp};
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
    /// Where it is, and when the log took the newest event of the batch that says something of it.
    pub(crate) partition: Partition,
    pub(crate) recorded_at: DateTime<Utc>,
    /// The first event of the batch that says something of it.
    pub(crate) first: Position,
    /// Of a new one, whether it came out of another app.
    pub(crate) imported: bool,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Option<Timestamp>>,
    /// In their order.
    pub(crate) sets: Vec<(SetId, Position, Said)>,
}

/// What an event says of a set.
pub(crate) enum Said {
    /// It was logged so; whether that is unusual.
    Logged(SetValues, bool),
    /// It was so in truth; whether that is unusual.
    Corrected(SetValues, bool),
    Confirmed,
    Removed,
}

impl Workouts {
    /// Takes an event of a workout; others it passes over.
    pub(crate) fn take(&mut self, happened: Happened) {
        let at = happened.position;
        let mut set = |id, said| self.change(&happened).sets.push((id, at, said));
        match &happened.event {
            Event::WorkoutStarted(started) => {
                let workout = self.change(&happened);
                workout.is_new = true;
                workout.imported = started.imported_from.is_some();
                workout.started_at = Some(started.details.started_at);
            }
            Event::WorkoutDetailsChanged(changed) => {
                let workout = self.change(&happened);
                workout.started_at = Some(changed.details.started_at);
                workout.completed_at = Some(changed.completed_at);
            }
            Event::WorkoutCompleted(completed) => {
                self.change(&happened).completed_at = Some(Some(completed.completed_at));
            }
            Event::WorkoutDiscarded(_) => self.change(&happened).is_gone = true,
            Event::SetLogged(logged) => {
                set(logged.set_id, Said::Logged(logged.set.clone(), logged.unusual));
            }
            Event::SetCorrected(corrected) => {
                set(corrected.set_id, Said::Corrected(corrected.set.clone(), corrected.unusual));
            }
            Event::SetConfirmed(confirmed) => set(confirmed.set_id, Said::Confirmed),
            Event::SetRemoved(removed) => set(removed.set_id, Said::Removed),
            _ => {}
        }
    }

    /// Has a workout looked at again, though no event of the batch says anything of it.
    pub(crate) fn touch(
        &mut self,
        workout: Uuid,
        owner: AthleteId,
        partition: Partition,
        recorded_at: DateTime<Utc>,
    ) {
        let change = self.0.entry((workout, owner)).or_default();
        change.partition = partition;
        change.recorded_at = change.recorded_at.max(recorded_at);
    }

    fn change(&mut self, happened: &Happened) -> &mut Change {
        let key = (happened.stream.id, happened.owner);
        let change = self.0.entry(key).or_insert_with(|| Change {
            first: happened.position,
            partition: happened.partition,
            ..Change::default()
        });
        change.recorded_at = change.recorded_at.max(happened.recorded_at.utc());
        change
    }
}
