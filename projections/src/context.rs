//! What the queries of all read models need.

use std::{collections::HashMap, ops::Deref, sync::Arc, time::Duration};

use log::{Clock, Database, Keys};
use projector::{NotReached, Progress, Projection};
use sqlx::PgPool;
use web::{Error, Redis};

use crate::{
    MODELS,
    boards::Live,
    reading::{Cache, Reading},
};

/// How long a query waits for its model to reach the position that the caller asked for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the queries of all read models need. A clone is another handle: layers make some for every
/// request.
#[derive(Clone)]
pub struct Context(Arc<Means>);

/// What queries are answered with.
#[derive(Clone)]
pub struct Means {
    /// Connections for queries.
    pub pool: PgPool,
    /// Keys of personal data.
    pub keys: Keys,
    /// What is today.
    pub clock: Clock,
    /// Answers that may be given again.
    pub(crate) cache: Cache,
    /// Where boards are, if there is one.
    pub(crate) redis: Option<Redis>,
    /// Who watches which board here.
    pub(crate) live: Live,
    progress: HashMap<&'static str, Progress>,
}

impl Deref for Context {
    type Target = Means;

    fn deref(&self) -> &Means {
        &self.0
    }
}

impl Context {
    /// Queries on a database, of models whose projectors run elsewhere.
    pub fn new(database: &Database, keys: Keys, clock: Clock, redis: Option<Redis>) -> Self {
        let elsewhere =
            MODELS.iter().map(|model| (model.schema, Progress::of(database, model.schema)));
        let progress = elsewhere.collect();
        let cache = Cache::new(redis.clone());
        let (pool, live) = (database.pool.clone(), Live::default());
        Self(Arc::new(Means { pool, keys, clock, cache, redis, live, progress }))
    }

    /// Ends what would go on for ever: streams of those who watch something.
    pub fn stop(&self) {
        self.live.stop();
    }

    /// The same, with models whose projectors run in this process and tell us without a detour.
    pub fn with_progress(mut self, progress: Vec<(&'static str, Progress)>) -> Self {
        Arc::make_mut(&mut self.0).progress.extend(progress);
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

/// What the caller is told where the log has what this program does not know: it is to be updated, and to answer
/// without would be a lie.
pub fn newer_events(error: impl std::fmt::Display) -> Error {
    let message = "what is recorded here was written by a newer version of this server";
    Error::unavailable("NEWER_EVENTS", message, 60).because(error)
}
