//! What a run of events comes to: workouts with what counts of their sets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{AthleteId, Event, ExerciseId, Number, SetId, SetKind, SetValues, Timestamp};
use projector::{Happened, Tables, row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::athlete::Athletes;

row! {
    struct WorkoutRow in "workouts" by 2 {
        workout: Uuid,
        owner: Uuid,
        started_at: DateTime<Utc>,
        completed_at: Option<DateTime<Utc>>,
        sets: String,
    }
}

/// What counts of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) id: SetId,
    pub(super) exercise: ExerciseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reps: Option<u16>,
    /// Exact, in kg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kg: Option<Number>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) warm_up: bool,
}

impl Counted {
    fn of(id: SetId, set: SetValues) -> Self {
        Self {
            id,
            exercise: set.exercise,
            reps: set.reps.map(|reps| reps.get()),
            kg: set.weight.map(|weight| Number(weight.kg())),
            warm_up: set.kind == SetKind::WarmUp,
        }
    }
}

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    athletes: Athletes,
    workouts: BTreeMap<(Uuid, AthleteId), Change>,
}

/// The changes of a workout.
#[derive(Default)]
struct Change {
    is_new: bool,
    is_gone: bool,
    started_at: Option<Timestamp>,
    completed_at: Option<Option<Timestamp>>,
    /// In their order; without values, a set goes.
    sets: Vec<(SetId, Option<SetValues>)>,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        let owner = happened.owner;
        let key = (happened.stream.id, owner);
        match happened.event {
            Event::AthleteRegistered(registered) => self.athletes.registered(owner, registered),
            Event::CustomExerciseCreated(created) => self.athletes.created(owner, created),
            Event::WorkoutStarted(started) => {
                let workout = self.workout(key);
                workout.is_new = true;
                workout.started_at = Some(started.details.started_at);
            }
            Event::WorkoutDetailsChanged(changed) => {
                let workout = self.workout(key);
                workout.started_at = Some(changed.details.started_at);
                workout.completed_at = Some(changed.completed_at);
            }
            Event::WorkoutCompleted(completed) => {
                self.workout(key).completed_at = Some(Some(completed.completed_at));
            }
            Event::WorkoutDiscarded(_) => self.workout(key).is_gone = true,
            Event::SetLogged(logged) => {
                self.workout(key).sets.push((logged.set_id, Some(logged.set)));
            }
            Event::SetCorrected(corrected) => {
                self.workout(key).sets.push((corrected.set_id, Some(corrected.set)));
            }
            Event::SetRemoved(removed) => self.workout(key).sets.push((removed.set_id, None)),
            Event::ExerciseNoted(_) | Event::AuditRead(_) => {}
        }
    }

    fn workout(&mut self, key: (Uuid, AthleteId)) -> &mut Change {
        self.workouts.entry(key).or_default()
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        self.athletes.write(tables).await?;
        let (mut new, mut gone, mut changed) = (Vec::new(), Vec::new(), BTreeMap::new());
        for ((workout, owner), change) in self.workouts {
            let key = (workout, owner.uuid());
            match (change.is_new, change.is_gone) {
                (true, true) => {}
                (false, true) => gone.push(key),
                (true, false) => new.push(change.apply(None, key)?),
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
                after.push(change.apply(Some(row), key)?);
            }
        }
        tables.upsert(after).await?;
        tables.delete::<WorkoutRow, _>(gone).await
    }
}

impl Change {
    /// The row after the changes.
    fn apply(
        self,
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
        row.started_at = self.started_at.map_or(row.started_at, Timestamp::utc);
        if let Some(completed_at) = self.completed_at {
            row.completed_at = completed_at.map(Timestamp::utc);
        }
        if !self.sets.is_empty() || row.sets.is_empty() {
            let mut sets: Vec<Counted> = match row.sets.as_str() {
                "" => Vec::with_capacity(self.sets.len()),
                sets => serde_json::from_str(sets).map_err(|e| sqlx::Error::Decode(e.into()))?,
            };
            for (id, values) in self.sets {
                let at = sets.iter().rposition(|set| set.id == id);
                match (at, values) {
                    (None, Some(values)) => sets.push(Counted::of(id, values)),
                    (Some(at), Some(values)) => sets[at] = Counted::of(id, values),
                    (Some(at), None) => drop(sets.remove(at)),
                    (None, None) => {}
                }
            }
            row.sets =
                serde_json::to_string(&sets).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
        }
        Ok(row)
    }
}
