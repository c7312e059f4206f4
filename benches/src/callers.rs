//! Those who log sets, as the log sees them: one event, one append, with a client-made id, a
//! fingerprint, a version to check and, now and then, notes to seal.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use events::{
    Actor, AthleteId, Channel, Event, ExerciseId, Metadata, Partition, Personal, Reps, Rpe,
    Seconds, SetId, SetKind, SetLogged, SetNumber, SetValues, Side, Stream, Version, Weight,
    WeightUnit, WorkoutId,
};
use log::{Append, ClientId, Clock, IdempotencyKey, Keep, Log, NewEvent, Write};
use sqlx::PgPool;
use testkit::new_id;

/// Sets of a workout.
const SETS: i32 = 20;

/// One set in so many has notes, which are sealed.
const NOTES_EVERY: usize = 20;

/// What a command is recognised by, beside its id: its text.
const SAID: &[u8] = br#"["log_set",{"exercise":"bench-press-barbell","kind":"normal","number":1,
    "reps":8,"rest_seconds":150,"rpe":8.5,"weight":{"kg":"82.5","unit":"kg","value":"82.5"}}]"#;

/// Before it is measured.
const WARM_UP: Duration = Duration::from_secs(2);

/// One of those who log sets at the same time.
pub struct Caller {
    /// In several partitions, in turn.
    owners: Vec<(AthleteId, Partition)>,
    owner: usize,
    workout: Stream,
    version: Version,
    appends: usize,
}

/// So many callers, whose athletes are spread over the first so many partitions.
pub async fn callers(
    count: usize,
    partitions: i16,
    log: &Log,
    pool: &PgPool,
) -> Result<Vec<Caller>> {
    let mut partitions = (0..partitions).cycle();
    let mut callers = Vec::new();
    let mut transaction = pool.begin().await?;
    for _ in 0..count {
        let mut owners = Vec::new();
        for partition in partitions.by_ref().take(4) {
            let owner = AthleteId::new(new_id())?;
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
    /// Appends the next set; under an idempotency key if wanted, with an answer to keep.
    pub async fn append(&mut self, log: &Log, with_key: bool) -> Result<()> {
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

/// What came of it.
pub struct Measured {
    /// They can go on.
    pub callers: Vec<Caller>,
    /// Appends answered, a second.
    pub per_second: f64,
    /// From the call to the answer, in no order.
    pub latencies: Vec<Duration>,
}

/// Lets all append at the same time, each the next set as soon as the one before is durable; for so
/// many seconds after the warm-up.
pub async fn measure(
    log: &Log,
    callers: Vec<Caller>,
    seconds: u64,
    with_keys: bool,
) -> Result<Measured> {
    let begin = Instant::now() + WARM_UP;
    let end = begin + Duration::from_secs(seconds);
    let log = Arc::new(log.clone());
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
        set_id: SetId::new(new_id())?,
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
        unusual: false,
    })
}

fn metadata(owner: AthleteId) -> Metadata {
    Metadata {
        occurred_at: Clock::system().now(),
        actor: Actor::Athlete(owner),
        on_behalf_of: None,
        channel: Channel::Api,
        device: Some("iphone-6f1d2a".to_owned()),
        request: Some(new_id().to_string()),
        correlation: new_id(),
        causation: new_id(),
    }
}

fn workout() -> Result<Stream> {
    Ok(Stream::workout(WorkoutId::new(new_id())?))
}
