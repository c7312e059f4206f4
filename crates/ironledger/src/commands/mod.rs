//! From a command to events on the log: load, decide, append, and again if somebody was faster.

pub(crate) mod accounts;
pub(crate) mod athletes;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod coaching;
pub(crate) mod exercises;
pub(crate) mod folders;
pub(crate) mod moderation;
pub(crate) mod others;
pub(crate) mod posts;
pub(crate) mod recording;
pub(crate) mod relations;
pub(crate) mod requests;
pub(crate) mod routines;
mod streams;
mod usual;
mod workouts;

use std::{ops::Deref, sync::Arc};

use domain::Rejection;
use events::{
    Actor, AthleteId, Channel, DecodeError, Event, Metadata, Partition, Stream, Timestamp, Version,
};
use log::{
    Append, AppendError, Appended, ClientId, Clock, Keep, Log, NewEvent, Random, ReadError, Write,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use web::{Answer, Detail, Error, KeptAnswer, Trace};

use crate::{idempotency::KeyInUse, traces};
pub(crate) use streams::{Loaded, State, Streams};
pub(crate) use usual::Usuals;

/// How often a command is decided again because somebody was faster.
const ATTEMPTS: usize = 32;

/// Carries out commands. A clone is another handle: every request has some.
#[derive(Clone)]
pub(crate) struct Commands(Arc<Means>);

/// What commands are carried out with.
pub(crate) struct Means {
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) workouts: Streams<domain::workout::Workout>,
    pub(crate) exercises: Streams<domain::exercises::Exercises>,
    profiles: Streams<domain::profile::Profile>,
    bodies: Streams<domain::body::Body>,
    standings: Streams<domain::account::Standing>,
    coachings: Streams<domain::coaching::Coaching>,
    routines: Streams<domain::routines::Routine>,
    folders: Streams<domain::folders::Folders>,
    likes: Streams<domain::likes::Likes>,
    relations: Streams<domain::relations::Side>,
    posts: Streams<domain::posts::Post>,
    comments: Streams<domain::posts::Comment>,
    reactions: Streams<domain::posts::Reaction>,
    moderations: Streams<domain::moderation::Moderation>,
    reports: Streams<domain::moderation::Report>,
    usuals: Usuals,
}

/// Who gives a command, and how it came.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Whose affairs it is about.
    pub(crate) athlete: AthleteId,
    pub(crate) partition: Partition,
    /// Who gives it.
    pub(crate) actor: Actor,
    /// Whether the actor does so in place of the athlete.
    pub(crate) on_behalf: bool,
    pub(crate) channel: Channel,
    pub(crate) device: Option<String>,
    pub(crate) request: Option<String>,
    /// The version that the caller believes the stream to be at (`If-Match`).
    pub(crate) if_match: Option<Version>,
    /// The key that makes the command safe to send twice (`Idempotency-Key`).
    pub(crate) key: Option<KeyInUse>,
    /// The trace of the request.
    pub(crate) trace: Option<Trace>,
}

/// What a command is decided on.
struct On<'a> {
    stream: Stream,
    client: Option<ClientId>,
    /// What is appended with it.
    beside: Option<&'a Beside>,
}

/// Events of another stream of the same athlete, decided on before, for the same append.
struct Beside {
    stream: Stream,
    expected: Version,
    events: Vec<Event>,
}

/// Why a command was not carried out.
pub(crate) enum Failure<S> {
    /// The caller is told so.
    Refused(Error),
    /// The caller believed the stream to be at another version; here is what it is.
    Stale(Arc<Loaded<S>>),
}

impl<S> From<Error> for Failure<S> {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl<S> Failure<S> {
    /// What the caller is told; of a stale command, what is there now. Where there is nothing that
    /// `now` could show, or another's, nothing is stale.
    pub(crate) async fn told<Now: Serialize>(
        self,
        what: &str,
        now: impl AsyncFnOnce(Arc<Loaded<S>>) -> Result<Option<Now>, Error>,
    ) -> Error {
        let loaded = match self {
            Self::Refused(error) => return error,
            Self::Stale(loaded) => loaded,
        };
        match now(loaded).await {
            Ok(Some(now)) => Error::stale(&now),
            Ok(None) => Error::not_found(what),
            Err(error) => error,
        }
    }

    /// The same where something is made, which is not there to be shown.
    pub(crate) fn of_new(self) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Stale(_) => Error::stale(&()),
        }
    }
}

impl Deref for Commands {
    type Target = Means;

    fn deref(&self) -> &Means {
        &self.0
    }
}

impl Commands {
    pub(crate) fn new(log: Log, usuals: Usuals, clock: Clock, random: Random) -> Self {
        Self(Arc::new(Means {
            workouts: Streams::new(log.clone(), 20_000),
            exercises: Streams::new(log.clone(), 20_000),
            profiles: Streams::new(log.clone(), 20_000),
            bodies: Streams::new(log.clone(), 5_000),
            standings: Streams::new(log.clone(), 20_000),
            coachings: Streams::new(log.clone(), 20_000),
            routines: Streams::new(log.clone(), 5_000),
            folders: Streams::new(log.clone(), 5_000),
            likes: Streams::new(log.clone(), 5_000),
            relations: Streams::new(log.clone(), 20_000),
            posts: Streams::new(log.clone(), 5_000),
            comments: Streams::new(log.clone(), 5_000),
            reactions: Streams::new(log.clone(), 5_000),
            moderations: Streams::new(log.clone(), 5_000),
            reports: Streams::new(log.clone(), 1_000),
            usuals,
            log,
            clock,
            random,
        }))
    }

    /// The client-made id of a command and a keyed hash of what it says.
    pub(crate) async fn client_id(
        &self,
        owner: AthleteId,
        id: Option<Uuid>,
        said: &impl Serialize,
    ) -> Result<ClientId, Error> {
        let said = canonical(said).map_err(Error::internal)?;
        let fingerprint = self.log.keys().fingerprint(owner, &said).await.map_err(database)?;
        let fingerprint = fingerprint.ok_or_else(|| unavailable(AppendError::Erased))?;
        Ok(ClientId { id, fingerprint })
    }

    /// Decides on the state of a stream, appends what comes of it, and answers by showing the stream as
    /// it is after that; after a repeated command, as it was then.
    ///
    /// The state may come from the cache. An append proves that it was current; whatever else it
    /// leads to is decided again on what the log says before it is believed. Under an idempotency
    /// key the answer is made first, and kept with the events.
    fn execute<S: State, T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        streams: &Streams<S>,
        origin: &Origin,
        stream: Stream,
        client: Option<ClientId>,
        decide: impl Fn(&Loaded<S>, Timestamp) -> Result<Vec<Event>, Rejection>,
        show: impl Fn(Arc<Loaded<S>>) -> Shown,
    ) -> impl Future<Output = Result<Answer<T>, Failure<S>>> {
        // No future of its own around the other's: compilers take their time over nested ones.
        let on = On { stream, client, beside: None };
        self.execute_on(streams, origin, on, decide, show)
    }

    /// The same, with events of another stream beside what is decided: all of it is appended, or
    /// nothing. Where the other stream has moved on since, the caller is asked to come again.
    async fn execute_on<S: State, T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        streams: &Streams<S>,
        origin: &Origin,
        on: On<'_>,
        decide: impl Fn(&Loaded<S>, Timestamp) -> Result<Vec<Event>, Rejection>,
        show: impl Fn(Arc<Loaded<S>>) -> Shown,
    ) -> Result<Answer<T>, Failure<S>> {
        let On { stream, client, beside } = on;
        let now = self.clock.now();
        let run = self.random.uuid(now);
        let (owner, partition) = (origin.athlete, origin.partition);
        let _turn = streams.turn(stream).await;
        let (mut loaded, mut fresh) = streams.cached_or_read(owner, partition, stream).await?;
        for _ in 0..ATTEMPTS {
            if let Some(client) = client
                && let Some(made) = loaded.made(client.id)
            {
                if made.fingerprint != client.fingerprint {
                    return Err(id_taken().into());
                }
                let then = streams.as_of(owner, partition, stream, made.version).await?;
                return answered(&then, show(then.clone())).await;
            }
            let stale = origin.if_match.is_some_and(|version| version != loaded.version);
            let decided = if stale { None } else { Some(decide(&loaded, now)) };
            match decided {
                Some(Ok(events)) if !events.is_empty() => {
                    let keep = match &origin.key {
                        None => None,
                        Some(key) => {
                            // Where it will be, the log adds.
                            let (epoch, position) = (loaded.epoch, loaded.position);
                            let appended = Appended { epoch, partition, position };
                            let next = (*loaded).clone().advanced(&events, client, &appended);
                            let answer = KeptAnswer::from(&show(Arc::new(next)).await?);
                            let answer = serde_json::to_vec(&answer).map_err(Error::internal)?;
                            Some(Keep { key: key.key, answer })
                        }
                    };
                    let new =
                        |client: Option<ClientId>, (index, event): (usize, &Event)| NewEvent {
                            event: event.clone(),
                            metadata: origin.metadata(event, now, run),
                            client: client.filter(|_| index == 0),
                        };
                    // What it needs comes before it.
                    let before = beside.map(|Beside { stream, expected, events }| Write {
                        stream: *stream,
                        expected: *expected,
                        events: events.iter().enumerate().map(|at| new(None, at)).collect(),
                    });
                    let decided = Write {
                        stream,
                        expected: loaded.version,
                        events: events.iter().enumerate().map(|at| new(client, at)).collect(),
                    };
                    let writes = before.into_iter().chain([decided]).collect();
                    let append = Append { owner, partition, writes };
                    match self.append(origin, append, keep).await {
                        Ok(appended) => {
                            if let Some(key) = &origin.key {
                                key.is_kept();
                            }
                            let next =
                                streams.advance(owner, stream, loaded, &events, client, &appended);
                            let next = next.await;
                            return answered(&next, show(next.clone())).await;
                        }
                        Err(AppendError::Conflict { stream: there, .. }) if there != stream => {
                            return Err(unavailable(AppendError::Busy).into());
                        }
                        Err(AppendError::Conflict { .. }) => {}
                        Err(AppendError::Already { same: true, stream: there, .. })
                            if there == stream => {}
                        Err(AppendError::Already { .. }) => return Err(id_taken().into()),
                        Err(error) => return Err(unavailable(error).into()),
                    }
                }
                _ if !fresh => {}
                None => return Err(Failure::Stale(loaded)),
                Some(Ok(_)) => return answered(&loaded, show(loaded.clone())).await,
                Some(Err(rejection)) => return Err(rejected(rejection).into()),
            }
            loaded = streams.refreshed(owner, partition, stream, &loaded).await?;
            fresh = true;
        }
        Err(unavailable(AppendError::Busy).into())
    }
}

impl Commands {
    /// Appends, and tells the trace of it.
    async fn append(
        &self,
        origin: &Origin,
        append: Append,
        keep: Option<Keep>,
    ) -> Result<Appended, AppendError> {
        if !traces::are_told() {
            return self.log.append_and_keep(append, keep).await;
        }
        let began = self.clock.now().utc();
        let mut events = append.writes.iter().flat_map(|write| &write.events);
        let first = events.next().map(|event| event.metadata.clone());
        let count = events.count() + 1;
        let appended = self.log.append_and_keep(append, keep).await;
        if let Some(first) = first {
            let request = origin.trace.map(|trace| trace.span);
            traces::append(&first, request, count, began, appended.is_err());
        }
        appended
    }
}

/// For commands among many, whose answers nobody reads.
pub(crate) async fn unseen<S>(_: Arc<Loaded<S>>) -> Result<Answer<()>, Error> {
    Answer::ok(&())
}

/// The answer that shows a stream, with where on the log it stands.
async fn answered<S, T>(
    loaded: &Loaded<S>,
    shown: impl Future<Output = Result<Answer<T>, Error>>,
) -> Result<Answer<T>, Failure<S>> {
    Ok(shown.await?.at(loaded.positions()))
}

impl Origin {
    /// A command of an actor about an athlete's affairs, from no device and under no key.
    pub(crate) fn new(
        athlete: AthleteId,
        partition: Partition,
        actor: Actor,
        channel: Channel,
    ) -> Self {
        let (device, request, if_match, key, trace) = (None, None, None, None, None);
        let on_behalf = false;
        Self {
            athlete,
            partition,
            actor,
            on_behalf,
            channel,
            device,
            request,
            if_match,
            key,
            trace,
        }
    }

    pub(crate) fn metadata(&self, event: &Event, now: Timestamp, run: Uuid) -> Metadata {
        Metadata {
            occurred_at: occurred_at(event).unwrap_or(now),
            actor: self.actor.clone(),
            on_behalf_of: self.on_behalf.then_some(self.athlete),
            channel: self.channel,
            device: self.device.clone(),
            request: self.request.clone(),
            correlation: self.trace.map_or(run, |trace| Uuid::from_u128(trace.id)),
            causation: run,
        }
    }
}

/// What a command says, in a form that is stored for ever as its fingerprint: names in order, and
/// nothing of the fields that say nothing, so that a request may grow by optional fields.
fn canonical(said: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    fn without_nulls(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|_, value| !value.is_null());
                fields.values_mut().for_each(without_nulls);
            }
            Value::Array(values) => values.iter_mut().for_each(without_nulls),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(said)?;
    without_nulls(&mut value);
    serde_json::to_vec(&value)
}

/// When an event happened, where it says so itself; the others happen when they are told.
fn occurred_at(event: &Event) -> Option<Timestamp> {
    match event {
        Event::WorkoutStarted(started) => Some(started.details.started_at),
        Event::SetLogged(logged) => Some(logged.set.performed_at),
        Event::WorkoutCompleted(completed) => Some(completed.completed_at),
        Event::BodyweightMeasured(measured) => Some(measured.weighing.measured_at),
        _ => None,
    }
}

fn id_taken() -> Error {
    Error::conflict("ID_TAKEN", "the id was used for something else, or with other content")
}

/// What the caller is told of a rejection.
pub(crate) fn rejected(rejection: Rejection) -> Error {
    match rejection {
        Rejection::NotFound(what) => Error::not_found(what),
        Rejection::Conflict { code, message } => Error::conflict(code, message),
        Rejection::Invalid(invalid) => Error::validation(
            invalid.into_iter().map(|field| Detail::new(field.field, field.message)).collect(),
        ),
    }
}

/// What the caller is told when the log did not take an append.
pub(crate) fn unavailable(error: AppendError) -> Error {
    match error {
        AppendError::Busy => Error::unavailable("BUSY", "too much at once; come back soon", 1),
        AppendError::Unavailable => {
            Error::unavailable("DATABASE_UNAVAILABLE", "the database is away", 1)
        }
        AppendError::Unsettled => Error::unavailable(
            "UNSETTLED",
            "whether the command was recorded is not known yet; repeat it with the same id or key",
            2,
        ),
        AppendError::KeyUsed => Error::conflict(
            "IDEMPOTENCY_KEY_USED",
            "another command with this idempotency key came first",
        ),
        AppendError::Erased => {
            Error::conflict("ERASED", "the personal data of this athlete was erased")
        }
        AppendError::Refused(_) | AppendError::Conflict { .. } | AppendError::Already { .. } => {
            Error::internal(error)
        }
    }
}

/// What the caller is told when the log cannot be read.
pub(crate) fn unreadable(error: ReadError) -> Error {
    match error {
        ReadError::Database(error) => database(error),
        ReadError::Decode { source: DecodeError::Unknown { .. }, .. } => {
            projections::newer_events(error)
        }
        error => Error::internal(error),
    }
}

/// What the caller is told when the database fails a query.
pub(crate) fn database(error: sqlx::Error) -> Error {
    projections::database(error)
}

#[cfg(test)]
mod tests {
    use super::{canonical, requests::LogSet};

    /// Stored for ever: a change here makes every repeated command another one.
    #[test]
    fn what_a_command_says_keeps_its_form() {
        let set = r#"{"number":1,"exercise":"bench-press-barbell","reps":5,"rpe":8.5,
            "weight":{"unit":"lb","value":225.0},"notes":null}"#;
        let set: LogSet = serde_json::from_str(set).unwrap();
        let said = String::from_utf8(canonical(&("log_set", &set)).unwrap()).unwrap();
        let expected = r#"["log_set",{"exercise":"bench-press-barbell","kind":"normal","number":1,"reps":5,"rpe":8.5,"weight":{"kg":"102.05828325","unit":"lb","value":"225"}}]"#;
        assert_eq!(said, expected);
    }
}
