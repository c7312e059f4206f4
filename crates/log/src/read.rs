//! Reading: one stream for a decision, the tail of partitions for everybody else.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{
    AthleteId, DecodeError, Epoch, Event, EventId, Metadata, Partition, Position, Recorded, Stream,
    StreamKind, Timestamp, Version,
};
use sqlx::PgPool;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{Database, wake::Wake};

/// Where the log's growth is told.
const CHANNEL: &str = "ironledger_log";

/// An event as it is stored: its place, and the exact bytes of what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The partition of its owner.
    pub partition: Partition,
    /// Its place in the partition.
    pub position: Position,
    /// The line of history in which it was recorded.
    pub epoch: Epoch,
    /// Owner, stream and version.
    pub id: EventId,
    /// The name of its type, such as `SetLogged`.
    pub kind: String,
    /// The version of its payload.
    pub kind_version: i16,
    /// When the log took it.
    pub recorded_at: Timestamp,
    /// The client-made id it was recorded with.
    pub client_id: Option<Uuid>,
    /// Keyed hash of what the command with that id said.
    pub fingerprint: Option<[u8; 16]>,
    /// JSON text of [`Metadata`].
    pub metadata: String,
    /// JSON text of the payload.
    pub payload: String,
}

/// The log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Postgres did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// An event is of a type or shape that this program does not know.
    #[error("{id}: {source}")]
    Decode {
        /// Which event.
        id: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The row itself is not one that this program could have written.
    #[error("partition {partition} position {position}: {what}")]
    Corrupt {
        /// Where it stands.
        partition: Partition,
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Stored {
    /// The event behind the bytes, at the current version of its type; personal fields sealed.
    pub fn decode(&self) -> Result<Recorded, ReadError> {
        if let StreamKind::Other(_) = self.id.stream.kind {
            return Err(ReadError::Corrupt {
                partition: self.partition,
                position: self.position,
                what: "its stream is of a kind that this program does not know",
            });
        }
        let event = Event::decode(&self.kind, self.kind_version, &self.payload)
            .map_err(|source| ReadError::Decode { id: self.id.to_string(), source })?;
        Ok(Recorded {
            partition: self.partition,
            position: self.position,
            epoch: self.epoch,
            id: self.id,
            recorded_at: self.recorded_at,
            metadata: self.metadata()?,
            event,
        })
    }

    /// The decoded metadata.
    pub fn metadata(&self) -> Result<Metadata, ReadError> {
        serde_json::from_str(&self.metadata).map_err(|_| ReadError::Corrupt {
            partition: self.partition,
            position: self.position,
            what: "its metadata does not decode",
        })
    }
}

/// A row of `log.events`, as the queries below select it.
struct Row {
    partition: i16,
    position: i64,
    epoch: i64,
    owner: Uuid,
    stream_kind: i16,
    stream_id: Uuid,
    version: i32,
    kind: String,
    kind_version: i16,
    recorded_at: DateTime<Utc>,
    client_id: Option<Uuid>,
    fingerprint: Option<Vec<u8>>,
    metadata: String,
    payload: String,
}

impl TryFrom<Row> for Stored {
    type Error = ReadError;

    fn try_from(row: Row) -> Result<Self, ReadError> {
        let (partition, position) = (Partition(row.partition), Position(row.position));
        let corrupt = |what| ReadError::Corrupt { partition, position, what };
        let owner = AthleteId::new(row.owner).map_err(|_| corrupt("its owner is no athlete"))?;
        let kind = StreamKind::from_code(row.stream_kind);
        Ok(Self {
            partition,
            position,
            epoch: Epoch(row.epoch),
            id: EventId {
                owner,
                stream: Stream { kind, id: row.stream_id },
                version: Version(row.version),
            },
            kind: row.kind,
            kind_version: row.kind_version,
            recorded_at: Timestamp::new(row.recorded_at),
            client_id: row.client_id,
            fingerprint: row.fingerprint.and_then(|bytes| bytes.try_into().ok()),
            metadata: row.metadata,
            payload: row.payload,
        })
    }
}

/// Reads the log of a database, and needs no keys for it: personal fields stay sealed.
#[derive(Clone)]
pub struct Reader {
    pub(crate) pool: PgPool,
    pub(crate) wake: Wake,
}

impl Reader {
    /// A reader of the log of a database. Nothing is sent before the first use.
    pub fn open(database: &Database) -> Self {
        Self { pool: database.pool.clone(), wake: Wake::new(database, CHANNEL) }
    }

    /// The events of one stream after a version, oldest first; none when there is no such stream.
    pub async fn read_stream(
        &self,
        partition: Partition,
        owner: AthleteId,
        stream: Stream,
        after: Version,
    ) -> Result<Vec<Stored>, ReadError> {
        sqlx::query_as!(
            Row,
            "select partition, position, epoch, owner, stream_kind, stream_id, version,
                 type as kind, type_version as kind_version, recorded_at, client_id, fingerprint,
                 metadata, payload
             from log.events
             where partition = $1 and owner = $2 and stream_kind = $3 and stream_id = $4
                 and version > $5
             order by version",
            partition.0,
            owner.uuid(),
            stream.kind.code(),
            stream.id,
            after.0,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(Stored::try_from)
        .collect()
    }

    /// The events of one stream before a version, or the last ones: at most `limit`, newest first.
    pub async fn read_stream_back(
        &self,
        partition: Partition,
        owner: AthleteId,
        stream: Stream,
        before: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        sqlx::query_as!(
            Row,
            "select partition, position, epoch, owner, stream_kind, stream_id, version,
                 type as kind, type_version as kind_version, recorded_at, client_id, fingerprint,
                 metadata, payload
             from log.events
             where partition = $1 and owner = $2 and stream_kind = $3 and stream_id = $4
                 and version < $5
             order by version desc limit $6",
            partition.0,
            owner.uuid(),
            stream.kind.code(),
            stream.id,
            before.map_or(i32::MAX, |version| version.0),
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(Stored::try_from)
        .collect()
    }

    /// The event that recorded a client-made id of an owner.
    pub async fn recorded_as(
        &self,
        partition: Partition,
        owner: AthleteId,
        id: Uuid,
    ) -> Result<Option<Stored>, ReadError> {
        sqlx::query_as!(
            Row,
            "select partition, position, epoch, owner, stream_kind, stream_id, version,
                 type as kind, type_version as kind_version, recorded_at, client_id, fingerprint,
                 metadata, payload
             from log.events
             where client_id = $1 and owner = $2 and partition = $3",
            id,
            owner.uuid(),
            partition.0,
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Stored::try_from)
        .transpose()
    }

    /// The events at some positions of a partition, in their order.
    pub async fn at(
        &self,
        partition: Partition,
        positions: &[i64],
    ) -> Result<Vec<Stored>, ReadError> {
        sqlx::query_as!(
            Row,
            "select partition, position, epoch, owner, stream_kind, stream_id, version,
                 type as kind, type_version as kind_version, recorded_at, client_id, fingerprint,
                 metadata, payload
             from log.events
             where partition = $1 and position = any($2)
             order by position",
            partition.0,
            positions,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(Stored::try_from)
        .collect()
    }

    /// All events of an owner in a partition, up to a position. Looks at every event there: for
    /// questions that are seldom asked.
    pub async fn of_owner(
        &self,
        partition: Partition,
        owner: AthleteId,
        up_to: Position,
    ) -> Result<Vec<Stored>, ReadError> {
        sqlx::query_as!(
            Row,
            "select partition, position, epoch, owner, stream_kind, stream_id, version,
                 type as kind, type_version as kind_version, recorded_at, client_id, fingerprint,
                 metadata, payload
             from log.events
             where partition = $1 and owner = $2 and position <= $3
             order by position",
            partition.0,
            owner.uuid(),
            up_to.0,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(Stored::try_from)
        .collect()
    }

    /// The next events of several partitions, at most `limit` of each: by partition, then by
    /// position, without a hole.
    pub async fn tail(
        &self,
        after: &BTreeMap<Partition, Position>,
        limit: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        let partitions: Vec<i16> = after.keys().map(|partition| partition.0).collect();
        let positions: Vec<i64> = after.values().map(|position| position.0).collect();
        sqlx::query_as!(
            Row,
            r#"select e.partition as "partition!", e.position as "position!", e.epoch as "epoch!",
                   e.owner as "owner!", e.stream_kind as "stream_kind!",
                   e.stream_id as "stream_id!", e.version as "version!", e.type as "kind!",
                   e.type_version as "kind_version!", e.recorded_at as "recorded_at!",
                   e.client_id, e.fingerprint, e.metadata as "metadata!", e.payload as "payload!"
               from unnest($1::smallint[], $2::bigint[]) as wanted (partition, position)
               cross join lateral (
                   select * from log.events
                   where partition = wanted.partition and position > wanted.position
                   order by position limit $3
               ) e
               order by e.partition, e.position"#,
            &partitions,
            &positions,
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(Stored::try_from)
        .collect()
    }

    /// The last position of every partition; 0 where nothing happened yet.
    pub async fn heads(&self) -> Result<BTreeMap<Partition, Position>, ReadError> {
        let rows = sqlx::query!(
            r#"select p.number as "partition!", coalesce((
                   select position from log.events
                   where partition = p.number order by position desc limit 1
               ), 0) as "position!"
               from log.partitions p
               order by 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (Partition(row.partition), Position(row.position))).collect())
    }

    /// The line of history that the log is on.
    pub async fn epoch(&self) -> Result<Epoch, ReadError> {
        let epoch = sqlx::query_scalar!(r#"select max(epoch) as "epoch!" from log.epochs"#)
            .fetch_one(&self.pool)
            .await?;
        Ok(Epoch(epoch))
    }

    /// Changes whenever the log may have grown, by whatever process. A hint: readers also poll.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.wake.subscribe()
    }
}
