//! Does the whole product lose, double or forget anything while all of its parts fail?
//!
//! Athletes train over HTTP while relays, projectors, the interface, Kafka and Postgres are killed,
//! frozen and emptied. At the end all is whole again, and what was acknowledged, what history
//! answers, what the log says and what the topic holds must agree.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

#[path = "faults_fleet/athlete.rs"]
mod athlete;
#[path = "faults_fleet/faults.rs"]
mod faults;
#[path = "faults_fleet/judge.rs"]
mod judge;
#[path = "faults_fleet/ledger.rs"]
mod ledger;
#[path = "faults_fleet/world.rs"]
mod world;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    athlete::Athlete,
    faults::{Fault, Faults, Floor},
    world::World,
};

const ATHLETES: u64 = 12;

/// Once all is whole, everybody has caught up after so long.
const CATCHING_UP: Duration = Duration::from_secs(90);

/// A set is visible so soon when Kafka brings it; what it leaves out is noticed later.
const SOON: Duration = Duration::from_millis(600);

/// Kafka brings everything again after so long: a projector that hears nothing joins anew at most
/// every twenty seconds.
const RECOVERING: Duration = Duration::from_secs(60);

/// All but the faults takes at most so long.
const REST: Duration = Duration::from_secs(420);

#[derive(Parser)]
struct Arguments {
    /// How long the fleet is disturbed.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Decides which faults happen when, and what athletes do.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only faults of these kinds, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Where to keep what the processes said; of a failed run it is always kept.
    #[arg(long)]
    logs: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let limit = Duration::from_secs(arguments.seconds) + REST;
    // Whatever ends it, the servers end with it.
    let good = tokio::select! {
        good = timeout(limit, run(&arguments)) => good.context("it did not come to an end")??,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to end"),
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let world = World::start().await?;
    let outcome = disturb(&world, arguments).await;
    let failed = std::env::temp_dir().join(format!("faults-fleet-{}-logs", std::process::id()));
    let failed = Some(failed).filter(|_| !matches!(outcome, Ok(true)));
    if let Some(folder) = arguments.logs.clone().or(failed)
        && let Ok(kept) = timeout(Duration::from_secs(10), keep_outputs(&world, &folder)).await
    {
        kept?;
        eprintln!("what the processes said is in {}", folder.display());
    }
    outcome
}

async fn disturb(world: &Arc<World>, arguments: &Arguments) -> Result<bool> {
    let (stop, stopped) = watch::channel(false);
    let mut load = JoinSet::new();
    for number in 0..ATHLETES {
        let (world, stopped) = (world.clone(), stopped.clone());
        let seed = arguments.seed.wrapping_mul(1000) + number;
        load.spawn(async move { Athlete::register(world, seed).await?.train(stopped).await });
    }
    world.tell("athletes train");
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let floor = Floor::default();
    let faults =
        Faults::new(arguments.seed, &arguments.only, world.clone(), floor.clone()).run(until);
    let done = tokio::select! {
        done = faults => done?,
        Some(athlete) = load.join_next() => {
            athlete??;
            bail!("an athlete has stopped too early");
        }
    };
    stop.send_replace(true);
    let mut athletes = Vec::new();
    while let Some(athlete) = load.join_next().await {
        athletes.push(athlete??);
    }

    let caught_up = catch_up(world).await?;
    world.tell(&format!("caught up after {:.1} s", caught_up.as_secs_f64()));
    recover(world, &mut athletes).await?;
    catch_up(world).await?;

    let floor = floor.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let verdict = judge::judge(world, &mut athletes, &floor).await?;
    world.check().await?;
    world.outputs().await;
    eprintln!("faults:{done}");
    let wrong = world.noted().len();
    if wrong > 0 {
        eprintln!("{wrong} things are wrong, see above");
    }
    let judge::Verdict { acknowledged, in_history, on_topic, lost, doubled } = verdict;
    println!(
        "faults fleet: acknowledged={acknowledged} in_history={in_history} on_topic={on_topic} \
         lost={lost} doubled={doubled} faults={}",
        done.count()
    );
    Ok(wrong == 0 && (lost, doubled) == (0, 0) && acknowledged > 0)
}

/// Waits until history and Kafka have everything.
async fn catch_up(world: &World) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let behind = match judge::behind(&world.pool).await {
            Ok(None) => return Ok(began.elapsed()),
            Ok(Some(behind)) => behind,
            Err(error) => error.to_string(),
        };
        ensure!(began.elapsed() < CATCHING_UP, "not everything has caught up: {behind}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until new sets are as soon visible as ever: until then Kafka does not bring them, and only
/// the net catches them.
async fn recover(world: &World, athletes: &mut [Athlete]) -> Result<()> {
    let began = Instant::now();
    loop {
        let mut slowest = Duration::ZERO;
        for athlete in &mut *athletes {
            slowest = slowest.max(athlete.probe().await?);
        }
        let slowest_s = slowest.as_secs_f64();
        world.tell(&format!("a new set is visible after {slowest_s:.2} s at most"));
        if slowest < SOON {
            return Ok(());
        }
        if began.elapsed() > RECOVERING {
            world.wrong("Kafka does not bring every partition any more".to_owned());
            return Ok(());
        }
    }
}

/// Keeps what the processes said, for who wants to know why.
async fn keep_outputs(world: &World, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, said) in world.outputs().await {
        fs::write(folder.join(format!("{name}.log")), said)?;
    }
    Ok(())
}
