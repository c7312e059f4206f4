//! Does every leaderboard show exactly what follows from all that was told? Random stories of sets,
//! corrections, revocations, bodyweights, sexes, privacy and changing weeks, told to the product and to a
//! plain recomputation, while Redis is stopped, flushed, spoilt and restarted; and a replay of each.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

#[path = "model_boards/story.rs"]
mod story;
#[path = "model_boards/world.rs"]
mod world;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use story::Story;

#[derive(Parser)]
struct Arguments {
    /// How many stories.
    #[arg(long, default_value_t = 50)]
    runs: u64,
    /// The number of the first of them, to tell one again.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Decides what happens in them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What came of stories.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    comparisons: u64,
    differences: Vec<String>,
}

impl Outcome {
    pub(crate) fn compare<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: impl FnOnce() -> String,
        found: &T,
        expected: &T,
    ) {
        self.comparisons += 1;
        if found != expected {
            self.differences.push(format!("{}:\n  {found:?} instead of\n  {expected:?}", what()));
        }
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let mut outcome = Outcome::default();
    for number in arguments.first..arguments.first + arguments.runs {
        let seed = arguments.seed * 1_000_000 + number;
        Story::begin(seed, folder.path()).await?.tell(&mut outcome).await?;
        if number % 10 == 9 {
            eprintln!("{} stories, {} comparisons", number + 1, outcome.comparisons);
        }
    }
    outcome.differences.iter().take(20).for_each(|difference| eprintln!("{difference}"));
    let differences = outcome.differences.len();
    println!(
        "model boards: runs={} comparisons={} differences={differences}",
        arguments.runs, outcome.comparisons
    );
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
