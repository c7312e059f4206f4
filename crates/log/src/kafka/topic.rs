//! The topics: made where they are missing, refused where they are wrong.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
        TopicResult,
    },
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::{Instant, sleep};

use super::{Kafka, Quiet, blocking};

/// A broker that does not answer for so long is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the broker must take at once: our largest batch, with room.
const LEAST_MESSAGE_BYTES: u64 = 1_000_000;

/// What a new topic takes: the default of Kafka, said here because a cluster may have another.
const MESSAGE_BYTES: &str = "1048588";

/// The topic is there, but not as the log needs it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongTopic {
    /// Partitions of the log and of the topic are the same ones.
    #[error(
        "topic {topic} has {has} partitions, the log has {wants}: delete the topic, and the relay \
         makes it anew"
    )]
    Partitions {
        /// Its name.
        topic: String,
        /// How many there are.
        has: usize,
        /// How many there must be.
        wants: usize,
    },
    /// Compaction would take events away from their middle.
    #[error(
        "topic {topic} has cleanup.policy={has}, and needs delete: \
         kafka-configs.sh --alter --topic {topic} --add-config cleanup.policy=delete"
    )]
    CleanupPolicy {
        /// Its name.
        topic: String,
        /// What is set.
        has: String,
    },
    /// A batch of events must fit.
    #[error(
        "topic {topic} has max.message.bytes={has}, and needs {LEAST_MESSAGE_BYTES} or more: \
         kafka-configs.sh --alter --topic {topic} --add-config max.message.bytes={MESSAGE_BYTES}"
    )]
    MessageBytes {
        /// Its name.
        topic: String,
        /// What is set.
        has: String,
    },
    /// Readers are promised that long, and athletes no longer.
    #[error(
        "topic {topic} has retention.ms={has}, and needs {wants}: \
         kafka-configs.sh --alter --topic {topic} --add-config retention.ms={wants}"
    )]
    Retention {
        /// Its name.
        topic: String,
        /// What is set.
        has: String,
        /// What must be set.
        wants: u128,
    },
}

/// Why there is no topic to write to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Wrong(#[from] WrongTopic),
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// What a topic must be, beside the log that it is made from.
pub(super) struct Wanted {
    pub(super) name: String,
    /// How long a new one keeps its records.
    pub(super) retention: Duration,
    /// Whether it may keep them neither shorter nor longer.
    pub(super) promised: bool,
}

/// Looks after a topic.
pub(super) struct Topic {
    wanted: Wanted,
    admin: Arc<AdminClient<Quiet>>,
}

impl Topic {
    /// One administrator for all of them.
    pub(super) fn all(kafka: &Kafka, wanted: Vec<Wanted>) -> Result<Vec<Self>, KafkaError> {
        let mut config = kafka.client("ironledger-relay");
        // Nobody polls an administrator for its log lines: they would only pile up.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let admin: Arc<AdminClient<Quiet>> = Arc::new(config.create_with_context(Quiet)?);
        Ok(wanted.into_iter().map(|wanted| Self { wanted, admin: admin.clone() }).collect())
    }

    pub(super) fn name(&self) -> &str {
        &self.wanted.name
    }

    /// Makes the topic where it is missing, and holds it to what the log needs.
    ///
    /// One that has as many partitions as the log had when we last published grows with the log.
    /// Any other number means that the topic is not what we made.
    pub(super) async fn ensure(&self, partitions: usize, before: usize) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.partitions().await? {
                None => self.create(partitions).await?,
                Some(has) if has == partitions => return self.check_settings().await,
                Some(has) if has == before && has < partitions => self.grow(partitions).await?,
                Some(has) => {
                    let (topic, wants) = (self.wanted.name.clone(), partitions);
                    return Err(WrongTopic::Partitions { topic, has, wants }.into());
                }
            }
            // What was made is not known to every broker at once.
            if Instant::now() > deadline {
                return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut).into());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether the topic is there, and still as [`Topic::ensure`] left it.
    pub(super) async fn check(&self, partitions: usize) -> Result<bool, Error> {
        match self.partitions().await? {
            None => Ok(false),
            Some(has) if has == partitions => self.check_settings().await.map(|()| true),
            Some(has) => {
                let (topic, wants) = (self.wanted.name.clone(), partitions);
                Err(WrongTopic::Partitions { topic, has, wants }.into())
            }
        }
    }

    /// How many partitions it has, once each has a leader; `None` when there is no such topic.
    async fn partitions(&self) -> Result<Option<usize>, KafkaError> {
        let (admin, name) = (self.admin.clone(), self.wanted.name.clone());
        blocking(move || {
            let metadata = admin.inner().fetch_metadata(Some(&name), PATIENCE)?;
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                return Ok(None);
            };
            match topic.error().map(RDKafkaErrorCode::from) {
                None => Ok(Some(topic.partitions().len())),
                Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(None),
                Some(error) => Err(KafkaError::MetadataFetch(error)),
            }
        })
        .await
    }

    async fn create(&self, partitions: usize) -> Result<(), KafkaError> {
        let retention = self.wanted.retention.as_millis().to_string();
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        // As many replicas as the cluster has by default.
        let topic = NewTopic::new(&self.wanted.name, partitions, TopicReplication::Fixed(-1))
            .set("cleanup.policy", "delete")
            .set("max.message.bytes", MESSAGE_BYTES)
            .set("retention.ms", &retention);
        if done(self.admin.create_topics([&topic], &options()).await?)? {
            tracing::info!(topic = self.wanted.name, partitions, "made the topic");
        }
        Ok(())
    }

    async fn grow(&self, partitions: usize) -> Result<(), KafkaError> {
        let wanted = NewPartitions::new(&self.wanted.name, partitions);
        if done(self.admin.create_partitions([&wanted], &options()).await?)? {
            tracing::info!(
                topic = self.wanted.name,
                partitions,
                "the topic has grown with the log"
            );
        }
        Ok(())
    }

    async fn check_settings(&self) -> Result<(), Error> {
        let topic = ResourceSpecifier::Topic(&self.wanted.name);
        let described = self.admin.describe_configs([&topic], &options()).await?;
        let settings = match described.into_iter().next() {
            Some(Ok(settings)) => settings,
            Some(Err(error)) => return Err(KafkaError::AdminOp(error).into()),
            None => return Err(KafkaError::AdminOp(RDKafkaErrorCode::UnknownTopic).into()),
        };
        let value =
            |name| settings.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
        let (policy, bytes) = (value("cleanup.policy"), value("max.message.bytes"));
        if policy != "delete" {
            return Err(
                WrongTopic::CleanupPolicy { topic: self.wanted.name.clone(), has: policy }.into()
            );
        }
        if bytes.parse().is_ok_and(|bytes: u64| bytes < LEAST_MESSAGE_BYTES) {
            return Err(
                WrongTopic::MessageBytes { topic: self.wanted.name.clone(), has: bytes }.into()
            );
        }
        let (has, wants) = (value("retention.ms"), self.wanted.retention.as_millis());
        if self.wanted.promised && has != wants.to_string() {
            let topic = self.wanted.name.clone();
            return Err(WrongTopic::Retention { topic, has, wants }.into());
        }
        Ok(())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// Whether a request about one topic was carried out; if not, somebody else was faster.
fn done(results: Vec<TopicResult>) -> Result<bool, KafkaError> {
    match results.into_iter().next() {
        Some(Ok(_)) => Ok(true),
        None | Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, error))) => Err(KafkaError::AdminOp(error)),
    }
}
