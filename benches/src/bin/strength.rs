//! What does a percentile cost among a million athletes, and how far is it from the truth?
//!
//! Invented athletes who were weighed and trained lately go into the log, the product's own replay
//! builds their levels, and then some more athletes ask the product for theirs over HTTP. Beside it, in the
//! same run: the same percentile by counting athletes, which also says what is true, and a bare
//! select of a row by its key.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use clap::Parser;
use events::{
    Actor, AthleteId, AthleteRegistered, BodyweightId, BodyweightMeasured, Channel, Event,
    Metadata, Notifications, Partition, Personal, Privacy, ProfileChanged, Reps, SetId, SetKind,
    SetLogged, SetNumber, SetValues, Sex, Side, Stream, Theme, TimeZone, Timestamp, Units, Version,
    Visibility, Weighing, Weight, WeightUnit, WorkoutCompleted, WorkoutDetails, WorkoutId,
    WorkoutStarted,
};
use log::{Append, Clock, Log, NewEvent, Options, Reader, Write};
use projections::strength::Strength;
use projector::{Projection, Projector, Replay};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::{App, Client, new_id};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const EXERCISE: &str = "bench-press-barbell";

/// Athletes whose keys one transaction makes.
const KEYS: usize = 2_000;

/// Appends under way at the same time.
const AT_ONCE: usize = 256;

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
    let events = fill(&app, arguments.athletes).await?;
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
        let client = trained(&app, kg).await?;
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

/// An athlete who trained yesterday, as an app would tell of it.
async fn trained(app: &App, kg: u32) -> Result<Client> {
    let client = app.athlete().await;
    client.patch("/v1/athletes/me", json!({ "sex": "male" })).await.expect(200);
    let yesterday = (Clock::system().now().utc() - TimeDelta::days(1)).to_rfc3339();
    let weighing: Value = json!({
        "measured_at": yesterday, "bodyweight": { "value": 80, "unit": "kg" },
    });
    client.post("/v1/athletes/me/measurements", weighing).await.expect(201);
    let workout = client.start_workout(json!({ "started_at": yesterday })).await;
    let mut set = testkit::bench(3, kg);
    set["performed_at"] = json!(yesterday);
    client.log_set(&workout, set).await.expect(201);
    client.complete(&workout, json!({})).await.expect(200);
    Ok(client)
}

/// Puts athletes on the log who trained within the last three weeks; answers how many events.
async fn fill(app: &App, athletes: usize) -> Result<usize> {
    let database = app.database.connect_api();
    let log = app.database.log_with(&database, &Options::default());
    let partitions: Vec<Partition> = log.reader().heads().await?.into_keys().collect();
    let now = Clock::system().now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut events = 0;
    let mut appending = JoinSet::new();
    let mut left = athletes;
    while left > 0 {
        let count = left.min(KEYS);
        left -= count;
        let ids: Vec<AthleteId> =
            (0..count).map(|_| AthleteId::new(new_id())).collect::<Result<_, _>>()?;
        let mut transaction = database.pool.begin().await?;
        for id in &ids {
            log.keys().create(&mut transaction, *id, now).await?;
        }
        transaction.commit().await?;
        for id in ids {
            let partition = partitions[rng.random_range(0..partitions.len())];
            let append = life(id, partition, now, &mut rng)?;
            events += append.writes.iter().map(|write| write.events.len()).sum::<usize>();
            let log: Log = log.clone();
            appending.spawn(async move { log.append(append).await });
            if appending.len() >= AT_ONCE
                && let Some(done) = appending.join_next().await
            {
                done??;
            }
        }
    }
    while let Some(done) = appending.join_next().await {
        done??;
    }
    Ok(events)
}

/// What happened to an athlete, in one append.
fn life(id: AthleteId, partition: Partition, now: Timestamp, rng: &mut StdRng) -> Result<Append> {
    let is_male = rng.random_bool(0.65);
    // Half of what three dice come to is near enough to how people are spread.
    let spread = |rng: &mut StdRng| (0..3).map(|_| rng.random_range(-1.0..1.0)).sum::<f64>() / 1.7;
    let bodyweight = if is_male { 82.0 } else { 66.0 } + 14.0 * spread(rng);
    let maximum = if is_male { 95.0 } else { 48.0 } + 30.0 * spread(rng);
    let kilograms = |kg: f64, step: f64| {
        let steps = (kg.max(20.0) / step).round() * step;
        let decimal = Decimal::try_from(steps).unwrap_or(Decimal::ONE_HUNDRED);
        Weight::new(decimal.round_dp(2), WeightUnit::Kg)
    };
    let days = TimeDelta::minutes(rng.random_range(60..30_000));
    let at = now.shifted(-days).context("a time")?;
    let registered = AthleteRegistered { time_zone: TimeZone::UTC, units: Units::default() };
    let profile = ProfileChanged {
        username: None,
        name: None,
        birth_year: None,
        sex: Some(Personal::Clear(if is_male { Sex::Male } else { Sex::Female })),
        height_cm: None,
        experience: None,
        goal: None,
        time_zone: TimeZone::UTC,
        units: Units::default(),
        theme: Theme::default(),
        language: None,
        notifications: Notifications::default(),
        privacy: Privacy::default(),
    };
    let weighing =
        Weighing { measured_at: at, weight: Personal::Clear(kilograms(bodyweight, 0.1)?) };
    let measured = BodyweightMeasured { bodyweight_id: BodyweightId::new(new_id())?, weighing };
    let details = WorkoutDetails {
        started_at: at,
        title: None,
        notes: None,
        visibility: Visibility::Followers,
    };
    let mut workout: Vec<Event> = vec![
        WorkoutStarted { details, imported_from: None, routine: None, plan: Vec::new() }.into(),
    ];
    for number in 1..=2 {
        let reps = rng.random_range(1..9);
        let weight = kilograms(maximum * f64::from(37 - reps) / 36.0, 2.5)?;
        let set = SetValues {
            exercise: EXERCISE.parse()?,
            number: SetNumber::new(number)?,
            kind: SetKind::Normal,
            side: Side::Both,
            reps: Some(Reps::new(reps.into())?),
            weight: Some(weight),
            rpe: None,
            rest_seconds: None,
            duration_seconds: None,
            distance_metres: None,
            custom_metric: None,
            superset_id: None,
            notes: None,
            performed_at: at,
        };
        let set_id = SetId::new(new_id())?;
        workout.push(SetLogged { set_id, set, unusual: false }.into());
    }
    workout.push(
        WorkoutCompleted { completed_at: at, feeling: None, abandoned: false, shared: false }
            .into(),
    );
    let metadata = Metadata {
        occurred_at: at,
        actor: Actor::Athlete(id),
        on_behalf_of: None,
        channel: Channel::Api,
        device: None,
        request: None,
        correlation: new_id(),
        causation: new_id(),
    };
    let write = |stream, events: Vec<Event>| {
        let new = events.into_iter().map(|event| NewEvent {
            event,
            metadata: metadata.clone(),
            client: None,
        });
        Write { stream, expected: Version(0), events: new.collect() }
    };
    let writes = vec![
        write(Stream::athlete(id), vec![registered.into(), profile.into()]),
        write(Stream::body(id), vec![measured.into()]),
        write(Stream::workout(WorkoutId::new(new_id())?), workout),
    ];
    Ok(Append { owner: id, partition, writes })
}
