//! Holding a rebuilt model against the live one, row by row.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use events::{AthleteId, EventId, Partition, Position};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Replay, ReplayError, Replayed, STEP, shadow_schema};
use crate::{
    Error, Projection, Projector,
    batch::{Item, attempt, open},
    checkpoint, schema,
    tables::About,
    trouble::or_stop,
};

/// A live model that is behind what is built is waited for so long.
const LIVE_PATIENCE: Duration = Duration::from_secs(30);

/// Differences that are shown; the others are counted.
const SHOWN: i64 = 20;

/// A row that is not the same in the live model and in the new one.
#[derive(Debug, Clone)]
pub struct Difference {
    /// In which table.
    pub table: String,
    /// The row of the live model, by column; none if it has none.
    pub live: Option<Value>,
    /// The row of the new model; none if it has none.
    pub rebuilt: Option<Value>,
    /// The event that the new row comes from: the last one that changed it.
    pub cause: Option<(Partition, Position, EventId)>,
}

#[derive(FromRow)]
struct Pair {
    live: Option<String>,
    rebuilt: Option<String>,
    different: i64,
}

impl<P: Projection> Replay<P> {
    /// Waits until the live model is nowhere behind the new one, which cannot go back.
    async fn wait_for_live(&self, projector: &Projector<P>) -> Result<(), ReplayError> {
        let deadline = Instant::now() + LIVE_PATIENCE;
        loop {
            let live = self.live().await?;
            let reached = projector.load().await?.checkpoints;
            let behind = reached
                .iter()
                .any(|(partition, at)| live.get(partition).is_none_or(|live| *live < at.position));
            if !behind {
                return Ok(());
            }
            if self.stop.is_cancelled() {
                return Err(ReplayError::Stopped);
            }
            if Instant::now() >= deadline {
                return Err(ReplayError::LiveStandsStill(P::SCHEMA));
            }
            or_stop(&self.stop, sleep(Duration::from_millis(100))).await;
        }
    }

    /// Brings the new model to exactly where the live one is, which waits for it, and compares both
    /// in one snapshot, while the live one goes on.
    pub(super) async fn verify(
        &self,
        projector: &mut Projector<P>,
        replayed: &mut Replayed,
    ) -> Result<(), ReplayError> {
        if !self.compares().await? {
            return Ok(());
        }
        self.wait_for_live(projector).await?;
        let mut live = self.connect(P::SCHEMA).await?;
        let mut waiting = live.begin().await?;
        // In the order of their numbers, as everybody takes them.
        sqlx::query!("select partition from checkpoints order by partition for update")
            .fetch_all(&mut *waiting)
            .await?;
        let at = checkpoint::load(&mut *waiting).await?;
        let as_of: BTreeMap<Partition, DateTime<Utc>> =
            at.iter().map(|(partition, at)| (*partition, at.as_of)).collect();
        let ends: BTreeMap<Partition, Position> =
            at.into_iter().map(|(partition, at)| (partition, at.position)).collect();
        while self.follow(projector, &ends, STEP).await? > 0 {}
        projector.age_to(&as_of).await?;
        let mut snapshot = self.connect(&shadow_schema::<P>()).await?;
        let mut comparing =
            snapshot.begin_with("begin isolation level repeatable read read only").await?;
        let tables = schema::tables(&mut comparing, &shadow_schema::<P>()).await?;
        waiting.rollback().await?;

        let mut compared = 0;
        for table in tables {
            let key = schema::key(&mut comparing, &shadow_schema::<P>(), &table).await?;
            let (live, rebuilt) = (
                format!("{}.\"{table}\"", P::SCHEMA),
                format!("{}.\"{table}\"", shadow_schema::<P>()),
            );
            let on: Vec<String> =
                key.iter().map(|column| format!("l.\"{column}\" = r.\"{column}\"")).collect();
            let pairs = format!(
                "select to_jsonb(l)::text as live, to_jsonb(r)::text as rebuilt, count(*) over () as different
                 from {live} l full join {rebuilt} r on {on}
                 where l is distinct from r limit {SHOWN}",
                on = on.join(" and "),
            );
            schema::run(&mut comparing, "set local work_mem = '256MB'").await?;
            // Names come from the catalogue, and are quoted.
            let pairs: Vec<Pair> =
                sqlx::query_as(AssertSqlSafe(pairs)).fetch_all(&mut *comparing).await?;
            let rows: i64 =
                sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {rebuilt}")))
                    .fetch_one(&mut *comparing)
                    .await?;
            compared += u64::try_from(rows).unwrap_or(0);
            replayed.different +=
                pairs.first().map_or(0, |pair| u64::try_from(pair.different).unwrap_or(0));
            for Pair { live, rebuilt, .. } in pairs {
                let (table, live, rebuilt) = (table.clone(), parse(live), parse(rebuilt));
                replayed.differences.push(Difference { table, live, rebuilt, cause: None });
            }
        }
        comparing.rollback().await?;
        replayed.compared = Some(compared);
        replayed.differences.truncate(usize::try_from(SHOWN).unwrap_or(usize::MAX));
        for difference in &mut replayed.differences {
            difference.cause = self.cause(difference, &ends, &as_of).await?;
        }
        Ok(())
    }

    /// The event that a row comes from: the owner's events are projected once more, one by one, in
    /// a schema that nobody else ever sees.
    async fn cause(
        &self,
        difference: &Difference,
        ends: &BTreeMap<Partition, Position>,
        as_of: &BTreeMap<Partition, DateTime<Utc>>,
    ) -> Result<Option<(Partition, Position, EventId)>, ReplayError> {
        let row = difference.rebuilt.as_ref().or(difference.live.as_ref());
        let Some(row) = row else { return Ok(None) };
        let owner =
            row.get("owner").and_then(Value::as_str).and_then(|text| Uuid::parse_str(text).ok());
        let Some(owner) = owner.and_then(|owner| AthleteId::new(owner).ok()) else {
            return Ok(None);
        };
        let probe = format!("{}_probe", P::SCHEMA);
        let mut connection = self.connect(&probe).await?;
        let mut transaction = connection.begin().await?;
        let key = schema::key(&mut transaction, &shadow_schema::<P>(), &difference.table).await?;
        let (epoch, any) = (self.log.epoch().await?, DateTime::UNIX_EPOCH);
        schema::create::<P>(&mut transaction, &probe, true, &[], epoch, any).await?;
        let as_of = Arc::new(as_of.clone());
        let about = About { model: P::NAME, copies: false, tells: false, as_of };
        let wanted: Vec<String> = key
            .iter()
            .map(|column| {
                let value = row.get(column).cloned().unwrap_or_default();
                let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                format!("\"{column}\"::text = '{}'", text.replace('\'', "''"))
            })
            .collect();
        let look = format!(
            "select to_jsonb(t)::text from \"{}\" t where {}",
            difference.table,
            wanted.join(" and ")
        );
        let (mut before, mut cause) = (None, None);
        for (partition, end) in ends {
            let events = self.log.of_owner(*partition, owner, *end).await?;
            for event in &events {
                let mut items = [Item::of::<P>(event)];
                open::<P>(self.keys.as_ref(), &mut items).await?;
                attempt::<P>(&mut transaction, &about, &items).await?;
                let now = find(&mut transaction, &look).await?;
                if now != before {
                    cause = Some((event.partition, event.position, event.id));
                    before = now;
                }
            }
        }
        transaction.rollback().await?;
        Ok(cause)
    }
}

fn parse(row: Option<String>) -> Option<Value> {
    row.and_then(|row| serde_json::from_str(&row).ok())
}

async fn find(connection: &mut PgConnection, look: &str) -> Result<Option<String>, Error> {
    let row = sqlx::query_scalar(AssertSqlSafe(look.to_owned()));
    Ok(row.fetch_optional(connection).await?)
}
