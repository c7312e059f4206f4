//! What the queries of all read models need.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use events::{AthleteId, Partition};
use log::{Clock, Database, Keys, Positions};
use projector::{NotReached, Progress, Projection};
use serde_json::json;
use sqlx::PgPool;
use web::{
    Caller, Detail, Error,
    document::{Input, Operation},
};

use crate::MODELS;

/// The header with the position that an answer is to stand at.
const MIN_POSITION: &str = "x-min-position";

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

    /// Waits until a model has reached the position that the reader asked for, if they did.
    pub async fn wait<P: Projection>(&self, reading: &Reading) -> Result<(), Error> {
        let Some(wanted) = &reading.min_position else { return Ok(()) };
        let Some(progress) = self.progress.get(P::SCHEMA) else {
            return Err(Error::internal(format!("{} is not among the models", P::SCHEMA)));
        };
        progress.reach(wanted, PATIENCE).await.map_err(|error| match error {
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

/// Whose rows a request reads, and as of when at least.
#[derive(Debug)]
pub struct Reading {
    pub(crate) owner: AthleteId,
    pub(crate) partition: Partition,
    min_position: Option<Positions>,
}

impl<S: Send + Sync> FromRequestParts<S> for Reading {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let owner = AthleteId::new(caller.athlete).map_err(Error::internal)?;
        let min_position = parts.headers.get(MIN_POSITION).map(|value| {
            let position: Result<Positions, _> = value.to_str().unwrap_or_default().parse();
            position.map_err(|error| {
                Error::validation(vec![Detail::new("X-Min-Position", error.to_string())])
            })
        });
        let min_position = min_position.transpose()?;
        Ok(Self { owner, partition: Partition(caller.partition), min_position })
    }
}

impl Input for Reading {
    fn describe(operation: &mut Operation<'_>) {
        let text = "The position of a command, from `meta.position`: the answer stands there or later. \
                    `503` where that takes long, `409` where the position is not of this log.";
        operation.header("X-Min-Position", text, &json!({ "type": "string" }));
        operation.fails(&[400, 409]);
    }
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
