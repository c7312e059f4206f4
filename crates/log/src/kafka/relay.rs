//! The relay: publishes the log on Kafka, in order and without a hole, one leader at a time.
//!
//! What holds, without Kafka's transactions: **in each partition of the topic, first occurrences
//! are in order and without a hole since the topic was last made.** A leader publishes from
//! `max(published, last record on Kafka)` on, and a producer's records arrive as a run without a
//! gap. A former leader that wakes up late still adds the rest of its own run. That run began at or
//! below what the topic held, so it can only repeat, or go on where the topic ends; readers drop
//! what they have. (What is left: a topic that is lost and made anew, or loses what it has
//! acknowledged, while a sleeper wakes up may get the two runs the wrong way round, or a hole between
//! them. Readers see that by the positions, and read Postgres.)

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use events::{Epoch, Partition, Position};
use rdkafka::error::KafkaError;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Kafka,
    lease::Lease,
    notes::{self, Lag, Lead},
    producer::{Deliveries, Producer},
    tail,
    topic::{self, Topic, WrongTopic},
};
use crate::{Database, ReadError, Reader};

/// Most events of one partition in one page.
const PAGE: usize = 500;

/// How often another relay asks for the lead.
const ASK: Duration = Duration::from_millis(500);

/// The log is looked at so often, whether or not somebody woke us.
const POLL: Duration = Duration::from_millis(200);

/// What Kafka has acknowledged is noted so often. A crash in between costs a look at the topic.
const SETTLE: Duration = Duration::from_millis(200);

/// The topic is held to its settings so often, and a leader that is behind says so.
const INSPECT: Duration = Duration::from_secs(5);

/// What is still on its way when we are told to stop may take so long.
const REST: Duration = Duration::from_secs(3);

/// Records at the end of a partition that are looked at first, and at most.
const WINDOW: (i64, i64) = (100, 10_000);

/// Why nothing is published at the moment.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Kafka did not take something, or is away.
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The topic is not as the log needs it.
    #[error(transparent)]
    WrongTopic(#[from] WrongTopic),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// Postgres did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The topic was deleted, or the log was restored or has more partitions than before.
    #[error("the topic or the log has changed")]
    Changed,
    /// Kafka answers, but has acknowledged nothing for a while of what was sent.
    #[error("Kafka answers, but takes nothing")]
    Stuck,
    /// The log misses an event, which cannot be.
    #[error("partition {partition}: position {found} follows {last}")]
    Hole {
        /// Where.
        partition: Partition,
        /// The last position before the hole.
        last: Position,
        /// The next one that is there.
        found: Position,
    },
    /// Another relay leads.
    #[error("another relay leads")]
    NotLeading,
}

impl From<topic::Error> for RelayError {
    fn from(error: topic::Error) -> Self {
        match error {
            topic::Error::Wrong(wrong) => Self::WrongTopic(wrong),
            topic::Error::Kafka(error) => Self::Kafka(error),
        }
    }
}

/// Publishes the log for as long as it leads. Run several: one leads, the others wait.
pub struct Relay {
    database: Database,
    reader: Reader,
    kafka: Kafka,
    holder: Uuid,
}

/// A relay that has the lead, or believes so.
pub struct Leader<'a> {
    relay: &'a Relay,
    lead: Lead,
    topic: Arc<Topic>,
    producer: Producer,
    /// Handed to the producer, or on the topic already.
    sent: BTreeMap<Partition, Position>,
    /// Noted in Postgres.
    published: BTreeMap<Partition, Position>,
}

impl Relay {
    /// A relay of the log of a database; `holder` is its own name among relays.
    pub fn new(database: Database, kafka: Kafka, holder: Uuid) -> Self {
        let reader = Reader::open(&database);
        Self { database, reader, kafka, holder }
    }

    /// Leads whenever nobody else does, until told to stop. What goes wrong is said and tried
    /// again.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = Pause::new();
        let mut connection = None;
        while !stop.is_cancelled() {
            let lease = match Lease::take(&self.database, &mut connection, self.holder).await {
                Ok(Some(lease)) => lease,
                Ok(None) => {
                    pause.reset();
                    or_stop(&stop, sleep(ASK)).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot ask for the lead");
                    or_stop(&stop, pause.wait()).await;
                    continue;
                }
            };
            tracing::info!(term = lease.term, holder = %self.holder, "leads");
            tokio::select! {
                () = lease.keep(&self.database) => {
                    tracing::warn!(term = lease.term, "has lost the lead");
                }
                () = self.publish(&lease, &stop) => {
                    if let Err(error) = lease.release(&self.database).await {
                        tracing::debug!(%error, "the lease runs out by itself");
                    }
                }
            }
        }
    }

    /// Takes the lead if nobody has it, and opens the topic. For those who go step by step: the
    /// lease is not renewed.
    pub async fn lead(&self) -> Result<Option<Leader<'_>>, RelayError> {
        match Lease::take(&self.database, &mut None, self.holder).await? {
            Some(lease) => Leader::open(self, lease.term).await.map(Some),
            None => Ok(None),
        }
    }

    /// Publishes until told to stop, or until somebody else leads.
    async fn publish(&self, lease: &Lease, stop: &CancellationToken) {
        let mut pause = Pause::new();
        while !stop.is_cancelled() && lease.holds() {
            match self.publish_until_failure(lease, stop, &mut pause).await {
                Ok(()) => return,
                Err(RelayError::NotLeading) => {
                    tracing::warn!(term = lease.term, "another relay leads");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "publishes nothing");
                    or_stop(stop, pause.wait()).await;
                }
            }
        }
    }

    async fn publish_until_failure(
        &self,
        lease: &Lease,
        stop: &CancellationToken,
        pause: &mut Pause,
    ) -> Result<(), RelayError> {
        let mut leader = Leader::open(self, lease.term).await?;
        pause.reset();
        let (topic, partitions) = (leader.topic.clone(), leader.sent.len());
        let (epoch, deliveries) = (leader.lead.epoch, leader.producer.deliveries());
        tokio::select! {
            error = self.watch_over(&topic, partitions, epoch, &deliveries) => return Err(error),
            pumped = self.pump(&mut leader, lease, stop) => pumped?,
        }
        leader.finish().await
    }

    /// Sends and notes, until told to stop.
    async fn pump(
        &self,
        leader: &mut Leader<'_>,
        lease: &Lease,
        stop: &CancellationToken,
    ) -> Result<(), RelayError> {
        let mut appended = self.reader.changes();
        let mut settled = Instant::now();
        while !stop.is_cancelled() {
            if !lease.holds() {
                return Err(RelayError::NotLeading);
            }
            appended.mark_unchanged();
            let sent = leader.step().await?;
            // Not more often: a note is a commit, and the next events would wait for it.
            if settled.elapsed() >= SETTLE {
                leader.settle().await?;
                settled = Instant::now();
            }
            // With a full page there is more; else who appends wakes us.
            if sent < PAGE {
                let look = if leader.is_settled() {
                    POLL
                } else {
                    SETTLE.saturating_sub(settled.elapsed())
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = appended.changed() => {}
                    () = sleep(look) => {}
                }
            }
        }
        Ok(())
    }

    /// Comes back when topic or log is not what it was, and tells meanwhile how far behind Kafka is.
    async fn watch_over(
        &self,
        topic: &Topic,
        partitions: usize,
        epoch: Epoch,
        deliveries: &Deliveries,
    ) -> RelayError {
        let mut waited = None;
        loop {
            sleep(INSPECT).await;
            match notes::lag(&self.database.pool).await {
                Ok(Lag { events: 0, .. }) | Err(_) => {}
                Ok(Lag { events, seconds, .. }) => {
                    tracing::info!(events, seconds, "behind the log");
                }
            }
            if self.reader.heads().await.is_ok_and(|heads| heads.len() != partitions)
                || self.reader.epoch().await.is_ok_and(|now| now != epoch)
            {
                return RelayError::Changed;
            }
            match topic.check(partitions).await {
                Ok(false) => return RelayError::Changed,
                Err(topic::Error::Wrong(wrong)) => return wrong.into(),
                // That Kafka is away, the producer bears; it goes on by itself.
                Err(topic::Error::Kafka(_)) => waited = None,
                Ok(true) => {
                    let waiting = deliveries.waiting();
                    // librdkafka may hold on to the leaders of a topic that was deleted.
                    if waiting.is_some() && waiting == waited {
                        return RelayError::Stuck;
                    }
                    waited = waiting;
                }
            }
        }
    }

    /// The last position of each partition that is on the topic, of the log's present history.
    ///
    /// What else lies there is passed over: foreign records, and what a restore of the log from a
    /// backup made undone.
    async fn last_on_topic(
        &self,
        heads: &BTreeMap<Partition, Position>,
    ) -> Result<BTreeMap<Partition, Position>, RelayError> {
        let mut last = BTreeMap::new();
        let mut open: Vec<Partition> = heads.keys().copied().collect();
        let mut window = WINDOW.0;
        while !open.is_empty() && window <= WINDOW.1 {
            let found = tail::last_events(&self.kafka, &open, window).await?;
            // One that has fewer records than the window holds was seen whole.
            open.retain(|partition| found.get(partition).is_some_and(|tail| tail.reaches_back));
            for (partition, tail) in found {
                let of_log = tail.events.into_iter().filter(|(at, _)| *at <= heads[&partition]);
                for (position, id) in of_log {
                    let before = BTreeMap::from([(partition, Position(position.0 - 1))]);
                    let there = self.reader.tail(&before, 1).await?;
                    if there
                        .first()
                        .is_some_and(|event| (event.position, event.id) == (position, id))
                    {
                        last.insert(partition, position);
                        open.retain(|other| *other != partition);
                        break;
                    }
                }
            }
            window *= 10;
        }
        Ok(last)
    }
}

impl<'a> Leader<'a> {
    /// Makes or checks the topic, takes over the note of what is published, and finds out where
    /// to go on.
    async fn open(relay: &'a Relay, term: i64) -> Result<Self, RelayError> {
        let pool = &relay.database.pool;
        let lead = Lead { term, epoch: relay.reader.epoch().await? };
        let heads = relay.reader.heads().await?;
        let topic = Arc::new(Topic::new(&relay.kafka)?);
        topic.ensure(heads.len(), notes::published(pool).await?.len()).await?;

        let mut published = notes::take_over(pool, &heads, lead).await?;
        for (partition, position) in relay.last_on_topic(&heads).await? {
            let noted = published.entry(partition).or_default();
            if position < *noted {
                let (partition, noted) = (partition.0, noted.0);
                tracing::warn!(partition, noted, last = position.0, "the topic has lost its end");
            }
            *noted = position.max(*noted);
        }
        notes::note(pool, &published, lead).await?;
        tracing::info!(
            term,
            published = published.values().map(|at| at.0).sum::<i64>(),
            "publishes"
        );
        let producer = Producer::new(&relay.kafka)?;
        Ok(Self { relay, lead, topic, producer, sent: published.clone(), published })
    }

    /// Sends the next page of every partition, and answers how many events that was.
    pub async fn step(&mut self) -> Result<usize, RelayError> {
        self.producer.check()?;
        let events = self.relay.reader.tail(&self.sent, PAGE).await?;
        for event in &events {
            let (partition, found) = (event.partition, event.position);
            let last = self.sent.get(&partition).copied().unwrap_or_default();
            if event.epoch > self.lead.epoch {
                return Err(RelayError::Changed);
            }
            if found != last.next() {
                return Err(RelayError::Hole { partition, last, found });
            }
            self.producer.send(event).await?;
            self.sent.insert(partition, found);
        }
        Ok(events.len())
    }

    /// Notes in Postgres what Kafka has acknowledged; refused when another leader has taken over.
    pub async fn settle(&mut self) -> Result<(), RelayError> {
        let mut moved = self.producer.acknowledged();
        moved.retain(|partition, position| self.published.get(partition) != Some(position));
        if !moved.is_empty() {
            notes::note(&self.relay.database.pool, &moved, self.lead).await?;
            self.published.extend(moved);
        }
        Ok(())
    }

    /// Waits until Kafka has what was sent, for as long as that may take, and notes it.
    pub async fn finish(mut self) -> Result<(), RelayError> {
        let mut delivered = self.producer.changes();
        let deadline = Instant::now() + REST;
        loop {
            delivered.mark_unchanged();
            self.producer.check()?;
            self.settle().await?;
            if self.is_settled() || Instant::now() > deadline {
                return Ok(());
            }
            timeout_at(deadline, delivered.changed()).await.ok();
        }
    }

    /// Whether all that was sent is on Kafka, and noted.
    fn is_settled(&self) -> bool {
        self.sent == self.published
    }
}

/// Waits that grow while nothing gets better.
struct Pause(Duration);

impl Pause {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    fn new() -> Self {
        Self(Self::FIRST)
    }

    fn reset(&mut self) {
        self.0 = Self::FIRST;
    }

    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

async fn or_stop(stop: &CancellationToken, waiting: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = waiting => {}
    }
}
