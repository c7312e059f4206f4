//! Reading which workouts go on.

use chrono::{DateTime, Utc};
use events::{AthleteId, Partition, WorkoutId};
use sqlx::PgPool;
use uuid::Uuid;

/// A workout that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenWorkout {
    /// Whose it is.
    pub owner: AthleteId,
    /// The partition of the owner.
    pub partition: Partition,
    /// Which it is.
    pub workout: WorkoutId,
    /// When the log took that it began.
    pub opened_at: DateTime<Utc>,
}

/// A page of the workouts that were opened before a time and go on, the oldest first, after a given
/// one; empty while the model is not built.
pub async fn opened_before(
    pool: &PgPool,
    before: DateTime<Utc>,
    after: Option<OpenWorkout>,
    limit: i64,
) -> Result<Vec<OpenWorkout>, sqlx::Error> {
    let rows = sqlx::query!(
        "select w.owner, w.workout, w.partition, w.opened_at
         from open_v1.model m
         cross join open_v1.workouts w
         where m.built_at is not null and w.opened_at < $1
             and ($2::timestamptz is null or (w.opened_at, w.owner, w.workout) > ($2, $3, $4))
         order by w.opened_at, w.owner, w.workout
         limit $5",
        before,
        after.map(|after| after.opened_at) as Option<DateTime<Utc>>,
        after.map(|after| after.owner.uuid()) as Option<Uuid>,
        after.map(|after| after.workout.uuid()) as Option<Uuid>,
        limit,
    )
    .fetch_all(pool)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        Some(OpenWorkout {
            owner: AthleteId::new(row.owner).ok()?,
            partition: Partition(row.partition),
            workout: WorkoutId::new(row.workout).ok()?,
            opened_at: row.opened_at,
        })
    });
    Ok(known.collect())
}

/// How many workouts go on.
pub async fn count(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from open_v1.workouts"#)
        .fetch_one(pool)
        .await
}
