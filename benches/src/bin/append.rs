//! How fast is the log, beside `pgbench` inserting the same rows one per transaction?
//!
//! Both in turn, on the same server and database, each with as many clients and every answer
//! durable if the server is. What is compared is a set logged by an athlete: one event, one append.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use events::{
    Actor, AthleteId, Channel, Event, ExerciseId, Metadata, Partition, Personal, Reps, Rpe,
    Seconds, SetId, SetKind, SetLogged, SetNumber, SetValues, Side, Stream, Version, Weight,
    WeightUnit, WorkoutId,
};
use log::{
    Append, ClientId, Clock, IdempotencyKey, Keep, Keys, Log, MasterKey, NewEvent, Options, Random,
    Write,
};
use servers::Postgres;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Sets of a workout.
const SETS: i32 = 20;

/// One set in so many has notes, which are sealed.
const NOTES_EVERY: usize = 20;

/// What a command is recognised by, beside its id: its text.
const SAID: &[u8] = br#"["log_set",{"exercise":"bench-press-barbell","kind":"normal","number":1,
    "reps":8,"rest_seconds":150,"rpe":8.5,"weight":{"kg":"82.5","unit":"kg","value":"82.5"}}]"#;

/// Before it is measured.
const WARM_UP: Duration = Duration::from_secs(2);

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
    let mut callers = callers(&arguments, &log, &pool).await?;
    callers[0].append(&log, arguments.keys).await?;
    prepare_plain(&pool).await?;
    season(&pool).await?;
    let script = script(arguments.partitions);

    let (mut ours, mut theirs, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    let mut together = Vec::new();
    for _ in 0..arguments.rounds {
        if arguments.processes > 1 {
            together.push(several(&arguments, &database.api_url()).await?);
            eprintln!("ours in {} processes {:.0}/s", arguments.processes, mean(&together));
        }
        let measured = measure(&log, callers, &arguments).await?;
        callers = measured.callers;
        ours.push(measured.per_second);
        latencies.extend(measured.latencies);
        eprintln!("ours {:.0}/s", measured.per_second);
        let per_second = run_pgbench(&pgbench, &database.owner_url(), &script, &arguments)?;
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
    let callers = callers(arguments, &log, &database.pool).await?;
    let measured = measure(&log, callers, arguments).await?;
    println!("{:.1}", measured.per_second);
    stop.cancel();
    shared.await?;
    Ok(())
}

/// One of those who log sets at the same time.
struct Caller {
    /// In several partitions, in turn.
    owners: Vec<(AthleteId, Partition)>,
    owner: usize,
    workout: Stream,
    version: Version,
    appends: usize,
}

async fn callers(arguments: &Arguments, log: &Log, pool: &PgPool) -> Result<Vec<Caller>> {
    let mut partitions = (0..arguments.partitions).cycle();
    let mut callers = Vec::new();
    let mut transaction = pool.begin().await?;
    for _ in 0..arguments.callers {
        let mut owners = Vec::new();
        for partition in partitions.by_ref().take(4) {
            let owner = AthleteId::new(fresh())?;
            log.keys().create(&mut transaction, owner, Clock::system().now()).await?;
            owners.push((owner, Partition(partition)));
        }
        // Not all begin a workout at the same moment.
        let appends = callers.len() * 7;
        let workout = workout()?;
        callers.push(Caller { owners, owner: 0, workout, version: Version(0), appends });
    }
    transaction.commit().await?;
    Ok(callers)
}

impl Caller {
    async fn append(&mut self, log: &Log, with_key: bool) -> Result<()> {
        if self.version.0 == SETS {
            self.owner = (self.owner + 1) % self.owners.len();
            (self.workout, self.version) = (workout()?, Version(0));
        }
        let (owner, partition) = self.owners[self.owner];
        self.appends += 1;
        let logged = set_logged(self.version, self.appends.is_multiple_of(NOTES_EVERY))?;
        let id = logged.set_id.uuid();
        let said = [id.as_bytes(), SAID].concat();
        let fingerprint = log.keys().fingerprint(owner, &said).await?.context("a key")?;
        let event = NewEvent {
            event: Event::from(logged),
            metadata: metadata(owner),
            client: Some(ClientId { id: Some(id), fingerprint }),
        };
        let write = Write { stream: self.workout, expected: self.version, events: vec![event] };
        let keep = with_key.then(|| Keep {
            key: IdempotencyKey { actor: owner.uuid(), key: id.into_bytes(), said: fingerprint },
            answer: SAID.to_vec(),
        });
        let append = Append { owner, partition, writes: vec![write] };
        log.append_and_keep(append, keep).await?;
        self.version = self.version.next();
        Ok(())
    }
}

struct Measured {
    callers: Vec<Caller>,
    per_second: f64,
    latencies: Vec<Duration>,
}

async fn measure(log: &Log, callers: Vec<Caller>, arguments: &Arguments) -> Result<Measured> {
    let begin = Instant::now() + WARM_UP;
    let end = begin + Duration::from_secs(arguments.seconds);
    let (log, with_keys) = (Arc::new(log.clone()), arguments.keys);
    let tasks = callers.into_iter().map(|mut caller| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            let mut before = Instant::now();
            while before < end {
                caller.append(&log, with_keys).await?;
                let after = Instant::now();
                if before >= begin && after <= end {
                    latencies.push(after - before);
                }
                before = after;
            }
            anyhow::Ok((caller, latencies))
        })
    });
    let (mut callers, mut latencies) = (Vec::new(), Vec::new());
    for task in tasks.collect::<Vec<_>>() {
        let (caller, some) = task.await??;
        callers.push(caller);
        latencies.extend(some);
    }
    let per_second = latencies.len() as f64 / (end - begin).as_secs_f64();
    Ok(Measured { callers, per_second, latencies })
}

fn set_logged(version: Version, with_notes: bool) -> Result<SetLogged> {
    let notes = "Felt heavy, left elbow complained on the last two reps; more warm-up next time.";
    Ok(SetLogged {
        set_id: SetId::new(fresh())?,
        set: SetValues {
            exercise: ExerciseId::System("bench-press-barbell".into()),
            number: SetNumber::new(i64::from(version.0 % 5) + 1)?,
            kind: SetKind::Normal,
            side: Side::Both,
            reps: Some(Reps::new(8)?),
            weight: Some(Weight::new("82.5".parse()?, WeightUnit::Kg)?),
            rpe: Some(Rpe::new(8.5)?),
            rest_seconds: Some(Seconds::new(150)?),
            duration_seconds: None,
            distance_metres: None,
            custom_metric: None,
            superset_id: None,
            notes: with_notes.then(|| Personal::Clear(notes.to_owned())),
            performed_at: Clock::system().now(),
        },
    })
}

fn metadata(owner: AthleteId) -> Metadata {
    Metadata {
        occurred_at: Clock::system().now(),
        actor: Actor::Athlete(owner),
        on_behalf_of: None,
        channel: Channel::Api,
        device: Some("iphone-6f1d2a".to_owned()),
        request: Some(fresh().to_string()),
        correlation: fresh(),
        causation: fresh(),
    }
}

/// The table of events as it would be without the log: one table, the same keys and indexes. Its
/// texts are those of a stored event, as defaults: pgbench would take what follows a colon in
/// them for variables.
async fn prepare_plain(pool: &PgPool) -> Result<()> {
    for statement in [
        "create table plain (like log.events including defaults including constraints)",
        "alter table plain add primary key (partition, position)",
        "create unique index on plain (stream_id, owner, stream_kind, version, partition)",
        "create unique index on plain (client_id, owner, partition) where client_id is not null",
        "create sequence plain_position",
        "do $$ begin
             execute (
                 select format(
                     'alter table plain alter metadata set default %L,
                          alter payload set default %L, alter fingerprint set default %L',
                     metadata, payload, fingerprint)
                 from log.events limit 1
             );
         end $$",
    ] {
        sqlx::query(statement).execute(pool).await?;
    }
    Ok(())
}

/// Makes a server that has just been made like one in service, for both: with files of the
/// write-ahead log to use again, where a new server fills each with zeros first, and with memory that
/// was used before.
async fn season(pool: &PgPool) -> Result<()> {
    let mut connection = pool.acquire().await?;
    for _ in 0..64 {
        sqlx::query("select pg_logical_emit_message(true, '', ''), pg_switch_wal()")
            .execute(&mut *connection)
            .await?;
    }
    for statement in [
        "create unlogged table used as
             select repeat('x', 1800) from generate_series(1, 280000)",
        "drop table used",
        "checkpoint",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Inserts one row like ours. Its ids are in order like ours, made from the position by the
/// server: twenty sets a workout, and a partition for each client.
fn script(partitions: i16) -> String {
    let owner = fresh();
    format!(
        "insert into plain (partition, position, epoch, owner, stream_kind, stream_id, version,
             type, type_version, recorded_at, client_id)
         select :client_id % {partitions}, n, 1, '{owner}', 3,
             ('0193f0a0-0000-7000-8000-' || lpad(to_hex(n / {SETS}), 12, '0'))::uuid,
             n % {SETS} + 1, 'SetLogged', 1, now(),
             ('0193f0a0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
         from nextval('plain_position') as n;\n"
    )
}

/// Inserts per second, without the time that connecting took.
fn run_pgbench(program: &Path, url: &str, script: &str, arguments: &Arguments) -> Result<f64> {
    let mut child = Command::new(program)
        .args(["-n", "-M", "prepared", "-j", "2", "-f", "-"])
        .args(["-c", &arguments.callers.to_string()])
        .args(["-T", &arguments.seconds.to_string()])
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

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// In milliseconds, of sorted latencies.
fn percentile(latencies: &[Duration], percent: usize) -> f64 {
    let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
    latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
}

fn workout() -> Result<Stream> {
    Ok(Stream::workout(WorkoutId::new(fresh())?))
}

fn fresh() -> Uuid {
    Random::system().uuid(Clock::system().now())
}
