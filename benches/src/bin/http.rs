//! What does the whole product do over HTTP, on one machine with everything that it needs?
//!
//! `wrk` asks release builds: reads by athletes nobody asked for before (cold) and again (warm), sets
//! logged with every other process at work and by the API alone, tags that still hold. Beside it in the
//! same run what nobody can be faster than: an axum route that says hello, and an indexed `select`
//! by pgbench.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

#[path = "http/world.rs"]
mod world;
#[path = "http/wrk.rs"]
mod wrk;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::{Router, routing::get};
use clap::Parser;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::json;
use servers::Postgres;
use sqlx::PgPool;
use testkit::Process;
use tokio::task::spawn_blocking;

use world::World;
use wrk::{Found, Load, Request, Wrk};

#[derive(Parser)]
struct Arguments {
    /// Athletes whose training is there.
    #[arg(long, default_value_t = 100_000)]
    athletes: usize,
    /// Their sets, all together.
    #[arg(long, default_value_t = 20_000_000)]
    sets: u64,
    /// How many of the athletes ask.
    #[arg(long, default_value_t = 10_000)]
    asking: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections of those who ask as fast as they are answered.
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Reads a second, while they are measured.
    #[arg(long, default_value_t = 400)]
    pace: u64,
    /// Only have sets logged by the API alone, for a profile of it.
    #[arg(long)]
    alone: bool,
    /// Be the axum route that says hello.
    #[arg(long, hide = true)]
    hello: bool,
}

/// With what the reads at the full size are compared: so many times less.
const SMALLER: usize = 100;

/// What athletes read.
const READS: [(&str, &str); 3] = [
    ("history", "/v1/history?limit=20"),
    ("records", "/v1/records"),
    ("stats", "/v1/stats/overview?period=90d"),
];

/// Sets a second that the product is to log with everything at work.
const WANTED: f64 = 10_000.0;

/// Connections of those who keep a pace.
const AT_A_PACE: u64 = 32;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.hello {
        return hello().await;
    }
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let wrk = Wrk::new()?;
    let time = Duration::from_secs(arguments.seconds);
    let fast = Load { connections: arguments.connections, time, pace: None };

    if arguments.alone {
        let mut world =
            World::new(&binary, arguments.athletes, arguments.sets, arguments.asking).await?;
        world.end_the_rest();
        let begun = started(&world).await?;
        return alone(&world, &wrk, &begun, fast).await.map(drop);
    }
    let (people, sets) = (arguments.athletes / SMALLER, arguments.sets / SMALLER as u64);
    let small = World::new(&binary, people.max(10), sets, arguments.asking).await?;
    let small_reads = reads(&small, &wrk, &arguments).await?;
    drop(small);
    let mut world =
        World::new(&binary, arguments.athletes, arguments.sets, arguments.asking).await?;
    let full_reads = reads(&world, &wrk, &arguments).await?;
    let ratios = full_reads.iter().zip(&small_reads).map(|(full, small)| full / small);
    let small_ratio = ratios.fold(0.0, f64::max);
    // Everything at work, which a set passes through, and without which nothing that is kept gets old.
    world.start_the_rest().await;
    world.caught_up().await?;
    let hit_rate = hit_rate(&world, &wrk, time).await?;
    let not_modified = not_modified(&world, &wrk, fast).await?;

    let begun = started(&world).await?;
    let body = a_set();
    // A broker that has just begun compiles itself as it goes.
    let warm_up = Load { time: Duration::from_secs(10), ..fast };
    let url = world.app.url().to_owned();
    wrk.send(&url, &begun, &body, warm_up).await?;
    world.caught_up().await?;
    let all = wrk.send(&url, &begun, &body, fast).await?;
    let behind = world.caught_up().await?;
    ensure!(all.failed == 0, "{} sets were not logged", all.failed);
    eprintln!(
        "everything: {:.0} sets a second, p50 {:.2} ms, p99 {:.2} ms; the last of them everywhere {:.2} s later",
        all.per_second(),
        all.p50_ms(),
        all.p99_ms(),
        behind.as_secs_f64(),
    );
    // Half of what is wanted, or of what there is.
    let pace = Some((all.per_second().min(WANTED) / 2.0) as u64);
    let half = wrk.send(&url, &begun, &body, Load { pace, ..fast }).await?;
    ensure!(half.failed == 0, "{} sets were not logged", half.failed);
    let behind = world.caught_up().await?;
    eprintln!(
        "half of it: {:.0} sets a second, p50 {:.2} ms, p99 {:.2} ms; everywhere {:.2} s later",
        half.per_second(),
        half.p50_ms(),
        half.p99_ms(),
        behind.as_secs_f64(),
    );
    world.end_the_rest();
    let alone = alone(&world, &wrk, &begun, fast).await?;
    ensure!(logged(&world).await?, "not every set that was answered is in the log");

    let mut other = Process::start(&std::env::current_exe()?, &["--hello"], &[]);
    let address = other.listening().await;
    let nobody =
        [Request { method: "GET", path: "/".to_owned(), token: "none".to_owned(), tag: None }];
    let hello = wrk.send(&address, &nobody, "", fast).await?;
    drop(other);
    let select = select(&world.app.database.owner_url(), &world.pool, arguments.seconds).await?;

    let [history, records, stats] = full_reads[..] else { anyhow::bail!("three kinds of reads") };
    println!(
        "bench http: set_logs_per_s={:.0} api_only_per_s={:.0} half_load_p99_ms={:.2} \
         history_p99_ms={history:.2} records_p99_ms={records:.2} stats_p99_ms={stats:.2} \
         hit_rate={hit_rate:.3} not_modified_per_s={not_modified:.0} hello_per_s={:.0} \
         select_p99_ms={select:.2} small_ratio={small_ratio:.2}",
        all.per_second(),
        alone.per_second(),
        half.p99_ms(),
        hello.per_second(),
    );
    Ok(())
}

fn a_set() -> String {
    let set = json!({
        "exercise": "bench-press-barbell", "number": 1, "reps": 8, "rpe": 8.5,
        "weight": { "value": 82.5, "unit": "kg" },
    });
    set.to_string()
}

/// Sets that the API logs by itself.
async fn alone(world: &World, wrk: &Wrk, begun: &[Request], load: Load) -> Result<Found> {
    let alone = wrk.send(world.app.url(), begun, &a_set(), load).await?;
    ensure!(alone.failed == 0, "{} sets were not logged", alone.failed);
    eprintln!(
        "the API alone: {:.0} sets a second, p50 {:.2} ms, p99 {:.2} ms",
        alone.per_second(),
        alone.p50_ms(),
        alone.p99_ms(),
    );
    Ok(alone)
}

/// The p99 of each kind of read, in milliseconds, by athletes of whom nothing is in a cache.
async fn reads(world: &World, wrk: &Wrk, arguments: &Arguments) -> Result<Vec<f64>> {
    let url = world.app.url();
    let load = Load {
        connections: AT_A_PACE,
        time: Duration::from_secs(arguments.seconds),
        pace: Some(arguments.pace),
    };
    // As many as are asked within the time, so that nobody is asked twice.
    let wanted = usize::try_from(arguments.pace * arguments.seconds)?.min(world.athletes.len());
    let mut all = Vec::new();
    for (name, path) in READS {
        let each = world.of_each("GET", path)?;
        // wrk says how many failed, and not why.
        let last = each.last().context("nobody asks")?;
        world.app.client().with_token(&last.token).get(path).await.expect(200);
        // Connections and statements are there before.
        let other = world.of_each("GET", "/v1/stats/personal-records")?;
        let before = Load { time: Duration::from_secs(2), ..load };
        wrk.send(url, &other, "", before).await?;
        let cold = wrk.send(url, &each, "", load).await?;
        ensure!(cold.failed == 0, "{} of {name} failed", cold.failed);
        let few = &each[..each.len().min(200)];
        wrk.send(url, few, "", Load { time: Duration::from_secs(2), ..load }).await?;
        let warm = wrk.send(url, few, "", load).await?;
        ensure!(warm.failed == 0, "{} of {name} failed", warm.failed);
        eprintln!(
            "{} sets, {name}: cold p50 {:.2} p99 {:.2} ms, warm p50 {:.2} p99 {:.2} ms, at {:.0} a second, \
             {wanted} athletes",
            world.sets,
            cold.p50_ms(),
            cold.p99_ms(),
            warm.p50_ms(),
            warm.p99_ms(),
            cold.per_second(),
        );
        all.push(cold.p99_ms());
    }
    Ok(all)
}

/// Which part of readings is found in a cache, where some athletes look often and most seldom: one in
/// five makes four of five requests, and one request in ten logs a set.
async fn hit_rate(world: &World, wrk: &Wrk, time: Duration) -> Result<f64> {
    let mut rng = StdRng::seed_from_u64(8);
    let begun = started(world).await?;
    let athletes = begun.len().min(1000);
    let mut requests = Vec::new();
    for _ in 0..20_000 {
        let few = rng.random_bool(0.8);
        let range = if few { 0..athletes.div_ceil(5) } else { 0..athletes };
        let index = rng.random_range(range);
        if rng.random_bool(0.1) {
            requests.push(begun[index].clone());
        } else {
            let (_, path) = READS[rng.random_range(0..READS.len())];
            let request = Request { method: "GET", path: path.to_owned(), ..begun[index].clone() };
            requests.push(request);
        }
    }
    requests.shuffle(&mut rng);
    let body = json!({
        "exercise": "squat-barbell", "number": 1, "reps": 5, "weight": { "value": 100, "unit": "kg" },
    });
    let (found, all) = world.looked().await;
    let load = Load { connections: AT_A_PACE, time, pace: Some(1000) };
    let sent = wrk.send(world.app.url(), &requests, &body.to_string(), load).await?;
    ensure!(sent.failed == 0, "{} of the mixed load failed", sent.failed);
    let (found_after, all_after) = world.looked().await;
    ensure!(all_after > all, "nobody looked into a cache");
    Ok((found_after - found) / (all_after - all))
}

/// How many who have what is true are told so, a second.
async fn not_modified(world: &World, wrk: &Wrk, load: Load) -> Result<f64> {
    let (_, path) = READS[0];
    let mut requests = world.of_each("GET", path)?;
    requests.truncate(500);
    for request in &mut requests {
        let client = world.app.client().with_token(&request.token);
        let answer = client.get(path).await.expect(200);
        request.tag = Some(answer.header("etag").to_owned());
    }
    let found = wrk.send(world.app.url(), &requests, "", load).await?;
    ensure!(found.failed == 0, "{} of those with tags failed", found.failed);
    Ok(found.per_second())
}

/// A request of everybody to log a set in a workout of theirs that goes on.
async fn started(world: &World) -> Result<Vec<Request>> {
    let mut all = world.of_each("POST", "")?;
    for some in all.chunks_mut(32) {
        let starting = some.iter().map(|request| {
            let client = world.app.client().with_token(&request.token);
            async move { client.start_workout(json!({})).await }
        });
        let paths = futures_util::future::join_all(starting).await;
        for (request, path) in some.iter_mut().zip(paths) {
            request.path = format!("{path}/sets");
        }
    }
    Ok(all)
}

/// Whether the log has no hole, and every stream of a workout counts from one.
async fn logged(world: &World) -> Result<bool> {
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from (
             select 1 from log.events group by partition having count(*) <> max(position)
         ) as holes",
    )
    .fetch_one(&world.pool)
    .await?;
    Ok(wrong == 0)
}

/// An axum route that says hello, as bare as they come.
async fn hello() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/", get(|| async { "hello" }))).await?;
    Ok(())
}

/// The p99 of a select by an index, in milliseconds, of pgbench with as many clients as reads have.
async fn select(url: &str, pool: &PgPool, seconds: u64) -> Result<f64> {
    let pgbench = Postgres::programs()?.join("pgbench");
    let last: i64 = sqlx::query_scalar("select max(position) from log.events where partition = 0")
        .fetch_one(pool)
        .await?;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("select.sql");
    let text = format!(
        "\\set n random(1, {last})\nselect payload from log.events where partition = 0 and position = :n;\n"
    );
    std::fs::write(&script, text)?;
    let mut command = Command::new(pgbench);
    command.args(["-n", "-M", "prepared", "-c", "4", "-j", "1", "-l", "--log-prefix=times"]);
    command.args(["-T", &seconds.to_string(), "-R", "1000"]).arg("-f").arg(&script);
    // A parameter of our driver is none of theirs.
    let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
    let known = parameters.split('&').filter(|one| !one.starts_with("statement-cache"));
    command.arg(format!("{address}?{}", known.collect::<Vec<_>>().join("&")));
    command.current_dir(folder.path()).stdin(Stdio::null());
    let output = spawn_blocking(move || command.output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut times = Vec::new();
    for entry in std::fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with("times")) {
            for line in std::fs::read_to_string(path)?.lines() {
                let micros = line.split(' ').nth(2).context("a time of pgbench")?;
                times.push(Duration::from_micros(micros.parse()?));
            }
        }
    }
    times.sort_unstable();
    Ok(benches::percentile(&times, 99))
}
