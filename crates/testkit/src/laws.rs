//! The laws that every projection is held to, whatever it projects.
//!
//! Rows depend on the log alone: not on how batches are cut, in which order partitions come, how
//! often it is rebuilt, who else runs, or where it crashes.

use std::time::Duration;

use events::Partition;
use log::Log;
use projector::{Error, Projection, Projector};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{Database, simulate::Simulator};

/// Holds a projection to all laws, on the lives of a seed.
pub async fn hold<P: Projection>(seed: u64) {
    let database = Database::fresh().await;
    let log = database.log();
    Simulator::new(seed).fill(&log, &database, 12, 12).await;
    let mut bench = Bench::<P>::new(database, log, seed).await;

    let rows = bench.built_in_big_batches().await;
    assert!(rows.lines().count() > 100, "the lives leave rows to compare:\n{rows}");
    for _ in 0..2 {
        assert_eq!(bench.built_in_random_batches().await, rows, "cuts and order of partitions");
    }
    assert_eq!(bench.built_by_two_at_once().await, rows, "two owners at once");
    assert_eq!(bench.built_with_killed_connections().await, rows, "killed connections");
    assert_eq!(bench.built_with_failing_statements().await, rows, "failing statements");
    bench.a_stale_owner_writes_nothing(&rows).await;
}

struct Bench<P> {
    database: Database,
    log: Log,
    owner: PgConnection,
    rng: StdRng,
    projection: std::marker::PhantomData<P>,
}

impl<P: Projection> Bench<P> {
    async fn new(database: Database, log: Log, seed: u64) -> Self {
        let owner = PgConnection::connect(&database.owner_url()).await.expect("the owner");
        let rng = StdRng::seed_from_u64(seed);
        Self { database, log, owner, rng, projection: std::marker::PhantomData }
    }

    /// A projector that begins from nothing.
    async fn fresh(&mut self) -> Projector<P> {
        self.run(&format!(
            "drop schema if exists {schema} cascade;
             delete from projector.checkpoints where projection = '{schema}'",
            schema = P::SCHEMA
        ))
        .await;
        let projector = self.projector();
        projector.prepare().await.expect("a schema");
        projector
    }

    fn projector(&self) -> Projector<P> {
        Projector::new(self.database.connect_projector(), self.log.clone())
    }

    async fn built_in_big_batches(&mut self) -> String {
        let mut projector = self.fresh().await;
        while projector.step(None, 10_000).await.expect("a step") > 0 {}
        self.dump().await
    }

    /// Partitions in random order, a few at a time, in batches cut anywhere.
    async fn built_in_random_batches(&mut self) -> String {
        let mut projector = self.fresh().await;
        let all: Vec<Partition> =
            self.log.heads().await.expect("the partitions").into_keys().collect();
        let mut idle = 0;
        while idle < 3 {
            let mut some = all.clone();
            some.shuffle(&mut self.rng);
            some.truncate(self.rng.random_range(1..=all.len()));
            let limit = self.rng.random_range(1..20);
            let taken = projector.step(Some(&some), limit).await.expect("a step");
            let nothing_left = projector.step(None, 1).await.expect("a step") == 0;
            idle = if taken == 0 && nothing_left { idle + 1 } else { 0 };
        }
        self.dump().await
    }

    /// Two owners of the same partitions: one of them is fenced off, batch by batch.
    async fn built_by_two_at_once(&mut self) -> String {
        let first = self.fresh().await;
        let second = self.projector();
        tokio::join!(exhaust(first), exhaust(second));
        self.dump().await
    }

    /// Somebody kills the projector's connections again and again.
    async fn built_with_killed_connections(&mut self) -> String {
        let mut projector = self.fresh().await;
        let mut killer =
            PgConnection::connect(&self.database.owner_url()).await.expect("the owner");
        let mut pauses: Vec<u64> = (0..40).map(|_| self.rng.random_range(0..8)).collect();
        let killing = async {
            while let Some(pause) = pauses.pop() {
                sqlx::query(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database()
                         and application_name = 'ironledger test projector'",
                )
                .execute(&mut killer)
                .await
                .expect("a connection killed");
                // Not waiting for anything: the moments are what varies.
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        };
        let building = async {
            let mut quiet = 0;
            while quiet < 3 {
                match projector.step(None, 7).await {
                    Ok(0) => quiet += 1,
                    Ok(_) | Err(Error::Database(_) | Error::Fenced(_)) => quiet = 0,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::join!(killing, building);
        self.dump().await
    }

    /// Every statement of every batch fails once before it gets through; what was written of the
    /// batch before it must be gone.
    async fn built_with_failing_statements(&mut self) -> String {
        let mut projector = self.fresh().await;
        self.run(CRASH).await;
        self.run(&format!(
            "do $$ declare t text; begin
                 for t in select tablename from pg_tables where schemaname = '{schema}' loop
                     execute format('create trigger crash before insert or update or delete
                         on {schema}.%I for each statement execute function crash.here()', t);
                 end loop;
             end $$",
            schema = P::SCHEMA
        ))
        .await;
        let (mut before, mut statement, mut crashes) = (self.dump().await, 1, 0);
        loop {
            self.run(&format!(
                "update crash.plan set statement = {statement};
                 select setval('crash.counter', 1, false)"
            ))
            .await;
            match projector.step(None, 50).await {
                Ok(0) => break,
                Ok(_) => {
                    before = self.dump().await;
                    statement = 1;
                }
                Err(_) => {
                    crashes += 1;
                    assert_eq!(self.dump().await, before, "a failed batch leaves nothing");
                    statement += 1;
                }
            }
        }
        assert!(crashes > 10, "{crashes} crashes");
        self.dump().await
    }

    /// An owner that fell asleep before the others went on is fenced off, and changes nothing.
    async fn a_stale_owner_writes_nothing(&mut self, rows: &str) {
        let mut stale = self.fresh().await;
        assert!(stale.step(None, 1).await.expect("a step") > 0);
        let mut other = self.projector();
        while other.step(None, 1000).await.expect("a step") > 0 {}
        assert!(matches!(stale.step(None, 5).await, Err(Error::Fenced(_))));
        assert_eq!(stale.step(None, 5).await.expect("it reads where it stands"), 0);
        assert_eq!(self.dump().await, rows, "applied once");
    }

    /// Every row of every table, in an order of their own.
    async fn dump(&mut self) -> String {
        let tables: Vec<String> = sqlx::query_scalar(
            "select tablename::text from pg_tables where schemaname = $1 order by 1",
        )
        .bind(P::SCHEMA)
        .fetch_all(&mut self.owner)
        .await
        .expect("the tables");
        let mut dump = String::new();
        for table in tables {
            let rows: String = sqlx::query_scalar(AssertSqlSafe(format!(
                "select coalesce(string_agg(t::text, E'\\n' order by t::text), '')
                 from {}.{table} t",
                P::SCHEMA
            )))
            .fetch_one(&mut self.owner)
            .await
            .expect("the rows");
            dump += &format!("-- {table}\n{rows}\n");
        }
        dump
    }

    async fn run(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        self.owner.execute(sqlx::raw_sql(sql)).await.expect("a statement of the test kit");
    }
}

/// Steps to the end of the log.
async fn exhaust<P: Projection>(mut projector: Projector<P>) {
    let mut quiet = 0;
    while quiet < 3 {
        match projector.step(None, 5).await {
            Ok(0) => quiet += 1,
            Ok(_) => quiet = 0,
            // The other was faster; or both locked the same rows in another order, and one gave way.
            Err(Error::Fenced(_) | Error::Database(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Fails the statement whose turn it is. A sequence counts on whatever is rolled back.
const CRASH: &str = "
create schema if not exists crash;
create table if not exists crash.plan (statement bigint);
delete from crash.plan;
insert into crash.plan values (0);
create sequence if not exists crash.counter;
create or replace function crash.here() returns trigger language plpgsql security definer as $$
begin
    if nextval('crash.counter') = (select statement from crash.plan) then
        raise exception 'crash';
    end if;
    return null;
end $$;
grant usage on schema crash to public;";
