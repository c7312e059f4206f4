//! Reading the log in bulk: pages of several partitions, by `COPY`.
//!
//! A rebuild of a read model reads everything there is, and most of its time goes into moving bytes.
//! So it leaves out what projections do not take: metadata, and the payloads of other types.

use chrono::DateTime;
use events::{
    AthleteId, Epoch, EventId, Partition, Position, Stream, StreamKind, Timestamp, Version,
};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ReadError;

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

/// Events of one partition, after one position and up to another.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Of which partition.
    pub partition: Partition,
    /// After this position.
    pub after: Position,
    /// Up to this one.
    pub up_to: Position,
}

/// Hands every event of some ranges to `each`: range by range, in the order of positions.
///
/// Each page is a statement of its own, so that a long rebuild keeps no old snapshot. Partitions lie
/// mixed in their tables, in the order in which they were appended: pages that take of all
/// partitions what belongs to the same time read each block of a table once, and pages of one
/// partition alone would read all of them for each.
pub async fn page(
    connection: &mut PgConnection,
    ranges: &[Range],
    types: &[&str],
    mut each: impl FnMut(Raw<'_>),
) -> Result<(), ReadError> {
    // Names of types are the program's own; `COPY` takes no parameters.
    let types: Vec<String> = types.iter().map(|name| format!("'{name}'")).collect();
    let payload = match types.as_slice() {
        [] => "null".to_owned(),
        types => format!("case when type in ({}) then payload end", types.join(", ")),
    };
    let of_range = |Range { partition, after, up_to }: &Range| {
        format!(
            "(select partition, position, epoch, owner, stream_kind, stream_id, version, type,
                 type_version, recorded_at, {payload}
             from log.events
             where partition = {partition} and position > {after} and position <= {up_to}
             order by position)"
        )
    };
    let selects: Vec<String> = ranges.iter().map(of_range).collect();
    if selects.is_empty() {
        return Ok(());
    }
    let statement = format!("copy ({}) to stdout (format binary)", selects.join(" union all "));
    let mut rows = connection.copy_out_raw(&statement).await?;
    let mut last = (ranges[0].partition, ranges[0].after);
    let mut wrong = None;
    let mut begun = false;
    while let Some(bytes) = rows.try_next().await? {
        let mut bytes = &bytes[..];
        if !begun {
            bytes = bytes.get(HEAD..).unwrap_or_default();
            begun = true;
        }
        // The end is a count of -1; the first row may come with the head.
        if bytes.is_empty() || bytes == [0xff, 0xff] || wrong.is_some() {
            continue;
        }
        match parse(bytes) {
            Some(raw) => {
                last = (raw.partition, raw.position);
                each(raw);
            }
            // Read to the end, so that the connection is good for more.
            None => wrong = Some(last),
        }
    }
    match wrong {
        None => Ok(()),
        Some((partition, last)) => Err(ReadError::Corrupt {
            partition,
            position: last.next(),
            what: "it is not a row that this program could have written",
        }),
    }
}

fn parse(bytes: &[u8]) -> Option<Raw<'_>> {
    let mut fields = Fields(bytes.get(2..)?);
    let partition = Partition(fields.small()?);
    let position = Position(fields.number()?);
    let epoch = Epoch(fields.number()?);
    let owner = AthleteId::new(fields.uuid()?).ok()?;
    let kind = StreamKind::from_code(fields.small()?)?;
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
