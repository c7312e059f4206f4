//! Reading the topic as one of a group: who has which partition, and what is new in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use events::Partition;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
    message::BorrowedMessage,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{Kafka, Record, log_error, log_line};
use crate::Stored;

/// Most records that are handed over at once.
const BATCH: usize = 2_000;

/// A member that is not heard of for so long has lost its partitions.
const SESSION: Duration = Duration::from_secs(6);

/// How long more records are waited for after the first: a transaction for each would cost more
/// than the work.
const GATHER: Duration = Duration::from_millis(4);

/// Nobody knows how long a foreign record may be.
const MOST_OF_FOREIGN: usize = 64 * 1024;

/// Leaving the group takes no longer.
const LEAVING: Duration = Duration::from_secs(3);

/// A record as it came from the topic.
#[derive(Debug)]
pub struct Received {
    /// In which partition of the topic it stood: its event's, if it is one.
    pub partition: Partition,
    /// Where in that partition it stood.
    pub offset: i64,
    /// The event.
    pub event: Result<Stored, Foreign>,
}

/// A record that is no event of the log's.
#[derive(Debug)]
pub struct Foreign {
    /// What is wrong with it.
    pub why: String,
    /// Its key, cut after 64 KiB.
    pub key: Option<Vec<u8>>,
    /// Its value, cut after 64 KiB.
    pub value: Option<Vec<u8>>,
}

/// A member of a consumer group on the topic of the log.
///
/// It says which partitions are its own and hands over what is new in them, in order. Where it
/// begins is a hint: it may repeat events or leave some out, and its reader knows by the positions.
pub struct Consumer {
    received: mpsc::Receiver<Vec<Received>>,
    assigned: watch::Receiver<BTreeSet<Partition>>,
    client: Arc<BaseConsumer<Member>>,
    topic: String,
    leaving: Arc<AtomicBool>,
    left: oneshot::Receiver<()>,
}

/// Hears which partitions come and go.
struct Member(watch::Sender<BTreeSet<Partition>>);

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Member {
    // Partitions come and go one by one (cooperative rebalancing), so each list is a difference.
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let numbers = |list: &TopicPartitionList| -> Vec<Partition> {
            let elements = list.elements();
            let numbers = elements.iter().map(|element| i16::try_from(element.partition()));
            numbers.flatten().map(Partition).collect()
        };
        self.0.send_modify(|assigned| match rebalance {
            Rebalance::Assign(list) => assigned.extend(numbers(list)),
            Rebalance::Revoke(list) => {
                for partition in numbers(list) {
                    assigned.remove(&partition);
                }
            }
            Rebalance::Error(_) => assigned.clear(),
        });
        tracing::info!(partitions = ?self.0.borrow().iter().map(|p| p.0).collect::<Vec<_>>(),
            "has these partitions of the topic");
    }
}

impl Consumer {
    /// Joins the group of a projection; connects by and by.
    pub fn join(kafka: &Kafka, projection: &str) -> Result<Self, KafkaError> {
        let (assigning, assigned) = watch::channel(BTreeSet::new());
        let client: BaseConsumer<Member> = kafka
            .client(&format!("ironledger-{projection}"))
            .set("group.id", kafka.group(projection))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION.as_millis().to_string())
            .set("heartbeat.interval.ms", (SESSION / 4).as_millis().to_string())
            // Without a good offset the reader has its checkpoint, and reads what is missing from
            // Postgres.
            .set("auto.offset.reset", "latest")
            .set("enable.auto.commit", "true")
            .set("enable.auto.offset.store", "false")
            .set("fetch.queue.backoff.ms", "10")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "32768")
            .create_with_context(Member(assigning))?;
        let topic = kafka.topic();
        client.subscribe(&[&topic])?;
        let client = Arc::new(client);
        let leaving = Arc::new(AtomicBool::new(false));
        let (sender, received) = mpsc::channel(2);
        let (polled, told_to_leave) = (client.clone(), leaving.clone());
        let (gone, left) = oneshot::channel();
        // A thread, because librdkafka blocks, and because decoding is work.
        thread::Builder::new()
            .name("kafka".to_owned())
            .spawn(move || {
                poll(&polled, &told_to_leave, &sender);
                // The last handle leaves the group.
                drop(polled);
                gone.send(()).ok();
            })
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { received, assigned, client, topic, leaving, left })
    }

    /// The next records, as many as are there; `None` when the consumer has ended.
    pub async fn next(&mut self) -> Option<Vec<Received>> {
        let mut records = self.received.recv().await?;
        records.append(&mut self.waiting());
        Some(records)
    }

    /// What has come already.
    pub fn waiting(&mut self) -> Vec<Received> {
        let mut records = Vec::new();
        while records.len() < BATCH
            && let Ok(mut more) = self.received.try_recv()
        {
            records.append(&mut more);
        }
        records
    }

    /// The topic that is read.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partitions that are ours, by the group's present agreement.
    pub fn assigned(&self) -> watch::Receiver<BTreeSet<Partition>> {
        self.assigned.clone()
    }

    /// Remembers in the group how far we are: where whoever has the partition next begins.
    pub fn done(&self, offsets: &BTreeMap<Partition, i64>) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            let next = Offset::Offset(offset + 1);
            list.add_partition_offset(&self.topic, partition.0.into(), next).ok();
        }
        // It fails for partitions that are not ours any more, and is only a hint.
        self.client.store_offsets(&list).ok();
    }

    /// Leaves the group, so that others have its partitions at once; not waited for beyond a
    /// broker's ordinary answer.
    pub async fn leave(self) {
        let Self { received, client, leaving, left, .. } = self;
        leaving.store(true, Ordering::Relaxed);
        drop((received, client));
        timeout(LEAVING, left).await.ok();
    }
}

fn poll(
    client: &Arc<BaseConsumer<Member>>,
    leaving: &AtomicBool,
    sender: &mpsc::Sender<Vec<Received>>,
) {
    while !leaving.load(Ordering::Relaxed) && !sender.is_closed() {
        let mut batch = Vec::new();
        let mut until = Instant::now() + Duration::from_millis(100);
        while batch.len() < BATCH {
            match client.poll(until.saturating_duration_since(Instant::now())) {
                None => break,
                Some(Ok(message)) => {
                    if batch.is_empty() {
                        until = Instant::now() + GATHER;
                    }
                    batch.extend(receive(&message));
                }
                Some(Err(error)) => tracing::debug!(%error, "the consumer"),
            }
        }
        if !batch.is_empty() && sender.blocking_send(batch).is_err() {
            return;
        }
    }
}

fn receive(message: &BorrowedMessage<'_>) -> Option<Received> {
    let partition = Partition(i16::try_from(message.partition()).ok()?);
    let event = Record::event(message).map_err(|error| Foreign {
        why: error.to_string(),
        key: message.key().map(cut),
        value: message.payload().map(cut),
    });
    Some(Received { partition, offset: message.offset(), event })
}

fn cut(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(MOST_OF_FOREIGN)].to_vec()
}
