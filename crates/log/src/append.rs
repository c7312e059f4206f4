//! Writing: what a caller asks to append, and what comes of it.

use std::{borrow::Cow, collections::HashSet, sync::Arc, time::Duration};

use events::{AthleteId, Epoch, Event, Metadata, Partition, Position, Stream, Version};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::{
    Clock, Database, Keep, Keys, Reader,
    lane::{self, Lane, Reply, Request},
    peers::Routes,
};

/// Most events of one append.
pub const MAX_EVENTS: usize = 1000;

/// Most bytes of one event, metadata and payload together: well below what Kafka takes.
const MAX_EVENT_BYTES: usize = 256 * 1024;

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Writer tasks, each with a connection of its own; a partition belongs to one of them.
    pub lanes: usize,
    /// Appends that may wait for each writer before callers are told to come back later.
    pub queue: usize,
    /// Bytes of all appends that wait or are being written, before callers are told the same.
    pub room: usize,
    /// Most events that one statement inserts.
    pub batch: usize,
    /// How long a writer goes on settling a batch while Postgres is away or contended.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lanes: 2,
            queue: 4096,
            room: 256 * 1024 * 1024,
            batch: 1000,
            patience: Duration::from_secs(10),
        }
    }
}

/// The log of a database.
#[derive(Clone)]
pub struct Log {
    reader: Reader,
    keys: Keys,
    clock: Clock,
    lanes: Arc<[mpsc::Sender<Request>]>,
    routes: Arc<Routes>,
    /// In kilobytes.
    room: Arc<Semaphore>,
    whole_room: u32,
}

/// Events of one owner that are appended together or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// The owner of the streams.
    pub owner: AthleteId,
    /// The owner's partition.
    pub partition: Partition,
    /// What is written, by stream; a stream occurs once.
    pub writes: Vec<Write>,
}

/// Events for one stream.
#[derive(Debug, Clone)]
pub struct Write {
    /// The stream.
    pub stream: Stream,
    /// The version on which the decision was made: 0 for a stream that must not exist yet.
    pub expected: Version,
    /// What happened, in order.
    pub events: Vec<NewEvent>,
}

/// An event that the log does not hold yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// What happened; personal fields in clear.
    pub event: Event,
    /// Who, when, why.
    pub metadata: Metadata,
    /// The client-made id and what was said with it, where the command had one.
    pub client: Option<ClientId>,
}

/// A client-made id that makes a command safe to send twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientId {
    /// The id, unique among those of the owner; of a stream whose id it is, `None`.
    pub id: Option<Uuid>,
    /// Keyed hash of what the command said, from [`Keys::fingerprint`].
    pub fingerprint: [u8; 16],
}

/// The events are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The line of history.
    pub epoch: Epoch,
    /// The owner's partition.
    pub partition: Partition,
    /// The position of the last event appended.
    pub position: Position,
}

/// The events were not appended, or nobody can tell yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AppendError {
    /// A stream has moved on since the decision was made: read it and decide again.
    #[error("{stream} is at version {actual}")]
    Conflict {
        /// The stream that has moved on.
        stream: Stream,
        /// Where it is now.
        actual: Version,
    },
    /// The client-made id is on the log already.
    #[error("{id} was recorded before, in {stream}")]
    Already {
        /// The client-made id.
        id: Uuid,
        /// Where it was recorded.
        stream: Stream,
        /// As which event of that stream.
        version: Version,
        /// Whether it said the same: then this is a repetition, else the id was used twice.
        same: bool,
    },
    /// An answer is kept under the idempotency key: it is the answer to this command too, if it says
    /// the same.
    #[error("the idempotency key was used before")]
    KeyUsed,
    /// The append is not one that the log takes.
    #[error("{0}")]
    Refused(Cow<'static, str>),
    /// The key of the person is gone: nothing more can be recorded about them.
    #[error("the personal data of this athlete was erased")]
    Erased,
    /// More appends are waiting than the log can take soon. Nothing was appended.
    #[error("the log is busy")]
    Busy,
    /// Postgres is away. Nothing was appended.
    #[error("the log is unavailable")]
    Unavailable,
    /// Postgres went away during the append, and whether it was recorded is not known yet.
    /// Repeating the command with the same id settles it.
    #[error("whether the command was recorded is not known yet")]
    Unsettled,
}

/// Which table of `log.events` a partition is in; a lane has whole tables, for each that a
/// statement touches costs it a fixed time.
pub(crate) fn table_of(partition: Partition) -> usize {
    usize::from((partition.0 / PARTITIONS_OF_A_TABLE).unsigned_abs())
}

/// As the migrations make them.
pub(crate) const PARTITIONS_OF_A_TABLE: i16 = 8;

impl Log {
    /// Opens the log of a database. Nothing is sent before the first use.
    pub fn open(database: &Database, keys: Keys, clock: Clock, options: &Options) -> Self {
        let reader = Reader::open(database);
        let lanes = (0..options.lanes.max(1))
            .map(|_| Lane::start(database.clone(), clock.clone(), reader.wake.clone(), options))
            .collect();
        let whole_room = u32::try_from(options.room / 1024).unwrap_or(u32::MAX).max(1);
        let room = Arc::new(Semaphore::new(whole_room as usize));
        Self { reader, keys, clock, lanes, routes: Arc::default(), room, whole_room }
    }

    /// The same log, for reading.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The keys of personal data.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Appends events and answers once they are durable, or says why they are not.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.append_and_keep(append, None).await
    }

    /// The same; the answer of the command is kept if, and only if, the events are appended.
    pub async fn append_and_keep(
        &self,
        append: Append,
        keep: Option<Keep>,
    ) -> Result<Appended, AppendError> {
        let (reply, answer) = oneshot::channel();
        let request = self.prepare(append, keep, Reply::Here(reply)).await?;
        if let Some(ours) = self.routes.forward(request) {
            self.append_here(ours);
        }
        answer.await.unwrap_or(Err(AppendError::Unsettled))
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Gives an append to the lane of its table in this process.
    pub(crate) fn append_here(&self, request: Request) {
        let lane = table_of(request.partition) % self.lanes.len();
        let (request, error) = match self.lanes[lane].try_send(request) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(request)) => (request, AppendError::Busy),
            Err(mpsc::error::TrySendError::Closed(request)) => (request, AppendError::Unavailable),
        };
        // Nobody knows whether a peer that was sent it has appended it.
        let error = if request.in_doubt { AppendError::Unsettled } else { error };
        request.answer(Err(error));
    }

    /// Room for an append until it is answered; what is larger than all of it needs it alone.
    pub(crate) fn take_room(
        &self,
        writes: &[lane::Write],
        keep: Option<&Keep>,
    ) -> Result<OwnedSemaphorePermit, AppendError> {
        let rows = writes.iter().flat_map(|write| &write.rows);
        let rows: usize = rows.map(|row| row.metadata.len() + row.payload.len()).sum();
        let bytes = rows + keep.map_or(0, |keep| keep.answer.len());
        let wanted = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(wanted.min(self.whole_room));
        room.map_err(|_| AppendError::Busy)
    }

    /// Seals and encodes in the caller's task, so that the writers do nothing but write.
    async fn prepare(
        &self,
        append: Append,
        keep: Option<Keep>,
        reply: Reply,
    ) -> Result<Request, AppendError> {
        let count: usize = append.writes.iter().map(|write| write.events.len()).sum();
        if count == 0 || append.writes.iter().any(|write| write.events.is_empty()) {
            return Err(AppendError::Refused(
                "an append needs at least one event for each stream".into(),
            ));
        }
        if count > MAX_EVENTS {
            return Err(AppendError::Refused("an append takes at most 1000 events".into()));
        }
        let mut writes: Vec<lane::Write> = Vec::with_capacity(append.writes.len());
        for write in append.writes {
            if writes.iter().any(|earlier| earlier.stream == write.stream) {
                return Err(AppendError::Refused("a stream occurs twice in one append".into()));
            }
            let mut rows = Vec::with_capacity(write.events.len());
            for new in write.events {
                rows.push(self.encode(append.owner, new).await?);
            }
            writes.push(lane::Write { stream: write.stream, expected: write.expected, rows });
        }
        let keep = match keep {
            None => None,
            Some(Keep { key, answer }) => {
                let sealed = self.keys.seal_bytes(append.owner, &answer).await;
                let answer = sealed.map_err(without_key)?.ok_or(AppendError::Erased)?;
                Some(Keep { key, answer })
            }
        };
        let (owner, partition) = (append.owner, append.partition);
        let room = self.take_room(&writes, keep.as_ref())?;
        let request = Request { owner, partition, writes, keep, in_doubt: false, reply, room };
        let mut ids = HashSet::new();
        if !request.client_ids().all(|id| ids.insert(id)) {
            return Err(AppendError::Refused("a client-made id occurs twice in one append".into()));
        }
        Ok(request)
    }

    async fn encode(&self, owner: AthleteId, new: NewEvent) -> Result<lane::Row, AppendError> {
        let NewEvent { mut event, metadata, client } = new;
        if !self.keys.seal(owner, &mut event).await.map_err(without_key)? {
            return Err(AppendError::Erased);
        }
        let (name, type_version) = event.type_and_version();
        let unencodable = |_| AppendError::Refused("the event cannot be encoded".into());
        let payload = event.encode().map_err(unencodable)?;
        let metadata = serde_json::to_string(&metadata).map_err(unencodable)?;
        if payload.len() + metadata.len() > MAX_EVENT_BYTES {
            return Err(AppendError::Refused("an event takes at most 256 KiB".into()));
        }
        Ok(lane::Row { name: name.into(), type_version, client, metadata, payload })
    }
}

fn without_key(error: sqlx::Error) -> AppendError {
    tracing::warn!(%error, "a personal key cannot be had");
    AppendError::Unavailable
}
