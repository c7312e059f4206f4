//! The example of docs/examples/analytics, run as its README says, on topics that two publishers
//! write: does somebody who knows the contracts alone come to the figures that history shows?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use events::{Family, Partition};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use testkit::{
    App, Client, Kafka, MASTER_KEY, Process, bench, eventually, prove_chain,
    public::{is_ours, pieces},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The product with a Kafka, and a folder for what the example writes.
struct World {
    app: App,
    kafka: Kafka,
    folder: tempfile::TempDir,
}

impl World {
    fn publisher(&self) -> Process {
        let [brokers, prefix] = self.kafka.environment();
        let url = self.app.database.publisher_url();
        let environment = [
            ("DATABASE_URL", url.as_str()),
            ("IRONLEDGER_MASTER_KEY", MASTER_KEY),
            brokers,
            prefix,
        ];
        Process::start(Path::new(env!("CARGO_BIN_EXE_ironledger")), &["publisher"], &environment)
    }

    fn topic(&self) -> String {
        self.kafka.public_topic(Family::Training)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn has_caught_up(&self) {
        let pool = self.app.database.connect_api().pool;
        eventually("public topics with all of the log", async || {
            let lag = log::kafka::public_lag(&pool).await.expect("lag");
            (lag.leader && lag.events == 0).then_some(())
        })
        .await;
    }

    /// Runs `consume.py` as its README says.
    async fn consume(&self) -> Output {
        let python = std::env::var("ANALYTICS_PYTHON")
            .expect("ANALYTICS_PYTHON; use `cargo xtask test`, which makes it");
        let mut command = Command::new(python);
        command.arg(Path::new(ROOT).join("docs/examples/analytics/consume.py"));
        command.args(["--brokers", self.kafka.environment()[0].1, "--topic", &self.topic()]);
        command.arg("--sets").arg(self.file("sets.parquet"));
        command.arg("--parked").arg(self.file("parked.jsonl"));
        command.arg("--plot").arg(self.file("weekly.png")).arg("--summary");
        command.current_dir(self.folder.path()).env("MPLCONFIGDIR", self.folder.path());
        let running = tokio::task::spawn_blocking(move || command.output());
        running.await.expect("no panic").expect("a Python")
    }

    /// The same, of which all goes well.
    async fn summary(&self) -> Value {
        let output = self.consume().await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a summary")
    }
}

/// Sets and volume of everything in the history of an athlete, at a position or later.
async fn history(athlete: &Client, position: &str) -> (u64, Decimal) {
    let (mut sets, mut volume, mut query) = (0, Decimal::ZERO, "limit=100".to_owned());
    loop {
        let page = athlete.history(&query, position).await;
        for workout in page.list() {
            let totals = &workout["totals"];
            sets += totals["sets"].as_u64().expect("a count");
            volume += totals["volume_kg"].to_string().parse::<Decimal>().expect("a weight");
        }
        let Some(cursor) = page.meta()["next_cursor"].as_str() else { return (sets, volume) };
        query = format!("limit=100&cursor={cursor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_comes_to_the_figures_of_history() {
    let app = App::start(Path::new(env!("CARGO_BIN_EXE_ironledger"))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let world = World { app, kafka: Kafka::fresh(), folder };
    let (mut first, second) = (world.publisher(), world.publisher());

    // One who logs, corrects, removes and discards, with words that are nobody else's business.
    let athlete = world.app.pro_athlete().await;
    let exercise = json!({
        "name": "Secret press", "equipment": "machine", "primary_muscles": ["chest", "triceps"],
        "kind": "weight_reps",
    });
    let exercise = athlete.post("/v1/exercises", exercise).await.expect(201);
    let custom = exercise.data()["id"].clone();
    let workout = athlete.start_workout(json!({ "title": "Secret session" })).await;
    let mut set = bench(10, 50);
    set["exercise"] = custom;
    set["notes"] = json!("secret pain");
    athlete.log_set(&workout, set).await.expect(201);
    let corrected = athlete.log_bench(&workout, 5, 100).await;
    let removed = athlete.log_bench(&workout, 4, 100).await;
    let mut warm_up = bench(9, 20);
    warm_up["kind"] = json!("warm_up");
    athlete.log_set(&workout, warm_up).await.expect(201);
    athlete.patch(&corrected, json!({ "reps": 6 })).await.expect(200);
    athlete.delete(&removed).await.expect(200);
    athlete.complete(&workout, json!({})).await.expect(200);
    let discarded = athlete.start_workout(json!({})).await;
    athlete.log_bench(&discarded, 5, 500).await;
    let last = athlete.delete(&discarded).await.expect(200);
    let own = history(&athlete, last.position()).await;
    assert_eq!(own, (2, Decimal::from(10 * 50 + 6 * 100)));

    // The leader dies, and the other goes on with three years of somebody else's.
    world.has_caught_up().await;
    let mut second = Some(second);
    if !first.output().contains("\"publishes\"") {
        first = second.replace(first).expect("the other");
    }
    first.kill();
    let importer = world.app.athlete().await;
    let email = importer.email.as_deref().expect("an address");
    let sample = format!("{ROOT}/docs/examples/sample-hevy.csv");
    let whose = ["--athlete", email, "--time-zone", "Europe/Paris"];
    let arguments = [&["import", "--format", "hevy", &sample], &whose[..]].concat();
    let (status, said) = world.app.run(&arguments).await;
    assert!(status.success(), "{said}");
    eventually("another leader", async || {
        second.as_ref()?.output().contains("\"publishes\"").then_some(())
    })
    .await;
    world.has_caught_up().await;

    let workout = importer.start_workout(json!({})).await;
    importer.log_set(&workout, bench(1, 1)).await.expect(201);
    let done = importer.complete(&workout, json!({})).await.expect(200);
    let imported = history(&importer, done.position()).await;
    world.has_caught_up().await;
    world.kafka.try_write(&world.topic(), Partition(3), 2).expect("foreign records");
    let summary = world.summary().await;
    let (sets, tonnage) = (own.0 + imported.0, own.1 + imported.1);
    assert!(sets > 1_000, "{sets} sets");
    assert_eq!(summary["sets"], sets, "{summary}");
    let found = summary["tonnage_kg"].as_str().expect("a sum").parse::<Decimal>();
    assert_eq!(found.expect("a number").normalize(), tonnage.normalize());
    assert_eq!((&summary["athletes"], &summary["parked"]), (&json!(2), &json!(2)));
    let parked = std::fs::read_to_string(world.file("parked.jsonl")).expect("a file");
    assert_eq!(parked.lines().count(), 2);
    assert!(parked.lines().all(|line| line.contains("no header ce_source")), "{parked}");
    let png = std::fs::read(world.file("weekly.png")).expect("a picture");
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() > 10_000, "{} bytes", png.len());
    let parquet = std::fs::read(world.file("sets.parquet")).expect("a file");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));

    // Nothing on the topics tells whose they are.
    let mut last = None;
    for family in Family::ALL {
        let topic = world.kafka.public_topic(family);
        for (partition, mut records) in world.kafka.records_of(&topic).await {
            records.retain(is_ours);
            prove_chain(&records).unwrap_or_else(|hole| panic!("{topic} {partition}: {hole}"));
            for piece in records.iter().flat_map(pieces) {
                let text = String::from_utf8_lossy(&piece);
                let found = ["ecret", "@", "sealed"].iter().find(|secret| text.contains(**secret));
                assert_eq!(found, None, "{topic} {partition}: {text}");
            }
            if family == Family::Training {
                last = records.pop().or(last);
            }
        }
    }

    // What is said twice changes nothing; what is missing is told.
    let last = last.expect("a record");
    world.kafka.forge(&last, &[]);
    let again = world.summary().await;
    assert_eq!((&again["sets"], &again["tonnage_kg"]), (&summary["sets"], &summary["tonnage_kg"]));
    assert_eq!(again["repetitions"].as_u64(), summary["repetitions"].as_u64().map(|it| it + 1));
    world.kafka.forge(&last, &[("ce_position", "900002"), ("ce_previousposition", "900001")]);
    let missing = world.consume().await;
    let said = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(3), "{said}");
    assert!(said.contains("position 900002 follows on 900001"), "{said}");
    assert_eq!(world.app.errors(), Vec::<String>::new());
}
