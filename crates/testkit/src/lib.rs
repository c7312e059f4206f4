//! Real servers and the suites that every part must pass.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in the kit fails the test that uses it"
)]

pub mod api;
pub mod collector;
mod database;
mod document;
pub mod issuer;
mod kafka;
pub mod laws;
pub mod mail;
pub mod model;
pub mod oracle;
pub mod process;
pub mod public;
pub mod simulate;
mod watching;
pub mod years;

pub use api::{Answer, Client, Method, PASSWORD, bench, email, http, new_id};
pub use database::{Database, MASTER_KEY};
pub use kafka::{Kafka, prove_complete};
pub use process::{App, BYPASS_KEY, Process, SECRETS, TOKEN_KEY, eventually};
pub use public::prove_chain;
pub use watching::Watching;
