//! The product on a log of years of training, and the athletes who ask it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use events::{AthleteId, Partition};
use log::Clock;
use sqlx::PgPool;
use testkit::{App, Kafka, Process, TOKEN_KEY, eventually, new_id, years::Years};
use tokio::process::Command;
use web::{Access, Role, Tier, Tokens};

use crate::wrk::Request;

/// Of the events of invented athletes, so many in a hundred are sets.
const SETS_IN_A_HUNDRED: u64 = 82;

/// Somebody who asks.
pub(crate) struct Athlete {
    id: AthleteId,
    partition: Partition,
    session: uuid::Uuid,
}

pub(crate) struct World {
    binary: PathBuf,
    pub(crate) app: App,
    pub(crate) pool: PgPool,
    pub(crate) kafka: Kafka,
    pub(crate) relay: Option<Process>,
    pub(crate) athletes: Vec<Athlete>,
    /// Sets in the log before anybody logs.
    pub(crate) sets: i64,
    tokens: Tokens,
}

impl World {
    /// Makes athletes with so many sets together, and all read models; some of the athletes will ask.
    pub(crate) async fn new(
        binary: &Path,
        people: usize,
        sets: u64,
        asking: usize,
    ) -> Result<Self> {
        let began = Instant::now();
        let kafka = Kafka::fresh();
        let [brokers, prefix] = kafka.environment();
        // A line for each request would go to a file that nobody reads.
        let environment = [
            ("IRONLEDGER_LOG", "warn"),
            ("IRONLEDGER_METRICS_LISTEN", "127.0.0.1:0"),
            brokers,
            prefix,
        ];
        let app = App::without_projector_with(binary, &environment).await;
        let pool = PgPool::connect(&app.database.owner_url()).await?;
        let events = Years::new(1, people, 16).fill(&pool, sets * 100 / SETS_IN_A_HUNDRED).await;
        let filled = began.elapsed();
        let replay = Command::new(binary)
            .args(["replay", "--all", "--workers", "2"])
            .env("DATABASE_URL", app.database.projector_url())
            .envs(testkit::SECRETS)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&replay.stderr);
        ensure!(replay.status.success(), "{}{said}", String::from_utf8_lossy(&replay.stdout));
        let sets = sqlx::query_scalar("select count(*) from history_v6.workout_sets");
        let sets: i64 = sets.fetch_one(&pool).await?;
        eprintln!(
            "{people} athletes, {events} events, {sets} sets: filled in {:.0} s, projected in {:.0} s",
            filled.as_secs_f64(),
            (began.elapsed() - filled).as_secs_f64(),
        );
        let key = STANDARD.decode(TOKEN_KEY)?;
        let tokens = Tokens::new(&key, &[], || Clock::system().now().utc());
        let (binary, relay, athletes) = (binary.to_owned(), None, Vec::new());
        let mut world = Self { binary, app, pool, kafka, relay, athletes, sets, tokens };
        world.athletes = world.ask_some(asking).await?;
        world.app.start_projector();
        let client = world.app.client();
        eventually("a product that is ready", async || {
            (client.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        sqlx::raw_sql("vacuum analyze; checkpoint").execute(&world.pool).await.ok();
        Ok(world)
    }

    /// Some of the athletes, by chance, with accounts, sessions and keys, as who has registered.
    async fn ask_some(&self, count: usize) -> Result<Vec<Athlete>> {
        let rows: Vec<(uuid::Uuid, i16)> = sqlx::query_as(
            "select owner, partition from log.events where type = 'AthleteRegistered'
             order by md5(owner::text) limit $1",
        )
        .bind(i64::try_from(count)?)
        .fetch_all(&self.pool)
        .await?;
        let mut athletes = Vec::new();
        let mut transaction = self.pool.begin().await?;
        let keys = self.app.database.projector_keys();
        for (id, partition) in rows {
            let id = AthleteId::new(id)?;
            keys.create(&mut transaction, id, Clock::system().now()).await?;
            let session = new_id();
            sqlx::query(
                "with account as (
                     insert into accounts.accounts (athlete, email, partition, created_at)
                     values ($1, $1 || '@example.com', $2, now()) returning athlete
                 )
                 insert into accounts.sessions (id, athlete, family, secret, begun_at, used_at,
                     expires_at, method)
                 select $3, athlete, '', '', now(), now(), now() + interval '1 day', 'password'
                 from account",
            )
            .bind(id.uuid())
            .bind(partition)
            .bind(session)
            .execute(&mut *transaction)
            .await?;
            athletes.push(Athlete { id, partition: Partition(partition), session });
        }
        transaction.commit().await?;
        ensure!(!athletes.is_empty(), "nobody is there");
        Ok(athletes)
    }

    /// A token of somebody, good for a quarter of an hour.
    pub(crate) fn token(&self, athlete: &Athlete) -> Result<String> {
        let access = Access {
            athlete: athlete.id.uuid(),
            partition: athlete.partition.0,
            role: Role::Athlete,
            tier: Tier::Pro,
            generation: 0,
            session: athlete.session,
        };
        let token = self.tokens.issue(access, None);
        token.map_err(|error| anyhow::anyhow!("no token: {}", error.in_full()))
    }

    /// A request of everybody.
    pub(crate) fn of_each(&self, method: &'static str, path: &str) -> Result<Vec<Request>> {
        let each = self.athletes.iter().map(|athlete| {
            let (path, token) = (path.to_owned(), self.token(athlete)?);
            Ok(Request { method, path, token, tag: None })
        });
        each.collect()
    }

    /// Starts what a fleet has besides: the relay and the emitter.
    pub(crate) async fn start_the_rest(&mut self) {
        let [brokers, prefix] = self.kafka.environment();
        let url = self.app.database.relay_url();
        let environment = [("DATABASE_URL", url.as_str()), brokers, prefix];
        self.relay = Some(Process::start(&self.binary, &["relay"], &environment));
        self.app.start_emitter();
    }

    /// Ends all but the process that answers.
    pub(crate) fn end_the_rest(&mut self) {
        self.relay = None;
        self.app.projector = None;
        self.app.emitter = None;
    }

    /// How long until every read model and the topic have all of the log.
    pub(crate) async fn caught_up(&self) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let behind: i64 = sqlx::query_scalar(
                "with heads as (
                     select partition, max(position) as head from log.events group by partition
                 ), behind as (
                     select head - coalesce(c.position, 0) as n from heads
                     left join history_v6.checkpoints c using (partition)
                     union all select head - coalesce(c.position, 0) from heads
                     left join stats_v3.checkpoints c using (partition)
                     union all select head - coalesce(c.position, 0) from heads
                     left join records_v3.checkpoints c using (partition)
                     union all select head - coalesce(c.position, 0) from heads
                     left join strength_v1.checkpoints c using (partition)
                     union all select head - coalesce(p.position, 0) from heads
                     left join log.published p on p.partition = heads.partition and p.feed = 'log'
                 )
                 select coalesce(sum(n), 0)::bigint from behind",
            )
            .fetch_one(&self.pool)
            .await?;
            if behind == 0 {
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < Duration::from_secs(600), "{behind} events behind");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the process that answers has found in its caches, and how often it looked.
    pub(crate) async fn looked(&self) -> (f64, f64) {
        let (mut found, mut all) = (0.0, 0.0);
        for (name, count) in self.app.api.metrics().await {
            if name.starts_with("cache_requests_total") {
                all += count;
                if !name.contains("nowhere") {
                    found += count;
                }
            }
        }
        (found, all)
    }
}
