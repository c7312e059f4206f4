//! How fast are read models built anew, beside what Postgres itself can do?
//!
//! A log of years of invented training is replayed into each model, by the product's own replay.
//! Beside it, in the same run on the same log: `COPY` of the events out of it, and one statement
//! that makes the same rows from the events, which is as fast as SQL can be and no product: it
//! neither knows older versions of events nor can be stopped, parked or resumed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{fs, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use benches::rest;
use clap::Parser;
use events::Partition;
use log::{Reader, event_tables, page};
use projections::{history::History, records::Records, stats::Stats, strength::Strength};
use projector::{Options, Projection, Replay};
use sqlx::PgPool;
use testkit::{Database, years::Years};
use tokio_util::sync::CancellationToken;

/// So many events has an athlete on average.
const OF_AN_ATHLETE: u64 = 5_000;

#[derive(Parser)]
struct Arguments {
    /// Events in the log.
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Partitions that are loaded at the same time.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Replays of each model, in turn.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Which models.
    #[arg(long, value_delimiter = ',', default_values = ["history", "stats"])]
    models: Vec<String>,
    /// Compare the rebuilt models with the first ones.
    #[arg(long)]
    verify: bool,
}

/// The rows of history by one statement a table: the last truth of each set and workout. Each payload
/// is read once.
const HISTORY: &str = "
    create unlogged table limit_sets as
    select distinct on (stream_id, owner, set_id) owner, stream_id, set_id, version,
        said -> 'set' ->> 'exercise' as exercise, (said -> 'set')::text as values
    from (
        select owner, stream_id, version, said, (said ->> 'set_id')::uuid as set_id
        from (
            select owner, stream_id, version, payload::jsonb as said
            from log.events where type in ('SetLogged', 'SetCorrected') offset 0
        ) events
    ) sets
    order by stream_id, owner, set_id, version desc;
    alter table limit_sets add primary key (stream_id, owner, set_id);
    create index on limit_sets (owner, exercise, stream_id);
    create unlogged table limit_workouts as
    select owner, stream_id,
        max(payload) filter (where type = 'WorkoutStarted') as details,
        max(payload) filter (where type = 'WorkoutCompleted') as ending
    from log.events
    where type in ('WorkoutStarted', 'WorkoutCompleted') group by 1, 2;
    alter table limit_workouts add primary key (owner, stream_id);
    create index on limit_workouts (owner, stream_id)";

/// The rows of stats: what counts of the sets of each workout. Each payload is read once.
const STATS: &str = "
    create unlogged table limit_stats as
    select owner, stream_id, min(recorded_at) as started_at, max(recorded_at) as completed_at,
        json_agg(json_build_array(said -> 'set_id', said -> 'set' -> 'exercise',
            said -> 'set' -> 'reps', said -> 'set' -> 'weight' -> 'value'))::text as sets
    from (
        select owner, stream_id, recorded_at, payload::jsonb as said
        from log.events where type = 'SetLogged' offset 0
    ) events
    group by 1, 2;
    alter table limit_stats add primary key (stream_id, owner);
    create index on limit_stats (owner, started_at)";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.events >= 10_000 && arguments.rounds > 0, "ten thousand events, and a round");
    let database = Database::fresh().await;
    let pool = PgPool::connect(&database.owner_url()).await?;
    let began = Instant::now();
    let athletes = usize::try_from(arguments.events / OF_AN_ATHLETE)?.max(10);
    let events = Years::new(1, athletes, 16).fill(&pool, arguments.events).await;
    eprintln!(
        "{athletes} athletes recorded {events} events, filled in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    // Read once, so that whoever comes first does not pay for the others.
    let copied = copy_out(&pool).await?;
    ensure!(copied == events, "{copied} of {events} events came out");
    let began = Instant::now();
    copy_out(&pool).await?;
    eprintln!("COPY out {:.0}/s", events as f64 / began.elapsed().as_secs_f64());
    for model in &arguments.models {
        match model.as_str() {
            "history" => {
                measure::<History>(&database, &pool, &arguments, events, Some(HISTORY)).await?;
            }
            "stats" => measure::<Stats>(&database, &pool, &arguments, events, Some(STATS)).await?,
            // What these keep, no one statement makes.
            "records" => measure::<Records>(&database, &pool, &arguments, events, None).await?,
            "strength" => measure::<Strength>(&database, &pool, &arguments, events, None).await?,
            other => bail!("there is no model {other}"),
        }
    }
    Ok(())
}

async fn measure<P: Projection>(
    database: &Database,
    pool: &PgPool,
    arguments: &Arguments,
    events: u64,
    limit: Option<&'static str>,
) -> Result<()> {
    let by_sql = match limit {
        None => None,
        Some(limit) => Some(events as f64 / by_statement(pool, limit).await?),
    };
    let mut rates = Vec::new();
    let mut megabytes = 0.0;
    for round in 0..arguments.rounds {
        rest(pool).await?;
        forget_peak()?;
        let projector = database.connect_projector();
        let options = Options {
            workers: arguments.workers,
            verify: arguments.verify && round > 0,
            ..Options::default()
        };
        let reader = Reader::open(&projector);
        let replay = Replay::<P>::new(&projector, reader, options, CancellationToken::new())
            .with_keys(Some(database.projector_keys()));
        let replayed = replay.run().await?;
        ensure!(replayed.swapped && replayed.events == events, "{replayed:?}");
        let rate = replayed.events as f64 / replayed.took.as_secs_f64();
        megabytes = f64::max(megabytes, peak()?);
        let compared = replayed.compared.map(|rows| format!(", {rows} rows equal"));
        eprintln!(
            "{}: replayed {rate:.0}/s, of {:.1} s {:.1} for indexes{}",
            P::NAME,
            replayed.took.as_secs_f64(),
            replayed.indexing.as_secs_f64(),
            compared.unwrap_or_default(),
        );
        rates.push(rate);
    }
    let rate = benches::mean(&rates);
    let limit =
        by_sql.map(|limit| format!(" sql_limit_per_s={limit:.0} ratio={:.2}", rate / limit));
    println!(
        "bench replay: projection={} events_per_s={rate:.0}{} rss_mb={megabytes:.0}",
        P::NAME,
        limit.unwrap_or_default(),
    );
    Ok(())
}

/// How many seconds Postgres takes for the rows by statements of its own.
async fn by_statement(pool: &PgPool, limit: &'static str) -> Result<f64> {
    rest(pool).await?;
    let began = Instant::now();
    let mut connection = pool.acquire().await?;
    sqlx::raw_sql("set work_mem = '256MB'; set maintenance_work_mem = '256MB'")
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(limit).execute(&mut *connection).await?;
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("by statements of Postgres alone: {seconds:.1} s");
    sqlx::raw_sql(
        "drop table if exists limit_sets; drop table if exists limit_workouts;
         drop table if exists limit_stats",
    )
    .execute(&mut *connection)
    .await?;
    Ok(seconds)
}

/// Every event as the tables have them; how many there are.
async fn copy_out(pool: &PgPool) -> Result<u64> {
    let types: Vec<&str> = events::TYPES.iter().map(|kind| kind.name).collect();
    let mut connection = pool.acquire().await?;
    let mut count = 0;
    for table in event_tables(&mut connection, (0..16).map(Partition)).await? {
        page(&mut connection, &table, 0..table.blocks, &types, |_| count += 1).await?;
    }
    Ok(count)
}

/// Makes the peak of this process' memory that of now.
fn forget_peak() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("the peak of memory")
}

/// The peak of this process' memory, in MB.
fn peak() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}
