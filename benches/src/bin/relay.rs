//! How fast does the relay bring a full log to Kafka, beside the same records from memory?
//!
//! Both in turn, each to a topic of its own on the same broker, with everything acknowledged by
//! all replicas. The relay reads pages from Postgres, makes records and publishes them; the
//! yardstick has a producer of the same settings and finds its records made. What each part takes
//! alone is measured beside them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

#[path = "relay/memory.rs"]
mod memory;

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use benches::{Filler, mean};
use clap::Parser;
use events::{Partition, Position};
use log::{Reader, Stored, kafka};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use sqlx::PgPool;
use testkit::{Database, Kafka, eventually, new_id};

/// As the relay reads: most events of a partition in a page, and how often it notes in Postgres
/// what Kafka has.
const PAGE: usize = 500;
const SETTLE: Duration = Duration::from_millis(200);

/// Records that the yardstick has made, and sends again and again.
const MADE: usize = 50_000;

/// Whatever takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct Arguments {
    /// Events on the log.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    events: u64,
    /// Measurements of each, in turn.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.rounds > 0, "at least one round");
    let events = usize::try_from(arguments.events)?;
    let brokers = std::env::var("KAFKA_BROKERS").context("KAFKA_BROKERS")?;
    let database = Database::fresh().await;
    let owner = PgPool::connect(&database.owner_url()).await?;
    let began = Instant::now();
    Filler::new(&database).await?.fill_up_to(events).await?;
    eprintln!("filled with {events} events in {:.1} s", began.elapsed().as_secs_f64());
    let reader = Reader::open(&database.connect_relay());
    let made = parts(&reader).await?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let topic = fresh_topic(&brokers, &reader).await?;
        let took = relay(&database, &topic, events, &owner).await?;
        ensure!(records(&brokers, &topic)? == events, "the topic does not have all events");
        ours.push(per_second(events, took));
        eprintln!("relay {:.0}/s", per_second(events, took));
        drop(topic);

        let topic = fresh_topic(&brokers, &reader).await?;
        let took = memory::publish(&topic.settings(), &made, events).await?;
        ensure!(records(&brokers, &topic)? == events, "the topic does not have all records");
        theirs.push(per_second(events, took));
        eprintln!("from memory {:.0}/s", per_second(events, took));
    }
    let (ours, theirs) = (mean(&ours), mean(&theirs));
    println!(
        "bench relay: events_per_s={ours:.0} memory_events_per_s={theirs:.0} ratio={:.2}",
        ours / theirs
    );
    Ok(())
}

/// Publishes the whole log as a relay that finds nothing published, and answers how long that took
/// once it had the lead and the topic.
async fn relay(
    database: &Database,
    topic: &Kafka,
    events: usize,
    owner: &PgPool,
) -> Result<Duration> {
    // Of the round before: it was of another topic.
    sqlx::raw_sql("truncate log.published, log.relay_lease").execute(owner).await?;
    let relay = kafka::Relay::new(database.connect_relay(), topic.settings(), new_id());
    let mut leader = relay.lead().await?.context("the lead")?;
    let (began, mut settled) = (Instant::now(), Instant::now());
    while leader.step().await? > 0 {
        if settled.elapsed() >= SETTLE {
            leader.settle().await?;
            settled = Instant::now();
        }
    }
    leader.finish().await?;
    let took = began.elapsed();
    let noted: i64 = sqlx::query_scalar("select sum(position)::bigint from log.published")
        .fetch_one(owner)
        .await?;
    ensure!(usize::try_from(noted)? == events, "{noted} of {events} events are acknowledged");
    Ok(took)
}

/// A topic as a relay makes it, once every partition has a leader.
async fn fresh_topic(brokers: &str, reader: &Reader) -> Result<Kafka> {
    let topic = Kafka::on(brokers);
    let settings = [("cleanup.policy", "delete"), ("max.message.bytes", "1048588")];
    topic.create_topic(i32::try_from(reader.heads().await?.len())?, &settings).await;
    eventually("a topic with leaders", async || records(brokers, &topic).ok()).await;
    Ok(topic)
}

/// How many records the topic holds.
fn records(brokers: &str, topic: &Kafka) -> Result<usize> {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer =
        config.set("bootstrap.servers", brokers).set("group.id", "bench-relay").create()?;
    let name = topic.topic();
    let metadata = consumer.fetch_metadata(Some(&name), PATIENCE)?;
    let found = metadata.topics().iter().find(|topic| topic.name() == name).context("the topic")?;
    let mut records = 0;
    for partition in found.partitions() {
        let (low, high) = consumer.fetch_watermarks(&name, partition.id(), PATIENCE)?;
        records += high - low;
    }
    Ok(usize::try_from(records)?)
}

/// Prints what reading alone and making records alone take, and answers the made records.
async fn parts(reader: &Reader) -> Result<Vec<memory::Made>> {
    let mut at: BTreeMap<Partition, Position> = reader.heads().await?;
    at.values_mut().for_each(|position| *position = Position(0));
    let mut stored: Vec<Stored> = Vec::new();
    let began = Instant::now();
    while stored.len() < MADE {
        let page = reader.tail(&at, PAGE).await?;
        ensure!(!page.is_empty(), "the log has fewer than {MADE} events");
        at.extend(page.iter().map(|event| (event.partition, event.position)));
        stored.extend(page);
    }
    eprintln!("reading alone {:.0}/s", per_second(stored.len(), began.elapsed()));
    let began = Instant::now();
    for event in &stored {
        black_box(kafka::Record::of(event));
    }
    eprintln!("making records alone {:.0}/s", per_second(stored.len(), began.elapsed()));
    if let Some(last) = stored.last() {
        let (metadata, payload) = (last.metadata.len(), last.payload.len());
        eprintln!("an event: {metadata} bytes of metadata, {payload} of payload");
    }
    Ok(stored.iter().map(memory::Made::of).collect())
}

fn per_second(events: usize, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}
