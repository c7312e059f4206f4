//! What a run of events comes to, and which days it changes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::records::Session;
use events::{AthleteId, ExerciseId, Measurement, Partition, SetId, TimeZone};
use projector::{Happened, Mark, Tables, row};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::announced::Announced;
use crate::{
    athlete::Athletes,
    lifts::{Turn, Turns, Workout, decode, zones},
    spans::{self, DayRow, Edit, Edits},
    training::Workouts,
    weighings::{Reweighed, Span, Weighings},
};

row! {
    /// An exercise of which the bodyweight of the day is part of what is lifted.
    struct BodyweightExercise in "bodyweight_exercises" by 2 {
        owner: Uuid,
        exercise: String,
    }
}

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    athletes: Athletes,
    weighings: Weighings,
    workouts: Workouts,
    announced: Announced,
}

/// Whose records of which exercise.
type Key = (AthleteId, String);

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        self.athletes.take(&happened);
        self.weighings.take(&happened);
        self.announced.take(&happened);
        self.workouts.take(happened);
    }

    pub(super) async fn write(mut self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let mut reweighed = self.athletes.write(tables).await?;
        reweighed.extend(self.weighings.write(tables).await?);
        self.announced.write(tables).await?;
        touch(&mut self.workouts, reweighed, tables).await?;
        let turns = Turns::write(self.workouts, tables, Measurement::has_bodyweight).await?;

        let (mut edits, mut marks) = (Edits::default(), BTreeMap::new());
        let mut weighed = BTreeSet::new();
        for turn in &turns.all {
            for exercise in turn.exercises() {
                // Of an exercise that nobody knows, nothing can be a record.
                let Some(measurement) = turns.measurement(turn.owner, exercise) else { continue };
                edit(turn, exercise, measurement, &mut edits);
                mark(turn, exercise, &mut marks);
                if measurement.has_bodyweight() {
                    weighed.insert((turn.owner.uuid(), exercise.to_string()));
                }
            }
        }
        let changed = edits.write(tables).await?;
        note(weighed, tables).await?;
        let marks =
            changed.into_iter().filter_map(|(owner, exercise, _)| marks.remove(&(owner, exercise)));
        tables.mark(marks.collect()).await
    }
}

/// Notes which of those exercises there still are sets of.
async fn note(
    mut exercises: BTreeSet<(Uuid, String)>,
    tables: &mut Tables<'_>,
) -> Result<(), sqlx::Error> {
    let from = exercises.iter().map(|(owner, exercise)| (*owner, exercise.clone(), 0i32));
    let days: Vec<DayRow> = tables.ceiling(from.collect::<Vec<_>>()).await?;
    let mut there = Vec::with_capacity(days.len());
    for DayRow { owner, exercise, .. } in days {
        exercises.remove(&(owner, exercise.clone()));
        there.push(BodyweightExercise { owner, exercise });
    }
    tables.upsert(there).await?;
    tables.delete::<BodyweightExercise, _>(exercises).await
}

/// Has those workouts looked at again on whose days other bodyweights count.
async fn touch(
    workouts: &mut Workouts,
    reweighed: Vec<Reweighed>,
    tables: &mut Tables<'_>,
) -> Result<(), sqlx::Error> {
    if reweighed.is_empty() {
        return Ok(());
    }
    let owners: BTreeSet<AthleteId> = reweighed.iter().map(|of| of.owner).collect();
    let keys = owners.iter().map(|owner| (owner.uuid(),));
    let exercises: Vec<BodyweightExercise> = tables.read(keys).await?;
    if exercises.is_empty() {
        return Ok(());
    }
    let zones = zones(owners, tables).await?;
    for of in reweighed {
        let zone = zones.get(&of.owner).copied().unwrap_or(TimeZone::UTC);
        let span = of.span(zone, tables).await?;
        let exercises = exercises.iter().filter(|row| row.owner == of.owner.uuid());
        let months: Vec<(Uuid, String, i32)> =
            exercises.map(|row| (row.owner, row.exercise.clone(), first_month(&span))).collect();
        let rows: Vec<DayRow> = match whole_months(&span) {
            Some(all) => {
                let each = |(owner, exercise, _): &(Uuid, String, i32)| {
                    let (owner, exercise) = (*owner, exercise.clone());
                    all.iter().map(move |month| (owner, exercise.clone(), *month))
                };
                tables.read(months.iter().flat_map(each).collect::<Vec<_>>()).await?
            }
            None => tables.onwards(months).await?,
        };
        for row in rows {
            let day: spans::Day = decode(&row.done)?;
            for set in day.sets.iter().filter(|set| span.has(set.performed_at)) {
                workouts.touch(set.workout.uuid(), of.owner, of.partition, of.recorded_at);
            }
        }
    }
    Ok(())
}

/// The first month of a span of time.
fn first_month(span: &Span) -> i32 {
    if span.from == DateTime::<Utc>::MIN_UTC { 0 } else { spans::month_of(span.from) }
}

/// The months of a span of time, if it has an end.
fn whole_months(span: &Span) -> Option<Vec<i32>> {
    let (first, last) = (first_month(span), spans::month_of(span.to?));
    let all = (first / 100..=last / 100).flat_map(|year| (1..=12).map(move |m| year * 100 + m));
    Some(all.filter(|month| (first..=last).contains(month)).collect())
}

/// What of the days of an exercise changes with a workout.
fn edit(turn: &Turn, exercise: &ExerciseId, measurement: Measurement, edits: &mut Edits) {
    let before = turn.sets(turn.before.as_ref(), exercise, measurement);
    let after = turn.sets(turn.after.as_ref(), exercise, measurement);
    let mut put = |edit| edits.put(turn.owner, exercise, measurement, edit);
    for (id, set) in &before {
        if after.get(id) != Some(set) {
            put(Edit::DropSet(set.clone()));
        }
    }
    for (id, set) in &after {
        if before.get(id) != Some(set) {
            put(Edit::Set(set.clone()));
        }
    }
    let was = session(turn, turn.before.as_ref(), &before);
    let is = session(turn, turn.after.as_ref(), &after);
    if was != is {
        was.into_iter().for_each(|was| put(Edit::DropSession(was)));
        is.into_iter().for_each(|is| put(Edit::Session(is)));
    }
}

/// What the sets of an exercise came to in a workout.
fn session(
    turn: &Turn,
    workout: Option<&Workout>,
    sets: &BTreeMap<SetId, domain::records::Performed>,
) -> Option<Session> {
    let workout = workout?;
    let volume: Decimal = sets.values().filter_map(|set| set.volume_kg).sum();
    (!volume.is_zero()).then(|| Session {
        workout: turn.id,
        started_at: workout.started_at,
        logged: workout.logged,
        volume_kg: volume.normalize(),
        open: !workout.completed || sets.values().any(|set| set.unusual),
    })
}

/// Notes what would be announced of an exercise, should its records have changed.
fn mark(turn: &Turn, exercise: &ExerciseId, marks: &mut BTreeMap<Key, Mark>) {
    let (owner, partition): (AthleteId, Partition) = (turn.owner, turn.partition);
    let key = exercise.to_string();
    let imported = turn.before.iter().chain(&turn.after).any(|workout| workout.imported);
    let mark = marks.entry((owner, key.clone())).or_insert_with(|| Mark {
        owner,
        partition,
        key,
        imported: true,
        recorded_at: turn.recorded_at,
    });
    mark.imported &= imported;
    mark.recorded_at = mark.recorded_at.max(turn.recorded_at);
}
