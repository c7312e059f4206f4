//! What a run of events comes to: workouts with what counts of their sets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{ExerciseId, Number, SetId, SetKind, SetValues, Timestamp};
use projector::{Happened, Tables, row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    athlete::Athletes,
    training::{Change, Said, Workouts},
    weighings::Weighings,
};

row! {
    struct WorkoutRow in "workouts" by 2 {
        workout: Uuid,
        owner: Uuid,
        started_at: DateTime<Utc>,
        completed_at: Option<DateTime<Utc>>,
        sets: String,
    }
}

/// What counts of the sets of a workout, by exercise: as JSON, the smallest that a person can still
/// read, since with more than two kilobytes a row costs Postgres several times as much.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Sets(Vec<(ExerciseId, Vec<Counted>)>);

/// What counts of a set: `[id, repetitions, exact kg, 1 if it warmed up, seconds]`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted(
    SetId,
    pub(super) Option<u16>,
    pub(super) Option<Number>,
    u8,
    /// When it was performed, since 1970.
    i64,
);

impl Counted {
    pub(super) fn performed_at(&self) -> Timestamp {
        Timestamp::new(DateTime::from_timestamp(self.4, 0).unwrap_or_default())
    }
}

impl Sets {
    /// The working sets.
    pub(super) fn working(&self) -> impl Iterator<Item = (&ExerciseId, &Counted)> {
        let all =
            self.0.iter().flat_map(|(exercise, sets)| sets.iter().map(move |s| (exercise, s)));
        all.filter(|(_, set)| set.3 == 0)
    }

    fn put(&mut self, id: SetId, set: SetValues) {
        let counted = Counted(
            id,
            set.reps.map(|reps| reps.get()),
            set.weight.map(|weight| Number(weight.kg())),
            u8::from(set.kind == SetKind::WarmUp),
            set.performed_at.utc().timestamp(),
        );
        match self.0.iter_mut().rfind(|(exercise, _)| *exercise == set.exercise) {
            Some((_, sets)) => sets.push(counted),
            None => self.0.push((set.exercise, vec![counted])),
        }
    }

    fn remove(&mut self, id: SetId) {
        for (_, sets) in &mut self.0 {
            sets.retain(|set| set.0 != id);
        }
        self.0.retain(|(_, sets)| !sets.is_empty());
    }
}

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    athletes: Athletes,
    weighings: Weighings,
    workouts: Workouts,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        self.athletes.take(&happened);
        self.weighings.take(&happened);
        self.workouts.take(happened);
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        self.athletes.write(tables).await?;
        self.weighings.write(tables).await?;
        let (mut new, mut gone, mut changed) = (Vec::new(), Vec::new(), BTreeMap::new());
        for ((workout, owner), change) in self.workouts.0 {
            let key = (workout, owner.uuid());
            match (change.is_new, change.is_gone) {
                (true, true) => {}
                (false, true) => gone.push(key),
                (true, false) => new.push(apply(change, None, key)?),
                (false, false) => {
                    changed.insert(key, change);
                }
            }
        }
        tables.insert(new).await?;
        let rows: Vec<WorkoutRow> = tables.read(changed.keys().copied()).await?;
        let mut after = Vec::with_capacity(rows.len());
        for row in rows {
            let key = (row.workout, row.owner);
            if let Some(change) = changed.remove(&key) {
                after.push(apply(change, Some(row), key)?);
            }
        }
        tables.upsert(after).await?;
        tables.delete::<WorkoutRow, _>(gone).await
    }
}

/// The row after the changes.
fn apply(
    change: Change,
    row: Option<WorkoutRow>,
    (workout, owner): (Uuid, Uuid),
) -> Result<WorkoutRow, sqlx::Error> {
    let mut row = row.unwrap_or_else(|| WorkoutRow {
        workout,
        owner,
        started_at: DateTime::default(),
        completed_at: None,
        sets: String::new(),
    });
    row.started_at = change.started_at.map_or(row.started_at, Timestamp::utc);
    if let Some(completed_at) = change.completed_at {
        row.completed_at = completed_at.map(Timestamp::utc);
    }
    if !change.sets.is_empty() || row.sets.is_empty() {
        let mut sets: Sets = match row.sets.as_str() {
            "" => Sets::default(),
            sets => serde_json::from_str(sets).map_err(|e| sqlx::Error::Decode(e.into()))?,
        };
        for (id, _, said) in change.sets {
            match said {
                Said::Logged(values, _) => sets.put(id, values),
                Said::Corrected(values, _) => {
                    sets.remove(id);
                    sets.put(id, values);
                }
                Said::Removed => sets.remove(id),
                Said::Confirmed => {}
            }
        }
        row.sets = serde_json::to_string(&sets).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    }
    Ok(row)
}
