//! How far the read models are: lag, what moves and what does not, and what is set aside.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use events::Position;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool};

/// A partition that has something to read and was not moved for so long stands still.
const STILL: f64 = 30.0;

/// A replay that wrote nothing down for so long has ended without saying so.
const SILENT: f64 = 10.0;

/// A read model, by its names.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// The one that stays.
    pub name: &'static str,
    /// With its version: its schema.
    pub schema: &'static str,
}

/// In one word, how a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ModelState")]
pub enum State {
    /// Its tables are not there.
    Missing,
    /// It has not reached the end of the log for the first time yet, and may not be asked.
    Building,
    /// It has events to read, and nobody moves it.
    Stuck,
    /// It has events to read, and moves.
    Behind,
    /// It has read everything, but events are set aside that it could not project.
    Parked,
    /// It has everything.
    Current,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Missing, Self::Building, Self::Stuck, Self::Behind, Self::Parked, Self::Current];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Building => "building",
            Self::Stuck => "stuck",
            Self::Behind => "behind",
            Self::Parked => "parked",
            Self::Current => "current",
        }
    }
}

/// How a model is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ModelStatus {
    /// Its name.
    pub name: &'static str,
    /// Name and version.
    pub model: &'static str,
    /// In one word.
    pub state: State,
    /// Events that it has not read.
    pub lag_events: i64,
    /// Age of the oldest event that it has not read.
    pub lag_seconds: f64,
    /// Events read a second since the last look; `null` at the first.
    pub events_per_second: Option<f64>,
    /// How long until it has read everything, at the rate at which it gains on the log; `null`
    /// while it does not.
    pub eta_seconds: Option<f64>,
    /// Events that it could not project.
    pub parked_events: i64,
    /// Later events of the same owners, which wait behind them.
    pub waiting_events: i64,
    /// What its projectors complain of.
    pub troubles: Vec<String>,
    /// The replay under way.
    pub replay: Option<ReplayStatus>,
    /// By partition.
    pub partitions: Vec<PartitionStatus>,
}

/// How a model is in one partition.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: i16,
    /// How far the model has read.
    pub position: i64,
    /// How long the log is.
    pub head: i64,
    /// Events not read.
    pub lag_events: i64,
    /// Age of the oldest of them.
    pub lag_seconds: f64,
    /// Since the model was moved here.
    pub still_seconds: f64,
    /// Events read a second since the last look; `null` at the first.
    pub events_per_second: Option<f64>,
    /// How long until everything is read, at the rate at which it gains on the log.
    pub eta_seconds: Option<f64>,
}

/// A replay under way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReplayStatus {
    /// What it is doing.
    pub phase: String,
    /// Events read.
    pub done: i64,
    /// Of how many.
    pub total: i64,
    /// How fast.
    pub events_per_second: f64,
    /// How long loading will take still.
    pub eta_seconds: Option<f64>,
}

impl ReplayStatus {
    /// As a sentence says it.
    pub fn in_words(&self) -> String {
        let percent = if self.total > 0 { self.done * 100 / self.total } else { 0 };
        let eta = self.eta_seconds.map(|eta| format!(", {eta:.0} s left")).unwrap_or_default();
        format!("a replay is {}: {percent} % of {} events{eta}", self.phase, self.total)
    }
}

/// Looks at read models again and again, and says how fast they move in between.
pub struct Observer {
    pool: PgPool,
    models: &'static [Model],
    last: Mutex<Option<Look>>,
}

struct Look {
    at: Instant,
    places: BTreeMap<(&'static str, i16), (Position, Position)>,
}

#[derive(sqlx::FromRow)]
struct PlaceRow {
    partition: i16,
    position: i64,
    head: i64,
    lag_seconds: f64,
    still_seconds: f64,
}

impl Observer {
    /// Where it looks.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Of the models given, as a process may see them that reads the log and the models.
    pub fn new(pool: PgPool, models: &'static [Model]) -> Self {
        Self { pool, models, last: Mutex::new(None) }
    }

    /// How all models are now.
    pub async fn look(&self) -> Result<Vec<ModelStatus>, sqlx::Error> {
        let mut all = Vec::with_capacity(self.models.len());
        for model in self.models {
            all.push(self.look_at(*model).await?);
        }
        let now = Instant::now();
        let places = all.iter().flat_map(|model| {
            model
                .partitions
                .iter()
                .map(|at| ((model.model, at.partition), (Position(at.position), Position(at.head))))
        });
        let look = Look { at: now, places: places.collect() };
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(look);
        if let Some(last) = last {
            let seconds = now.duration_since(last.at).as_secs_f64().max(1e-3);
            all.iter_mut().for_each(|model| model.compare(&last, seconds));
        }
        Ok(all)
    }

    /// Which models may not be asked yet, and why.
    pub async fn unready(&self) -> Result<Vec<(&'static str, String)>, sqlx::Error> {
        let mut unready = Vec::new();
        for model in self.models {
            if is_built(&self.pool, model.schema).await? == Some(true) {
                continue;
            }
            let status = self.look_at(*model).await?;
            let why = match (&status.replay, status.state) {
                (Some(replay), _) => replay.in_words(),
                (None, State::Missing) => format!(
                    "is not built: run `ironledger replay {}`, then its projector",
                    model.name
                ),
                (None, _) => {
                    let total: i64 = status.partitions.iter().map(|at| at.head).sum();
                    let done: i64 = status.partitions.iter().map(|at| at.position).sum();
                    format!("is being built by its projector: {done} of {total} events")
                }
            };
            unready.push((model.schema, why));
        }
        Ok(unready)
    }

    async fn look_at(&self, model: Model) -> Result<ModelStatus, sqlx::Error> {
        let replay = replay(&self.pool, model.schema).await?;
        let mut status = ModelStatus {
            name: model.name,
            model: model.schema,
            state: State::Missing,
            lag_events: 0,
            lag_seconds: 0.0,
            events_per_second: None,
            eta_seconds: None,
            parked_events: 0,
            waiting_events: 0,
            troubles: Vec::new(),
            replay,
            partitions: Vec::new(),
        };
        let Some(is_built) = is_built(&self.pool, model.schema).await? else { return Ok(status) };
        let schema = model.schema;
        // The name of a schema is the program's own text.
        let places: Vec<PlaceRow> = sqlx::query_as(AssertSqlSafe(format!(
            "select p.number as partition, coalesce(c.position, 0) as position,
                 coalesce(head.position, 0) as head,
                 greatest(coalesce(extract(epoch from clock_timestamp() - next.recorded_at), 0), 0)
                     ::float8 as lag_seconds,
                 coalesce(extract(epoch from clock_timestamp() - c.updated_at), 0)
                     ::float8 as still_seconds
             from {schema}.checkpoints c
             full join log.partitions p on p.number = c.partition
             left join lateral (
                 select position from log.events
                 where partition = p.number order by position desc limit 1
             ) head on true
             left join lateral (
                 select recorded_at from log.events
                 where partition = p.number and position = coalesce(c.position, 0) + 1
             ) next on true
             order by 1"
        )))
        .fetch_all(&self.pool)
        .await?;
        let (parked, waiting): (i64, i64) = sqlx::query_as(AssertSqlSafe(format!(
            "select count(*) filter (where error is not null),
                 count(*) filter (where error is null)
             from {schema}.parked_events"
        )))
        .fetch_one(&self.pool)
        .await?;
        status.troubles = sqlx::query_scalar!(
            "select distinct error from projector.troubles
             where model = $1 and seen_at > clock_timestamp() - interval '30 s' order by 1",
            schema
        )
        .fetch_all(&self.pool)
        .await?;
        status.partitions = places
            .into_iter()
            .map(|place| PartitionStatus {
                partition: place.partition,
                position: place.position,
                head: place.head,
                lag_events: (place.head - place.position).max(0),
                lag_seconds: place.lag_seconds,
                still_seconds: place.still_seconds,
                events_per_second: None,
                eta_seconds: None,
            })
            .collect();
        let stands = |at: &PartitionStatus| {
            at.lag_events > 0 && at.still_seconds > STILL && at.lag_seconds > STILL
        };
        (status.parked_events, status.waiting_events) = (parked, waiting);
        status.lag_events = status.partitions.iter().map(|at| at.lag_events).sum();
        status.lag_seconds = status.partitions.iter().map(|at| at.lag_seconds).fold(0.0, f64::max);
        // Ahead of the log is a model that has read what a restore has undone.
        let is_ahead = status.partitions.iter().any(|at| at.position > at.head);
        status.state = if is_ahead || status.partitions.iter().any(stands) {
            State::Stuck
        } else if !is_built {
            State::Building
        } else if status.lag_events > 0 {
            State::Behind
        } else if parked > 0 {
            State::Parked
        } else {
            State::Current
        };
        Ok(status)
    }
}

impl ModelStatus {
    /// Fills in how fast it moved since the last look.
    fn compare(&mut self, last: &Look, seconds: f64) {
        let (mut read, mut grown, mut known) = (0, 0, false);
        for at in &mut self.partitions {
            let before = last.places.get(&(self.model, at.partition));
            let Some((position, head)) = before else { continue };
            let (moved, appended) = (at.position - position.0, at.head - head.0);
            // After a swap, it may be elsewhere altogether.
            let moved = moved.max(0);
            at.events_per_second = Some(moved as f64 / seconds);
            at.eta_seconds = eta(at.lag_events, moved, appended, seconds);
            (read, grown, known) = (read + moved, grown + appended, true);
        }
        if known {
            self.events_per_second = Some(read as f64 / seconds);
            self.eta_seconds = eta(self.lag_events, read, grown, seconds);
        }
    }
}

/// How long a lag lasts that shrinks by what is read and grows by what is appended.
fn eta(lag: i64, read: i64, appended: i64, seconds: f64) -> Option<f64> {
    let gained = read - appended;
    match (lag, gained) {
        (0, _) => Some(0.0),
        (_, 1..) => Some(lag as f64 * seconds / gained as f64),
        _ => None,
    }
}

/// Whether a model may be asked; nothing if it is not there.
async fn is_built(pool: &PgPool, schema: &str) -> Result<Option<bool>, sqlx::Error> {
    let there = sqlx::query_scalar!(
        r#"select to_regclass($1 || '.model') is not null as "there!""#,
        schema
    )
    .fetch_one(pool)
    .await?;
    if !there {
        return Ok(None);
    }
    let built: Option<bool> = sqlx::query_scalar(AssertSqlSafe(format!(
        "select built_at is not null from {schema}.model"
    )))
    .fetch_optional(pool)
    .await?;
    Ok(Some(built.unwrap_or(false)))
}

async fn replay(pool: &PgPool, schema: &str) -> Result<Option<ReplayStatus>, sqlx::Error> {
    let row = sqlx::query!(
        "select phase, done, total, events_per_second from projector.replays
         where model = $1 and phase not in ('done', 'different', 'failed')
             and updated_at > clock_timestamp() - make_interval(secs => $2)",
        schema,
        SILENT,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| ReplayStatus {
        eta_seconds: (row.events_per_second > 0.0)
            .then(|| (row.total - row.done).max(0) as f64 / row.events_per_second),
        phase: row.phase,
        done: row.done,
        total: row.total,
        events_per_second: row.events_per_second,
    }))
}
