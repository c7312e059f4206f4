//! What a run of events comes to, and which days it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{
    library::Library,
    records::{Performed, Session, volume_kg},
};
use events::{CustomExerciseCreated, Event, ExerciseId, Measurement, WorkoutId};
use projector::{Happened, Tables};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    decode,
    spans::{Edit, Edits},
    workouts::{Workout, WorkoutRow},
};
use crate::{
    athlete::{Athletes, CustomExercise},
    training::Workouts,
};

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    athletes: Athletes,
    workouts: Workouts,
}

/// A workout before and after the batch.
struct Turn {
    owner: Uuid,
    id: WorkoutId,
    before: Option<Workout>,
    after: Option<Workout>,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        let owner = happened.owner;
        match happened.event {
            Event::AthleteRegistered(registered) => self.athletes.registered(owner, registered),
            Event::CustomExerciseCreated(created) => self.athletes.created(owner, created),
            _ => self.workouts.take(happened),
        }
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        self.athletes.write(tables).await?;
        let turns = write_workouts(self.workouts, tables).await?;
        let measurements = measurements(&turns, tables).await?;
        let mut edits = Edits::default();
        for turn in &turns {
            turn.edit(&measurements, &mut edits);
        }
        edits.write(tables).await
    }
}

/// Brings the workouts up to date, and answers what they were and are.
async fn write_workouts(
    workouts: Workouts,
    tables: &mut Tables<'_>,
) -> Result<Vec<Turn>, sqlx::Error> {
    let mut known = Vec::new();
    for ((workout, owner), change) in &workouts.0 {
        if !change.is_new {
            known.push((*workout, owner.uuid()));
        }
    }
    let rows: Vec<WorkoutRow> = tables.read(known).await?;
    let mut before = HashMap::with_capacity(rows.len());
    for row in &rows {
        before.insert((row.workout, row.owner), Workout::of_row(row)?);
    }
    let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let mut turns = Vec::with_capacity(workouts.0.len());
    for ((workout, owner), change) in workouts.0 {
        let owner = owner.uuid();
        // Streams are named by ids that were checked when they were begun.
        let Ok(id) = WorkoutId::new(workout) else { continue };
        let before = before.remove(&(workout, owner));
        if before.is_none() && !change.is_new {
            continue;
        }
        let after = Workout::after(before.as_ref(), change);
        match (&before, &after) {
            (None, None) => continue,
            (None, Some(after)) => new.push(after.row(workout, owner)?),
            (Some(_), None) => gone.push((workout, owner)),
            (Some(before), Some(after)) if before != after => {
                changed.push(after.row(workout, owner)?);
            }
            (Some(_), Some(_)) => continue,
        }
        turns.push(Turn { owner, id, before, after });
    }
    tables.insert(new).await?;
    tables.upsert(changed).await?;
    tables.delete::<WorkoutRow, _>(gone).await?;
    Ok(turns)
}

/// How the exercises of the turns are measured, by owner of custom ones.
struct Measurements(HashMap<(Uuid, Uuid), Measurement>);

async fn measurements(
    turns: &[Turn],
    tables: &mut Tables<'_>,
) -> Result<Measurements, sqlx::Error> {
    let mut wanted = BTreeSet::new();
    for turn in turns {
        for exercise in turn.exercises() {
            if let ExerciseId::Custom(id) = exercise {
                wanted.insert((turn.owner, *id));
            }
        }
    }
    let rows: Vec<CustomExercise> = tables.read(wanted).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let created: CustomExerciseCreated = decode(&row.created)?;
        found.insert((row.owner, row.exercise), created.traits.kind);
    }
    Ok(Measurements(found))
}

impl Measurements {
    fn of(&self, owner: Uuid, exercise: &ExerciseId) -> Option<Measurement> {
        match exercise {
            ExerciseId::Custom(id) => self.0.get(&(owner, *id)).copied(),
            system => Library::system().get(system).map(|exercise| exercise.kind),
        }
    }
}

impl Turn {
    fn exercises(&self) -> BTreeSet<&ExerciseId> {
        let both = self.before.iter().chain(&self.after);
        both.flat_map(|workout| workout.sets.keys()).collect()
    }

    /// What of the days changes with the workout.
    fn edit(&self, measurements: &Measurements, edits: &mut Edits) {
        for exercise in self.exercises() {
            // Of an exercise that nobody knows, nothing can be a record.
            let Some(measurement) = measurements.of(self.owner, exercise) else { continue };
            let before = self.sets(self.before.as_ref(), exercise, measurement);
            let after = self.sets(self.after.as_ref(), exercise, measurement);
            let mut put = |edit| edits.put(self.owner, exercise, measurement, edit);
            for (id, set) in &before {
                if after.get(id) != Some(set) {
                    put(Edit::Drop(set.performed_at, id.uuid()));
                }
            }
            for (id, set) in &after {
                if before.get(id) != Some(set) {
                    put(Edit::Set(set.clone()));
                }
            }
            let was = self.session(self.before.as_ref(), before.values());
            let is = self.session(self.after.as_ref(), after.values());
            if was != is {
                if let Some(was) = was {
                    put(Edit::Drop(was.started_at, self.id.uuid()));
                }
                if let Some(is) = is {
                    put(Edit::Session(is));
                }
            }
        }
    }

    fn sets(
        &self,
        workout: Option<&Workout>,
        exercise: &ExerciseId,
        measurement: Measurement,
    ) -> BTreeMap<events::SetId, Performed> {
        let sets = workout.into_iter().flat_map(|workout| workout.working(exercise));
        sets.map(|set| {
            let weight = set.5.map(|typed| typed.0);
            let performed = Performed {
                id: set.0,
                workout: self.id,
                performed_at: set.performed_at(),
                logged: set.3,
                reps: set.4,
                weight,
                duration_seconds: set.6,
                distance_metres: set.7,
                volume_kg: volume_kg(set.4, weight, measurement, None),
                unusual: false,
            };
            (set.0, performed)
        })
        .collect()
    }

    fn session<'a>(
        &self,
        workout: Option<&Workout>,
        sets: impl Iterator<Item = &'a Performed>,
    ) -> Option<Session> {
        let workout = workout?;
        let volume: Decimal = sets.filter_map(|set| set.volume_kg).sum();
        let (started_at, logged) = (workout.started_at, workout.logged);
        (!volume.is_zero()).then(|| Session {
            workout: self.id,
            started_at,
            logged,
            volume_kg: volume.normalize(),
        })
    }
}
