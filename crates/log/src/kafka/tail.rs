//! What the partitions of the topic of the log end with.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread::sleep,
    time::{Duration, Instant},
};

use events::{EventId, Partition, Position};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Kafka, Quiet, Record, RelayError, blocking, is_away};
use crate::Reader;

/// A broker that does not answer for so long is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Records at the end of a partition that are looked at first, and at most.
const WINDOW: (i64, i64) = (100, 10_000);

/// The end of a partition.
#[derive(Default)]
struct Tail {
    /// The events of ours among its last records, last first.
    events: Vec<(Position, EventId)>,
    /// Whether there are records before those that were looked at.
    reaches_back: bool,
}

/// The last position of each partition that is on the topic, of the log's present history.
///
/// What else lies there is passed over: foreign records, and what a restore of the log from a
/// backup made undone.
pub(super) async fn last_of_log(
    kafka: &Kafka,
    reader: &Reader,
    heads: &BTreeMap<Partition, Position>,
) -> Result<BTreeMap<Partition, Position>, RelayError> {
    let mut last = BTreeMap::new();
    let mut open: Vec<Partition> = heads.keys().copied().collect();
    let mut window = WINDOW.0;
    while !open.is_empty() && window <= WINDOW.1 {
        let found = last_events(kafka, &open, window).await?;
        // One that has fewer records than the window holds was seen whole.
        open.retain(|partition| found.get(partition).is_some_and(|tail| tail.reaches_back));
        for (partition, tail) in found {
            let of_log = tail.events.into_iter().filter(|(at, _)| *at <= heads[&partition]);
            for (position, id) in of_log {
                let before = BTreeMap::from([(partition, Position(position.0 - 1))]);
                let there = reader.tail(&before, 1).await?;
                if there.first().is_some_and(|event| (event.position, event.id) == (position, id)) {
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

/// What is among the last `window` records of each partition that has any.
async fn last_events(
    kafka: &Kafka,
    partitions: &[Partition],
    window: i64,
) -> Result<BTreeMap<Partition, Tail>, KafkaError> {
    let (kafka, partitions) = (kafka.clone(), partitions.to_vec());
    blocking(move || read(&kafka, &partitions, window)).await
}

fn read(
    kafka: &Kafka,
    partitions: &[Partition],
    window: i64,
) -> Result<BTreeMap<Partition, Tail>, KafkaError> {
    let consumer: BaseConsumer<Quiet> = kafka
        .client("ironledger-relay")
        // Never joined: librdkafka wants one for whoever reads.
        .set("group.id", kafka.group("relay"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create_with_context(Quiet)?;
    let topic = kafka.topic();
    let mut wanted = TopicPartitionList::new();
    let mut found: BTreeMap<Partition, Tail> = BTreeMap::new();
    for partition in partitions {
        let (low, high) = ends(&consumer, &topic, *partition)?;
        if low < high {
            let from = Offset::Offset(low.max(high - window));
            wanted.add_partition_offset(&topic, partition.0.into(), from)?;
            let tail = Tail { events: Vec::new(), reaches_back: low < high - window };
            found.insert(*partition, tail);
        }
    }
    consumer.assign(&wanted)?;

    let mut open: BTreeSet<i32> = found.keys().map(|partition| partition.0.into()).collect();
    let deadline = Instant::now() + PATIENCE;
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                // What is not ours says nothing about how far we are.
                if let Ok(event) = Record::event(&message) {
                    let tail = found.entry(event.partition).or_default();
                    tail.events.insert(0, (event.position, event.id));
                }
            }
            // A partition that is written to meanwhile ends more than once.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) if !is_away(&error) => return Err(error),
            Some(Err(_)) | None => {}
        }
        if Instant::now() > deadline {
            return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        }
    }
    Ok(found)
}

/// The first and the next offset of a partition. One that was just made has no leader for a moment.
fn ends(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    partition: Partition,
) -> Result<(i64, i64), KafkaError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = consumer.fetch_watermarks(topic, partition.0.into(), PATIENCE);
        let soon =
            asked.as_ref().err().and_then(KafkaError::rdkafka_error_code).is_some_and(|code| {
                matches!(
                    code,
                    RDKafkaErrorCode::NotLeaderForPartition
                        | RDKafkaErrorCode::LeaderNotAvailable
                        | RDKafkaErrorCode::UnknownTopicOrPartition
                        | RDKafkaErrorCode::UnknownPartition
                )
            });
        if !soon || Instant::now() > deadline {
            return asked;
        }
        sleep(Duration::from_millis(20));
    }
}
