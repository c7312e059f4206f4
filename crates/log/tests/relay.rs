//! Does Kafka get the log, all of it, in order, whatever happens to relays and topic?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{collections::BTreeMap, str::from_utf8, time::Duration};

use events::{Partition, Position};
use log::{
    Log, Stored,
    kafka::{self, Leader, Relay, RelayError, WrongTopic},
};
use rdkafka::{
    Message,
    message::{Headers, OwnedMessage},
};
use sqlx::{Connection, PgConnection};
use testkit::{Database, Kafka, eventually, new_id, prove_complete, simulate::Simulator};
use tokio_util::sync::CancellationToken;

const PARTITIONS: i32 = 16;

/// A log with something in it, and topics of its own.
struct World {
    database: Database,
    kafka: Kafka,
    log: Log,
    seeds: u64,
}

impl World {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let log = database.log();
        let mut world = Self { database, kafka: Kafka::fresh(), log, seeds: 0 };
        world.grow().await;
        world
    }

    /// More athletes, more events.
    async fn grow(&mut self) {
        self.seeds += 1;
        Simulator::new(self.seeds).fill(&self.log, &self.database, 20, 2).await;
    }

    fn relay(&self) -> Relay {
        Relay::new(self.database.connect_relay(), self.kafka.settings(), new_id())
    }

    async fn stored(&self) -> BTreeMap<Partition, Vec<Stored>> {
        let heads = self.log.reader().heads().await.expect("heads");
        let all = heads.keys().map(|partition| (*partition, Position(0))).collect();
        let mut stored: BTreeMap<Partition, Vec<Stored>> = BTreeMap::new();
        for event in self.log.reader().tail(&all, 100_000).await.expect("the log") {
            stored.entry(event.partition).or_default().push(event);
        }
        stored
    }

    /// The positions on the topic, by partition.
    async fn on_topic(&self) -> BTreeMap<Partition, Vec<i64>> {
        let events = self.kafka.events().await.into_iter();
        events.map(|(p, events)| (p, events.iter().map(|e| e.position.0).collect())).collect()
    }

    /// The positions of the log, by partition.
    async fn in_log(&self) -> BTreeMap<Partition, Vec<i64>> {
        let heads = self.log.reader().heads().await.expect("heads").into_iter();
        heads.filter(|(_, head)| head.0 > 0).map(|(p, head)| (p, (1..=head.0).collect())).collect()
    }

    async fn run(&self, sql: &'static str) {
        let mut owner = PgConnection::connect(&self.database.owner_url()).await.expect("an owner");
        sqlx::raw_sql(sql).execute(&mut owner).await.expect("a statement");
    }

    /// Makes every lease one of the past.
    async fn expire(&self) {
        self.run("update log.relay_lease set expires_at = '-infinity'").await;
    }
}

async fn lead(relay: &Relay) -> Leader<'_> {
    relay.lead().await.expect("a topic").expect("the lead")
}

/// Publishes all that is there, and ends as a relay does that is told to.
async fn publish(mut leader: Leader<'_>) {
    while leader.step().await.expect("a step") > 0 {}
    leader.finish().await.expect("an end");
}

fn header<'a>(record: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let headers = record.headers().expect("headers");
    let found = headers.iter().find(|header| header.key == name)?;
    Some(from_utf8(found.value.expect("a value")).expect("text"))
}

#[tokio::test]
async fn the_topic_holds_the_log_byte_for_byte() {
    let world = World::new().await;
    let relay = world.relay();
    publish(lead(&relay).await).await;
    assert_eq!(world.kafka.events().await, world.stored().await);
    assert_eq!(kafka::lag(&world.database.connect_relay().pool).await.expect("lag").events, 0);
}

#[tokio::test]
async fn records_are_cloud_events() {
    let world = World::new().await;
    let relay = world.relay();
    publish(lead(&relay).await).await;
    let (records, stored) = (world.kafka.records().await, world.stored().await);
    let (partition, records) = records.iter().next().expect("a partition");
    for (record, event) in records.iter().zip(&stored[partition]) {
        let recorded = event.decode().expect("an event");
        let owner = event.id.owner.to_string();
        let metadata = &recorded.metadata;
        for (name, value) in [
            ("content-type", "application/json".to_owned()),
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", format!("{owner}/{}/{}", event.id.stream, event.id.version)),
            ("ce_source", "urn:ironledger:log".to_owned()),
            ("ce_type", format!("ironledger.{}", event.kind)),
            ("ce_subject", owner.clone()),
            ("ce_time", metadata.occurred_at.to_string()),
            ("ce_recordedtime", event.recorded_at.to_string()),
            (
                "ce_dataschema",
                format!("urn:ironledger:event:{}:{}", event.kind, event.kind_version),
            ),
            ("ce_position", event.position.to_string()),
            ("ce_previousposition", (event.position.0 - 1).to_string()),
            ("ce_stream", event.id.stream.to_string()),
            ("ce_version", event.id.version.to_string()),
            ("ce_epoch", event.epoch.to_string()),
        ] {
            assert_eq!(header(record, name), Some(value.as_str()), "{name}");
        }
        let trace = header(record, "traceparent").expect("a trace");
        assert!(trace.contains(&metadata.correlation.simple().to_string()), "{trace}");
        assert_eq!(trace.len(), 55);
        assert_eq!(record.key(), Some(owner.as_bytes()));
        assert_eq!(record.payload(), Some(event.payload.as_bytes()));
    }
}

#[tokio::test]
async fn two_relays_that_both_believe_they_lead_leave_no_hole() {
    let mut world = World::new().await;
    let (asleep, awake) = (world.relay(), world.relay());
    let mut zombie = lead(&asleep).await;
    assert!(zombie.step().await.expect("a step") > 0);
    assert!(awake.lead().await.expect("an answer").is_none(), "one leads");

    // The first freezes for longer than its lease. The second takes over, and goes on.
    world.expire().await;
    let mut second = lead(&awake).await;
    world.grow().await;
    assert!(second.step().await.expect("a step") > 0);
    // It thaws, and before it looks at the clock it sends what it finds, side by side with the other.
    assert!(zombie.step().await.expect("a step") > 0);
    world.grow().await;
    assert!(second.step().await.expect("a step") > 0);
    assert!(zombie.step().await.expect("a step") > 0);

    // Its note of what is published is refused, whereupon it knows.
    let refused = zombie.finish().await;
    assert!(matches!(refused, Err(RelayError::NotLeading)), "{refused:?}");
    second.finish().await.expect("an end");

    let mut repeated = 0;
    for (partition, events) in world.kafka.events().await {
        let head = world.log.reader().heads().await.expect("heads")[&partition];
        assert_eq!(prove_complete(&events), Ok(Some((Position(1), head))));
        repeated += events.len() - usize::try_from(head.0).expect("a count");
    }
    assert!(repeated > 0, "the zombie did write");
}

#[tokio::test]
async fn a_relay_goes_on_where_the_last_one_fell() {
    let mut world = World::new().await;
    let relay = world.relay();
    // All is sent and on the topic, but the relay dies before it notes that.
    let mut dying = lead(&relay).await;
    while dying.step().await.expect("a step") > 0 {}
    let whole = world.in_log().await;
    eventually("all on the topic", async || (world.on_topic().await == whole).then_some(())).await;
    drop(dying);
    world.expire().await;
    publish(lead(&relay).await).await;
    assert_eq!(world.on_topic().await, whole, "nothing twice");

    // What the topic's retention has emptied is not published again.
    world.kafka.empty_topic(PARTITIONS).await;
    world.expire().await;
    publish(lead(&relay).await).await;
    assert_eq!(world.on_topic().await, BTreeMap::new());
    world.grow().await;
    world.expire().await;
    publish(lead(&relay).await).await;
    for (partition, positions) in world.on_topic().await {
        let before = whole.get(&partition).map_or(0, |all| all.len() as i64);
        let head = world.log.reader().heads().await.expect("heads")[&partition].0;
        assert_eq!(positions, (before + 1..=head).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn foreign_records_and_those_of_a_lost_history_are_passed_over() {
    let mut world = World::new().await;
    let relay = world.relay();
    publish(lead(&relay).await).await;
    let whole = world.on_topic().await;
    world.kafka.write_foreign(Partition(5), 150);
    // As after a restore of a backup from before the relay began: nothing is noted.
    world.run("delete from log.published").await;
    world.expire().await;
    publish(lead(&relay).await).await;
    assert_eq!(world.on_topic().await, whole, "what is there was found behind them");

    // A restored log has lost the last events of a partition, and gets others in their place.
    world
        .run(
            "alter table log.events_0_to_7 disable trigger immutable;
             delete from log.events_0_to_7 where partition = 5 and position > (
                 select max(position) - 2 from log.events_0_to_7 where partition = 5);
             update log.published set position = 0 where partition = 5;
             insert into log.epochs (epoch, reason) select max(epoch) + 1, 'test' from log.epochs;",
        )
        .await;
    world.log = world.database.log();
    world.expire().await;
    let mut restored = lead(&relay).await;
    assert_eq!(restored.step().await.expect("a step"), 0, "the rest is on the topic");
    restored.finish().await.expect("an end");
    world.grow().await;
    world.expire().await;
    publish(lead(&relay).await).await;
    let stored = world.stored().await;
    let on_topic = world.kafka.events().await;
    for event in &stored[&Partition(5)] {
        assert!(on_topic[&Partition(5)].contains(event), "{} is missing", event.position);
    }
}

#[tokio::test]
async fn a_wrong_topic_is_refused_with_what_to_do() {
    let mut world = World::new().await;
    let relay = world.relay();
    let refused = async || {
        world.expire().await;
        match relay.lead().await.map(|_| ()) {
            Err(RelayError::WrongTopic(wrong)) => wrong,
            other => panic!("{other:?}"),
        }
    };
    let topic = world.kafka.topic();

    world.kafka.create_topic(4, &[]).await;
    let wrong = refused().await;
    assert_eq!(wrong, WrongTopic::Partitions { topic: topic.clone(), has: 4, wants: 16 });
    assert!(wrong.to_string().contains("delete the topic"), "{wrong}");
    world.kafka.delete_topic().await;

    world.kafka.create_topic(PARTITIONS, &[("cleanup.policy", "compact")]).await;
    let wrong = refused().await;
    assert_eq!(
        wrong,
        WrongTopic::CleanupPolicy { topic: topic.clone(), has: "compact".to_owned() }
    );
    world.kafka.alter_topic("max.message.bytes", "1000").await;
    // A busy broker takes its time with new settings.
    let too_small = WrongTopic::MessageBytes { topic: topic.clone(), has: "1000".to_owned() };
    eventually("a limit that is too small", async || (refused().await == too_small).then_some(()))
        .await;
    world.kafka.alter_topic("max.message.bytes", "2000000").await;
    eventually("a topic that is good", async || {
        world.expire().await;
        relay.lead().await.is_ok().then_some(())
    })
    .await;

    world.expire().await;
    publish(lead(&relay).await).await;
    assert_eq!(world.on_topic().await, world.in_log().await);

    // The log grows, and the topic with it.
    world.run("select log.add_partition(16::smallint)").await;
    world.grow().await;
    world.expire().await;
    publish(lead(&relay).await).await;
    assert_eq!(world.on_topic().await, world.in_log().await);
    world.kafka.delete_topic().await;
    world.kafka.create_topic(PARTITIONS, &[]).await;
    world.expire().await;
    let wrong = relay.lead().await.map(|_| ());
    assert!(matches!(wrong, Err(RelayError::WrongTopic(_))), "{wrong:?}");
}

#[tokio::test]
async fn a_running_relay_survives_the_loss_of_its_topic() {
    let mut world = World::new().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(world.relay().run(stop.clone()));
    let whole = world.in_log().await;
    eventually("the log on the topic", async || {
        (world.on_topic_or_none().await == Some(whole.clone())).then_some(())
    })
    .await;
    world.kafka.delete_topic().await;
    world.grow().await;
    let heads = world.log.reader().heads().await.expect("heads");
    eventually("the rest on the new topic", async || {
        let on_topic = world.on_topic_or_none().await?;
        heads
            .iter()
            .filter(|(partition, head)| {
                head.0 > whole.get(partition).map_or(0, |all| all.len() as i64)
            })
            .all(|(partition, head)| {
                on_topic.get(partition).is_some_and(|all| all.last() == Some(&head.0))
            })
            .then_some(())
    })
    .await;
    for (partition, events) in world.kafka.events().await {
        prove_complete(&events).unwrap_or_else(|hole| panic!("{partition}: {hole}"));
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), running)
        .await
        .expect("an end")
        .expect("no panic");
    // It gave the lead back.
    assert!(world.relay().lead().await.expect("an answer").is_some());
}

impl World {
    /// The same as `on_topic`, where there is a topic.
    async fn on_topic_or_none(&self) -> Option<BTreeMap<Partition, Vec<i64>>> {
        match self.kafka.settings().has_topic(PARTITIONS as usize).await {
            Ok(true) => Some(self.on_topic().await),
            _ => None,
        }
    }
}
