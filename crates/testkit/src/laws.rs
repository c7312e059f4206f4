//! The laws that every projection is held to, whatever it projects.
//!
//! Rows depend on the log alone: not on how batches are cut, in which order partitions come, how
//! often it is rebuilt, who else runs, or where it crashes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::TimeDelta;
use events::{Partition, Position, Timestamp};
use log::{Clock, Log, Stored};
use projector::{Error, Projection, Projector};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{Database, simulate::Simulator};

/// When rows that age are begun to be built, and at which time they are compared: thirty days after the
/// middle of the lives.
const BEGINNING: &str = "2026-01-20T06:00:00Z";
const END: &str = "2026-02-01T06:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Holds a projection to all laws, on the lives of a seed.
pub async fn hold<P: Projection>(seed: u64) {
    let database = Database::fresh().await;
    let log = database.log();
    Simulator::new(seed).fill(&log, &database, 12, 12).await;
    let mut bench = Bench::<P>::new(database, log, seed).await;

    let rows = bench.built_in_big_batches().await;
    assert!(rows.lines().count() > 20, "the lives leave rows to compare:\n{rows}");
    for _ in 0..2 {
        same("cuts and order of partitions", &bench.built_in_random_batches().await, &rows);
    }
    same("repeated, missing, mixed events", &bench.built_from_a_poor_feed().await, &rows);
    same("two owners at once", &bench.built_by_two_at_once().await, &rows);
    same("killed connections", &bench.built_with_killed_connections().await, &rows);
    same("failing statements", &bench.built_with_failing_statements().await, &rows);
    bench.a_stale_owner_writes_nothing(&rows).await;
}

/// Fails with the rows that differ, for there are many that do not.
#[track_caller]
fn same(law: &str, found: &str, rows: &str) {
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let (found, rows) = (lines(found), lines(rows));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> String {
        one.difference(other).take(5).map(|line| format!("  {line:.2000}\n")).collect()
    };
    let (more, less) = (only(&found, &rows), only(&rows, &found));
    assert!(found == rows, "{law}: rows that should not be\n{more}rows that should be\n{less}");
}

struct Bench<P> {
    database: Database,
    log: Log,
    owner: PgConnection,
    /// The present of rows that age: weeks after the lives at first, and again at the end.
    clock: Clock,
    rng: StdRng,
    projection: std::marker::PhantomData<P>,
}

impl<P: Projection> Bench<P> {
    async fn new(database: Database, log: Log, seed: u64) -> Self {
        let owner = PgConnection::connect(&database.owner_url()).await.expect("the owner");
        let rng = StdRng::seed_from_u64(seed);
        let clock = Clock::standing_at(at(BEGINNING));
        Self { database, log, owner, clock, rng, projection: std::marker::PhantomData }
    }

    /// A projector that begins from nothing.
    async fn fresh(&mut self) -> Projector<P> {
        self.run(&format!("drop schema if exists {schema} cascade", schema = P::SCHEMA)).await;
        self.clock = Clock::standing_at(at(BEGINNING));
        let projector = self.projector();
        projector.prepare().await.expect("a schema");
        projector
    }

    fn projector(&self) -> Projector<P> {
        Projector::new(&self.database.connect_projector(), self.log.reader().clone())
            .with_keys(Some(self.database.projector_keys()))
            .by_clock(self.clock.clone())
    }

    /// Everything that there is, at the end of time.
    async fn done(&mut self) -> String {
        self.clock = Clock::standing_at(at(END));
        self.projector().age(None).await.expect("the end of time");
        self.dump().await
    }

    async fn built_in_big_batches(&mut self) -> String {
        let mut projector = self.fresh().await;
        while projector.step(None, 10_000).await.expect("a step") > 0 {}
        self.done().await
    }

    /// Partitions in random order, a few at a time, in batches cut anywhere.
    async fn built_in_random_batches(&mut self) -> String {
        let mut projector = self.fresh().await;
        let all: Vec<Partition> =
            self.log.reader().heads().await.expect("the partitions").into_keys().collect();
        let mut idle = 0;
        while idle < 3 {
            let mut some = all.clone();
            some.shuffle(&mut self.rng);
            some.truncate(self.rng.random_range(1..=all.len()));
            let limit = self.rng.random_range(1..20);
            let taken = projector.step(Some(&some), limit).await.expect("a step");
            if self.rng.random_bool(0.2) {
                self.clock.advance(TimeDelta::minutes(self.rng.random_range(0..200)));
                projector.age(Some(&some)).await.expect("a moment");
            }
            let nothing_left = projector.step(None, 1).await.expect("a step") == 0;
            idle = if taken == 0 && nothing_left { idle + 1 } else { 0 };
        }
        self.done().await
    }

    /// Events are brought as Kafka may bring them: partitions mixed, some twice, some not at all,
    /// some of a history that a restore has undone. What is missing is read from the log.
    async fn built_from_a_poor_feed(&mut self) -> String {
        let mut projector = self.fresh().await;
        let mut feed = self.events().await;
        let mut missed = 0;
        while feed.values().any(|events| !events.is_empty()) {
            let mut brought = Vec::new();
            for events in feed.values_mut() {
                let count = self.rng.random_range(0..8).min(events.len());
                let mut next: Vec<Stored> = events[..count].to_vec();
                match self.rng.random_range(0..6) {
                    0 => next.truncate(count / 2),
                    1 => next.extend_from_within(..),
                    2 => next.iter_mut().for_each(|event| event.epoch.0 -= 1),
                    _ => {}
                }
                // What was cut off stays away, or comes again.
                if self.rng.random_bool(0.8) {
                    events.drain(..count);
                }
                brought.append(&mut next);
            }
            let (_, missing) = projector.take(brought).await.expect("a batch");
            missed += missing.len();
            if !missing.is_empty() && self.rng.random_bool(0.7) {
                let missing: Vec<Partition> = missing.into_iter().collect();
                let limit = self.rng.random_range(1..20);
                while projector.step(Some(&missing), limit).await.expect("a step") > 0 {}
            }
        }
        assert!(missed >= 5, "{missed} holes");
        while projector.step(None, 100).await.expect("a step") > 0 {}
        self.done().await
    }

    /// The whole log, by partition.
    async fn events(&self) -> BTreeMap<Partition, Vec<Stored>> {
        let heads = self.log.reader().heads().await.expect("the partitions");
        let all = heads.into_keys().map(|partition| (partition, Position(0))).collect();
        let mut events: BTreeMap<Partition, Vec<Stored>> = BTreeMap::new();
        for event in self.log.reader().tail(&all, 100_000).await.expect("the log") {
            events.entry(event.partition).or_default().push(event);
        }
        events
    }

    /// Two owners of the same partitions: one of them is fenced off, batch by batch.
    async fn built_by_two_at_once(&mut self) -> String {
        let first = self.fresh().await;
        let second = self.projector();
        tokio::join!(exhaust(first), exhaust(second));
        self.done().await
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
        self.done().await
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
        self.run("update crash.plan set statement = 0").await;
        self.done().await
    }

    /// An owner that fell asleep before the others went on is fenced off, and changes nothing.
    async fn a_stale_owner_writes_nothing(&mut self, rows: &str) {
        let mut stale = self.fresh().await;
        assert!(stale.step(None, 1).await.expect("a step") > 0);
        let mut other = self.projector();
        while other.step(None, 1000).await.expect("a step") > 0 {}
        if P::AGES.is_some() {
            self.clock.advance(TimeDelta::hours(1));
            assert!(matches!(stale.age(None).await, Err(Error::Fenced(_))));
        } else {
            assert!(matches!(stale.step(None, 5).await, Err(Error::Fenced(_))));
        }
        assert_eq!(stale.step(None, 5).await.expect("it reads where it stands"), 0);
        same("applied once", &self.done().await, rows);

        // The same with events that Kafka has brought before the owner fell asleep.
        let mut stale = self.fresh().await;
        let brought: Vec<Stored> = self.events().await.into_values().flatten().collect();
        let (first, rest) = brought.split_at(brought.len() / 3);
        stale.take(first.to_vec()).await.expect("a batch");
        let before = self.dump().await;
        let mut other = self.projector();
        while other.step(None, 1000).await.expect("a step") > 0 {}
        assert_ne!(self.dump().await, before);
        assert!(matches!(stale.take(rest.to_vec()).await, Err(Error::Fenced(_))));
        let (taken, missing) = stale.take(rest.to_vec()).await.expect("it reads where it stands");
        assert_eq!((taken, missing.len()), (0, 0));
        same("applied once", &self.done().await, rows);

        // Nor does an owner write that has not seen that the log was restored meanwhile.
        let mut unaware = self.fresh().await;
        unaware.take(first.to_vec()).await.expect("a batch");
        let before = self.dump().await;
        self.run(
            "insert into log.epochs (epoch, reason) select max(epoch) + 1, 'test' from log.epochs",
        )
        .await;
        assert!(matches!(unaware.take(rest.to_vec()).await, Err(Error::Fenced(_))));
        assert_eq!(self.dump().await, before);
        let (taken, missing) = unaware.take(rest.to_vec()).await.expect("it reads where it stands");
        assert!(taken == 0 && !missing.is_empty(), "of the old epoch, only the log knows");
        while unaware.step(None, 1000).await.expect("a step") > 0 {}
        same("applied once", &self.done().await, rows);
    }

    /// Every row of every table, in an order of their own.
    async fn dump(&mut self) -> String {
        let tables: Vec<String> = sqlx::query_scalar(
            // Revisions count batches, which the laws cut as they like.
            "select tablename::text from pg_tables
             where schemaname = $1 and tablename not in ('model', 'checkpoints', 'revisions')
             order by 1",
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
        raise exception 'crash' using errcode = 'disk_full';
    end if;
    return null;
end $$;
grant usage on schema crash to public;";
