//! How large the log is, and how it grows: figures that are exact where they can be had cheaply, and
//! say how far they reach where not.

use chrono::TimeDelta;
use events::{Partition, Position, Timestamp};
use serde::Serialize;

use crate::{ReadError, Reader};

/// Of each partition, so many of the newest events have their types counted.
const SAMPLE: i64 = 2000;

/// Figures of a log.
#[derive(Debug)]
pub struct Stats {
    /// By partition.
    pub partitions: Vec<PartitionStats>,
    /// How many of the newest events have their types counted.
    pub sampled: i64,
    /// Their types, the most frequent first.
    pub types: Vec<TypeStats>,
    /// The tables that hold the events.
    pub tables: Vec<TableStats>,
}

/// Figures of a partition; exact.
#[derive(Debug, Serialize)]
pub struct PartitionStats {
    /// Which one.
    pub partition: Partition,
    /// Its last position, and so the number of its events.
    pub position: Position,
    /// Events recorded within the last hour.
    pub last_hour: i64,
    /// Events recorded within the last day.
    pub last_day: i64,
    /// When the last event was recorded.
    pub newest: Option<Timestamp>,
}

/// How often a type occurs among the newest events.
#[derive(Debug, Serialize)]
pub struct TypeStats {
    /// The name of the type.
    #[serde(rename = "type")]
    pub name: String,
    /// The version of the payload.
    #[serde(rename = "type_version")]
    pub version: i16,
    /// So often.
    pub count: i64,
}

/// How large a table of events is, in bytes.
#[derive(Debug, Serialize)]
pub struct TableStats {
    /// Its name.
    pub table: String,
    /// The rows.
    pub rows_bytes: i64,
    /// The indexes.
    pub index_bytes: i64,
}

impl Reader {
    /// The figures of the log at a time.
    pub async fn stats(&self, now: Timestamp) -> Result<Stats, ReadError> {
        let heads = self.heads().await?;
        let ago = |span| now.shifted(span).unwrap_or(now);
        let hour = self.recorded_before(ago(TimeDelta::hours(-1)), &heads).await?;
        let day = self.recorded_before(ago(TimeDelta::days(-1)), &heads).await?;
        let (numbers, positions): (Vec<i16>, Vec<i64>) =
            heads.iter().map(|(partition, position)| (partition.0, position.0)).unzip();
        let newest = sqlx::query!(
            r#"select e.partition, e.recorded_at
               from unnest($1::smallint[], $2::bigint[]) as p (partition, position)
               join log.events e on e.partition = p.partition and e.position = p.position"#,
            &numbers,
            &positions,
        )
        .fetch_all(&self.pool)
        .await?;
        let types = sqlx::query_as!(
            TypeStats,
            r#"select e.type as "name!", e.type_version as "version!", count(*) as "count!"
               from unnest($1::smallint[], $2::bigint[]) as p (partition, position)
               cross join lateral (
                   select type, type_version from log.events
                   where partition = p.partition and position > p.position - $3
                   order by position desc limit $3
               ) e
               group by 1, 2 order by 3 desc, 1, 2"#,
            &numbers,
            &positions,
            SAMPLE,
        )
        .fetch_all(&self.pool)
        .await?;
        let tables = sqlx::query_as!(
            TableStats,
            r#"select c.relname::text as "table!", pg_table_size(c.oid) as "rows_bytes!",
                   pg_indexes_size(c.oid) as "index_bytes!"
               from pg_inherits i join pg_class c on c.oid = i.inhrelid
               where i.inhparent = 'log.events'::regclass
               order by substring(c.relname from '\d+')::int"#
        )
        .fetch_all(&self.pool)
        .await?;
        let partitions = heads.iter().map(|(&partition, &position)| {
            let since = |then: &std::collections::BTreeMap<Partition, Position>| {
                position.0 - then.get(&partition).map_or(0, |then| then.0)
            };
            let newest = newest.iter().find(|row| row.partition == partition.0);
            PartitionStats {
                partition,
                position,
                last_hour: since(&hour),
                last_day: since(&day),
                newest: newest.map(|row| Timestamp::new(row.recorded_at)),
            }
        });
        let sampled = types.iter().map(|kind| kind.count).sum();
        Ok(Stats { partitions: partitions.collect(), sampled, types, tables })
    }
}
