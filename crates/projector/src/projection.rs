//! What an author of a read model writes.

use std::{future::Future, time::Duration};

use events::{AthleteId, Event, Partition, Position, Stream, Timestamp, Version};

use crate::Tables;

/// A read model: what events mean for its rows.
///
/// Rules, so that events of different athletes may arrive in any order with the same result: a
/// row is written only by its owner's partition, and its key holds the owner; `fold` and
/// `write` read no rows of another partition, no clock, no random source and no other model; no
/// unique constraint spans owners.
pub trait Projection: Send + Sync + 'static {
    /// Its name, which stays: `history`.
    const NAME: &'static str;

    /// Name and version, such as `history_v6`: the schema that its tables live in. Other tables or
    /// other event types are a new version.
    const SCHEMA: &'static str;

    /// The tables with their primary keys; names are not qualified, for the runtime says in which
    /// schema they are.
    const TABLES: &'static str;

    /// The other indexes, which a replay makes when the rows are there.
    const INDEXES: &'static str;

    /// The event types it takes; others are passed over.
    const TYPES: &'static [&'static str];

    /// Those of them whose personal fields it needs in clear. What it keeps of them is listed in
    /// `docs/security.md`. A field whose key is gone is erased.
    const OPENS: &'static [&'static str] = &[];

    /// What becomes of an event that cannot be projected.
    const POISON: Poison = Poison::Park;

    /// How often its rows are brought to the present, if they age: then they depend on the events
    /// and on a time, which the checkpoint says ([`Tables::as_of`]) and [`Projection::age`] moves on.
    const AGES: Option<Duration> = None;

    /// Whether it is counted how often the rows of each owner have changed, so that answers made of
    /// them may be kept until they do.
    const REVISED: bool = false;

    /// What a run of events comes to, in memory.
    type Batch: Default + Send;

    /// Takes an event into the batch. Personal fields are sealed. An event that it cannot make
    /// sense of it refuses with the reason, which must not hold what is personal.
    fn fold(batch: &mut Self::Batch, happened: Happened) -> Result<(), Refused>;

    /// Writes the batch: one statement a table and a kind of change, however many events went in.
    /// What it must know of rows that are there it reads the same way. The runtime commits.
    fn write(
        batch: Self::Batch,
        tables: &mut Tables<'_>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Brings the rows of a partition to the time at which they are to stand now,
    /// [`Tables::as_of`], which is later than before. The runtime commits.
    fn age(
        partition: Partition,
        tables: &mut Tables<'_>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        let _ = (partition, tables);
        async { Ok(()) }
    }
}

/// What becomes of an event that cannot be projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// It is set aside with the later events of its owner, until somebody retries or skips it;
    /// everybody else goes on.
    Park,
    /// The model stops there, for a row that is missing would be worse than none.
    Stop,
}

/// Why a projection cannot take an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// An event as a projection takes it.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Whose it is.
    pub owner: AthleteId,
    /// The partition of the owner.
    pub partition: Partition,
    /// Its place in the partition.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: Stream,
    /// Its number within the stream.
    pub version: Version,
    /// When the log took it.
    pub recorded_at: Timestamp,
    /// What happened, at the current version of its type.
    pub event: Event,
}
