//! Records: which of an athlete's sets are the best there ever were?
//!
//! Answers who holds each record of each exercise now, in a window of time and over time. Takes
//! registrations and profiles (for time zones), weighings, custom exercises, workouts, sets, and what was
//! announced of records; a set counts from the moment it is logged, a warm-up never, and whatever is removed, corrected, re-dated, discarded or logged belatedly, the
//! rows are those of a recomputation from scratch. Rows are as stale as the projector lags.
//!
//! The structure is a tree of spans of time with the holders of each ([`domain::records::Best`]). A
//! new set is compared with the holders of its month, year and life: three rows. Only when a holder
//! is lost is its span looked at again: at most the days of a month, the months of a year, and the
//! years. So a set costs the same after five hundred sets as after fifty thousand.

mod announced;
pub mod announcing;
mod fold;
mod query;
mod routes;

use projector::{Happened, Projection, Refused, Tables};

pub(crate) use query::best;
pub use query::{holders, sets_without};
pub use routes::routes;

/// The records projection.
#[derive(Debug, Clone, Copy)]
pub struct Records;

impl Projection for Records {
    const NAME: &'static str = "records";
    const SCHEMA: &'static str = "records_v3";
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
        "PRAchieved",
        "PRRevoked",
        "RecordsRestated",
    ];
    const OPENS: &'static [&'static str] = &["BodyweightMeasured", "BodyweightCorrected"];
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
