//! The product as a fleet: `api`, two relays and two projectors on a real Kafka, each of which may
//! die or fall asleep at any moment.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use events::Partition;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use testkit::{Client, Database, Kafka, MASTER_KEY, Process, TOKEN_KEY, bench, eventually};
use testkit::{email, prove_complete};

/// The program.
fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ironledger"))
}

struct Fleet {
    url: String,
    api: Process,
    relays: Vec<Process>,
    projectors: Vec<Process>,
    kafka: Kafka,
    database: Database,
}

impl Fleet {
    /// So many relays and projectors of history.
    async fn start(kafka: Kafka, relays: usize, projectors: usize) -> Self {
        let database = Database::fresh().await;
        let mut api = Process::start(
            binary(),
            &["api", "--listen", "127.0.0.1:0"],
            &[
                ("DATABASE_URL", &database.api_url()),
                ("IRONLEDGER_MASTER_KEY", MASTER_KEY),
                ("IRONLEDGER_TOKEN_KEY", TOKEN_KEY),
                ("IRONLEDGER_BYPASS_KEY", testkit::BYPASS_KEY),
            ],
        );
        let url = api.listening().await;
        let relay = database.relay_url();
        let relays = (0..relays).map(|_| on_kafka(&["relay"], &relay, &kafka)).collect();
        let mut fleet = Self { url, api, relays, projectors: Vec::new(), kafka, database };
        for _ in 0..projectors {
            fleet.projectors.push(fleet.projector());
        }
        let client = fleet.client();
        eventually("a product that is ready", async || {
            (client.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        fleet
    }

    /// One more projector of all models. Some of them open what is personal, and need the key.
    fn projector(&self) -> Process {
        on_kafka(&["projector", "--all"], &self.database.projector_url(), &self.kafka)
    }

    fn client(&self) -> Client {
        Client::anonymous(&self.url)
    }

    async fn athlete(&self) -> Client {
        self.client().register(&email(), "Europe/Paris").await
    }

    /// Athletes enough for every partition to have some, most probably.
    async fn athletes(&self, count: usize) -> Vec<(Client, String)> {
        let mut athletes = Vec::new();
        for _ in 0..count {
            let athlete = self.athlete().await;
            let workout = athlete.start_workout(json!({})).await;
            athletes.push((athlete, workout));
        }
        athletes
    }

    async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.database.owner_url()).await.unwrap()
    }

    /// Waits until every process of the group has partitions of the topic.
    async fn has_settled(&self) {
        eventually("a group in which all have partitions", async || {
            let all = self.projectors.iter().all(|projector| {
                let output = projector.output();
                let last = output.lines().rfind(|line| line.contains("partitions of the topic"));
                last.is_some_and(|line| !line.contains("\"[]\""))
            });
            all.then_some(())
        })
        .await;
    }

    /// Waits until Kafka has all of the log, and proves that it is complete there.
    async fn topic_is_complete(&self) {
        let mut owner = self.owner().await;
        eventually("a relay that has caught up", async || {
            let behind: i64 = sqlx::query_scalar(
                "select count(*) from log.events e left join log.published p using (partition)
                 where e.position > coalesce(p.position, 0)",
            )
            .fetch_one(&mut owner)
            .await
            .unwrap();
            (behind == 0).then_some(())
        })
        .await;
        let heads = self.database.log().reader().heads().await.unwrap();
        let events = self.kafka.events().await;
        for (partition, head) in heads.into_iter().filter(|(_, head)| head.0 > 0) {
            let (first, last) = prove_complete(&events[&partition]).unwrap().unwrap();
            assert_eq!((first.0, last), (1, head), "partition {partition}");
        }
    }

    fn errors(&self) -> Vec<String> {
        let processes = [&self.api].into_iter().chain(&self.relays).chain(&self.projectors);
        let lines = processes
            .flat_map(|process| process.output().lines().map(str::to_owned).collect::<Vec<_>>());
        lines.filter(|line| line.contains("\"ERROR\"") || line.contains("panicked")).collect()
    }
}

fn on_kafka(arguments: &[&str], url: &str, kafka: &Kafka) -> Process {
    let [brokers, prefix] = kafka.environment();
    let key = ("IRONLEDGER_MASTER_KEY", MASTER_KEY);
    Process::start(binary(), arguments, &[("DATABASE_URL", url), key, brokers, prefix])
}

#[tokio::test]
async fn a_workout_goes_through_kafka_into_history() {
    let fleet = Fleet::start(Kafka::fresh(), 2, 2).await;
    fleet.has_settled().await;
    let athlete = fleet.athlete().await;
    let workout = athlete.start_workout(json!({ "title": "Push" })).await;
    let set = athlete.log_bench(&workout, 5, 100).await;
    let removed = athlete.log_bench(&workout, 4, 100).await;
    athlete.patch(&set, json!({ "reps": 6 })).await.expect(200);
    athlete.delete(&removed).await.expect(200);
    let done = athlete.complete(&workout, json!({ "rating": 4 })).await.expect(200);

    let history = athlete.history("", done.position()).await;
    let [shown] = history.list() else { panic!("{}", history.body) };
    assert_eq!(shown["title"], "Push");
    assert_eq!((&shown["totals"]["sets"], &shown["totals"]["reps"]), (&json!(1), &json!(6)));

    // It is Kafka that brings it: the net under it takes a second at least.
    let workout = athlete.start_workout(json!({})).await;
    eventually("a set that is shown too soon to have come from the net", async || {
        let set = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
        let answered = Instant::now();
        athlete.history("", set.position()).await;
        (answered.elapsed() < Duration::from_millis(700)).then_some(())
    })
    .await;
    fleet.topic_is_complete().await;

    // What somebody else wrote there is set aside once, with its place, and nothing waits for it. A
    // member that gets the partition at this moment begins behind it, so it is written again.
    let mut owner = fleet.owner().await;
    let (mut written, mut next) = (0, Instant::now());
    let foreign = eventually("records that are set aside", async || {
        if Instant::now() >= next {
            fleet.kafka.write_foreign(Partition(5), 2);
            (written, next) = (written + 2, Instant::now() + Duration::from_secs(5));
        }
        let rows: Vec<(String, i16, String, String)> = sqlx::query_as(
            "select topic, partition, convert_from(key || value, 'UTF8'), why
             from projector.foreign_records",
        )
        .fetch_all(&mut owner)
        .await
        .unwrap();
        (rows.len() >= 2).then_some(rows)
    })
    .await;
    assert!(foreign.len() <= written, "{} of {written}", foreign.len());
    for (topic, partition, text, why) in foreign {
        assert_eq!((topic, partition, &*text), (fleet.kafka.topic(), 5, "k?"));
        assert!(why.contains("no headers"), "{why}");
    }
    let set = athlete.log_set(&workout, bench(6, 100)).await.expect(201);
    athlete.history("", set.position()).await;
    assert_eq!(fleet.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn another_relay_leads_within_five_seconds_of_a_kill() {
    let mut fleet = Fleet::start(Kafka::fresh(), 2, 1).await;
    let leader = eventually("a leader", async || {
        fleet.relays.iter().position(|relay| relay.output().contains("\"leads\""))
    })
    .await;
    let athletes = fleet.athletes(4).await;
    fleet.relays[leader].kill();
    let killed = Instant::now();
    for (athlete, workout) in &athletes {
        athlete.log_bench(workout, 5, 100).await;
    }
    eventually("another leader", async || {
        fleet.relays[1 - leader].output().contains("\"publishes\"").then_some(())
    })
    .await;
    let taken = killed.elapsed();
    assert!(taken <= Duration::from_secs(5), "it took {taken:?}");
    fleet.topic_is_complete().await;

    // One that is told to stop need not be waited for.
    fleet.relays[leader] = on_kafka(&["relay"], &fleet.database.relay_url(), &fleet.kafka);
    assert!(fleet.relays[1 - leader].stop().await.success());
    eventually("the first again", async || {
        fleet.relays[leader].output().contains("\"publishes\"").then_some(())
    })
    .await;
    for (athlete, workout) in &athletes {
        athlete.log_bench(workout, 5, 100).await;
    }
    fleet.topic_is_complete().await;
}

#[tokio::test]
async fn a_projector_that_sleeps_through_a_rebalance_doubles_nothing() {
    let fleet = Fleet::start(Kafka::fresh(), 1, 2).await;
    fleet.has_settled().await;
    let athletes = fleet.athletes(12).await;
    fleet.projectors[0].freeze();
    let mut positions = Vec::new();
    for (athlete, workout) in &athletes {
        let set = athlete.log_set(workout, bench(5, 100)).await.expect(201);
        positions.push(set.position().to_owned());
    }
    // The other has taken over what the sleeper had: all of it is in history.
    for ((athlete, _), position) in athletes.iter().zip(&positions) {
        eventually("history by the other projector", async || {
            let history = athlete.get_at("/v1/history", position).await;
            (history.status == 200).then_some(())
        })
        .await;
    }
    fleet.projectors[0].thaw();
    for (athlete, workout) in &athletes {
        let set = athlete.log_set(workout, bench(6, 100)).await.expect(201);
        let history = eventually("history", async || {
            let history = athlete.get_at("/v1/history", set.position()).await;
            (history.status == 200).then_some(history)
        })
        .await;
        let totals = &history.list()[0]["totals"];
        assert_eq!((&totals["sets"], &totals["reps"]), (&json!(2), &json!(11)));
    }
    assert_eq!(fleet.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_broker_commands_and_queries_go_on() {
    // Nobody listens there.
    let mut fleet = Fleet::start(Kafka::on("127.0.0.1:1"), 1, 2).await;
    let athletes = fleet.athletes(8).await;
    let mut owner = fleet.owner().await;
    eventually("shares of the partitions in place of the group", async || {
        let holders: i64 = sqlx::query_scalar(
            "select count(distinct holder) from log.leases
             where work = 'history_v6' and expires_at > clock_timestamp()
             having count(*) = 16",
        )
        .fetch_optional(&mut owner)
        .await
        .unwrap()
        .unwrap_or_default();
        (holders == 2).then_some(())
    })
    .await;
    for reps in 1..=3 {
        for (athlete, workout) in &athletes {
            // From now on at once, within the patience of a query.
            let set = athlete.log_set(workout, bench(reps, 100)).await.expect(201);
            let history = athlete.history("", set.position()).await;
            assert_eq!(history.list()[0]["totals"]["sets"], reps);
        }
    }
    // Both end when they are told to, though nobody answers them.
    assert!(fleet.projectors[0].stop().await.success());
    assert!(fleet.relays[0].stop().await.success());
}

#[tokio::test]
async fn without_kafka_projectors_share_the_partitions() {
    let database = Database::fresh().await;
    let start = || {
        let url = database.projector_url();
        let environment = [("DATABASE_URL", url.as_str()), ("IRONLEDGER_MASTER_KEY", MASTER_KEY)];
        Process::start(binary(), &["projector", "--all"], &environment)
    };
    let mut projectors = [start(), start()];
    let mut owner = PgConnection::connect(&database.owner_url()).await.unwrap();
    let mut shares = async |wanted: &[i64]| {
        eventually("fair shares", async || {
            let shares: Vec<i64> = sqlx::query_scalar(
                "select count(*) from log.leases
                 where work = 'history_v6' and expires_at > clock_timestamp()
                 group by holder order by 1",
            )
            .fetch_all(&mut owner)
            .await
            .unwrap();
            (shares == wanted).then_some(())
        })
        .await;
    };
    shares(&[8, 8]).await;
    projectors[0].kill();
    shares(&[16]).await;
    projectors[0] = start();
    shares(&[8, 8]).await;
    let third = start();
    shares(&[4, 6, 6]).await;
    assert!(projectors[1].stop().await.success());
    shares(&[8, 8]).await;
    drop(third);
}
