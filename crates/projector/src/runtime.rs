//! Running a projection: from the log's tail to committed rows.

use std::{
    collections::{BTreeMap, HashSet},
    marker::PhantomData,
    time::Duration,
};

use events::{EventId, Partition, Position};
use log::{Database, Log, ReadError, Stored};
use sqlx::{Acquire, Executor};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Progress, Projection,
    checkpoint::{self, Checkpoint, Checkpoints},
};

/// Most events of one partition in one batch.
const BATCH: usize = 500;

/// Readers look for themselves so often, whether or not somebody woke them.
const POLL: Duration = Duration::from_millis(500);

/// New partitions of the log are looked for so often.
const PREPARE: Duration = Duration::from_secs(5);

/// Any number: whoever makes a projection's schema holds the lock of that number.
const SCHEMA_LOCK: i64 = 0x1202;

/// Why a projection does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres did not answer, or refused what the projection wrote.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The log cannot be read, or has an event that this program does not know.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The log has an event of a type that this program does not know: a newer one wrote it.
    #[error("partition {partition} position {position}: unknown event type {kind}")]
    UnknownType {
        /// Where it stands.
        partition: Partition,
        /// Where it stands.
        position: Position,
        /// Its name.
        kind: String,
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
         rebuilt"
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
    #[error("another owner has moved the checkpoints of {0}")]
    Fenced(&'static str),
}

/// Runs one projection over the log in Postgres.
pub struct Projector<P> {
    database: Database,
    log: Log,
    /// Where we believe the projection stands; `None` until read, and again after a doubt.
    /// Nothing kept in memory outlives a failed compare-and-swap.
    checkpoints: Option<Checkpoints>,
    committed: watch::Sender<()>,
    projection: PhantomData<P>,
}

impl<P: Projection> Projector<P> {
    /// A projector on the database, which must be allowed to make the projection's schema.
    pub fn new(database: Database, log: Log) -> Self {
        let committed = watch::Sender::new(());
        Self { database, log, checkpoints: None, committed, projection: PhantomData }
    }

    /// How queries of this process wait for the projection.
    pub fn progress(&self) -> Progress {
        Progress::of_projector(self.database.pool.clone(), P::SCHEMA, self.committed.subscribe())
    }

    /// Makes schema and checkpoints where they are missing.
    pub async fn prepare(&self) -> Result<(), Error> {
        let partitions: Vec<Partition> = self.log.heads().await?.into_keys().collect();
        let epoch = self.log.epoch().await?;
        let mut transaction = self.database.pool.begin().await?;
        sqlx::query!("select pg_advisory_xact_lock($1)", SCHEMA_LOCK)
            .execute(&mut *transaction)
            .await?;
        let exists = sqlx::query_scalar!(
            r#"select exists (select from pg_namespace where nspname = $1) as "exists!""#,
            P::SCHEMA
        )
        .fetch_one(&mut *transaction)
        .await?;
        if !exists {
            let schema = P::SCHEMA;
            let ddl = format!(
                "create schema {schema};
                 set local search_path to {schema};
                 {}
                 grant usage on schema {schema} to ironledger_api;
                 grant select on all tables in schema {schema} to ironledger_api;
                 grant all on schema {schema} to ironledger_projector;
                 grant all on all tables in schema {schema} to ironledger_projector;",
                P::DDL
            );
            // Made of the program's own text alone.
            transaction.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(ddl))).await?;
        }
        checkpoint::create(&mut transaction, P::SCHEMA, &partitions, epoch).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Follows the log until told to stop. What goes wrong is logged and tried again, so that one
    /// bad moment of Postgres ends nothing.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.log.changes();
        let mut pause = Duration::from_millis(50);
        let mut prepared: Option<Instant> = None;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            let step = async {
                // Again and again, since the log may get more partitions.
                if prepared.is_none_or(|at| at.elapsed() > PREPARE) {
                    self.prepare().await?;
                    self.checkpoints = None;
                    prepared = Some(Instant::now());
                }
                self.step(None, BATCH).await
            };
            match step.await {
                Ok(0) => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        _ = timeout(POLL, changes.changed()) => {}
                    }
                }
                Ok(_) => pause = Duration::from_millis(50),
                Err(error) => {
                    match error {
                        Error::Fenced(_) => tracing::info!(projection = P::SCHEMA, %error),
                        _ => tracing::error!(projection = P::SCHEMA, %error, "does not go on"),
                    }
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = sleep(pause) => {}
                    }
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
    }

    /// Takes the next events of the partitions given (all by default), at most `limit` of each,
    /// and answers how many there were.
    pub async fn step(
        &mut self,
        partitions: Option<&[Partition]>,
        limit: usize,
    ) -> Result<usize, Error> {
        let checkpoints = match self.checkpoints.take() {
            Some(checkpoints) => checkpoints,
            None => self.load().await?,
        };
        let after: BTreeMap<Partition, Position> = checkpoints
            .iter()
            .filter(|(partition, _)| partitions.is_none_or(|some| some.contains(partition)))
            .map(|(partition, checkpoint)| (*partition, checkpoint.position))
            .collect();
        let events = match self.log.tail(&after, limit).await {
            Ok(events) if events.is_empty() => {
                self.checkpoints = Some(checkpoints);
                return Ok(0);
            }
            other => other?,
        };
        let count = events.len();
        let (batch, moved) = fold::<P>(&checkpoints, events)?;
        self.commit(&checkpoints, &moved, batch).await?;
        let mut checkpoints = checkpoints;
        checkpoints.extend(moved);
        self.checkpoints = Some(checkpoints);
        self.committed.send_replace(());
        Ok(count)
    }

    /// Rows and checkpoints in one transaction, the compare-and-swap first.
    async fn commit(
        &self,
        from: &Checkpoints,
        to: &Checkpoints,
        batch: P::Batch,
    ) -> Result<(), Error> {
        let mut connection = self.database.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        if !checkpoint::advance(&mut transaction, P::SCHEMA, from, to).await? {
            transaction.rollback().await?;
            return Err(Error::Fenced(P::SCHEMA));
        }
        P::write(batch, &mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Reads where the projection stands, and makes sure that the log still is the one it read.
    async fn load(&self) -> Result<Checkpoints, Error> {
        let checkpoints = checkpoint::load(&self.database.pool, P::SCHEMA).await?;
        let before: BTreeMap<Partition, Position> = checkpoints
            .iter()
            .filter(|(_, checkpoint)| checkpoint.position > Position(0))
            .map(|(partition, checkpoint)| (*partition, Position(checkpoint.position.0 - 1)))
            .collect();
        let events = self.log.tail(&before, 1).await?;
        let there: HashSet<(Partition, Position, String)> = events
            .iter()
            .map(|event| (event.partition, event.position, event.id.to_string()))
            .collect();
        for partition in before.keys() {
            let checkpoint = &checkpoints[partition];
            let last = (*partition, checkpoint.position, checkpoint.last_event.clone());
            if !there.contains(&last) {
                return Err(Error::Forked {
                    projection: P::SCHEMA,
                    partition: *partition,
                    position: checkpoint.position,
                    last_event: checkpoint.last_event.clone(),
                });
            }
        }
        Ok(checkpoints)
    }
}

/// Folds events into a batch, after proving that none is missing.
fn fold<P: Projection>(
    from: &Checkpoints,
    events: Vec<Stored>,
) -> Result<(P::Batch, Checkpoints), Error> {
    let mut batch = P::Batch::default();
    let mut moved: BTreeMap<Partition, (Position, EventId, Checkpoint)> = BTreeMap::new();
    for event in events {
        let (partition, position) = (event.partition, event.position);
        let Some(start) = from.get(&partition) else { continue };
        let last = moved.get(&partition).map_or(start.position, |(position, ..)| *position);
        if position != last.next() {
            return Err(Error::Hole { partition, last, found: position });
        }
        let checkpoint = Checkpoint {
            generation: start.generation,
            epoch: event.epoch,
            position,
            last_event: String::new(),
        };
        moved.insert(partition, (position, event.id, checkpoint));
        if P::TYPES.contains(&event.kind.as_str()) {
            P::fold(&mut batch, event.decode()?);
        } else if !events::TYPES.iter().any(|known| known.name == event.kind) {
            return Err(Error::UnknownType { partition, position, kind: event.kind });
        }
    }
    let moved = moved.into_iter().map(|(partition, (_, id, checkpoint))| {
        (partition, Checkpoint { last_event: id.to_string(), ..checkpoint })
    });
    Ok((batch, moved.collect()))
}
