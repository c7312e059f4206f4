//! Does the log lose, double or skip an event when its writers are disturbed?
//!
//! Several processes that share the log's tables append at random to the same streams while their
//! connections are cut, they are frozen and killed, others roll back at the positions that they want,
//! and Postgres is restarted. Readers follow all
//! the while. At the end, what was acknowledged, what readers saw and what is stored must agree.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

#[path = "faults_log/faults.rs"]
mod faults;
#[path = "faults_log/follow.rs"]
mod follow;
#[path = "faults_log/writer.rs"]
mod writer;
#[path = "faults_log/writers.rs"]
mod writers;

use std::{
    collections::HashMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use benches::Server;
use clap::Parser;
use events::{AthleteId, Partition, Position, SetId, Stream, Timestamp, Version, WorkoutId};
use log::{Clock, Keys, Log, MasterKey, Random};
use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{faults::Faults, follow::Seen, writers::Writers};

const WRITERS: usize = 3;
const OWNERS: usize = 24;
const STREAMS: usize = 4;
const PARTITIONS: i16 = 4;

/// What is left to do after the last fault takes at most so long.
const REST: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct Arguments {
    /// How long the log is disturbed.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Decides which faults happen when, and what is appended.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Be a writer, with this number.
    #[arg(long, hide = true, requires = "database")]
    writer: Option<u64>,
    /// The database that a writer appends to.
    #[arg(long, hide = true)]
    database: Option<String>,
}

/// Whose events are appended, and to which streams: the same in every process of one seed.
struct Owner {
    id: AthleteId,
    partition: Partition,
    streams: Vec<Stream>,
}

/// Where an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    partition: Partition,
    position: Position,
    owner: AthleteId,
    stream: Stream,
    version: Version,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let (Some(number), Some(database)) = (arguments.writer, &arguments.database) {
        writer::run(database, arguments.seed, number).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let limit = Duration::from_secs(arguments.seconds) + REST;
    let good = timeout(limit, run(&arguments)).await.context("it did not come to an end")??;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(arguments: &Arguments) -> Result<bool> {
    // Dropped last.
    let server = Server::start().await?;
    let database = testkit::Database::on(&server.url()?).await;
    let owners = owners(arguments.seed)?;
    let log = database.log();
    let pool = PgPool::connect(&database.owner_url()).await?;
    let keys = keys(&pool)?;
    let mut transaction = pool.begin().await?;
    for owner in &owners {
        keys.create(&mut transaction, owner.id, Clock::system().now()).await?;
    }
    transaction.commit().await?;

    let (stop, stopped) = watch::channel(None);
    let late = Duration::from_secs(arguments.seconds) / 3;
    let readers = [(Duration::ZERO, 200), (late, 1000)].map(|(delay, page)| {
        let (log, stopped) = (database.log(), stopped.clone());
        tokio::spawn(async move {
            sleep(delay).await;
            follow::follow(&log, page, stopped).await
        })
    });

    let mut writers = Writers::start(&database.api_url(), arguments.seed, WRITERS)?;
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let faults =
        Faults::new(arguments.seed, pool.clone(), server.clone()).run(&mut writers, until).await?;
    let told = writers.stop().await?;
    writers_are_gone(&pool).await?;
    stop.send_replace(Some(log.reader().heads().await?));
    let mut seen = Vec::new();
    for reader in readers {
        seen.push(reader.await??);
    }
    eprintln!("faults: {faults}");
    compare(&log, &pool, told, &seen).await
}

/// Compares what was acknowledged, seen and stored, and prints what came of it.
async fn compare(
    log: &Log,
    pool: &PgPool,
    told: writers::Told,
    seen: &[Vec<Seen>],
) -> Result<bool> {
    let mut wrong = told.wrong;
    let mut lost = 0;
    for (number, seen) in seen.iter().enumerate() {
        let places: HashMap<SetId, Place> =
            seen.iter().map(|event| (event.set, event.place)).collect();
        let missed = told.acknowledged.iter().filter(|(set, place)| {
            let found = places.get(set);
            if found != Some(place) {
                wrong.push(format!("reader {number}: {set} at {place:?} was seen at {found:?}"));
                return true;
            }
            false
        });
        lost = lost.max(missed.count());
    }
    let mut times: HashMap<SetId, usize> = HashMap::new();
    for event in &seen[0] {
        *times.entry(event.set).or_default() += 1;
    }
    let doubled: usize = times.values().map(|times| times - 1).sum();
    let [first, rest @ ..] = &*by_partition(seen) else { unreachable!("there are readers") };
    if rest.iter().any(|other| other != first) {
        wrong.push("the readers saw different things".to_owned());
    }

    let stored: i64 = sqlx::query_scalar("select count(*) from log.events").fetch_one(pool).await?;
    if log.reader().heads().await?.values().map(|head| head.0).sum::<i64>() != seen[0].len() as i64
    {
        wrong.push("the readers did not see everything".to_owned());
    }
    // Readers fail at a hole. These are counted by Postgres itself.
    let holes: i64 = sqlx::query_scalar(
        "select (coalesce(sum(last - events), 0) + (
             select coalesce(sum(last - events), 0) from (
                 select max(version) as last, count(*) as events
                 from log.events group by owner, stream_kind, stream_id
             ) as streams
         ))::bigint
         from (
             select max(position) as last, count(*) as events from log.events group by partition
         ) as partitions",
    )
    .fetch_one(pool)
    .await?;

    for wrong in wrong.iter().take(20) {
        eprintln!("wrong: {wrong}");
    }
    let acknowledged = told.acknowledged.len();
    println!(
        "faults log: acknowledged={acknowledged} stored={stored} lost={lost} doubled={doubled} \
         holes={holes}"
    );
    Ok(wrong.is_empty() && (lost, doubled, holes) == (0, 0, 0) && acknowledged > 0)
}

/// What each reader saw, in an order that does not depend on how partitions were interleaved.
fn by_partition(seen: &[Vec<Seen>]) -> Vec<Vec<&Seen>> {
    seen.iter()
        .map(|seen| {
            let mut seen: Vec<&Seen> = seen.iter().collect();
            seen.sort_by_key(|event| event.place.partition);
            seen
        })
        .collect()
}

/// A statement of a killed process may still be under way.
async fn writers_are_gone(pool: &PgPool) -> Result<()> {
    for _ in 0..300 {
        let left: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name like $1",
        )
        .bind(format!("{}%", writer::NAME))
        .fetch_one(pool)
        .await?;
        if left == 0 {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("connections of the writers are left")
}

/// The keys of the owners, with a master key of this program.
fn keys(pool: &PgPool) -> Result<Keys> {
    let master = MasterKey::from_base64("ZmF1bHRzIG1hc3RlciBrZXkgZmF1bHRzIG1hc3RlciE");
    Ok(Keys::new(pool.clone(), master.map_err(anyhow::Error::msg)?, Random::system()))
}

fn owners(seed: u64) -> Result<Vec<Owner>> {
    let random = Random::seeded(seed);
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().map_err(anyhow::Error::msg)?;
    (0..OWNERS)
        .zip((0..PARTITIONS).cycle())
        .map(|(_, partition)| {
            let streams = (0..STREAMS).map(|_| WorkoutId::new(random.uuid(at)));
            Ok(Owner {
                id: AthleteId::new(random.uuid(at))?,
                partition: Partition(partition),
                streams: streams.map(|id| Ok(Stream::workout(id?))).collect::<Result<_>>()?,
            })
        })
        .collect()
}
