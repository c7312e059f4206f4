//! Does everybody see exactly what the rules of people and feed say? Random stories, told to the product and
//! to a plain recomputation ([`testkit::model::social`]), and a replay of what came of them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use projections::{history::History, social::Social};
use testkit::model::social::{Outcome, Product};

#[derive(Parser)]
struct Arguments {
    /// How many stories.
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// Decides what happens in them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let mut product = Product::<Social, History>::start(&binary).await;
    let mut outcome = Outcome::default();
    for number in 0..arguments.runs {
        product.run(arguments.seed * 1_000_000 + number, &mut outcome).await;
    }
    product.replay(&mut outcome).await;
    outcome.differences.iter().take(20).for_each(|difference| eprintln!("{difference}"));
    let differences = outcome.differences.len();
    println!(
        "model social: runs={} comparisons={} differences={differences}",
        arguments.runs, outcome.comparisons
    );
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
