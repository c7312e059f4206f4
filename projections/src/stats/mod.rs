//! Stats: how much and how regularly does an athlete train?
//!
//! Answers sums over a period, per day, week or month, per exercise and per muscle, and streaks.
//! Takes registrations, custom exercises, workouts and sets; only completed workouts count, from
//! the moment they are completed, and warm-ups never do. Rows are as stale as the projector lags. A
//! workout belongs to the local day on which it began, in the athlete's time zone as it is when
//! the question is asked.

mod fold;
mod query;
mod routes;

use projector::{Happened, Projection, Refused, Tables};

pub use routes::routes;

/// The stats projection.
#[derive(Debug, Clone, Copy)]
pub struct Stats;

impl Projection for Stats {
    const NAME: &'static str = "stats";
    const SCHEMA: &'static str = "stats_v3";
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
        "SetRemoved",
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
        batch.write(tables).await
    }
}
