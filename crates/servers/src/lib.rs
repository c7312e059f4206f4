//! Private servers: started and stopped by us, in a folder of ours, reachable by us alone.
//!
//! The one-process mode, the tests and the developer's tools need a Postgres, the latter two also
//! a Kafka and a Redis, of their own that never meet one that already runs. Programs installed by
//! the system's packages are found; root, whom Postgres refuses, is stepped down from.

mod account;
mod kafka;
mod ports;
mod postgres;
mod process;
mod programs;
mod redis;

pub use account::Account;
pub use kafka::Kafka;
pub use postgres::Postgres;
pub use programs::NotInstalled;
pub use redis::Redis;

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// What is answered is on disk.
    Durable,
    /// The same with memory as on a machine that it has for itself: for measurements.
    Dedicated,
    /// Fast and forgetful, for tests.
    Fleeting,
}
