//! A million athletes, or fewer, who were weighed and trained lately.

use anyhow::{Context, Result};
use chrono::TimeDelta;
use events::{
    Actor, AthleteId, AthleteRegistered, BodyweightId, BodyweightMeasured, Channel, Event,
    Metadata, Notifications, Partition, Personal, Privacy, ProfileChanged, Reps, SetId, SetKind,
    SetLogged, SetNumber, SetValues, Sex, Side, Stream, Theme, TimeZone, Timestamp, Units, Version,
    Visibility, Weighing, Weight, WeightUnit, WorkoutCompleted, WorkoutDetails, WorkoutId,
    WorkoutStarted,
};
use log::{Append, Clock, Log, NewEvent, Options, Write};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use testkit::{App, Client, new_id};
use tokio::task::JoinSet;

/// What they lift.
const EXERCISE: &str = "bench-press-barbell";

/// Athletes whose keys one transaction makes.
const KEYS: usize = 2_000;

/// Appends under way at the same time.
const AT_ONCE: usize = 256;

/// Puts athletes on the log who trained within the last three weeks; answers how many events.
pub async fn athletes(app: &App, athletes: usize) -> Result<usize> {
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

/// An athlete who trained yesterday, as an app would tell of it.
pub async fn trained(app: &App, kg: u32) -> Result<Client> {
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
