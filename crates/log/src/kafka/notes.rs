//! What is noted in Postgres of what Kafka has: how far each partition is published, and by whom.

use std::collections::BTreeMap;

use events::{Epoch, Partition, Position};
use sqlx::PgPool;

use super::RelayError;

/// How far Kafka is behind the log.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Lag {
    /// Whether a relay has the lead.
    pub leader: bool,
    /// Events on the log that Kafka has not acknowledged.
    pub events: i64,
    /// Age of the oldest of them, in seconds; 0 when there is none.
    pub seconds: f64,
}

/// What a leader's notes are good for: its term, and the line of history that it reads.
#[derive(Clone, Copy)]
pub(super) struct Lead {
    pub(super) term: i64,
    pub(super) epoch: Epoch,
}

/// How far Kafka is behind the log, as any process may ask.
pub async fn lag(pool: &PgPool) -> Result<Lag, sqlx::Error> {
    let lag = sqlx::query!(
        r#"select exists (
                   select from log.relay_lease where expires_at > clock_timestamp()
               ) as "leader!",
               coalesce(sum(coalesce(head.position, 0) - coalesce(published.position, 0)), 0)::bigint
                   as "events!",
               coalesce(extract(epoch from clock_timestamp() - min(next.recorded_at)), 0)::float8
                   as "seconds!"
           from log.partitions p
           left join log.published on published.partition = p.number
           left join lateral (
               select position from log.events
               where partition = p.number order by position desc limit 1
           ) as head on true
           left join log.events as next on next.partition = p.number
               and next.position = coalesce(published.position, 0) + 1"#
    )
    .fetch_one(pool)
    .await?;
    Ok(Lag { leader: lag.leader, events: lag.events, seconds: lag.seconds.max(0.0) })
}

/// The last position of each partition that Kafka has acknowledged.
pub async fn published(pool: &PgPool) -> Result<BTreeMap<Partition, Position>, sqlx::Error> {
    let rows =
        sqlx::query!("select partition, position from log.published").fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (Partition(row.partition), Position(row.position))).collect())
}

/// Puts our term on the notes, so that an earlier leader can write none any more.
pub(super) async fn take_over(
    pool: &PgPool,
    heads: &BTreeMap<Partition, Position>,
    lead: Lead,
) -> Result<BTreeMap<Partition, Position>, RelayError> {
    let numbers: Vec<i16> = heads.keys().map(|partition| partition.0).collect();
    let rows = sqlx::query!(
        "insert into log.published (partition, term, position)
         select partition, $2, 0 from unnest($1::smallint[]) as partition
         on conflict (partition) do update set term = excluded.term
         where published.term <= excluded.term
         returning partition, position",
        &numbers,
        lead.term,
    )
    .fetch_all(pool)
    .await?;
    if rows.len() != heads.len() {
        return Err(RelayError::NotLeading);
    }
    Ok(rows.into_iter().map(|row| (Partition(row.partition), Position(row.position))).collect())
}

/// Notes positions as published, if no later leader has taken the notes over, and no restore the
/// log.
pub(super) async fn note(
    pool: &PgPool,
    positions: &BTreeMap<Partition, Position>,
    lead: Lead,
) -> Result<(), RelayError> {
    let partitions: Vec<i16> = positions.keys().map(|partition| partition.0).collect();
    let positions: Vec<i64> = positions.values().map(|position| position.0).collect();
    let noted = sqlx::query!(
        "update log.published
         set position = moved.position, updated_at = clock_timestamp()
         from unnest($1::smallint[], $2::bigint[]) as moved (partition, position)
         where published.partition = moved.partition and published.term = $3
             and published.position <= moved.position
             and (select max(epoch) from log.epochs) = $4",
        &partitions,
        &positions,
        lead.term,
        lead.epoch.0,
    )
    .execute(pool)
    .await?;
    if noted.rows_affected() != partitions.len() as u64 {
        return Err(RelayError::NotLeading);
    }
    Ok(())
}
