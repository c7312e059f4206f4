//! How far a projection has read: one row for each partition, in the schema of its rows.
//!
//! Names here are not qualified: a projector's connections have the schema as their search path.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{Epoch, Partition, Position};
use sqlx::{PgConnection, PgExecutor};

/// How far a projection has read in one partition, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) generation: i32,
    pub(crate) epoch: Epoch,
    pub(crate) position: Position,
    /// Identity of the event at the position; empty before the first.
    pub(crate) last_event: String,
    /// The time at which the rows stand; what is in memory may be older than what is true.
    pub(crate) as_of: DateTime<Utc>,
}

pub(crate) type Checkpoints = BTreeMap<Partition, Checkpoint>;

/// Reads where a projection stands.
pub(crate) async fn load(database: impl PgExecutor<'_>) -> Result<Checkpoints, sqlx::Error> {
    let rows = sqlx::query!(
        "select partition, generation, epoch, position, last_event, as_of from checkpoints"
    )
    .fetch_all(database)
    .await?;
    let checkpoints = rows.into_iter().map(|row| {
        let checkpoint = Checkpoint {
            generation: row.generation,
            epoch: Epoch(row.epoch),
            position: Position(row.position),
            last_event: row.last_event,
            as_of: row.as_of,
        };
        (Partition(row.partition), checkpoint)
    });
    Ok(checkpoints.collect())
}

/// Makes the rows of partitions that have none; the rows of the model stand at a time.
pub(crate) async fn create(
    connection: &mut PgConnection,
    partitions: &[Partition],
    epoch: Epoch,
    as_of: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let partitions: Vec<i16> = partitions.iter().map(|partition| partition.0).collect();
    sqlx::query!(
        "insert into checkpoints (partition, generation, epoch, position, last_event, as_of)
         select partition, 1, $2, 0, '', $3 from unnest($1::smallint[]) as partition
         on conflict do nothing",
        &partitions,
        epoch.0,
        as_of,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the checkpoints on, if they and the log's line of history are all where the caller
/// believes them to be, and answers at which time the rows stand; time never goes back. Nothing when
/// anything else has moved: then the caller must roll back.
///
/// The commit does not wait for the disk: a crash of Postgres takes rows and checkpoint back
/// together, and what is lost is projected again.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    log_epoch: Epoch,
    from: &Checkpoints,
    to: &Checkpoints,
) -> Result<Option<BTreeMap<Partition, DateTime<Utc>>>, sqlx::Error> {
    let partitions: Vec<i16> = to.keys().map(|partition| partition.0).collect();
    let believed = |f: fn(&Checkpoint) -> i64| -> Vec<i64> {
        to.keys().map(|partition| from.get(partition).map_or(-1, f)).collect()
    };
    let moved = sqlx::query!(
        r#"with moved as (
               update checkpoints c
               set position = b.position, epoch = b.epoch, last_event = b.last_event,
                   as_of = greatest(c.as_of, b.as_of), updated_at = clock_timestamp()
               from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                   $6::text[], $8::timestamptz[])
                   as b (partition, generation, believed, position, epoch, last_event, as_of)
               where c.partition = b.partition
                   and c.generation = b.generation and c.position = b.believed
                   and (select max(epoch) from log.epochs) = $7
               returning c.partition, c.as_of
           )
           select partition as "partition!", as_of as "as_of!",
               set_config('synchronous_commit', 'off', true) as synchronous_commit
           from moved"#,
        &partitions,
        &believed(|checkpoint| checkpoint.generation.into()),
        &believed(|checkpoint| checkpoint.position.0),
        &to.values().map(|checkpoint| checkpoint.position.0).collect::<Vec<i64>>(),
        &to.values().map(|checkpoint| checkpoint.epoch.0).collect::<Vec<i64>>(),
        &to.values().map(|checkpoint| checkpoint.last_event.clone()).collect::<Vec<String>>(),
        log_epoch.0,
        &to.values().map(|checkpoint| checkpoint.as_of).collect::<Vec<DateTime<Utc>>>(),
    )
    .fetch_all(connection)
    .await?;
    let as_of = moved.into_iter().map(|row| (Partition(row.partition), row.as_of));
    let as_of: BTreeMap<Partition, DateTime<Utc>> = as_of.collect();
    Ok((as_of.len() == to.len()).then_some(as_of))
}
