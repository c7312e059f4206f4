//! A projector: from events to committed rows, whoever brings the events.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    marker::PhantomData,
};

use events::{Epoch, EventId, Partition, Position};
use log::{Database, ReadError, Reader, Stored};
use sqlx::{Acquire, Executor};

use crate::{
    Progress, Projection,
    checkpoint::{self, Checkpoint, Checkpoints},
};

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
    #[error("another owner has moved the checkpoints of {0}, or the log was restored")]
    Fenced(&'static str),
}

/// Builds one read model from the log.
pub struct Projector<P> {
    pub(crate) database: Database,
    pub(crate) log: Reader,
    /// Where we believe that all stands; `None` until read, and again after a doubt.
    /// Nothing kept in memory outlives a failed compare-and-swap.
    standing: Option<Standing>,
    progress: Progress,
    projection: PhantomData<P>,
}

/// Where the log and the read model are.
struct Standing {
    epoch: Epoch,
    checkpoints: Checkpoints,
}

impl<P: Projection> Projector<P> {
    /// A projector on the database, which must be allowed to make the projection's schema.
    pub fn new(database: Database, log: Reader) -> Self {
        let progress = Progress::of(&database, P::SCHEMA);
        Self { database, log, standing: None, progress, projection: PhantomData }
    }

    /// How queries of this process wait for the projection.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
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
        self.apply(standing, events?).await
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
        Ok((self.apply(standing, next).await?, missing))
    }

    /// Forgets what is kept in memory: others may have gone on.
    pub(crate) fn doubt(&mut self) {
        self.standing = None;
    }

    /// Proves, folds and commits events that follow on where we stand.
    async fn apply(&mut self, mut standing: Standing, events: Vec<Stored>) -> Result<usize, Error> {
        let count = events.len();
        let (batch, moved) = fold::<P>(&standing.checkpoints, events)?;
        self.commit(&standing, &moved, batch).await?;
        standing.checkpoints.extend(moved);
        self.standing = Some(standing);
        self.progress.moved();
        Ok(count)
    }

    /// Rows and checkpoints in one transaction, the compare-and-swap first.
    async fn commit(
        &self,
        from: &Standing,
        to: &Checkpoints,
        batch: P::Batch,
    ) -> Result<(), Error> {
        let mut connection = self.database.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let (epoch, checkpoints) = (from.epoch, &from.checkpoints);
        if !checkpoint::advance(&mut transaction, P::SCHEMA, epoch, checkpoints, to).await? {
            transaction.rollback().await?;
            return Err(Error::Fenced(P::SCHEMA));
        }
        P::write(batch, &mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What is kept in memory of where all stands, else what is true.
    async fn stand(&mut self) -> Result<Standing, Error> {
        match self.standing.take() {
            Some(standing) => Ok(standing),
            None => self.load().await,
        }
    }

    /// Reads where all stands, and makes sure that the log still is the one that was read.
    async fn load(&self) -> Result<Standing, Error> {
        let epoch = self.log.epoch().await?;
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
        Ok(Standing { epoch, checkpoints })
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
