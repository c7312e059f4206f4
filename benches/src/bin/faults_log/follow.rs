//! What does a reader see that follows the log from its beginning?

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use events::{Event, Partition, Position, SetId, Timestamp};
use log::{Log, ReadError};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::Place;

/// Readers ask again after so long, hint or no hint.
const POLL: Duration = Duration::from_millis(100);

/// An event as a reader saw it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) set: SetId,
    pub(crate) place: Place,
}

/// Reads all partitions from position 0 until `stop` says where they end. Fails at once when an
/// event is not the one after the last.
pub(crate) async fn follow(
    log: &Log,
    page: usize,
    stop: watch::Receiver<Option<BTreeMap<Partition, Position>>>,
) -> Result<Vec<Seen>> {
    let mut changes = log.reader().changes();
    let heads = loop {
        match log.reader().heads().await {
            Ok(heads) => break heads,
            Err(_) => sleep(POLL).await,
        }
    };
    let mut after: BTreeMap<Partition, Position> =
        heads.into_keys().map(|partition| (partition, Position(0))).collect();
    let mut recorded_at: HashMap<Partition, Timestamp> = HashMap::new();
    let mut seen = Vec::new();
    loop {
        let ends = stop.borrow().clone();
        let events = match log.reader().tail(&after, page).await {
            Ok(events) => events,
            // Postgres is being restarted.
            Err(ReadError::Database(_)) => {
                sleep(POLL).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for stored in &events {
            let recorded = stored.decode()?;
            let Event::SetRemoved(removed) = recorded.event else {
                bail!("{} was never appended", recorded.id)
            };
            let (partition, position) = (recorded.partition, recorded.position);
            let last = after.insert(partition, position).unwrap_or_default();
            ensure!(position == last.next(), "in {partition}, {position} came after {last}");
            let before = recorded_at.insert(partition, recorded.recorded_at);
            ensure!(
                before.is_none_or(|before| before <= recorded.recorded_at),
                "in {partition}, {position} was recorded before the event before it"
            );
            let (owner, stream) = (recorded.id.owner, recorded.id.stream);
            let place = Place { partition, position, owner, stream, version: recorded.id.version };
            seen.push(Seen { set: removed.set_id, place });
        }
        if !events.is_empty() {
            continue;
        }
        if let Some(ends) = ends {
            ensure!(after == ends, "a reader stands at {after:?}, the log at {ends:?}");
            return Ok(seen);
        }
        // A hint, or none: either way it looks again.
        let _ = timeout(POLL, changes.changed()).await;
    }
}
