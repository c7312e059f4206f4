//! What is done to the writers, and when.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;
use benches::Server;
use log::{Clock, Random};
use rand::{
    RngExt, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use sqlx::PgPool;
use tokio::{task::JoinSet, time::sleep};

use crate::{PARTITIONS, writer, writers::Writers};

/// How long a transaction that will be rolled back holds the positions that writers want.
const HOLD: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Terminate,
    Freeze,
    Kill,
    RollBack,
    /// Of Postgres: in good order, at once, or by `kill -9`.
    Restart,
}

/// The faults of one run.
pub(crate) struct Faults {
    rng: StdRng,
    pool: PgPool,
    server: Server,
    thaws: Vec<(Instant, usize)>,
    rollbacks: JoinSet<Result<bool>>,
    done: Done,
}

/// How often each fault happened.
#[derive(Debug, Default)]
pub(crate) struct Done {
    terminated: u64,
    frozen: u64,
    killed: u64,
    rolled_back: u64,
    restarted: u64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { terminated, frozen, killed, rolled_back, restarted } = self;
        write!(
            f,
            "terminated={terminated} frozen={frozen} killed={killed} rolled_back={rolled_back} \
             restarted={restarted}"
        )
    }
}

impl Faults {
    pub(crate) fn new(seed: u64, pool: PgPool, server: Server) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let (thaws, rollbacks) = (Vec::new(), JoinSet::new());
        Self { rng, pool, server, thaws, rollbacks, done: Done::default() }
    }

    /// Disturbs the writers until the time is over, and leaves none of them frozen.
    pub(crate) async fn run(mut self, writers: &mut Writers, until: Instant) -> Result<Done> {
        let mut round = Vec::new();
        let mut next = Instant::now() + self.pause();
        while Instant::now() < until {
            let thaw = self.thaws.iter().map(|(at, _)| *at).min().unwrap_or(until);
            sleep(next.min(thaw).min(until).saturating_duration_since(Instant::now())).await;
            writers.check()?;
            self.thaw(writers, Instant::now())?;
            if Instant::now() < next {
                continue;
            }
            // Each kind once in every round, in an order of its own.
            if round.is_empty() {
                round = vec![
                    Fault::Terminate,
                    Fault::Freeze,
                    Fault::Kill,
                    Fault::RollBack,
                    Fault::Restart,
                ];
                round.shuffle(&mut self.rng);
            }
            if let Some(fault) = round.pop() {
                self.inject(fault, writers).await?;
            }
            next = Instant::now() + self.pause();
        }
        self.thaws.iter_mut().for_each(|(at, _)| *at = until);
        self.thaw(writers, until)?;
        while let Some(rolled_back) = self.rollbacks.join_next().await {
            self.done.rolled_back += u64::from(rolled_back??);
        }
        Ok(self.done)
    }

    fn pause(&mut self) -> Duration {
        Duration::from_millis(self.rng.random_range(50..400))
    }

    fn thaw(&mut self, writers: &Writers, now: Instant) -> Result<()> {
        for (_, index) in self.thaws.extract_if(.., |(at, _)| *at <= now) {
            writers.thaw(index)?;
        }
        Ok(())
    }

    async fn inject(&mut self, fault: Fault, writers: &mut Writers) -> Result<()> {
        let index = self.rng.random_range(0..writers.count());
        match fault {
            Fault::Terminate => {
                let terminated: i64 = sqlx::query_scalar(
                    "select count(*) filter (where pg_terminate_backend(pid)) from (
                         select pid from pg_stat_activity
                         where datname = current_database() and application_name like $1
                         order by md5(pid::text || $2::text) limit $3
                     ) as writers",
                )
                .bind(format!("{}%", writer::NAME))
                .bind(self.rng.random_range(0..1_000_000_i64))
                .bind(self.rng.random_range(1..=4_i64))
                .fetch_one(&self.pool)
                .await?;
                self.done.terminated += u64::try_from(terminated).unwrap_or_default();
            }
            Fault::Freeze => {
                if self.thaws.iter().all(|(_, frozen)| *frozen != index) {
                    writers.freeze(index)?;
                    let frozen = Duration::from_millis(self.rng.random_range(500..2000));
                    self.thaws.push((Instant::now() + frozen, index));
                    self.done.frozen += 1;
                }
            }
            Fault::Kill => {
                self.thaws.retain(|(_, frozen)| *frozen != index);
                writers.replace(index)?;
                self.done.killed += 1;
            }
            Fault::RollBack => {
                let mut partitions: Vec<i16> = (0..PARTITIONS).collect();
                partitions.shuffle(&mut self.rng);
                partitions.truncate(self.rng.random_range(1..=2));
                self.rollbacks.spawn(roll_back(self.pool.clone(), partitions));
            }
            Fault::Restart => {
                let how = ["INT", "QUIT", "KILL"].choose(&mut self.rng).copied().unwrap_or("INT");
                let away = Duration::from_millis(self.rng.random_range(0..1000));
                self.server.restart(how, away).await?;
                self.done.restarted += 1;
            }
        }
        Ok(())
    }
}

/// Inserts at the next positions of partitions, keeps everybody waiting, and takes it back. Says
/// whether it got there before the writers.
async fn roll_back(pool: PgPool, partitions: Vec<i16>) -> Result<bool> {
    'again: for _ in 0..100 {
        let Ok(mut transaction) = pool.begin().await else { return Ok(false) };
        for partition in &partitions {
            let inserted = sqlx::query(
                "insert into log.events (partition, position, epoch, owner, stream_kind, stream_id,
                     version, type, type_version, recorded_at, metadata, payload)
                 select $1, head + number, 1, $2, 3, $2, number, 'SetRemoved', 1, now(), '{}', '{}'
                 from generate_series(1, 3) as number, (
                     select coalesce(max(position), 0) as head
                     from log.events where partition = $1
                 ) as heads",
            )
            .bind(partition)
            .bind(Random::system().uuid(Clock::system().now()))
            .execute(&mut *transaction)
            .await;
            match inserted {
                Ok(_) => {}
                // A writer was faster, or waited for us while we waited for it.
                Err(sqlx::Error::Database(error))
                    if matches!(error.code().as_deref(), Some("23505" | "40P01")) =>
                {
                    transaction.rollback().await.ok();
                    continue 'again;
                }
                // Postgres is being restarted.
                Err(_) => return Ok(false),
            }
        }
        sleep(HOLD).await;
        return Ok(transaction.rollback().await.is_ok());
    }
    Ok(false)
}
