//! A story: what happens, and what the product then shows.

#[path = "look.rs"]
mod look;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, middleware};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use events::{
    Actor, AthleteFollowed, AthleteId, AthleteRegistered, AthleteUnfollowed, BodyweightCorrected,
    BodyweightId, BodyweightMeasured, BodyweightRemoved, Channel, Event, Metadata, Notifications,
    Partition, Personal, Privacy, ProfileChanged, Reps, SetConfirmed, SetCorrected, SetId, SetKind,
    SetLogged, SetNumber, SetRemoved, SetValues, Sex, Side, Stream, Theme, TimeZone, Timestamp,
    Units, Version, Visibility, Weighing, Weight, WeightUnit, WorkoutCompleted, WorkoutDetails,
    WorkoutDetailsChanged, WorkoutDiscarded, WorkoutId, WorkoutStarted,
};
use log::{Append, Clock, Log, NewEvent, Options, Random, Write};
use projections::{
    Context,
    boards::{self, Boards, Mirror},
    social::Social,
};
use projector::{Projector, Replay};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use rust_decimal::Decimal;
use servers::Redis;
use testkit::{Database, new_id};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use web::envelope::{self, Envelope};

use crate::{
    Outcome,
    world::{self, Athlete, BOARDS, EXERCISES, Set, Standings, Workout, standings},
};

/// Athletes of a story: more than are shown around one.
const ATHLETES: usize = 14;

/// Things that happen in one.
const TURNS: usize = 70;

/// Just before a week and a month end.
const BEGINNING: &str = "2026-03-27T18:00:00Z";

pub(crate) struct Story {
    seed: u64,
    rng: StdRng,
    clock: Clock,
    database: Database,
    log: Log,
    athletes: Vec<Athlete>,
    /// How boards stood at the end of each day.
    past: BTreeMap<NaiveDate, Standings>,
    boards: Projector<Boards>,
    social: Projector<Social>,
    /// The product with Redis, and without.
    routers: [Router; 2],
    redis: Option<Redis>,
    folder: PathBuf,
    url: String,
    prefix: String,
    mirroring: CancellationToken,
}

fn router(context: Context, clock: &Clock) -> Router {
    let (now, clock) = (clock.clone(), clock.clone());
    let envelope = Envelope {
        now: Arc::new(move || now.now().utc()),
        new_id: Arc::new(move || Random::system().uuid(clock.now())),
        served: |_| {},
    };
    let (routes, _) = boards::routes::<Context>().into_parts();
    routes.with_state(context).layer(middleware::from_fn_with_state(envelope, envelope::wrap))
}

async fn start(folder: &Path) -> Result<Redis> {
    let folder = folder.to_owned();
    spawn_blocking(move || Redis::start(&folder)).await?
}

impl Story {
    pub(crate) async fn begin(seed: u64, folder: &Path) -> Result<Self> {
        let database = Database::fresh().await;
        let clock = Clock::standing_at(BEGINNING.parse().map_err(anyhow::Error::msg)?);
        let api = database.connect_api();
        let log = database.log_at(&api, clock.clone(), &Options::default());
        let redis = start(folder).await?;
        let (url, prefix) = (redis.url(), database.name().to_owned());
        let for_projector = database.connect_projector();
        let keys = Some(database.projector_keys());
        let reader = || log.reader().clone();
        let boards = Projector::new(&for_projector, reader()).with_keys(keys.clone());
        let social = Projector::new(&for_projector, reader()).with_keys(keys);
        boards.prepare().await?;
        social.prepare().await?;
        let ours = || web::Redis::new(&url, &prefix);
        let context = |redis| Context::new(&api, log.keys().clone(), clock.clone(), redis);
        let routers = [router(context(Some(ours()?)), &clock), router(context(None), &clock)];
        let mirror = Mirror::new(for_projector, Some(ours()?), clock.clone(), Random::system());
        let mirroring = CancellationToken::new();
        let checked = mirror.checked_every(Duration::from_millis(200));
        tokio::spawn(checked.run(mirroring.clone()));
        let rng = StdRng::seed_from_u64(seed);
        let (athletes, past, folder) = (Vec::new(), BTreeMap::new(), folder.to_owned());
        let redis = Some(redis);
        let mut story = Self {
            seed,
            rng,
            clock,
            database,
            log,
            athletes,
            past,
            boards,
            social,
            routers,
            redis,
            folder,
            url,
            prefix,
            mirroring,
        };
        story.register().await?;
        Ok(story)
    }

    async fn register(&mut self) -> Result<()> {
        let api = self.database.connect_api();
        let partitions: Vec<Partition> = self.log.reader().heads().await?.into_keys().collect();
        for number in 0..ATHLETES {
            let id = AthleteId::new(new_id())?;
            let partition = partitions[self.rng.random_range(0..partitions.len())];
            let mut connection = api.pool.acquire().await?;
            self.log.keys().create(&mut connection, id, self.clock.now()).await?;
            let zone = if number % 3 == 0 { "Pacific/Auckland" } else { "America/Lima" };
            let zone = TimeZone(zone.parse()?);
            self.athletes.push(Athlete {
                id,
                partition,
                zone,
                sex: None,
                is_private: false,
                profile: Version(0),
                body: Version(0),
                weighings: BTreeMap::new(),
                workouts: BTreeMap::new(),
                follows: BTreeMap::new(),
                relations: BTreeMap::new(),
            });
            let registered = AthleteRegistered { time_zone: zone, units: Units::default() };
            let stream = Stream::athlete(id);
            self.append(number, stream, Version(0), vec![registered.into()]).await?;
            self.athletes[number].profile = Version(1);
        }
        Ok(())
    }

    async fn append(
        &self,
        of: usize,
        stream: Stream,
        expected: Version,
        events: Vec<Event>,
    ) -> Result<()> {
        let athlete = &self.athletes[of];
        let metadata = Metadata {
            occurred_at: self.clock.now(),
            actor: Actor::Athlete(athlete.id),
            on_behalf_of: None,
            channel: Channel::Api,
            device: None,
            request: None,
            correlation: new_id(),
            causation: new_id(),
        };
        let events = events.into_iter().map(|event| NewEvent {
            event,
            metadata: metadata.clone(),
            client: None,
        });
        let write = Write { stream, expected, events: events.collect() };
        let append =
            Append { owner: athlete.id, partition: athlete.partition, writes: vec![write] };
        self.log.append(append).await?;
        Ok(())
    }

    pub(crate) async fn tell(mut self, outcome: &mut Outcome) -> Result<()> {
        for turn in 0..TURNS {
            self.time_passes();
            self.happen().await.with_context(|| format!("seed {} turn {turn}", self.seed))?;
            if self.rng.random_bool(0.4) {
                self.move_on().await?;
            }
            if self.rng.random_bool(0.12) {
                self.break_redis().await?;
            }
            if turn % 7 == 6 {
                self.look(outcome).await?;
            }
        }
        self.replay(outcome).await?;
        self.look(outcome).await?;
        self.mirroring.cancel();
        Ok(())
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now().utc()
    }

    /// Minutes, hours, or days; how boards stood at the end of each day is kept.
    fn time_passes(&mut self) {
        let by = match self.rng.random_range(0..12) {
            0 => TimeDelta::hours(self.rng.random_range(20..80)),
            1..4 => TimeDelta::hours(self.rng.random_range(1..10)),
            _ => TimeDelta::minutes(self.rng.random_range(1..50)),
        };
        let mut day = self.now().date_naive();
        self.clock.advance(by);
        while day < self.now().date_naive() {
            self.past.insert(day, standings(&self.athletes, day));
            self.close(day.pred_opt().unwrap_or(day));
            day = day.succ_opt().unwrap_or(day);
        }
    }

    /// What was told on the day after a period's last belongs to that.
    fn close(&mut self, day: NaiveDate) {
        let Some(past) = self.past.get_mut(&day) else { return };
        for (board, places) in standings(&self.athletes, day) {
            if world::period(board, day).is_some_and(|(_, last)| last == day) {
                past.insert(board, places);
            }
        }
    }

    /// Something happens to somebody.
    async fn happen(&mut self) -> Result<()> {
        let of = self.rng.random_range(0..self.athletes.len());
        match self.rng.random_range(0..20) {
            0..2 => self.weigh(of).await,
            2..4 => self.change_profile(of).await,
            4..6 => self.follow(of).await,
            6..13 => self.train(of).await,
            _ => self.change_workout(of).await,
        }
    }

    async fn weigh(&mut self, of: usize) -> Result<()> {
        let back = TimeDelta::minutes(self.rng.random_range(0..4_000));
        // No two at the same instant.
        let at = self.now() - back - TimeDelta::microseconds(self.rng.random_range(0..1_000_000));
        let kg = Decimal::new(self.rng.random_range(45_000..130_000), 3);
        let weighing = Weighing {
            measured_at: Timestamp::new(at),
            weight: Personal::Clear(Weight::new(kg, WeightUnit::Kg)?),
        };
        let known: Vec<(DateTime<Utc>, BodyweightId)> =
            self.athletes[of].weighings.iter().map(|(at, (id, _))| (*at, *id)).collect();
        let known = known.get(self.rng.random_range(0..known.len() + 2)).copied();
        let athlete = &mut self.athletes[of];
        let event: Event = match known {
            None => {
                let id = BodyweightId::new(new_id())?;
                athlete.weighings.insert(at, (id, kg));
                BodyweightMeasured { bodyweight_id: id, weighing }.into()
            }
            Some((was, id)) => {
                athlete.weighings.remove(&was);
                if self.rng.random_bool(0.3) {
                    BodyweightRemoved { bodyweight_id: id }.into()
                } else {
                    athlete.weighings.insert(at, (id, kg));
                    BodyweightCorrected { bodyweight_id: id, weighing }.into()
                }
            }
        };
        let (stream, version) = (Stream::body(athlete.id), athlete.body);
        athlete.body = Version(version.0 + 1);
        self.append(of, stream, version, vec![event]).await
    }

    async fn change_profile(&mut self, of: usize) -> Result<()> {
        let kind = self.rng.random_range(0..5);
        let sex = [None, Some(Sex::Female), Some(Sex::Male)][self.rng.random_range(0..3)];
        let athlete = &mut self.athletes[of];
        match kind {
            0 => athlete.is_private = !athlete.is_private,
            1 => athlete.zone = TimeZone("Europe/Paris".parse()?),
            _ => athlete.sex = sex,
        }
        let changed = ProfileChanged {
            username: None,
            name: Some(Personal::Clear(format!("Athlete {of}"))),
            birth_year: None,
            sex: athlete.sex.map(Personal::Clear),
            height_cm: None,
            experience: None,
            goal: None,
            time_zone: athlete.zone,
            units: Units::default(),
            theme: Theme::default(),
            language: None,
            notifications: Notifications::default(),
            privacy: Privacy { private_profile: athlete.is_private, ..Privacy::default() },
        };
        let (stream, version) = (Stream::athlete(athlete.id), athlete.profile);
        athlete.profile = Version(version.0 + 1);
        self.append(of, stream, version, vec![changed.into()]).await
    }

    async fn follow(&mut self, of: usize) -> Result<()> {
        let other = self.rng.random_range(0..self.athletes.len());
        if other == of {
            return Ok(());
        }
        let other = self.athletes[other].id;
        let athlete = &mut self.athletes[of];
        let version = athlete.relations.entry(other).or_default();
        let expected = *version;
        *version = Version(expected.0 + 1);
        let event: Event = match athlete.follows.remove(&other) {
            Some(follow) => AthleteUnfollowed { follow, athlete: other }.into(),
            None => {
                let follow = new_id();
                athlete.follows.insert(other, follow);
                AthleteFollowed { follow, athlete: other, requested: false }.into()
            }
        };
        self.append(of, Stream::relation(other), expected, vec![event]).await
    }

    fn invent_set(&mut self, at: DateTime<Utc>) -> Set {
        let exercise = EXERCISES[self.rng.random_range(0..EXERCISES.len())];
        // Few figures, so that there are equals.
        let kg = Decimal::new(self.rng.random_range(0..9) * 12_500, 3);
        Set {
            exercise,
            reps: self.rng.random_range(0..14),
            kg,
            is_unusual: self.rng.random_bool(0.12),
            is_warm_up: self.rng.random_bool(0.12),
            performed_at: at + TimeDelta::seconds(self.rng.random_range(0..7_200)),
        }
    }

    /// A workout, mostly of the last days, and mostly completed.
    async fn train(&mut self, of: usize) -> Result<()> {
        let back = TimeDelta::minutes(self.rng.random_range(-10..6_000));
        let started_at = self.now() - back;
        let id = WorkoutId::new(new_id())?;
        let mut workout = Workout {
            version: Version(0),
            started_at,
            is_completed: self.rng.random_bool(0.8),
            sets: BTreeMap::new(),
        };
        let mut events: Vec<Event> = vec![
            WorkoutStarted {
                details: details(started_at),
                imported_from: None,
                routine: None,
                plan: Vec::new(),
            }
            .into(),
        ];
        for _ in 0..self.rng.random_range(0..5) {
            let (set_id, set) = (SetId::new(new_id())?, self.invent_set(started_at));
            let unusual = set.is_unusual;
            events.push(SetLogged { set_id, set: values(&set)?, unusual }.into());
            workout.sets.insert(set_id, set);
        }
        if workout.is_completed {
            events.push(completed(started_at));
        }
        workout.version = Version(u32::try_from(events.len())?.try_into()?);
        self.athletes[of].workouts.insert(id, workout);
        self.append(of, Stream::workout(id), Version(0), events).await
    }

    async fn change_workout(&mut self, of: usize) -> Result<()> {
        let all: Vec<WorkoutId> = self.athletes[of].workouts.keys().copied().collect();
        let Some(id) = all.get(self.rng.random_range(0..all.len().max(1))).copied() else {
            return self.train(of).await;
        };
        let kind = self.rng.random_range(0..12);
        let back = TimeDelta::minutes(self.rng.random_range(0..6_000));
        let (moved_to, pick) = (self.now() - back, self.rng.random_range(0..1_000));
        let start = self.athletes[of].workouts[&id].started_at;
        let new = self.invent_set(start);
        let workout = self.athletes[of].workouts.get_mut(&id).context("a workout")?;
        let sets: Vec<SetId> = workout.sets.keys().copied().collect();
        let set = sets.get(pick % sets.len().max(1)).copied();
        let expected = workout.version;
        workout.version = Version(expected.0 + 1);
        let event: Event = match (kind, set) {
            (0, _) => {
                self.athletes[of].workouts.remove(&id);
                WorkoutDiscarded {}.into()
            }
            (1, _) => {
                workout.started_at = moved_to;
                let end = Timestamp::new(moved_to + TimeDelta::hours(1));
                WorkoutDetailsChanged {
                    details: details(moved_to),
                    completed_at: workout.is_completed.then_some(end),
                    feeling: None,
                }
                .into()
            }
            (2..5, _) if !workout.is_completed => {
                workout.is_completed = true;
                completed(workout.started_at)
            }
            (5..7, Some(set_id)) => {
                workout.sets.remove(&set_id);
                SetRemoved { set_id }.into()
            }
            (7..9, Some(set_id)) => {
                if let Some(set) = workout.sets.get_mut(&set_id) {
                    set.is_unusual = false;
                }
                SetConfirmed { set_id }.into()
            }
            (9..11, Some(set_id)) => {
                let (set, unusual) = (values(&new)?, new.is_unusual);
                workout.sets.insert(set_id, new);
                SetCorrected { set_id, set, unusual }.into()
            }
            _ => {
                let set_id = SetId::new(new_id())?;
                let (set, unusual) = (values(&new)?, new.is_unusual);
                workout.sets.insert(set_id, new);
                SetLogged { set_id, set, unusual }.into()
            }
        };
        self.append(of, Stream::workout(id), expected, vec![event]).await
    }

    /// Brings some partitions on by a few batches.
    async fn move_on(&mut self) -> Result<()> {
        let mut some: Vec<Partition> = self.log.reader().heads().await?.into_keys().collect();
        some.shuffle(&mut self.rng);
        some.truncate(self.rng.random_range(1..=some.len()));
        let limit = self.rng.random_range(1..8);
        self.boards.step(Some(&some), limit).await?;
        self.social.step(Some(&some), limit).await?;
        Ok(())
    }

    /// Brings everything on, in batches that are cut anywhere.
    async fn catch_up(&mut self) -> Result<()> {
        loop {
            let limit = self.rng.random_range(1..200);
            let boards = self.boards.step(None, limit).await?;
            if boards + self.social.step(None, limit).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Redis goes, comes back empty, is emptied, or holds something else.
    async fn break_redis(&mut self) -> Result<()> {
        match (self.redis.take(), self.rng.random_range(0..4)) {
            (Some(redis), 0) => spawn_blocking(move || redis.stop()).await??,
            (Some(redis), kind) => {
                self.redis = Some(redis);
                if kind == 1 {
                    self.ask(redis::cmd("FLUSHALL")).await?;
                } else {
                    self.spoil().await?;
                }
            }
            (None, _) => self.redis = Some(start(&self.folder).await?),
        }
        Ok(())
    }

    async fn ask(&self, command: redis::Cmd) -> Result<redis::Value> {
        let client = redis::Client::open(self.url.as_str())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        Ok(command.query_async(&mut connection).await?)
    }

    /// Has a set lose a member or all, or get one that nobody is.
    async fn spoil(&mut self) -> Result<()> {
        let board = BOARDS[self.rng.random_range(0..BOARDS.len())];
        let Some(key) = self.key(board, "all").await? else { return Ok(()) };
        let kind = self.rng.random_range(0..3);
        let command = match kind {
            0 => redis::Cmd::unlink(&key),
            1 => redis::Cmd::zpopmin(&key, 1),
            _ => redis::Cmd::zadd(&key, new_id().as_bytes(), -5_000),
        };
        self.ask(command).await?;
        Ok(())
    }

    /// The set of a board as it is read now.
    async fn key(&self, board: &str, among: &str) -> Result<Option<String>> {
        let root = format!("{}:boards", self.prefix);
        let current = self.ask(redis::Cmd::hget(&root, "current")).await?;
        let Some(build) = redis::from_redis_value::<Option<String>>(current)? else {
            return Ok(None);
        };
        let end = world::period(board, self.now().date_naive())
            .map_or("99991231".to_owned(), |(_, last)| last.format("%Y%m%d").to_string());
        let data = format!("{root}:{build}");
        // One that nobody wrote is none, and is not read.
        let known = redis::Cmd::hexists(&data, format!("ver:{board} {end}:{among}"));
        let is_known: bool = redis::from_redis_value(self.ask(known).await?)?;
        let among = if is_known { among } else { "nobody" };
        Ok(Some(format!("{data}:{board} {end}:{among}")))
    }

    /// Builds the rows anew from the log, compares them with those that came bit by bit, and goes on with
    /// them.
    async fn replay(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.catch_up().await?;
        if self.redis.is_none() {
            self.redis = Some(start(&self.folder).await?);
        }
        let options = projector::Options {
            verify: true,
            batch: self.rng.random_range(5..300),
            ..projector::Options::default()
        };
        let database = self.database.connect_projector();
        let reader = self.log.reader().clone();
        let stop = CancellationToken::new();
        let replay = Replay::<Boards>::new(&database, reader, options, stop);
        let replayed = replay.with_keys(Some(self.database.projector_keys())).run().await;
        let said = format!("{replayed:?}");
        let swapped = replayed.is_ok_and(|replayed| replayed.swapped);
        outcome.compare(|| format!("seed {} a replay: {said}", self.seed), &swapped, &true);
        let reader = self.log.reader().clone();
        let keys = Some(self.database.projector_keys());
        self.boards = Projector::new(&database, reader).with_keys(keys);
        Ok(())
    }
}

fn details(started_at: DateTime<Utc>) -> WorkoutDetails {
    WorkoutDetails {
        started_at: Timestamp::new(started_at),
        title: None,
        notes: None,
        visibility: Visibility::Private,
    }
}

fn completed(started_at: DateTime<Utc>) -> Event {
    let completed_at = Timestamp::new(started_at + TimeDelta::hours(2));
    WorkoutCompleted { completed_at, feeling: None, abandoned: false, shared: false }.into()
}

fn values(set: &Set) -> Result<SetValues> {
    Ok(SetValues {
        exercise: set.exercise.parse()?,
        number: SetNumber::new(1)?,
        kind: if set.is_warm_up { SetKind::WarmUp } else { SetKind::Normal },
        side: Side::Both,
        reps: Some(Reps::new(set.reps.into())?),
        weight: Some(Weight::new(set.kg, WeightUnit::Kg)?),
        rpe: None,
        rest_seconds: None,
        duration_seconds: None,
        distance_metres: None,
        custom_metric: None,
        superset_id: None,
        notes: None,
        performed_at: Timestamp::new(set.performed_at),
    })
}
