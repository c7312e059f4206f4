//! A projector: from events to committed rows, whoever brings the events.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use events::{Metadata, Partition, Position};
use log::{Clock, Database, Keys, ReadError, Reader, Stored};
use sqlx::PgPool;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Progress, Projection,
    batch::{Item, Standing, Writer},
    checkpoint::{self, Checkpoints},
    parking,
    revisions::Hears,
    schema,
};

/// Fewer events go in one transaction, for each costs more than they do.
const WORTH_DIVIDING: usize = 1_000;

/// Rows are aged by so much at once, so that what has waited for long is no huge transaction.
const AT_ONCE: TimeDelta = TimeDelta::hours(6);

/// Why a projection does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres did not answer, or refused what the projection wrote.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// An event cannot be projected, and the projection is one that then stops.
    #[error("{projection} cannot take an event: {why}")]
    Poisoned {
        /// The projection.
        projection: &'static str,
        /// Which event, and why.
        why: String,
    },
    /// The log misses an event, which cannot be.
    #[error("partition {partition}: position {found} follows {last}")]
    Hole {
        /// Where.
        partition: Partition,
        /// The last position before the hole.
        last: Position,
        /// The next one that is there.
        found: Position,
    },
    /// The log is not the one that the projection has read: it was restored to an earlier point.
    #[error(
        "partition {partition}: the log does not have {last_event} at position {position}, which \
         {projection} has read; it was restored to an earlier point, and {projection} must be \
         rebuilt by `ironledger replay`"
    )]
    Forked {
        /// The projection.
        projection: &'static str,
        /// Where.
        partition: Partition,
        /// What the projection has read last.
        position: Position,
        /// What the projection has read last.
        last_event: String,
    },
    /// Somebody else moved the checkpoint: another owner, or a swap. Nothing was written.
    #[error("another owner has moved the checkpoints of {0}, or the log was restored")]
    Fenced(&'static str),
    /// The projection needs what is personal in clear, and was given no keys.
    #[error("{0} opens personal fields, and there is no master key")]
    NoKeys(&'static str),
    /// The schema holds tables of another shape than this program's.
    #[error("the tables of {0} are not those of this program; rebuild it by `ironledger replay`")]
    OtherShape(&'static str),
}

impl Error {
    /// Whether Postgres has no room left.
    pub fn is_full_disk(&self) -> bool {
        let error = match self {
            Self::Database(error) | Self::Log(ReadError::Database(error)) => error,
            _ => return false,
        };
        error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "53100")
    }

    /// Whether somebody else held what it needs for too long, as a process does that froze within its
    /// transaction, or was in each other's way with it.
    pub(crate) fn is_held_up(&self) -> bool {
        let error = match self {
            Self::Database(error) | Self::Log(ReadError::Database(error)) => error,
            _ => return false,
        };
        let code = error.as_database_error().and_then(|error| error.code());
        code.is_some_and(|code| code == "55P03" || code == "40P01")
    }

    /// Whether Postgres is away: gone, starting, stopping, out of connections, or done with one that
    /// kept a transaction open for too long.
    pub fn is_outage(&self) -> bool {
        let error = match self {
            Self::Database(error) | Self::Log(ReadError::Database(error)) => error,
            _ => return false,
        };
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                ["08", "57P0", "25P03", "53300"].iter().any(|class| code.starts_with(class))
            }),
            _ => false,
        }
    }
}

/// Builds one read model from the log.
pub struct Projector<P> {
    pub(crate) database: Database,
    pub(crate) log: Reader,
    pub(crate) progress: Progress,
    writer: Writer<P>,
    /// Transactions that a large batch is divided among, each with partitions of its own.
    workers: usize,
    /// What is the present, for rows that age.
    clock: Clock,
    /// Where we believe that all stands; `None` until read, and again after a doubt.
    /// Nothing kept in memory outlives a failed compare-and-swap.
    standing: Option<Standing>,
    traces: Option<Traces>,
}

/// Hears which events a model has taken in, and when it began with the batch.
pub type Traces = fn(&'static str, &Taken<'_>, DateTime<Utc>);

/// An event that a model has taken in.
#[derive(Debug)]
pub struct Taken<'a> {
    /// Where it came from.
    pub metadata: Metadata,
    /// Its type.
    pub kind: &'a str,
    /// Its partition.
    pub partition: i16,
    /// Its place there.
    pub position: i64,
}

impl<P: Projection> Projector<P> {
    /// A projector on the database, which must be allowed to make the projection's schema.
    pub fn new(database: &Database, log: Reader) -> Self {
        Self::in_schema(database, log, P::SCHEMA)
    }

    /// The same of another schema than the one that queries see.
    pub(crate) fn in_schema(database: &Database, log: Reader, schema: &str) -> Self {
        let progress = Progress::of(database, P::SCHEMA);
        let database = database.in_schema(schema);
        let writer = Writer {
            pool: database.pool.clone(),
            log: log.clone(),
            keys: None,
            loading: false,
            hears: None,
            projection: PhantomData,
        };
        let clock = Clock::system();
        let (standing, traces) = (None, None);
        Self { database, log, progress, writer, workers: 1, clock, standing, traces }
    }

    /// The same with keys, for a projection that needs what is personal in clear.
    pub fn with_keys(mut self, keys: Option<Keys>) -> Self {
        self.writer.keys = keys;
        self
    }

    /// The same, telling somebody whose rows have changed.
    pub fn heard_by(mut self, hears: Option<Hears>) -> Self {
        self.writer.hears = hears;
        self
    }

    pub(crate) fn hears(&self) -> Option<&Hears> {
        self.writer.hears.as_ref()
    }

    /// The same, telling somebody which events it has taken in.
    pub fn traced_by(self, traces: Option<Traces>) -> Self {
        Self { traces, ..self }
    }

    /// The same by another clock than the machine's, for rows that age.
    pub fn by_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn keys(&self) -> Option<&Keys> {
        self.writer.keys.as_ref()
    }

    /// The same with large batches divided among so many transactions at the same time.
    pub fn with_workers(self, workers: usize) -> Self {
        Self { workers: workers.max(1), ..self }
    }

    /// How queries of this process wait for the projection.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Connections whose names are those of the schema.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// Makes schema and checkpoints where they are missing, and says since when the model may be
    /// asked.
    pub async fn prepare(&self) -> Result<(), Error> {
        let heads = self.log.heads().await?;
        let partitions: Vec<Partition> = heads.keys().copied().collect();
        let epoch = self.log.epoch().await?;
        let now = self.clock.now().utc();
        let mut transaction = self.pool().begin().await?;
        schema::lock(&mut transaction).await?;
        if schema::exists(&mut transaction, P::SCHEMA).await? {
            schema::check_shape::<P>(&mut transaction).await?;
            checkpoint::create(&mut transaction, &partitions, epoch, now).await?;
        } else {
            schema::create::<P>(&mut transaction, P::SCHEMA, true, &partitions, epoch, now).await?;
        }
        let (numbers, ends): (Vec<i16>, Vec<i64>) =
            heads.iter().map(|(partition, head)| (partition.0, head.0)).unzip();
        sqlx::query!(
            "update model set built_at = clock_timestamp()
             where built_at is null and not exists (
                 select from unnest($1::smallint[], $2::bigint[]) as head (partition, position)
                 left join checkpoints c on c.partition = head.partition
                 where coalesce(c.position, 0) < head.position
             )",
            &numbers,
            &ends,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Takes the next events of the partitions given (all by default), at most `limit` of each,
    /// and answers how many there were.
    pub async fn step(
        &mut self,
        partitions: Option<&[Partition]>,
        limit: usize,
    ) -> Result<usize, Error> {
        let standing = self.stand().await?;
        let after: BTreeMap<Partition, Position> = standing
            .checkpoints
            .iter()
            .filter(|(partition, _)| partitions.is_none_or(|some| some.contains(partition)))
            .map(|(partition, checkpoint)| (*partition, checkpoint.position))
            .collect();
        let events = self.log.tail(&after, limit).await;
        if matches!(&events, Ok(events) if events.is_empty()) {
            self.standing = Some(standing);
            return Ok(0);
        }
        self.apply(standing, &events?).await
    }

    /// Takes events that somebody else brings, each partition's in order: passes over what was
    /// taken before, and stops in a partition at the first that does not follow. Answers how many it
    /// took, and in which partitions something is missing, to be read from the log itself.
    pub async fn take(
        &mut self,
        events: Vec<Stored>,
    ) -> Result<(usize, BTreeSet<Partition>), Error> {
        let standing = self.stand().await?;
        let mut last: BTreeMap<Partition, Position> = BTreeMap::new();
        let mut missing = BTreeSet::new();
        let mut next = Vec::with_capacity(events.len());
        for event in events {
            // Of a partition that the log got after we looked: it has a checkpoint soon.
            let Some(checkpoint) = standing.checkpoints.get(&event.partition) else { continue };
            let last = last.entry(event.partition).or_insert(checkpoint.position);
            if event.position <= *last || missing.contains(&event.partition) {
                continue;
            }
            // One of another line of history may be what a restore has undone: only the log knows.
            if event.position != last.next() || event.epoch != standing.epoch {
                missing.insert(event.partition);
                continue;
            }
            *last = event.position;
            next.push(event);
        }
        if next.is_empty() {
            self.standing = Some(standing);
            return Ok((0, missing));
        }
        Ok((self.apply(standing, &next).await?, missing))
    }

    /// Brings the rows of the partitions given (all by default) to the present, if they age and it is
    /// time.
    pub async fn age(&mut self, partitions: Option<&[Partition]>) -> Result<(), Error> {
        let Some(every) = P::AGES else { return Ok(()) };
        let now = self.clock.now().utc();
        let standing = self.stand().await?;
        let due = standing.checkpoints.iter().filter(|(partition, at)| {
            partitions.is_none_or(|some| some.contains(partition))
                && (now - at.as_of).to_std().is_ok_and(|age| age >= every)
        });
        let due = due.map(|(partition, _)| (*partition, now)).collect();
        self.standing = Some(standing);
        self.age_to(&due).await
    }

    /// Brings the rows of partitions to times, where those are later than they stand at.
    pub(crate) async fn age_to(
        &mut self,
        times: &BTreeMap<Partition, DateTime<Utc>>,
    ) -> Result<(), Error> {
        if P::AGES.is_none() {
            return Ok(());
        }
        let mut standing = self.stand().await?;
        for (&partition, &time) in times {
            while let Some(at) = standing.checkpoints.get(&partition)
                && at.as_of < time
            {
                let as_of = time.min(at.as_of + AT_ONCE);
                let to = checkpoint::Checkpoint { as_of, ..at.clone() };
                let moved = self.writer.age(&standing, partition, to).await?;
                standing.checkpoints.extend(moved);
            }
        }
        self.standing = Some(standing);
        Ok(())
    }

    /// Takes events that follow on where the checkpoints are.
    pub(crate) async fn take_all(&mut self, events: &[Stored]) -> Result<(), Error> {
        if !events.is_empty() {
            let standing = self.stand().await?;
            self.apply(standing, events).await?;
        }
        Ok(())
    }

    /// Forgets what is kept in memory: others may have gone on.
    pub(crate) fn doubt(&mut self) {
        self.standing = None;
    }

    /// Proves, folds and commits events that follow on where we stand; a large batch by several at
    /// the same time, who have partitions of their own.
    async fn apply(&mut self, mut standing: Standing, events: &[Stored]) -> Result<usize, Error> {
        let (began, began_at) = (Instant::now(), self.clock.now().utc());
        let parts = if events.len() < WORTH_DIVIDING { 1 } else { self.workers };
        let mut divided: Vec<Vec<Item>> = (0..parts).map(|_| Vec::new()).collect();
        for event in events {
            let part = usize::from(event.partition.0.unsigned_abs()) % parts;
            divided[part].push(Item::of::<P>(event));
        }
        divided.retain(|items| !items.is_empty());
        let mut written = Vec::new();
        if let [_] = divided[..] {
            for items in divided {
                written.push(self.writer.write(&standing, items).await?);
            }
        } else {
            let shared = Arc::new(standing);
            let mut tasks = JoinSet::new();
            for items in divided {
                let (writer, from) = (self.writer.clone(), shared.clone());
                tasks.spawn(async move { writer.write(&from, items).await });
            }
            while let Some(done) = tasks.join_next().await {
                written.push(done.map_err(|_| Error::Fenced(P::SCHEMA))??);
            }
            standing = Arc::unwrap_or_clone(shared);
        }
        for part in written {
            standing.advance(part);
        }
        self.standing = Some(standing);
        self.progress.moved();
        if let Some(traces) = self.traces {
            self.trace(traces, events, began_at);
        }
        metrics::counter!("ironledger_projected_events_total", "model" => P::SCHEMA)
            .increment(events.len() as u64);
        metrics::histogram!("ironledger_projection_batch_seconds", "model" => P::SCHEMA)
            .record(began.elapsed());
        Ok(events.len())
    }

    fn trace(&self, traces: Traces, events: &[Stored], began: DateTime<Utc>) {
        for event in events.iter().filter(|event| P::TYPES.contains(&&*event.kind)) {
            let Ok(metadata) = event.metadata() else { continue };
            let (partition, position) = (event.partition.0, event.position.0);
            traces(P::SCHEMA, &Taken { metadata, kind: &event.kind, partition, position }, began);
        }
    }

    /// What is kept in memory of where all stands, else what is true.
    async fn stand(&mut self) -> Result<Standing, Error> {
        match self.standing.take() {
            Some(standing) => Ok(standing),
            None => self.load().await,
        }
    }

    /// Reads where all stands, and makes sure that the log still is the one that was read.
    pub(crate) async fn load(&self) -> Result<Standing, Error> {
        let epoch = self.log.epoch().await?;
        let checkpoints = checkpoint::load(self.pool()).await?;
        // After the checkpoints, which change with what is parked: nobody is left out.
        let parked = parking::owners(self.pool()).await?.into_iter().collect();
        let skipped = parking::skipped(self.pool(), P::NAME).await?;
        self.check(&checkpoints).await?;
        Ok(Standing { epoch, checkpoints, parked, skipped })
    }

    /// Fails when the log does not have what was read last.
    pub(crate) async fn check(&self, checkpoints: &Checkpoints) -> Result<(), Error> {
        let before: BTreeMap<Partition, Position> = checkpoints
            .iter()
            .filter(|(_, checkpoint)| checkpoint.position > Position(0))
            .map(|(partition, checkpoint)| (*partition, Position(checkpoint.position.0 - 1)))
            .collect();
        let events = self.log.tail(&before, 1).await?;
        for partition in before.keys() {
            let checkpoint = &checkpoints[partition];
            // The epoch too: who goes on with a workout after a restore makes an event of the same
            // name.
            let is_there = events.iter().any(|event| {
                (event.partition, event.position, event.epoch)
                    == (*partition, checkpoint.position, checkpoint.epoch)
                    && event.id.is_named(&checkpoint.last_event)
            });
            if !is_there {
                return Err(Error::Forked {
                    projection: P::SCHEMA,
                    partition: *partition,
                    position: checkpoint.position,
                    last_event: checkpoint.last_event.clone(),
                });
            }
        }
        Ok(())
    }
}
