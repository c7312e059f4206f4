//! One of the processes that write: appends at random, and tells what the log acknowledged.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io::{Read, Write as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use events::{
    Actor, Channel, Event, Metadata, Position, SetId, SetRemoved, Stream, Version, WorkoutId,
};
use log::{
    Append, AppendError, ClientId, Clock, Database, Log, NewEvent, Options, Random, Stored, Write,
};
use rand::{
    RngExt, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Owner, Place, keys, owners, writers};

/// By which the connections of writers are known, with the number of the writer after it.
pub(crate) const NAME: &str = "faults writer ";

const TASKS: u64 = 16;

/// Acknowledged events that a writer remembers, to repeat some of them.
const REMEMBERED: usize = 256;

/// Tries of one append before it is given up.
const TRIES: usize = 200;

/// After an answer that says to come back later.
const LATER: Duration = Duration::from_millis(20);

/// Appends until standard input ends.
pub(crate) async fn run(database: &str, seed: u64, number: u64) -> Result<()> {
    let database = Database::new(database, &format!("{NAME}{number}"), 4)?;
    let keys = keys(&database.pool)?;
    let writer = Arc::new(Writer {
        log: Log::open(&database, keys, Clock::system(), &Options::default()),
        owners: owners(seed)?,
        known: Mutex::default(),
        recent: Mutex::default(),
        over: AtomicBool::new(false),
    });
    // Some of the tables are ours; what is for the others' goes there, while they can be reached.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (log, address) = (writer.log.clone(), listener.local_addr()?.to_string());
    let sharing = CancellationToken::new();
    let shared = sharing.clone();
    tokio::spawn(async move { log.share(listener, address, &Random::system(), shared).await });
    let ending = writer.clone();
    std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        ending.over.store(true, Ordering::SeqCst);
    });
    let tasks = (0..TASKS).map(|task| {
        let writer = writer.clone();
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003) + number * TASKS + task);
        tokio::spawn(async move { writer.work(rng).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await?.context("a task of a writer")?;
    }
    Ok(())
}

struct Writer {
    log: Log,
    owners: Vec<Owner>,
    /// Versions that streams had at least.
    known: Mutex<HashMap<Stream, Version>>,
    recent: Mutex<VecDeque<Sent>>,
    over: AtomicBool,
}

/// An event that was acknowledged under a client-made id.
#[derive(Clone)]
struct Sent {
    owner: usize,
    id: Uuid,
    stream: Stream,
    version: Version,
}

/// What one append says, however often it is tried.
struct Saying<'a> {
    owner: &'a Owner,
    sets: Vec<(Stream, Vec<SetId>)>,
    /// Whether each event has a client-made id: the id of its set.
    with_ids: bool,
}

impl Writer {
    async fn work(&self, mut rng: StdRng) -> Result<()> {
        while !self.over.load(Ordering::SeqCst) {
            let owner = rng.random_range(0..self.owners.len());
            match rng.random_range(0..100) {
                0..10 => self.repeat(&mut rng).await?,
                10..20 => self.twice(owner, &mut rng).await?,
                20..30 => {
                    // Not where the stream is: before it, or far after it.
                    let wrong_by = *[-1, 1_000_000].choose(&mut rng).context("a choice")?;
                    self.decide_wrongly(owner, wrong_by, &mut rng).await?;
                }
                _ => {
                    let saying = self.saying(owner, &mut rng)?;
                    self.append(owner, &saying).await?;
                }
            }
        }
        Ok(())
    }

    /// One to five events for one or two streams.
    fn saying(&self, owner: usize, rng: &mut StdRng) -> Result<Saying<'_>> {
        let owner = &self.owners[owner];
        let mut streams = owner.streams.clone();
        streams.shuffle(rng);
        if rng.random_bool(0.2) {
            streams[0] = Stream::workout(WorkoutId::new(fresh())?);
        }
        let mut sets: Vec<(Stream, Vec<SetId>)> = Vec::new();
        for number in 0..rng.random_range(1..=5) {
            let set = SetId::new(fresh())?;
            match sets.last_mut() {
                Some((_, sets)) if number != 3 => sets.push(set),
                _ => sets.push((streams[sets.len()], vec![set])),
            }
        }
        Ok(Saying { owner, sets, with_ids: rng.random_bool(0.7) })
    }

    /// Appends, deciding again after each conflict, until it is settled.
    async fn append(&self, owner: usize, saying: &Saying<'_>) -> Result<()> {
        let mut unsettled = false;
        for _ in 0..TRIES {
            for (stream, _) in &saying.sets {
                // New streams are appended to without a look, known ones as they are known.
                let is_new = !saying.owner.streams.contains(stream) && !unsettled;
                if !is_new && self.known(*stream).is_none() {
                    self.refresh(saying.owner, *stream).await;
                }
            }
            let versions = saying.sets.iter().map(|(stream, _)| self.known(*stream));
            let versions: Vec<Version> = versions.map(Option::unwrap_or_default).collect();
            match self.try_once(saying, &versions).await? {
                Ok(position) => {
                    self.acknowledged(owner, saying, &versions, position);
                    return Ok(());
                }
                Err(AppendError::Conflict { stream, actual }) => {
                    self.check_conflict(saying, &versions, stream, actual);
                    if let Some(found) = self.refresh(saying.owner, stream).await
                        && found < actual
                    {
                        wrong(&format!("{stream} was said to be at {actual}, and is at {found}"));
                    }
                }
                Err(AppendError::Already { same: true, .. }) if unsettled => {
                    return self.find(owner, saying).await;
                }
                Err(AppendError::Unsettled) if saying.with_ids => unsettled = true,
                // It may be stored, and must not be said again.
                Err(AppendError::Unsettled) => return Ok(()),
                Err(AppendError::Busy | AppendError::Unavailable) => sleep(LATER).await,
                Err(error) => {
                    wrong(&format!("an append was answered {error:?}"));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Two appends to one stream on the same version, at the same moment.
    async fn twice(&self, owner: usize, rng: &mut StdRng) -> Result<()> {
        let (mut one, mut two) = (self.saying(owner, rng)?, self.saying(owner, rng)?);
        let stream = one.sets[0].0;
        (one.with_ids, two.with_ids) = (false, false);
        one.sets.truncate(1);
        two.sets.truncate(1);
        two.sets[0].0 = stream;
        let versions = [self.known(stream).unwrap_or_default()];
        let (first, second) =
            tokio::join!(self.try_once(&one, &versions), self.try_once(&two, &versions));
        let (first, second) = (first?, second?);
        if first.is_ok() && second.is_ok() {
            wrong(&format!("two appends to {stream} on version {} passed", versions[0]));
        }
        for (saying, result) in [(one, first), (two, second)] {
            match result {
                Ok(position) => self.acknowledged(owner, &saying, &versions, position),
                Err(AppendError::Conflict { stream, actual }) => {
                    self.check_conflict(&saying, &versions, stream, actual);
                    self.refresh(saying.owner, stream).await;
                }
                Err(AppendError::Unsettled | AppendError::Busy | AppendError::Unavailable) => {}
                Err(error) => wrong(&format!("one of two appends was answered {error:?}")),
            }
        }
        Ok(())
    }

    /// An append on a version where the stream is not: then with the right one.
    async fn decide_wrongly(&self, owner: usize, by: i32, rng: &mut StdRng) -> Result<()> {
        let saying = self.saying(owner, rng)?;
        let versions: Vec<Version> = saying
            .sets
            .iter()
            .map(|(stream, _)| Version(self.known(*stream).unwrap_or_default().0 + by))
            .collect();
        if versions.iter().any(|version| version.0 < 0) {
            return Ok(());
        }
        match self.try_once(&saying, &versions).await? {
            Err(AppendError::Conflict { stream, actual }) => {
                self.check_conflict(&saying, &versions, stream, actual);
                self.append(owner, &saying).await?;
            }
            Err(AppendError::Unsettled | AppendError::Busy | AppendError::Unavailable) => {}
            answer => {
                let streams: Vec<Stream> = saying.sets.iter().map(|(stream, _)| *stream).collect();
                wrong(&format!(
                    "an append to {streams:?} on {versions:?}, off by {by}: {answer:?}"
                ));
            }
        }
        Ok(())
    }

    /// Sends an acknowledged id again, saying the same or something else.
    async fn repeat(&self, rng: &mut StdRng) -> Result<()> {
        let Some(sent) = locked(&self.recent).make_contiguous().choose(rng).cloned() else {
            return Ok(());
        };
        let owner = &self.owners[sent.owner];
        let same = rng.random_bool(0.7);
        let elsewhere = *owner.streams.choose(rng).context("a stream")?;
        let stream = if rng.random_bool(0.7) { sent.stream } else { elsewhere };
        let expected = if rng.random_bool(0.5) {
            Version(sent.version.0 - 1)
        } else {
            self.known(stream).unwrap_or_default()
        };
        let said = if same { sent.id } else { fresh() };
        let Some(fingerprint) = self.fingerprint(owner, said).await else { return Ok(()) };
        let client = Some(ClientId { id: Some(sent.id), fingerprint });
        let event = new_event(owner, SetId::new(sent.id)?, client);
        let write = Write { stream, expected, events: vec![event] };
        let append = Append { owner: owner.id, partition: owner.partition, writes: vec![write] };
        match self.log.append(append).await {
            Err(AppendError::Busy | AppendError::Unavailable | AppendError::Unsettled) => {}
            Err(AppendError::Already { id, stream, version, same: said_same })
                if (id, stream, version, said_same)
                    == (sent.id, sent.stream, sent.version, same) => {}
            answer => wrong(&format!("{} sent again was answered {answer:?}", sent.id)),
        }
        Ok(())
    }

    async fn try_once(
        &self,
        saying: &Saying<'_>,
        versions: &[Version],
    ) -> Result<Result<Position, AppendError>> {
        let owner = saying.owner;
        let mut writes = Vec::new();
        for ((stream, sets), expected) in saying.sets.iter().zip(versions) {
            let mut events = Vec::new();
            for set in sets {
                let mut client = None;
                if saying.with_ids {
                    let Some(fingerprint) = self.fingerprint(owner, set.uuid()).await else {
                        return Ok(Err(AppendError::Unavailable));
                    };
                    client = Some(ClientId { id: Some(set.uuid()), fingerprint });
                }
                events.push(new_event(owner, *set, client));
            }
            writes.push(Write { stream: *stream, expected: *expected, events });
        }
        let append = Append { owner: owner.id, partition: owner.partition, writes };
        Ok(self.log.append(append).await.map(|appended| appended.position))
    }

    async fn fingerprint(&self, owner: &Owner, said: Uuid) -> Option<[u8; 16]> {
        self.log.keys().fingerprint(owner.id, said.as_bytes()).await.ok().flatten()
    }

    /// A conflict must be with something newer, or with a decision on what is not there yet.
    fn check_conflict(
        &self,
        saying: &Saying<'_>,
        versions: &[Version],
        stream: Stream,
        actual: Version,
    ) {
        let asked = saying.sets.iter().position(|(asked, _)| *asked == stream);
        let expected = asked.map(|index| versions[index]);
        if expected.is_none_or(|expected| expected == actual) {
            wrong(&format!("a conflict of {expected:?} with {actual} in {stream}"));
        }
    }

    fn known(&self, stream: Stream) -> Option<Version> {
        locked(&self.known).get(&stream).copied()
    }

    fn learn(&self, stream: Stream, version: Version) {
        let mut known = locked(&self.known);
        let newest = known.entry(stream).or_default();
        *newest = version.max(*newest);
    }

    /// Reads what is new in a stream, and says where it is.
    async fn refresh(&self, owner: &Owner, stream: Stream) -> Option<Version> {
        let mut last = self.known(stream).unwrap_or_default();
        for stored in self.read(owner, stream, last).await? {
            if stored.id.version != last.next() {
                wrong(&format!("in {stream}, {} came after {last}", stored.id.version));
            }
            last = stored.id.version;
        }
        self.learn(stream, last);
        Some(last)
    }

    /// Nothing when the connection was cut meanwhile.
    async fn read(&self, owner: &Owner, stream: Stream, after: Version) -> Option<Vec<Stored>> {
        self.log.reader().read_stream(owner.partition, owner.id, stream, after).await.ok()
    }

    /// Tells of events that the log says it has: where they are is read.
    async fn find(&self, owner: usize, saying: &Saying<'_>) -> Result<()> {
        for (stream, sets) in &saying.sets {
            let Some(stored) = self.read(saying.owner, *stream, Version(0)).await else {
                continue;
            };
            let missing: BTreeSet<Uuid> = sets.iter().map(|set| set.uuid()).collect();
            let found =
                stored.iter().filter(|s| s.client_id.is_some_and(|id| missing.contains(&id)));
            let found: Vec<&Stored> = found.collect();
            if found.len() != sets.len() {
                wrong(&format!("{} of {} events are in {stream}", found.len(), sets.len()));
            }
            for (set, stored) in sets.iter().zip(found) {
                self.tell(owner, *set, *stream, stored.id.version, stored.position, true);
            }
        }
        Ok(())
    }

    fn acknowledged(
        &self,
        owner: usize,
        saying: &Saying<'_>,
        versions: &[Version],
        last: Position,
    ) {
        let events: usize = saying.sets.iter().map(|(_, sets)| sets.len()).sum();
        let mut position = Position(last.0 - i64::try_from(events).unwrap_or_default());
        for ((stream, sets), expected) in saying.sets.iter().zip(versions) {
            let mut version = *expected;
            for set in sets {
                (position, version) = (position.next(), version.next());
                self.tell(owner, *set, *stream, version, position, saying.with_ids);
            }
            self.learn(*stream, version);
        }
    }

    fn tell(
        &self,
        owner: usize,
        set: SetId,
        stream: Stream,
        version: Version,
        position: Position,
        with_id: bool,
    ) {
        let &Owner { id, partition, .. } = &self.owners[owner];
        let place = Place { partition, position, owner: id, stream, version };
        say(&writers::say(set, &place));
        if with_id {
            let mut recent = locked(&self.recent);
            recent.push_back(Sent { owner, id: set.uuid(), stream, version });
            if recent.len() > REMEMBERED {
                recent.pop_front();
            }
        }
    }
}

fn new_event(owner: &Owner, set_id: SetId, client: Option<ClientId>) -> NewEvent {
    let metadata = Metadata {
        occurred_at: Clock::system().now(),
        actor: Actor::Athlete(owner.id),
        on_behalf_of: None,
        channel: Channel::Api,
        device: None,
        request: None,
        correlation: fresh(),
        causation: fresh(),
    };
    NewEvent { event: Event::from(SetRemoved { set_id }), metadata, client }
}

fn fresh() -> Uuid {
    Random::system().uuid(Clock::system().now())
}

fn wrong(what: &str) {
    say(&format!("wrong {what}\n"));
}

/// A whole line at once. When nobody listens any more, the end is near anyway.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).ok();
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
