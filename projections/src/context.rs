//! What the queries of all read models need.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::http::HeaderMap;
use events::{AthleteId, Partition};
use log::{Clock, Database, Keys, Positions};
use projector::{NotReached, Progress, Projection};
use sqlx::PgPool;
use web::{Caller, Detail, Error};

use crate::MODELS;

/// How long a query waits for its model to reach the position that the caller asked for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the queries of all read models need.
#[derive(Clone)]
pub struct Context {
    /// Connections for queries.
    pub pool: PgPool,
    /// Keys of personal data.
    pub keys: Keys,
    /// What is today.
    pub clock: Clock,
    progress: Arc<HashMap<&'static str, Progress>>,
}

impl Context {
    /// Queries on a database, of models whose projectors run elsewhere.
    pub fn new(database: &Database, keys: Keys, clock: Clock) -> Self {
        let elsewhere =
            MODELS.iter().map(|model| (model.schema, Progress::of(database, model.schema)));
        let progress = Arc::new(elsewhere.collect());
        Self { pool: database.pool.clone(), keys, clock, progress }
    }

    /// The same, with models whose projectors run in this process and tell us without a detour.
    pub fn with_progress(mut self, progress: Vec<(&'static str, Progress)>) -> Self {
        Arc::make_mut(&mut self.progress).extend(progress);
        self
    }

    /// Waits until a model has reached the position of the `X-Min-Position` header, if there is
    /// one.
    pub async fn wait<P: Projection>(&self, headers: &HeaderMap) -> Result<(), Error> {
        let Some(value) = headers.get("x-min-position") else { return Ok(()) };
        let wanted: Positions = value.to_str().unwrap_or_default().parse().map_err(|error| {
            Error::validation(vec![Detail::new("X-Min-Position", format!("{error}"))])
        })?;
        let Some(progress) = self.progress.get(P::SCHEMA) else {
            return Err(Error::internal(format!("{} is not among the models", P::SCHEMA)));
        };
        progress.reach(&wanted, PATIENCE).await.map_err(|error| match error {
            NotReached::Yet => Error::unavailable(
                "POSITION_NOT_REACHED",
                "the answer does not stand at the position asked for yet",
                1,
            ),
            NotReached::OtherHistory => Error::conflict(
                "POSITION_UNKNOWN",
                "the position is from before the log was restored, or not from this log",
            ),
            NotReached::Database(error) => database(error),
        })
    }
}

/// The athlete and partition of a caller.
pub(crate) fn athlete(caller: &Caller) -> Result<(AthleteId, Partition), Error> {
    let athlete = AthleteId::new(caller.athlete).map_err(Error::internal)?;
    Ok((athlete, Partition(caller.partition)))
}

/// What the caller is told of a query that failed: 503 when Postgres is away, or the model is not built yet; else our fault.
pub fn database(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|error| error.code().map(String::from));
    match (&error, code.as_deref()) {
        (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed, _) => {
            Error::unavailable("DATABASE_UNAVAILABLE", "the database is away", 1).because(error)
        }
        (_, Some("42P01" | "3F000")) => {
            Error::unavailable("NOT_BUILT", "the read model is not built yet", 5).because(error)
        }
        (_, Some(code)) if code.starts_with("57") => {
            Error::unavailable("DATABASE_UNAVAILABLE", "the database is away", 1).because(error)
        }
        _ => Error::internal(error),
    }
}
