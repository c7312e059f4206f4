//! Loading a shadow: a reader for each table of the log, ahead of its writers.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use events::{Partition, Position};
use log::{EventTable, Raw, block_of, event_tables, page};
use sqlx::PgConnection;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Replay, ReplayError, shadow_schema};
use crate::{
    Error, Projection,
    batch::{Item, Standing, What, Writer},
};

/// Events in a block of a table, about.
const OF_A_BLOCK: usize = 12;

/// Batches a second of a replay that is told to be slow: small ones, for a large one takes the
/// machine from everybody else for a while, and then rests.
const BATCHES_A_SECOND: usize = 40;

/// Who goes on with a replay begins so many blocks before where it was: an event may lie before
/// those that it follows.
const BEFORE: i64 = 1_000;

/// When so many events wait for one that lies after them, the table is in no order at all, and the
/// rest of it is left to the index.
const MOST_HELD: usize = 200_000;

/// How fast a replay may read, all its workers together.
pub(super) struct Pace {
    pub(super) throttle: Option<u32>,
    /// When the next event may be read.
    pub(super) next: Mutex<Instant>,
}

impl Pace {
    /// Waits until so many events may be read; what was not used before is gone.
    pub(super) async fn keep(&self, events: usize) {
        let Some(throttle) = self.throttle else { return };
        let takes = Duration::from_secs_f64(events as f64 / f64::from(throttle.max(1)));
        let until = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = (*next).max(Instant::now()) + takes;
            *next
        };
        sleep_until(until).await;
    }
}

impl<P: Projection> Replay<P> {
    /// Loads every partition up to its end, as far as its events lie in order: what is left is
    /// caught up with.
    pub(super) async fn load(
        &self,
        standing: &Standing,
        ends: &BTreeMap<Partition, Position>,
    ) -> Result<(), ReplayError> {
        let left: BTreeMap<Partition, Left> = ends
            .iter()
            .filter_map(|(&partition, &end)| {
                let at = standing.checkpoints.get(&partition)?.position;
                (at < end).then_some((partition, Left { next: at.next(), end }))
            })
            .collect();
        let mut connection = self.connect("public").await?;
        let tables = event_tables(&mut connection, left.keys().copied()).await?;
        let workers = self.options.workers.max(1);
        let batch = match self.options.throttle {
            None => self.options.batch,
            Some(throttle) => {
                let pace = usize::try_from(throttle).unwrap_or(usize::MAX) / BATCHES_A_SECOND;
                pace.max(10).min(self.options.batch)
            }
        };
        for some in tables.chunks(workers) {
            let mut tasks = JoinSet::new();
            for table in some {
                let writers = (workers / some.len()).clamp(1, table.partitions.len());
                let mut batches = Vec::new();
                for _ in 0..writers {
                    let (sender, received) = mpsc::channel(1);
                    batches.push((sender, Vec::new()));
                    tasks.spawn(self.write(received, standing.clone()));
                }
                let connection = self.connect("public").await?;
                let reader = Reader::<P> {
                    table: table.clone(),
                    left: left.clone(),
                    held: BTreeMap::new(),
                    batches,
                    batch: batch.max(1),
                    projection: PhantomData,
                };
                tasks.spawn(async move { Ok(reader.read(connection).await?) });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap_or(Err(ReplayError::Stopped))?;
            }
        }
        Ok(())
    }

    /// Writes batch after batch, at the pace that is wanted.
    fn write(
        &self,
        mut batches: mpsc::Receiver<Vec<Item>>,
        mut standing: Standing,
    ) -> impl Future<Output = Result<(), ReplayError>> + use<P> {
        let writer = Writer::<P> {
            pool: self.database.in_schema(&shadow_schema::<P>()).pool,
            log: self.log.clone(),
            keys: self.keys.clone(),
            loading: true,
            hears: None,
            projection: PhantomData,
        };
        let (told, pace, stop) = (self.told.clone(), self.pace.clone(), self.stop.clone());
        async move {
            while let Some(items) = batches.recv().await {
                if stop.is_cancelled() {
                    return Err(ReplayError::Stopped);
                }
                let count = items.len();
                let written = writer.write(&standing, items).await?;
                standing.advance(written);
                told.loaded(count as u64);
                pace.keep(count).await;
            }
            Ok(())
        }
    }
}

/// What is still to be loaded of a partition: from this position to that one.
#[derive(Clone, Copy)]
struct Left {
    next: Position,
    end: Position,
}

/// Goes through a table as it lies there, and puts its events in order.
struct Reader<P> {
    table: EventTable,
    left: BTreeMap<Partition, Left>,
    /// Events that lie before one that they follow.
    held: BTreeMap<(Partition, Position), Item>,
    /// A writer each, and what it is given next.
    batches: Vec<(mpsc::Sender<Vec<Item>>, Vec<Item>)>,
    /// Events of a transaction.
    batch: usize,
    projection: PhantomData<P>,
}

impl<P: Projection> Reader<P> {
    async fn read(mut self, mut connection: PgConnection) -> Result<(), Error> {
        let table = self.table.clone();
        let mut block = self.first_block(&mut connection).await?;
        // As much as a batch, about.
        let blocks = i64::try_from(self.batch / OF_A_BLOCK).unwrap_or(i64::MAX).max(1);
        while block < table.blocks {
            let end = (block + blocks).min(table.blocks);
            page(&mut connection, &table, block..end, P::TYPES, |raw| self.take(&raw)).await?;
            block = end;
            if self.held.len() > MOST_HELD {
                tracing::warn!(model = P::SCHEMA, "the log lies in no order; going by its index");
                break;
            }
            if !self.send(self.batch).await {
                return Ok(());
            }
        }
        self.send(1).await;
        Ok(())
    }

    /// Where the first of the events lies that are left, or a little before.
    async fn first_block(&self, connection: &mut PgConnection) -> Result<i64, Error> {
        let mut first = self.table.blocks;
        for partition in &self.table.partitions {
            if let Some(left) = self.left.get(partition) {
                let block = block_of(connection, *partition, left.next).await?;
                first = first.min(block.unwrap_or(0));
            }
        }
        Ok((first - BEFORE).max(0))
    }

    fn take(&mut self, raw: &Raw<'_>) {
        let partition = raw.partition;
        let Some(left) = self.left.get_mut(&partition) else { return };
        if raw.position < left.next || raw.position > left.end {
            return;
        }
        let item = Item {
            partition,
            position: raw.position,
            epoch: raw.epoch,
            id: raw.id,
            recorded_at: raw.recorded_at,
            what: What::read::<P>(raw.id.stream, raw.kind, raw.kind_version, raw.payload),
        };
        if item.position > left.next {
            self.held.insert((partition, item.position), item);
            return;
        }
        let writer = usize::from(partition.0.unsigned_abs()) % self.batches.len();
        let (_, batch) = &mut self.batches[writer];
        batch.push(item);
        left.next = left.next.next();
        while let Some(item) = self.held.remove(&(partition, left.next)) {
            batch.push(item);
            left.next = left.next.next();
        }
    }

    /// Sends the batches that have so many events at least. `false` when a writer has ended.
    async fn send(&mut self, least: usize) -> bool {
        for (writer, batch) in &mut self.batches {
            while batch.len() >= least {
                let rest = batch.split_off(batch.len().min(self.batch));
                if writer.send(mem::replace(batch, rest)).await.is_err() {
                    return false;
                }
            }
        }
        true
    }
}
