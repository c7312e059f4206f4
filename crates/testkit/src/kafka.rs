//! Topics of one's own for every test, on the broker that `KAFKA_BROKERS` names.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use events::{Family, Partition, Position};
use log::{
    Stored,
    kafka::{Record, is_away},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
        TopicResult,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{Header, Headers, Message, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{eventually, new_id};

/// A broker that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A prefix that nobody else has; its topics are deleted with this value.
pub struct Kafka {
    brokers: String,
    prefix: String,
}

impl Kafka {
    /// On the broker that `KAFKA_BROKERS` names. Panics without one: tests run by `cargo xtask
    /// test`, which gives them one.
    pub fn fresh() -> Self {
        let brokers =
            std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS; use `cargo xtask test`");
        Self::on(&brokers)
    }

    /// On a given broker.
    pub fn on(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned(), prefix: format!("test-{}", new_id().simple()) }
    }

    /// What the product's processes are told.
    pub fn environment(&self) -> [(&str, &str); 2] {
        [("KAFKA_BROKERS", &self.brokers), ("KAFKA_PREFIX", &self.prefix)]
    }

    /// The same for what runs in this process.
    pub fn settings(&self) -> log::kafka::Kafka {
        log::kafka::Kafka::new(&self.brokers, &self.prefix)
    }

    /// The topic of the log.
    pub fn topic(&self) -> String {
        self.settings().topic()
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", "testkit");
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an administrator")
    }

    /// The public topic of a family.
    pub fn public_topic(&self, family: Family) -> String {
        self.settings().public_topic(family)
    }

    /// The topic of the log and the public ones.
    fn topics(&self) -> Vec<String> {
        let public = Family::ALL.iter().map(|family| self.public_topic(*family));
        std::iter::once(self.topic()).chain(public).collect()
    }

    /// Makes the topic of the log, other than a relay would.
    pub async fn create_topic(&self, partitions: i32, settings: &[(&str, &str)]) {
        // One that was just deleted may still be going.
        eventually("a topic", async || self.try_create_topic(partitions, settings).await.ok())
            .await;
    }

    /// The same, once, for those who disturb the broker too.
    pub async fn try_create_topic(
        &self,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<(), KafkaError> {
        self.try_create(&self.topic(), partitions, settings).await
    }

    /// Makes any topic.
    pub async fn try_create(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<(), KafkaError> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        outcome(self.admin().create_topics([&topic], &options()).await?)
    }

    /// Changes a setting of the topic of the log, and takes back all that was changed before.
    pub async fn alter_topic(&self, key: &str, value: &str) {
        self.try_alter_topic(key, value).await.expect("a changed topic");
    }

    /// The same, for those who disturb the broker too.
    pub async fn try_alter_topic(&self, key: &str, value: &str) -> Result<(), KafkaError> {
        let name = self.topic();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set(key, value);
        let altered = self.admin().alter_configs([&change], &options()).await?;
        altered.into_iter().try_for_each(|altered| {
            altered.map(drop).map_err(|(_, error)| KafkaError::AdminOp(error))
        })
    }

    /// Deletes the topic of the log.
    pub async fn delete_topic(&self) {
        self.try_delete_topic().await.expect("a topic that was there");
    }

    /// The same, for those who disturb the broker too.
    pub async fn try_delete_topic(&self) -> Result<(), KafkaError> {
        let name = self.topic();
        outcome(self.admin().delete_topics(&[&name], &options()).await?)
    }

    /// Throws away every record of the topic of the log, as its retention does in time.
    pub async fn empty_topic(&self, partitions: i32) {
        self.try_empty_topic(partitions).await.expect("an answer");
    }

    /// The same, for those who disturb the broker too.
    pub async fn try_empty_topic(&self, partitions: i32) -> Result<(), KafkaError> {
        self.try_empty(&self.topic(), partitions).await
    }

    /// The same with any topic.
    pub async fn try_empty(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition_offset(topic, partition, Offset::End)?;
        }
        self.admin().delete_records(&all, &options()).await.map(drop)
    }

    /// Writes records of somebody else's to a partition of the log.
    pub fn write_foreign(&self, partition: Partition, count: usize) {
        self.try_write_foreign(partition, count).expect("records that are written");
    }

    /// The same, for those who disturb the broker too.
    pub fn try_write_foreign(&self, partition: Partition, count: usize) -> Result<(), KafkaError> {
        self.try_write(&self.topic(), partition, count)
    }

    /// The same on any topic.
    pub fn try_write(
        &self,
        topic: &str,
        partition: Partition,
        count: usize,
    ) -> Result<(), KafkaError> {
        let producer: BaseProducer = self.config().create()?;
        for _ in 0..count {
            let record = BaseRecord::to(topic).partition(partition.0.into()).key("k").payload("?");
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(PATIENCE)
    }

    /// Writes a record once more, with some of its headers changed.
    pub fn forge(&self, record: &OwnedMessage, changed: &[(&str, &str)]) {
        let producer: BaseProducer = self.config().create().expect("a producer");
        let empty = OwnedHeaders::new();
        let headers = record.headers().expect("headers").iter().fold(empty, |all, header| {
            let change = changed.iter().find(|(name, _)| *name == header.key);
            let value = change.map_or(header.value, |(_, value)| Some(value.as_bytes()));
            all.insert(Header { key: header.key, value })
        });
        let copy = BaseRecord::to(record.topic())
            .partition(record.partition())
            .key(record.key().unwrap_or_default())
            .payload(record.payload().unwrap_or_default())
            .headers(headers);
        producer.send(copy).map_err(|(error, _)| error).expect("a record that is taken");
        producer.flush(PATIENCE).expect("a record that is written");
    }

    /// Every record of the topic of the log, as it is now, by partition.
    pub async fn records(&self) -> BTreeMap<Partition, Vec<OwnedMessage>> {
        self.records_of(&self.topic()).await
    }

    /// The same of any topic.
    pub async fn records_of(&self, topic: &str) -> BTreeMap<Partition, Vec<OwnedMessage>> {
        let (config, topic) = (self.config(), topic.to_owned());
        tokio::task::spawn_blocking(move || read_all(config, &topic)).await.expect("the records")
    }

    /// Every event of ours on the topic of the log, by partition, in the topic's order.
    pub async fn events(&self) -> BTreeMap<Partition, Vec<Stored>> {
        let records = self.records().await.into_iter();
        records
            .map(|(partition, records)| {
                let events = records.iter().filter_map(|record| Record::event(record).ok());
                (partition, events.collect())
            })
            .collect()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// What came of a request about one topic.
fn outcome(results: Vec<TopicResult>) -> Result<(), KafkaError> {
    results
        .into_iter()
        .try_for_each(|result| result.map(drop).map_err(|(_, error)| KafkaError::AdminOp(error)))
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let (topics, admin) = (self.topics(), self.admin());
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            runtime.block_on(admin.delete_topics(&topics, &options)).ok()
        })
        .join()
        .ok();
    }
}

fn read_all(mut config: ClientConfig, topic: &str) -> BTreeMap<Partition, Vec<OwnedMessage>> {
    let consumer: BaseConsumer = config
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
    let count = metadata.topics()[0].partitions().len();
    let mut all = TopicPartitionList::new();
    all.add_partition_range(topic, 0, i32::try_from(count).expect("few partitions") - 1);
    all.set_all_offsets(Offset::Beginning).expect("offsets");
    consumer.assign(&all).expect("an assignment");
    let mut found: BTreeMap<Partition, Vec<OwnedMessage>> = BTreeMap::new();
    let (mut ended, deadline) = (BTreeSet::new(), Instant::now() + PATIENCE);
    while ended.len() < count {
        assert!(Instant::now() < deadline, "in vain waited for the end of {topic}");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let partition = Partition(i16::try_from(message.partition()).expect("a partition"));
                found.entry(partition).or_default().push(message.detach());
            }
            // A partition ends again when it is written to, or when the connection was lost.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(error)) if !is_away(&error) => panic!("{error}"),
            Some(Err(_)) | None => {}
        }
    }
    found
}

/// What a partition of the topic holds: its first and last position, after proving that each
/// position in between is there, and that first occurrences are in order.
pub fn prove_complete(events: &[Stored]) -> Result<Option<(Position, Position)>, String> {
    let Some(first) = events.first() else { return Ok(None) };
    let mut last = first.position;
    for event in &events[1..] {
        if event.position == last.next() {
            last = event.position;
        } else if event.position > last || event.position < first.position {
            return Err(format!(
                "partition {}: position {} follows {last}",
                event.partition, event.position
            ));
        }
    }
    Ok(Some((first.position, last)))
}
