//! Loading a shadow: several workers, each with a reader ahead of its writer.

use std::{
    collections::{BTreeMap, VecDeque},
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use events::{Partition, Position};
use log::page;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{Replay, ReplayError, shadow_schema};
use crate::{
    Error, Projection,
    batch::{Item, Standing, What, Writer},
};

/// Events of a page: large enough that the cost of a transaction is nothing beside it, small
/// enough that a few of them are no matter for memory.
const PAGE: i64 = 20_000;

/// Partitions that nobody has taken up yet, and where each is to be loaded to.
type Left = Arc<Mutex<VecDeque<(Partition, Position, Position)>>>;

impl<P: Projection> Replay<P> {
    /// Loads every partition up to its end.
    pub(super) async fn load(
        &self,
        standing: &Standing,
        ends: &BTreeMap<Partition, Position>,
    ) -> Result<(), ReplayError> {
        let left = ends.iter().filter_map(|(partition, end)| {
            let at = standing.checkpoints.get(partition)?.position;
            (at < *end).then_some((*partition, at, *end))
        });
        let left: Left = Arc::new(Mutex::new(left.collect()));
        let workers = self.options.workers.max(1);
        let pace = self
            .options
            .throttle
            .map(|throttle| Duration::from_secs_f64(workers as f64 / f64::from(throttle.max(1))));
        let database = self.database.in_schema(&shadow_schema::<P>());
        let writer = Writer::<P> {
            pool: database.pool.clone(),
            log: self.log.clone(),
            loading: true,
            projection: PhantomData,
        };
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let reader = self.connect("public").await?;
            let (sender, mut pages) = mpsc::channel(1);
            let left = left.clone();
            let (writer, mut standing) = (writer.clone(), standing.clone());
            let (told, stop) = (self.told.clone(), self.stop.clone());
            tasks.spawn(async move {
                let reading = AbortOnDropHandle::new(tokio::spawn(read::<P>(reader, left, sender)));
                let mut next = Instant::now();
                while let Some(items) = pages.recv().await {
                    if stop.is_cancelled() {
                        return Err(ReplayError::Stopped);
                    }
                    let items: Vec<Item> = items;
                    let count = items.len();
                    let written = writer.write(&standing, items).await?;
                    standing.advance(written);
                    told.loaded(count as u64);
                    if let Some(pace) = pace {
                        next += pace.mul_f64(count as f64);
                        sleep_until(next).await;
                    }
                }
                match reading.await {
                    Ok(read) => Ok(read?),
                    Err(_) => Err(ReplayError::Stopped),
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap_or(Err(ReplayError::Stopped))?;
        }
        Ok(())
    }
}

/// Reads page after page, of one partition after the other, and decodes.
async fn read<P: Projection>(
    mut connection: sqlx::PgConnection,
    left: Left,
    pages: mpsc::Sender<Vec<Item>>,
) -> Result<(), Error> {
    loop {
        let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((partition, mut at, end)) = next else { return Ok(()) };
        while at < end {
            let up_to = Position((at.0 + PAGE).min(end.0));
            let mut items = Vec::with_capacity(usize::try_from(up_to.0 - at.0).unwrap_or(0));
            page(&mut connection, partition, at, up_to, P::TYPES, |raw| {
                items.push(Item {
                    partition,
                    position: raw.position,
                    epoch: raw.epoch,
                    id: raw.id,
                    recorded_at: raw.recorded_at,
                    what: What::read::<P>(raw.kind, raw.kind_version, raw.payload),
                });
            })
            .await?;
            // Each position is there exactly once, and so a short page has a hole at its end.
            let last = items.last().map_or(at, |item| item.position);
            if last != up_to {
                return Err(Error::Hole { partition, last, found: up_to });
            }
            at = up_to;
            if pages.send(items).await.is_err() {
                return Ok(());
            }
        }
    }
}
