//! History: which workouts did an athlete do, and with which sets?
//!
//! Takes the events of registration, custom exercises, workouts, sets and notes. Rows are as stale as the
//! projector lags, usually milliseconds. Discarded workouts and removed sets are gone from it;
//! names, muscles and totals are worked out when it is read, so that re-tagging an exercise leaves
//! nothing stale.

mod fold;
mod query;
mod routes;
mod write;

use projector::{Happened, Projection, Refused, Tables};

pub(crate) use query::some;
pub use routes::routes;

/// The history projection.
#[derive(Debug, Clone, Copy)]
pub struct History;

impl Projection for History {
    const NAME: &'static str = "history";
    const SCHEMA: &'static str = "history_v6";
    const TABLES: &'static str = include_str!("schema.sql");
    const INDEXES: &'static str = include_str!("indexes.sql");
    const TYPES: &'static [&'static str] = &[
        "AthleteRegistered",
        "ProfileChanged",
        "BodyweightMeasured",
        "BodyweightCorrected",
        "BodyweightRemoved",
        "CustomExerciseCreated",
        "WorkoutStarted",
        "WorkoutDetailsChanged",
        "SetLogged",
        "SetCorrected",
        "SetConfirmed",
        "SetRemoved",
        "ExerciseNoted",
        "WorkoutCompleted",
        "WorkoutDiscarded",
    ];
    const REVISED: bool = true;

    type Batch = fold::Batch;

    fn fold(batch: &mut fold::Batch, happened: Happened) -> Result<(), Refused> {
        batch.fold(happened);
        Ok(())
    }

    async fn write(batch: fold::Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        write::write(batch, tables).await
    }
}
