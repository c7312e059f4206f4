//! The state of streams for deciding: a bounded cache before the log.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as Lock, MutexGuard as Locked, PoisonError},
    time::Duration,
};

use events::{AthleteId, Epoch, Event, Partition, Position, Stream, Version};
use log::{Appended, ClientId, Log, Positions};
use moka::future::Cache;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;
use web::Error;

use super::{database, unreadable};

/// A state that events fold into.
pub(crate) trait State: Clone + Send + Sync + 'static {
    /// Takes in what happened; `None` is a stream without events.
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self>;
}

/// A stream as it was at a version.
#[derive(Debug, Clone)]
pub(crate) struct Loaded<S> {
    pub(crate) epoch: Epoch,
    pub(crate) partition: Partition,
    /// The position of the stream's last event.
    pub(crate) position: Position,
    pub(crate) version: Version,
    pub(crate) state: Option<S>,
    /// What was made with a client-made id; under no id, the stream itself.
    made: HashMap<Option<Uuid>, Made>,
}

/// What was made with a client-made id, and by a command that said what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) version: Version,
    pub(crate) fingerprint: [u8; 16],
}

impl<S> Loaded<S> {
    /// Where on the log it stands.
    pub(crate) fn positions(&self) -> Positions {
        Positions::one(self.epoch, self.partition, self.position)
    }
}

impl<S: State> Loaded<S> {
    /// A stream without events.
    fn empty(epoch: Epoch, partition: Partition) -> Self {
        let (position, version) = (Position(0), Version(0));
        Self { epoch, partition, position, version, state: None, made: HashMap::new() }
    }

    /// The event that recorded a client-made id.
    pub(crate) fn made(&self, id: Option<Uuid>) -> Option<Made> {
        self.made.get(&id).copied()
    }

    /// The stream after events that were just appended.
    pub(super) fn advanced(
        mut self,
        events: &[Event],
        client: Option<ClientId>,
        appended: &Appended,
    ) -> Self {
        self.epoch = appended.epoch;
        self.position = appended.position;
        for (index, event) in events.iter().enumerate() {
            let client = client.filter(|_| index == 0);
            self.take(event, client.map(|client| (client.id, client.fingerprint)));
        }
        self
    }

    fn take(&mut self, event: &Event, client: Option<(Option<Uuid>, [u8; 16])>) {
        self.version = self.version.next();
        self.state = S::evolve(self.state.take(), event);
        if let Some((id, fingerprint)) = client {
            self.made.insert(id, Made { version: self.version, fingerprint });
        }
    }
}

/// Reads streams, and keeps the states of those in use.
#[derive(Clone)]
pub(crate) struct Streams<S> {
    log: Log,
    cache: Cache<(AthleteId, Stream), Arc<Slot<S>>>,
    turns: Arc<[Mutex<()>]>,
}

/// Where a state is kept.
struct Slot<S>(Lock<Option<Arc<Loaded<S>>>>);

impl<S> Slot<S> {
    fn lock(&self) -> Locked<'_, Option<Arc<Loaded<S>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Streams that have the same lock wait for each other, which costs them time only.
const TURNS: usize = 4096;

impl<S: State> Streams<S> {
    /// Keeps at most so many states, each for a minute after its last use: they hold personal
    /// data in clear.
    pub(crate) fn new(log: Log, capacity: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(capacity)
            .time_to_idle(Duration::from_secs(60))
            .time_to_live(Duration::from_secs(600))
            .build();
        Self { log, cache, turns: (0..TURNS).map(|_| Mutex::new(())).collect() }
    }

    /// Waits for the others of this process that decide about the stream: only one of them could
    /// append, and the rest would decide again, the slow ones for ever.
    pub(super) async fn turn(&self, stream: Stream) -> MutexGuard<'_, ()> {
        // The last bits of an id are random.
        let [.., high, low] = *stream.id.as_bytes();
        self.turns[usize::from(u16::from_be_bytes([high, low])) % TURNS].lock().await
    }

    /// The stream as the log has it now.
    pub(crate) async fn read(
        &self,
        owner: AthleteId,
        partition: Partition,
        stream: Stream,
    ) -> Result<Arc<Loaded<S>>, Error> {
        let (loaded, fresh) = self.cached_or_read(owner, partition, stream).await?;
        if fresh { Ok(loaded) } else { self.refreshed(owner, partition, stream, &loaded).await }
    }

    /// The stream as it was not long ago, or as it is; which, the flag says.
    pub(super) async fn cached_or_read(
        &self,
        owner: AthleteId,
        partition: Partition,
        stream: Stream,
    ) -> Result<(Arc<Loaded<S>>, bool), Error> {
        let slot = self.cache.get(&(owner, stream)).await;
        if let Some(loaded) = slot.and_then(|slot| slot.lock().clone()) {
            return Ok((loaded, false));
        }
        let empty = Loaded::empty(self.log.reader().epoch().await.map_err(unreadable)?, partition);
        Ok((self.refreshed(owner, partition, stream, &Arc::new(empty)).await?, true))
    }

    /// The stream as the log has it now, read on from what is known.
    pub(super) async fn refreshed(
        &self,
        owner: AthleteId,
        partition: Partition,
        stream: Stream,
        known: &Arc<Loaded<S>>,
    ) -> Result<Arc<Loaded<S>>, Error> {
        let next = self.read_on(owner, partition, stream, known, None).await?;
        Ok(match next {
            Some(next) => self.keep(owner, stream, next).await,
            None => known.clone(),
        })
    }

    /// The stream as it was at a version.
    pub(super) async fn as_of(
        &self,
        owner: AthleteId,
        partition: Partition,
        stream: Stream,
        version: Version,
    ) -> Result<Arc<Loaded<S>>, Error> {
        let empty = Loaded::empty(Epoch(0), partition);
        let then = self.read_on(owner, partition, stream, &empty, Some(version)).await?;
        Ok(Arc::new(then.unwrap_or(empty)))
    }

    /// The stream after events that were just appended to what `known` is, which is kept.
    pub(super) async fn advance(
        &self,
        owner: AthleteId,
        stream: Stream,
        known: Arc<Loaded<S>>,
        events: &[Event],
        client: Option<ClientId>,
        appended: &Appended,
    ) -> Arc<Loaded<S>> {
        let Some(slot) = self.cache.get(&(owner, stream)).await else {
            let next = Arc::unwrap_or_clone(known).advanced(events, client, appended);
            return self.keep(owner, stream, next).await;
        };
        let mut kept = slot.lock();
        // A state that nobody else holds goes on as it is: long workouts need not be copied then.
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &known)) {
            *kept = None;
        }
        let next = Arc::new(Arc::unwrap_or_clone(known).advanced(events, client, appended));
        replace(&mut kept, &next);
        next
    }

    /// Keeps a state, unless a later one is kept already.
    async fn keep(&self, owner: AthleteId, stream: Stream, loaded: Loaded<S>) -> Arc<Loaded<S>> {
        let loaded = Arc::new(loaded);
        if loaded.version > Version(0) {
            match self.cache.get(&(owner, stream)).await {
                Some(slot) => replace(&mut slot.lock(), &loaded),
                None => {
                    let slot = Slot(Lock::new(Some(loaded.clone())));
                    self.cache.insert((owner, stream), Arc::new(slot)).await;
                }
            }
        }
        loaded
    }

    async fn read_on(
        &self,
        owner: AthleteId,
        partition: Partition,
        stream: Stream,
        known: &Loaded<S>,
        until: Option<Version>,
    ) -> Result<Option<Loaded<S>>, Error> {
        let events = self
            .log
            .reader()
            .read_stream(partition, owner, stream, known.version)
            .await
            .map_err(unreadable)?;
        if events.is_empty() {
            return Ok(None);
        }
        let mut next = known.clone();
        for stored in events {
            if until.is_some_and(|until| stored.id.version > until) {
                break;
            }
            let mut recorded = stored.decode().map_err(unreadable)?;
            let fields = recorded.event.personal_fields();
            self.log.keys().open(fields).await.map_err(database)?;
            next.epoch = recorded.epoch;
            next.position = recorded.position;
            let client = stored.fingerprint.map(|fingerprint| (stored.client_id, fingerprint));
            next.take(&recorded.event, client);
        }
        Ok(Some(next))
    }
}

/// Of two states of a stream, the later one is kept.
fn replace<S>(kept: &mut Option<Arc<Loaded<S>>>, next: &Arc<Loaded<S>>) {
    if kept.as_ref().is_none_or(|kept| kept.version <= next.version) {
        *kept = Some(next.clone());
    }
}
