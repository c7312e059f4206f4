//! Does a replay come to a good end whatever happens to it?
//!
//! History is replayed again and again beside athletes who log sets, while the replay is killed,
//! frozen and started twice, projectors are killed, Postgres is killed (once for long) and the disk
//! that the new rows lie on is full. At the end, every acknowledged set must be in history, and
//! what went through all of it must equal what is built in peace.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use benches::Server;
use clap::Parser;
use projections::MODELS;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::json;
use servers::Account;
use sqlx::{PgPool, postgres::PgPoolOptions};
use testkit::{Client, Database, MASTER_KEY, Process, TOKEN_KEY, bench, eventually, years::Years};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use uuid::Uuid;

#[derive(Parser)]
struct Arguments {
    /// Events in the log at first.
    #[arg(long, default_value_t = 300_000)]
    events: u64,
    /// How long replays are disturbed.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Decides which faults happen when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The replay is killed.
    Kill,
    /// The replay stands still for a while.
    Freeze,
    /// A second replay is started, and must be refused.
    Second,
    /// The projector is killed in the midst of it, and started again.
    Projector,
    /// Postgres is killed, and back after some seconds.
    Crash,
    /// Postgres is stopped, and back after a minute.
    Outage,
    /// The disk of the new rows is full.
    FullDisk,
    /// None; afterwards, the earlier model is put back.
    RollBack,
}

const EVERY: [Fault; 8] = [
    Fault::Kill,
    Fault::Freeze,
    Fault::Second,
    Fault::Projector,
    Fault::Crash,
    Fault::FullDisk,
    Fault::RollBack,
    Fault::Outage,
];

/// A replay and its rest take at most so long, outages included.
const LIMIT: Duration = Duration::from_secs(120);

const REPLAY: [&str; 4] = ["replay", "history", "--throttle", "60000"];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    // Dropped last: the server has files on it.
    let disk = Disk::new()?;
    let server = Server::start().await?;
    let database = Database::on(&server.url()?).await;
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(5))
        .connect(&database.owner_url())
        .await?;
    disk.use_for_models(&pool).await?;
    Years::new(arguments.seed, 50, 16).fill(&pool, arguments.events).await;
    let world = World { binary, database, pool, server, disk };
    world.expect_good(&["replay", "--all"]).await?;
    let good = world.run(&arguments).await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct World {
    binary: PathBuf,
    database: Database,
    pool: PgPool,
    server: Server,
    disk: Disk,
}

impl World {
    async fn run(&self, arguments: &Arguments) -> Result<bool> {
        let mut projector = self.start(&["projector", "--all"]);
        let mut api = self.start_as(&self.database.api_url(), &["api", "--listen", "127.0.0.1:0"]);
        let client = Client::anonymous(&api.listening().await);
        eventually("a product that is ready", async || {
            (client.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut training = JoinSet::new();
        for _ in 0..4 {
            let athlete = client.register(&testkit::email(), "Europe/Paris").await;
            training.spawn(train(athlete, stop.clone()));
        }

        let mut rng = StdRng::seed_from_u64(arguments.seed);
        let until = Instant::now() + Duration::from_secs(arguments.seconds);
        let (mut faults, mut deck) = (BTreeMap::<Fault, u64>::new(), Vec::new());
        let mut swaps = 0;
        let began = Instant::now();
        while Instant::now() < until || faults.len() < EVERY.len() {
            if deck.is_empty() {
                deck = EVERY.to_vec();
                deck.shuffle(&mut rng);
            }
            let Some(fault) = deck.pop() else { continue };
            if fault == Fault::Outage && faults.contains_key(&fault) {
                continue;
            }
            let delay = Duration::from_millis(rng.random_range(50..6_000));
            let swapped = self.disturb(fault, delay, &mut projector).await?;
            swaps += u64::from(swapped);
            *faults.entry(fault).or_default() += 1;
            eprintln!("{:7.1} s  {fault:?}, swapped: {swapped}", began.elapsed().as_secs_f64());
        }

        stop.store(true, Ordering::Relaxed);
        let mut acknowledged = Vec::new();
        while let Some(sets) = training.join_next().await {
            acknowledged.extend(sets?);
        }
        self.is_current().await?;
        let stored: Vec<Uuid> =
            sqlx::query_scalar("select set_id from history_v6.workout_sets where set_id = any($1)")
                .bind(&acknowledged)
                .fetch_all(&self.pool)
                .await?;
        let lost = acknowledged.len() - stored.len();
        // A shadow that a killed replay has left would go on with what was disturbed.
        self.expect_good(&["replay", "abandon", "history"]).await?;
        let mut differ = 0;
        for model in MODELS {
            let (good, said) = self.command(&["replay", model.name, "--verify"]).await?;
            eprintln!("{said}");
            differ += u64::from(!good);
        }
        let count = |fault| faults.get(&fault).copied().unwrap_or(0);
        println!(
            "faults replay: faults={} swaps={swaps} crashes={} outages={} full_disks={} \
             acknowledged={} lost={lost} models_that_differ={differ}",
            faults.values().sum::<u64>(),
            count(Fault::Crash),
            count(Fault::Outage),
            count(Fault::FullDisk),
            acknowledged.len(),
        );
        Ok((lost, differ) == (0, 0) && !acknowledged.is_empty())
    }

    /// One replay with one fault; whether it came to its end.
    async fn disturb(
        &self,
        fault: Fault,
        delay: Duration,
        projector: &mut Process,
    ) -> Result<bool> {
        if fault == Fault::FullDisk {
            self.disk.fill()?;
        }
        let mut replay = self.start(&REPLAY);
        sleep(delay).await;
        let was_done = replay.has_ended().is_some();
        match fault {
            Fault::Kill => replay.kill(),
            Fault::Freeze => {
                replay.freeze();
                sleep(Duration::from_secs(3)).await;
                replay.thaw();
            }
            Fault::Second => {
                let (good, said) = self.command(&REPLAY).await?;
                let refused = said.contains("is being replayed by process");
                ensure!(was_done || replay.has_ended().is_some() || (refused && !good), "{said}");
            }
            Fault::Projector => {
                projector.kill();
                *projector = self.start(&["projector", "--all"]);
            }
            Fault::Crash => self.server.restart("KILL", Duration::from_secs(2)).await?,
            Fault::Outage => self.server.restart("INT", Duration::from_secs(60)).await?,
            Fault::FullDisk | Fault::RollBack => {}
        }
        let status = timeout(LIMIT, async {
            loop {
                match replay.has_ended() {
                    Some(status) => return status,
                    None => sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await
        .with_context(|| format!("no end of a replay that said:\n{}", replay.output()))?;
        let said = replay.output();
        match fault {
            Fault::Kill if !was_done => return Ok(false),
            Fault::FullDisk => {
                self.disk.free()?;
                ensure!(!status.success() && said.contains("the disk is full"), "{said}");
                return Ok(false);
            }
            Fault::RollBack => self.expect_good(&["replay", "rollback", "history"]).await?,
            _ => {}
        }
        ensure!(status.success(), "{fault:?}: the replay ended with {status}:\n{said}");
        Ok(true)
    }

    /// Waits until the models have everything.
    async fn is_current(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let (good, said) = self.command(&["status"]).await?;
            if good && said.matches(" current ").count() == MODELS.len() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let (_, parked) = self.command(&["parked", "list"]).await?;
                bail!("the models do not get everything:\n{said}\n{parked}");
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    async fn expect_good(&self, arguments: &[&str]) -> Result<()> {
        let (good, said) = self.command(arguments).await?;
        ensure!(good, "{arguments:?}: {said}");
        Ok(())
    }

    async fn command(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let mut process = self.start(arguments);
        for _ in 0..LIMIT.as_millis() / 20 {
            if let Some(status) = process.has_ended() {
                return Ok((status.success(), process.output()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        bail!("{arguments:?} does not end:\n{}", process.output())
    }

    fn start(&self, arguments: &[&str]) -> Process {
        self.start_as(&self.database.projector_url(), arguments)
    }

    fn start_as(&self, url: &str, arguments: &[&str]) -> Process {
        let environment = [
            ("DATABASE_URL", url),
            ("IRONLEDGER_MASTER_KEY", MASTER_KEY),
            ("IRONLEDGER_TOKEN_KEY", TOKEN_KEY),
            ("IRONLEDGER_BYPASS_KEY", testkit::BYPASS_KEY),
        ];
        Process::start(&self.binary, arguments, &environment)
    }
}

/// Logs sets for as long as it may, through every outage; answers those that were acknowledged.
async fn train(athlete: Client, stop: Arc<AtomicBool>) -> Vec<Uuid> {
    let mut workout = athlete.start_workout(json!({})).await;
    let (mut acknowledged, mut number) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let answer = athlete.log_set(&workout, bench(5, 100)).await;
        if answer.status == 201 {
            let (_, id) = answer.header("location").rsplit_once('/').unwrap_or_default();
            acknowledged.extend(id.parse::<Uuid>());
        } else {
            sleep(Duration::from_millis(200)).await;
        }
        number += 1;
        if number % 50 == 0 {
            let started = athlete.post("/v1/workouts", json!({})).await;
            if started.status == 201 {
                started.header("location").clone_into(&mut workout);
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    acknowledged
}

/// A small disk that the read models lie on, which can be full.
struct Disk(PathBuf);

/// How large it is, in MiB: for some copies of a model.
const SIZE: u64 = 1_500;

impl Disk {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("ironledger-disk-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let disk = Self(path);
        let size = format!("size={SIZE}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&disk.0))
            .context("a small disk cannot be mounted: this takes root")?;
        fs::create_dir(disk.models())?;
        Account::unprivileged()?.own(&disk.models())?;
        Ok(disk)
    }

    fn models(&self) -> PathBuf {
        self.0.join("models")
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Read models that are made from now on lie there.
    async fn use_for_models(&self, pool: &PgPool) -> Result<()> {
        let make = format!("create tablespace small location '{}'", self.models().display());
        for statement in [
            &make,
            "grant create on tablespace small to ironledger_projector",
            "alter role ironledger_test_projector set default_tablespace = small",
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(pool).await?;
        }
        Ok(())
    }

    /// Leaves room for a few events, which the live models need.
    fn fill(&self) -> Result<()> {
        let free = Command::new("df").args(["--output=avail", "-m"]).arg(&self.0).output()?;
        let free = String::from_utf8(free.stdout)?;
        let free: u64 = free.lines().last().unwrap_or_default().trim().parse()?;
        run(Command::new("fallocate")
            .arg("-l")
            .arg(format!("{}M", free.saturating_sub(12)))
            .arg(self.ballast()))
    }

    fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.0)).ok();
        fs::remove_dir(&self.0).ok();
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
