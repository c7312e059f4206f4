//! How does a log come by a million events as real ones are, in seconds?
//!
//! A set that an invented athlete logged is the pattern. Postgres makes the others of its text, with
//! ids of their own wherever real events have some: they compress no better than real ones.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use events::Position;
use log::{Reader, Stored};
use sqlx::PgPool;
use testkit::{Database, new_id, simulate::Simulator};

/// Sets of a workout, and of an athlete in a row.
const SETS: i64 = 20;
const IN_A_ROW: i64 = 200;

/// Positions of every partition that one statement fills.
const AT_ONCE: u32 = 25_000;

/// The ids are of a time before, so that those that come later are higher; one position is a
/// millisecond.
const BEFORE: i64 = 24 * 60 * 60 * 1000;

/// Fills a log with events.
pub struct Filler {
    owner: PgPool,
    reader: Reader,
    pattern: Stored,
    metadata: String,
    payload: String,
}

impl Filler {
    /// Prepares a database whose log is empty; its pattern is there afterwards.
    pub async fn new(database: &Database) -> Result<Self> {
        let owner = PgPool::connect(&database.owner_url()).await?;
        let reader = Reader::open(&database.connect_relay());
        let pattern = pattern(database, &reader).await?;
        let (metadata, payload) = templates(&pattern)?;
        // Version 7: in the order of time, and the rest as if by chance.
        sqlx::raw_sql(
            "create function uuid7(at bigint, seed text) returns uuid language sql immutable as $$
                 select (lpad(to_hex(at), 12, '0') || '7' || substr(md5(seed), 1, 3)
                     || '8' || substr(md5(seed), 4, 15))::uuid
             $$",
        )
        .execute(&owner)
        .await?;
        Ok(Self { owner, reader, pattern, metadata, payload })
    }

    /// Adds events until the log has so many, evenly over its partitions and in the order of
    /// their ids, as they would come.
    pub async fn fill_up_to(&self, events: usize) -> Result<()> {
        let heads = self.reader.heads().await?;
        let count = heads.len();
        let mut wanted = Vec::new();
        for (index, (partition, head)) in heads.into_iter().enumerate() {
            let last = i64::try_from(events / count + usize::from(index < events % count))?;
            ensure!(head.0 < last, "partition {partition} already has {head} events");
            wanted.push((partition.0, head.0, last));
        }
        // Half beside half, which are in different tables.
        let (one, other) = wanted.split_at(count / 2);
        tokio::try_join!(self.fill_some(one), self.fill_some(other))?;
        // What Postgres would do by and by, and in the middle of the measurement.
        sqlx::raw_sql("vacuum analyze log.events").execute(&self.owner).await?;
        sqlx::raw_sql("checkpoint").execute(&self.owner).await?;
        let heads = self.reader.heads().await?;
        let before = heads.into_iter().map(|(partition, at)| (partition, Position(at.0 - 1)));
        for event in self.reader.tail(&before.collect(), 1).await? {
            event.decode()?;
        }
        Ok(())
    }

    /// Fills partitions from their heads up to their last positions.
    async fn fill_some(&self, wanted: &[(i16, i64, i64)]) -> Result<()> {
        let partitions: Vec<i16> = wanted.iter().map(|(partition, ..)| *partition).collect();
        let heads: Vec<i64> = wanted.iter().map(|(_, head, _)| *head).collect();
        let lasts: Vec<i64> = wanted.iter().map(|(.., last)| *last).collect();
        let first = heads.iter().min().copied().unwrap_or_default();
        let last = lasts.iter().max().copied().unwrap_or_default();
        for from in (first + 1..=last).step_by(usize::try_from(AT_ONCE)?) {
            sqlx::query(
                "insert into log.events (partition, position, epoch, owner, stream_kind, stream_id,
                     version, type, type_version, recorded_at, client_id, fingerprint, metadata,
                     payload)
                 select number, n, $2, owner, $3, uuid7($4 + n / $5, number || 'workout' || n / $5),
                     n % $5 + 1, $6, $7, clock_timestamp(), set_id, decode(md5(set_id::text), 'hex'),
                     format($8, owner, uuid7($4 + n, number || 'request' || n),
                         uuid7($4 + n, number || 'run' || n)),
                     format($9, set_id)
                 from (
                     select * from generate_series($10::bigint, $11::bigint) as n
                     cross join unnest($1::smallint[], $13::bigint[], $14::bigint[])
                         as p (number, head, last)
                     where n > head and n <= last order by n, number
                 ) as wanted
                 cross join lateral (
                     select uuid7($4, number || 'athlete' || n / $12) as owner,
                         uuid7($4 + n, number || 'set' || n) as set_id
                     offset 0
                 ) as ids",
            )
            .bind(&partitions)
            .bind(self.pattern.epoch.0)
            .bind(self.pattern.id.stream.kind.code())
            .bind(self.pattern.recorded_at.utc().timestamp_millis() - BEFORE)
            .bind(SETS)
            .bind(&self.pattern.kind)
            .bind(self.pattern.kind_version)
            .bind(&self.metadata)
            .bind(&self.payload)
            .bind(from)
            .bind(from + i64::from(AT_ONCE) - 1)
            .bind(IN_A_ROW)
            .bind(&heads)
            .bind(&lasts)
            .execute(&self.owner)
            .await?;
        }
        Ok(())
    }
}

/// A set that an invented athlete has logged.
async fn pattern(database: &Database, reader: &Reader) -> Result<Stored> {
    Simulator::new(1).fill(&database.log(), database, 1, 1).await;
    let heads = reader.heads().await?;
    let all: BTreeMap<_, _> = heads.into_keys().map(|at| (at, Position(0))).collect();
    let events = reader.tail(&all, 100).await?;
    let sets = events.into_iter().filter(|event| event.kind == "SetLogged");
    // Few have notes, which are sealed and long.
    let plain = sets.into_iter().find(|event| !event.payload.contains("notes"));
    plain.context("a set among the events of an athlete")
}

/// Metadata and payload for `format` of Postgres: with owner, request and run, and with the set.
fn templates(pattern: &Stored) -> Result<(String, String)> {
    let mut metadata = pattern.metadata()?;
    let (request, run) = (new_id(), metadata.correlation);
    // What those who come by HTTP have besides.
    metadata.device = Some("iphone-6f1d2a".to_owned());
    metadata.request = Some(request.to_string());
    let metadata = serde_json::to_string(&metadata)?;
    ensure!(!metadata.contains('%') && !pattern.payload.contains('%'), "a text with a %");
    let metadata = metadata
        .replace(&pattern.id.owner.to_string(), "%1$s")
        .replace(&request.to_string(), "%2$s")
        .replace(&run.to_string(), "%3$s");
    let payload: serde_json::Value = serde_json::from_str(&pattern.payload)?;
    let set = payload["set_id"].as_str().context("the id of a set")?;
    Ok((metadata, pattern.payload.replace(set, "%1$s")))
}
