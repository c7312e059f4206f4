//! Is every record that the product shows a recomputation's? Random histories through its own
//! interface, compared with an oracle ([`testkit::oracle`]).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Result, ensure};
use clap::Parser;
use sqlx::PgPool;
use testkit::{App, oracle};
use tokio::task::JoinSet;

#[derive(Parser)]
struct Arguments {
    /// How many histories.
    #[arg(long, default_value_t = 2_000)]
    histories: u64,
    /// Decides what happens in them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many at the same time.
    #[arg(long, default_value_t = 6)]
    at_once: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let app = App::start(&binary).await;
    let owner = PgPool::connect(&app.database.owner_url()).await?;
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..arguments.at_once {
        let product = oracle::Product { client: app.client(), owner: owner.clone() };
        let next = next.clone();
        tasks.spawn(async move {
            let mut outcome = oracle::Outcome::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= arguments.histories {
                    return outcome;
                }
                let one = oracle::run_seed(&product, arguments.seed * 1_000_000 + number).await;
                outcome.comparisons += one.comparisons;
                outcome.differences.extend(one.differences);
                outcome.lives.extend(one.lives);
            }
        });
    }
    let (mut comparisons, mut differences, mut lives) = (0, 0, Vec::new());
    while let Some(outcome) = tasks.join_next().await {
        let outcome = outcome?;
        comparisons += outcome.comparisons;
        differences += outcome.differences.len();
        for difference in outcome.differences {
            eprintln!("{difference}");
        }
        lives.extend(outcome.lives);
    }
    // A history that was cut down leaves athletes that nobody knows.
    if differences == 0 {
        let (more, wrong) = oracle::strength::percentiles(&lives).await;
        comparisons += more;
        differences += wrong.len();
        wrong.iter().take(10).for_each(|difference| eprintln!("{difference}"));
    }
    println!(
        "oracle: histories={} comparisons={comparisons} differences={differences}",
        arguments.histories
    );
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
