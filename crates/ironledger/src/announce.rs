//! Announcing records: the difference between what is true and what was said goes on the log.
//!
//! The projector of records marks what changed; the emitter here looks at each mark, reads truth and
//! announcements at one position, and appends what lies between, at the version of the announcements that
//! it has read. So whatever crashes or comes twice: who reads the stream again finds nothing left to
//! say, and who has read too little of it is refused by the log.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use anyhow::{Result, bail};
use domain::announcements::Occasion;
use events::{
    Actor, AthleteId, Channel, Event, Metadata, Partition, RestatedBecause, Stream, Version,
};
use log::{Append, AppendError, Clock, Database, Log, NewEvent, Random, Write};
use projections::records::announcing::{self, Key, MODEL, Standing, standings};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// Marks that are looked at together: should all be one athlete's, and each take three events, they are
/// still one append.
const PAGE: i64 = 300;

/// Marks are looked for so often.
const POLL: Duration = Duration::from_millis(150);

/// After a failure, or beside another emitter that leads.
const REST: Duration = Duration::from_secs(1);

/// Any number: the emitter that works holds the lock of that number.
const LOCK: i64 = 0x1206;

/// A model that does not come to where the announcements are is waited for so often.
const ATTEMPTS: usize = 100;

/// Appends announcements.
pub(crate) struct Emitter {
    database: Database,
    log: Log,
    clock: Clock,
    random: Random,
    /// What was appended last, by athlete: what the model has not read yet is not decided on again.
    appended: HashMap<AthleteId, Version>,
}

/// A mark of the projector.
struct Mark {
    key: Key,
    occasion: Occasion,
    marked_at: chrono::DateTime<chrono::Utc>,
}

/// What came of trying to announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// So many events; none where nothing was left to say.
    Events(usize),
    /// The model is behind the announcements: later.
    Behind,
}

impl Emitter {
    pub(crate) fn new(database: Database, log: Log, clock: Clock, random: Random) -> Self {
        Self { database, log, clock, random, appended: HashMap::new() }
    }

    /// Announces until told to stop, if no other emitter does. What goes wrong is logged and tried
    /// again.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let failed = match self.lead(&stop).await {
                Ok(true) => continue,
                Ok(false) => false,
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "records are not announced");
                    true
                }
            };
            if failed {
                self.appended.clear();
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(REST) => {}
            }
        }
    }

    /// `false` while another emitter leads.
    async fn lead(&mut self, stop: &CancellationToken) -> Result<bool> {
        // A connection of its own: the lock ends with it, however that ends.
        let mut connection = PgConnection::connect_with(&self.database.direct).await?;
        let ours = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "ours!""#, LOCK)
            .fetch_one(&mut connection)
            .await?;
        if !ours {
            connection.close().await.ok();
            return Ok(false);
        }
        while !stop.is_cancelled() {
            let looked_at = self.step(&mut connection).await?;
            if looked_at < usize::try_from(PAGE)? {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(POLL) => {}
                }
            }
        }
        connection.close().await.ok();
        Ok(true)
    }

    /// Announces what is marked, and answers how many marks were done with.
    async fn step(&mut self, connection: &mut PgConnection) -> Result<usize> {
        let marks = due(connection).await?;
        if marks.is_empty() || !announcing::is_built(&self.database.pool).await? {
            return Ok(0);
        }
        let occasions: HashMap<Key, Occasion> =
            marks.iter().map(|mark| (mark.key.clone(), mark.occasion)).collect();
        let keys = marks.iter().map(|mark| mark.key.clone()).collect();
        let said =
            self.announce(keys, |key| occasions.get(key).copied().unwrap_or(Occasion::Trained));
        let said = said.await?;
        let is_done = |mark: &&Mark| said.get(&mark.key.owner) != Some(&Said::Behind);
        let done: Vec<&Mark> = marks.iter().filter(is_done).collect();
        forget(connection, &done).await?;
        Ok(done.len())
    }

    /// Brings the announcements of exercises to the truth; what came of it, by athlete.
    async fn announce(
        &mut self,
        keys: Vec<Key>,
        occasion: impl Fn(&Key) -> Occasion,
    ) -> Result<BTreeMap<AthleteId, Said>> {
        let mut by_athlete: BTreeMap<AthleteId, Vec<Standing>> = BTreeMap::new();
        for standing in standings(&self.database.pool, keys).await? {
            by_athlete.entry(standing.key.owner).or_default().push(standing);
        }
        let mut said = BTreeMap::new();
        let mut appends = JoinSet::new();
        for (owner, standings) in by_athlete {
            let Some(first) = standings.first() else { continue };
            let (partition, version) = (first.key.partition, first.version);
            if self.appended.get(&owner).is_some_and(|appended| *appended > version) {
                said.insert(owner, Said::Behind);
                continue;
            }
            let events: Vec<Event> = standings
                .iter()
                .flat_map(|standing| standing.difference(occasion(&standing.key)))
                .collect();
            if events.is_empty() {
                said.insert(owner, Said::Events(0));
            } else {
                let (count, log) = (events.len(), self.log.clone());
                let append = self.append(owner, partition, version, events);
                // At the same time: the log writes them together.
                appends.spawn(async move { (owner, version, count, log.append(append).await) });
            }
        }
        // It is there to spare a conflict, and need not know everybody.
        if self.appended.len() > 100_000 {
            self.appended.clear();
        }
        while let Some(done) = appends.join_next().await {
            let (owner, version, count, outcome) = done?;
            match outcome {
                Ok(_) => {
                    let last = Version(version.0 + i32::try_from(count)?);
                    self.appended.insert(owner, last);
                    said.insert(owner, Said::Events(count));
                }
                // Somebody has announced what the model has not read yet.
                Err(AppendError::Conflict { .. }) => {
                    said.insert(owner, Said::Behind);
                }
                Err(error) => bail!("the log takes no announcements: {error}"),
            }
        }
        Ok(said)
    }

    fn append(
        &self,
        owner: AthleteId,
        partition: Partition,
        expected: Version,
        events: Vec<Event>,
    ) -> Append {
        let now = self.clock.now();
        let run = self.random.uuid(now);
        let metadata = Metadata {
            occurred_at: now,
            actor: Actor::System("records".to_owned()),
            on_behalf_of: None,
            channel: Channel::System,
            device: None,
            request: None,
            correlation: run,
            causation: run,
        };
        let new = events.into_iter().map(|event| {
            metrics::counter!(
                "ironledger_announcements_total", "type" => event.type_and_version().0
            )
            .increment(1);
            NewEvent { event, metadata: metadata.clone(), client: None }
        });
        let write = Write { stream: Stream::records(owner), expected, events: new.collect() };
        Append { owner, partition, writes: vec![write] }
    }

    /// Holds the announcements of everybody, or of one athlete, against the truth, and restates what
    /// differs; how many exercises were looked at, and how many events that took.
    pub(crate) async fn reconcile(&mut self, only: Option<AthleteId>) -> Result<(usize, usize)> {
        if !announcing::is_built(&self.database.pool).await? {
            bail!("the records are not built yet");
        }
        let (mut looked_at, mut events) = (0, 0);
        let mut last: Option<Key> = None;
        loop {
            let pool: &PgPool = &self.database.pool;
            let keys = announcing::keys_after(pool, last.as_ref(), only, PAGE).await?;
            let Some(end) = keys.last() else { break };
            last = Some(end.clone());
            looked_at += keys.len();
            let mut left = keys;
            for attempt in 1.. {
                let reason = Occasion::Restated(RestatedBecause::Reconciled);
                let said = self.announce(left.clone(), |_| reason).await?;
                for outcome in said.values() {
                    if let Said::Events(count) = outcome {
                        events += count;
                    }
                }
                left.retain(|key| said.get(&key.owner) == Some(&Said::Behind));
                if left.is_empty() {
                    break;
                }
                if attempt >= ATTEMPTS {
                    bail!("the records are behind what was announced; is their projector running?");
                }
                sleep(POLL).await;
            }
        }
        Ok((looked_at, events))
    }
}

/// The marks that may be looked at: of an import, those that have been quiet for a while.
async fn due(connection: &mut PgConnection) -> Result<Vec<Mark>> {
    let rows = sqlx::query!(
        r#"select owner, key, partition, imported, marked_at,
               recorded_at < clock_timestamp() - interval '1 day' as "late!"
           from projector.marks
           where model = $1
               and (not imported or marked_at < clock_timestamp() - interval '3 seconds')
           order by marked_at limit $2"#,
        MODEL,
        PAGE,
    )
    .fetch_all(connection)
    .await?;
    let marks = rows.into_iter().filter_map(|row| {
        let occasion = match (row.imported, row.late) {
            (true, _) => Occasion::Restated(RestatedBecause::Imported),
            (false, true) => Occasion::Restated(RestatedBecause::Late),
            (false, false) => Occasion::Trained,
        };
        let key = Key {
            owner: AthleteId::new(row.owner).ok()?,
            partition: Partition(row.partition),
            exercise: row.key.parse().ok()?,
        };
        Some(Mark { key, occasion, marked_at: row.marked_at })
    });
    Ok(marks.collect())
}

/// Takes marks away that are done with, unless they were made again meanwhile.
async fn forget(connection: &mut PgConnection, marks: &[&Mark]) -> Result<()> {
    let owners: Vec<uuid::Uuid> = marks.iter().map(|mark| mark.key.owner.uuid()).collect();
    let keys: Vec<String> = marks.iter().map(|mark| mark.key.exercise.to_string()).collect();
    let made: Vec<_> = marks.iter().map(|mark| mark.marked_at).collect();
    sqlx::query!(
        "delete from projector.marks m
         using unnest($2::uuid[], $3::text[], $4::timestamptz[]) as done (owner, key, marked_at)
         where m.model = $1 and m.owner = done.owner and m.key = done.key
             and m.marked_at = done.marked_at",
        MODEL,
        &owners,
        &keys,
        &made,
    )
    .execute(connection)
    .await?;
    Ok(())
}
