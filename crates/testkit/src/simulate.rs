//! Invented athletes: runs of valid events to fill a log with.

mod plans;
mod social;

use std::collections::HashMap;

use events::{
    Actor, AthleteId, AthleteRegistered, BodyweightCorrected, BodyweightId, BodyweightMeasured,
    BodyweightRemoved, Channel, CoachAccepted, CoachInvited, CoachingEnded, CoachingSide,
    ContentId, CustomExerciseCreated, Equipment, Event, ExerciseId, ExerciseNoted, ExerciseTraits,
    FolderId, FormScore, Measurement, Metadata, Muscle, Notifications, PRAchieved, PRRevoked,
    Partition, Personal, Privacy, ProfileChanged, RecordHolder, RecordKind, RecordMoved, Reps,
    RoutineId, SetConfirmed, SetCorrected, SetId, SetKind, SetLogged, SetNumber, SetRemoved,
    SetValues, Sex, Side, Stream, Theme, TimeZone, Timestamp, Units, Version, Visibility, Weighing,
    Weight, WeightUnit, WorkoutCompleted, WorkoutDetails, WorkoutDetailsChanged, WorkoutDiscarded,
    WorkoutId, WorkoutStarted,
};
use log::{Append, Log, NewEvent, Write};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use uuid::Uuid;

/// Invented athletes who train; the same seed gives the same lives.
pub struct Simulator {
    rng: StdRng,
    now: Timestamp,
    lives: HashMap<AthleteId, Life>,
    /// Invitations: which, by whom, and whom.
    invitations: Vec<(Uuid, AthleteId, AthleteId)>,
    /// All that were ever made.
    routines: Vec<(AthleteId, RoutineId)>,
    /// Follows: which, by whom, and of whom.
    follows: Vec<(Uuid, AthleteId, AthleteId)>,
    /// What there is or was to comment on, to like and to hide.
    contents: Vec<ContentId>,
    /// Where streams stand that come up again and again.
    versions: HashMap<(AthleteId, Uuid, i16), Version>,
}

/// What is told of an athlete beside workouts.
#[derive(Default)]
struct Life {
    profile: Version,
    body: Version,
    records: Version,
    coaching: Version,
    weighings: Vec<BodyweightId>,
    routines: Vec<(RoutineId, Version)>,
    ordering: Version,
    folders: Vec<FolderId>,
    liking: Version,
    likes: Vec<(AthleteId, RoutineId)>,
    /// Those that were not discarded.
    workouts: Vec<WorkoutId>,
}

/// An invented athlete.
#[derive(Debug, Clone, Copy)]
pub struct Athlete {
    /// Whose events they are.
    pub id: AthleteId,
    /// Where they are.
    pub partition: Partition,
}

impl Simulator {
    /// Athletes of a seed.
    pub fn new(seed: u64) -> Self {
        let now = "2026-01-01T06:00:00Z".parse().expect("a time");
        Self {
            rng: StdRng::seed_from_u64(seed),
            now,
            lives: HashMap::new(),
            invitations: Vec::new(),
            routines: Vec::new(),
            follows: Vec::new(),
            contents: Vec::new(),
            versions: HashMap::new(),
        }
    }

    /// Registers athletes with their keys and lets each do so many workouts, in turns; the log has
    /// it all when this returns.
    pub async fn fill(
        &mut self,
        log: &Log,
        database: &crate::Database,
        athletes: usize,
        workouts: usize,
    ) -> Vec<Athlete> {
        let api = database.connect_api();
        let partitions: Vec<Partition> =
            log.reader().heads().await.expect("the partitions").into_keys().collect();
        let mut all = Vec::with_capacity(athletes);
        for _ in 0..athletes {
            let id = AthleteId::new(self.uuid()).expect("an id of version 7");
            let partition = partitions[self.rng.random_range(0..partitions.len())];
            let athlete = Athlete { id, partition };
            let mut connection = api.pool.acquire().await.expect("a connection");
            log.keys().create(&mut connection, id, self.now).await.expect("a key");
            let registered = AthleteRegistered {
                time_zone: TimeZone("Europe/Paris".parse().expect("a zone")),
                units: Units::default(),
            };
            self.append(log, athlete, Stream::athlete(id), vec![registered.into()]).await;
            self.lives.insert(id, Life { profile: Version(1), ..Life::default() });
            let custom = self.uuid();
            let created = CustomExerciseCreated {
                exercise_id: custom,
                name: Personal::Clear("My machine".to_owned()),
                traits: ExerciseTraits {
                    equipment: Equipment::Machine,
                    primary_muscles: vec![Muscle::Chest],
                    secondary_muscles: vec![],
                    kind: Measurement::WeightReps,
                },
            };
            self.append(log, athlete, Stream::exercises(id), vec![created.into()]).await;
            all.push((athlete, custom));
        }
        for _ in 0..workouts {
            for (athlete, custom) in all.clone() {
                self.workout(log, athlete, custom).await;
                self.live(log, athlete).await;
                let other = all[self.rng.random_range(0..all.len())].0;
                self.coach(log, athlete, other.id).await;
                self.plan(log, athlete).await;
                self.meet(log, athlete, other.id).await;
            }
        }
        all.into_iter().map(|(athlete, _)| athlete).collect()
    }

    /// Lets an athlete do so many more workouts.
    pub async fn train(&mut self, log: &Log, athlete: Athlete, workouts: usize) {
        for _ in 0..workouts {
            let custom = self.uuid();
            self.workout(log, athlete, custom).await;
        }
    }

    /// Lets an athlete ask somebody to be their client, and plan, most of the time.
    pub async fn ask(&mut self, log: &Log, athlete: Athlete) {
        let other = AthleteId::new(self.uuid()).expect("an id of version 7");
        self.coach(log, athlete, other).await;
        self.plan(log, athlete).await;
    }

    /// What happens between workouts: profiles change, scales are stood on, records announced.
    async fn live(&mut self, log: &Log, athlete: Athlete) {
        let Some(mut life) = self.lives.remove(&athlete.id) else { return };
        if self.rng.random_bool(0.3) {
            let zones = ["Europe/Paris", "America/New_York", "Pacific/Apia"];
            let zone = zones[self.rng.random_range(0..zones.len())];
            let sexes = [None, Some(Sex::Female), Some(Sex::Male), Some(Sex::Male)];
            let sex = sexes[self.rng.random_range(0..sexes.len())];
            let changed = ProfileChanged {
                username: None,
                name: Some(Personal::Clear("Ada".to_owned())),
                birth_year: None,
                sex: sex.map(Personal::Clear),
                height_cm: None,
                experience: None,
                goal: None,
                time_zone: TimeZone(zone.parse().expect("a zone")),
                units: Units::default(),
                theme: Theme::default(),
                language: None,
                notifications: Notifications::default(),
                privacy: Privacy {
                    private_profile: self.rng.random_bool(0.3),
                    ..Privacy::default()
                },
            };
            let stream = Stream::athlete(athlete.id);
            let mut events = vec![changed.into()];
            self.append_at(log, athlete, stream, &mut life.profile, &mut events).await;
        }
        let mut weighed: Vec<Event> = Vec::new();
        if self.rng.random_bool(0.5) {
            let bodyweight_id = BodyweightId::new(self.uuid()).expect("an id of version 7");
            life.weighings.push(bodyweight_id);
            weighed.push(BodyweightMeasured { bodyweight_id, weighing: self.weighing() }.into());
        }
        if self.rng.random_bool(0.2) && !life.weighings.is_empty() {
            let bodyweight_id = life.weighings[self.rng.random_range(0..life.weighings.len())];
            weighed.push(BodyweightCorrected { bodyweight_id, weighing: self.weighing() }.into());
        }
        if self.rng.random_bool(0.1) && !life.weighings.is_empty() {
            let removed = self.rng.random_range(0..life.weighings.len());
            let bodyweight_id = life.weighings.swap_remove(removed);
            weighed.push(BodyweightRemoved { bodyweight_id }.into());
        }
        let stream = Stream::body(athlete.id);
        self.append_at(log, athlete, stream, &mut life.body, &mut weighed).await;
        if self.rng.random_bool(0.3) {
            let mut events = vec![self.announcement(life.workouts.last().copied())];
            let stream = Stream::records(athlete.id);
            self.append_at(log, athlete, stream, &mut life.records, &mut events).await;
        }
        self.lives.insert(athlete.id, life);
    }

    /// An athlete asks another, answers somebody who asked them, or ends what there is.
    async fn coach(&mut self, log: &Log, athlete: Athlete, other: AthleteId) {
        let Some(mut life) = self.lives.remove(&athlete.id) else { return };
        let mut said: Vec<Event> = Vec::new();
        if self.rng.random_bool(0.6) {
            let invitation = self.uuid();
            self.invitations.push((invitation, athlete.id, other));
            said.push(CoachInvited { invitation, client: other }.into());
        }
        let of_both = |(_, coach, client): &&_| *coach == athlete.id || *client == athlete.id;
        let known: Vec<_> = self.invitations.iter().filter(of_both).copied().collect();
        for (invitation, coach, client) in known {
            let is_coach = coach == athlete.id;
            if !is_coach && self.rng.random_bool(0.3) {
                said.push(CoachAccepted { invitation, coach }.into());
            }
            if self.rng.random_bool(0.2) {
                let by = if is_coach { CoachingSide::Coach } else { CoachingSide::Client };
                let with = if is_coach { client } else { coach };
                said.push(CoachingEnded { invitation, by, with }.into());
                self.invitations.retain(|(known, ..)| *known != invitation);
            }
        }
        let stream = Stream::coaching(athlete.id);
        self.append_at(log, athlete, stream, &mut life.coaching, &mut said).await;
        self.lives.insert(athlete.id, life);
    }

    /// Within two days of now, most of them.
    fn weighing(&mut self) -> Weighing {
        let grams = self.rng.random_range(50_000..130_000);
        let weight = Weight::new(Decimal::new(grams, 3), WeightUnit::Kg).expect("a weight");
        let by = chrono::TimeDelta::hours(self.rng.random_range(-48..1));
        let measured_at = self.now.shifted(by).expect("a time");
        Weighing { measured_at, weight: Personal::Clear(weight) }
    }

    /// News of a workout, or of one that nobody knows.
    fn announcement(&mut self, workout: Option<WorkoutId>) -> Event {
        let exercise: ExerciseId = "squat-barbell".parse().expect("a slug");
        let holder = RecordHolder {
            figure: Decimal::new(self.rng.random_range(40..200), 0),
            set_id: None,
            workout_id: workout
                .unwrap_or_else(|| WorkoutId::new(self.uuid()).expect("an id of version 7")),
            performed_at: self.now,
        };
        let kinds = [RecordKind::HeaviestWeight, RecordKind::SetVolume];
        let kind = kinds[self.rng.random_range(0..kinds.len())];
        let (reps, previous) = (None, None);
        if self.rng.random_bool(0.3) {
            let records = vec![RecordMoved { kind, reps, holder: None, previous: Some(holder) }];
            return PRRevoked { exercise, records }.into();
        }
        let records = vec![RecordMoved { kind, reps, holder: Some(holder), previous }];
        PRAchieved { exercise, first: false, records }.into()
    }

    /// One workout with its corrections, in several appends.
    async fn workout(&mut self, log: &Log, athlete: Athlete, custom: Uuid) {
        let id = WorkoutId::new(self.uuid()).expect("an id of version 7");
        let stream = Stream::workout(id);
        let mut expected = Version(0);
        let mut details = WorkoutDetails {
            started_at: self.now,
            title: Some(Personal::Clear("Session".to_owned())),
            notes: None,
            visibility: Visibility::Followers,
        };
        let started = WorkoutStarted {
            details: details.clone(),
            imported_from: None,
            routine: None,
            plan: Vec::new(),
        };
        let mut events: Vec<Event> = vec![started.into()];
        let mut sets: Vec<(SetId, SetValues)> = Vec::new();
        for number in 1..=self.rng.random_range(1..8) {
            let set_id = SetId::new(self.uuid()).expect("an id of version 7");
            let set = self.set(number, custom);
            sets.push((set_id, set.clone()));
            let unusual = self.rng.random_bool(0.2);
            events.push(SetLogged { set_id, set, unusual }.into());
            if unusual && self.rng.random_bool(0.5) {
                events.push(SetConfirmed { set_id }.into());
            }
            if self.rng.random_bool(0.2) {
                let corrected = self.rng.random_range(0..sets.len());
                let set = self.set(number, custom);
                sets[corrected].1 = set.clone();
                let (set_id, unusual) = (sets[corrected].0, self.rng.random_bool(0.1));
                events.push(SetCorrected { set_id, set, unusual }.into());
            }
            if self.rng.random_bool(0.1) {
                let removed = self.rng.random_range(0..sets.len());
                let (set_id, _) = sets.swap_remove(removed);
                events.push(SetRemoved { set_id }.into());
            }
            if self.rng.random_bool(0.4) {
                events.push(self.note(custom).into());
            }
            if self.rng.random_bool(0.4) {
                self.append_at(log, athlete, stream, &mut expected, &mut events).await;
            }
        }
        if self.rng.random_bool(0.8) {
            let completed_at = self.now;
            let (shared, abandoned) = (self.rng.random_bool(0.6), false);
            let feeling = None;
            events.push(WorkoutCompleted { completed_at, feeling, abandoned, shared }.into());
            if self.rng.random_bool(0.3) {
                self.append_at(log, athlete, stream, &mut expected, &mut events).await;
                details.title = Some(Personal::Clear("Renamed".to_owned()));
                let changed = WorkoutDetailsChanged {
                    details,
                    completed_at: Some(completed_at),
                    feeling: None,
                };
                events.push(changed.into());
            }
        }
        let is_discarded = self.rng.random_bool(0.1);
        if is_discarded {
            events.push(WorkoutDiscarded {}.into());
        }
        self.append_at(log, athlete, stream, &mut expected, &mut events).await;
        self.versions.insert((athlete.id, stream.id, stream.kind.code()), expected);
        if let Some(life) = self.lives.get_mut(&athlete.id).filter(|_| !is_discarded) {
            life.workouts.push(id);
        }
    }

    fn exercise(&mut self, custom: Uuid) -> ExerciseId {
        let exercises = [
            "bench-press-barbell",
            "squat-barbell",
            "deadlift-barbell",
            "pull-up-weighted",
            "pull-up-assisted",
        ];
        if self.rng.random_bool(0.2) {
            ExerciseId::Custom(custom)
        } else {
            let name = exercises[self.rng.random_range(0..exercises.len())];
            name.parse().expect("a slug")
        }
    }

    /// Something noted of an exercise, or what was noted emptied.
    fn note(&mut self, custom: Uuid) -> ExerciseNoted {
        let said = self.rng.random_bool(0.7);
        ExerciseNoted {
            exercise: self.exercise(custom),
            notes: said.then(|| Personal::Clear("slow".to_owned())),
            form_score: FormScore::new(self.rng.random_range(0..=100)).ok().filter(|_| said),
            form_notes: None,
        }
    }

    fn set(&mut self, number: i64, custom: Uuid) -> SetValues {
        let exercise = self.exercise(custom);
        let kilograms = Decimal::new(self.rng.random_range(40..400), 0) / Decimal::TWO;
        SetValues {
            exercise,
            number: SetNumber::new(number).expect("a set number"),
            side: if self.rng.random_bool(0.1) { Side::Left } else { Side::Both },
            kind: if self.rng.random_bool(0.1) { SetKind::WarmUp } else { SetKind::Normal },
            reps: Reps::new(self.rng.random_range(1..13)).ok(),
            weight: Weight::new(kilograms, WeightUnit::Kg).ok(),
            rpe: None,
            rest_seconds: None,
            duration_seconds: None,
            distance_metres: None,
            custom_metric: None,
            superset_id: None,
            notes: self.rng.random_bool(0.1).then(|| Personal::Clear("heavy".to_owned())),
            performed_at: self.now,
        }
    }

    async fn append(&mut self, log: &Log, athlete: Athlete, stream: Stream, events: Vec<Event>) {
        self.append_at(log, athlete, stream, &mut Version(0), &mut { events }).await;
    }

    /// Appends what there is and moves the expected version on.
    async fn append_at(
        &mut self,
        log: &Log,
        athlete: Athlete,
        stream: Stream,
        expected: &mut Version,
        events: &mut Vec<Event>,
    ) {
        if events.is_empty() {
            return;
        }
        let run = self.uuid();
        let metadata = Metadata {
            occurred_at: self.now,
            actor: Actor::Athlete(athlete.id),
            on_behalf_of: None,
            channel: Channel::Api,
            device: None,
            request: None,
            correlation: run,
            causation: run,
        };
        let new = events.drain(..).map(|event| NewEvent {
            event,
            metadata: metadata.clone(),
            client: None,
        });
        let write = Write { stream, expected: *expected, events: new.collect() };
        expected.0 += i32::try_from(write.events.len()).expect("a small number");
        let append =
            Append { owner: athlete.id, partition: athlete.partition, writes: vec![write] };
        log.append(append).await.expect("the log takes it");
    }

    /// The next id; time goes on by a minute with each.
    fn uuid(&mut self) -> Uuid {
        self.now = self.now.shifted(chrono::TimeDelta::minutes(1)).expect("a time");
        let millis = u64::try_from(self.now.utc().timestamp_millis()).expect("after 1970");
        uuid::Builder::from_unix_timestamp_millis(millis, &self.rng.random()).into_uuid()
    }
}
