//! Writing to topics so that, within a partition of each, nothing is missing and nothing overtakes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use events::{Partition, Position};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer},
};
use tokio::{sync::watch, time::sleep};

use super::{Kafka, Record, log_error, log_line};
use crate::Stored;

/// How much may be on its way: enough to keep the broker busy, little enough to be bounded.
const IN_FLIGHT: usize = 50_000;
const IN_FLIGHT_KIB: usize = 64 * 1024;

/// A partition must wait until the request before it on its connection is answered, so there are
/// several connections, each for every so-manieth partition.
pub const CONNECTIONS: usize = 4;

/// The last position that Kafka has acknowledged of each partition of each topic (by its place in
/// the list), with all before it there.
pub(super) type Acknowledged = BTreeMap<(usize, Partition), Position>;

/// Publishes records, and knows which of them Kafka has. One that failed is of no more use: what
/// it had in its hands is thrown away, and another goes on from what Kafka has.
pub(super) struct Producer {
    clients: Vec<ThreadedProducer<Deliveries>>,
    topics: Arc<[String]>,
    deliveries: Arc<Inner>,
}

struct Inner {
    topics: Arc<[String]>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    acknowledged: Acknowledged,
    failure: Option<KafkaError>,
    /// Records handed over, and those of which we have heard since.
    handed: u64,
    heard: u64,
    /// We throw away ourselves what is on its way.
    ends: bool,
}

/// What became of the records of a producer, for those who look on.
#[derive(Clone)]
pub(super) struct Deliveries(Arc<Inner>);

impl Deliveries {
    /// How many records we have heard of, if there are others.
    pub(super) fn waiting(&self) -> Option<u64> {
        let state = self.0.state();
        (state.handed > state.heard).then_some(state.heard)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: KafkaError) {
        self.state().failure.get_or_insert(error);
        self.changed.send_replace(());
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if self.0.state().ends {
            return;
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.0.fail(error.clone());
        }
        log_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// The position.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, position: usize) {
        self.0.state().heard += 1;
        match result {
            Err((error, _)) => self.0.fail(error.clone()),
            Ok(message) => {
                let partition = Partition(i16::try_from(message.partition()).unwrap_or(-1));
                let position = Position(i64::try_from(position).unwrap_or(-1));
                let name = message.topic();
                let Some(topic) = self.0.topics.iter().position(|topic| topic == name) else {
                    return;
                };
                let mut state = self.0.state();
                // After a failure nothing counts any more: it may have left a hole.
                if state.failure.is_none() {
                    state.acknowledged.insert((topic, partition), position);
                    drop(state);
                    self.0.changed.send_replace(());
                }
            }
        }
    }
}

impl Kafka {
    /// What the relay's producers are set to.
    pub fn producer(&self) -> ClientConfig {
        let mut config = self.client("ironledger-relay");
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Otherwise librdkafka drops a message that waits too long, and goes on with the next.
            .set("message.timeout.ms", "0")
            .set("enable.gapless.guarantee", "true")
            // A partition that was made anew takes any first batch, so that a second one on its
            // way could overtake the first.
            .set("max.in.flight.requests.per.connection", "1")
            .set("linger.ms", "1")
            .set("batch.size", "900000")
            .set("batch.num.messages", "10000")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", (IN_FLIGHT / CONNECTIONS).to_string())
            .set("queue.buffering.max.kbytes", (IN_FLIGHT_KIB / CONNECTIONS).to_string())
            .set("request.timeout.ms", "10000");
        config
    }
}

impl Producer {
    /// A new producer to these topics; it connects by and by.
    pub(super) fn new(kafka: &Kafka, topics: Arc<[String]>) -> Result<Self, KafkaError> {
        let (state, changed) = (Mutex::default(), watch::Sender::new(()));
        let inner = Arc::new(Inner { topics: topics.clone(), state, changed });
        let clients = (0..CONNECTIONS)
            .map(|_| kafka.producer().create_with_context(Deliveries(inner.clone())))
            .collect::<Result<_, _>>()?;
        Ok(Self { clients, topics, deliveries: inner })
    }

    /// Hands over the record of an event for one of the topics; waits while too much is on its way.
    pub(super) async fn send(
        &self,
        topic: usize,
        event: &Stored,
        record: Record<'_>,
    ) -> Result<(), KafkaError> {
        let Record { key, payload, headers } = record;
        let position = event.position.0.unsigned_abs() as usize;
        let mut record = BaseRecord::with_opaque_to(&self.topics[topic], position)
            .partition(event.partition.0.into())
            .key(&key)
            .payload(payload.as_ref())
            .headers(headers);
        let client = &self.clients[usize::from(event.partition.0.unsigned_abs()) % CONNECTIONS];
        loop {
            self.check()?;
            match client.send(record) {
                Ok(()) => {
                    self.deliveries.state().handed += 1;
                    return Ok(());
                }
                Err((error, back)) => {
                    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                        return Err(error);
                    }
                    record = back;
                    sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    /// What Kafka has, of what was sent by this producer.
    pub(super) fn acknowledged(&self) -> Acknowledged {
        self.deliveries.state().acknowledged.clone()
    }

    /// The failure, if there was one.
    pub(super) fn check(&self) -> Result<(), KafkaError> {
        match &self.deliveries.state().failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// What became of the records, for those who look on.
    pub(super) fn deliveries(&self) -> Deliveries {
        Deliveries(self.deliveries.clone())
    }

    /// Changes with every acknowledgement and failure.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.deliveries.changed.subscribe()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.deliveries.state().ends = true;
        // Nothing more of what waits here may go out: somebody else goes on.
        for client in &self.clients {
            client.purge(PurgeConfig::default().queue().inflight());
        }
    }
}
