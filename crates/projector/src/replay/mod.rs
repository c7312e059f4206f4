//! Rebuilding a read model beside the live one, and putting it in its place.
//!
//! The shadow is a schema of its own with checkpoints of its own, and so every step commits where
//! it got to: whoever is killed goes on there. It is loaded from the log by `COPY`, gets its
//! indexes when the rows are there, is brought to where the live one is, compared with it if
//! asked, and swapped in by one transaction that renames both.

mod compare;
mod load;
mod step;
mod swap;
mod turn;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use events::{Partition, Position, Timestamp};
use log::{Clock, Database, Keys, Reader};
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use load::Pace;
use step::Told;
use turn::{Earlier, unlock};

pub use compare::Difference;
pub use step::{Phase, Step};
pub use turn::program;

use crate::{Error, Projection, Projector, batch::Standing, checkpoint, parking, schema};

/// So far behind, the last steps to the live model's place are taken while it waits.
const NEAR: usize = 500;

/// Events of one partition in one step of catching up.
const STEP: usize = 2_000;

/// How a replay is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Partitions that are loaded at the same time.
    pub workers: usize,
    /// Events a second at most, all workers together.
    pub throttle: Option<u32>,
    /// Whether the new rows are compared with the live ones before the swap.
    pub verify: bool,
    /// Whether the swap is made though they differ.
    pub accept_differences: bool,
    /// Whether the swap is made though the new model sets more events aside than the live one.
    pub accept_parked: bool,
    /// Events of a transaction of the load: with many, its cost is nothing beside them; a few batches
    /// for each worker are held in memory.
    pub batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 2,
            throttle: None,
            verify: false,
            accept_differences: false,
            accept_parked: false,
            batch: 20_000,
        }
    }
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// Events that this run loaded.
    pub events: u64,
    /// How long loading and indexing took.
    pub took: Duration,
    /// How long indexing took alone.
    pub indexing: Duration,
    /// Rows compared with the live ones, if they were.
    pub compared: Option<u64>,
    /// How the new rows differ from the live ones: the first of them.
    pub differences: Vec<Difference>,
    /// How many rows differ.
    pub different: u64,
    /// Events that the new model has set aside, with those that wait behind them.
    pub parked: u64,
    /// The same of the live model.
    pub parked_live: u64,
    /// Whether the new model is in place.
    pub swapped: bool,
}

/// Why a replay ended without an outcome. What it had committed is where the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Another one is at it.
    #[error("{model} is being replayed by process {process} on {host} since {since}")]
    Running {
        /// Which model.
        model: &'static str,
        /// Where.
        host: String,
        /// Its number there.
        process: i32,
        /// Since when.
        since: Timestamp,
    },
    /// It was told to stop.
    #[error("stopped; the same command goes on from here")]
    Stopped,
    /// The live model could not be locked for the swap.
    #[error("{0} was in use without a pause; the same command tries the swap again")]
    Busy(&'static str),
    /// The new model cannot be compared with the live one, which is behind it and stands still.
    #[error(
        "{0} does not move, and what is built is ahead of it: start its projector, or leave the \
         comparison out"
    )]
    LiveStandsStill(&'static str),
    /// There is no replaced model to go back to.
    #[error("there is no earlier {0} to go back to")]
    NothingToGoBackTo(&'static str),
    /// Postgres did not come back.
    #[error("Postgres was away for ten minutes ({0}); the same command goes on from here")]
    Away(Error),
    /// Whatever else went wrong.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<sqlx::Error> for ReplayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<log::ReadError> for ReplayError {
    fn from(error: log::ReadError) -> Self {
        Self::Failed(error.into())
    }
}

/// A replay of one model.
pub struct Replay<P> {
    database: Database,
    log: Reader,
    keys: Option<Keys>,
    options: Options,
    told: Arc<Told>,
    pace: Arc<Pace>,
    stop: CancellationToken,
    projection: std::marker::PhantomData<P>,
}

impl<P: Projection> Replay<P> {
    /// A replay as a process of projectors may do it; nothing is sent yet.
    pub fn new(
        database: &Database,
        log: Reader,
        options: Options,
        stop: CancellationToken,
    ) -> Self {
        let step = Step { phase: Phase::Loading, done: 0, total: 0, events_per_second: 0.0 };
        let told = Told {
            step: watch::Sender::new(step),
            begun: Instant::now(),
            loaded: AtomicU64::new(0),
            before: AtomicU64::new(0),
            total: AtomicU64::new(0),
        };
        let (database, told) = (database.clone(), Arc::new(told));
        let next = Mutex::new(tokio::time::Instant::now());
        let pace = Arc::new(Pace { throttle: options.throttle, next });
        let (keys, projection) = (None, std::marker::PhantomData);
        Self { database, log, keys, options, told, pace, stop, projection }
    }

    /// The same with keys, for a projection that needs what is personal in clear.
    pub fn with_keys(self, keys: Option<Keys>) -> Self {
        Self { keys, ..self }
    }

    /// A projector of one of the model's schemas.
    fn projector(&self, schema: &str) -> Projector<P> {
        Projector::in_schema(&self.database, self.log.clone(), schema)
            .with_keys(self.keys.clone())
            .with_workers(self.options.workers)
    }

    /// How far it is, as it goes.
    pub fn steps(&self) -> watch::Receiver<Step> {
        self.told.step.subscribe()
    }

    /// Builds, verifies if asked, and swaps. When Postgres goes away meanwhile, it waits for it and
    /// goes on from what was committed.
    pub async fn run(self) -> Result<Replayed, ReplayError> {
        let (mut lock, mut earlier) = self.lock().await?;
        loop {
            match self.build_and_swap(&earlier).await {
                Err(ReplayError::Failed(error)) if error.is_outage() => {
                    tracing::warn!(model = P::SCHEMA, %error, "waiting for Postgres");
                    unlock(lock).await;
                    (lock, earlier) = self.lock_again(error).await?;
                    tracing::info!(model = P::SCHEMA, "Postgres is back");
                }
                done => return self.end(lock, done).await,
            }
        }
    }

    async fn build_and_swap(&self, earlier: &Earlier) -> Result<Replayed, ReplayError> {
        self.make_shadow(earlier).await?;
        let mut shadow = self.projector(&shadow_schema::<P>());
        let standing = shadow.load().await?;
        let ends = self.ends().await?;
        let sum = |positions: i64| u64::try_from(positions).unwrap_or(0);
        let there = sum(standing.checkpoints.values().map(|at| at.position.0).sum());
        // What we have loaded ourselves, before an outage, is told as ours.
        let before = there.saturating_sub(self.told.loaded.load(Ordering::Relaxed));
        self.told.before.store(before, Ordering::Relaxed);
        self.told.total.store(sum(ends.values().map(|at| at.0).sum()), Ordering::Relaxed);
        let _notes = self.take_notes();

        let begun = Instant::now();
        self.told.phase(Phase::Loading);
        self.load(&standing, &ends).await?;
        self.told.phase(Phase::Indexing);
        let loading = begun.elapsed();
        self.make_indexes().await?;
        let took = begun.elapsed();
        let mut replayed = Replayed {
            events: self.told.loaded.load(Ordering::Relaxed),
            took,
            indexing: took.saturating_sub(loading),
            compared: None,
            differences: Vec::new(),
            different: 0,
            parked: 0,
            parked_live: 0,
            swapped: false,
        };

        self.told.phase(Phase::CatchingUp);
        self.catch_up(&mut shadow).await?;
        if self.options.verify {
            self.told.phase(Phase::Verifying);
            self.verify(&mut shadow, &mut replayed).await?;
        }
        // Somebody may have skipped what it has set aside.
        shadow.retry(None).await?;
        replayed.parked = parking::count(shadow.pool(), &shadow_schema::<P>()).await?;
        replayed.parked_live = parking::count(shadow.pool(), P::SCHEMA).await?;
        let parks_more = replayed.parked > replayed.parked_live && self.live_is_built().await?;
        let options = &self.options;
        if (replayed.different > 0 && !options.accept_differences)
            || (parks_more && !options.accept_parked)
        {
            self.note(Phase::Different).await?;
            return Ok(replayed);
        }
        self.told.phase(Phase::Swapping);
        self.swap(&mut shadow, &shadow_schema::<P>()).await?;
        self.note(Phase::Done).await?;
        replayed.swapped = true;
        Ok(replayed)
    }

    /// Puts the model back that the last replay replaced, after bringing it up to date.
    pub async fn roll_back(self) -> Result<(), ReplayError> {
        let (lock, _) = self.lock().await?;
        let done = self.swap_back().await;
        self.end(lock, done).await
    }

    async fn swap_back(&self) -> Result<(), ReplayError> {
        let old = old_schema::<P>();
        if !schema::exists(&mut *self.database.pool.acquire().await?, &old).await? {
            return Err(ReplayError::NothingToGoBackTo(P::SCHEMA));
        }
        let mut earlier = self.projector(&old);
        schema::check_shape::<P>(&mut *earlier.pool().acquire().await?).await?;
        let _notes = self.take_notes();
        self.told.phase(Phase::CatchingUp);
        self.catch_up(&mut earlier).await?;
        // What was skipped since it was live is skipped in it too.
        earlier.retry(None).await?;
        self.told.phase(Phase::Swapping);
        self.swap(&mut earlier, &old).await?;
        self.note(Phase::Done).await?;
        Ok(())
    }

    /// Throws away what an unfinished replay has built; `false` when there is none.
    pub async fn abandon(self) -> Result<bool, ReplayError> {
        self.throw_away(&shadow_schema::<P>()).await
    }

    /// Throws away the model that the last replay replaced; `false` when there is none.
    pub async fn prune(self) -> Result<bool, ReplayError> {
        self.throw_away(&old_schema::<P>()).await
    }

    async fn throw_away(&self, schema: &str) -> Result<bool, ReplayError> {
        let (mut lock, _) = self.lock().await?;
        let there = schema::exists(&mut lock, schema).await?;
        schema::drop(&mut lock, schema).await?;
        self.note(Phase::Done).await?;
        unlock(lock).await;
        Ok(there)
    }

    /// A connection of one's own, whose statements may take as long as they need.
    async fn connect(&self, schema: &str) -> Result<PgConnection, sqlx::Error> {
        let mut connection =
            PgConnection::connect_with(&self.database.in_schema(schema).direct).await?;
        schema::run(
            &mut connection,
            "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0",
        )
        .await?;
        Ok(connection)
    }

    /// The shadow as an earlier run left it, if it is of our shape and of this log; else a new one.
    async fn make_shadow(&self, earlier: &Earlier) -> Result<(), ReplayError> {
        let shadow = shadow_schema::<P>();
        let partitions: Vec<Partition> = self.log.heads().await?.into_keys().collect();
        let epoch = self.log.epoch().await?;
        let as_of = self.live_as_of().await?;
        let mut connection = self.connect(&shadow).await?;
        let mut transaction = connection.begin().await?;
        schema::lock(&mut transaction).await?;
        if schema::exists(&mut transaction, &shadow).await? {
            let projector = self.projector(&shadow);
            let is_wanted = earlier.build == program()
                && (!earlier.was_refused || self.options.accept_differences);
            let fits = match schema::check_shape::<P>(&mut transaction).await {
                Ok(()) if !is_wanted => Err(Error::OtherShape(P::SCHEMA)),
                Ok(()) => projector.load().await.map(drop),
                Err(error) => Err(error),
            };
            match fits {
                Ok(()) => {
                    tracing::info!(model = P::SCHEMA, "going on with what an earlier replay built");
                    checkpoint::create(&mut transaction, &partitions, epoch, as_of).await?;
                    transaction.commit().await?;
                    return Ok(());
                }
                Err(why @ (Error::OtherShape(_) | Error::Forked { .. })) => {
                    tracing::warn!(model = P::SCHEMA, %why, "beginning anew");
                    schema::drop(&mut transaction, &shadow).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        schema::create::<P>(&mut transaction, &shadow, false, &partitions, epoch, as_of).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How far to load: to the end of the log, or no farther than the live model if both are to be
    /// compared.
    async fn ends(&self) -> Result<BTreeMap<Partition, Position>, ReplayError> {
        let heads = self.log.heads().await?;
        if !self.compares().await? {
            return Ok(heads);
        }
        let live = self.live().await?;
        Ok(heads
            .into_iter()
            .map(|(partition, head)| {
                let live = live.get(&partition).copied().unwrap_or(head);
                (partition, head.min(live))
            })
            .collect())
    }

    /// Whether the new model is to be held against the live one.
    async fn compares(&self) -> Result<bool, ReplayError> {
        Ok(self.options.verify && self.live_is_built().await?)
    }

    /// Whether there is a live model that says anything: one that is not built yet does not.
    async fn live_is_built(&self) -> Result<bool, ReplayError> {
        let mut connection = self.connect(P::SCHEMA).await?;
        Ok(schema::exists(&mut connection, P::SCHEMA).await?
            && schema::is_built(&mut connection).await?)
    }

    /// Where the live model is; nothing if there is none.
    async fn live(&self) -> Result<BTreeMap<Partition, Position>, ReplayError> {
        let mut connection = self.connect(P::SCHEMA).await?;
        if !schema::exists(&mut connection, P::SCHEMA).await? {
            return Ok(BTreeMap::new());
        }
        let checkpoints = checkpoint::load(&mut connection).await?;
        Ok(checkpoints.into_iter().map(|(partition, at)| (partition, at.position)).collect())
    }

    /// The time at which the live model stands in all partitions, or is past it: where the new one
    /// begins, which can only go on from there. Now if there is none.
    async fn live_as_of(&self) -> Result<DateTime<Utc>, ReplayError> {
        let mut connection = self.connect(P::SCHEMA).await?;
        let now = Clock::system().now().utc();
        if !schema::exists(&mut connection, P::SCHEMA).await? {
            return Ok(now);
        }
        let live = checkpoint::load(&mut connection).await?;
        Ok(live.into_values().map(|at| at.as_of).min().unwrap_or(now))
    }

    /// Makes the other indexes, all or none.
    async fn make_indexes(&self) -> Result<(), ReplayError> {
        let mut connection = self.connect(&shadow_schema::<P>()).await?;
        let mut transaction = connection.begin().await?;
        let made =
            sqlx::query_scalar!("select indexed from model").fetch_one(&mut *transaction).await?;
        if !made {
            let statements = format!(
                "set local maintenance_work_mem = '256MB';
                 set local max_parallel_maintenance_workers = {};
                 set local role ironledger_projector;
                 {}
                 update model set indexed = true;
                 reset role",
                // Beside the one that leads them.
                self.options.workers.saturating_sub(1),
                P::INDEXES
            );
            schema::run(&mut transaction, &statements).await?;
        }
        transaction.commit().await?;
        for table in schema::tables(&mut connection, &shadow_schema::<P>()).await? {
            schema::run(&mut connection, &format!("analyze \"{table}\"")).await?;
        }
        Ok(())
    }

    /// Follows the log until little is left, as projectors do.
    async fn catch_up(&self, shadow: &mut Projector<P>) -> Result<(), ReplayError> {
        let compares = self.compares().await?;
        loop {
            if self.stop.is_cancelled() {
                return Err(ReplayError::Stopped);
            }
            let taken = if compares {
                self.follow(shadow, &self.live().await?, STEP).await?
            } else {
                shadow.step(None, STEP).await?
            };
            self.told.loaded(taken as u64);
            self.pace.keep(taken).await;
            if taken < NEAR {
                return Ok(());
            }
        }
    }

    /// Takes events up to the positions given, at most `limit` of each partition.
    async fn follow(
        &self,
        shadow: &mut Projector<P>,
        ends: &BTreeMap<Partition, Position>,
        limit: usize,
    ) -> Result<usize, Error> {
        let Standing { checkpoints, .. } = shadow.load().await?;
        let mut events = Vec::new();
        for (partition, end) in ends {
            let Some(at) = checkpoints.get(partition).map(|at| at.position) else { continue };
            let left = usize::try_from(end.0 - at.0).unwrap_or(0).min(limit);
            if left > 0 {
                events.extend(self.log.tail(&BTreeMap::from([(*partition, at)]), left).await?);
            }
        }
        let count = events.len();
        shadow.doubt();
        shadow.take_all(&events).await?;
        Ok(count)
    }
}

/// The schema that a replay builds.
fn shadow_schema<P: Projection>() -> String {
    format!("{}_shadow", P::SCHEMA)
}

/// The schema that a replay has replaced.
fn old_schema<P: Projection>() -> String {
    format!("{}_old", P::SCHEMA)
}
