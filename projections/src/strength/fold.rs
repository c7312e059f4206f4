//! What a run of events comes to, and whose sets of which exercise it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::strength::{LATELY, counts, has_maximum};
use events::{AthleteId, Event, Partition, Sex};
use projector::{Happened, Tables, row};
use uuid::Uuid;

use super::lately::{Edit, Edits};
use crate::{
    athlete::Athletes,
    lifts::{Turns, Workout},
    training::Workouts,
    weighings::Weighings,
};

row! {
    /// Whom an athlete is held against, beside where their days begin.
    pub(super) struct Person in "athletes" by 1 {
        pub(super) owner: Uuid,
        pub(super) time_zone: String,
        partition: i16,
        pub(super) sex: Option<String>,
    }
}

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    exercises: Athletes,
    people: BTreeMap<AthleteId, (Partition, String, Option<String>)>,
    weighings: Weighings,
    workouts: Workouts,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        let (owner, partition) = (happened.owner, happened.partition);
        match &happened.event {
            Event::AthleteRegistered(registered) => {
                let zone = registered.time_zone.0.name().to_owned();
                self.people.insert(owner, (partition, zone, None));
            }
            Event::ProfileChanged(changed) => {
                let zone = changed.time_zone.0.name().to_owned();
                let sex = changed.sex.as_ref().and_then(|sex| sex.clear());
                let sex = sex.map(|sex| word(*sex).to_owned());
                self.people.insert(owner, (partition, zone, sex));
            }
            Event::CustomExerciseCreated(_) => self.exercises.take(&happened),
            _ => {}
        }
        self.weighings.take(&happened);
        self.workouts.take(happened);
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        self.exercises.write(tables).await?;
        let mut changed = write_people(self.people, tables).await?;
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

/// The word for a sex, as rows have it.
pub(super) fn word(sex: Sex) -> &'static str {
    match sex {
        Sex::Female => "female",
        Sex::Male => "male",
    }
}

/// The sex of a word in a row.
pub(super) fn sex(word: &str) -> Option<Sex> {
    [Sex::Female, Sex::Male].into_iter().find(|sex| self::word(*sex) == word)
}

/// Brings the rows up to date, and answers who is another than before.
async fn write_people(
    people: BTreeMap<AthleteId, (Partition, String, Option<String>)>,
    tables: &mut Tables<'_>,
) -> Result<BTreeSet<(AthleteId, Partition)>, sqlx::Error> {
    let known: Vec<Person> = tables.read(people.keys().map(|owner| (owner.uuid(),))).await?;
    let known: HashMap<Uuid, Person> = known.into_iter().map(|row| (row.owner, row)).collect();
    let (mut rows, mut changed) = (Vec::new(), BTreeSet::new());
    for (athlete, (partition, time_zone, sex)) in people {
        let row = Person { owner: athlete.uuid(), time_zone, partition: partition.0, sex };
        let before = known.get(&row.owner);
        if before == Some(&row) {
            continue;
        }
        if before.is_some() {
            changed.insert((athlete, partition));
        }
        rows.push(row);
    }
    tables.upsert(rows).await?;
    Ok(changed)
}
