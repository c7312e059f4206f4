//! What does a percentile cost among a million athletes, and how far is it from the truth?
//!
//! Invented athletes who were weighed and trained lately go into the log, the product's own replay
//! builds their levels, and then some more athletes ask the product for theirs over HTTP. Beside it, in the
//! same run: the same percentile by counting athletes, which also says what is true, and a bare
//! select of a row by its key.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use log::Reader;
use projections::strength::Strength;
use projector::{Projection, Projector, Replay};
use sqlx::PgPool;
use testkit::App;
use tokio_util::sync::CancellationToken;

const EXERCISE: &str = "bench-press-barbell";

#[derive(Parser)]
struct Arguments {
    /// Athletes.
    #[arg(long, default_value_t = 1_000_000)]
    athletes: usize,
    /// Athletes who ask.
    #[arg(long, default_value_t = 25)]
    asking: usize,
    /// How often each asks.
    #[arg(long, default_value_t = 40)]
    times: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let app = App::without_projector(&binary).await;
    let owner = PgPool::connect(&app.database.owner_url()).await?;
    let began = Instant::now();
    let events = benches::athletes(&app, arguments.athletes).await?;
    eprintln!("filled {events} events in {:.0} s", began.elapsed().as_secs_f64());

    let database = app.database.connect_projector();
    let reader = Reader::open(&database);
    let keys = app.database.projector_keys();
    let stop = CancellationToken::new();
    let replay = Replay::<Strength>::new(&database, reader, projector::Options::default(), stop)
        .with_keys(Some(keys.clone()));
    let replayed = replay.run().await?;
    let rate = replayed.events as f64 / replayed.took.as_secs_f64();
    ensure!(replayed.swapped, "{replayed:?}");
    eprintln!("replayed {rate:.0} events/s");

    let reader = Reader::open(&database);
    let mut projector = Projector::<Strength>::new(&database, reader).with_keys(Some(keys));
    projector.prepare().await?;
    let (mut moved, mut asked, mut counted, mut selected) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut error: f64 = 0.0;
    for number in 0..arguments.asking {
        let kg = 40 + 6 * u32::try_from(number)?;
        let client = benches::trained(&app, kg).await?;
        let began = Instant::now();
        while projector.step(None, 1_000).await? > 0 {}
        moved.push(began.elapsed());
        let athlete = client.athlete.context("an athlete")?;
        for _ in 0..arguments.times {
            let began = Instant::now();
            let path = format!("/v1/stats/strength-levels/{EXERCISE}");
            let answer = client.get(&path).await.expect(200);
            asked.push(began.elapsed());
            let began = Instant::now();
            let _: String = sqlx::query_scalar(
                "select sets from strength_v1.lately where owner = $1 and exercise = $2",
            )
            .bind(athlete)
            .bind(EXERCISE)
            .fetch_one(&owner)
            .await?;
            selected.push(began.elapsed());
            if counted.len() <= number {
                let began = Instant::now();
                let truth = by_counting(&owner, athlete).await?;
                counted.push(began.elapsed());
                let shown = &answer.data()["percentiles"];
                for (truth, among) in truth.into_iter().zip(["all", "sex", "class"]) {
                    let shown = shown[among]["percentile"].as_f64().context("a percentile")?;
                    error = error.max((shown - truth).abs());
                }
            }
        }
    }
    let size: i64 = sqlx::query_scalar(
        "select pg_total_relation_size('strength_v1.fine') + \
         pg_total_relation_size('strength_v1.coarse')",
    )
    .fetch_one(&owner)
    .await?;
    println!(
        "bench strength: athletes={} percentile_p50_ms={:.2} percentile_p99_ms={:.2} \
         select_p99_ms={:.2} by_counting_ms={:.0} move_ms={:.2} worst_error_points={error:.4} \
         histogram_mb={:.1} replay_events_per_s={rate:.0} model={}",
        arguments.athletes,
        percentile(&mut asked, 50),
        percentile(&mut asked, 99),
        percentile(&mut selected, 99),
        percentile(&mut counted, 50),
        percentile(&mut moved, 50),
        size as f64 / 1e6,
        Strength::SCHEMA,
    );
    Ok(())
}

fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// The truth, by counting athletes: among all, those of the sex, and those of the weight class.
async fn by_counting(owner: &PgPool, athlete: uuid::Uuid) -> Result<[f64; 3]> {
    let row: (f64, f64, f64) = sqlx::query_as(
        "select
             100.0::float8 * count(*) filter (where l.grams < me.grams) / count(*),
             100.0::float8 * count(*) filter (where l.grams < me.grams and l.sex = me.sex)
                 / count(*) filter (where l.sex = me.sex),
             100.0::float8 * count(*) filter (
                 where l.grams < me.grams and l.sex = me.sex and l.class = me.class
             ) / count(*) filter (where l.sex = me.sex and l.class = me.class)
         from strength_v1.lately l
         join strength_v1.lately me on me.owner = $1 and me.exercise = l.exercise
         where l.exercise = $2 and l.grams is not null",
    )
    .bind(athlete)
    .bind(EXERCISE)
    .fetch_one(owner)
    .await?;
    Ok([row.0, row.1, row.2])
}
