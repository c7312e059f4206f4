//! Private servers: started and stopped by us, in a folder of ours, reachable by us alone.
//!
//! The one-process mode, the tests and the developer's tools all need a Postgres of their own that
//! never meets one that already runs. Programs installed by the system's packages are found; root,
//! whom Postgres refuses, is stepped down from.

mod account;
mod postgres;

pub use account::Account;
pub use postgres::{NotInstalled, Postgres, Settings};
