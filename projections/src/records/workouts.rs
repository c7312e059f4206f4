//! What records depend on of a workout, before and after events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::records::Typed;
use events::{ExerciseId, SetId, SetKind, SetValues, Timestamp};
use projector::row;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{decode, encode};
use crate::training::{Change, Said};

row! {
    pub(super) struct WorkoutRow in "workouts" by 2 {
        pub(super) workout: Uuid,
        pub(super) owner: Uuid,
        started_at: DateTime<Utc>,
        logged: i64,
        sets: String,
    }
}

/// A workout as records see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Workout {
    pub(super) started_at: Timestamp,
    /// The position of its first event.
    pub(super) logged: i64,
    pub(super) sets: BTreeMap<ExerciseId, Vec<Set>>,
}

/// A set as records see it: `[id, warm-up, microseconds, position, reps, weight, s, m]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Set(
    pub(super) SetId,
    /// Warm-ups stay, for a correction may make them count, at the place at which they were logged.
    pub(super) bool,
    i64,
    pub(super) i64,
    pub(super) Option<u16>,
    pub(super) Option<Typed>,
    pub(super) Option<u32>,
    pub(super) Option<Decimal>,
);

impl Set {
    fn of(id: SetId, logged: i64, values: &SetValues) -> Self {
        Self(
            id,
            values.kind == SetKind::WarmUp,
            values.performed_at.utc().timestamp_micros(),
            logged,
            values.reps.map(|reps| reps.get()),
            values.weight.map(Typed),
            values.duration_seconds.map(|seconds| seconds.get()),
            values.distance_metres.map(|metres| metres.get()),
        )
    }

    pub(super) fn performed_at(&self) -> Timestamp {
        Timestamp::new(DateTime::from_timestamp_micros(self.2).unwrap_or_default())
    }
}

impl Workout {
    pub(super) fn of_row(row: &WorkoutRow) -> Result<Self, sqlx::Error> {
        let started_at = Timestamp::new(row.started_at);
        Ok(Self { started_at, logged: row.logged, sets: decode(&row.sets)? })
    }

    pub(super) fn row(&self, workout: Uuid, owner: Uuid) -> Result<WorkoutRow, sqlx::Error> {
        let (started_at, logged) = (self.started_at.utc(), self.logged);
        Ok(WorkoutRow { workout, owner, started_at, logged, sets: encode(&self.sets)? })
    }

    /// After a change; of a workout that is new, from nothing.
    pub(super) fn after(before: Option<&Self>, change: Change) -> Option<Self> {
        if change.is_gone {
            return None;
        }
        let mut workout = before.cloned().unwrap_or_else(|| Self {
            started_at: Timestamp::new(DateTime::default()),
            logged: change.first.0,
            sets: BTreeMap::new(),
        });
        workout.started_at = change.started_at.unwrap_or(workout.started_at);
        for (id, position, said) in change.sets {
            let logged = workout.remove(id).map_or(position.0, |set| set.3);
            match said {
                Said::Logged(values) => workout.put(id, position.0, &values),
                Said::Corrected(values) => workout.put(id, logged, &values),
                Said::Removed => {}
            }
        }
        Some(workout)
    }

    fn put(&mut self, id: SetId, logged: i64, values: &SetValues) {
        let set = Set::of(id, logged, values);
        self.sets.entry(values.exercise.clone()).or_default().push(set);
    }

    fn remove(&mut self, id: SetId) -> Option<Set> {
        let mut removed = None;
        self.sets.retain(|_, sets| {
            if let Some(index) = sets.iter().position(|set| set.0 == id) {
                removed = Some(sets.remove(index));
            }
            !sets.is_empty()
        });
        removed
    }

    /// The working sets of an exercise.
    pub(super) fn working(&self, exercise: &ExerciseId) -> impl Iterator<Item = &Set> {
        self.sets.get(exercise).into_iter().flatten().filter(|set| !set.1)
    }
}
