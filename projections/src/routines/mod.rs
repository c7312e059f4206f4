//! Routines: which routines does an athlete have, and which of others do they like?
//!
//! Takes profiles, for who is private, and everything of `routine-…`, `folders-…` and `likes-…` streams.
//! Rows are as stale as the projector lags: what a routine says, and whether it may be seen, is asked of
//! the log where one is named. Likes are rows of who likes, and are counted when they are read.

mod fold;
mod query;
mod routes;

use projector::{Happened, Projection, Refused, Tables};

pub use query::{Page, Place, Shared, count, public};
pub use routes::routes;

/// The routines projection.
#[derive(Debug, Clone, Copy)]
pub struct Routines;

impl Projection for Routines {
    const NAME: &'static str = "routines";
    const SCHEMA: &'static str = "routines_v1";
    const TABLES: &'static str = include_str!("schema.sql");
    const INDEXES: &'static str = include_str!("indexes.sql");
    const TYPES: &'static [&'static str] = &[
        "AthleteRegistered",
        "ProfileChanged",
        "RoutineCreated",
        "RoutineChanged",
        "RoutineDeleted",
        "RoutineFolderCreated",
        "RoutineFolderDeleted",
        "RoutineLiked",
        "RoutineUnliked",
    ];

    type Batch = fold::Batch;

    fn fold(batch: &mut fold::Batch, happened: Happened) -> Result<(), Refused> {
        batch.fold(happened);
        Ok(())
    }

    async fn write(batch: fold::Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        batch.write(tables).await
    }
}
