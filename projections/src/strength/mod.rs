//! Strength: how strong is an athlete now, and how many are as strong?
//!
//! Answers the working maximum of each exercise, of what was done in the last thirty days, and how many
//! athletes have less. Takes registrations and profiles (time zone and sex), weighings, custom
//! exercises, workouts and sets; as all stats, of completed workouts alone. Rows are as stale as the
//! projector lags, and what ages counts for half a minute longer at most.
//!
//! What others are held against is a histogram of the working maxima in two steps: how many athletes
//! there are by four kilograms, and how many by each gram. An athlete whose maximum changes leaves one
//! place in it and takes another; a percentile is exact, and costs the steps below and one step's grams.

mod fold;
mod histogram;
mod lately;
mod query;
mod routes;

use std::time::Duration;

use events::Partition;
use projector::{Happened, Projection, Refused, Tables};

pub use routes::routes;

/// The strength projection.
#[derive(Debug, Clone, Copy)]
pub struct Strength;

impl Projection for Strength {
    const NAME: &'static str = "strength";
    const SCHEMA: &'static str = "strength_v1";
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
        "WorkoutCompleted",
        "WorkoutDiscarded",
    ];
    const OPENS: &'static [&'static str] =
        &["ProfileChanged", "BodyweightMeasured", "BodyweightCorrected"];
    const AGES: Option<Duration> = Some(Duration::from_secs(30));

    type Batch = fold::Batch;

    fn fold(batch: &mut fold::Batch, happened: Happened) -> Result<(), Refused> {
        batch.fold(happened);
        Ok(())
    }

    async fn write(batch: fold::Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        batch.write(tables).await
    }

    async fn age(partition: Partition, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        lately::age(partition, tables).await
    }
}
