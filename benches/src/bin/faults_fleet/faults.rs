//! What is done to the fleet, and when.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use events::Partition;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{
    sync::{Mutex as Part, OwnedMutexGuard},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    judge::{self, Heads},
    world::{Broker, Cluster, Member, World, blocking, signal},
};

/// Every fault is over after so long, or has failed.
const LONGEST: Duration = Duration::from_secs(150);

/// A partition count that is not the log's.
const WRONG_PARTITIONS: i32 = 4;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Fault {
    RelayKilled,
    /// For longer than its lease lasts.
    RelayFrozen,
    ProjectorKilled,
    /// For longer than its group waits for it.
    ProjectorFrozen,
    ApiKilled,
    KafkaKilled,
    KafkaPaused,
    /// Everything on it is gone, and the cluster another.
    KafkaWiped,
    TopicDeleted,
    /// Made anew at once, as the relay makes it.
    TopicRenewed,
    /// Made anew with another number of partitions, and deleted again.
    TopicRepartitioned,
    /// As by its retention.
    TopicEmptied,
    /// It takes no batch of ours for a while.
    TopicNarrowed,
    ForeignRecords,
    PostgresRestarted,
    PostgresInterrupted,
    PostgresKilled,
    /// Upon which Postgres ends all connections and recovers.
    BackendKilled,
}

use Fault::*;

/// What each fault is done to.
const FAULTS: [(Fault, What); 18] = [
    (RelayKilled, What::Relay),
    (RelayFrozen, What::Relay),
    (ProjectorKilled, What::Projector),
    (ProjectorFrozen, What::Projector),
    (ApiKilled, What::Api),
    (KafkaKilled, What::Broker),
    (KafkaPaused, What::Broker),
    (KafkaWiped, What::Broker),
    (TopicDeleted, What::Broker),
    (TopicRenewed, What::Broker),
    (TopicRepartitioned, What::Broker),
    (TopicEmptied, What::Broker),
    (TopicNarrowed, What::Broker),
    (ForeignRecords, What::Broker),
    (PostgresRestarted, What::Postgres),
    (PostgresInterrupted, What::Postgres),
    (PostgresKilled, What::Postgres),
    (BackendKilled, What::Postgres),
];

/// A kind of part of the world.
#[derive(Debug, Clone, Copy)]
enum What {
    Relay,
    Projector,
    Api,
    Broker,
    Postgres,
}

/// A part that a fault holds: nothing else disturbs it meanwhile.
enum Held {
    Member(OwnedMutexGuard<Member>),
    Broker(OwnedMutexGuard<Broker>),
    Postgres(OwnedMutexGuard<Cluster>),
}

/// Where the log was when the topic last lost what it held: what came later must be there.
pub(crate) type Floor = Arc<Mutex<Heads>>;

/// The faults of one run.
pub(crate) struct Faults {
    rng: StdRng,
    world: Arc<World>,
    floor: Floor,
    kinds: Vec<(Fault, What)>,
    running: JoinSet<Result<()>>,
    done: Done,
}

/// How often each fault happened.
#[derive(Debug, Default)]
pub(crate) struct Done(BTreeMap<Fault, u64>);

impl Done {
    pub(crate) fn count(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, times) in &self.0 {
            write!(f, " {fault:?}={times}")?;
        }
        Ok(())
    }
}

impl Faults {
    /// Of all kinds, or of some.
    pub(crate) fn new(seed: u64, only: &[Fault], world: Arc<World>, floor: Floor) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let mut kinds = FAULTS.to_vec();
        kinds.retain(|(fault, _)| only.is_empty() || only.contains(fault));
        Self { rng, world, floor, kinds, running: JoinSet::new(), done: Done::default() }
    }

    /// Disturbs until the time is over, and leaves everything whole.
    pub(crate) async fn run(mut self, until: Instant) -> Result<Done> {
        let mut round = Vec::new();
        loop {
            let pause = Duration::from_millis(self.rng.random_range(1000..4000));
            let left = until.saturating_duration_since(Instant::now());
            sleep(pause.min(left)).await;
            while let Some(over) = self.running.try_join_next() {
                over??;
            }
            self.world.check().await?;
            if pause >= left {
                break;
            }
            // Each kind once in every round, in an order of its own. One whose part is taken waits
            // for its turn, and keeps it when the next round comes early.
            let mut free = round.iter().position(|fault| self.hold(*fault).is_some());
            if free.is_none() {
                let mut next = self.kinds.clone();
                next.shuffle(&mut self.rng);
                round.append(&mut next);
                free = round.iter().position(|fault| self.hold(*fault).is_some());
            }
            if let Some(index) = free {
                let (fault, what) = round.remove(index);
                self.inject(fault, what);
            }
        }
        self.world.tell("no more faults; what is broken is made whole");
        while let Some(over) = self.running.join_next().await {
            over??;
        }
        self.world.check().await?;
        Ok(self.done)
    }

    /// A free part for a fault, one of several at random.
    fn hold(&mut self, (_, what): (Fault, What)) -> Option<Held> {
        let mut any = |members: &[Arc<Part<Member>>]| {
            let mut members = members.to_vec();
            members.shuffle(&mut self.rng);
            members.into_iter().find_map(|member| member.try_lock_owned().ok())
        };
        match what {
            What::Relay => any(&self.world.relays).map(Held::Member),
            What::Projector => any(&self.world.projectors).map(Held::Member),
            What::Api => self.world.api.clone().try_lock_owned().ok().map(Held::Member),
            What::Broker => self.world.broker.clone().try_lock_owned().ok().map(Held::Broker),
            What::Postgres => self.world.postgres.clone().try_lock_owned().ok().map(Held::Postgres),
        }
    }

    fn inject(&mut self, fault: Fault, what: What) {
        let Some(held) = self.hold((fault, what)) else { return };
        let whom = match &held {
            Held::Member(member) => member.name.clone(),
            Held::Broker(_) => "kafka".to_owned(),
            Held::Postgres(_) => "postgres".to_owned(),
        };
        *self.done.0.entry(fault).or_default() += 1;
        let (world, floor) = (self.world.clone(), self.floor.clone());
        let rng = StdRng::seed_from_u64(self.rng.random());
        self.running.spawn(async move {
            world.tell(&format!("{fault:?}: {whom}"));
            let disturbance = Disturbance { world: world.clone(), floor, rng };
            timeout(LONGEST, disturbance.run(fault, held))
                .await
                .with_context(|| format!("{fault:?} of {whom} does not end"))?
                .with_context(|| format!("{fault:?} of {whom}"))?;
            world.tell(&format!("{fault:?}: {whom} is whole again"));
            Ok(())
        });
    }
}

/// What can be done to the topic.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Delete,
    /// By one with so many partitions.
    Replace(i32),
    Empty,
    /// To batches of so many bytes.
    Limit(&'static str),
}

/// One fault.
struct Disturbance {
    world: Arc<World>,
    floor: Floor,
    rng: StdRng,
}

impl Disturbance {
    async fn run(mut self, fault: Fault, held: Held) -> Result<()> {
        match held {
            Held::Member(member) => self.member(fault, member).await,
            Held::Broker(broker) => self.broker(fault, broker).await,
            Held::Postgres(postgres) => self.postgres(fault, postgres).await,
        }
    }

    async fn member(&mut self, fault: Fault, mut member: OwnedMutexGuard<Member>) -> Result<()> {
        match fault {
            RelayKilled | ProjectorKilled | ApiKilled => {
                member.kill();
                self.pause(0..2500).await;
                if fault == ApiKilled {
                    self.world.start_api(&mut member).await?;
                } else {
                    member.start();
                }
            }
            RelayFrozen | ProjectorFrozen => {
                member.freeze();
                let range = if fault == RelayFrozen { 3500..7000 } else { 7000..10_000 };
                self.pause(range).await;
                member.thaw();
            }
            _ => bail!("nothing for a process"),
        }
        Ok(())
    }

    async fn broker(&mut self, fault: Fault, broker: OwnedMutexGuard<Broker>) -> Result<()> {
        match fault {
            KafkaKilled => {
                broker.signal("KILL")?;
                self.pause(0..3000).await;
                blocking(broker, Broker::start).await?;
            }
            KafkaPaused => {
                broker.signal("STOP")?;
                self.pause(2000..8000).await;
                broker.signal("CONT")?;
            }
            KafkaWiped => {
                let broker = blocking(broker, |broker| broker.wipe()).await?;
                self.pause(0..2000).await;
                let _broker = blocking(broker, Broker::start).await?;
                self.raise_floor().await?;
            }
            TopicDeleted => {
                self.insist(Deed::Delete).await?;
                self.raise_floor().await?;
            }
            TopicRenewed => {
                self.insist(Deed::Replace(self.world.partitions.into())).await?;
                self.raise_floor().await?;
            }
            TopicRepartitioned => {
                self.insist(Deed::Replace(WRONG_PARTITIONS)).await?;
                self.pause(3000..7000).await;
                self.insist(Deed::Delete).await?;
                self.raise_floor().await?;
            }
            TopicEmptied => {
                self.insist(Deed::Empty).await?;
                self.raise_floor().await?;
            }
            TopicNarrowed => {
                self.insist(Deed::Limit("1000")).await?;
                self.pause(3000..8000).await;
                self.insist(Deed::Limit("1048588")).await?;
            }
            ForeignRecords => {
                let (world, count) = (self.world.clone(), self.rng.random_range(1..300));
                let partition = Partition(self.rng.random_range(0..world.partitions));
                let written = tokio::task::spawn_blocking(move || {
                    world.kafka.try_write_foreign(partition, count)
                });
                written.await?.context("foreign records")?;
            }
            _ => bail!("nothing for Kafka"),
        }
        Ok(())
    }

    /// Does something to the topic, again and again until it is done.
    async fn insist(&self, deed: Deed) -> Result<()> {
        let (topic, began) = (&self.world.kafka, Instant::now());
        loop {
            let done = match deed {
                Deed::Delete => topic.try_delete_topic().await,
                Deed::Replace(partitions) => {
                    // Before a relay does.
                    topic.try_delete_topic().await.ok();
                    topic.try_create_topic(partitions, &[]).await
                }
                Deed::Empty => topic.try_empty_topic(self.world.partitions.into()).await,
                Deed::Limit(bytes) => topic.try_alter_topic("max.message.bytes", bytes).await,
            };
            match done {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > LONGEST / 2 => {
                    return Err(error).with_context(|| format!("{deed:?}"));
                }
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn postgres(&mut self, fault: Fault, postgres: OwnedMutexGuard<Cluster>) -> Result<()> {
        let how = match fault {
            PostgresRestarted => "INT",
            PostgresInterrupted => "QUIT",
            PostgresKilled => "KILL",
            BackendKilled => return self.kill_backend().await,
            _ => bail!("nothing for Postgres"),
        };
        let postgres = blocking(postgres, move |postgres| postgres.end(how)).await?;
        self.pause(0..2000).await;
        blocking(postgres, Cluster::start).await?;
        Ok(())
    }

    async fn kill_backend(&mut self) -> Result<()> {
        let mut tries = 0;
        let chosen: Option<i32> = loop {
            let chosen = sqlx::query_scalar(
                "select pid from pg_stat_activity
                 where datname = current_database() and application_name like 'ironledger%'
                 order by md5(pid::text || $1::text) limit 1",
            )
            .bind(self.rng.random_range(0..1_000_000_i64))
            .fetch_optional(&self.world.pool)
            .await;
            match chosen {
                Ok(chosen) => break chosen,
                // Connections of ours, too, ended when Postgres last did.
                Err(error) if tries == 10 => return Err(error.into()),
                Err(_) => tries += 1,
            }
        };
        let chosen = chosen.context("nobody is connected")?;
        // It may be gone by now.
        signal(u32::try_from(chosen)?, "KILL").ok();
        Ok(())
    }

    /// Waits until there is a topic as the relay makes it, and remembers how far the log is.
    async fn raise_floor(&self) -> Result<()> {
        let began = Instant::now();
        let partitions = usize::try_from(self.world.partitions)?;
        let settings = self.world.kafka.settings();
        while !settings.has_topic(partitions).await.unwrap_or(false) {
            ensure!(began.elapsed() < LONGEST, "no relay makes the topic");
            sleep(Duration::from_millis(100)).await;
        }
        // Postgres may be away meanwhile.
        let heads = loop {
            match judge::heads(&self.world.pool).await {
                Ok(heads) => break heads,
                Err(error) if began.elapsed() > LONGEST => return Err(error.into()),
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        };
        *self.floor.lock().unwrap_or_else(PoisonError::into_inner) = heads;
        Ok(())
    }

    /// For a time in milliseconds.
    async fn pause(&mut self, range: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.rng.random_range(range))).await;
    }
}
