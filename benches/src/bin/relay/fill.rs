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

/// Fills an empty log with so many events, evenly over its partitions.
pub(crate) async fn fill(database: &Database, owner: &PgPool, events: usize) -> Result<()> {
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
    .execute(owner)
    .await?;
    let heads = reader.heads().await?;
    let count = heads.len();
    for (index, (partition, head)) in heads.into_iter().enumerate() {
        let last = i64::try_from(events / count + usize::from(index < events % count))?;
        ensure!(head.0 < last, "partition {partition} already has {head} events");
        sqlx::query(
            "insert into log.events (partition, position, epoch, owner, stream_kind, stream_id,
                 version, type, type_version, recorded_at, client_id, fingerprint, metadata,
                 payload)
             select $1, n, $2, owner, $3, uuid7($4 + n / $5, $1 || 'workout' || n / $5),
                 n % $5 + 1, $6, $7, clock_timestamp(), set_id, decode(md5(set_id::text), 'hex'),
                 format($8, owner, uuid7($4 + n, $1 || 'request' || n),
                     uuid7($4 + n, $1 || 'run' || n)),
                 format($9, set_id)
             from generate_series($10::bigint, $11::bigint) as n
             cross join lateral (
                 select uuid7($4, $1 || 'athlete' || n / $12) as owner,
                     uuid7($4 + n, $1 || 'set' || n) as set_id
                 offset 0
             ) as ids",
        )
        .bind(partition.0)
        .bind(pattern.epoch.0)
        .bind(pattern.id.stream.kind.code())
        .bind(pattern.recorded_at.utc().timestamp_millis())
        .bind(SETS)
        .bind(&pattern.kind)
        .bind(pattern.kind_version)
        .bind(&metadata)
        .bind(&payload)
        .bind(head.0 + 1)
        .bind(last)
        .bind(IN_A_ROW)
        .execute(owner)
        .await?;
    }
    // What Postgres would do by and by, and in the middle of the measurement.
    sqlx::raw_sql("vacuum analyze log.events").execute(owner).await?;
    sqlx::raw_sql("checkpoint").execute(owner).await?;
    let before = reader.heads().await?.into_iter().map(|(p, at)| (p, Position(at.0 - 1)));
    for event in reader.tail(&before.collect(), 1).await? {
        event.decode()?;
    }
    Ok(())
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
