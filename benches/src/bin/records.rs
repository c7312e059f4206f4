//! Does a record cost the same after fifty thousand sets as after five hundred?
//!
//! Two athletes do one exercise over ten years, one of them a hundred times as often. How long it takes
//! to project a set that is logged, to project the removal of a record's holder, and to read the
//! records: of both, in turns, on the same server.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use benches::percentile;
use chrono::TimeDelta;
use clap::Parser;
use events::{
    Actor, AthleteId, AthleteRegistered, Channel, Event, Metadata, Partition, Reps, SetId, SetKind,
    SetLogged, SetNumber, SetRemoved, SetValues, Side, Stream, TimeZone, Timestamp, Units, Version,
    Visibility, Weight, WeightUnit, WorkoutDetails, WorkoutId, WorkoutStarted,
};
use log::{Append, Log, NewEvent, Random, Write};
use projections::records::Records;
use projector::Projector;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use sqlx::PgPool;
use testkit::Database;

#[derive(Parser)]
struct Arguments {
    /// Sets of the one who trains much.
    #[arg(long, default_value_t = 50_000)]
    sets: usize,
    /// How many hundred times the other one trains less.
    #[arg(long, default_value_t = 100)]
    less: usize,
    /// How often each is measured.
    #[arg(long, default_value_t = 300)]
    times: usize,
}

const EXERCISE: &str = "bench-press-barbell";
const SETS_OF_A_WORKOUT: usize = 20;
const YEARS: i64 = 10;

/// An athlete with a life of sets.
struct Life {
    id: AthleteId,
    partition: Partition,
    /// One that takes more sets, and how many events it has.
    open: (Stream, Version),
}

struct World {
    log: Log,
    random: Random,
    rng: StdRng,
    begins: Timestamp,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let database = Database::fresh().await;
    let pool = PgPool::connect(&database.owner_url()).await?;
    let begins: Timestamp = "2016-01-01T00:00:00Z".parse().map_err(anyhow::Error::msg)?;
    let (log, random) = (database.log(), Random::system());
    let mut world = World { log, random, rng: StdRng::seed_from_u64(1), begins };
    let counts = [arguments.sets / arguments.less.max(1), arguments.sets];
    let mut lives = Vec::new();
    for (number, sets) in (0..).zip(counts) {
        lives.push(world.live(&pool, Partition(number), sets).await?);
    }
    let reader = world.log.reader().clone();
    let mut projector = Projector::<Records>::new(&database.connect_projector(), reader)
        .with_keys(Some(database.projector_keys()));
    projector.prepare().await?;
    while projector.step(None, 2_000).await? > 0 {}

    let mut logging = [Vec::new(), Vec::new()];
    let mut removing = [Vec::new(), Vec::new()];
    let mut reading = [Vec::new(), Vec::new()];
    for time in 0..arguments.times {
        for (number, life) in lives.iter_mut().enumerate() {
            if time % SETS_OF_A_WORKOUT == 0 {
                let start = world.start(life, world.begins)?;
                world.tell(life, start).await?;
                step(&mut projector).await?;
            }
            let usual = world.set(None)?;
            world
                .tell(
                    life,
                    SetLogged { set_id: world.set_id()?, set: usual, unusual: false }.into(),
                )
                .await?;
            logging[number].push(step(&mut projector).await?);

            // The best there ever was, somewhere in the ten years, and then it never was.
            let best =
                SetLogged { set_id: world.set_id()?, set: world.set(Some(400))?, unusual: false };
            let set_id = best.set_id;
            world.tell(life, best.into()).await?;
            step(&mut projector).await?;
            world.tell(life, SetRemoved { set_id }.into()).await?;
            removing[number].push(step(&mut projector).await?);

            let began = Instant::now();
            let best: String = sqlx::query_scalar(
                "select best from records_v3.spans
                 where owner = $1 and exercise = $2 and level = 0 and span = 0",
            )
            .bind(life.id.uuid())
            .bind(EXERCISE)
            .fetch_one(&pool)
            .await?;
            reading[number].push(began.elapsed());
            anyhow::ensure!(!best.contains("400 kg"), "a removed set still holds a record");
        }
    }
    let mut shown = Vec::new();
    for (name, times) in [("log", logging), ("remove", removing), ("read", reading)] {
        let [few, many] = times.map(|mut times| {
            times.sort_unstable();
            percentile(&times, 50)
        });
        eprintln!("{name}: {few:.3} ms with {} sets, {many:.3} ms with {}", counts[0], counts[1]);
        shown.push(format!("{name}_ms={many:.3} {name}_ratio={:.2}", many / few));
    }
    println!("bench records: {}", shown.join(" "));
    Ok(())
}

/// One event through the projector.
async fn step(projector: &mut Projector<Records>) -> Result<Duration> {
    let began = Instant::now();
    let taken = projector.step(None, 100).await?;
    anyhow::ensure!(taken == 1, "{taken} events in place of one");
    Ok(began.elapsed())
}

impl World {
    async fn live(&mut self, pool: &PgPool, partition: Partition, sets: usize) -> Result<Life> {
        let id = AthleteId::new(self.random.uuid(self.begins))?;
        let mut connection = pool.acquire().await?;
        self.log.keys().create(&mut connection, id, self.begins).await?;
        let zone: TimeZone = "Europe/Paris".parse().map_err(anyhow::Error::msg)?;
        let registered = AthleteRegistered { time_zone: zone, units: Units::default() };
        let mut life = Life { id, partition, open: (Stream::athlete(id), Version(0)) };
        self.append(&mut life, vec![registered.into()]).await?;
        let workouts = sets.div_ceil(SETS_OF_A_WORKOUT);
        for number in 0..workouts {
            let apart = TimeDelta::days(365 * YEARS) / i32::try_from(workouts)?;
            let at = self.begins.shifted(apart * i32::try_from(number)?).context("a time")?;
            let mut events = vec![self.start(&mut life, at)?];
            for _ in 0..SETS_OF_A_WORKOUT {
                let mut set = self.set(None)?;
                set.performed_at = at;
                events.push(SetLogged { set_id: self.set_id()?, set, unusual: false }.into());
            }
            self.append(&mut life, events).await?;
        }
        let last = self.begins.shifted(TimeDelta::days(365 * YEARS)).context("a time")?;
        let start = self.start(&mut life, last)?;
        self.append(&mut life, vec![start]).await?;
        Ok(life)
    }

    fn start(&mut self, life: &mut Life, at: Timestamp) -> Result<Event> {
        let workout = WorkoutId::new(self.random.uuid(at))?;
        life.open = (Stream::workout(workout), Version(0));
        let details = WorkoutDetails {
            started_at: at,
            title: None,
            notes: None,
            visibility: Visibility::Followers,
        };
        Ok(WorkoutStarted { details, imported_from: None, routine: None, plan: Vec::new() }.into())
    }

    fn set_id(&self) -> Result<SetId> {
        Ok(SetId::new(self.random.uuid(self.begins))?)
    }

    /// Of a usual weight or that one, at some time in the ten years.
    fn set(&mut self, kg: Option<i64>) -> Result<SetValues> {
        let minutes = self.rng.random_range(0..YEARS * 365 * 24 * 60);
        let at = self.begins.shifted(TimeDelta::minutes(minutes)).context("a time")?;
        let kg = kg.unwrap_or_else(|| self.rng.random_range(24..60) * 5 / 2);
        Ok(SetValues {
            exercise: EXERCISE.parse()?,
            number: SetNumber::new(1)?,
            kind: SetKind::Normal,
            side: Side::Both,
            reps: Some(Reps::new(self.rng.random_range(1..13))?),
            weight: Some(Weight::new(Decimal::from(kg), WeightUnit::Kg)?),
            rpe: None,
            rest_seconds: None,
            duration_seconds: None,
            distance_metres: None,
            custom_metric: None,
            superset_id: None,
            notes: None,
            performed_at: at,
        })
    }

    async fn tell(&self, life: &mut Life, event: Event) -> Result<()> {
        self.append(life, vec![event]).await
    }

    async fn append(&self, life: &mut Life, events: Vec<Event>) -> Result<()> {
        let run = self.random.uuid(self.begins);
        let metadata = Metadata {
            occurred_at: self.begins,
            actor: Actor::Athlete(life.id),
            on_behalf_of: None,
            channel: Channel::Api,
            device: None,
            request: None,
            correlation: run,
            causation: run,
        };
        let count = i32::try_from(events.len())?;
        let new = events.into_iter().map(|event| NewEvent {
            event,
            metadata: metadata.clone(),
            client: None,
        });
        let (stream, expected) = life.open;
        let write = Write { stream, expected, events: new.collect() };
        let append = Append { owner: life.id, partition: life.partition, writes: vec![write] };
        self.log.append(append).await?;
        life.open.1.0 += count;
        Ok(())
    }
}
