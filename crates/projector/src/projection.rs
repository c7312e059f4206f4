//! What an author of a read model writes.

use std::future::Future;

use events::Recorded;
use sqlx::PgConnection;

/// A read model: what events mean for its rows.
///
/// Rules, so that events of different athletes may arrive in any order with the same result: a
/// row is written only by its owner's partition, and its key starts with the owner; `fold` and
/// `write` read no rows of another partition, no clock, no random source and no other model; no
/// unique constraint spans owners.
pub trait Projection: Send + Sync + 'static {
    /// Name and version of the model, such as `history_v2`: the schema that its tables live in.
    /// A changed shape is a new version.
    const SCHEMA: &'static str;

    /// The tables and indexes, with names that are not qualified: the runtime says in which
    /// schema they are.
    const DDL: &'static str;

    /// The event types it takes; others are passed over.
    const TYPES: &'static [&'static str];

    /// What a run of events comes to, in memory.
    type Batch: Default + Send;

    /// Takes an event into the batch. Personal fields are sealed.
    fn fold(batch: &mut Self::Batch, event: Recorded);

    /// Writes the batch: one statement a table and a kind of change, however many events went in.
    /// Table names are not qualified. The runtime commits.
    fn write(
        batch: Self::Batch,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}
