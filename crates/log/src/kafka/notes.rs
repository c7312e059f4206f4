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

/// What a leader's notes are good for: its feed, its term, and the line of history that it reads.
#[derive(Clone, Copy)]
pub(super) struct Lead {
    pub(super) feed: &'static str,
    pub(super) term: i64,
    pub(super) epoch: Epoch,
}

/// How far a partition of the log is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Every event up to here is on Kafka, or has no place there.
    pub(super) position: Position,
    /// The last record of each topic up to there; of none, there is no entry.
    pub(super) records: BTreeMap<String, i64>,
}

/// How far Kafka is behind the log, by a feed, as any process may ask.
pub(super) async fn lag(pool: &PgPool, feed: &str) -> Result<Lag, sqlx::Error> {
    let lag = sqlx::query!(
        r#"select exists (
                   select from log.relay_lease
                   where feed = $1 and expires_at > clock_timestamp()
               ) as "leader!",
               coalesce(sum(coalesce(head.position, 0) - coalesce(published.position, 0)), 0)::bigint
                   as "events!",
               coalesce(extract(epoch from clock_timestamp() - min(next.recorded_at)), 0)::float8
                   as "seconds!"
           from log.partitions p
           left join log.published on published.feed = $1 and published.partition = p.number
           left join lateral (
               select position from log.events
               where partition = p.number order by position desc limit 1
           ) as head on true
           left join log.events as next on next.partition = p.number
               and next.position = coalesce(published.position, 0) + 1"#,
        feed,
    )
    .fetch_one(pool)
    .await?;
    Ok(Lag { leader: lag.leader, events: lag.events, seconds: lag.seconds.max(0.0) })
}

/// The last position of each partition that Kafka has acknowledged, by a feed.
pub(super) async fn published(
    pool: &PgPool,
    feed: &str,
) -> Result<BTreeMap<Partition, Position>, sqlx::Error> {
    let rows = sqlx::query!("select partition, position from log.published where feed = $1", feed)
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|row| (Partition(row.partition), Position(row.position))).collect())
}

/// Puts our term on the notes, so that an earlier leader can write none any more.
pub(super) async fn take_over(
    pool: &PgPool,
    heads: &BTreeMap<Partition, Position>,
    lead: Lead,
) -> Result<BTreeMap<Partition, Mark>, RelayError> {
    let numbers: Vec<i16> = heads.keys().map(|partition| partition.0).collect();
    let rows = sqlx::query!(
        r#"insert into log.published (feed, partition, term, position)
         select $1, partition, $3, 0 from unnest($2::smallint[]) as partition
         on conflict (feed, partition) do update set term = excluded.term
         where published.term <= excluded.term
         returning partition, position, records::text as "records!""#,
        lead.feed,
        &numbers,
        lead.term,
    )
    .fetch_all(pool)
    .await?;
    if rows.len() != heads.len() {
        return Err(RelayError::NotLeading);
    }
    let marks = rows.into_iter().map(|row| {
        let records = serde_json::from_str(&row.records)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok((Partition(row.partition), Mark { position: Position(row.position), records }))
    });
    marks.collect()
}

/// Notes marks as published, if no later leader has taken the notes over, and no restore the log.
pub(super) async fn note(
    pool: &PgPool,
    marks: &BTreeMap<Partition, Mark>,
    lead: Lead,
) -> Result<(), RelayError> {
    let partitions: Vec<i16> = marks.keys().map(|partition| partition.0).collect();
    let positions: Vec<i64> = marks.values().map(|mark| mark.position.0).collect();
    let records: Vec<String> =
        marks.values().map(|mark| serde_json::json!(mark.records).to_string()).collect();
    let noted = sqlx::query!(
        "update log.published
         set position = moved.position, records = moved.records::jsonb,
             updated_at = clock_timestamp()
         from unnest($2::smallint[], $3::bigint[], $4::text[])
             as moved (partition, position, records)
         where published.feed = $1 and published.partition = moved.partition
             and published.term = $5 and published.position <= moved.position
             and (select max(epoch) from log.epochs) = $6",
        lead.feed,
        &partitions,
        &positions,
        &records,
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
