//! Reading a model: as new as the caller wants, and again for nothing where nothing has changed.
//!
//! What an athlete's rows come to is kept under a name that holds their *revision*: the log's epoch, the
//! model's generation, and how often the rows have changed. A change makes another name, so an
//! old answer that is put away late is never found, and nothing needs to be thrown away. An answer is
//! looked for in this process, then in Redis, then made; who wants what is being made waits for it.
//!
//! The revision itself comes from Postgres, or from Redis, where the projector forgets it after its
//! commit. Who reads it there first leaves a mark, and puts it in the place of that mark only: if
//! the projector was there in between, the mark is gone and nothing is put. A projector that dies
//! between commit and forgetting leaves an old one behind for [`LEASE`]. Whoever names a position is told
//! by Postgres.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderValue, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use events::{AthleteId, Epoch, Partition, Position};
use log::{Positions, Random};
use moka::future::Cache as Answers;
use projector::{Projection, program};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;
use uuid::Uuid;
use web::{
    Caller, Detail, Error, KeptAnswer, Redis, Routes,
    document::{Input, Operation},
};

use crate::{Context, context::database};

/// The header with the position that an answer is to stand at.
const MIN_POSITION: &str = "X-Min-Position";

/// An answer stays in this process for so long.
const IN_PROCESS: Duration = Duration::from_secs(10);

/// All that stay in it take so many bytes at most, about.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// A larger answer is not kept at all.
const LARGEST: usize = 256 * 1024;

/// A revision is believed for so long, if nobody forgets it before.
const LEASE: Duration = Duration::from_secs(2);

/// Local days begin at quarters of an hour, wherever that is.
const QUARTER: i64 = 15 * 60;

/// Whose rows a request reads, and as of when at least.
#[derive(Debug)]
pub struct Reading {
    pub(crate) owner: AthleteId,
    pub(crate) partition: Partition,
    pub(crate) min_position: Option<Positions>,
}

impl Reading {
    /// Who reads.
    pub fn reader(&self) -> AthleteId {
        self.owner
    }

    /// Where they are on the log.
    pub fn partition(&self) -> Partition {
        self.partition
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reading {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let owner = AthleteId::new(caller.athlete).map_err(Error::internal)?;
        let min_position = web::once(&parts.headers, MIN_POSITION)?.map(|value| {
            let position: Result<Positions, _> = value.to_str().unwrap_or_default().parse();
            position.map_err(|error| {
                Error::validation(vec![Detail::new(MIN_POSITION, error.to_string())])
            })
        });
        let min_position = min_position.transpose()?;
        Ok(Self { owner, partition: Partition(caller.partition), min_position })
    }
}

impl Input for Reading {
    fn describe(operation: &mut Operation<'_>) {
        let text = "The position of a command, from `meta.position`: the answer stands there or later. \
                    `503` where that takes long, `409` where the position is not of this log.";
        let position = json!({ "type": "string", "pattern": Positions::PATTERN });
        operation.header(MIN_POSITION, text, &position);
        operation.fails(&[400, 409]);
    }
}

/// How the answers of some routes are kept, all of which are made of the caller's own rows in one model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping {
    /// For how long in Redis.
    pub(crate) shared: Duration,
    /// Whether they depend on what day it is for the caller.
    pub(crate) by_day: bool,
}

/// Routes whose answers are kept until the caller's rows change.
pub(crate) fn kept<P: Projection, S>(
    routes: Routes<S>,
    context: &Context,
    keeping: Keeping,
) -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
{
    let state = (context.clone(), keeping);
    let layer = middleware::from_fn_with_state(state, read::<P>);
    routes.layer(|router| router.route_layer(layer), |_| {})
}

/// Answers out of what is kept, else by the handler.
async fn read<P: Projection>(
    State((context, keeping)): State<(Context, Keeping)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let reading = match Reading::from_request_parts(&mut parts, &()).await {
        Ok(reading) => reading,
        Err(error) => return error.into_response(),
    };
    let wanted = parts.uri.clone();
    let request = Request::from_parts(parts, body);
    match context.answer::<P>(&reading, keeping, wanted, (request, next)).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// The parameter that picks fields of an answer, which is kept whole.
const FIELDS: &str = "fields";

impl Context {
    async fn answer<P: Projection>(
        &self,
        reading: &Reading,
        keeping: Keeping,
        wanted: axum::http::Uri,
        by_handler: (Request, Next),
    ) -> Result<Response, Error> {
        self.wait::<P>(reading).await?;
        let revision = self.revision::<P>(reading).await?;
        let query = wanted.query().unwrap_or_default().as_bytes();
        let (mut parameters, mut picks) = (Vec::new(), false);
        for (name, value) in form_urlencoded::parse(query) {
            picks |= name == FIELDS;
            if name != FIELDS {
                parameters.push((name, value));
            }
        }
        parameters.sort();
        let day = keeping.by_day.then(|| self.clock.now().utc().timestamp().div_euclid(QUARTER));
        let parts = (P::SCHEMA, reading.owner.uuid(), &revision.name, day, program());
        let name = json!([parts, wanted.path(), parameters]).to_string();
        let key: Key = Sha256::digest(name).into();

        let (mut by_handler, mut found) = (Some(by_handler), "process");
        let making = async {
            if !picks && let Some(answer) = self.find_shared(reading.owner, &key).await {
                found = "redis";
                return Ok(Arc::new(answer));
            }
            found = "nowhere";
            let Some((request, next)) = by_handler.take() else { return Err(Unkept::default()) };
            let response = next.run(request).await;
            match KeptAnswer::of_reading(&response) {
                Some(answer) if answer.weight() <= LARGEST => {
                    self.share(reading.owner, &key, &answer, keeping.shared);
                    Ok(Arc::new(answer))
                }
                _ => Err(Unkept(Mutex::new(Some(response)))),
            }
        };
        let answer = self.cache.0.answers.try_get_with(key, making).await;
        metrics::counter!("cache_requests_total", "model" => P::NAME, "found" => found)
            .increment(1);
        let answer = match answer {
            // Of what came from Redis, nobody here knows the fields.
            Ok(answer) if !picks || answer.knows_fields() => answer,
            Ok(_) => return Ok(run(by_handler).await),
            Err(unkept) => {
                let made = unkept.0.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Ok(match made {
                    Some(response) => response,
                    // It was made for somebody else.
                    None => run(by_handler).await,
                });
            }
        };
        let mut response = answer.read_again(Some(later(&answer, &revision.at)));
        if let (Some(at), false) = (revision.changed_at, keeping.by_day) {
            let text = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(header::LAST_MODIFIED, value);
            }
        }
        Ok(response)
    }

    /// The revision of the reader's rows in a model.
    async fn revision<P: Projection>(&self, reading: &Reading) -> Result<Revision, Error> {
        let (cache, owner) = (&self.cache.0, reading.owner.uuid());
        // Who names a position has been told by Postgres that it is reached, and Redis may not know.
        let redis = cache.redis.as_ref().filter(|_| reading.min_position.is_none());
        let turn = cache.turns.get_with((P::SCHEMA, owner, redis.is_some()), Arc::default);
        turn.take(async {
            let Some(redis) = redis else { return self.look_up::<P>(reading).await };
            let key = redis.key(&format!("revision:{}:{owner}", P::SCHEMA));
            let there = redis.get(&key).await;
            if let Some(revision) = there.as_deref().and_then(Revision::read) {
                return Ok(revision);
            }
            let mark = format!("? {}", cache.random.uuid(self.clock.now()));
            let marked = there.is_none() && redis.set_new(&key, mark.as_bytes(), LEASE).await;
            let revision = self.look_up::<P>(reading).await?;
            if marked && let Ok(text) = serde_json::to_vec(&revision) {
                redis.replace(&key, mark.as_bytes(), &text, LEASE).await;
            }
            Ok(revision)
        })
        .await
    }

    async fn look_up<P: Projection>(&self, reading: &Reading) -> Result<Revision, Error> {
        // The name of a schema is the program's own text.
        let sql = format!(
            "select c.generation, c.epoch, c.position, coalesce(r.revision, 0), r.changed_at,
                 (select max(epoch) from log.epochs)
             from {schema}.checkpoints c
             left join {schema}.revisions r on r.owner = $1
             where c.partition = $2",
            schema = P::SCHEMA
        );
        type Row = (i32, i64, i64, i64, Option<DateTime<Utc>>, i64);
        let row: Option<Row> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(reading.owner.uuid())
            .bind(reading.partition.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(database)?;
        let Some((generation, epoch, position, revision, changed_at, of_log)) = row else {
            return Err(Error::unavailable("NOT_BUILT", "the read model is not built yet", 5));
        };
        Ok(Revision {
            name: format!("{of_log}.{generation}.{revision}"),
            at: Positions::one(Epoch(epoch), reading.partition, Position(position)).to_string(),
            changed_at,
        })
    }

    async fn find_shared(&self, owner: AthleteId, key: &Key) -> Option<KeptAnswer> {
        let redis = self.cache.0.redis.as_ref()?;
        let sealed = redis.get(&place(redis, key)).await?;
        // Whatever is not what was put there is nothing.
        let clear = self.keys.open_bytes(owner, &sealed).await.ok()??;
        let (of, answer) = clear.split_first_chunk()?;
        if of != key {
            return None;
        }
        serde_json::from_slice(answer).ok()
    }

    /// Nobody waits for it.
    fn share(&self, owner: AthleteId, key: &Key, answer: &KeptAnswer, keep: Duration) {
        let Some(redis) = self.cache.0.redis.clone() else { return };
        let Ok(text) = serde_json::to_vec(answer) else { return };
        let (keys, clear, place) =
            (self.keys.clone(), [&key[..], &text].concat(), place(&redis, key));
        tokio::spawn(async move {
            if let Ok(Some(sealed)) = keys.seal_bytes(owner, &clear).await {
                redis.set(&place, &sealed, keep).await;
            }
        });
    }
}

/// What forgets in Redis the revisions of whose rows have changed.
pub fn forgets(redis: Redis) -> projector::Hears {
    Arc::new(move |schema, owners| {
        let redis = redis.clone();
        Box::pin(async move {
            let key = |owner: AthleteId| redis.key(&format!("revision:{schema}:{}", owner.uuid()));
            redis.forget(&owners.into_iter().map(key).collect::<Vec<String>>()).await;
        })
    })
}

/// What stands for an answer: of which rows, at which revision, to which question, by which program.
type Key = [u8; 32];

fn place(redis: &Redis, key: &Key) -> String {
    let name: String = key[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    redis.key(&format!("answer:{name}"))
}

/// What is kept of answers.
#[derive(Clone)]
pub(crate) struct Cache(Arc<Shelves>);

struct Shelves {
    answers: Answers<Key, Arc<KeptAnswer>>,
    /// Who wants to know the same revision, by Redis or by Postgres alone.
    turns: moka::sync::Cache<(&'static str, Uuid, bool), Arc<Turn>>,
    redis: Option<Redis>,
    /// Of marks, which no two readers make alike.
    random: Random,
}

impl Cache {
    pub(crate) fn new(redis: Option<Redis>) -> Self {
        let weight =
            |_: &Key, answer: &Arc<KeptAnswer>| u32::try_from(answer.weight()).unwrap_or(u32::MAX);
        let answers =
            Answers::builder().time_to_live(IN_PROCESS).weigher(weight).max_capacity(MOST_BYTES);
        let turns = moka::sync::Cache::builder().time_to_idle(IN_PROCESS).max_capacity(100_000);
        let (answers, turns, random) = (answers.build(), turns.build(), Random::system());
        Self(Arc::new(Shelves { answers, turns, redis, random }))
    }
}

/// An answer that is not to be kept, for the one that it was made for.
#[derive(Default)]
struct Unkept(Mutex<Option<Response>>);

async fn run(by_handler: Option<(Request, Next)>) -> Response {
    match by_handler {
        Some((request, next)) => next.run(request).await,
        None => Error::internal("a handler cannot be run twice").into_response(),
    }
}

/// The later of where an answer stood when it was made and where nothing had changed yet.
fn later(answer: &KeptAnswer, unchanged: &str) -> String {
    let made = answer.position().unwrap_or_default();
    let later = match (made.parse::<Positions>(), unchanged.parse::<Positions>()) {
        (Ok(made), Ok(unchanged)) => (made.epoch, &made.at) > (unchanged.epoch, &unchanged.at),
        (made, _) => made.is_ok(),
    };
    if later { made.to_owned() } else { unchanged.to_owned() }
}

/// How often rows have changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Revision {
    name: String,
    /// A position at which it was so.
    at: String,
    /// Since when; not where that was before the model was built.
    changed_at: Option<DateTime<Utc>>,
}

impl Revision {
    /// Of a text in Redis, where there may be anything.
    fn read(text: &[u8]) -> Option<Self> {
        let revision: Self = serde_json::from_slice(text).ok()?;
        revision.at.parse::<Positions>().ok()?;
        Some(revision)
    }
}

/// Lets those who want to know the same at the same time ask once.
#[derive(Default)]
struct Turn {
    asked: AtomicU64,
    /// The last answer, and the last of those who had asked before it was looked for.
    answered: tokio::sync::Mutex<Option<(u64, Revision)>>,
}

impl Turn {
    /// What `ask` answers, or somebody else's that was begun after we came.
    async fn take(
        &self,
        ask: impl Future<Output = Result<Revision, Error>>,
    ) -> Result<Revision, Error> {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut answered = self.answered.lock().await;
        if let Some((last, revision)) = &*answered
            && *last >= mine
        {
            return Ok(revision.clone());
        }
        let last = self.asked.load(Ordering::SeqCst);
        let revision = ask.await?;
        *answered = Some((last, revision.clone()));
        Ok(revision)
    }
}
