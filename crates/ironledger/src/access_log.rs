//! What happened at the door: who came in, was refused, or looked at what is another's.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use events::{AthleteId, Timestamp};
use log::{Clock, Random};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;
use web::{Credential, Error, Seen, What};

use crate::commands;

/// What waits to be written; what comes when it is full is lost, and said to be.
const WAITING: usize = 10_000;

/// What is noted is written down within this time.
const GATHER: Duration = Duration::from_millis(200);

/// Use of keys, of which there is more, within this.
const GATHER_KEYS: Duration = Duration::from_secs(10);

/// Writes down what happened at the door, and shows it.
#[derive(Clone)]
pub(crate) struct AccessLog {
    pool: PgPool,
    clock: Clock,
    random: Random,
    noted: mpsc::Sender<Message>,
    _writer: Arc<AbortOnDropHandle<()>>,
}

enum Message {
    Noted(Seen, Timestamp),
    /// Answered once everything before it is written.
    Flush(tokio::sync::oneshot::Sender<()>),
}

/// An entry as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessEntry")]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    happened_at: DateTime<Utc>,
    /// Whose affairs it was about.
    pub(crate) athlete: Option<Uuid>,
    /// Who it was, where that is known.
    actor: Option<Uuid>,
    what: String,
    session: Option<Uuid>,
    key: Option<Uuid>,
    route: String,
    status: Option<i16>,
    address: Option<String>,
    device: Option<String>,
    request: String,
    /// The same again within the moment.
    times: i32,
}

impl Entry {
    /// Leaves out the session or key of anybody but the reader.
    pub(crate) fn hide_from(&mut self, reader: Uuid) {
        if self.actor.is_some_and(|actor| actor != reader) {
            (self.session, self.key) = (None, None);
        }
    }
}

/// What entries are to be shown.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) athlete: Option<AthleteId>,
    pub(crate) before: Option<Uuid>,
    pub(crate) limit: usize,
}

impl AccessLog {
    pub(crate) fn new(pool: PgPool, clock: Clock, random: Random) -> Self {
        let (noted, notes) = mpsc::channel(WAITING);
        let writer = Writer { pool: pool.clone(), random: random.clone() };
        let writer = AbortOnDropHandle::new(tokio::spawn(writer.run(notes)));
        Self { pool, clock, random, noted, _writer: Arc::new(writer) }
    }

    /// Writes something down soon.
    pub(crate) fn note(&self, seen: Seen) {
        if let Err(TrySendError::Full(_)) =
            self.noted.try_send(Message::Noted(seen, self.clock.now()))
        {
            metrics::counter!("ironledger_access_log_lost_total").increment(1);
            tracing::warn!("more happens at the door than can be written down");
        }
    }

    /// Writes down, before it is answered, what must not be missed.
    pub(crate) async fn record(&self, seen: &[Seen]) -> Result<(), Error> {
        let now = self.clock.now();
        let entries: Vec<New> =
            seen.iter().map(|seen| New { seen: seen.clone(), at: now, times: 1 }).collect();
        write(&self.pool, &self.random, &entries).await.map_err(commands::database)
    }

    /// Waits until what was noted is written.
    pub(crate) async fn flush(&self) {
        let (done, written) = tokio::sync::oneshot::channel();
        if self.noted.send(Message::Flush(done)).await.is_ok() {
            let _ = written.await;
        }
    }

    /// Entries, the newest first.
    pub(crate) async fn entries(&self, filter: Filter) -> Result<Vec<Entry>, Error> {
        let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
        let entries = match filter.athlete {
            Some(athlete) => {
                sqlx::query_as!(
                    Entry,
                    "select id, happened_at, athlete, actor, what, session, key, route, status,
                         address, device, request, times
                     from accounts.access_log
                     where athlete = $1 and ($2::uuid is null or id < $2)
                     order by id desc limit $3",
                    athlete.uuid(),
                    filter.before,
                    limit,
                )
                .fetch_all(&self.pool)
                .await
            }
            None => {
                sqlx::query_as!(
                    Entry,
                    "select id, happened_at, athlete, actor, what, session, key, route, status,
                         address, device, request, times
                     from accounts.access_log
                     where $1::uuid is null or id < $1
                     order by id desc limit $2",
                    filter.before,
                    limit,
                )
                .fetch_all(&self.pool)
                .await
            }
        };
        entries.map_err(commands::database)
    }

    /// Throws away what is older than 90 days.
    pub(crate) async fn prune(&self) -> Result<(), sqlx::Error> {
        sqlx::query!(r#"select accounts.prune_access_log() as "pruned!""#)
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }
}

struct Writer {
    pool: PgPool,
    random: Random,
}

impl Writer {
    async fn run(self, mut notes: mpsc::Receiver<Message>) {
        let mut gathered = [Gathered::for_so_long(GATHER), Gathered::for_so_long(GATHER_KEYS)];
        loop {
            let due = gathered.iter().filter_map(Gathered::due).min();
            let message = match due {
                None => notes.recv().await,
                Some(due) => match timeout_at(due, notes.recv()).await {
                    Ok(message) => message,
                    Err(_) => {
                        let now = Instant::now();
                        for some in &mut gathered {
                            if some.due().is_some_and(|due| due <= now) {
                                self.write(some).await;
                            }
                        }
                        continue;
                    }
                },
            };
            let [soon, keys] = &mut gathered;
            match message {
                Some(Message::Noted(seen, at)) => {
                    let some = if seen.what == What::KeyUsed { keys } else { soon };
                    some.take(seen, at);
                    if some.entries.len() >= WAITING {
                        self.write(some).await;
                    }
                }
                Some(Message::Flush(done)) => {
                    self.write(soon).await;
                    self.write(keys).await;
                    let _ = done.send(());
                }
                None => return,
            }
        }
    }

    async fn write(&self, gathered: &mut Gathered) {
        let entries = gathered.entries.drain(..).collect::<Vec<_>>();
        gathered.known.clear();
        gathered.since = None;
        if let Err(error) = write(&self.pool, &self.random, &entries).await {
            let entries = entries.len();
            tracing::error!(%error, entries, "what happened is not written down");
        }
    }
}

/// What happened lately, the same but once.
struct Gathered {
    patience: Duration,
    since: Option<Instant>,
    entries: Vec<New>,
    known: HashMap<Same, usize>,
}

impl Gathered {
    fn for_so_long(patience: Duration) -> Self {
        Self { patience, since: None, entries: Vec::new(), known: HashMap::new() }
    }

    /// When it is to be written.
    fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.patience)
    }

    fn take(&mut self, seen: Seen, at: Timestamp) {
        self.since.get_or_insert_with(Instant::now);
        let entry = *self.known.entry(Same::of(&seen)).or_insert(self.entries.len());
        match self.entries.get_mut(entry) {
            Some(entry) => entry.times += 1,
            None => self.entries.push(New { seen, at, times: 1 }),
        }
    }
}

/// An entry to be written.
struct New {
    seen: Seen,
    at: Timestamp,
    times: i32,
}

/// What makes two entries the same: all but the request.
#[derive(PartialEq, Eq, Hash)]
struct Same(String);

impl Same {
    fn of(seen: &Seen) -> Self {
        let Seen { athlete, actor, what, credential, route, status, address, device, .. } = seen;
        Self(format!(
            "{athlete:?} {actor:?} {what:?} {credential:?} {route} {status:?} {address:?} {device:?}"
        ))
    }
}

/// Writes entries; their ids are in the order in which it happened.
async fn write(pool: &PgPool, random: &Random, entries: &[New]) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let each = || entries.iter().map(|entry| &entry.seen);
    let mut ids: Vec<Uuid> = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = random.uuid(entry.at);
        // Within a millisecond chance would decide.
        let last = ids.last().copied().filter(|last| *last >= id);
        ids.push(last.map_or(id, |last| Uuid::from_u128(last.as_u128() + 1)));
    }
    let times_at: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.at.utc()).collect();
    let athletes: Vec<Option<Uuid>> = each().map(|seen| seen.athlete).collect();
    let actors: Vec<Option<Uuid>> = each().map(|seen| seen.actor).collect();
    let whats: Vec<String> = each().map(|seen| seen.what.as_str().to_owned()).collect();
    let sessions: Vec<Option<Uuid>> = each()
        .map(|seen| match seen.credential {
            Some(Credential::Session(id)) => Some(id),
            _ => None,
        })
        .collect();
    let keys: Vec<Option<Uuid>> = each()
        .map(|seen| match seen.credential {
            Some(Credential::Key(id)) => Some(id),
            _ => None,
        })
        .collect();
    let routes: Vec<String> = each().map(|seen| seen.route.clone()).collect();
    let statuses: Vec<Option<i16>> =
        each().map(|seen| seen.status.and_then(|status| i16::try_from(status).ok())).collect();
    let addresses: Vec<Option<String>> =
        each().map(|seen| seen.address.map(|address| address.to_string())).collect();
    let devices: Vec<Option<String>> = each().map(|seen| seen.device.clone()).collect();
    let requests: Vec<String> = each().map(|seen| seen.request.clone()).collect();
    let times: Vec<i32> = entries.iter().map(|entry| entry.times).collect();
    sqlx::query!(
        "insert into accounts.access_log
             (id, happened_at, athlete, actor, what, session, key, route, status, address, device,
              request, times)
         select * from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::uuid[],
             $8::text[], $9::smallint[], $10::text[], $11::text[], $12::text[], $13::int[])",
        &ids,
        &times_at,
        &athletes as &[Option<Uuid>],
        &actors as &[Option<Uuid>],
        &whats,
        &sessions as &[Option<Uuid>],
        &keys as &[Option<Uuid>],
        &routes,
        &statuses as &[Option<i16>],
        &addresses as &[Option<String>],
        &devices as &[Option<String>],
        &requests,
        &times,
    )
    .execute(pool)
    .await?;
    Ok(())
}
