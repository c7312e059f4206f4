//! Writing a batch.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use events::{PlannedExercise, Timestamp, WorkoutDetails, WorkoutRoutine};
use projector::{Tables, row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fold::{Batch, Change, Ending, New, Row, Set, Values};

row! {
    struct WorkoutRow in "workouts" by 2 {
        owner: Uuid,
        workout: Uuid,
        completed: bool,
        started_at: DateTime<Utc>,
        completed_at: Option<DateTime<Utc>>,
        abandoned: bool,
        imported_from: Option<String>,
        details: String,
        feeling: Option<String>,
    }
}

row! {
    struct SetRow in "workout_sets" by 3 {
        workout: Uuid,
        owner: Uuid,
        set_id: Uuid,
        ordinal: i32,
        exercise: String,
        values: String,
        unusual: bool,
    }
}

row! {
    struct NoteRow in "workout_notes" by 3 {
        workout: Uuid,
        owner: Uuid,
        exercise: String,
        noted: String,
    }
}

/// What the details of a workout's row say: what the athlete says of it, and what it follows.
#[derive(Serialize, Deserialize)]
pub(super) struct Details {
    #[serde(flatten)]
    pub(super) said: WorkoutDetails,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) routine: Option<WorkoutRoutine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) plan: Vec<PlannedExercise>,
}

/// The rows that a batch adds, changes and deletes.
#[derive(Default)]
struct Changes {
    new_workouts: Vec<WorkoutRow>,
    changed_workouts: HashMap<(Uuid, Uuid), Change>,
    /// Workout and owner, since that is how sets and notes begin.
    discarded: Vec<(Uuid, Uuid)>,
    new_sets: Vec<SetRow>,
    corrected_sets: Vec<SetRow>,
    confirmed_sets: Vec<(Uuid, Uuid, Uuid)>,
    removed_sets: Vec<(Uuid, Uuid, Uuid)>,
    notes: Vec<NoteRow>,
    emptied_notes: Vec<(Uuid, Uuid, String)>,
}

pub(super) async fn write(batch: Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
    batch.athletes.write(tables).await?;
    batch.weighings.write(tables).await?;
    let mut changes = Changes::default();
    for ((owner, workout), change) in batch.workouts {
        let owner = owner.uuid();
        match change.row {
            Row::Same => {}
            Row::New(new) => changes.new_workouts.push(new_row(owner, workout, new)?),
            Row::Changed(change) => {
                changes.changed_workouts.insert((owner, workout), change);
            }
            Row::Gone => {
                changes.discarded.push((workout, owner));
                continue;
            }
        }
        for (id, set) in change.sets {
            let row = |version: events::Version, Values { set, unusual }: &Values| {
                Ok::<_, sqlx::Error>(SetRow {
                    workout,
                    owner,
                    set_id: id.uuid(),
                    ordinal: version.0,
                    exercise: set.exercise.to_string(),
                    values: json(set)?,
                    unusual: *unusual,
                })
            };
            match set {
                Set::New(version, values) => changes.new_sets.push(row(version, &values)?),
                Set::Corrected(version, values) => {
                    changes.corrected_sets.push(row(version, &values)?);
                }
                Set::Confirmed => changes.confirmed_sets.push((workout, owner, id.uuid())),
                Set::Gone => changes.removed_sets.push((workout, owner, id.uuid())),
            }
        }
        for (exercise, noted) in change.notes {
            let exercise = exercise.to_string();
            if noted.is_empty() {
                changes.emptied_notes.push((workout, owner, exercise));
            } else {
                changes.notes.push(NoteRow { workout, owner, exercise, noted: json(&noted)? });
            }
        }
    }
    changes.write(tables).await
}

impl Changes {
    async fn write(mut self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        tables.insert(self.new_workouts).await?;
        let mut changed: Vec<WorkoutRow> =
            tables.read(self.changed_workouts.keys().copied()).await?;
        for row in &mut changed {
            if let Some(change) = self.changed_workouts.remove(&(row.owner, row.workout)) {
                row.change(change)?;
            }
        }
        tables.upsert(changed).await?;
        tables.delete::<SetRow, _>(self.discarded.iter().copied()).await?;
        tables.delete::<NoteRow, _>(self.discarded.iter().copied()).await?;
        let discarded = self.discarded.into_iter().map(|(workout, owner)| (owner, workout));
        tables.delete::<WorkoutRow, _>(discarded).await?;

        tables.insert(self.new_sets).await?;
        let key = |row: &SetRow| (row.workout, row.owner, row.set_id);
        let logged: Vec<SetRow> = tables.read(self.corrected_sets.iter().map(key)).await?;
        let logged: HashMap<_, i32> = logged.iter().map(|row| (key(row), row.ordinal)).collect();
        for row in &mut self.corrected_sets {
            row.ordinal = logged.get(&key(row)).copied().unwrap_or(row.ordinal);
        }
        tables.upsert(self.corrected_sets).await?;
        let mut confirmed: Vec<SetRow> = tables.read(self.confirmed_sets).await?;
        confirmed.iter_mut().for_each(|row| row.unusual = false);
        tables.upsert(confirmed).await?;
        tables.delete::<SetRow, _>(self.removed_sets).await?;
        tables.upsert(self.notes).await?;
        tables.delete::<NoteRow, _>(self.emptied_notes).await
    }
}

fn new_row(owner: Uuid, workout: Uuid, new: New) -> Result<WorkoutRow, sqlx::Error> {
    let started = new.started;
    let mut row = WorkoutRow {
        owner,
        workout,
        completed: false,
        started_at: started.details.started_at.utc(),
        completed_at: None,
        abandoned: false,
        imported_from: started.imported_from.map(|format| json(&format)).transpose()?,
        details: json(&Details {
            said: started.details,
            routine: started.routine,
            plan: started.plan,
        })?,
        feeling: None,
    };
    row.change(Change { details: None, ending: Some(new.ending) })?;
    Ok(row)
}

impl WorkoutRow {
    fn change(&mut self, change: Change) -> Result<(), sqlx::Error> {
        if let Some(said) = change.details {
            self.started_at = said.started_at.utc();
            let before: Details = serde_json::from_str(&self.details)
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            self.details = json(&Details { said, ..before })?;
        }
        if let Some(Ending { completed_at, abandoned, feeling }) = change.ending {
            self.completed = completed_at.is_some();
            self.abandoned = abandoned.unwrap_or(self.abandoned);
            self.completed_at = completed_at.map(Timestamp::utc);
            self.feeling = feeling.as_ref().map(json).transpose()?;
        }
        Ok(())
    }
}

/// JSON as the events carry it, sealed fields sealed.
fn json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
