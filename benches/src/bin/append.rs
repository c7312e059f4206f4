//! How fast is the log, beside `pgbench` inserting the same rows one per transaction?
//!
//! Both in turn, on the same server and database, each with as many clients and every answer
//! durable if the server is. What is compared is a set logged by an athlete: one event, one append.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use benches::{callers, mean, measure, percentile, rest, season};
use clap::Parser;
use log::{Clock, Keys, Log, MasterKey, Options, Random};
use servers::Postgres;
use sqlx::PgPool;
use testkit::new_id;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Sets of a workout of pgbench's.
const SETS: i32 = 20;

/// Until several processes have shared the tables, and know each other's.
const SETTLING: Duration = Duration::from_secs(4);

#[derive(Parser)]
struct Arguments {
    /// Appends under way at the same time, and clients of pgbench.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Partitions that the owners are spread over.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(i16).range(1..=16))]
    partitions: i16,
    /// Writer tasks of the log.
    #[arg(long, default_value_t = Options::default().lanes)]
    lanes: usize,
    /// Measurements of each, in turn.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Processes that append to the one log, with the callers divided among them.
    #[arg(long, default_value_t = 1)]
    processes: usize,
    /// Whether every append has an idempotency key too, under which its answer is kept.
    #[arg(long)]
    keys: bool,
    /// Be one of several processes, on the database of this address.
    #[arg(long, hide = true)]
    share: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.callers > 0 && arguments.rounds > 0, "at least one caller and one round");
    ensure!(arguments.processes > 0, "at least one process");
    if let Some(url) = &arguments.share {
        return share(&arguments, url).await;
    }
    let pgbench = Postgres::programs()?.join("pgbench");
    ensure!(pgbench.exists(), "{} is not there", pgbench.display());
    let database = testkit::Database::fresh().await;
    let pool = PgPool::connect(&database.owner_url()).await?;
    let options = Options { lanes: arguments.lanes, ..Options::default() };
    let log = database.log_with(&database.connect_api(), &options);
    let mut callers = callers(arguments.callers, arguments.partitions, &log, &pool).await?;
    callers[0].append(&log, arguments.keys).await?;
    prepare_plain(&pool).await?;
    season(&pool).await?;
    let (script, texts) = (script(arguments.partitions), texts(&pool).await?);

    let (mut ours, mut theirs, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    let mut together = Vec::new();
    for _ in 0..arguments.rounds {
        if arguments.processes > 1 {
            together.push(several(&arguments, &database.api_url()).await?);
            eprintln!("ours in {} processes {:.0}/s", arguments.processes, mean(&together));
        }
        rest(&pool).await?;
        let measured = measure(&log, callers, arguments.seconds, arguments.keys).await?;
        callers = measured.callers;
        ours.push(measured.per_second);
        latencies.extend(measured.latencies);
        eprintln!("ours {:.0}/s", measured.per_second);
        rest(&pool).await?;
        let row = (script.as_str(), texts.as_slice());
        let per_second = run_pgbench(&pgbench, &database.owner_url(), row, &arguments)?;
        theirs.push(per_second);
        eprintln!("pgbench {per_second:.0}/s");
    }
    let plain: i64 = sqlx::query_scalar("select count(*) from plain").fetch_one(&pool).await?;
    let stored: i64 =
        sqlx::query_scalar("select count(*) from log.events").fetch_one(&pool).await?;
    eprintln!("stored {stored}, by pgbench {plain}");

    if !together.is_empty() {
        println!(
            "bench append processes: one_per_s={:.0} together_per_s={:.0} ratio={:.2}",
            mean(&ours),
            mean(&together),
            mean(&together) / mean(&ours),
        );
    }
    latencies.sort_unstable();
    let (ours, theirs) = (mean(&ours), mean(&theirs));
    println!(
        "bench append: ours_per_s={ours:.0} pgbench_per_s={theirs:.0} ratio={:.2} p50_ms={:.2} \
         p99_ms={:.2}",
        ours / theirs,
        percentile(&latencies, 50),
        percentile(&latencies, 99),
    );
    Ok(())
}

/// Processes that share the log and append at the same time; appends a second, all together.
async fn several(arguments: &Arguments, url: &str) -> Result<f64> {
    let mut children = Vec::new();
    for _ in 0..arguments.processes {
        let mut child = tokio::process::Command::new(std::env::current_exe()?);
        child.args(["--share", url]);
        child.args(["--callers", &(arguments.callers / arguments.processes).max(1).to_string()]);
        child.args(["--seconds", &arguments.seconds.to_string()]);
        child.args(["--partitions", &arguments.partitions.to_string()]);
        if arguments.keys {
            child.arg("--keys");
        }
        children.push(child.kill_on_drop(true).stdout(Stdio::piped()).spawn()?);
    }
    let mut per_second = 0.0;
    for child in children {
        let output = child.wait_with_output().await?;
        ensure!(output.status.success(), "one of the processes failed");
        per_second += String::from_utf8(output.stdout)?.trim().parse::<f64>()?;
    }
    Ok(per_second)
}

/// One of several processes: prints its appends a second.
async fn share(arguments: &Arguments, url: &str) -> Result<()> {
    let database = log::Database::new(url, "ironledger bench", 10)?;
    let master = MasterKey::from_base64(testkit::MASTER_KEY).map_err(anyhow::Error::msg)?;
    let keys = Keys::new(database.pool.clone(), master, Random::system());
    let options = Options { lanes: arguments.lanes, ..Options::default() };
    let log = Log::open(&database, keys, Clock::system(), &options);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (sharing, stop) = (log.clone(), CancellationToken::new());
    let stopped = stop.clone();
    let shared = tokio::spawn(async move {
        sharing.share(listener, address, &Random::system(), stopped).await;
    });
    // Until leases and routes are settled, and the others are there too.
    tokio::time::sleep(SETTLING).await;
    let callers = callers(arguments.callers, arguments.partitions, &log, &database.pool).await?;
    let measured = measure(&log, callers, arguments.seconds, arguments.keys).await?;
    println!("{:.1}", measured.per_second);
    stop.cancel();
    shared.await?;
    Ok(())
}

/// The table of events as it would be without the log: one table, the same keys and indexes.
async fn prepare_plain(pool: &PgPool) -> Result<()> {
    for statement in [
        "create table plain (like log.events including defaults including constraints)",
        "alter table plain add primary key (partition, position)",
        "create unique index on plain (stream_id, owner, stream_kind, version, partition)",
        "create unique index on plain (client_id, owner, partition) where client_id is not null",
        "create sequence plain_position",
    ] {
        sqlx::query(statement).execute(pool).await?;
    }
    Ok(())
}

/// The texts of a stored event, as pgbench's variables: it sends them with every row, as whoever
/// inserts must. In the script itself it would take what follows a colon for a variable.
async fn texts(pool: &PgPool) -> Result<Vec<String>> {
    let (metadata, payload, fingerprint): (String, String, String) = sqlx::query_as(
        "select metadata, payload, fingerprint::text from log.events
         where fingerprint is not null limit 1",
    )
    .fetch_one(pool)
    .await?;
    Ok(vec![
        format!("metadata={metadata}"),
        format!("payload={payload}"),
        format!("fingerprint={fingerprint}"),
    ])
}

/// Inserts one row like ours. Its ids are in order like ours, made from the position by the
/// server: twenty sets a workout, and a partition for each client.
fn script(partitions: i16) -> String {
    let owner = new_id();
    format!(
        "insert into plain (partition, position, epoch, owner, stream_kind, stream_id, version,
             type, type_version, recorded_at, client_id, fingerprint, metadata, payload)
         select :client_id % {partitions}, n, 1, '{owner}', 3,
             ('0193f0a0-0000-7000-8000-' || lpad(to_hex(n / {SETS}), 12, '0'))::uuid,
             n % {SETS} + 1, 'SetLogged', 1, now(),
             ('0193f0a0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
             :fingerprint::bytea, :metadata::text, :payload::text
         from nextval('plain_position') as n;\n"
    )
}

/// Inserts per second, without the time that connecting took.
fn run_pgbench(
    program: &Path,
    url: &str,
    (script, texts): (&str, &[String]),
    arguments: &Arguments,
) -> Result<f64> {
    let mut child = Command::new(program)
        .args(["-n", "-M", "prepared", "-j", "2", "-f", "-"])
        .args(["-c", &arguments.callers.to_string()])
        .args(["-T", &arguments.seconds.to_string()])
        .args(texts.iter().flat_map(|text| ["-D", text]))
        .arg(without_settings_of_sqlx(url))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("pgbench cannot be run")?;
    child.stdin.take().context("its input")?.write_all(script.as_bytes())?;
    let output = child.wait_with_output()?;
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "pgbench failed:\n{errors}");
    said.lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
        .with_context(|| format!("pgbench said no rate:\n{said}"))
}

/// Postgres' own programs refuse an address with a setting that they do not know.
fn without_settings_of_sqlx(url: &str) -> String {
    let (address, settings) = url.split_once('?').unwrap_or((url, ""));
    let known = |setting: &&str| setting.starts_with("host=") || setting.starts_with("sslmode=");
    let settings: Vec<&str> = settings.split('&').filter(known).collect();
    format!("{address}?{}", settings.join("&"))
}
