//! Real servers and the suites that every part must pass.

#![expect(clippy::expect_used, reason = "what goes wrong in the kit fails the test that uses it")]

mod database;

pub use database::{Database, MASTER_KEY};
