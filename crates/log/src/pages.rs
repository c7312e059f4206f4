//! Reading the log in bulk: block by block, by `COPY`.
//!
//! A rebuild of a read model reads everything there is, and most of its time goes into moving bytes.
//! So it leaves out what projections do not take: metadata, and the payloads of other types. And it
//! reads tables as they lie on the disk, which costs Postgres little more than half of what an index
//! costs it: partitions lie mixed in their tables, and an index leads from block to block for every
//! event. Events lie in the order in which they were appended, but for the few that took the room of
//! a failed append.

use std::{collections::BTreeMap, ops::Range};

use chrono::DateTime;
use events::{
    AthleteId, Epoch, EventId, Partition, Position, Stream, StreamKind, Timestamp, Version,
};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    ReadError,
    append::{PARTITIONS_OF_A_TABLE, table_of},
};

/// Microseconds of the year 2000, where Postgres' binary times begin.
const YEAR_2000: i64 = 946_684_800_000_000;

/// What starts a binary `COPY`: a signature, flags, and the length of an extension.
const HEAD: usize = 19;

/// An event in a page.
#[derive(Debug)]
pub struct Raw<'a> {
    /// The partition of its owner.
    pub partition: Partition,
    /// Its place in the partition.
    pub position: Position,
    /// The line of history in which it was recorded.
    pub epoch: Epoch,
    /// Owner, stream and version.
    pub id: EventId,
    /// The name of its type.
    pub kind: &'a str,
    /// The version of its payload.
    pub kind_version: i16,
    /// When the log took it.
    pub recorded_at: Timestamp,
    /// JSON text of the payload, for the types that were asked for.
    pub payload: Option<&'a str>,
}

/// A table that events lie in.
#[derive(Debug, Clone)]
pub struct EventTable {
    name: String,
    /// Whose events may lie in it.
    pub partitions: Vec<Partition>,
    /// How long it is.
    pub blocks: i64,
}

/// The tables that the events of some partitions lie in, as long as they are now.
pub async fn event_tables(
    connection: &mut PgConnection,
    partitions: impl IntoIterator<Item = Partition>,
) -> Result<Vec<EventTable>, ReadError> {
    let mut all: BTreeMap<usize, Vec<Partition>> = BTreeMap::new();
    for partition in partitions {
        all.entry(table_of(partition)).or_default().push(partition);
    }
    let mut tables = Vec::with_capacity(all.len());
    for (number, partitions) in all {
        let first = number * PARTITIONS_OF_A_TABLE.unsigned_abs() as usize;
        let last = first + PARTITIONS_OF_A_TABLE.unsigned_abs() as usize - 1;
        let name = format!("log.events_{first}_to_{last}");
        let blocks = sqlx::query_scalar!(
            r#"select pg_relation_size($1::text::regclass)
                   / current_setting('block_size')::bigint as "blocks!""#,
            name
        )
        .fetch_one(&mut *connection)
        .await?;
        tables.push(EventTable { name, partitions, blocks });
    }
    Ok(tables)
}

/// The block of its table that an event lies in; none if there is no such event.
pub async fn block_of(
    connection: &mut PgConnection,
    partition: Partition,
    position: Position,
) -> Result<Option<i64>, ReadError> {
    let block = sqlx::query_scalar!(
        r#"select (ctid::text::point)[0]::bigint as "block!" from log.events
           where partition = $1 and position = $2"#,
        partition.0,
        position.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(block)
}

/// Hands every event of some blocks of a table to `each`, as they lie there. Each page is a statement
/// of its own, so that a long rebuild keeps no old snapshot.
pub async fn page(
    connection: &mut PgConnection,
    table: &EventTable,
    blocks: Range<i64>,
    types: &[&str],
    mut each: impl FnMut(Raw<'_>),
) -> Result<(), ReadError> {
    // Names of types are the program's own; `COPY` takes no parameters.
    let types: Vec<String> = types.iter().map(|name| format!("'{name}'")).collect();
    let payload = match types.as_slice() {
        [] => "null".to_owned(),
        types => format!("case when type in ({}) then payload end", types.join(", ")),
    };
    let statement = format!(
        "copy (
             select partition, position, epoch, owner, stream_kind, stream_id, version, type,
                 type_version, recorded_at, {payload}
             from {}
             where ctid >= '({},0)'::tid and ctid < '({},0)'::tid
         ) to stdout (format binary)",
        table.name, blocks.start, blocks.end,
    );
    let mut rows = connection.copy_out_raw(&statement).await?;
    let mut is_wrong = false;
    let mut begun = false;
    while let Some(bytes) = rows.try_next().await? {
        let mut bytes = &bytes[..];
        if !begun {
            bytes = bytes.get(HEAD..).unwrap_or_default();
            begun = true;
        }
        // The end is a count of -1; the first row may come with the head.
        if bytes.is_empty() || bytes == [0xff, 0xff] {
            continue;
        }
        match parse(bytes) {
            Some(raw) => each(raw),
            // Read to the end, so that the connection is good for more.
            None => is_wrong = true,
        }
    }
    if is_wrong {
        tracing::warn!(table = table.name, ?blocks, "a row that no program of ours has written");
    }
    Ok(())
}

fn parse(bytes: &[u8]) -> Option<Raw<'_>> {
    let mut fields = Fields(bytes.get(2..)?);
    let partition = Partition(fields.small()?);
    let position = Position(fields.number()?);
    let epoch = Epoch(fields.number()?);
    let owner = AthleteId::new(fields.uuid()?).ok()?;
    let kind = StreamKind::from_code(fields.small()?);
    let stream = Stream { kind, id: fields.uuid()? };
    let version = Version(i32::from_be_bytes(fields.next()??.try_into().ok()?));
    let name = std::str::from_utf8(fields.next()??).ok()?;
    let kind_version = fields.small()?;
    let recorded_at = DateTime::from_timestamp_micros(fields.number()?.checked_add(YEAR_2000)?)?;
    let payload = match fields.next()? {
        None => None,
        Some(text) => Some(std::str::from_utf8(text).ok()?),
    };
    Some(Raw {
        partition,
        position,
        epoch,
        id: EventId { owner, stream, version },
        kind: name,
        kind_version,
        recorded_at: Timestamp::new(recorded_at),
        payload,
    })
}

/// Columns of a binary row, each behind its length.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next column; `Some(None)` is a null.
    fn next(&mut self) -> Option<Option<&'a [u8]>> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            self.0 = rest;
            return Some(None);
        };
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(field))
    }

    fn number(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.next()??.try_into().ok()?))
    }

    fn small(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.next()??.try_into().ok()?))
    }

    fn uuid(&mut self) -> Option<Uuid> {
        Uuid::from_slice(self.next()??).ok()
    }
}
