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
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..arguments.at_once {
        let (client, next) = (app.client(), next.clone());
        tasks.spawn(async move {
            let mut outcome = oracle::Outcome::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= arguments.histories {
                    return outcome;
                }
                let one = oracle::run_seed(&client, arguments.seed * 1_000_000 + number).await;
                outcome.comparisons += one.comparisons;
                outcome.differences.extend(one.differences);
            }
        });
    }
    let (mut comparisons, mut differences) = (0, 0);
    while let Some(outcome) = tasks.join_next().await {
        let outcome = outcome?;
        comparisons += outcome.comparisons;
        differences += outcome.differences.len();
        for difference in outcome.differences {
            eprintln!("{difference}");
        }
    }
    println!(
        "oracle: histories={} comparisons={comparisons} differences={differences}",
        arguments.histories
    );
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
