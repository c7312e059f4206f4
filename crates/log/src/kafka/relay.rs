//! The relay: publishes a feed of the log on Kafka, in order and without a hole, one leader at a
//! time.
//!
//! What holds, without Kafka's transactions: **in each partition of the topic, first occurrences
//! are in order and without a hole since the topic was last made.** A leader publishes from
//! `max(published, last record on Kafka)` on, and a producer's records arrive as a run without a
//! gap. A former leader that wakes up late still adds the rest of its own run. That run began at or
//! below what the topic held, so it can only repeat, or go on where the topic ends; readers drop
//! what they have. The public feed begins at what is noted, which is on its topics too, so that the
//! same holds there for each topic: one after the other, each record names the one before it.
//! (What is left: a topic that is lost and made anew, or loses what it has
//! acknowledged, while a sleeper wakes up may get the two runs the wrong way round, or a hole between
//! them. Readers see that by the positions, and read Postgres.)

use std::{future::Future, time::Duration};

use events::{Epoch, Partition, Position};
use rdkafka::error::KafkaError;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Kafka, Leader,
    feed::Feed,
    leader::PAGE,
    lease::Lease,
    notes::{self, Lag},
    producer::Deliveries,
    topic::{self, Topic, WrongTopic},
};
use crate::{Database, Keys, ReadError, Reader};

/// How often another relay asks for the lead.
const ASK: Duration = Duration::from_millis(500);

/// The log is looked at so often, whether or not somebody woke us.
const POLL: Duration = Duration::from_millis(200);

/// From one page that is not full to the next: under load more events come together then, for us and
/// for everybody who reads them. After a pause of that length the first goes at once.
const BREATH: Duration = Duration::from_millis(25);

/// What Kafka has acknowledged is noted so often. A crash in between costs a look at the topic.
const SETTLE: Duration = Duration::from_millis(200);

/// The topics are held to their settings so often, and a leader that is behind says so.
const INSPECT: Duration = Duration::from_secs(5);

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
    /// Pseudonyms by another master key would name athletes anew.
    #[error("IRONLEDGER_MASTER_KEY is not the one that this database was made with")]
    MasterKey,
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

/// Publishes the log, or what everybody may see of it, for as long as it leads. Run several: one of
/// each feed leads, the others wait.
pub struct Relay {
    pub(super) database: Database,
    pub(super) reader: Reader,
    pub(super) kafka: Kafka,
    pub(super) feed: Feed,
    holder: Uuid,
}

impl Relay {
    /// A relay of the log of a database; `holder` is its own name among relays.
    pub fn new(database: Database, kafka: Kafka, holder: Uuid) -> Self {
        Self::of(Feed::Log, database, kafka, holder)
    }

    /// A publisher of the public topics, where athletes have the pseudonyms that `keys` give them;
    /// `holder` is its own name among publishers.
    pub fn public(database: Database, keys: Keys, kafka: Kafka, holder: Uuid) -> Self {
        Self::of(Feed::Public(keys), database, kafka, holder)
    }

    fn of(feed: Feed, database: Database, kafka: Kafka, holder: Uuid) -> Self {
        let reader = Reader::open(&database);
        Self { database, reader, kafka, feed, holder }
    }

    /// Leads whenever nobody else does, until told to stop. What goes wrong is said and tried
    /// again.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = Pause::new();
        let mut connection = None;
        while !stop.is_cancelled() {
            let asked =
                Lease::take(&self.database, &mut connection, self.feed.name(), self.holder).await;
            let lease = match asked {
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

    /// Takes the lead if nobody has it, and opens the topics. For those who go step by step: the
    /// lease is not renewed.
    pub async fn lead(&self) -> Result<Option<Leader<'_>>, RelayError> {
        match Lease::take(&self.database, &mut None, self.feed.name(), self.holder).await? {
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
        let (topics, partitions) = (leader.topics.clone(), leader.sent.len());
        let (epoch, deliveries) = (leader.lead.epoch, leader.producer.deliveries());
        tokio::select! {
            error = self.watch_over(&topics, partitions, epoch, &deliveries) => return Err(error),
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
            let began = Instant::now();
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
                if sent > 0 {
                    or_stop(stop, sleep_until(began + BREATH)).await;
                }
            }
        }
        Ok(())
    }

    /// Comes back when a topic or the log is not what it was, and tells meanwhile how far behind Kafka is.
    async fn watch_over(
        &self,
        topics: &[Topic],
        partitions: usize,
        epoch: Epoch,
        deliveries: &Deliveries,
    ) -> RelayError {
        let mut waited = None;
        loop {
            sleep(INSPECT).await;
            match notes::lag(&self.database.pool, self.feed.name()).await {
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
            let mut answered = true;
            for topic in topics {
                match topic.check(partitions).await {
                    Ok(true) => {}
                    Ok(false) => return RelayError::Changed,
                    Err(topic::Error::Wrong(wrong)) => return wrong.into(),
                    // That Kafka is away, the producer bears; it goes on by itself.
                    Err(topic::Error::Kafka(_)) => answered = false,
                }
            }
            let waiting = deliveries.waiting().filter(|_| answered);
            // librdkafka may hold on to the leaders of a topic that was deleted.
            if waiting.is_some() && waiting == waited {
                return RelayError::Stuck;
            }
            waited = waiting;
        }
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
