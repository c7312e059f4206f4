//! Leaderboards that move while somebody watches: server-sent events.
//!
//! Each process looks at the boards that somebody watches there, and makes of each a row of *states*: the
//! first hundred places, of which the first ten are those of the moment and the others those of the last
//! five seconds. Whoever watches is told what is different from the state that they had. Nothing is
//! queued: who reads slowly misses states in between, and never a difference.
//!
//! A state is named by what it holds, so that another process knows what a client that comes to it has
//! seen: of a state that it had itself it tells the difference, of any other the whole.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use chrono::NaiveDate;
use events::{AthleteId, Partition, WeightUnit};
use futures_util::stream;
use log::Random;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use web::{
    Detail, Error, Redis,
    document::{Input, Operation, Output},
};

use super::{
    board::{Among, Board},
    lease::{LEASE, Lease, Watching},
    query::{self, MOST, Place, Wanted},
    routes::{Entry, Period, Scale, entry},
    sets,
};
use crate::{
    Context,
    reading::Reading,
    social::{Card, Fresh, Names},
};

/// So many places are told of at once; those behind them by the batch.
const AT_ONCE: usize = 10;

/// Batches begin with each such time of the clock, in all processes alike.
const BATCH: Duration = Duration::from_secs(5);

/// So often watched boards are looked at in Redis; in the tables, where that is away.
const LOOK: Duration = Duration::from_millis(50);
const LOOK_AT_TABLES: Duration = Duration::from_secs(1);

/// With so many batches it is asked anew whose names somebody sees.
const NAMES: i64 = 2;

/// A stream ends after so long, and its client comes again with a token that is still good.
const LIFE: Duration = Duration::from_secs(600);

/// Whoever comes first to a board waits no longer for its first state.
const FIRST: Duration = Duration::from_secs(5);

/// States that are known of a board, for clients that come again.
const RECENT: usize = 256;

/// The header with the last event that a client had.
const LAST_EVENT_ID: &str = "Last-Event-ID";

/// Who watches what in this process.
#[derive(Clone, Default)]
pub(crate) struct Live(Arc<Hub>);

#[derive(Default)]
struct Hub {
    boards: Mutex<HashMap<(Board, Among), Arc<Channel>>>,
    watching: Arc<Watching>,
    stop: CancellationToken,
}

/// A board that is watched.
struct Channel {
    board: Board,
    among: Among,
    state: watch::Sender<Option<Arc<State>>>,
    /// How many streams each athlete has of it.
    viewers: Mutex<HashMap<Uuid, usize>>,
    recent: Mutex<VecDeque<Arc<State>>>,
}

/// What a board shows at a time.
struct State {
    /// Of the content: the same in all processes.
    hash: u64,
    period: i32,
    places: Vec<Place>,
    /// Who may know the name of whom.
    names: Arc<Known>,
}

/// Names of some athletes, as some see them: what was looked up last comes first.
#[derive(Default)]
struct Known(Vec<Arc<Lookup>>);

/// What was looked up at a time.
struct Lookup {
    viewers: BTreeSet<Uuid>,
    athletes: BTreeSet<Uuid>,
    names: Names,
}

impl Known {
    /// Whether it can be told, and who.
    fn of(&self, viewer: Uuid, athlete: Uuid) -> Option<Option<&Card>> {
        let has =
            |of: &&Arc<Lookup>| of.viewers.contains(&viewer) && of.athletes.contains(&athlete);
        self.0.iter().find(has).map(|of| of.names.of(viewer, athlete))
    }
}

pub(super) fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a client has seen of which board.
#[derive(Debug, Clone)]
pub(super) struct Following(Option<String>);

/// A state that a client has seen, and what it saw of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    at: i64,
    state: u64,
    view: u32,
}

impl<S: Send + Sync> FromRequestParts<S> for Following {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let header = web::once(&parts.headers, "last-event-id")?;
        let text = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Ok(Self(text.filter(|text| !text.is_empty())))
    }
}

impl Input for Following {
    fn describe(operation: &mut Operation<'_>) {
        let text = "The id of the last event that the client had of this board: it is told what is \
                    different from it, or, where that is not known any more, the whole.";
        operation.header(LAST_EVENT_ID, text, &json!({ "type": "string" }));
        operation.fails(&[400]);
    }
}

impl Following {
    /// The state that the client has seen of a board.
    pub(super) fn of(&self, board: &Board, among: Among) -> Result<Option<Seen>, Detail> {
        let Some(text) = &self.0 else { return Ok(None) };
        let wrong = |message| Detail::new(LAST_EVENT_ID, message);
        let Some((name, state)) = text.rsplit_once('/') else {
            return Err(wrong("is no id of an event of a leaderboard"));
        };
        let parts: Vec<&str> = state.split('-').collect();
        let [at, state, view] = parts[..] else {
            return Err(wrong("is no id of an event of a leaderboard"));
        };
        let seen = at.parse().ok().zip(u64::from_str_radix(state, 16).ok());
        let seen = seen.zip(u32::from_str_radix(view, 16).ok());
        let Some(((at, state), view)) = seen else {
            return Err(wrong("is no id of an event of a leaderboard"));
        };
        if name != named(board, among) {
            return Err(wrong("is of another leaderboard"));
        }
        Ok(Some(Seen { at, state, view }))
    }
}

fn named(board: &Board, among: Among) -> String {
    format!("{}/{}", board.name(), among.name().replace(' ', "/"))
}

/// Server-sent events of a leaderboard.
pub(super) struct Stream(
    Pin<Box<dyn futures_util::Stream<Item = Result<Event, Infallible>> + Send>>,
);

impl IntoResponse for Stream {
    fn into_response(self) -> Response {
        let alive = KeepAlive::new().interval(LEASE / 2).text("still here");
        let mut response = Sse::new(self.0).keep_alive(alive).into_response();
        // Proxies that would gather a page first would show nothing.
        let headers = response.headers_mut();
        headers.insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
        response
    }
}

impl Output for Stream {
    fn describe(operation: &mut Operation<'_>) {
        let text = "Events `board` with all places that are shown, and `changes` with those that \
                    are others than before: `docs/leaderboards.md`.";
        operation
            .answers_with("text/event-stream", &json!({ "type": "string", "description": text }));
    }
}

/// What the document says of it beside its types.
pub(super) fn describe(operation: &mut Operation<'_>) {
    operation.fails(&[429]);
}

/// A place that is shown, counted from 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Shown {
    place: usize,
    #[serde(flatten)]
    entry: Entry,
}

/// What an event holds.
#[derive(Serialize)]
struct Told<'a> {
    /// The days that count, in UTC; `null` where all do.
    period: Option<Period>,
    /// How many places are shown; those that were behind them are gone.
    length: usize,
    entries: Vec<&'a Shown>,
}

impl Live {
    /// Ends all streams, so that their clients go elsewhere.
    pub(crate) fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Has somebody watch a board.
    pub(super) async fn watch(
        &self,
        context: &Context,
        reading: &Reading,
        board: Board,
        among: Among,
        unit: Option<WeightUnit>,
        seen: Option<Seen>,
    ) -> Result<Stream, Error> {
        // Nobody waits for a board that cannot be looked at.
        query::rows(context).await?;
        let viewer = reading.owner.uuid();
        let id = Random::system().uuid(context.clock.now());
        let lease = Lease::take(self.0.watching.clone(), context.redis.clone(), viewer, id).await?;
        let channel = self.channel(context, board, among);
        *held(&channel.viewers).entry(viewer).or_default() += 1;
        let mut session = Session {
            context: context.clone(),
            reading: Reading {
                owner: reading.owner,
                partition: reading.partition,
                min_position: None,
            },
            scale: Scale::of(&channel.board, unit),
            states: channel.state.subscribe(),
            channel,
            shown: None,
            names: HashMap::new(),
            seen,
            lease,
            ends: Instant::now() + LIFE,
            stop: self.0.stop.clone(),
            failed: false,
        };
        // Whoever cannot be told anything is told so before anything is begun; who has seen all there is
        // gets a stream in which nothing happens yet.
        let first = session.first().await?;
        let rest = stream::unfold(session, async |mut session| {
            if session.failed {
                return None;
            }
            match session.next().await {
                Ok(event) => Some((Ok(event?), session)),
                Err(error) => {
                    tracing::warn!(error = error.in_full(), "a stream of a leaderboard ends");
                    None
                }
            }
        });
        let events = stream::iter(first.map(Ok));
        Ok(Stream(Box::pin(futures_util::StreamExt::chain(events, rest))))
    }

    /// The channel of a board; the first one who watches it has it looked at from then on.
    fn channel(&self, context: &Context, board: Board, among: Among) -> Arc<Channel> {
        let mut boards = held(&self.0.boards);
        let is_first = boards.is_empty();
        let channel = boards.entry((board, among)).or_insert_with_key(|(board, among)| {
            Arc::new(Channel {
                board: board.clone(),
                among: *among,
                state: watch::Sender::new(None),
                viewers: Mutex::default(),
                recent: Mutex::default(),
            })
        });
        let channel = channel.clone();
        if is_first {
            tokio::spawn(look(self.0.clone(), context.clone()));
        }
        channel
    }
}

/// A stream of somebody.
struct Session {
    context: Context,
    reading: Reading,
    scale: Scale,
    channel: Arc<Channel>,
    states: watch::Receiver<Option<Arc<State>>>,
    /// What the client has, and of which period.
    shown: Option<(i32, Vec<Shown>)>,
    /// Whose names the client sees.
    names: HashMap<Uuid, Option<Card>>,
    /// What it had before it came.
    seen: Option<Seen>,
    lease: Lease,
    ends: Instant,
    stop: CancellationToken,
    failed: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut viewers = held(&self.channel.viewers);
        let viewer = self.reading.owner.uuid();
        if let Some(streams) = viewers.get_mut(&viewer) {
            *streams -= 1;
            if *streams == 0 {
                viewers.remove(&viewer);
            }
        }
    }
}

impl Session {
    /// What there is to tell at once.
    async fn first(&mut self) -> Result<Option<Event>, Error> {
        let first = self.states.wait_for(Option::is_some);
        let state = match tokio::time::timeout(FIRST, first).await {
            Ok(Ok(state)) => state.clone(),
            _ => None,
        };
        let Some(state) = state else {
            let message = "the leaderboard cannot be looked at just now";
            return Err(Error::unavailable("DATABASE_UNAVAILABLE", message, 1));
        };
        self.states.mark_unchanged();
        self.tell(&state).await
    }

    /// The next event; nothing when the stream is to end.
    async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let state = self.states.borrow_and_update().clone();
            if let Some(state) = state
                && let Some(event) = self.tell(&state).await?
            {
                return Ok(Some(event));
            }
            let (stop, states) = (self.stop.clone(), &mut self.states);
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                changed = states.changed() => if changed.is_err() { return Ok(None) },
                () = sleep(LEASE / 3) => {}
            }
            if !self.lease.renew().await || Instant::now() >= self.ends {
                return Ok(None);
            }
        }
    }

    /// What is new in a state, if anything is.
    async fn tell(&mut self, state: &State) -> Result<Option<Event>, Error> {
        self.learn(state).await?;
        let now = self.view(&state.places);
        if let Some(seen) = self.seen.take()
            && seen.at <= self.context.clock.now().utc().timestamp_millis()
        {
            let recent =
                held(&self.channel.recent).iter().rev().find(|of| of.hash == seen.state).cloned();
            let before = recent.map(|of| (of.period, self.view(&of.places)));
            self.shown = before.filter(|(_, before)| view_hash(before) == seen.view);
        }
        let (period, length) = (state.period, now.len());
        let (kind, entries) = match &self.shown {
            Some((of, before)) if *of == period => {
                let is_new = |shown: &&Shown| before.get(shown.place - 1) != Some(*shown);
                let new: Vec<&Shown> = now.iter().filter(is_new).collect();
                if new.is_empty() && before.len() == length {
                    return Ok(None);
                }
                ("changes", new)
            }
            _ => ("board", now.iter().collect()),
        };
        let day = super::board::day_of(period).filter(|_| period != super::board::EVER);
        let period_shown = day.and_then(|day: NaiveDate| Period::of(&self.channel.board, day));
        let told = Told { period: period_shown, length, entries };
        let data = serde_json::to_string(&told).map_err(Error::internal)?;
        let at = self.context.clock.now().utc().timestamp_millis();
        let name = named(&self.channel.board, self.channel.among);
        let id = format!("{name}/{at}-{:016x}-{:08x}", state.hash, view_hash(&now));
        self.shown = Some((period, now));
        Ok(Some(Event::default().event(kind).id(id).data(data)))
    }

    /// Brings what is known of names to what a state says of them.
    async fn learn(&mut self, state: &State) -> Result<(), Error> {
        let viewer = self.reading.owner.uuid();
        let mut unknown = Vec::new();
        for place in &state.places {
            match state.names.of(viewer, place.owner) {
                Some(card) => {
                    let card = card.cloned();
                    self.names.insert(place.owner, card);
                }
                None if !self.names.contains_key(&place.owner) => unknown.push(place.owner),
                None => {}
            }
        }
        if !unknown.is_empty() {
            let fresh = Fresh::read(&self.context, &self.reading).await?;
            let names = Names::read(&self.context, &fresh, &[viewer], &unknown).await?;
            for athlete in unknown {
                self.names.insert(athlete, names.of(viewer, athlete).cloned());
            }
        }
        // Of who comes back it is asked again.
        let places = &state.places;
        self.names.retain(|athlete, _| places.iter().any(|place| place.owner == *athlete));
        Ok(())
    }

    fn view(&self, places: &[Place]) -> Vec<Shown> {
        let shown = |(index, place): (usize, &Place)| {
            let card = self.names.get(&place.owner).and_then(Option::as_ref);
            Shown { place: index + 1, entry: entry(*place, self.scale, card) }
        };
        places.iter().enumerate().map(shown).collect()
    }
}

/// Of what somebody saw.
fn view_hash(shown: &[Shown]) -> u32 {
    let text = serde_json::to_vec(shown).unwrap_or_default();
    let hash = Sha256::digest(text);
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

fn state_hash(period: i32, places: &[Place]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(period.to_be_bytes());
    for place in places {
        hash.update(place.owner.as_bytes());
        hash.update(place.score.to_be_bytes());
    }
    let hash = hash.finalize();
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// Looks at all boards that are watched, until none is.
async fn look(hub: Arc<Hub>, context: Context) {
    let mut boards: HashMap<(Board, Among), Looked> = HashMap::new();
    loop {
        let channels: Vec<Arc<Channel>> = {
            let mut watched = held(&hub.boards);
            // One with which somebody begins has a state to wait for, and its channel is held twice.
            watched.retain(|_, channel| Arc::strong_count(channel) > 1);
            if watched.is_empty() || hub.stop.is_cancelled() {
                watched.clear();
                return;
            }
            watched.values().cloned().collect()
        };
        boards.retain(|key, _| {
            channels.iter().any(|channel| (&channel.board, channel.among) == (&key.0, key.1))
        });
        let rest = match look_once(&context, &channels, &mut boards).await {
            Ok(true) => LOOK,
            Ok(false) => LOOK_AT_TABLES,
            Err(error) => {
                tracing::warn!(error = error.in_full(), "watched leaderboards cannot be looked at");
                LOOK_AT_TABLES
            }
        };
        drop(channels);
        tokio::select! {
            () = hub.stop.cancelled() => {}
            () = sleep(rest) => {}
        }
    }
}

/// What was found of a board when it was looked at last.
struct Looked {
    version: String,
    period: i32,
    batch: i64,
    /// In which batch the names were looked up.
    named: i64,
}

/// Looks at boards that have changed; whether Redis told of them.
async fn look_once(
    context: &Context,
    channels: &[Arc<Channel>],
    boards: &mut HashMap<(Board, Among), Looked>,
) -> Result<bool, Error> {
    let now = context.clock.now().utc();
    let batch = now.timestamp_millis() / i64::try_from(BATCH.as_millis()).unwrap_or(1);
    let wanted = |channel: &Arc<Channel>| Wanted {
        board: channel.board.clone(),
        period: channel.board.period(now.date_naive()),
        among: channel.among,
    };
    let all: Vec<Wanted> = channels.iter().map(wanted).collect();
    let identity = query::rows(context).await?;
    let versions = match &context.redis {
        Some(redis) => sets::versions(redis, &identity, &all).await,
        None => None,
    };
    let mut by_redis = versions.is_some();
    for (index, (channel, wanted)) in channels.iter().zip(&all).enumerate() {
        let version = versions.as_ref().and_then(|all| all.get(index)).cloned();
        let key = (channel.board.clone(), channel.among);
        let known = boards.get(&key);
        let is_batch = known.is_none_or(|known| known.batch != batch);
        let is_same = known.is_some_and(|known| {
            known.period == wanted.period && version.as_ref() == Some(&known.version)
        });
        if is_same && !is_batch {
            continue;
        }
        let names_due = known.is_none_or(|known| batch - known.named >= NAMES);
        let named = known.filter(|_| !names_due).map_or(batch, |known| known.named);
        let is_whole = is_batch || known.is_none_or(|known| known.period != wanted.period);
        let shown = async {
            let redis = context.redis.as_ref().filter(|_| version.is_some());
            let places = first(context, redis, &identity, wanted).await?;
            channel.show(context, wanted.period, places, is_whole, names_due).await
        };
        // The others go on.
        if let Err(error) = shown.await {
            tracing::warn!(error = error.in_full(), "a watched leaderboard cannot be looked at");
            by_redis = false;
            continue;
        }
        let version = version.unwrap_or_default();
        boards.insert(key, Looked { version, period: wanted.period, batch, named });
    }
    Ok(by_redis)
}

/// The first places of a board, out of Redis or of the tables.
async fn first(
    context: &Context,
    redis: Option<&Redis>,
    identity: &str,
    wanted: &Wanted,
) -> Result<Vec<Place>, Error> {
    if let Some(redis) = redis
        && let Some(copy) = sets::read(redis, wanted, Uuid::nil(), Partition(0), MOST).await
        && copy.is_of(identity)
    {
        return Ok(copy.standing.top);
    }
    query::first(context, wanted, MOST).await
}

impl Channel {
    /// Makes a state of places, if it is another one.
    async fn show(
        &self,
        context: &Context,
        period: i32,
        mut places: Vec<Place>,
        is_batch: bool,
        names_due: bool,
    ) -> Result<(), Error> {
        let before = self.state.borrow().clone();
        if let Some(before) = before.as_ref().filter(|before| !is_batch && before.period == period)
        {
            places.truncate(AT_ONCE);
            places.extend(before.places.iter().skip(AT_ONCE));
        }
        let hash = state_hash(period, &places);
        if !names_due && before.as_ref().is_some_and(|before| before.hash == hash) {
            return Ok(());
        }
        let names = self.names(context, before.as_deref(), &places, names_due).await?;
        let state = Arc::new(State { hash, period, places, names: Arc::new(names) });
        {
            let mut recent = held(&self.recent);
            recent.retain(|known| known.hash != hash);
            recent.push_back(state.clone());
            if recent.len() > RECENT {
                recent.pop_front();
            }
        }
        self.state.send_replace(Some(state));
        Ok(())
    }

    /// The names that those who watch may see: of all places from time to time, else of those who are new.
    async fn names(
        &self,
        context: &Context,
        before: Option<&State>,
        places: &[Place],
        names_due: bool,
    ) -> Result<Known, Error> {
        let viewers: Vec<Uuid> = held(&self.viewers).keys().copied().collect();
        let was = |owner: &Uuid| {
            before.is_some_and(|before| before.places.iter().any(|place| place.owner == *owner))
        };
        let owners = places.iter().map(|place| place.owner);
        let wanted: Vec<Uuid> = owners.filter(|owner| names_due || !was(owner)).collect();
        // Who misses a state misses no name: what was looked up since all were is kept.
        let kept = before.filter(|_| !names_due).map(|before| before.names.0.clone());
        let mut known = Known(kept.unwrap_or_default());
        let (Some(first), false) = (viewers.first(), wanted.is_empty()) else { return Ok(known) };
        // Whose the reading is does not matter: nobody in particular asks.
        let nobody = AthleteId::new(*first).map_err(Error::internal)?;
        let reading = Reading { owner: nobody, partition: Partition(0), min_position: None };
        let fresh = Fresh::read(context, &reading).await?;
        let names = Names::read(context, &fresh, &viewers, &wanted).await?;
        let (viewers, athletes) = (viewers.into_iter().collect(), wanted.into_iter().collect());
        known.0.insert(0, Arc::new(Lookup { viewers, athletes, names }));
        Ok(known)
    }
}
