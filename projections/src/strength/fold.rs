//! What a run of events comes to, and whose sets of which exercise it changes.

use domain::strength::{LATELY, counts, has_maximum};
use events::Event;
use projector::{Happened, Tables};

use super::lately::{Edit, Edits};
use crate::{
    athlete::{Athletes, People},
    lifts::{Turns, Workout},
    training::Workouts,
    weighings::Weighings,
};

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    exercises: Athletes,
    people: People,
    weighings: Weighings,
    workouts: Workouts,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        self.people.take(&happened);
        if let Event::CustomExerciseCreated(_) = &happened.event {
            self.exercises.take(&happened);
        }
        self.weighings.take(&happened);
        self.workouts.take(happened);
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        self.exercises.write(tables).await?;
        let mut changed = self.people.write(tables).await?;
        let reweighed = self.weighings.write(tables).await?;
        changed.extend(reweighed.into_iter().map(|of| (of.owner, of.partition)));
        // Bodyweights are looked up where they count: in the sets of the last thirty days.
        let turns = Turns::write(self.workouts, tables, |_| false).await?;
        let mut edits = Edits::default();
        for (owner, partition) in changed {
            edits.weigh_again(owner, partition);
        }
        for turn in &turns.all {
            let since = tables.as_of(turn.partition) - LATELY;
            for exercise in turn.exercises() {
                let measurement = turns.measurement(turn.owner, exercise);
                let Some(measurement) = measurement.filter(|of| has_maximum(*of)) else { continue };
                let sets = |workout: Option<&Workout>| {
                    let completed = workout.filter(|workout| workout.completed);
                    let mut sets = turn.sets(completed, exercise, measurement);
                    sets.retain(|_, set| {
                        counts(set, measurement) && set.performed_at.utc() > since
                    });
                    sets
                };
                let (before, after) = (sets(turn.before.as_ref()), sets(turn.after.as_ref()));
                let mut put =
                    |edit| edits.put(turn.owner, turn.partition, exercise, measurement, edit);
                before
                    .keys()
                    .filter(|id| !after.contains_key(id))
                    .for_each(|id| put(Edit::Drop(*id)));
                for (id, set) in after {
                    if before.get(&id) != Some(&set) {
                        put(Edit::Set(set));
                    }
                }
            }
        }
        edits.write(tables).await
    }
}
