//! Leaderboards: who stands where, for everyone, by sex and by weight class?
//!
//! Answers places of the best estimated maximum of each exercise of the library, of the points of the
//! total, and of volume and workouts of a week, a month and ever. Takes registrations and profiles
//! (time zone and sex), weighings, custom exercises, workouts and sets: of completed workouts, those
//! that are not unusual, or confirmed. Rows are as stale as the projector lags.
//!
//! A rank is one more than the athletes with a higher score, so that equals share it. Without Redis it
//! is a sum of counts by steps of the score, and an index range within one step ([`board::step`]).
//! In Redis, each board has a sorted set for each of those that it is shown among ([`mirror`]).
//! What a board looked like at the end of a day is told by the rows of `past`: a row for each day on
//! which a place changed. Nothing depends on when the projector came by, so a replay makes the same.

mod board;
mod fold;
mod lease;
mod live;
mod mirror;
mod places;
mod query;
mod routes;
mod sets;

use projector::{Happened, Projection, Refused, Tables};

pub(crate) use live::Live;
pub use mirror::Mirror;
pub use routes::routes;

/// The projection of leaderboards.
#[derive(Debug, Clone, Copy)]
pub struct Boards;

impl Projection for Boards {
    const NAME: &'static str = "boards";
    const SCHEMA: &'static str = "boards_v1";
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

    type Batch = fold::Batch;

    fn fold(batch: &mut fold::Batch, happened: Happened) -> Result<(), Refused> {
        batch.fold(happened);
        Ok(())
    }

    async fn write(batch: fold::Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        batch.write(tables).await
    }
}
