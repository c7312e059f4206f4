//! The read models, one folder each: tables, fold, queries, routes and tests.

mod context;
pub mod history;
pub mod represent;

pub use context::{Context, database};
