//! The log: the truth of the system, in Postgres.
//!
//! Every athlete belongs to one partition for ever. Within a partition, positions are dense and in
//! commit order, so that a reader needs one number to know where it stands and can prove that
//! nothing is missing. [`Log::append`] writes, [`Reader`] reads, [`kafka`] carries events to other
//! processes, and [`Keys`] makes personal data forgettable.

mod answers;
mod append;
mod clock;
mod columns;
mod database;
pub mod kafka;
mod keys;
mod lane;
mod pages;
mod peers;
mod positions;
mod random;
mod read;
mod search;
mod shares;
mod stats;
mod truth;
mod wake;

pub use answers::{IdempotencyKey, Keep, Kept};
pub use append::{
    Append, AppendError, Appended, ClientId, Log, MAX_EVENTS, NewEvent, Options, Write,
};
pub use clock::Clock;
pub use database::{Database, MIGRATIONS};
pub use keys::{Keys, MasterKey};
pub use pages::{EventTable, Raw, block_of, event_tables, page};
pub use positions::{InvalidToken, Positions};
pub use random::Random;
pub use read::{ReadError, Reader, Stored};
pub use search::{Filter, Found, MOST_LOOKED_AT, Page, Place, known_type, known_types};
pub use shares::Shares;
pub use stats::{PartitionStats, Stats, TableStats, TypeStats};
pub use wake::Wake;
