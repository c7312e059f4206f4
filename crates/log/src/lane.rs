//! Group commit: one task gathers the appends of many callers and writes them in one statement.
//!
//! The primary key `(partition, position)` is the compare-and-swap. A lane remembers the last
//! position of its partitions and inserts at the next ones. If the insert succeeds, nobody else
//! appended meanwhile, so the versions it remembered were current; if anybody did, the key exists
//! and the statement fails whole, whereupon the lane reads what is true and decides again.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};

use events::{AthleteId, Epoch, Partition, Position, Stream, Timestamp, Version};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor, PgConnection};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    AppendError, Appended, ClientId, Clock, Database, Keep, Options,
    append::table_of,
    columns::{Answers, Columns},
    truth::{self, Truth},
    wake::Wake,
};

/// Versions of this many streams are remembered; then all are forgotten, which costs nothing but
/// a later detection of conflicts.
const REMEMBERED_STREAMS: usize = 65_536;

/// Who was beaten so often in a row takes turns with others like that: under optimism alone, the
/// slower of two writers may lose for ever.
const MOST_DEFEATS: u32 = 3;

/// Of one statement, about: no message to Postgres is longer than its limit of 1 GB.
const MOST_KILOBYTES: usize = 16 * 1024;

/// Any number: whoever takes turns holds the locks of that number and of the tables.
const TURNS_LOCK: i32 = 0x1203;

/// A statement that takes longer has lost its connection.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(35);

/// An append, encoded.
pub(crate) struct Request {
    pub(crate) owner: AthleteId,
    pub(crate) partition: Partition,
    pub(crate) writes: Vec<Write>,
    /// The answer to keep, sealed.
    pub(crate) keep: Option<Keep>,
    /// Somebody else may have appended it before, and nobody knows.
    pub(crate) in_doubt: bool,
    pub(crate) reply: Reply,
    /// What it takes of the memory that appends may take, until it is answered.
    pub(crate) room: OwnedSemaphorePermit,
}

/// Who waits for the outcome.
pub(crate) enum Reply {
    Here(oneshot::Sender<Result<Appended, AppendError>>),
    Peer { number: u64, answers: mpsc::UnboundedSender<(u64, Result<Appended, AppendError>)> },
}

impl Reply {
    pub(crate) fn send(self, answer: Result<Appended, AppendError>) {
        // A caller that no longer listens will read the truth when it comes back.
        match self {
            Self::Here(caller) => drop(caller.send(answer)),
            Self::Peer { number, answers } => drop(answers.send((number, answer))),
        }
    }
}

/// Rows for one stream.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) stream: Stream,
    pub(crate) expected: Version,
    pub(crate) rows: Vec<Row>,
}

/// An event as it will be stored, but for its place.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: Cow<'static, str>,
    pub(crate) type_version: i16,
    pub(crate) client: Option<ClientId>,
    pub(crate) metadata: String,
    pub(crate) payload: String,
}

pub(crate) type StreamKey = (AthleteId, Stream);
pub(crate) type ClientKey = (AthleteId, Uuid);
/// Owner, actor, hash of an idempotency key.
pub(crate) type AnswerKey = (AthleteId, Uuid, [u8; 16]);

pub(crate) struct Lane {
    database: Database,
    connection: Option<PgConnection>,
    clock: Clock,
    wake: Wake,
    options: Options,
    epoch: Epoch,
    heads: HashMap<Partition, Position>,
    versions: HashMap<StreamKey, Version>,
    last_recorded_at: Option<Timestamp>,
}

/// Why an insert did not happen, or may not have.
enum Failure {
    /// Somebody else was faster, or an id or version was used before.
    Taken,
    /// The connection is gone, or Postgres asks to try again.
    Broken,
    /// Postgres refuses this very data.
    Data(sqlx::Error),
}

impl Lane {
    /// Starts the task; it ends when all senders are gone and what they sent is settled.
    pub(crate) fn start(
        database: Database,
        clock: Clock,
        wake: Wake,
        options: &Options,
    ) -> mpsc::Sender<Request> {
        let (sender, mut requests) = mpsc::channel::<Request>(options.queue.max(1));
        let mut lane = Self {
            database,
            connection: None,
            clock,
            wake,
            options: options.clone(),
            epoch: Epoch(0),
            heads: HashMap::new(),
            versions: HashMap::new(),
            last_recorded_at: None,
        };
        tokio::spawn(async move {
            while let Some(first) = requests.recv().await {
                // No added wait when idle; when busy, what gathered during the last commit goes
                // together.
                let (mut events, mut kilobytes) = (first.events(), first.room.num_permits());
                let mut batch = VecDeque::from([first]);
                while events < lane.options.batch
                    && kilobytes < MOST_KILOBYTES
                    && let Ok(next) = requests.try_recv()
                {
                    events += next.events();
                    kilobytes += next.room.num_permits();
                    batch.push_back(next);
                }
                lane.settle(batch).await;
                let_others_queue(&requests, lane.options.batch).await;
            }
        });
        sender
    }

    /// Brings every append of a batch to its end.
    async fn settle(&mut self, mut batch: VecDeque<Request>) {
        let deadline = Instant::now() + self.options.patience;
        // Whether a statement was sent whose end nobody saw.
        let mut doubtful = batch.iter().any(|request| request.in_doubt);
        // What the log itself says: asked after a failure only.
        let mut truth = doubtful.then(Truth::default);
        // How often in a row others were faster.
        let mut defeats = 0;
        let mut pause = Duration::from_millis(1);
        while !batch.is_empty() {
            let contended = defeats >= MOST_DEFEATS;
            let prepare = async {
                self.connect().await?;
                if contended {
                    self.take_turns(&batch).await?;
                }
                self.prepare(&batch, &mut truth, doubtful).await
            };
            let prepared =
                timeout(STATEMENT_TIMEOUT, prepare).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
            let failure = match prepared {
                Err(error) => {
                    tracing::warn!(%error, "the log cannot be reached");
                    self.connection = None;
                    Failure::Broken
                }
                Ok(()) => {
                    let plan = self.decide(batch, truth.as_ref());
                    match self.insert(&plan, contended).await {
                        Ok(recorded_at) => {
                            defeats = 0;
                            self.committed(plan.taken, recorded_at);
                            // Those that waited for one of their own batch find it on the log.
                            batch = plan.later;
                            truth = Some(Truth::default());
                            doubtful = batch.iter().any(|request| request.in_doubt);
                            continue;
                        }
                        Err(failure) => {
                            doubtful |= matches!(failure, Failure::Broken);
                            let taken = plan.taken.into_iter().map(|taken| taken.request);
                            batch = taken.chain(plan.later).collect();
                            failure
                        }
                    }
                }
            };
            match failure {
                Failure::Taken => defeats += 1,
                Failure::Broken => self.connection = None,
                Failure::Data(error) if batch.len() == 1 => {
                    tracing::error!(%error, "the log refused an append");
                    return answer_all(
                        batch,
                        &AppendError::Refused("the log refused the event".into()),
                    );
                }
                // Singly, so that one bad append fails alone.
                Failure::Data(_) => {
                    for mut request in batch {
                        request.in_doubt |= doubtful;
                        Box::pin(self.settle(VecDeque::from([request]))).await;
                    }
                    return;
                }
            }
            truth = Some(Truth::default());
            if Instant::now() >= deadline {
                let error = match (doubtful, self.connection.is_some()) {
                    (true, _) => AppendError::Unsettled,
                    (false, true) => AppendError::Busy,
                    (false, false) => AppendError::Unavailable,
                };
                return answer_all(batch, &error);
            }
            // Several writers of one partition take turns by chance. The clock's digits are
            // chance enough, and no secret depends on them.
            let jitter = self.clock.now().utc().timestamp_subsec_micros() % 1000;
            sleep(pause + Duration::from_micros(u64::from(jitter))).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    async fn connect(&mut self) -> Result<(), sqlx::Error> {
        if self.connection.is_none() {
            let connect = PgConnection::connect_with(&self.database.direct);
            let mut connection = timeout(Duration::from_secs(5), connect)
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)??;
            let epoch = sqlx::query_scalar!(r#"select max(epoch) as "epoch!" from log.epochs"#)
                .fetch_one(&mut connection)
                .await?;
            self.epoch = Epoch(epoch);
            self.connection = Some(connection);
            self.heads.clear();
            self.versions.clear();
        }
        Ok(())
    }

    /// Begins a transaction in which nobody else who was beaten so often writes the tables of the
    /// batch. Whoever was not may still be faster, and takes its turn when it is beaten.
    async fn take_turns(&mut self, batch: &VecDeque<Request>) -> Result<(), sqlx::Error> {
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        let tables: BTreeSet<i32> = batch
            .iter()
            .filter_map(|request| i32::try_from(table_of(request.partition)).ok())
            .collect();
        connection
            .execute(
                "begin;
                 set local lock_timeout = '2s';
                 set local idle_in_transaction_session_timeout = '2s'",
            )
            .await?;
        // In one order, so that two never wait for each other.
        for table in tables {
            sqlx::query("select pg_advisory_xact_lock($1, $2)")
                .bind(TURNS_LOCK)
                .bind(table)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    /// Reads what the batch must know before it can be decided.
    async fn prepare(
        &mut self,
        batch: &VecDeque<Request>,
        truth: &mut Option<Truth>,
        doubtful: bool,
    ) -> Result<(), sqlx::Error> {
        let unknown: Vec<(Partition, StreamKey)> = batch
            .iter()
            .flat_map(|request| request.writes.iter().map(move |write| (request, write)))
            .filter(|(request, write)| self.is_unknown((request.owner, write.stream), write))
            .map(|(request, write)| (request.partition, (request.owner, write.stream)))
            .collect();
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        let strangers = batch.iter().any(|request| !self.heads.contains_key(&request.partition));
        if truth.is_some() {
            self.heads.clear();
            self.versions.clear();
        }
        // Heads before versions: what is appended between the two makes the statement fail.
        if strangers || truth.is_some() {
            let partitions: Vec<i16> = batch.iter().map(|request| request.partition.0).collect();
            for (partition, position, recorded_at) in truth::heads(connection, &partitions).await? {
                self.heads.insert(partition, position);
                // Another process' clock may be ahead of ours.
                self.last_recorded_at = self.last_recorded_at.max(recorded_at);
            }
        }
        if truth.is_some() {
            *truth = Some(truth::read(connection, batch, doubtful).await?);
            return Ok(());
        }
        if !unknown.is_empty() {
            let versions = truth::versions(connection, &unknown).await?;
            self.versions.extend(unknown.into_iter().map(|(_, key)| key).zip(versions));
        }
        // A command sent again comes with the version it saw then: before it is a conflict, it is
        // a repetition.
        let stale = batch.iter().filter(|request| {
            let known = |write: &Write| self.versions.get(&(request.owner, write.stream));
            request.writes.iter().any(|w| known(w).is_some_and(|known| *known != w.expected))
        });
        if stale.clone().any(|request| request.client_ids().next().is_some()) {
            let clients = truth::clients(connection, stale).await?;
            *truth = Some(Truth { clients, ..Truth::default() });
        }
        Ok(())
    }

    /// Whether memory cannot say that the stream is where the caller saw it: nobody remembers it,
    /// or the caller saw more, since other processes append too. That a stream is new needs no
    /// reading: if it is not, the index on streams makes the statement fail.
    fn is_unknown(&self, key: StreamKey, write: &Write) -> bool {
        write.expected != Version(0)
            && self.versions.get(&key).is_none_or(|known| *known < write.expected)
    }

    /// Decides in arrival order. Those that lose are answered here.
    fn decide(&self, batch: VecDeque<Request>, truth: Option<&Truth>) -> Plan {
        let mut plan = Plan::default();
        for (index, request) in batch.into_iter().enumerate() {
            match self.verdict(index, &request, truth, &plan) {
                Verdict::Answer(answer) => request.answer(answer),
                Verdict::Later => plan.later.push_back(request),
                Verdict::Take => plan.take(request, &self.heads),
            }
        }
        // Every partition's rows in the order of their positions: arrival order is that already.
        plan.taken.sort_by_key(|taken| taken.request.partition);
        plan
    }

    /// Own earlier tries first, then idempotency keys, then client-made ids, then versions.
    fn verdict(
        &self,
        index: usize,
        request: &Request,
        truth: Option<&Truth>,
        plan: &Plan,
    ) -> Verdict {
        let owner = request.owner;
        if let Some(position) = truth.and_then(|truth| truth.mine.get(&index)) {
            let (epoch, partition) = (self.epoch, request.partition);
            return Verdict::Answer(Ok(Appended { epoch, partition, position: *position }));
        }
        if let Some(key) = request.answer_key() {
            if plan.answers.contains(&key) {
                return Verdict::Later;
            }
            if truth.is_some_and(|truth| truth.answers.contains(&key)) {
                return Verdict::Answer(Err(AppendError::KeyUsed));
            }
        }
        for id in request.client_ids() {
            // Whether the other one gets through is not known yet.
            if plan.clients.contains(&(owner, id)) {
                return Verdict::Later;
            }
            if let Some(recorded) = truth.and_then(|truth| truth.clients.get(&(owner, id))) {
                let same = request.fingerprint_of(id) == Some(recorded.fingerprint);
                let (stream, version) = (recorded.stream, recorded.version);
                return Verdict::Answer(Err(AppendError::Already { id, stream, version, same }));
            }
        }
        for write in &request.writes {
            let key = (owner, write.stream);
            if let Some(version) = plan.versions.get(&key) {
                if *version != write.expected {
                    return Verdict::Later;
                }
                continue;
            }
            // One that nobody remembers is new, or the index on streams makes the statement fail.
            let known = truth.and_then(|truth| truth.versions.get(&key));
            if let Some(actual) = known.or_else(|| self.versions.get(&key)).copied()
                && actual != write.expected
            {
                let stream = write.stream;
                return Verdict::Answer(Err(AppendError::Conflict { stream, actual }));
            }
        }
        Verdict::Take
    }

    /// One statement for the whole plan, which commits by itself or with the turn that was taken.
    async fn insert(&mut self, plan: &Plan, contended: bool) -> Result<Timestamp, Failure> {
        let began = Instant::now();
        let inserted = self.insert_rows(plan).await;
        if contended {
            let Some(connection) = self.connection.as_mut() else { return Err(Failure::Broken) };
            let end = if inserted.is_ok() { "commit" } else { "rollback" };
            match timeout(STATEMENT_TIMEOUT, connection.execute(end)).await {
                Ok(Ok(_)) => {}
                // Nobody knows where the transaction stands: the next one begins on a new connection.
                Ok(Err(_)) | Err(_) => {
                    self.connection = None;
                    return inserted.and(Err(Failure::Broken));
                }
            }
        }
        if inserted.is_ok() && !plan.taken.is_empty() {
            let events: usize = plan.taken.iter().map(|taken| taken.request.events()).sum();
            metrics::histogram!("append_batch_size").record(events as f64);
            metrics::histogram!("append_duration_seconds").record(began.elapsed());
        }
        inserted
    }

    async fn insert_rows(&mut self, plan: &Plan) -> Result<Timestamp, Failure> {
        let now = self.clock.now();
        let recorded_at = self.last_recorded_at.map_or(now, |last| last.max(now));
        if plan.taken.is_empty() {
            return Ok(recorded_at);
        }
        let columns = Columns::of(plan);
        let answers = Answers::of(plan);
        let Some(connection) = self.connection.as_mut() else { return Err(Failure::Broken) };
        /// The events of the plan, after what else the same statement does. Arrays in the list are
        /// taken element by element; in `from`, each would first be written to a store of its own.
        macro_rules! insert {
            ($with:literal $(, $more:expr)*) => {
                sqlx::query!(
                    $with
                        + " insert into log.events (partition, position, epoch, owner, stream_kind,
                 stream_id, version, type, type_version, recorded_at, client_id, fingerprint, metadata,
                 payload)
             select unnest($1::smallint[]), unnest($2::bigint[]), $12, unnest($3::uuid[]),
                 unnest($4::smallint[]), unnest($5::uuid[]), unnest($6::integer[]),
                 unnest($7::text[]), unnest($8::smallint[]), $13, unnest($9::uuid[]),
                 unnest($10::bytea[]), unnest($11::text[]), unnest($14::text[])",
                    &columns.partition,
                    &columns.position,
                    &columns.owner,
                    &columns.stream_kind,
                    &columns.stream_id,
                    &columns.version,
                    &columns.name as &[&str],
                    &columns.type_version,
                    &columns.client_id as &[Option<Uuid>],
                    &columns.fingerprint as &[Option<&[u8]>],
                    &columns.metadata as &[&str],
                    self.epoch.0,
                    recorded_at.utc(),
                    &columns.payload as &[&str]
                    $(, $more)*
                )
                .execute(connection)
            };
        }
        // The table of answers is not opened for a plan that has none.
        let inserted = if answers.owner.is_empty() {
            timeout(STATEMENT_TIMEOUT, insert!("")).await
        } else {
            let insert = insert!(
                "with kept as (
                 insert into log.kept_answers (owner, actor, key, said, kept_at, partition,
                     position, epoch, answer)
                 select unnest($15::uuid[]), unnest($16::uuid[]), unnest($17::bytea[]),
                     unnest($18::bytea[]), $13, unnest($19::smallint[]), unnest($20::bigint[]),
                     $12, unnest($21::bytea[])
             )",
                &answers.owner,
                &answers.actor,
                &answers.key as &[&[u8]],
                &answers.said as &[&[u8]],
                &answers.partition,
                &answers.position,
                &answers.answer as &[&[u8]]
            );
            timeout(STATEMENT_TIMEOUT, insert).await
        };
        match inserted {
            Ok(Ok(_)) => Ok(recorded_at),
            Ok(Err(error)) => Err(Failure::from(error)),
            Err(_) => Err(Failure::Broken),
        }
    }

    /// The statement has committed: only now does memory advance and anybody hear of it.
    fn committed(&mut self, taken: Vec<Taken>, recorded_at: Timestamp) {
        self.last_recorded_at = Some(recorded_at);
        if self.versions.len() > REMEMBERED_STREAMS {
            self.versions.clear();
        }
        let appended = !taken.is_empty();
        for Taken { last, request, .. } in taken {
            self.heads.insert(request.partition, last);
            for write in &request.writes {
                self.versions.insert((request.owner, write.stream), write.last_version());
            }
            let (epoch, partition) = (self.epoch, request.partition);
            request.answer(Ok(Appended { epoch, partition, position: last }));
        }
        if appended {
            self.wake.call();
        }
    }
}

/// Gives way for as long as that brings more appends: whoever was just answered may append again,
/// and what goes together costs less. No clock is waited for, so that nobody waits when nobody else
/// has anything to do.
async fn let_others_queue(requests: &mpsc::Receiver<Request>, enough: usize) {
    let mut waiting = None;
    while waiting != Some(requests.len()) && requests.len() < enough {
        waiting = Some(requests.len());
        yield_now().await;
    }
}

/// What becomes of one append.
enum Verdict {
    Take,
    /// It depends on another append of the same batch.
    Later,
    Answer(Result<Appended, AppendError>),
}

/// What a batch comes to.
#[derive(Default)]
pub(crate) struct Plan {
    /// To be inserted now.
    pub(crate) taken: Vec<Taken>,
    /// To be decided once these are settled.
    later: VecDeque<Request>,
    /// Where partitions, streams and client-made ids will be once this is inserted.
    heads: HashMap<Partition, Position>,
    versions: HashMap<StreamKey, Version>,
    clients: HashSet<ClientKey>,
    answers: HashSet<AnswerKey>,
}

impl Plan {
    fn take(&mut self, request: Request, heads: &HashMap<Partition, Position>) {
        let head = self
            .heads
            .entry(request.partition)
            .or_insert_with(|| heads.get(&request.partition).copied().unwrap_or_default());
        let before = *head;
        head.0 += i64::try_from(request.events()).unwrap_or(i64::MAX);
        let last = *head;
        for write in &request.writes {
            self.versions.insert((request.owner, write.stream), write.last_version());
        }
        self.clients.extend(request.client_ids().map(|id| (request.owner, id)));
        self.answers.extend(request.answer_key());
        self.taken.push(Taken { before, last, request });
    }
}

/// An append with its place: after position `before`, up to and with position `last`.
pub(crate) struct Taken {
    pub(crate) before: Position,
    pub(crate) last: Position,
    pub(crate) request: Request,
}

impl Write {
    /// The version of the stream once the rows are there.
    pub(crate) fn last_version(&self) -> Version {
        Version(self.expected.0 + i32::try_from(self.rows.len()).unwrap_or(i32::MAX))
    }
}

impl Request {
    pub(crate) fn events(&self) -> usize {
        self.writes.iter().map(|write| write.rows.len()).sum()
    }

    fn clients(&self) -> impl Iterator<Item = &ClientId> {
        self.writes.iter().flat_map(|write| &write.rows).filter_map(|row| row.client.as_ref())
    }

    pub(crate) fn client_ids(&self) -> impl Iterator<Item = Uuid> {
        self.clients().filter_map(|client| client.id)
    }

    pub(crate) fn answer_key(&self) -> Option<AnswerKey> {
        self.keep.as_ref().map(|keep| (self.owner, keep.key.actor, keep.key.key))
    }

    fn fingerprint_of(&self, id: Uuid) -> Option<[u8; 16]> {
        self.clients().find(|client| client.id == Some(id)).map(|client| client.fingerprint)
    }

    pub(crate) fn answer(self, answer: Result<Appended, AppendError>) {
        self.reply.send(answer);
    }
}

fn answer_all(batch: VecDeque<Request>, error: &AppendError) {
    for request in batch {
        request.answer(Err(error.clone()));
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let Some(code) = error.as_database_error().and_then(|error| error.code()) else {
            return match error {
                sqlx::Error::Encode(_) => Self::Data(error),
                _ => Self::Broken,
            };
        };
        match code.as_ref() {
            "23505" => Self::Taken,
            // Class 22 and 23: this data, and no other time, is the trouble.
            code if code.starts_with("22") || code.starts_with("23") => Self::Data(error),
            // 40 serialization and deadlock, 53 resources, 55 locks, 57 shutdown and time-out, 08
            // connection, and whatever else: a new connection and another look settle it.
            _ => {
                tracing::warn!(%error, "an append will be tried again");
                Self::Broken
            }
        }
    }
}
