//! Coaching: whom does an athlete coach, and who coaches them?
//!
//! Answers lists for both sides, invitations that wait included. Takes what was said in `coaching-…` streams,
//! by either side. Rows are as stale as the projector lags: whether a coach may act is read from the log.

mod fold;
mod query;
mod routes;

use projector::{Happened, Projection, Refused, Tables};

pub use routes::routes;

/// The coaching projection.
#[derive(Debug, Clone, Copy)]
pub struct Coaching;

impl Projection for Coaching {
    const NAME: &'static str = "coaching";
    const SCHEMA: &'static str = "coaching_v1";
    const TABLES: &'static str = include_str!("schema.sql");
    const INDEXES: &'static str = include_str!("indexes.sql");
    const TYPES: &'static [&'static str] = &["CoachInvited", "CoachAccepted", "CoachingEnded"];

    type Batch = fold::Batch;

    fn fold(batch: &mut fold::Batch, happened: Happened) -> Result<(), Refused> {
        batch.fold(happened);
        Ok(())
    }

    async fn write(batch: fold::Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        batch.write(tables).await
    }
}
