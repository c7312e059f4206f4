//! A relay that leads: sends page by page, and notes what Kafka has.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use events::{Partition, Position};
use tokio::time::{Instant, timeout_at};

use super::{
    Relay, RelayError,
    notes::{self, Lead, Mark},
    producer::Producer,
    topic::Topic,
};

/// Most events of one partition in one page.
pub(super) const PAGE: usize = 500;

/// What is still on its way when we are told to stop may take so long.
const REST: Duration = Duration::from_secs(3);

/// A relay that has the lead, or believes so.
pub struct Leader<'a> {
    relay: &'a Relay,
    pub(super) lead: Lead,
    pub(super) topics: Arc<[Topic]>,
    pub(super) producer: Producer,
    /// Handed to the producer, on the topics already, or nothing for them.
    pub(super) sent: BTreeMap<Partition, Mark>,
    /// The records on their way, in order: position, and topic by its place.
    under_way: BTreeMap<Partition, VecDeque<(Position, usize)>>,
    /// On Kafka, up to the first record that is not there.
    delivered: BTreeMap<Partition, Mark>,
    /// Noted in Postgres.
    published: BTreeMap<Partition, Mark>,
}

impl<'a> Leader<'a> {
    /// Makes or checks the topics, takes over the note of what is published, and finds out where
    /// to go on.
    pub(super) async fn open(relay: &'a Relay, term: i64) -> Result<Self, RelayError> {
        let (pool, feed) = (&relay.database.pool, &relay.feed);
        let lead = Lead { feed: feed.name(), term, epoch: relay.reader.epoch().await? };
        let heads = relay.reader.heads().await?;
        let topics: Arc<[Topic]> = Topic::all(&relay.kafka, feed.topics(&relay.kafka))?.into();
        let before = notes::published(pool, lead.feed).await?.len();
        for topic in topics.iter() {
            topic.ensure(heads.len(), before).await?;
        }

        let noted = notes::take_over(pool, &heads, lead).await?;
        let published = feed.resume(&relay.kafka, &relay.reader, &heads, noted).await?;
        notes::note(pool, &published, lead).await?;
        tracing::info!(
            term,
            published = published.values().map(|mark| mark.position.0).sum::<i64>(),
            "publishes"
        );
        let names = topics.iter().map(|topic| topic.name().to_owned()).collect();
        let producer = Producer::new(&relay.kafka, names)?;
        let (sent, delivered) = (published.clone(), published.clone());
        let under_way = BTreeMap::new();
        Ok(Self { relay, lead, topics, producer, sent, under_way, delivered, published })
    }

    /// Sends the next page of every partition, and answers how many events that was.
    pub async fn step(&mut self) -> Result<usize, RelayError> {
        self.producer.check()?;
        let feed = &self.relay.feed;
        let after = self.sent.iter().map(|(partition, mark)| (*partition, mark.position)).collect();
        let events = self.relay.reader.tail(&after, PAGE).await?;
        let pseudonyms = feed.pseudonyms(&events).await?;
        for event in &events {
            let (partition, found) = (event.partition, event.position);
            let sent = self.sent.entry(partition).or_default();
            if event.epoch > self.lead.epoch {
                return Err(RelayError::Changed);
            }
            if found != sent.position.next() {
                return Err(RelayError::Hole { partition, last: sent.position, found });
            }
            match feed.record(event, &pseudonyms, sent) {
                Ok(Some((topic, record))) => {
                    self.producer.send(topic, event, record).await?;
                    self.under_way.entry(partition).or_default().push_back((found, topic));
                    if let Some(topic) = feed.noted_topic(topic) {
                        sent.records.insert(topic.to_owned(), found.0);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    // What stands before it is noted, or every new try would repeat it.
                    self.rest().await?;
                    return Err(error);
                }
            }
            sent.position = found;
        }
        Ok(events.len())
    }

    /// Notes in Postgres what Kafka has acknowledged; refused when another leader has taken over.
    pub async fn settle(&mut self) -> Result<(), RelayError> {
        let acknowledged = self.producer.acknowledged();
        let mut moved = BTreeMap::new();
        for (partition, sent) in &self.sent {
            let under_way = self.under_way.entry(*partition).or_default();
            let delivered = self.delivered.entry(*partition).or_default();
            while let Some((position, topic)) = under_way.front().copied()
                && acknowledged.get(&(topic, *partition)).is_some_and(|last| *last >= position)
            {
                delivered.position = position;
                if let Some(topic) = self.relay.feed.noted_topic(topic) {
                    delivered.records.insert(topic.to_owned(), position.0);
                }
                under_way.pop_front();
            }
            // After the last record there may be events without one.
            if under_way.is_empty() {
                delivered.clone_from(sent);
            }
            if self.published.get(partition) != Some(delivered) {
                moved.insert(*partition, delivered.clone());
            }
        }
        if !moved.is_empty() {
            notes::note(&self.relay.database.pool, &moved, self.lead).await?;
            self.published.extend(moved);
        }
        Ok(())
    }

    /// Waits until Kafka has what was sent, for as long as that may take, and notes it.
    pub async fn finish(mut self) -> Result<(), RelayError> {
        self.rest().await
    }

    async fn rest(&mut self) -> Result<(), RelayError> {
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
    pub(super) fn is_settled(&self) -> bool {
        self.sent == self.published
    }
}
