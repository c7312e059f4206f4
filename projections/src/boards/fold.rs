//! What a run of events comes to, day by day, and what it adds to whose scores.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    one_rep_max::Formula,
    records::{Kind, Performed, Scope},
    strength::{counts, has_maximum},
};
use events::{AthleteId, Event, ExerciseId, Partition, TimeZone};
use projector::{Happened, Tables, row};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    board::{Board, EVER, Unit, number},
    places::{Holder, Places},
};
use crate::{
    athlete::{Athletes, People},
    lifts::{Turn, Turns, Workout, zones},
    spans::{Edit, Edits},
    training::Workouts,
    weighings::{Reweighed, Weighings},
};

row! {
    /// A workout with a set of which the bodyweight of that day is part.
    struct Weighed in "weighed" by 3 {
        owner: Uuid,
        day: i32,
        workout: Uuid,
    }
}

/// The changes of a batch by the day, in UTC, on which the log took them: what a board looked like at
/// the end of each of them is kept, however the log is cut into batches.
#[derive(Default)]
pub struct Batch(BTreeMap<NaiveDate, Day>);

/// The changes of a day.
#[derive(Default)]
struct Day {
    exercises: Athletes,
    people: People,
    weighings: Weighings,
    workouts: Workouts,
    /// Whose partitions have events of that day.
    partitions: BTreeSet<Partition>,
    recorded_at: DateTime<Utc>,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        let recorded_at = happened.recorded_at.utc();
        let day = self.0.entry(recorded_at.date_naive()).or_default();
        day.partitions.insert(happened.partition);
        day.recorded_at = day.recorded_at.max(recorded_at);
        day.people.take(&happened);
        if let Event::CustomExerciseCreated(_) = &happened.event {
            day.exercises.take(&happened);
        }
        day.weighings.take(&happened);
        day.workouts.take(happened);
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        for (day, changes) in self.0 {
            changes.write(day, tables).await?;
        }
        Ok(())
    }
}

impl Day {
    async fn write(mut self, day: NaiveDate, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        self.exercises.write(tables).await?;
        let mut places = Places::on(day, self.recorded_at);
        places.begin(&self.partitions, tables).await?;
        let changed = self.people.write(tables).await?;
        let mut reweighed = self.weighings.write(tables).await?;
        let recorded_at = self.recorded_at;
        reweighed.extend(changed.into_iter().map(|(owner, partition)| {
            // Where days begin is part of which bodyweight counts.
            Reweighed { owner, partition, recorded_at, from: None }
        }));
        reweighed.iter().for_each(|of| places.look_again(of.owner, of.partition));
        touch(&mut self.workouts, reweighed, tables).await?;
        let turns =
            Turns::write(self.workouts, tables, events::Measurement::has_bodyweight).await?;

        let mut edits = Edits::default();
        let mut partitions = BTreeMap::new();
        for turn in &turns.all {
            partitions.insert(turn.owner, turn.partition);
            edit(turn, &turns, &mut edits);
            for (workout, sign) in [(&turn.before, -1), (&turn.after, 1)] {
                let Some((started_at, grams)) = done(turn, workout.as_ref(), &turns) else {
                    continue;
                };
                for (board, period, more) in Board::of_workout(started_at, grams) {
                    places.add(turn.owner, turn.partition, board, period, sign * more);
                }
            }
        }
        note(&turns, tables).await?;
        let one = Kind::OneRepMax(Formula::Standard);
        for (owner, exercise, best) in edits.write(tables).await? {
            let Some(partition) = partitions.get(&owner) else { continue };
            // Of exercises of the library alone, all of them with a maximum.
            let id = ExerciseId::System(exercise.as_str().into());
            let Some(measurement) = turns.measurement(owner, &id) else { continue };
            let holder = best.usual_holder(one, measurement).and_then(|(set, kg)| {
                Some(Holder {
                    score: Unit::Grams.score(kg)?,
                    achieved_at: set.performed_at.utc(),
                    set: set.id.uuid(),
                    workout: set.workout.uuid(),
                })
            });
            places.hold(owner, *partition, Board::OneRepMax(exercise), EVER, holder);
        }
        places.write(tables).await
    }
}

/// What changes of the sets that may hold a place.
fn edit(turn: &Turn, turns: &Turns, edits: &mut Edits) {
    for exercise in turn.exercises() {
        if let ExerciseId::Custom(_) = exercise {
            continue;
        }
        let Some(measurement) = turns.measurement(turn.owner, exercise) else { continue };
        if !has_maximum(measurement) {
            continue;
        }
        let sets = |workout: Option<&Workout>| {
            let completed = workout.filter(|workout| workout.completed);
            let mut sets = turn.sets(completed, exercise, measurement);
            sets.retain(|_, set| counts(set, measurement));
            // What the athlete weighed is no part of an estimate.
            sets.values_mut().for_each(|set| set.volume_kg = None);
            sets
        };
        let (before, after) = (sets(turn.before.as_ref()), sets(turn.after.as_ref()));
        let scope = Scope { measurement, is_whole: false };
        let mut put = |edit| edits.put(turn.owner, exercise, scope, edit);
        let changed = |set: &&Performed| after.get(&set.id) != Some(*set);
        before.values().filter(changed).for_each(|set| put(Edit::DropSet(set.clone())));
        let is_new = |set: &&Performed| before.get(&set.id) != Some(*set);
        after.values().filter(is_new).for_each(|set| put(Edit::Set(set.clone())));
    }
}

/// When a workout began and the grams that were moved in it, if it counts: it is completed, and has a
/// working set that is not unusual.
fn done(turn: &Turn, workout: Option<&Workout>, turns: &Turns) -> Option<(DateTime<Utc>, i64)> {
    let workout = workout.filter(|workout| workout.completed)?;
    let (mut counts, mut kg) = (false, Decimal::ZERO);
    for exercise in turn.exercises() {
        let Some(measurement) = turns.measurement(turn.owner, exercise) else { continue };
        let sets = turn.sets(Some(workout), exercise, measurement);
        for set in sets.values().filter(|set| !set.unusual) {
            counts = true;
            kg += set.volume_kg.unwrap_or_default();
        }
    }
    counts.then(|| (workout.started_at.utc(), Unit::Grams.score(kg).unwrap_or(0)))
}

/// The days on which a workout has sets that are heavier or lighter with the bodyweight.
fn weighed_on(turn: &Turn, workout: Option<&Workout>, turns: &Turns) -> BTreeSet<i32> {
    let weighed = turn.exercises().into_iter().filter_map(|exercise| {
        let measurement = turns.measurement(turn.owner, exercise)?;
        measurement.has_bodyweight().then(|| turn.sets(workout, exercise, measurement))
    });
    weighed
        .flat_map(BTreeMap::into_values)
        .map(|set| number(set.performed_at.utc().date_naive()))
        .collect()
}

/// Notes which workouts are to be looked at again when a bodyweight changes.
async fn note(turns: &Turns, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
    let (mut new, mut gone) = (Vec::new(), Vec::new());
    for turn in &turns.all {
        let (owner, workout) = (turn.owner.uuid(), turn.id.uuid());
        let was = weighed_on(turn, turn.before.as_ref(), turns);
        let is = weighed_on(turn, turn.after.as_ref(), turns);
        new.extend(is.difference(&was).map(|&day| Weighed { owner, day, workout }));
        gone.extend(was.difference(&is).map(|&day| (owner, day, workout)));
    }
    tables.delete::<Weighed, _>(gone).await?;
    tables.upsert(new).await
}

/// Has those workouts looked at again on whose days other bodyweights count.
async fn touch(
    workouts: &mut Workouts,
    reweighed: Vec<Reweighed>,
    tables: &mut Tables<'_>,
) -> Result<(), sqlx::Error> {
    let owners: BTreeSet<AthleteId> = reweighed.iter().map(|of| of.owner).collect();
    if owners.is_empty() {
        return Ok(());
    }
    let zones = zones(owners, tables).await?;
    for of in reweighed {
        let zone = zones.get(&of.owner).copied().unwrap_or(TimeZone::UTC);
        let span = of.span(zone, tables).await?;
        let day = |at: DateTime<Utc>| number(at.date_naive());
        let first = if of.from.is_none() { 0 } else { day(span.from) };
        let last = span.to.map_or(i32::MAX, day);
        let rows: Vec<Weighed> = tables.onwards([(of.owner.uuid(), first)]).await?;
        for row in rows.into_iter().filter(|row| row.day <= last) {
            workouts.touch(row.workout, of.owner, of.partition, of.recorded_at);
        }
    }
    Ok(())
}
