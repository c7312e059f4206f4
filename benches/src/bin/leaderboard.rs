//! What do a rank and the first places cost among a million athletes, with Redis and without, and how
//! many records a second come to the boards?
//!
//! Invented athletes who trained lately go into the log, the product's own replay builds the boards,
//! and the product's own writer brings them to Redis. Then some more athletes ask over HTTP, by turns one
//! process that has Redis and one that has none; beside it, in the same run, a bare `ZREVRANK` of as
//! many members. Every rank is held against a count of the rows.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benches::percentile;
use clap::Parser;
use log::{Clock, Database, Random, Reader};
use projections::{
    boards::{Boards, Mirror},
    social::Social,
};
use projector::{Projection, Projector, Replay};
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use sqlx::PgPool;
use testkit::{App, Client};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const BOARD: &str = "bench-press-barbell";

/// Each of a pool's connections makes a plan of its own for a statement after five times.
const WARM_UPS: usize = 100;

/// Nobody answers there.
const NO_REDIS: (&str, &str) = ("REDIS_URL", "redis://127.0.0.1:1/");

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
    /// Athletes who come and take places, for the rate.
    #[arg(long, default_value_t = 5_000)]
    updates: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let app = App::without_projector(&binary).await;
    let (_without, url) = app.another_api_with(&[NO_REDIS]).await;
    let owner = PgPool::connect(&app.database.owner_url()).await?;
    let began = Instant::now();
    let events = benches::athletes(&app, arguments.athletes).await?;
    eprintln!("filled {events} events in {:.0} s", began.elapsed().as_secs_f64());

    let database = app.database.connect_projector();
    let keys = app.database.projector_keys();
    replay::<Boards>(&app, &database).await?;
    replay::<Social>(&app, &database).await?;
    sqlx::query("vacuum analyze").execute(&owner).await?;

    let reader = || Reader::open(&database);
    let mut boards = Projector::<Boards>::new(&database, reader()).with_keys(Some(keys.clone()));
    let mut social = Projector::<Social>::new(&database, reader()).with_keys(Some(keys));
    let redis_url = std::env::var("REDIS_URL").context("REDIS_URL")?;
    let redis = || web::Redis::new(&redis_url, app.database.name());
    let stop = CancellationToken::new();
    let mirror = Mirror::new(database.clone(), Some(redis()?), Clock::system(), Random::system());
    let mirroring = tokio::spawn(mirror.run(stop.clone()));
    let mut connection =
        redis::Client::open(redis_url.as_str())?.get_multiplexed_async_connection().await?;
    let began = Instant::now();
    let mut set = set_of(&mut connection, &app).await?;
    eprintln!("in Redis after {:.1} s", began.elapsed().as_secs_f64());

    let mut clients = Vec::new();
    for number in 0..arguments.asking {
        clients.push(benches::trained(&app, 40 + 6 * u32::try_from(number)?).await?);
    }
    while boards.step(None, 1_000).await? + social.step(None, 1_000).await? > 0 {}
    drained(&owner).await?;

    let mut truths = Vec::new();
    for client in &clients {
        truths.push(by_counting(&owner, client.athlete.context("an athlete")?).await?);
    }
    benches::rest(&owner).await?;
    // Connections have planned their statements before, as those of a server in service have. Who asks for
    // that is below all whose ranks are known.
    let early = benches::trained(&app, 39).await?;
    while boards.step(None, 1_000).await? + social.step(None, 1_000).await? > 0 {}
    for _ in 0..WARM_UPS {
        for client in [&early, &early.at(&url)] {
            for limit in [1, 100] {
                let path = format!("/v1/leaderboards/{BOARD}?limit={limit}");
                client.get(&path).await.expect(200);
            }
        }
    }
    let (mut rank, mut top, mut no_redis, mut bare) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut no_redis_top, mut wrong) = (Vec::new(), 0);
    for (client, truth) in clients.iter().zip(truths) {
        let athlete = client.athlete.context("an athlete")?;
        let without = client.at(&url);
        let [one, hundred] = [1, 100].map(|n| format!("/v1/leaderboards/{BOARD}?limit={n}"));
        let (mut shown, mut shown_top) = (Value::Null, Value::Null);
        // One kind of server after the other: what the tables are asked in between would drive what the
        // other needs out of the processor's caches.
        for _ in 0..arguments.times {
            shown = timed(client, &one, &mut rank).await;
            wrong += usize::from(shown["me"]["rank"] != truth);
            shown_top = timed(client, &hundred, &mut top).await;
            let began = Instant::now();
            let place: Option<i64> = redis::cmd("ZREVRANK")
                .arg(&set)
                .arg(athlete.as_bytes())
                .query_async(&mut connection)
                .await?;
            bare.push(began.elapsed());
            ensure!(place.is_some(), "the athlete is in the set");
        }
        for _ in 0..arguments.times {
            let same = timed(&without, &one, &mut no_redis).await;
            wrong += usize::from(same["me"] != shown["me"] || same["around"] != shown["around"]);
            let same = timed(&without, &hundred, &mut no_redis_top).await;
            wrong += usize::from(same["top"] != shown_top["top"]);
        }
    }
    ensure!(wrong == 0, "{wrong} answers are not the truth");

    let rate = updates(&app, &owner, &mut boards, arguments.updates).await?;
    set = set_of(&mut connection, &app).await?;
    let members: i64 = redis::cmd("ZCARD").arg(&set).query_async(&mut connection).await?;
    let rows: i64 = sqlx::query_scalar("select count(*) from boards_v1.places where board = $1")
        .bind(BOARD)
        .fetch_one(&owner)
        .await?;
    ensure!(members == rows, "{members} members of {rows}");
    let size: i64 = sqlx::query_scalar(
        "select sum(pg_total_relation_size(c.oid))::bigint from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'boards_v1' and c.relkind = 'r'",
    )
    .fetch_one(&owner)
    .await?;
    stop.cancel();
    mirroring.await?;
    for times in [&mut rank, &mut top, &mut no_redis, &mut no_redis_top, &mut bare] {
        times.sort_unstable();
    }
    println!(
        "bench leaderboard: athletes={} rank_p50_ms={:.2} top_p50_ms={:.2} no_redis_rank_p50_ms={:.2} \
         no_redis_top_p99_ms={:.2} tables_mb={:.0}",
        arguments.athletes,
        percentile(&rank, 50),
        percentile(&top, 50),
        percentile(&no_redis, 50),
        percentile(&no_redis_top, 99),
        size as f64 / 1e6,
    );
    println!(
        "bench leaderboard: rank_p99_ms={:.2} top_p99_ms={:.2} no_redis_rank_p99_ms={:.2} \
         zrevrank_p99_ms={:.2} updates_per_s={rate:.0}",
        percentile(&rank, 99),
        percentile(&top, 99),
        percentile(&no_redis, 99),
        percentile(&bare, 99),
    );
    Ok(())
}

async fn replay<P: Projection>(app: &App, database: &Database) -> Result<()> {
    let (reader, stop) = (Reader::open(database), CancellationToken::new());
    let keys = app.database.projector_keys();
    let replay = Replay::<P>::new(database, reader, projector::Options::default(), stop);
    let replayed = replay.with_keys(Some(keys)).run().await?;
    ensure!(replayed.swapped, "{replayed:?}");
    let rate = replayed.events as f64 / replayed.took.as_secs_f64();
    eprintln!("replayed {} at {rate:.0} events/s", P::NAME);
    Ok(())
}

async fn timed(client: &Client, path: &str, times: &mut Vec<Duration>) -> Value {
    let began = Instant::now();
    let answer = client.get(path).await.expect(200);
    times.push(began.elapsed());
    answer.data().clone()
}

/// The set of everyone on the board, once it is there.
async fn set_of(connection: &mut MultiplexedConnection, app: &App) -> Result<String> {
    let root = format!("{}:boards", app.database.name());
    loop {
        let build: Option<String> =
            redis::cmd("HGET").arg(&root).arg("current").query_async(connection).await?;
        if let Some(build) = build {
            return Ok(format!("{root}:{build}:{BOARD} 99991231:all"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until nothing is marked that is not in Redis.
async fn drained(owner: &PgPool) -> Result<()> {
    loop {
        let marked: i64 =
            sqlx::query_scalar("select count(*) from projector.marks where model = 'boards'")
                .fetch_one(owner)
                .await?;
        if marked == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The truth, by counting rows.
async fn by_counting(owner: &PgPool, athlete: Uuid) -> Result<i64> {
    let above: i64 = sqlx::query_scalar(
        "select count(*) from boards_v1.places p
         join boards_v1.places me on me.owner = $1 and me.board = p.board
         where p.board = $2 and p.score > me.score",
    )
    .bind(athlete)
    .bind(BOARD)
    .fetch_one(owner)
    .await?;
    Ok(above + 1)
}

/// Places a second that come from the log to the tables and from there to Redis.
async fn updates(
    app: &App,
    owner: &PgPool,
    boards: &mut Projector<Boards>,
    athletes: usize,
) -> Result<f64> {
    let places = "select count(*) from boards_v1.places";
    let before: i64 = sqlx::query_scalar(places).fetch_one(owner).await?;
    benches::athletes(app, athletes).await?;
    let began = Instant::now();
    while boards.step(None, 1_000).await? > 0 {}
    drained(owner).await?;
    let took = began.elapsed();
    let after: i64 = sqlx::query_scalar(places).fetch_one(owner).await?;
    Ok((after - before) as f64 / took.as_secs_f64())
}
