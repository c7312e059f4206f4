//! Does a projection become faster with more processes?
//!
//! One, two and four `ironledger projector history` read the same log from its beginning, each time
//! into new tables, as they follow it live: they share the partitions, and each of their batches is
//! a transaction. How fast, until all is read.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benches::rest;
use clap::Parser;
use projections::history::History;
use projector::Projection;
use sqlx::{AssertSqlSafe, PgPool};
use testkit::{Database, Process, years::Years};

#[derive(Parser)]
struct Arguments {
    /// Events in the log.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Processes, each number in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4])]
    processes: Vec<usize>,
    /// Transactions at the same time of each.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let database = Database::fresh().await;
    let pool = PgPool::connect(&database.owner_url()).await?;
    let athletes = usize::try_from(arguments.events / 5_000)?.max(10);
    let events = Years::new(1, athletes, 16).fill(&pool, arguments.events).await;
    let mut rates = Vec::new();
    for &count in &arguments.processes {
        ensure!(count > 0, "a process at least");
        let drop = format!("drop schema if exists {} cascade", History::SCHEMA);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&pool).await?;
        rest(&pool).await?;
        let url = database.projector_url();
        let workers = arguments.workers.to_string();
        let start = || {
            let command = ["projector", "history", "--workers", &workers];
            Process::start(&binary, &command, &[("DATABASE_URL", &url)])
        };
        let mut processes = vec![start()];
        // From the first row until the last, so that starting does not count.
        while done(&pool).await.unwrap_or(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (began, before) = (Instant::now(), done(&pool).await?);
        processes.extend((1..count).map(|_| start()));
        while done(&pool).await? < events {
            tokio::time::sleep(Duration::from_millis(20)).await;
            ensure!(began.elapsed() < Duration::from_secs(600), "it takes too long");
        }
        let rate = (events - before) as f64 / began.elapsed().as_secs_f64();
        eprintln!("{count} processes {rate:.0}/s");
        rates.push(format!("processes_{count}_per_s={rate:.0}"));
    }
    println!("bench scale: {}", rates.join(" "));
    Ok(())
}

/// How many events history has.
async fn done(pool: &PgPool) -> Result<u64> {
    let query = format!("select sum(position)::bigint from {}.checkpoints", History::SCHEMA);
    let done: Option<i64> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(pool).await?;
    Ok(u64::try_from(done.context("no checkpoints")?)?)
}
