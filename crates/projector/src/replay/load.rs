//! Loading a shadow: several workers, each with a reader ahead of its writer.

use std::{collections::BTreeMap, marker::PhantomData, time::Duration};

use events::{Partition, Position};
use log::{Range, page};
use sqlx::PgConnection;
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
    schema,
};

/// Events of a page: large enough that the cost of a transaction is nothing beside it, small
/// enough that a few of them are no matter for memory.
const PAGE: i64 = 20_000;

impl<P: Projection> Replay<P> {
    /// Loads every partition up to its end.
    pub(super) async fn load(
        &self,
        standing: &Standing,
        ends: &BTreeMap<Partition, Position>,
    ) -> Result<(), ReplayError> {
        let left: Vec<Range> = ends
            .iter()
            .filter_map(|(&partition, &up_to)| {
                let after = standing.checkpoints.get(&partition)?.position;
                (after < up_to).then_some(Range { partition, after, up_to })
            })
            .collect();
        let workers = self.options.workers.clamp(1, left.len().max(1));
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
        // Neighbours together: they lie in the same tables.
        for share in left.chunks(left.len().div_ceil(workers).max(1)) {
            let reader = self.reader().await?;
            let (sender, mut pages) = mpsc::channel(1);
            let share = share.to_vec();
            let (writer, mut standing) = (writer.clone(), standing.clone());
            let (told, stop) = (self.told.clone(), self.stop.clone());
            tasks.spawn(async move {
                let reading =
                    AbortOnDropHandle::new(tokio::spawn(read::<P>(reader, share, sender)));
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

    /// A connection that reads by index: in order, and without a list of blocks first.
    async fn reader(&self) -> Result<PgConnection, ReplayError> {
        let mut connection = self.connect("public").await?;
        schema::run(&mut connection, "set enable_bitmapscan = off; set enable_seqscan = off")
            .await?;
        Ok(connection)
    }
}

/// Reads page after page of some partitions, and decodes.
async fn read<P: Projection>(
    mut connection: PgConnection,
    share: Vec<Range>,
    pages: mpsc::Sender<Vec<Item>>,
) -> Result<(), Error> {
    let length = |range: &Range| range.up_to.0 - range.after.0;
    let total: i64 = share.iter().map(length).sum();
    let count = (total / PAGE).max(1);
    for number in 1..=count {
        // Of each partition the same part of what is left, which is about the same time.
        let part = |range: &Range, number: i64| {
            let events = i128::from(length(range)) * i128::from(number) / i128::from(count);
            Position(range.after.0 + i64::try_from(events).unwrap_or(0))
        };
        let ranges: Vec<Range> = share
            .iter()
            .map(|range| Range {
                partition: range.partition,
                after: part(range, number - 1),
                up_to: part(range, number),
            })
            .filter(|range| range.after < range.up_to)
            .collect();
        let mut items = Vec::with_capacity(usize::try_from(PAGE).unwrap_or(0));
        page(&mut connection, &ranges, P::TYPES, |raw| {
            items.push(Item {
                partition: raw.partition,
                position: raw.position,
                epoch: raw.epoch,
                id: raw.id,
                recorded_at: raw.recorded_at,
                what: What::read::<P>(raw.kind, raw.kind_version, raw.payload),
            });
        })
        .await?;
        // Each position is there exactly once, and so a short page has a hole at its end.
        let wanted: i64 = ranges.iter().map(length).sum();
        if i64::try_from(items.len()) != Ok(wanted) {
            return Err(hole(&ranges, &items));
        }
        if pages.send(items).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What is missing of the ranges.
fn hole(ranges: &[Range], items: &[Item]) -> Error {
    let mut at: BTreeMap<Partition, Position> =
        ranges.iter().map(|range| (range.partition, range.after)).collect();
    for item in items {
        let last = at.entry(item.partition).or_default();
        if item.position == last.next() {
            *last = item.position;
        }
    }
    let short = ranges.iter().find(|range| at.get(&range.partition) != Some(&range.up_to));
    let partition = short.map_or(Partition(0), |range| range.partition);
    let found = short.map_or(Position(0), |range| range.up_to);
    Error::Hole { partition, last: at.get(&partition).copied().unwrap_or_default(), found }
}
