//! Do the public topics get what everybody may see, all of it, in order, and nothing else?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, HashMap};

use events::{AthleteId, Family, Partition, Position};
use log::{
    Log, Stored,
    kafka::{self, Leader, Relay, RelayError, WrongTopic},
};
use rdkafka::{
    Message,
    message::{Headers, OwnedMessage},
};
use sqlx::{Connection, PgConnection};
use testkit::{
    Database, Kafka, eventually, new_id, prove_chain,
    public::{header, pieces, position},
    simulate::{Athlete, Simulator},
};

const PARTITIONS: i32 = 16;
const TRAINING: Family = Family::Training;

/// A log with something in it, and topics of its own.
struct World {
    database: Database,
    kafka: Kafka,
    log: Log,
    athletes: Vec<Athlete>,
    seeds: u64,
}

impl World {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let log = database.log();
        let mut world = Self { database, kafka: Kafka::fresh(), log, athletes: vec![], seeds: 70 };
        world.grow().await;
        world
    }

    /// More athletes, more events.
    async fn grow(&mut self) {
        self.seeds += 1;
        let mut simulator = Simulator::new(self.seeds);
        self.athletes.extend(simulator.fill(&self.log, &self.database, 20, 2).await);
    }

    fn publisher(&self) -> Relay {
        let (database, keys) = self.database.connect_publisher();
        Relay::public(database, keys, self.kafka.settings(), new_id())
    }

    async fn stored(&self) -> Vec<Stored> {
        let heads = self.log.reader().heads().await.expect("heads");
        let all = heads.keys().map(|partition| (*partition, Position(0))).collect();
        self.log.reader().tail(&all, 100_000).await.expect("the log")
    }

    async fn pseudonyms(&self) -> HashMap<AthleteId, String> {
        let athletes = self.athletes.iter().map(|athlete| athlete.id);
        self.log.keys().pseudonyms(athletes).await.expect("pseudonyms")
    }

    async fn records(&self, family: Family) -> BTreeMap<Partition, Vec<OwnedMessage>> {
        self.kafka.records_of(&self.kafka.public_topic(family)).await
    }

    /// The positions on a topic, by partition.
    async fn on_topic(&self, family: Family) -> BTreeMap<Partition, Vec<i64>> {
        let records = self.records(family).await.into_iter();
        records.map(|(p, records)| (p, records.iter().map(position).collect())).collect()
    }

    /// The positions of the log that belong on a topic, by partition.
    async fn in_log(&self, family: Family) -> BTreeMap<Partition, Vec<i64>> {
        let mut found: BTreeMap<Partition, Vec<i64>> = BTreeMap::new();
        for event in self.stored().await {
            if Family::of(&event.kind) == Some(family) {
                found.entry(event.partition).or_default().push(event.position.0);
            }
        }
        found
    }

    async fn run(&self, sql: &'static str) {
        let mut owner = PgConnection::connect(&self.database.owner_url()).await.expect("an owner");
        sqlx::raw_sql(sql).execute(&mut owner).await.expect("a statement");
    }

    /// Leads after everybody else's lease has run out, publishes all that is there, and ends.
    async fn publish(&self) {
        self.expire().await;
        let publisher = self.publisher();
        let mut leader = self.lead(&publisher).await;
        while leader.step().await.expect("a step") > 0 {}
        leader.finish().await.expect("an end");
    }

    /// Leads, as soon as a busy broker has made its topics.
    async fn lead<'a>(&self, publisher: &'a Relay) -> Leader<'a> {
        eventually("the lead", async || match publisher.lead().await {
            Ok(leader) => Some(leader.expect("the lead")),
            Err(RelayError::Kafka(_)) => {
                self.expire().await;
                None
            }
            Err(error) => unreachable!("a publisher leads or waits for Kafka: {error}"),
        })
        .await
    }

    async fn expire(&self) {
        self.run("update log.relay_lease set expires_at = '-infinity'").await;
    }
}

#[tokio::test]
async fn events_of_a_family_arrive_once_in_order_with_a_chain() {
    let world = World::new().await;
    world.publish().await;
    let heads = world.log.reader().heads().await.expect("heads");
    assert!(world.kafka.settings().has_public_topics(heads.len()).await.expect("four topics"));
    let pseudonyms = world.pseudonyms().await;
    let mut seen = 0;
    for family in Family::ALL {
        assert_eq!(world.on_topic(family).await, world.in_log(family).await, "{family:?}");
        let records = world.records(family).await;
        let mut last: HashMap<Partition, i64> = HashMap::new();
        for event in world.stored().await {
            if Family::of(&event.kind) != Some(family) {
                continue;
            }
            let last = last.entry(event.partition).or_default();
            let of_partition = &records[&event.partition];
            let record = of_partition.iter().find(|record| position(record) == event.position.0);
            let record = record.expect("a record");
            let recorded = event.decode().expect("an event");
            let pseudonym = &pseudonyms[&event.id.owner];
            let stream = event.id.stream.to_string();
            let stream = stream.replace(&event.id.owner.to_string(), pseudonym);
            let (name, version) = recorded.event.type_and_version();
            for (name, value) in [
                ("content-type", "application/json".to_owned()),
                ("ce_specversion", "1.0".to_owned()),
                ("ce_id", format!("{pseudonym}/{stream}/{}", event.id.version)),
                ("ce_source", "urn:ironledger:public".to_owned()),
                ("ce_type", format!("ironledger.{name}")),
                ("ce_subject", pseudonym.clone()),
                ("ce_dataschema", format!("urn:ironledger:public:{name}:{version}")),
                ("ce_time", recorded.metadata.occurred_at.to_string()),
                ("ce_position", event.position.to_string()),
                ("ce_previousposition", last.to_string()),
                ("ce_epoch", event.epoch.to_string()),
            ] {
                assert_eq!(header(record, name), value, "{name}");
            }
            assert_eq!(record.headers().expect("headers").count(), 11);
            assert_eq!(record.key(), Some(pseudonym.as_bytes()));
            let payload = recorded.event.public_payload().expect("a payload");
            assert_eq!(record.payload(), Some(payload.as_bytes()));
            *last = event.position.0;
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} records");
    let lag = kafka::public_lag(&world.database.connect_api().pool).await.expect("lag");
    assert_eq!((lag.events, lag.seconds), (0, 0.0));
}

#[tokio::test]
async fn no_byte_tells_who_it_is_or_what_is_personal() {
    let world = World::new().await;
    world.publish().await;
    let mut secret: Vec<Vec<u8>> = vec![];
    for athlete in &world.athletes {
        let id = athlete.id.uuid();
        secret.extend([id.to_string(), id.simple().to_string()].map(String::into_bytes));
        secret.push(id.as_bytes().to_vec());
    }
    for text in ["My machine", "Session", "Renamed", "heavy", "slow", "sealed", "about"] {
        secret.push(text.into());
    }
    let mut sealed = 0;
    for event in world.stored().await {
        let metadata = event.metadata().expect("metadata");
        secret.push(metadata.correlation.simple().to_string().into());
        secret.push(metadata.correlation.to_string().into());
        for text in event.payload.split("\"sealed\":\"").skip(1) {
            let text = text.split('"').next().expect("its end");
            secret.push(text.into());
            sealed += 1;
        }
    }
    assert!(sealed > 50, "{sealed} sealed texts");
    secret.sort();
    secret.dedup();
    let mut bytes = Vec::new();
    for family in Family::ALL {
        for record in world.records(family).await.values().flatten() {
            for piece in pieces(record) {
                bytes.extend(piece);
                bytes.push(b'\n');
            }
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for secret in &secret {
        let found = match std::str::from_utf8(secret) {
            Ok(secret) => text.contains(secret),
            Err(_) => bytes.windows(secret.len()).any(|window| window == secret),
        };
        assert!(!found, "{}", String::from_utf8_lossy(secret));
    }
}

#[tokio::test]
async fn who_is_forgotten_is_published_no_more_and_nobody_knows_the_pseudonym() {
    let mut world = World::new().await;
    world.publish().await;
    let before = world.pseudonyms().await;
    let forgotten = world.athletes[0];
    // By another process, and while a publisher is at work that knows the key.
    let publisher = world.publisher();
    world.expire().await;
    let mut leader = world.lead(&publisher).await;
    assert_eq!(leader.step().await.expect("a step"), 0);
    // Events of theirs are on the log and not yet published when the key goes.
    Simulator::new(999).train(&world.log, forgotten, 3).await;
    world.log.keys().destroy(forgotten.id).await.expect("a destroyed key");
    world.grow().await;
    while leader.step().await.expect("a step") > 0 {}
    leader.finish().await.expect("an end");

    let after = world.pseudonyms().await;
    assert!(!after.contains_key(&forgotten.id));
    let known = before.iter().filter(|(id, _)| **id != forgotten.id);
    assert!(known.into_iter().all(|(id, pseudonym)| after[id] == *pseudonym), "the same for ever");
    let records = world.records(TRAINING).await;
    let in_log = world.in_log(TRAINING).await;
    let stored = world.stored().await;
    for (partition, records) in &records {
        prove_chain(records).unwrap_or_else(|hole| panic!("{partition}: {hole}"));
        let published: Vec<i64> = records.iter().map(position).collect();
        let missing = in_log[partition].iter().filter(|at| !published.contains(at));
        for at in missing {
            let event = stored.iter().find(|e| (e.partition, e.position.0) == (*partition, *at));
            assert_eq!(event.expect("an event").id.owner, forgotten.id, "nobody else is left out");
        }
    }
    let theirs = |records: &BTreeMap<Partition, Vec<OwnedMessage>>| {
        let all = records.values().flatten();
        all.filter(|record| header(record, "ce_subject") == before[&forgotten.id]).count()
    };
    let at_first = stored.iter().filter(|event| event.id.owner == forgotten.id).count();
    assert!(theirs(&records) > 0 && theirs(&records) < at_first - 3, "what was there stays");
}

#[tokio::test]
async fn the_chain_holds_when_leaders_die_and_sleepers_wake_up() {
    let mut world = World::new().await;
    let (asleep, awake) = (world.publisher(), world.publisher());
    let mut zombie = world.lead(&asleep).await;
    assert!(zombie.step().await.expect("a step") > 0);
    // It froze before it noted anything.
    world.expire().await;
    let mut second = world.lead(&awake).await;
    world.grow().await;
    assert!(second.step().await.expect("a step") > 0);
    assert!(zombie.step().await.expect("a step") > 0);
    world.grow().await;
    assert!(second.step().await.expect("a step") > 0);
    let refused = zombie.finish().await;
    assert!(matches!(refused, Err(RelayError::NotLeading)), "{refused:?}");
    second.finish().await.expect("an end");

    let mut repeated = 0;
    for family in Family::ALL {
        let in_log = world.in_log(family).await;
        for (partition, records) in world.records(family).await {
            let firsts = prove_chain(&records).unwrap_or_else(|hole| panic!("{partition}: {hole}"));
            assert_eq!(firsts, in_log[&partition], "{family:?}");
            repeated += records.len() - firsts.len();
            // A repetition says what the first occurrence said.
            let mut said: HashMap<i64, Vec<Vec<u8>>> = HashMap::new();
            for record in &records {
                let first = said.entry(position(record)).or_insert_with(|| pieces(record));
                assert_eq!(*first, pieces(record));
            }
        }
    }
    assert!(repeated > 0, "the zombie did write");
}

#[tokio::test]
async fn an_emptied_topic_gets_no_history_again() {
    let mut world = World::new().await;
    world.publish().await;
    let before = world.in_log(TRAINING).await;
    world.kafka.try_empty(&world.kafka.public_topic(TRAINING), PARTITIONS).await.expect("emptied");
    world.publish().await;
    assert_eq!(world.on_topic(TRAINING).await, BTreeMap::new());
    world.grow().await;
    world.publish().await;
    let mut after = world.in_log(TRAINING).await;
    for (partition, before) in &before {
        after.get_mut(partition).expect("a partition").drain(..before.len());
    }
    after.retain(|_, positions| !positions.is_empty());
    assert_eq!(world.on_topic(TRAINING).await, after);
    for (partition, records) in world.records(TRAINING).await {
        let last = before.get(&partition).and_then(|all| all.last()).copied().unwrap_or_default();
        assert_eq!(
            header(&records[0], "ce_previousposition"),
            last.to_string(),
            "the chain goes on"
        );
    }
}

#[tokio::test]
async fn an_old_version_arrives_as_the_current_one_and_an_unknown_type_stops_all() {
    let mut world = World::new().await;
    // A stored set of the first version, as an earlier program wrote it.
    world
        .run(
            "insert into log.events (partition, position, epoch, owner, stream_kind, stream_id,
                 version, type, type_version, recorded_at, metadata, payload)
             select partition, position + 1, epoch, owner, 3, gen_random_uuid(), 1, 'SetLogged', 1,
                 recorded_at, metadata, '{\"set_id\":\"0193f0a2-0000-7000-8000-000000000010\",
                 \"set\":{\"exercise\":\"squat-barbell\",\"number\":1,\"kind\":\"normal\",
                 \"reps\":5,\"performed_at\":\"2026-01-31T17:30:00Z\"}}'
             from log.events where partition = (select min(partition) from log.events)
             order by position desc limit 1",
        )
        .await;
    world.log = world.database.log();
    let stored = world.stored().await;
    let old = stored.iter().find(|event| event.kind_version == 1 && event.kind == "SetLogged");
    let old = old.expect("an old event").clone();
    world.publish().await;
    let records = world.records(TRAINING).await;
    let found = records[&old.partition].last().expect("a record");
    assert_eq!(position(found), old.position.0);
    assert_eq!(header(found, "ce_dataschema"), "urn:ironledger:public:SetLogged:2");
    let payload: serde_json::Value =
        serde_json::from_slice(found.payload().expect("a payload")).expect("JSON");
    assert_eq!((&payload["set"]["side"], &payload["set"]["reps"]), (&"both".into(), &5.into()));

    // What a newer program wrote is not passed over, whoever it is about.
    world.grow().await;
    world
        .run(
            "insert into log.events (partition, position, epoch, owner, stream_kind, stream_id,
                 version, type, type_version, recorded_at, metadata, payload)
             select partition, position + 1, epoch, owner, 3, gen_random_uuid(), 1, 'SetTeleported',
                 1, recorded_at, metadata, '{}'
             from log.events where partition = (select min(partition) from log.events)
             order by position desc limit 1",
        )
        .await;
    let mut seen = None;
    for _ in 0..3 {
        world.expire().await;
        let publisher = world.publisher();
        let refused = world.lead(&publisher).await.step().await;
        let said = refused.expect_err("a refusal").to_string();
        assert!(said.contains("unknown event type SetTeleported version 1"), "{said}");
        let on_topic = world.on_topic(TRAINING).await;
        assert_eq!(*seen.get_or_insert(on_topic.clone()), on_topic, "and nothing is repeated");
    }
    let mut wanted = world.in_log(TRAINING).await;
    let first = *wanted.keys().next().expect("a partition");
    let published = seen.expect("a topic").remove(&first);
    assert_eq!(published, wanted.remove(&first), "all that stands before it");
}

#[tokio::test]
async fn wrong_public_topics_are_refused_with_what_to_do() {
    let world = World::new().await;
    let topic = world.kafka.public_topic(Family::Social);
    let day = [("retention.ms", "86400000")];
    world.kafka.try_create(&topic, PARTITIONS, &day).await.expect("a topic");
    let publisher = world.publisher();
    let wrong = eventually("a refusal", async || {
        world.expire().await;
        match publisher.lead().await.map(|_| ()) {
            Err(RelayError::WrongTopic(wrong)) => Some(wrong),
            Err(RelayError::Kafka(_)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    let has = "86400000".to_owned();
    assert_eq!(wrong, WrongTopic::Retention { topic, has, wants: 2_592_000_000 });
    assert!(wrong.to_string().ends_with("--add-config retention.ms=2592000000"), "{wrong}");
}

#[tokio::test]
async fn a_publisher_may_do_no_more_than_it_must() {
    let world = World::new().await;
    world.publish().await;
    world
        .run("insert into log.published (feed, partition, term, position) values ('log', 0, 1, 1)")
        .await;
    let (database, _) = world.database.connect_publisher();
    let may = async |sql: &'static str| sqlx::raw_sql(sql).execute(&database.pool).await;
    for sql in [
        "update log.published set position = 0 where feed = 'log'",
        "update log.relay_lease set term = 9 where feed = 'log'",
    ] {
        assert_eq!(may(sql).await.expect("an answer").rows_affected(), 0, "{sql}");
    }
    for sql in [
        "insert into log.relay_lease values (1, gen_random_uuid(), now(), 'log')",
        "insert into log.events select * from log.events limit 1",
        "delete from log.personal_keys",
        "delete from log.published",
        "select * from accounts.accounts",
        "insert into log.master_key (verifier) values ('')",
    ] {
        assert!(may(sql).await.is_err(), "{sql}");
    }
}
