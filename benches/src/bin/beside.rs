//! Does anybody notice a replay?
//!
//! The product with its processes, a log of years of training, and athletes who log sets and read
//! history at a steady pace: alone, while history is replayed and swapped in again and again, and
//! alone once more. How long queries take, how many fail, and how many go back in time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use benches::percentile;
use clap::Parser;
use log::Positions;
use serde_json::json;
use sqlx::PgPool;
use testkit::{App, Client, bench, eventually, years::Years};
use tokio::{
    process::Command,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

#[derive(Parser)]
struct Arguments {
    /// Events in the log.
    #[arg(long, default_value_t = 500_000)]
    events: u64,
    /// Athletes; each logs a set and reads history after it.
    #[arg(long, default_value_t = 8)]
    athletes: usize,
    /// How often each does so a second.
    #[arg(long, default_value_t = 10)]
    pace: u64,
    /// How long the load is measured without a replay, before and after the replays.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Replays, one after the other.
    #[arg(long, default_value_t = 3)]
    replays: usize,
    /// Partitions that a replay loads at the same time.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Events a second that a replay reads at most.
    #[arg(long, default_value_t = 40_000)]
    throttle: u32,
}

/// Sets of a workout, and workouts that a query asks for.
const SETS: usize = 20;
const WORKOUTS: usize = 5;

/// What the athletes have seen.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    /// Which measurement it is.
    phase: AtomicU64,
    failed: AtomicU64,
    went_back: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let app = App::without_projector(&binary).await;
    let pool = PgPool::connect(&app.database.owner_url()).await?;
    let people = usize::try_from(arguments.events / 5_000)?.max(10);
    Years::new(1, people, 16).fill(&pool, arguments.events).await;
    replay(&binary, &app, &["replay", "--all"]).await?;
    let mut app = app;
    app.start_projector();
    let client = app.client();
    eventually("a product that is ready", async || {
        (client.get("/readyz").await.status == 200).then_some(())
    })
    .await;

    let seen = Arc::new(Seen::default());
    let mut tasks = JoinSet::new();
    for _ in 0..arguments.athletes {
        let athlete = app.athlete().await;
        let every = Duration::from_secs_f64(1.0 / arguments.pace as f64);
        tasks.spawn(train(athlete, every, seen.clone()));
    }
    // Caches fill, statements are prepared, and answers get as long as they will be: another
    // length is another time.
    let until_full = (WORKOUTS * SETS) as f64 / arguments.pace as f64;
    tokio::time::sleep(Duration::from_secs_f64(until_full.max(3.0))).await;
    seen.phase.store(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    seen.phase.store(2, Ordering::Relaxed);
    let (workers, throttle) = (arguments.workers.to_string(), arguments.throttle.to_string());
    for _ in 0..arguments.replays {
        let how = ["replay", "history", "--workers", &workers, "--throttle", &throttle];
        replay(&binary, &app, &how).await?;
    }
    seen.phase.store(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    seen.stop.store(true, Ordering::Relaxed);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    while let Some(times) = tasks.join_next().await {
        let (one, other) = times?;
        alone.extend(one);
        beside.extend(other);
    }
    alone.sort_unstable();
    beside.sort_unstable();
    eprintln!(
        "{} queries alone, p50 {:.2} ms; {} beside {} replays, p50 {:.2} ms",
        alone.len(),
        percentile(&alone, 50),
        beside.len(),
        arguments.replays,
        percentile(&beside, 50),
    );
    let (normal, replaying) = (percentile(&alone, 99), percentile(&beside, 99));
    println!(
        "bench beside: normal_p99_ms={normal:.2} replay_p99_ms={replaying:.2} ratio={:.2} failed={} \
         went_back={}",
        replaying / normal,
        seen.failed.load(Ordering::Relaxed),
        seen.went_back.load(Ordering::Relaxed),
    );
    Ok(())
}

async fn replay(binary: &Path, app: &App, how: &[&str]) -> Result<()> {
    let began = Instant::now();
    let output = Command::new(binary)
        .args(how)
        .env("DATABASE_URL", app.database.projector_url())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("swapped in"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("{} in {:.1} s", how.join(" "), began.elapsed().as_secs_f64());
    Ok(())
}

/// Logs a set and reads history, at a steady pace; how long each query took, alone and beside replays.
async fn train(
    athlete: Client,
    every: Duration,
    seen: Arc<Seen>,
) -> (Vec<Duration>, Vec<Duration>) {
    let mut workout = athlete.start_workout(json!({})).await;
    let (mut alone, mut beside, mut last, mut sets) = (Vec::new(), Vec::new(), 0, 0);
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !seen.stop.load(Ordering::Relaxed) {
        tick.tick().await;
        sets += 1;
        if sets % SETS == 0 {
            workout = athlete.start_workout(json!({})).await;
        }
        if athlete.log_set(&workout, bench(5, 100)).await.status != 201 {
            seen.failed.fetch_add(1, Ordering::Relaxed);
        }
        let began = Instant::now();
        let answer = athlete.get(&format!("/v1/history?limit={WORKOUTS}")).await;
        let took = began.elapsed();
        match seen.phase.load(Ordering::Relaxed) {
            0 => {}
            1 => alone.push(took),
            _ => beside.push(took),
        }
        if answer.status != 200 {
            seen.failed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let at = answer.position().parse::<Positions>();
        let at = at.map_or(0, |at| at.at.values().map(|position| position.0).sum::<i64>());
        if at < last {
            seen.went_back.fetch_add(1, Ordering::Relaxed);
        }
        last = at;
    }
    (alone, beside)
}
