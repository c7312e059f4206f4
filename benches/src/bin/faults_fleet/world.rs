//! What is there to disturb: two servers of our own, and the processes of the product on them.
//!
//! Each part is behind a lock, which a fault holds from breaking it until it is whole again.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use servers::{Postgres, Settings};
use sqlx::{PgPool, postgres::PgPoolOptions};
use testkit::{Process, SECRETS};
use tokio::{
    sync::{Mutex as Part, OwnedMutexGuard},
    task::spawn_blocking,
};

/// How long a server may take to be gone, or a process to listen.
const PATIENCE: Duration = Duration::from_secs(60);

const RELAYS: usize = 2;
const PROJECTORS: usize = 2;

/// Everything that runs.
pub(crate) struct World {
    pub(crate) api: Arc<Part<Member>>,
    pub(crate) relays: Vec<Arc<Part<Member>>>,
    pub(crate) projectors: Vec<Arc<Part<Member>>>,
    pub(crate) broker: Arc<Part<Broker>>,
    pub(crate) postgres: Arc<Part<Cluster>>,
    /// Where `api` answers; another port after each start.
    pub(crate) url: RwLock<String>,
    /// How many partitions the log has.
    pub(crate) partitions: i16,
    /// As the owner of everything.
    pub(crate) pool: PgPool,
    /// The topic.
    pub(crate) kafka: testkit::Kafka,
    /// What should not have happened.
    wrong: Mutex<Vec<String>>,
    began: Instant,
    // Dropped last, and in this order.
    _database: testkit::Database,
    folder: Arc<Folder>,
}

/// A process of the product, which may live several times.
pub(crate) struct Member {
    pub(crate) name: String,
    binary: PathBuf,
    arguments: &'static [&'static str],
    environment: Vec<(String, String)>,
    process: Process,
    /// What it said in its former lives.
    said: String,
}

/// Our Kafka.
pub(crate) struct Broker {
    folder: Arc<Folder>,
    server: servers::Kafka,
}

/// Our Postgres.
pub(crate) struct Cluster {
    folder: Arc<Folder>,
    server: Postgres,
}

/// A folder with the servers' data. What runs in it ends with this value, and so whoever may start
/// something there holds it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(kafka) = servers::Kafka::find(&self.0) {
            kafka.signal("KILL").ok();
        }
        if let Some(postgres) = Postgres::find(&self.0) {
            postgres.stop().ok();
        }
        fs::remove_dir_all(&self.0).ok();
    }
}

impl World {
    /// Starts everything. It ends with the value.
    pub(crate) async fn start() -> Result<Arc<Self>> {
        let built = std::env::current_exe()?.with_file_name("ironledger");
        ensure!(built.exists(), "{} is not built: cargo build -p ironledger", built.display());
        let path = std::env::temp_dir().join(format!("ironledger-fleet-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let folder = Arc::new(Folder(path.canonicalize()?));
        // Its own copy: what is started anew in an hour must be what was started now.
        let binary = folder.0.join("ironledger");
        fs::copy(&built, &binary)?;

        let place = folder.clone();
        let starting = spawn_blocking(move || -> Result<_> {
            let postgres = Postgres::start(&place.0, Settings::Durable)?;
            // What a killed broker has answered, the system's cache has: only its speed differs.
            Ok((postgres, servers::Kafka::start(&place.0, Settings::Fleeting)?))
        });
        let (postgres, kafka) = starting.await??;
        let database = testkit::Database::on(&postgres.url("postgres", "postgres")).await;
        let topic = testkit::Kafka::on(&kafka.brokers());
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy(&database.owner_url())?;
        let partitions: i64 =
            sqlx::query_scalar("select count(*) from log.partitions").fetch_one(&pool).await?;

        let secrets = SECRETS;
        let [brokers, prefix] = topic.environment();
        let fleet_is = [brokers, prefix, secrets[0]];
        let start = |name: String, arguments, url: &str, more: &[(&str, &str)]| {
            let all = [&[("DATABASE_URL", url)], more].concat();
            let process = Process::start(&binary, arguments, &all);
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            let environment = all.into_iter().map(owned).collect();
            let (binary, said) = (binary.clone(), String::new());
            Member { name, binary, arguments, environment, process, said }
        };
        let api: &'static [&'static str] = &["api", "--listen", "127.0.0.1:0"];
        let api = start("api".to_owned(), api, &database.api_url(), &secrets);
        let url = api.listening().await?;
        let several = |what: &str, count, arguments: &'static [&'static str], url: String| {
            (1..=count)
                .map(|number| start(format!("{what} {number}"), arguments, &url, &fleet_is))
                .map(|member| Arc::new(Part::new(member)))
                .collect::<Vec<_>>()
        };
        let relays = several("relay", RELAYS, &["relay"], database.relay_url());
        let history = &["projector", "--all"];
        let projectors = several("projector", PROJECTORS, history, database.projector_url());
        Ok(Arc::new(Self {
            api: Arc::new(Part::new(api)),
            relays,
            projectors,
            broker: Arc::new(Part::new(Broker { folder: folder.clone(), server: kafka })),
            postgres: Arc::new(Part::new(Cluster { folder: folder.clone(), server: postgres })),
            url: RwLock::new(url),
            partitions: partitions.try_into()?,
            pool,
            kafka: topic,
            wrong: Mutex::default(),
            began: Instant::now(),
            _database: database,
            folder,
        }))
    }

    /// Tells what happens, and when.
    #[expect(clippy::print_stderr, reason = "printing is what it does")]
    pub(crate) fn tell(&self, what: &str) {
        eprintln!("{:8.2} s  {what}", self.began.elapsed().as_secs_f64());
    }

    /// Notes what should not have happened.
    pub(crate) fn wrong(&self, what: String) {
        self.tell(&format!("WRONG: {what}"));
        self.noted().push(what);
    }

    /// All that should not have happened, once it is over.
    pub(crate) fn noted(&self) -> MutexGuard<'_, Vec<String>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where `api` answers now.
    pub(crate) fn address(&self) -> String {
        self.url.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts `api` anew.
    pub(crate) async fn start_api(&self, api: &mut Member) -> Result<()> {
        api.start();
        let url = api.listening().await?;
        *self.url.write().unwrap_or_else(PoisonError::into_inner) = url;
        Ok(())
    }

    /// Finds who died though nobody killed it, and starts it anew.
    pub(crate) async fn check(&self) -> Result<()> {
        for member in self.relays.iter().chain(&self.projectors).chain([&self.api]) {
            // Who is held is being disturbed.
            let Ok(mut member) = member.try_lock() else { continue };
            if let Some(status) = member.process.has_ended() {
                let said = member.process.output();
                let last: Vec<&str> = said.lines().rev().take(5).collect();
                self.wrong(format!("{} died on its own, {status}: {last:?}", member.name));
                if member.name == "api" {
                    self.start_api(&mut member).await?;
                } else {
                    member.start();
                }
            }
        }
        Ok(())
    }

    /// What every process has said in all its lives, by name; none may have panicked.
    pub(crate) async fn outputs(&self) -> Vec<(String, String)> {
        let mut outputs = Vec::new();
        for member in self.relays.iter().chain(&self.projectors).chain([&self.api]) {
            let member = member.lock().await;
            let said = format!("{}{}", member.said, member.process.output());
            for line in said.lines().filter(|line| line.contains("panicked")) {
                self.wrong(format!("{}: {line}", member.name));
            }
            outputs.push((member.name.clone(), said));
        }
        for (name, log) in [
            ("postgres", self.folder.0.join("postgres/server.log")),
            ("kafka", servers::Kafka::log(&self.folder.0)),
        ] {
            let log = fs::read(log).unwrap_or_default();
            outputs.push((name.to_owned(), String::from_utf8_lossy(&log).into_owned()));
        }
        outputs
    }
}

impl Member {
    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it where it is.
    pub(crate) fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.process.thaw();
    }

    /// Starts it anew.
    pub(crate) fn start(&mut self) {
        self.said += &self.process.output();
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.process = Process::start(&self.binary, self.arguments, &environment);
    }

    /// Waits until it says where it listens.
    async fn listening(&self) -> Result<String> {
        let began = Instant::now();
        loop {
            let said = self.process.output();
            let address =
                said.split_once("listening on ").and_then(|(_, rest)| rest.lines().next());
            if let Some(address) = address.filter(|_| said.ends_with('\n')) {
                return Ok(address.to_owned());
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "{} does not listen, having said: {said}",
                self.name
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Broker {
    /// Sends the broker a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        self.server.signal(name)
    }

    /// Ends it at once, and throws away everything that it has.
    pub(crate) fn wipe(&self) -> Result<()> {
        self.server.wipe()
    }

    /// Starts it; what was left of it is stopped first.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.server = servers::Kafka::start(&self.folder.0, Settings::Fleeting)?;
        Ok(())
    }
}

impl Cluster {
    /// Sends the main process a signal by which it ends, and waits until it has.
    pub(crate) fn end(&self, signal_name: &str) -> Result<()> {
        self.server.end(signal_name)
    }

    /// Starts it.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.server = Postgres::start_again(&self.folder.0, Settings::Durable)?;
        Ok(())
    }
}

/// Runs what blocks on a part that is held, and gives the part back.
pub(crate) async fn blocking<T: Send + 'static>(
    mut part: OwnedMutexGuard<T>,
    work: impl FnOnce(&mut T) -> Result<()> + Send + 'static,
) -> Result<OwnedMutexGuard<T>> {
    spawn_blocking(move || {
        work(&mut part)?;
        Ok(part)
    })
    .await?
}

/// By the shell, since the standard library sends no signal but the last.
pub(crate) fn signal(process: u32, name: &str) -> Result<()> {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status()?;
    ensure!(sent.success(), "{name} could not be sent to {process}");
    Ok(())
}
