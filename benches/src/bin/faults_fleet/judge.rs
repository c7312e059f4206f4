//! What came of it: is what was acknowledged in history, once, and is the topic complete?

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use events::{Partition, Position};
use serde_json::Value;
use sqlx::PgPool;
use testkit::prove_complete;
use uuid::Uuid;

use crate::{
    athlete::Athlete,
    ledger::{Found, There, Values},
    world::World,
};

/// The last position of each partition that has any.
pub(crate) type Heads = BTreeMap<Partition, Position>;

/// What the last line says.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: u64,
    pub(crate) in_history: u64,
    pub(crate) on_topic: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

/// How far the log is.
pub(crate) async fn heads(pool: &PgPool) -> Result<Heads, sqlx::Error> {
    positions(
        pool,
        "select partition, max(position) from log.events group by partition order by partition",
    )
    .await
}

/// Whether history has everything, and Kafka has acknowledged everything; else how far they are.
pub(crate) async fn behind(pool: &PgPool) -> Result<Option<String>, sqlx::Error> {
    let heads = heads(pool).await?;
    let history = "select partition, position from history_v6.checkpoints";
    let published = "select partition, position from log.published";
    let mut behind = Vec::new();
    for (name, query) in [("history", history), ("published", published)] {
        let there = positions(pool, query).await?;
        for (partition, head) in &heads {
            let at = there.get(partition).copied().unwrap_or_default();
            if at != *head {
                behind.push(format!("{name} of partition {partition}: {at} of {head}"));
            }
        }
    }
    Ok(if behind.is_empty() { None } else { Some(behind.join(", ")) })
}

async fn positions(pool: &PgPool, query: &'static str) -> Result<Heads, sqlx::Error> {
    let rows: Vec<(i16, i64)> = sqlx::query_as(query).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(partition, at)| (Partition(partition), Position(at))).collect())
}

/// Compares what athletes know, what history answers, what the log says and what the topic holds.
pub(crate) async fn judge(
    world: &World,
    athletes: &mut [Athlete],
    floor: &Heads,
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let log = Log::read(&world.pool).await?;
    for (what, times) in &log.doubled {
        world.wrong(format!("{what} is on the log {times} times"));
        verdict.doubled += 1;
    }
    for athlete in athletes {
        verdict.acknowledged += athlete.ledger.acknowledged;
        let (found, doubled) = athlete.history().await?;
        verdict.in_history += found.len() as u64;
        if doubled > 0 {
            world.wrong(format!("history shows {doubled} sets of an athlete more than once"));
            verdict.doubled += doubled;
        }
        for wrong in athlete.ledger.compare(&found, None) {
            world.wrong(format!("in history, {wrong}"));
            verdict.lost += 1;
        }
        // Only those of this athlete: all others are nobody's.
        let ours = athlete.ledger.sets.keys().filter_map(|set| {
            let (workout, values) = log.sets.get(set)?;
            Some((*set, Found { workout: *workout, values: Values::of(values) }))
        });
        for wrong in athlete.ledger.compare(&ours.collect(), None) {
            world.wrong(format!("on the log, {wrong}"));
            verdict.lost += 1;
        }
        let unknown = athlete.ledger.sets.values().filter(|known| known.there == There::Perhaps);
        world.tell(&format!(
            "an athlete: {} answered commands, {} sets in history, {} unknown, {} reads",
            athlete.ledger.acknowledged,
            found.len(),
            unknown.count(),
            athlete.reads
        ));
    }
    verdict.lost += rows_are_as_folded(world, &log).await?;
    verdict.on_topic = topic_is_complete(world, floor).await?;
    Ok(verdict)
}

/// The sets of the log, folded here and not by the product.
struct Log {
    /// Workout and values, as they were logged or corrected last.
    sets: HashMap<Uuid, (Uuid, Value)>,
    /// What is there more than once, and how often.
    doubled: Vec<(String, i64)>,
}

impl Log {
    async fn read(pool: &PgPool) -> Result<Self> {
        let rows: Vec<(String, Uuid, String)> = sqlx::query_as(
            "select type, stream_id, payload from log.events
             where type in ('SetLogged', 'SetCorrected', 'SetRemoved')
             order by partition, position",
        )
        .fetch_all(pool)
        .await?;
        let (mut sets, mut logged) = (HashMap::new(), HashMap::<Uuid, i64>::new());
        for (kind, workout, payload) in rows {
            let mut payload: Value = serde_json::from_str(&payload)?;
            let set: Uuid = payload["set_id"].as_str().context("a set's id")?.parse()?;
            *logged.entry(set).or_default() += i64::from(kind == "SetLogged");
            if kind == "SetRemoved" {
                sets.remove(&set);
            } else {
                sets.insert(set, (workout, payload["set"].take()));
            }
        }
        let logged = logged.into_iter().filter(|(_, times)| *times != 1);
        let mut doubled: Vec<(String, i64)> =
            logged.map(|(set, times)| (format!("set {set}"), times)).collect();
        let commands: Vec<(Uuid, i64)> = sqlx::query_as(
            "select client_id, count(*) from log.events where client_id is not null
             group by owner, client_id having count(*) > 1",
        )
        .fetch_all(pool)
        .await?;
        doubled.extend(commands.into_iter().map(|(id, times)| (format!("command {id}"), times)));
        Ok(Self { sets, doubled })
    }
}

/// Compares the rows of history with the log; answers how many sets differ.
async fn rows_are_as_folded(world: &World, log: &Log) -> Result<u64> {
    let rows: Vec<(Uuid, Uuid, String)> =
        sqlx::query_as("select set_id, workout, values from history_v6.workout_sets")
            .fetch_all(&world.pool)
            .await?;
    let mut wrong = Vec::new();
    let mut rest = log.sets.clone();
    for (set, workout, values) in rows {
        let row = Some((workout, serde_json::from_str(&values)?));
        let folded = rest.remove(&set);
        if folded != row {
            wrong.push(format!("set {set} is {row:?} in the table, and {folded:?} by the log"));
        }
    }
    wrong.extend(rest.keys().map(|set| format!("set {set} is not in the table")));
    let count = wrong.len() as u64;
    wrong.into_iter().for_each(|wrong| world.wrong(wrong));
    Ok(count)
}

/// Proves that the topic has, in every partition, all from the floor or before it up to the head;
/// answers how many records of ours it has.
async fn topic_is_complete(world: &World, floor: &Heads) -> Result<u64> {
    let heads = heads(&world.pool).await?;
    let partitions = usize::try_from(world.partitions)?;
    if !world.kafka.settings().has_topic(partitions).await.unwrap_or(false) {
        world.wrong("the topic is not there, or not as it must be".to_owned());
        return Ok(0);
    }
    let events = world.kafka.events().await;
    for (partition, head) in heads {
        let floor = floor.get(&partition).copied().unwrap_or_default();
        let held = events.get(&partition).map(Vec::as_slice).unwrap_or_default();
        let place = format!("partition {partition} of the topic, of a log up to {head}");
        match prove_complete(held) {
            Err(hole) => world.wrong(format!("{place}: {hole}; the floor is {floor}")),
            Ok(None) if floor < head => {
                world.wrong(format!("{place} is empty, and must begin after {floor}"));
            }
            Ok(Some((first, last))) if last != head || first > floor.next() => {
                world.wrong(format!("{place} holds {first} to {last}, from {floor} is needed"));
            }
            Ok(_) => {}
        }
    }
    Ok(events.values().map(|events| events.len() as u64).sum())
}
