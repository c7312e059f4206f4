//! Does `ironledger up` start, stop, recover, and keep what it acknowledged?
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use reqwest::Method;
use serde_json::{Value, json};
use servers::Account;
use tempfile::TempDir;
use testkit::{
    api::{Client, PASSWORD, bench, email, new_id},
    process::{Process, eventually},
};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Athletes who log at the same time.
const CLIENTS: usize = 8;

/// How often the process is killed under load.
const ROUNDS: usize = 3;

/// A data folder. Whatever becomes of the test, no Postgres of it is left running.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        // Root's Postgres is another user's, who must come in.
        let open = fs::Permissions::from_mode(0o755);
        Self(tempfile::Builder::new().permissions(open).tempdir().expect("a folder"))
    }

    fn path(&self) -> &str {
        self.0.path().to_str().expect("a plain path")
    }

    fn lock_file(&self) -> PathBuf {
        self.0.path().join("postgres/postmaster.pid")
    }

    /// The process id of the folder's Postgres, if it left its lock file.
    fn postmaster(&self) -> Option<u32> {
        let text = fs::read_to_string(self.lock_file()).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    fn up(&self) -> Process {
        self.up_at("127.0.0.1:0")
    }

    fn up_at(&self, listen: &str) -> Process {
        self.command(&["up", "--listen", listen])
    }

    /// A command on this folder.
    fn command(&self, arguments: &[&str]) -> Process {
        let arguments = [arguments, &["--data", self.path()]].concat();
        Process::start(
            Path::new(env!("CARGO_BIN_EXE_ironledger")),
            &arguments,
            &[("IRONLEDGER_BYPASS_KEY", testkit::BYPASS_KEY)],
        )
    }

    /// Stops it as an operator does, and sees that its Postgres is gone too.
    async fn stop(&self, mut up: Process) {
        let postmaster = self.postmaster().expect("a running Postgres");
        let status = up.stop().await;
        assert!(status.success(), "{status}:\n{}", up.output());
        assert!(!self.lock_file().exists());
        // It takes its lock file away a moment before it ends.
        let folder = self.0.path();
        eventually("the end of Postgres", async || (!is_of(postmaster, folder)).then_some(()))
            .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(postmaster) = self.postmaster().filter(|process| is_of(*process, self.0.path()))
        {
            signal(postmaster, "QUIT");
        }
    }
}

/// Whether a process works in the Postgres folder below this one.
fn is_of(process: u32, folder: &Path) -> bool {
    let works_in = fs::read_link(format!("/proc/{process}/cwd"));
    works_in.is_ok_and(|works_in| works_in == folder.join("postgres"))
}

fn signal(process: u32, name: &str) {
    let kill = format!("kill -{name} {process}");
    Command::new("sh").args(["-c", &kill]).status().expect("a shell");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_stops_and_keeps_everything() {
    let place = Place::new();
    let mut up = place.up();
    let url = up.listening().await;
    let client = Client::anonymous(&url);
    client.get("/livez").await.expect(200);
    client.get("/readyz").await.expect(200);
    let secrets = fs::metadata(place.0.path().join("secrets.json")).expect("the secrets");
    assert_eq!(secrets.permissions().mode() & 0o777, 0o600);

    let athlete = client.register(&email(), "Europe/Paris").await;
    let workout = athlete.start_workout(json!({ "title": "Push" })).await;
    let set = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    athlete.history("", set.position()).await;

    let mut second = place.up();
    assert!(!second.ended().await.success());
    let said = second.output();
    assert!(said.contains("another `ironledger up`") && said.contains(place.path()), "{said}");
    client.get("/readyz").await.expect(200);

    place.stop(up).await;

    let mut again = place.up();
    let client = Client::anonymous(&again.listening().await);
    let login = json!({ "email": athlete.email, "password": PASSWORD });
    let login = client.post("/v1/auth/login", login).await.expect(200);
    let athlete = client.with_token(login.data()["access_token"].as_str().expect("a token"));
    let history = athlete.history("", set.position()).await;
    assert_eq!(history.each("title"), ["Push"]);
    assert_eq!(history.list()[0]["sets"][0]["reps"], 5);
    place.stop(again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_commands_find_it_by_its_folder() {
    let place = Place::new();
    let mut doctor = place.command(&["doctor"]);
    assert!(!doctor.ended().await.success());
    assert!(doctor.output().contains("no `ironledger up` runs on"), "{}", doctor.output());

    let mut up = place.up();
    let client = Client::anonymous(&up.listening().await);
    let athlete = client.register(&email(), "Europe/Paris").await;
    let mut doctor = place.command(&["doctor"]);
    assert!(doctor.ended().await.success(), "{}", doctor.output());

    let address = athlete.email.as_deref().expect("an address");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/sample-hevy.csv");
    let whose = ["--athlete", address, "--time-zone", "Europe/Paris"];
    let import = [&["import", "--format", "hevy", sample], &whose[..]].concat();
    let mut import = place.command(&import);
    assert!(import.ended().await.success(), "{}", import.output());
    assert!(import.output().contains(" 0 not taken"), "{}", import.output());

    let grant = ["admin", "grant", "--email", address, "--role", "coach"];
    let mut grant = place.command(&grant);
    assert!(grant.ended().await.success(), "{}", grant.output());
    let login = json!({ "email": address, "password": PASSWORD });
    let login = client.post("/v1/auth/login", login).await.expect(200);
    assert_eq!(login.data()["role"], "coach");
    place.stop(up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_before_anything_starts() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut up = place.up_at(&address);
    assert!(!up.ended().await.success());
    let said = up.output();
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert_eq!(place.postmaster(), None);
}

/// After a power cut a lock file is left over, and its number may be another process's by now.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_lock_file_hurts_nobody() {
    let place = Place::new();
    let mut up = place.up();
    up.listening().await;
    let lock_file = fs::read_to_string(place.lock_file()).expect("a lock file");
    place.stop(up).await;

    // Of the same user, as a Postgres of the system would be.
    let account = Account::unprivileged().expect("an account");
    let mut bystander = account.command("sleep").arg("600").spawn().expect("another process");
    let (_, rest) = lock_file.split_once('\n').expect("lines");
    fs::write(place.lock_file(), format!("{}\n{rest}", bystander.id())).expect("a lock file");
    account.own(&place.lock_file()).expect("its owner");

    let mut up = place.up();
    let client = Client::anonymous(&up.listening().await);
    client.get("/readyz").await.expect(200);
    assert!(bystander.try_wait().expect("a child to ask for").is_none(), "it was stopped");
    bystander.kill().expect("a child to kill");
    bystander.wait().expect("a child that ended");
    place.stop(up).await;
}

/// A set that was sent.
struct Sent {
    id: Uuid,
    /// The path of its workout.
    workout: String,
    reps: u32,
    acknowledged: bool,
}

/// An athlete who logs, and remembers what was answered.
struct Logger {
    athlete: Client,
    sent: Vec<Sent>,
}

impl Logger {
    /// Logs set after set until no answer comes.
    async fn log(mut self, workout: String, acknowledged: Arc<AtomicUsize>) -> Self {
        // A workout takes 500 sets.
        for reps in 1..=500 {
            let id = new_id();
            let mut set = Sent { id, workout: workout.clone(), reps, acknowledged: false };
            set.acknowledged = send(&self.athlete, &set).await;
            let answered = set.acknowledged;
            self.sent.push(set);
            if !answered {
                break;
            }
            acknowledged.fetch_add(1, Relaxed);
        }
        self
    }

    /// How often every set is in history.
    async fn in_history(&self) -> HashMap<Uuid, usize> {
        let mut counts = HashMap::new();
        // Logged one workout after the other.
        for sent in self.sent.chunk_by(|one, other| one.workout == other.workout) {
            let path = &sent[0].workout;
            let workout = self.athlete.get(path).await.expect(200);
            let history = self.athlete.history("limit=100", workout.position()).await;
            let shown = history.list().iter().find(|shown| shown["id"] == workout.data()["id"]);
            let shown = shown.unwrap_or_else(|| panic!("{path} is not in history"));
            assert_eq!(shown["sets"], workout.data()["sets"], "log and history differ");
            for set in shown["sets"].as_array().into_iter().flatten() {
                *counts.entry(id_of(set)).or_default() += 1;
            }
        }
        counts
    }
}

fn id_of(set: &Value) -> Uuid {
    set["id"].as_str().and_then(|id| id.parse().ok()).expect("a set's id")
}

/// Whether the set was acknowledged.
async fn send(athlete: &Client, set: &Sent) -> bool {
    let mut body = bench(set.reps, 100);
    body["id"] = json!(set.id);
    let request = athlete.request(Method::POST, &format!("{}/sets", set.workout));
    match request.json(&body).send().await {
        Err(_) => false,
        Ok(response) => {
            let status = response.status().as_u16();
            // The process may die between the head of its answer and the rest.
            let whole = response.text().await;
            assert!(status == 201 || status == 503, "{status}: {whole:?}");
            status == 201
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9() {
    let place = Place::new();
    let mut up = place.up();
    let mut client = Client::anonymous(&up.listening().await);
    let mut loggers = Vec::new();
    for _ in 0..CLIENTS {
        let athlete = client.register(&email(), "Europe/Paris").await;
        loggers.push(Logger { athlete, sent: Vec::new() });
    }

    for round in 0..ROUNDS {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let [some, more] = log::Random::system().bytes();
        let enough = 16 + usize::from(some) + usize::from(more);
        let mut logging = JoinSet::new();
        for logger in loggers {
            let workout = logger.athlete.start_workout(json!({})).await;
            logging.spawn(logger.log(workout, acknowledged.clone()));
        }
        eventually("sets to lose", async || (acknowledged.load(Relaxed) >= enough).then_some(()))
            .await;
        let postmaster = place.postmaster().expect("a running Postgres");
        up.kill();
        // In the last round Postgres dies as well, as when the machine does.
        if round + 1 == ROUNDS {
            signal(postmaster, "KILL");
        }
        loggers = logging.join_all().await;

        up = place.up();
        client = Client::anonymous(&up.listening().await);
        for logger in &mut loggers {
            logger.athlete = client.with_token(logger.athlete.token.as_ref().expect("a token"));
        }
    }

    let (mut acknowledged, mut unanswered, mut there) = (0, 0, 0);
    for logger in &loggers {
        let counts = logger.in_history().await;
        for set in &logger.sent {
            let count = counts.get(&set.id).copied().unwrap_or_default();
            if set.acknowledged {
                acknowledged += 1;
                assert_eq!(count, 1, "the acknowledged set {}", set.id);
            } else {
                unanswered += 1;
                there += count;
                assert!(count <= 1, "the unanswered set {} is there {count} times", set.id);
            }
        }
        let known = |id: &Uuid| logger.sent.iter().any(|set| set.id == *id);
        assert!(counts.keys().all(known), "a set of nobody");

        for set in logger.sent.iter().filter(|set| !set.acknowledged) {
            assert!(send(&logger.athlete, set).await, "the repeated set {}", set.id);
        }
        let counts = logger.in_history().await;
        assert_eq!(counts.len(), logger.sent.len());
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    }
    println!("kill -9: acknowledged={acknowledged} unanswered={unanswered} there={there}");
    place.stop(up).await;
}
