//! The log on Kafka: how clients connect, and what the topics are called.
//!
//! Postgres is the truth, Kafka carries it to many readers: a [`Relay`] publishes the partitions
//! of the log on the partitions of one topic, a [`Consumer`] hands them to a projector. Another
//! relay publishes what everybody may see of it on the public topics, a [`Family`] each. Nothing
//! here needs Kafka's transactions; what a topic may hold twice is told apart by positions.

mod consumer;
mod feed;
mod leader;
mod lease;
mod notes;
mod producer;
mod public;
mod record;
mod relay;
mod tail;
mod topic;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use events::{Family, Partition, Position};
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use sqlx::PgPool;

pub use consumer::{Consumer, Foreign, Received};
pub use leader::Leader;
pub use notes::Lag;
pub use producer::CONNECTIONS;
pub use rdkafka::error::KafkaError as Error;
pub(crate) use record::hexadecimal;
pub use record::{NotOurs, Record};
pub use relay::{Relay, RelayError};
pub use topic::WrongTopic;

use feed::Feed;
use topic::{Topic, Wanted};

/// How Kafka is reached, and under which prefix the product's topics and groups are.
#[derive(Debug, Clone)]
pub struct Kafka {
    brokers: String,
    prefix: String,
    properties: Vec<(String, String)>,
}

/// Client properties that are none, or none that may be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProperties {
    /// Not `name=value`.
    #[error("line {0} of the Kafka properties is not NAME=VALUE")]
    NoProperty(usize),
    /// Others are ours to set: the promises of relay and consumer rest on them.
    #[error(
        "{0} cannot be set: the Kafka properties take {known}",
        known = SETTABLE.join(", ")
    )]
    NotSettable(String),
}

/// What operators may set: how to connect, as whom, and by which certificates.
const SETTABLE: [&str; 7] = [
    "security.protocol",
    "ssl.*",
    "sasl.*",
    "enable.ssl.*",
    "socket.*",
    "broker.address.*",
    "client.*",
];

impl Kafka {
    /// The brokers, as `host:port` with commas between them; topics are `<prefix>.log` and so on.
    pub fn new(brokers: &str, prefix: &str) -> Self {
        Self { brokers: brokers.to_owned(), prefix: prefix.to_owned(), properties: Vec::new() }
    }

    /// The same with properties of librdkafka, such as those of TLS and SASL: a line each,
    /// `name=value`; empty lines and those that begin with `#` say nothing. Others than those of the
    /// connection are refused.
    pub fn with_properties(mut self, text: &str) -> Result<Self, InvalidProperties> {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) =
                line.split_once('=').ok_or(InvalidProperties::NoProperty(number + 1))?;
            let is_settable = SETTABLE.iter().any(|known| match known.strip_suffix('*') {
                Some(family) => name.trim().starts_with(family),
                None => name.trim() == *known,
            });
            if !is_settable {
                return Err(InvalidProperties::NotSettable(name.trim().to_owned()));
            }
            self.properties.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(self)
    }

    /// The topic of the log.
    pub fn topic(&self) -> String {
        format!("{}.log", self.prefix)
    }

    /// The public topic of a family.
    pub fn public_topic(&self, family: Family) -> String {
        family.topic(&self.prefix)
    }

    /// The consumer group of a projection.
    pub fn group(&self, projection: &str) -> String {
        format!("{}.{projection}", self.prefix)
    }

    /// Whether the topic of the log is there; an error where it is not as a log of so many
    /// partitions needs it.
    pub async fn has_topic(&self, partitions: usize) -> Result<bool, RelayError> {
        self.has(vec![feed::log_topic(self)], partitions).await
    }

    /// The same of the public topics, all of them.
    pub async fn has_public_topics(&self, partitions: usize) -> Result<bool, RelayError> {
        self.has(feed::public_topics(self), partitions).await
    }

    async fn has(&self, wanted: Vec<Wanted>, partitions: usize) -> Result<bool, RelayError> {
        for topic in Topic::all(self, wanted)? {
            if !topic.check(partitions).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What all clients have in common; `name` is how operators see them.
    fn client(&self, name: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", name)
            .set("socket.nagle.disable", "true")
            // A broker that comes back is found soon.
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("allow.auto.create.topics", "false");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

/// How far the topic of the log is behind the log, as any process may ask.
pub async fn lag(pool: &PgPool) -> Result<Lag, sqlx::Error> {
    notes::lag(pool, Feed::LOG).await
}

/// How far the public topics are behind the log, as any process may ask.
pub async fn public_lag(pool: &PgPool) -> Result<Lag, sqlx::Error> {
    notes::lag(pool, Feed::PUBLIC).await
}

/// The last position of each partition that is on the topic of the log.
pub async fn published(pool: &PgPool) -> Result<BTreeMap<Partition, Position>, sqlx::Error> {
    notes::published(pool, Feed::LOG).await
}

/// Where librdkafka's own words go. That a broker is away is said by those who need it, once.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(?level, facility, message, "librdkafka");
}

fn log_error(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        _ if is_away(error) => say_away(reason),
        Some(RDKafkaErrorCode::PartitionEOF) => {}
        _ => tracing::warn!(%error, reason, "Kafka"),
    }
}

/// Says whether an error means only that no broker can be reached at the moment: the client goes
/// on trying by itself, so whoever polls it may go on too.
pub fn is_away(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// Says that brokers are away, but not again and again: every client tries several times a second.
fn say_away(reason: &str) {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|at| at.elapsed() > Duration::from_secs(30)) {
        tracing::warn!(reason, "Kafka is away");
        *said = Some(Instant::now());
    }
}

/// Runs what blocks on Kafka where it disturbs nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(KafkaError::Canceled))
}

#[cfg(test)]
mod tests {
    use super::{InvalidProperties, Kafka};

    #[test]
    fn properties_of_the_connection_alone_can_be_set() {
        let kafka = || Kafka::new("localhost:9092", "test");
        let good = "# TLS\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b\nssl.ca.location=/ca";
        assert_eq!(kafka().with_properties(good).unwrap().properties.len(), 3);
        for name in ["acks", "request.required.acks", "delivery.timeout.ms", "max.in.flight"] {
            let refused = kafka().with_properties(&format!("{name}=1")).unwrap_err();
            assert_eq!(refused, InvalidProperties::NotSettable(name.to_owned()));
            assert!(refused.to_string().contains("sasl.*"), "{refused}");
        }
        let refused = kafka().with_properties("\nrubbish").unwrap_err();
        assert_eq!(refused, InvalidProperties::NoProperty(2));
    }
}
