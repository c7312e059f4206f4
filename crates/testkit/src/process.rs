//! The product's processes, run by tests as an operator runs them.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::LazyLock,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{Client, Database, MASTER_KEY};

/// Base64 of 32 bytes: what signs the access tokens of test processes.
pub const TOKEN_KEY: &str = "dGVzdCB0b2tlbiBrZXkgdGVzdCB0b2tlbiBrZXkgISE=";

/// What test clients say so that no limits hold for them.
pub const BYPASS_KEY: &str = "test bypass key, of which nobody knows";

/// What processes of a test are told of secrets.
pub const SECRETS: [(&str, &str); 3] = [
    ("IRONLEDGER_MASTER_KEY", MASTER_KEY),
    ("IRONLEDGER_TOKEN_KEY", TOKEN_KEY),
    ("IRONLEDGER_BYPASS_KEY", BYPASS_KEY),
];

/// Whatever takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until there is what a condition looks for; panics after a minute.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain waited for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A running process; what it says goes to a file. It is killed with this value.
pub struct Process {
    child: Child,
    output: PathBuf,
    _folder: TempDir,
}

impl Process {
    /// Starts a program with nothing of the product's in its environment but what is given.
    pub fn start(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the output");
        let output = folder.path().join("output");
        let file = File::create(&output).expect("a file for the output");
        let same = file.try_clone().expect("the same file for errors");
        let mut command = Command::new(binary);
        let ours = ["DATABASE_URL", "IRONLEDGER_LISTEN", "IRONLEDGER_LOG", "KAFKA_BROKERS"];
        for name in ours.into_iter().chain(["REDIS_URL"]) {
            command.env_remove(name);
        }
        command.args(arguments).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(file).stderr(same);
        let child = command.spawn().expect("the program starts");
        Self { child, output, _folder: folder }
    }

    /// Everything it has said up to now.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).expect("the output of a process")
    }

    /// Waits until it says where it listens, and answers the address.
    pub async fn listening(&mut self) -> String {
        eventually("a process that listens", async || {
            let output = self.output();
            let ended = self.child.try_wait().expect("a child to ask for");
            assert!(ended.is_none(), "the process ended, having said:\n{output}");
            let (_, rest) = output.split_once("listening on ")?;
            rest.split_once('\n').map(|(address, _)| address.to_owned())
        })
        .await
    }

    /// What Prometheus would read of it: each sample's name with its labels, and its value.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let url = eventually("a process that serves metrics", async || {
            let output = self.output();
            let (_, rest) = output.split_once("metrics on ")?;
            rest.split_once('\n').map(|(url, _)| url.to_owned())
        })
        .await;
        let shown = crate::http().build().expect("a client").get(&url).send().await;
        let text = shown.expect("metrics").text().await.expect("a text");
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        samples.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child to ask for")
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child to kill");
        self.child.wait().expect("a child that ended");
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Stops it where it is, as a machine does that has no time for it.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        // By the shell, since the standard library sends no signal but the last.
        let kill = format!("kill -{name} {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status().expect("a shell");
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the end of a process", async || {
            self.child.try_wait().expect("a child to ask for")
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The product on a database of its own: an `api` process and, unless left out, a projector of all
/// models and an emitter.
pub struct App {
    binary: PathBuf,
    url: String,
    /// The process that answers.
    pub api: Process,
    /// The process that builds history.
    pub projector: Option<Process>,
    /// The process that announces records.
    pub emitter: Option<Process>,
    /// What `api` processes have in their environment besides.
    environment: Vec<(String, String)>,
    /// Dropped last, when nobody uses it any more.
    pub database: Database,
}

impl App {
    /// Everything that is needed to log and to read history.
    pub async fn start(binary: &Path) -> Self {
        Self::start_with(binary, &[]).await
    }

    /// The same with more in the environment of `api` processes.
    pub async fn start_with(binary: &Path, environment: &[(&str, &str)]) -> Self {
        let mut app = Self::api_alone(binary, environment).await;
        app.start_projector();
        app.start_emitter();
        let client = app.client();
        eventually("a product that is ready", async || {
            (client.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        app
    }

    /// The `api` process alone: commands work, queries have no read model.
    pub async fn without_projector(binary: &Path) -> Self {
        Self::without_projector_with(binary, &[]).await
    }

    /// The same with more in the environment of processes.
    pub async fn without_projector_with(binary: &Path, environment: &[(&str, &str)]) -> Self {
        Self::api_alone(binary, environment).await
    }

    async fn api_alone(binary: &Path, environment: &[(&str, &str)]) -> Self {
        let database = Database::fresh().await;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<(String, String)> = environment.iter().map(own).collect();
        let (api, url) = start_api(binary, &database, &environment).await;
        let binary = binary.to_owned();
        Self { binary, url, api, projector: None, emitter: None, environment, database }
    }

    /// Starts one more `api` process on the same database, and answers its address too.
    pub async fn another_api(&self) -> (Process, String) {
        self.another_api_with(&[]).await
    }

    /// The same with more in its environment.
    pub async fn another_api_with(&self, environment: &[(&str, &str)]) -> (Process, String) {
        let more =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment: Vec<(String, String)> =
            self.environment.iter().cloned().chain(more).collect();
        start_api(&self.binary, &self.database, &environment).await
    }

    /// Starts a projector of all models, in place of the one that runs.
    pub fn start_projector(&mut self) {
        self.projector = None;
        let (url, environment) = (self.database.projector_url(), self.environment.clone());
        let environment = on_redis(&self.database, &environment);
        let projector = start_with(&self.binary, &["projector", "--all"], &url, &environment);
        self.projector = Some(projector);
    }

    /// Starts an emitter, in place of the one that runs.
    pub fn start_emitter(&mut self) {
        self.emitter = None;
        self.emitter = Some(start(&self.binary, &["emitter"], &self.database.emitter_url()));
    }

    /// Starts a scheduler, which ends with the value.
    pub fn start_scheduler(&self, arguments: &[&str]) -> Process {
        let arguments = [&["scheduler"], arguments].concat();
        start(&self.binary, &arguments, &self.database.emitter_url())
    }

    /// Runs a command as the `api` user, and answers how it ended and what it said.
    pub async fn run(&self, arguments: &[&str]) -> (ExitStatus, String) {
        self.run_as(&self.database.api_url(), arguments).await
    }

    /// The same as the user of an address.
    pub async fn run_as(&self, url: &str, arguments: &[&str]) -> (ExitStatus, String) {
        let mut process = start(&self.binary, arguments, url);
        let status = process.ended().await;
        (status, process.output())
    }

    /// The address of the process that answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client that has not signed in.
    pub fn client(&self) -> Client {
        Client::anonymous(&self.url)
    }

    /// A client that has just registered, as an athlete in Paris.
    pub async fn athlete(&self) -> Client {
        self.client().register(&crate::email(), "Europe/Paris").await
    }

    /// The same athlete with a role or tier, signed in again: `grant(&athlete, &["--tier", "pro"])`.
    pub async fn grant(&self, athlete: &Client, what: &[&str]) -> Client {
        let email = athlete.email.as_deref().expect("an athlete who has registered");
        let arguments = [&["admin", "grant", "--email", email], what].concat();
        let (status, said) = self.run(&arguments).await;
        assert!(status.success(), "{said}");
        athlete.signed_in_again().await
    }

    /// An athlete in Paris who has paid.
    pub async fn pro_athlete(&self) -> Client {
        self.grant(&self.athlete().await, &["--tier", "pro"]).await
    }

    /// What the processes logged as errors: nothing, unless something is broken.
    pub fn errors(&self) -> Vec<String> {
        let outputs = [Some(&self.api), self.projector.as_ref(), self.emitter.as_ref()];
        let outputs = outputs.into_iter().flatten();
        let lines = outputs
            .flat_map(|process| process.output().lines().map(str::to_owned).collect::<Vec<_>>());
        lines.filter(|line| line.contains("\"ERROR\"") || line.contains("panicked")).collect()
    }
}

async fn start_api(
    binary: &Path,
    database: &Database,
    environment: &[(String, String)],
) -> (Process, String) {
    let (url, environment) = (database.api_url(), on_redis(database, environment));
    let mut api = start_with(binary, &["api", "--listen", "127.0.0.1:0"], &url, &environment);
    let url = api.listening().await;
    (api, url)
}

/// The tests' Redis beside what is given. Keys are each database's own, unless a test says otherwise.
fn on_redis<'a>(
    database: &'a Database,
    environment: &'a [(String, String)],
) -> Vec<(&'a str, &'a str)> {
    static REDIS: LazyLock<String> =
        LazyLock::new(|| std::env::var("REDIS_URL").unwrap_or_default());
    let ours = [("REDIS_URL", REDIS.as_str()), ("REDIS_PREFIX", database.name())];
    let given = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ours.into_iter().chain(given).collect()
}

fn start(binary: &Path, arguments: &[&str], url: &str) -> Process {
    start_with(binary, arguments, url, &[])
}

fn start_with(
    binary: &Path,
    arguments: &[&str],
    url: &str,
    environment: &[(&str, &str)],
) -> Process {
    let database = [("DATABASE_URL", url)];
    Process::start(binary, arguments, &[&database, &SECRETS[..], environment].concat())
}
