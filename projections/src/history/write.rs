//! Writing a batch: one statement a table and a kind of change.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::{Batch, Ending, Set, Workout};

pub(super) async fn write(batch: Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    athletes(&batch, connection).await?;
    exercises(&batch, connection).await?;
    new_workouts(&batch, connection).await?;
    changed_workouts(&batch, connection).await?;
    discarded_workouts(&batch, connection).await?;
    present_sets(&batch, connection).await?;
    removed_sets(&batch, connection).await?;
    present_notes(&batch, connection).await?;
    emptied_notes(&batch, connection).await
}

async fn athletes(batch: &Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if batch.athletes.is_empty() {
        return Ok(());
    }
    let owners: Vec<Uuid> = batch.athletes.keys().map(|owner| owner.uuid()).collect();
    let zones: Vec<String> = batch.athletes.values().map(|zone| zone.0.name().to_owned()).collect();
    sqlx::query!(
        "insert into athletes (owner, time_zone) select * from unnest($1::uuid[], $2::text[])
         on conflict (owner) do update set time_zone = excluded.time_zone",
        &owners,
        &zones,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn exercises(batch: &Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if batch.exercises.is_empty() {
        return Ok(());
    }
    let owners: Vec<Uuid> = batch.exercises.keys().map(|(owner, _)| owner.uuid()).collect();
    let ids: Vec<Uuid> = batch.exercises.keys().map(|(_, id)| *id).collect();
    let created: Vec<String> = batch.exercises.values().map(json).collect::<Result<_, _>>()?;
    sqlx::query!(
        "insert into custom_exercises (owner, exercise, created)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[])
         on conflict (owner, exercise) do update set created = excluded.created",
        &owners,
        &ids,
        &created,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns of workouts, in the order of their keys.
#[derive(Default)]
struct Columns {
    owner: Vec<Uuid>,
    workout: Vec<Uuid>,
    started_at: Vec<Option<DateTime<Utc>>>,
    details: Vec<Option<String>>,
    imported_from: Vec<Option<String>>,
    ending_known: Vec<bool>,
    completed_at: Vec<Option<DateTime<Utc>>>,
    feeling: Vec<Option<String>>,
}

impl Columns {
    fn push_ending(&mut self, ending: Option<&Ending>) -> Result<(), sqlx::Error> {
        self.ending_known.push(ending.is_some());
        self.completed_at.push(ending.and_then(|e| e.completed_at).map(|at| at.utc()));
        self.feeling.push(ending.and_then(|e| e.feeling.as_ref()).map(json).transpose()?);
        Ok(())
    }
}

async fn new_workouts(batch: &Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut columns = Columns::default();
    for ((owner, workout), change) in &batch.workouts {
        let Workout::New(row) = change else { continue };
        columns.owner.push(owner.uuid());
        columns.workout.push(*workout);
        columns.started_at.push(Some(row.details.started_at.utc()));
        columns.details.push(Some(json(&row.details)?));
        let format = row.imported_from.map(|format| json(&format)).transpose()?;
        columns.imported_from.push(format);
        columns.push_ending(Some(&row.ending))?;
    }
    if columns.owner.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into workouts
             (owner, workout, completed, started_at, completed_at, imported_from, details, feeling)
         select owner, workout, completed_at is not null, started_at, completed_at, imported_from,
             details, feeling
         from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[],
             $6::text[], $7::text[])
             as rows (owner, workout, started_at, completed_at, imported_from, details, feeling)",
        &columns.owner,
        &columns.workout,
        &columns.started_at as &[Option<DateTime<Utc>>],
        &columns.completed_at as &[Option<DateTime<Utc>>],
        &columns.imported_from as &[Option<String>],
        &columns.details as &[Option<String>],
        &columns.feeling as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn changed_workouts(batch: &Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut columns = Columns::default();
    for ((owner, workout), change) in &batch.workouts {
        let Workout::Changed(change) = change else { continue };
        columns.owner.push(owner.uuid());
        columns.workout.push(*workout);
        columns.started_at.push(change.details.as_ref().map(|d| d.started_at.utc()));
        columns.details.push(change.details.as_ref().map(json).transpose()?);
        columns.push_ending(change.ending.as_ref())?;
    }
    if columns.owner.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update workouts w
         set started_at = coalesce(c.started_at, w.started_at),
             details = coalesce(c.details, w.details),
             completed = case when c.ending_known then c.completed_at is not null
                 else w.completed end,
             completed_at = case when c.ending_known then c.completed_at else w.completed_at end,
             feeling = case when c.ending_known then c.feeling else w.feeling end
         from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::boolean[],
             $6::timestamptz[], $7::text[])
             as c (owner, workout, started_at, details, ending_known, completed_at, feeling)
         where w.owner = c.owner and w.workout = c.workout",
        &columns.owner,
        &columns.workout,
        &columns.started_at as &[Option<DateTime<Utc>>],
        &columns.details as &[Option<String>],
        &columns.ending_known,
        &columns.completed_at as &[Option<DateTime<Utc>>],
        &columns.feeling as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn discarded_workouts(
    batch: &Batch,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let gone = batch.workouts.iter().filter(|(_, change)| matches!(change, Workout::Gone));
    let (owners, workouts): (Vec<Uuid>, Vec<Uuid>) =
        gone.map(|((owner, workout), _)| (owner.uuid(), *workout)).unzip();
    if owners.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with gone as (
             select * from unnest($1::uuid[], $2::uuid[]) as gone (owner, workout)
         ), sets as (
             delete from workout_sets s using gone
             where s.owner = gone.owner and s.workout = gone.workout
         ), notes as (
             delete from workout_notes n using gone
             where n.owner = gone.owner and n.workout = gone.workout
         )
         delete from workouts w using gone
         where w.owner = gone.owner and w.workout = gone.workout",
        &owners,
        &workouts,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn present_sets(batch: &Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let count = batch.sets.len();
    let mut owners = Vec::with_capacity(count);
    let mut workouts = Vec::with_capacity(count);
    let mut ids = Vec::with_capacity(count);
    let mut ordinals = Vec::with_capacity(count);
    let mut exercises = Vec::with_capacity(count);
    let mut values = Vec::with_capacity(count);
    for ((owner, workout, set_id), change) in &batch.sets {
        let Set::Is(ordinal, set) = change else { continue };
        owners.push(owner.uuid());
        workouts.push(*workout);
        ids.push(set_id.uuid());
        ordinals.push(ordinal.0);
        exercises.push(set.exercise.to_string());
        values.push(json(set)?);
    }
    if owners.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into workout_sets (owner, workout, set_id, ordinal, exercise, values)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[],
             $6::text[])
         on conflict (owner, workout, set_id) do update
         set exercise = excluded.exercise, values = excluded.values",
        &owners,
        &workouts,
        &ids,
        &ordinals,
        &exercises,
        &values,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn removed_sets(batch: &Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut owners = Vec::new();
    let mut workouts = Vec::new();
    let mut ids = Vec::new();
    for ((owner, workout, set_id), change) in &batch.sets {
        if let Set::Gone = change {
            owners.push(owner.uuid());
            workouts.push(*workout);
            ids.push(set_id.uuid());
        }
    }
    if owners.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "delete from workout_sets s
         using unnest($1::uuid[], $2::uuid[], $3::uuid[]) as gone (owner, workout, set_id)
         where s.owner = gone.owner and s.workout = gone.workout and s.set_id = gone.set_id",
        &owners,
        &workouts,
        &ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn present_notes(batch: &Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut owners = Vec::new();
    let mut workouts = Vec::new();
    let mut exercises = Vec::new();
    let mut notes = Vec::new();
    for ((owner, workout, exercise), noted) in &batch.notes {
        if !noted.is_empty() {
            owners.push(owner.uuid());
            workouts.push(*workout);
            exercises.push(exercise.to_string());
            notes.push(json(noted)?);
        }
    }
    if owners.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into workout_notes (owner, workout, exercise, noted)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
         on conflict (owner, workout, exercise) do update set noted = excluded.noted",
        &owners,
        &workouts,
        &exercises,
        &notes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn emptied_notes(batch: &Batch, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut owners = Vec::new();
    let mut workouts = Vec::new();
    let mut exercises = Vec::new();
    for ((owner, workout, exercise), noted) in &batch.notes {
        if noted.is_empty() {
            owners.push(owner.uuid());
            workouts.push(*workout);
            exercises.push(exercise.to_string());
        }
    }
    if owners.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "delete from workout_notes n
         using unnest($1::uuid[], $2::uuid[], $3::text[]) as gone (owner, workout, exercise)
         where n.owner = gone.owner and n.workout = gone.workout and n.exercise = gone.exercise",
        &owners,
        &workouts,
        &exercises,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// JSON as the events carry it, sealed fields sealed.
fn json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
