//! How long after the answer of a command does the query show what was commanded?
//!
//! An athlete logs a set and asks for history until the set is in it: while nothing else happens,
//! and while others log a thousand sets a second, paced by a clock and not by the answers. The
//! product's own processes, on a real Kafka; then the same with a projector that reads Postgres.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

#[path = "visible/load.rs"]
mod load;
#[path = "visible/probe.rs"]
mod probe;
#[path = "visible/product.rs"]
mod product;
#[path = "visible/stages.rs"]
mod stages;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use benches::percentile;
use clap::Parser;
use testkit::Kafka;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    load::Load,
    probe::{Prober, Seen},
    product::Product,
    stages::Stages,
};

/// Probes before those that count.
const WARM_UP_PROBES: usize = 10;

/// How long the load runs before the probes count: a broker that has just started spends a third of
/// a core on compiling itself for about half a minute, and one in service does not.
const WARM_UP: Duration = Duration::from_secs(30);

/// A phase takes no longer beyond what it is meant to take.
const REST: Duration = Duration::from_secs(60);

/// A rate below this share of what was asked for is another measurement.
const NEARLY: f64 = 0.95;

#[derive(Parser)]
struct Arguments {
    /// Sets that are logged and looked for while nothing else happens.
    #[arg(long, default_value_t = 200)]
    probes: usize,
    /// How long the load lasts.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Sets that are logged in a second of the load, all athletes together.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Athletes who log them.
    #[arg(long, default_value_t = 64)]
    athletes: usize,
    /// Athletes who probe at the same time during the load, for enough probes.
    #[arg(long, default_value_t = 4)]
    probers: usize,
    /// Where the time goes; watching for it costs a little.
    #[arg(long)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    ensure!(
        [arguments.probes, arguments.athletes, arguments.probers].iter().all(|n| *n > 0)
            && arguments.rate > 0
            && arguments.seconds > 0,
        "nothing of it can be zero"
    );
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());

    let product = Product::start(&binary, Some(Kafka::fresh())).await;
    let ours = measure(&arguments, product, "").await?;
    let product = Product::start(&binary, None).await;
    let plain = measure(&arguments, product, "without Kafka, ").await?;
    println!("without Kafka: {}", plain.figures());
    println!("bench visible: {}", ours.figures());
    let valid = ours.rate_reached && plain.rate_reached;
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was measured of one product.
struct Measured {
    idle: Vec<Duration>,
    loaded: Vec<Duration>,
    rate_reached: bool,
}

impl Measured {
    fn figures(&self) -> String {
        format!(
            "idle_p50_ms={:.2} idle_p99_ms={:.2} loaded_p50_ms={:.2} loaded_p99_ms={:.2}",
            percentile(&self.idle, 50),
            percentile(&self.idle, 99),
            percentile(&self.loaded, 50),
            percentile(&self.loaded, 99),
        )
    }
}

/// Both phases on a product that has just started.
async fn measure(arguments: &Arguments, product: Product, name: &str) -> Result<Measured> {
    let stages = match arguments.verbose {
        true => Some(Stages::watch(&product).await?),
        false => None,
    };
    let mut probers = Vec::new();
    for _ in 0..arguments.probers {
        probers.push(Prober::new(product.athlete().await));
    }
    let load = Load::new(&product, arguments.athletes, arguments.rate).await;

    let patience = Duration::from_millis(200) * u32::try_from(arguments.probes)? + REST;
    let idle = timeout(patience, async {
        for _ in 0..WARM_UP_PROBES {
            probers[0].probe().await?;
        }
        probers[0].probe_often(arguments.probes, None).await
    });
    let idle = idle.await.context("the idle phase takes too long")??;
    let idle = report(&format!("{name}idle"), &idle, stages.as_ref()).await;

    let begin = Instant::now() + WARM_UP;
    let end = begin + Duration::from_secs(arguments.seconds);
    let loaded = timeout(end + REST - Instant::now(), async {
        let load = tokio::spawn(load.run(begin, end));
        let mut probing = JoinSet::new();
        for mut prober in probers {
            probing.spawn(async move {
                sleep_until(begin).await;
                prober.probe_often(usize::MAX, Some(end)).await
            });
        }
        let mut seen = Vec::new();
        while let Some(some) = probing.join_next().await {
            seen.extend(some??);
        }
        anyhow::Ok((seen, load.await??))
    });
    let (seen, sent) = loaded.await.context("the load takes too long")??;
    let reached = sent.answered as f64 / arguments.seconds as f64;
    println!(
        "{name}load: asked={}/s reached={reached:.1}/s refused={} behind_the_clock_max_ms={:.2} \
         command_p50_ms={:.2} command_p99_ms={:.2}",
        arguments.rate,
        sent.refused,
        sent.late.as_secs_f64() * 1e3,
        percentile(&sent.commands, 50),
        percentile(&sent.commands, 99),
    );
    let rate_reached = reached >= NEARLY * f64::from(arguments.rate);
    if !rate_reached {
        eprintln!("the load did not reach its rate: these figures are of another load");
    }
    let loaded = report(&format!("{name}loaded"), &seen, stages.as_ref()).await;
    for line in product.errors() {
        eprintln!("{line}");
    }
    Ok(Measured { idle, loaded, rate_reached })
}

/// Prints what was seen, and answers the sorted times.
async fn report(name: &str, seen: &[Seen], stages: Option<&Stages>) -> Vec<Duration> {
    let mut times: Vec<Duration> = seen.iter().map(|seen| seen.shown - seen.answered).collect();
    times.sort_unstable();
    let mut commands: Vec<Duration> = seen.iter().map(|seen| seen.answered - seen.sent).collect();
    commands.sort_unstable();
    println!(
        "{name}: probes={} asked_again={} command_p50_ms={:.2} visible_ms {}",
        seen.len(),
        seen.iter().filter(|seen| seen.asked > 1).count(),
        percentile(&commands, 50),
        spread(&times),
    );
    if let Some(stages) = stages {
        for (stage, times) in stages.of(seen).await {
            println!("{name}: {stage} {}", spread(&times));
        }
    }
    times
}

fn spread(sorted: &[Duration]) -> String {
    format!(
        "p50={:.2} p90={:.2} p99={:.2} max={:.2}",
        percentile(sorted, 50),
        percentile(sorted, 90),
        percentile(sorted, 99),
        percentile(sorted, 100),
    )
}
