//! Years of plausible training of many athletes: programmes, progress, slips and their corrections,
//! and histories brought along from other apps.
//!
//! Events come in the order in which they are recorded, those of different athletes mixed as they
//! are in life, and go into the log as they are: what the domain would let happen, without the time
//! that deciding takes. The same seed gives the same years.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use events::{
    Actor, AthleteId, AthleteRegistered, Channel, CustomExerciseCreated, Equipment, Event,
    ExerciseId, ExerciseNoted, ExerciseTraits, FormScore, ImportFormat, Measurement, Metadata,
    Muscle, Personal, Reps, Rpe, Seconds, SetCorrected, SetId, SetKind, SetLogged, SetNumber,
    SetRemoved, SetValues, Side, Stream, TimeZone, Timestamp, Units, Version, Visibility, Weight,
    WeightUnit, WorkoutCompleted, WorkoutDetails, WorkoutDetailsChanged, WorkoutDiscarded,
    WorkoutId, WorkoutStarted,
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rust_decimal::Decimal;
use sqlx::PgPool;
use uuid::Uuid;

/// What a day of a programme is made of: exercises, and how much a beginner lifts in kg.
const PROGRAMME: [&[(&str, u16)]; 4] = [
    &[
        ("bench-press-barbell", 40),
        ("incline-bench-press-dumbbell", 14),
        ("crossover-cable", 10),
        ("triceps-pushdown-cable", 15),
        ("lateral-raise-dumbbell", 6),
    ],
    &[
        ("squat-barbell", 50),
        ("leg-press-machine", 80),
        ("lying-leg-curl-machine", 25),
        ("leg-extension-machine", 30),
        ("standing-calf-raise-machine", 40),
    ],
    &[
        ("deadlift-barbell", 60),
        ("bent-over-row-barbell", 35),
        ("lat-pulldown-cable", 35),
        ("seated-row-v-grip-cable", 30),
        ("bicep-curl-dumbbell", 8),
    ],
    &[
        ("overhead-press-barbell", 25),
        ("pull-up", 0),
        ("romanian-deadlift-barbell", 40),
        ("hip-thrust-barbell", 50),
        ("face-pull-cable", 12),
    ],
];

const ZONES: [&str; 6] = [
    "Europe/Paris",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Australia/Sydney",
    "US/Pacific",
];

/// An event that is to be recorded.
pub struct Happening {
    /// Whose it is.
    pub owner: AthleteId,
    /// The partition of the owner.
    pub partition: i16,
    /// The stream it belongs to.
    pub stream: Stream,
    /// Its number within the stream.
    pub version: Version,
    /// When the log takes it.
    pub recorded_at: Timestamp,
    /// The client-made id of what it says.
    pub client_id: Option<Uuid>,
    /// Who, from where.
    pub metadata: Metadata,
    /// What happened.
    pub event: Event,
}

/// Athletes who train day after day.
pub struct Years {
    rng: StdRng,
    day: NaiveDate,
    people: Vec<Person>,
    partitions: i16,
    /// What has happened and is not handed out yet, by its time.
    pending: BTreeMap<(DateTime<Utc>, u64), Happening>,
    count: u64,
}

struct Person {
    id: AthleteId,
    partition: i16,
    custom: Uuid,
    registered: Option<NaiveDate>,
    joins: NaiveDate,
    /// Days of the week on which they train, from Monday.
    week: [bool; 7],
    hour: i64,
    /// Times a beginner's weights.
    strength: f64,
    sessions: u32,
    device: String,
    /// The last workout, which may be put right a day later.
    last: Option<Session>,
}

struct Session {
    stream: Stream,
    version: Version,
    details: WorkoutDetails,
    completed_at: Timestamp,
    sets: Vec<(SetId, SetValues)>,
}

impl Years {
    /// Athletes of a seed, who join one after the other within the first two months.
    pub fn new(seed: u64, athletes: usize, partitions: i16) -> Self {
        let day = NaiveDate::from_ymd_opt(2024, 1, 1).expect("a date");
        let mut years = Self {
            rng: StdRng::seed_from_u64(seed),
            day,
            people: Vec::new(),
            partitions,
            pending: BTreeMap::new(),
            count: 0,
        };
        for _ in 0..athletes {
            let person = years.person();
            years.people.push(person);
        }
        years
    }

    fn person(&mut self) -> Person {
        let id = self.uuid(at(self.day, 0));
        let sessions = self.rng.random_range(2..=5);
        let mut week = [false; 7];
        while week.iter().filter(|trains| **trains).count() < sessions {
            week[self.rng.random_range(0..7)] = true;
        }
        Person {
            id: AthleteId::new(id).expect("an id of version 7"),
            partition: self.rng.random_range(0..self.partitions),
            custom: self.uuid(at(self.day, 0)),
            registered: None,
            joins: self.day + Days::new(self.rng.random_range(0..60)),
            week,
            hour: self.rng.random_range(6..21),
            strength: self.rng.random_range(0.7..1.8),
            sessions: 0,
            device: format!("phone-{:06x}", self.rng.random_range(0..0x00ff_ffff)),
            last: None,
        }
    }

    /// What is recorded on the next day, in its order.
    pub fn next_day(&mut self) -> Vec<Happening> {
        for index in 0..self.people.len() {
            self.live(index);
        }
        self.day = self.day + Days::new(1);
        let later = self.pending.split_off(&(at(self.day, 0), 0));
        std::mem::replace(&mut self.pending, later).into_values().collect()
    }

    /// A day of somebody's life.
    fn live(&mut self, index: usize) {
        let (day, joins) = (self.day, self.people[index].joins);
        if day < joins {
            return;
        }
        if self.people[index].registered.is_none() {
            self.join(index);
        } else {
            self.put_right(index);
        }
        let trains = self.people[index].week[day.weekday().num_days_from_monday() as usize];
        if trains && self.rng.random_bool(0.9) {
            let hour = self.people[index].hour;
            let start = at(day, hour) + TimeDelta::seconds(self.rng.random_range(0..3600));
            self.train(index, start, None);
        }
    }

    fn join(&mut self, index: usize) {
        let now = at(self.day, 5) + TimeDelta::seconds(self.rng.random_range(0..3600));
        let person = &mut self.people[index];
        person.registered = Some(self.day);
        let (id, custom) = (person.id, person.custom);
        let zone = ZONES.choose(&mut self.rng).expect("a zone");
        let registered = AthleteRegistered {
            time_zone: TimeZone(zone.parse().expect("a zone")),
            units: Units::default(),
        };
        self.record(index, now, Stream::athlete(id), Version(1), None, registered.into());
        let created = CustomExerciseCreated {
            exercise_id: custom,
            name: self.sealed(id),
            traits: ExerciseTraits {
                equipment: Equipment::Machine,
                primary_muscles: vec![Muscle::Chest],
                secondary_muscles: vec![Muscle::Triceps],
                kind: Measurement::WeightReps,
            },
        };
        self.record(index, now, Stream::exercises(id), Version(1), Some(custom), created.into());
        // Some bring a history along, months of it at once.
        if self.rng.random_bool(0.15) {
            for back in (1..self.rng.random_range(20..120_u64)).rev() {
                let day = self.day - Days::new(back * 2);
                let start = at(day, self.people[index].hour);
                self.train(index, start, Some(now));
            }
        }
    }

    /// A workout, recorded as it goes on, or all at once when it is imported.
    fn train(&mut self, index: usize, start: DateTime<Utc>, imported: Option<DateTime<Utc>>) {
        let owner = self.people[index].id;
        let when = |at: DateTime<Utc>| imported.unwrap_or(at);
        let id = WorkoutId::new(self.uuid(when(start))).expect("an id of version 7");
        let stream = Stream::workout(id);
        let details = WorkoutDetails {
            started_at: Timestamp::new(start),
            title: self.rng.random_bool(0.7).then(|| self.sealed(owner)),
            notes: None,
            visibility: Visibility::Followers,
        };
        let imported_from = imported.map(|_| ImportFormat::Hevy);
        let mut version = Version(1);
        let started = WorkoutStarted {
            details: details.clone(),
            imported_from,
            routine: None,
            plan: Vec::new(),
        };
        self.record(index, when(start), stream, version, Some(id.uuid()), started.into());

        let person = &mut self.people[index];
        person.sessions += 1;
        let programme = PROGRAMME[person.sessions as usize % PROGRAMME.len()];
        // Linear at first, then ever slower; a lighter week now and then.
        let progress = (f64::from(person.sessions) + 1.0).ln() * 0.12 + 1.0;
        let deload = if person.sessions.is_multiple_of(24) { 0.8 } else { 1.0 };
        let scale = person.strength * progress * deload;
        let custom = person.custom;

        let mut now = start;
        let mut sets: Vec<(SetId, SetValues)> = Vec::new();
        for (place, (slug, beginner)) in programme.iter().enumerate() {
            let own = place == 4 && self.rng.random_bool(0.3);
            let exercise: ExerciseId =
                if own { ExerciseId::Custom(custom) } else { slug.parse().expect("a slug") };
            let working = f64::from(*beginner) * scale;
            let target = self.rng.random_range(5..13);
            let warm_ups = if place == 0 { 2 } else { 0 };
            for number in 1..=warm_ups + self.rng.random_range(3..=5) {
                now += TimeDelta::seconds(self.rng.random_range(90..240));
                let warms_up = number <= warm_ups;
                let part = if warms_up { 0.5 } else { 1.0 };
                // In steps of what plates there are.
                let kg = Decimal::new((working * part / 2.5).round() as i64 * 25, 1);
                let values = SetValues {
                    exercise: exercise.clone(),
                    number: SetNumber::new(number).expect("a number"),
                    kind: if warms_up { SetKind::WarmUp } else { SetKind::Normal },
                    side: Side::Both,
                    reps: Reps::new((target - number / 3).max(1)).ok(),
                    weight: Weight::new(kg, WeightUnit::Kg).ok(),
                    rpe: self.rng.random_bool(0.5).then(|| Rpe::new(8.5).ok()).flatten(),
                    rest_seconds: Seconds::new(self.rng.random_range(60..240)).ok(),
                    duration_seconds: None,
                    distance_metres: None,
                    custom_metric: None,
                    superset_id: None,
                    notes: self.rng.random_bool(0.03).then(|| self.sealed(owner)),
                    performed_at: Timestamp::new(now),
                };
                let set_id = SetId::new(self.uuid(when(now))).expect("an id of version 7");
                version = version.next();
                let logged = SetLogged { set_id, set: values.clone(), unusual: false };
                let client = Some(set_id.uuid());
                self.record(index, when(now), stream, version, client, logged.into());
                sets.push((set_id, values));
            }
            if imported.is_none() && self.rng.random_bool(0.1) {
                version = version.next();
                let noted = ExerciseNoted {
                    exercise,
                    notes: None,
                    form_score: FormScore::new(self.rng.random_range(50..=100)).ok(),
                    form_notes: None,
                };
                self.record(index, when(now), stream, version, None, noted.into());
            }
        }
        // A slip of the thumb, seen at once.
        if imported.is_none() && self.rng.random_bool(0.4) {
            version = self.correct(index, stream, version, now, &mut sets);
        }
        if imported.is_none() && self.rng.random_bool(0.15) {
            let at = self.rng.random_range(0..sets.len());
            let (set_id, _) = sets.remove(at);
            version = version.next();
            self.record(index, now, stream, version, None, SetRemoved { set_id }.into());
        }
        now += TimeDelta::seconds(120);
        version = version.next();
        let completed_at = Timestamp::new(now);
        let ending: Event = if imported.is_none() && self.rng.random_bool(0.01) {
            WorkoutDiscarded {}.into()
        } else {
            let (details, stream) = (details, stream);
            self.people[index].last =
                Some(Session { stream, version, details, completed_at, sets });
            WorkoutCompleted { completed_at, feeling: None, abandoned: false, shared: false }.into()
        };
        self.record(index, when(now), stream, version, None, ending);
    }

    fn correct(
        &mut self,
        index: usize,
        stream: Stream,
        version: Version,
        now: DateTime<Utc>,
        sets: &mut [(SetId, SetValues)],
    ) -> Version {
        let at = self.rng.random_range(0..sets.len());
        let (set_id, set) = &mut sets[at];
        set.reps = Reps::new(i64::from(set.reps.map_or(1, |reps| reps.get())) + 1).ok();
        let corrected = SetCorrected { set_id: *set_id, set: set.clone(), unusual: false };
        self.record(index, now, stream, version.next(), None, corrected.into());
        version.next()
    }

    /// What somebody puts right of the workout before, on a later day.
    fn put_right(&mut self, index: usize) {
        let Some(mut session) = self.people[index].last.take() else { return };
        let now = at(self.day, 5) + TimeDelta::seconds(self.rng.random_range(0..3600));
        if self.rng.random_bool(0.05) {
            self.correct(index, session.stream, session.version, now, &mut session.sets);
        } else if self.rng.random_bool(0.03) {
            let changed = WorkoutDetailsChanged {
                details: session.details,
                completed_at: Some(session.completed_at),
                feeling: None,
            };
            let version = session.version.next();
            self.record(index, now, session.stream, version, None, changed.into());
        }
    }

    fn record(
        &mut self,
        index: usize,
        at: DateTime<Utc>,
        stream: Stream,
        version: Version,
        client_id: Option<Uuid>,
        event: Event,
    ) {
        let run = self.uuid(at);
        let request = self.uuid(at);
        let person = &self.people[index];
        let metadata = Metadata {
            occurred_at: Timestamp::new(at),
            actor: Actor::Athlete(person.id),
            on_behalf_of: None,
            channel: Channel::Api,
            device: Some(person.device.clone()),
            request: Some(request.to_string()),
            correlation: run,
            causation: run,
        };
        let happening = Happening {
            owner: person.id,
            partition: person.partition,
            stream,
            version,
            recorded_at: Timestamp::new(at),
            client_id,
            metadata,
            event,
        };
        self.pending.insert((at, self.count), happening);
        self.count += 1;
    }

    /// Something sealed: it looks as if, and nobody has the key.
    fn sealed<T>(&mut self, about: AthleteId) -> Personal<T> {
        let bytes: [u8; 30] = self.rng.random();
        let sealed = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Personal::Sealed { about, sealed }
    }

    fn uuid(&mut self, at: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(at.timestamp_millis()).expect("after 1970");
        uuid::Builder::from_unix_timestamp_millis(millis, &self.rng.random()).into_uuid()
    }

    /// Lets days go by until an empty log has about so many events, and answers how many it has.
    pub async fn fill(&mut self, owner: &PgPool, events: u64) -> u64 {
        let epoch: i64 = sqlx::query_scalar("select max(epoch) from log.epochs")
            .fetch_one(owner)
            .await
            .expect("an epoch");
        let mut heads: BTreeMap<i16, i64> = BTreeMap::new();
        let mut done = 0;
        let mut writing: Option<tokio::task::JoinHandle<()>> = None;
        while done < events {
            // One half of the partitions beside the other, and the next days beside both.
            let mut halves = [Vec::new(), Vec::new()];
            while halves.iter().map(Vec::len).sum::<usize>() < 64 * 1024 * 1024 && done < events {
                for happening in self.next_day() {
                    let position = heads.entry(happening.partition).or_insert(0);
                    *position += 1;
                    let half = usize::from(happening.partition.unsigned_abs() / 8) % 2;
                    write_row(&mut halves[half], &happening, *position, epoch);
                    done += 1;
                }
            }
            if let Some(writing) = writing.take() {
                writing.await.expect("rows that are taken");
            }
            let pool = owner.clone();
            writing = Some(tokio::spawn(async move {
                let [one, other] = halves;
                tokio::join!(copy(&pool, one), copy(&pool, other));
            }));
        }
        if let Some(writing) = writing {
            writing.await.expect("rows that are taken");
        }
        sqlx::raw_sql("vacuum analyze log.events").execute(owner).await.expect("statistics");
        sqlx::raw_sql("checkpoint").execute(owner).await.expect("a checkpoint");
        done
    }
}

async fn copy(pool: &PgPool, rows: Vec<u8>) {
    let mut connection = pool.acquire().await.expect("a connection");
    let statement = "copy log.events (partition, position, epoch, owner, stream_kind, stream_id,
        version, type, type_version, recorded_at, client_id, fingerprint, metadata, payload)
        from stdin";
    let mut copy = connection.copy_in_raw(statement).await.expect("a copy");
    for piece in rows.chunks(1024 * 1024) {
        copy.send(piece).await.expect("rows that are sent");
    }
    copy.finish().await.expect("rows that are taken");
}

/// A row in the text form of `COPY`.
fn write_row(to: &mut Vec<u8>, happening: &Happening, position: i64, epoch: i64) {
    use std::io::Write as _;
    let Happening { owner, partition, stream, version, .. } = happening;
    let (name, kind_version) = happening.event.type_and_version();
    let null = "\\N".to_owned();
    let client = happening.client_id.map_or_else(|| null.clone(), |id| id.to_string());
    let fingerprint = happening.client_id.map_or(null, |id| format!("\\\\x{}", id.simple()));
    write!(
        to,
        "{partition}\t{position}\t{epoch}\t{owner}\t{}\t{}\t{version}\t{name}\t{}\t{}\t{client}\t\
         {fingerprint}\t",
        stream.kind.code(),
        stream.id,
        kind_version,
        happening.recorded_at,
    )
    .expect("memory");
    // JSON has no tab and no line feed, but it has backslashes.
    let metadata = serde_json::to_string(&happening.metadata).expect("JSON");
    let payload = happening.event.encode().expect("JSON of sealed fields");
    to.extend_from_slice(metadata.replace('\\', "\\\\").as_bytes());
    to.push(b'\t');
    to.extend_from_slice(payload.replace('\\', "\\\\").as_bytes());
    to.push(b'\n');
}

fn at(day: NaiveDate, hour: i64) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::hours(hour)
}
