//! What the log itself says about a batch of appends, where a lane's memory does not suffice.

use std::collections::{HashMap, HashSet, VecDeque};

use events::{AthleteId, Partition, Position, Stream, StreamKind, Timestamp, Version};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::lane::{AnswerKey, ClientKey, Request, StreamKey};

/// A client-made id that is on the log.
pub(crate) struct Recorded {
    pub(crate) stream: Stream,
    pub(crate) version: Version,
    pub(crate) fingerprint: [u8; 16],
}

/// What decides the appends of a batch: read after a failure.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) versions: HashMap<StreamKey, Version>,
    pub(crate) clients: HashMap<ClientKey, Recorded>,
    /// Under which idempotency keys of the batch answers are kept.
    pub(crate) answers: HashSet<AnswerKey>,
    /// Appends that an earlier try had in truth committed: the last position of each, by its
    /// place in the batch.
    pub(crate) mine: HashMap<usize, Position>,
}

/// Reads all that decides the appends of a batch; own earlier tries only when there is doubt.
pub(crate) async fn read(
    connection: &mut PgConnection,
    batch: &VecDeque<Request>,
    doubtful: bool,
) -> Result<Truth, sqlx::Error> {
    let streams: Vec<(Partition, StreamKey)> = batch
        .iter()
        .flat_map(|request| request.writes.iter().map(move |write| (request, write)))
        .map(|(request, write)| (request.partition, (request.owner, write.stream)))
        .collect();
    let versions = versions(connection, &streams).await?;
    let versions = streams.into_iter().map(|(_, key)| key).zip(versions).collect();
    let clients = clients(connection, batch.iter()).await?;
    let answers = answers(connection, batch).await?;
    let mine = if doubtful { own_tries(connection, batch).await? } else { HashMap::new() };
    Ok(Truth { versions, clients, answers, mine })
}

async fn answers(
    connection: &mut PgConnection,
    batch: &VecDeque<Request>,
) -> Result<HashSet<AnswerKey>, sqlx::Error> {
    let mut wanted: HashSet<AnswerKey> = batch.iter().filter_map(Request::answer_key).collect();
    if wanted.is_empty() {
        return Ok(wanted);
    }
    let owners: Vec<Uuid> = wanted.iter().map(|(owner, ..)| owner.uuid()).collect();
    let actors: Vec<Uuid> = wanted.iter().map(|(_, actor, _)| *actor).collect();
    let keys: Vec<&[u8]> = wanted.iter().map(|(.., key)| key.as_slice()).collect();
    let rows = sqlx::query!(
        r#"select owner as "owner!", actor as "actor!", key as "key!"
           from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as wanted (owner, actor, key)
           join log.kept_answers using (owner, actor, key)"#,
        &owners,
        &actors,
        &keys as &[&[u8]],
    )
    .fetch_all(connection)
    .await?;
    let found: HashSet<(Uuid, Uuid, Vec<u8>)> =
        rows.into_iter().map(|row| (row.owner, row.actor, row.key)).collect();
    wanted.retain(|(owner, actor, key)| found.contains(&(owner.uuid(), *actor, key.to_vec())));
    Ok(wanted)
}

/// The last position of each partition, 0 where nothing happened yet, and when it was recorded.
pub(crate) async fn heads(
    connection: &mut PgConnection,
    partitions: &[i16],
) -> Result<Vec<(Partition, Position, Option<Timestamp>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select p as "partition!", coalesce(head.position, 0) as "position!",
               head.recorded_at as "recorded_at?"
           from (select distinct unnest($1::smallint[]) as p) as partitions
           left join lateral (
               select position, recorded_at from log.events
               where partition = p order by position desc limit 1
           ) head on true"#,
        partitions
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let recorded_at = row.recorded_at.map(Timestamp::new);
            (Partition(row.partition), Position(row.position), recorded_at)
        })
        .collect())
}

/// The version of each stream, in the order given; 0 where there is none.
pub(crate) async fn versions(
    connection: &mut PgConnection,
    streams: &[(Partition, StreamKey)],
) -> Result<Vec<Version>, sqlx::Error> {
    let partitions: Vec<i16> = streams.iter().map(|(partition, _)| partition.0).collect();
    let owners: Vec<Uuid> = streams.iter().map(|(_, (owner, _))| owner.uuid()).collect();
    let kinds: Vec<i16> = streams.iter().map(|(_, (_, stream))| stream.kind.code()).collect();
    let ids: Vec<Uuid> = streams.iter().map(|(_, (_, stream))| stream.id).collect();
    let versions = sqlx::query_scalar!(
        r#"select coalesce(newest.version, 0) as "version!"
           from unnest($1::smallint[], $2::uuid[], $3::smallint[], $4::uuid[])
               with ordinality as wanted (partition, owner, kind, stream, number)
           left join lateral (
               select version from log.events e
               where e.partition = wanted.partition and e.owner = wanted.owner
                   and e.stream_kind = wanted.kind and e.stream_id = wanted.stream
               order by version desc limit 1
           ) newest on true
           order by wanted.number"#,
        &partitions,
        &owners,
        &kinds,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(versions.into_iter().map(Version).collect())
}

/// Where the client-made ids of appends were recorded, as far as they were.
pub(crate) async fn clients<'a>(
    connection: &mut PgConnection,
    requests: impl Iterator<Item = &'a Request> + Clone,
) -> Result<HashMap<ClientKey, Recorded>, sqlx::Error> {
    let clients = || requests.clone().flat_map(|r| r.client_ids().map(move |id| (r, id)));
    let partitions: Vec<i16> = clients().map(|(request, _)| request.partition.0).collect();
    let owners: Vec<Uuid> = clients().map(|(request, _)| request.owner.uuid()).collect();
    let ids: Vec<Uuid> = clients().map(|(_, id)| id).collect();
    let rows = sqlx::query!(
        r#"select e.owner, e.client_id as "client_id!", e.stream_kind, e.stream_id, e.version,
               e.fingerprint as "fingerprint!"
           from (
               select distinct * from unnest($1::smallint[], $2::uuid[], $3::uuid[])
                   as ids (partition, owner, id)
           ) as wanted
           join log.events e
               on e.partition = wanted.partition and e.owner = wanted.owner
               and e.client_id = wanted.id"#,
        &partitions,
        &owners,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut found = HashMap::new();
    for row in rows {
        let Ok(owner) = AthleteId::new(row.owner) else { continue };
        let kind = StreamKind::from_code(row.stream_kind);
        let fingerprint = row.fingerprint.try_into().unwrap_or_default();
        let stream = Stream { kind, id: row.stream_id };
        let recorded = Recorded { stream, version: Version(row.version), fingerprint };
        found.insert((owner, row.client_id), recorded);
    }
    Ok(found)
}

/// The appends of a batch that are on the log already. An append is there whole or not at all, so
/// its first event tells: the causation in its metadata is of one run of one command alone.
async fn own_tries(
    connection: &mut PgConnection,
    batch: &VecDeque<Request>,
) -> Result<HashMap<usize, Position>, sqlx::Error> {
    let mut mine = HashMap::new();
    for (index, request) in batch.iter().enumerate() {
        let (Some(first), Some(last)) = (request.writes.first(), request.writes.last()) else {
            continue;
        };
        let Some(row) = first.rows.first() else { continue };
        let position = sqlx::query_scalar!(
            "select last.position
             from log.events first
             join log.events last on last.partition = first.partition
                 and last.owner = first.owner
             where first.partition = $1 and first.owner = $2 and first.stream_kind = $3
                 and first.stream_id = $4 and first.version = $5
                 and first.metadata = $6 and first.payload = $7
                 and last.stream_kind = $8 and last.stream_id = $9 and last.version = $10",
            request.partition.0,
            request.owner.uuid(),
            first.stream.kind.code(),
            first.stream.id,
            first.expected.next().0,
            row.metadata,
            row.payload,
            last.stream.kind.code(),
            last.stream.id,
            last.last_version().0,
        )
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(position) = position {
            mine.insert(index, Position(position));
        }
    }
    Ok(mine)
}
