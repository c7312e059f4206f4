//! Does the log keep its promises? Appends, readers and the database's own guards, through the
//! public interface on a real Postgres.
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use events::{
    Actor, AthleteId, Channel, Epoch, Event, Metadata, Partition, Personal, Position, SetId,
    SetRemoved, Stream, Timestamp, Version, Visibility, WorkoutDetails, WorkoutId, WorkoutStarted,
};
use log::{
    Append, AppendError, Appended, ClientId, Clock, Log, NewEvent, Options, Positions, Random,
    Stored, Write,
};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};
use uuid::Uuid;

/// A log on a fresh database.
struct World {
    log: Log,
    api: log::Database,
    random: Random,
    database: testkit::Database,
}

/// An owner with a key.
#[derive(Clone, Copy)]
struct Athlete {
    id: AthleteId,
    partition: Partition,
}

impl World {
    async fn new() -> Self {
        let database = testkit::Database::fresh().await;
        let api = database.connect_api();
        let log = database.log_with(&api, &Options::default());
        Self { log, api, random: Random::system(), database }
    }

    fn uuid(&self) -> Uuid {
        self.random.uuid(now())
    }

    fn workout(&self) -> Stream {
        Stream::workout(WorkoutId::new(self.uuid()).expect("an id"))
    }

    async fn athlete(&self, partition: i16) -> Athlete {
        let id = AthleteId::new(self.uuid()).expect("an id");
        let mut transaction = self.api.pool.begin().await.expect("a transaction");
        self.log.keys().create(&mut transaction, id, now()).await.expect("a key");
        transaction.commit().await.expect("a commit");
        Athlete { id, partition: Partition(partition) }
    }

    /// The metadata of a command that was never run before.
    fn metadata(&self, athlete: Athlete) -> Metadata {
        Metadata {
            occurred_at: now(),
            actor: Actor::Athlete(athlete.id),
            on_behalf_of: None,
            channel: Channel::Api,
            device: None,
            request: None,
            correlation: self.uuid(),
            causation: self.uuid(),
        }
    }

    fn event(&self, athlete: Athlete, event: impl Into<Event>) -> NewEvent {
        NewEvent { event: event.into(), metadata: self.metadata(athlete), client: None }
    }

    /// So many events that no other append has.
    fn events(&self, athlete: Athlete, count: usize) -> Vec<NewEvent> {
        let set = || SetRemoved { set_id: SetId::new(self.uuid()).expect("an id") };
        (0..count).map(|_| self.event(athlete, set())).collect()
    }

    fn write(&self, athlete: Athlete, stream: Stream, expected: i32, count: usize) -> Write {
        Write { stream, expected: Version(expected), events: self.events(athlete, count) }
    }

    async fn append(
        &self,
        athlete: Athlete,
        stream: Stream,
        expected: i32,
        count: usize,
    ) -> Result<Appended, AppendError> {
        let write = self.write(athlete, stream, expected, count);
        self.log.append(append(athlete, vec![write])).await
    }

    /// Appends one event under a client-made id.
    async fn append_with_id(
        &self,
        athlete: Athlete,
        stream: Stream,
        expected: i32,
        id: Uuid,
        said: &str,
    ) -> Result<Appended, AppendError> {
        let keys = self.log.keys();
        let fingerprint = keys.fingerprint(athlete.id, said.as_bytes()).await.expect("a key");
        let fingerprint = fingerprint.expect("a key");
        let mut write = self.write(athlete, stream, expected, 1);
        write.events[0].client = Some(ClientId { id: Some(id), fingerprint });
        self.log.append(append(athlete, vec![write])).await
    }

    async fn read(&self, athlete: Athlete, stream: Stream) -> Vec<Stored> {
        let read = self.log.reader().read_stream(athlete.partition, athlete.id, stream, Version(0));
        read.await.expect("a stream")
    }

    async fn versions(&self, athlete: Athlete, stream: Stream) -> Vec<i32> {
        self.read(athlete, stream).await.iter().map(|stored| stored.id.version.0).collect()
    }

    /// All that is in a partition.
    async fn partition(&self, number: i16) -> Vec<Stored> {
        let after = BTreeMap::from([(Partition(number), Position(0))]);
        self.log.reader().tail(&after, 10_000).await.expect("a tail")
    }

    async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.database.owner_url()).await.expect("the owner's connection")
    }
}

fn append(athlete: Athlete, writes: Vec<Write>) -> Append {
    Append { owner: athlete.id, partition: athlete.partition, writes }
}

fn now() -> Timestamp {
    Clock::system().now()
}

fn positions(stored: &[Stored]) -> Vec<i64> {
    stored.iter().map(|stored| stored.position.0).collect()
}

fn is_conflict(result: &Result<Appended, AppendError>) -> bool {
    matches!(result, Err(AppendError::Conflict { .. }))
}

#[tokio::test]
async fn positions_are_dense_whoever_appends() {
    let world = Arc::new(World::new().await);
    let appends = (0..60).map(|number: usize| {
        let world = world.clone();
        tokio::spawn(async move {
            let athlete = world.athlete(5).await;
            let appended = world.append(athlete, world.workout(), 0, number % 4 + 1).await;
            (number % 4 + 1, appended.expect("an append"))
        })
    });
    let mut covered = Vec::new();
    for append in appends.collect::<Vec<_>>() {
        let (count, appended) = append.await.expect("a task");
        let last = appended.position.0;
        covered.extend(last - i64::try_from(count).expect("a count") + 1..=last);
    }
    covered.sort_unstable();
    assert_eq!(covered, (1..=150).collect::<Vec<i64>>());

    let stored = world.partition(5).await;
    assert_eq!(positions(&stored), covered);
    assert!(stored.is_sorted_by_key(|stored| stored.recorded_at));
    assert_eq!(world.log.reader().heads().await.expect("heads")[&Partition(5)], Position(150));
}

#[tokio::test]
async fn a_stale_version_is_a_conflict() {
    let world = World::new().await;
    let (athlete, stream) = (world.athlete(0).await, world.workout());
    world.append(athlete, stream, 0, 3).await.expect("the first append");

    let conflict = AppendError::Conflict { stream, actual: Version(3) };
    for stale in [0, 1, 2] {
        assert_eq!(world.append(athlete, stream, stale, 1).await, Err(conflict.clone()));
    }
    world.append(athlete, stream, 3, 1).await.expect("the current version");
    assert_eq!(world.versions(athlete, stream).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_version_that_is_not_there_yet_is_a_conflict() {
    let world = World::new().await;
    let (athlete, stream) = (world.athlete(0).await, world.workout());
    let ahead = world.append(athlete, stream, 7, 1).await;
    assert_eq!(ahead, Err(AppendError::Conflict { stream, actual: Version(0) }));

    world.append(athlete, stream, 0, 2).await.expect("the first append");
    for log in [world.log.clone(), world.database.log()] {
        let write = world.write(athlete, stream, 3, 1);
        let ahead = log.append(append(athlete, vec![write])).await;
        assert_eq!(ahead, Err(AppendError::Conflict { stream, actual: Version(2) }));
    }
    assert_eq!(world.versions(athlete, stream).await, [1, 2]);
}

#[tokio::test]
async fn several_streams_of_one_owner_are_all_or_nothing() {
    let world = World::new().await;
    let athlete = world.athlete(1).await;
    let (one, two) = (world.workout(), world.workout());
    world.append(athlete, two, 0, 1).await.expect("the second stream");

    let writes = vec![world.write(athlete, one, 0, 2), world.write(athlete, two, 0, 1)];
    let refused = world.log.append(append(athlete, writes)).await;
    assert_eq!(refused, Err(AppendError::Conflict { stream: two, actual: Version(1) }));
    assert!(world.read(athlete, one).await.is_empty());

    let writes = vec![world.write(athlete, one, 0, 2), world.write(athlete, two, 1, 1)];
    let appended = world.log.append(append(athlete, writes)).await.expect("both streams");
    assert_eq!(appended.position, Position(4));
    assert_eq!(positions(&world.read(athlete, one).await), [2, 3]);
    assert_eq!(positions(&world.read(athlete, two).await), [1, 4]);
}

#[tokio::test]
async fn of_appends_to_one_stream_at_the_same_moment_one_wins() {
    let world = World::new().await;
    let athlete = world.athlete(2).await;
    for _ in 0..20 {
        let stream = world.workout();
        let try_once = || world.append(athlete, stream, 0, 1);
        let (a, b, c) = tokio::join!(try_once(), try_once(), try_once());
        let results = [a, b, c];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert_eq!(results.iter().filter(|result| is_conflict(result)).count(), 2, "{results:?}");
        assert_eq!(world.versions(athlete, stream).await, [1]);
    }
}

#[tokio::test]
async fn a_client_made_id_is_recorded_once_among_those_of_its_owner() {
    let world = World::new().await;
    let (athlete, id) = (world.athlete(3).await, world.uuid());
    let (stream, elsewhere) = (world.workout(), world.workout());
    world.append(athlete, stream, 0, 4).await.expect("a beginning");
    world.append_with_id(athlete, stream, 4, id, "5 reps").await.expect("the first time");

    let already = |same| Err(AppendError::Already { id, stream, version: Version(5), same });
    // With the version as it is now, as it was then, and in another stream.
    for (stream, expected) in [(stream, 5), (stream, 4), (elsewhere, 0)] {
        let again = world.append_with_id(athlete, stream, expected, id, "5 reps").await;
        assert_eq!(again, already(true));
        let other = world.append_with_id(athlete, stream, expected, id, "6 reps").await;
        assert_eq!(other, already(false));
    }
    assert_eq!(world.partition(3).await.len(), 5);

    // In the same partition, where the same index sees both.
    let stranger = world.athlete(3).await;
    let theirs = world.append_with_id(stranger, world.workout(), 0, id, "5 reps").await;
    assert!(theirs.is_ok(), "{theirs:?}");
}

#[tokio::test]
async fn of_repetitions_at_the_same_moment_one_is_recorded() {
    let world = World::new().await;
    let athlete = world.athlete(3).await;
    for _ in 0..20 {
        let (stream, id) = (world.workout(), world.uuid());
        let try_once = || world.append_with_id(athlete, stream, 0, id, "5 reps");
        let (one, two) = tokio::join!(try_once(), try_once());
        let already = AppendError::Already { id, stream, version: Version(1), same: true };
        let ((Ok(_), Err(error)) | (Err(error), Ok(_))) = (&one, &two) else {
            panic!("one of them is the first: {one:?} {two:?}")
        };
        assert_eq!(*error, already);
    }
}

#[tokio::test]
async fn what_no_caller_should_ask_is_refused_and_harms_nobody() {
    let world = World::new().await;
    let (athlete, stream) = (world.athlete(4).await, world.workout());
    let twice = world.write(athlete, stream, 0, 1);
    let mut same_id = world.write(athlete, stream, 0, 2);
    for event in &mut same_id.events {
        event.client = Some(ClientId { id: Some(athlete.id.uuid()), fingerprint: [0; 16] });
    }
    let refused = [
        vec![],
        vec![world.write(athlete, stream, 0, 0)],
        vec![world.write(athlete, stream, 0, 1), world.write(athlete, world.workout(), 0, 0)],
        vec![world.write(athlete, stream, 0, 1001)],
        vec![world.write(athlete, stream, 0, 500), world.write(athlete, world.workout(), 0, 501)],
        vec![twice.clone(), twice],
        vec![same_id],
    ];
    for writes in refused {
        let result = world.log.append(append(athlete, writes)).await;
        assert!(matches!(result, Err(AppendError::Refused(_))), "{result:?}");
    }
    // A partition that does not exist: refused by Postgres, and only the one that asks.
    let nowhere = Athlete { partition: Partition(100), ..athlete };
    let (lost, kept) = tokio::join!(
        world.append(nowhere, world.workout(), 0, 1),
        world.append(athlete, stream, 0, 1000),
    );
    assert!(matches!(lost, Err(AppendError::Refused(_))), "{lost:?}");
    assert_eq!(kept.expect("the most that an append takes").position, Position(1000));
}

#[tokio::test]
async fn personal_fields_are_sealed_until_their_key_is_gone() {
    let world = World::new().await;
    let (athlete, stream) = (world.athlete(6).await, world.workout());
    let started = WorkoutStarted {
        details: WorkoutDetails {
            started_at: now(),
            title: Some(Personal::Clear("Leg day".to_owned())),
            notes: None,
            visibility: Visibility::Private,
        },
        imported_from: None,
        routine: None,
        plan: Vec::new(),
    };
    let write = |expected| Write {
        stream,
        expected: Version(expected),
        events: vec![world.event(athlete, started.clone())],
    };
    world.log.append(append(athlete, vec![write(0)])).await.expect("an append");

    let stored = world.read(athlete, stream).await.remove(0);
    assert!(!stored.payload.contains("Leg day"), "{}", stored.payload);
    let title = async || {
        let mut recorded = stored.decode().expect("an event");
        world.log.keys().open(recorded.event.personal_fields()).await.expect("the keys");
        let Event::WorkoutStarted(started) = recorded.event else { panic!("another event") };
        started.details.title.expect("a title")
    };
    assert_eq!(title().await, Personal::Clear("Leg day".to_owned()));

    world.log.keys().destroy(athlete.id).await.expect("the keys");
    assert_eq!(title().await, Personal::Erased);
    let after = world.log.append(append(athlete, vec![write(1)])).await;
    assert_eq!(after, Err(AppendError::Erased));
    assert_eq!(world.log.keys().fingerprint(athlete.id, b"").await.expect("the keys"), None);
}

#[tokio::test]
async fn nobody_changes_or_removes_events() {
    let world = World::new().await;
    let athlete = world.athlete(3).await;
    world.append(athlete, world.workout(), 0, 1).await.expect("an append");
    let before = world.partition(3).await;

    let mut api = PgConnection::connect(&world.database.api_url()).await.expect("a connection");
    let mut owner = world.owner().await;
    for table in ["log.events", "log.events_0_to_7"] {
        for change in ["update {} set payload = '{}'", "delete from {}", "truncate {}"] {
            let sql = change.replacen("{}", table, 1);
            for (connection, says) in [(&mut api, "permission denied"), (&mut owner, "never")] {
                let error = sqlx::query(AssertSqlSafe(sql.clone())).execute(connection).await;
                let error = error.expect_err(&sql).to_string();
                assert!(error.contains(says), "{sql}: {error}");
            }
        }
    }
    assert_eq!(world.partition(3).await, before);
}

#[tokio::test]
async fn people_read_events_by_name() {
    let world = World::new().await;
    let athlete = world.athlete(3).await;
    let workout = world.workout();
    world.append(athlete, workout, 0, 1).await.expect("an append");
    for url in [world.database.api_url(), world.database.projector_url()] {
        let mut connection = PgConnection::connect(&url).await.expect("a connection");
        let stream: String = sqlx::query_scalar(
            "select stream from log.readable where metadata ->> 'channel' = 'api'",
        )
        .fetch_one(&mut connection)
        .await
        .expect("a row");
        assert_eq!(stream, workout.to_string());
    }
}

#[tokio::test]
async fn several_partitions_are_tailed_together() {
    let world = World::new().await;
    for (partition, count) in [(0, 3), (7, 5), (15, 2)] {
        let athlete = world.athlete(partition).await;
        world.append(athlete, world.workout(), 0, count).await.expect("an append");
    }
    let after = BTreeMap::from([
        (Partition(0), Position(0)),
        (Partition(1), Position(0)),
        (Partition(7), Position(1)),
        (Partition(15), Position(2)),
    ]);
    let page = world.log.reader().tail(&after, 3).await.expect("a tail");
    let places: Vec<(i16, i64)> = page.iter().map(|s| (s.partition.0, s.position.0)).collect();
    assert_eq!(places, [(0, 1), (0, 2), (0, 3), (7, 2), (7, 3), (7, 4)]);

    let heads = world.log.reader().heads().await.expect("heads");
    assert_eq!(heads.len(), 16);
    let written: Vec<i64> = heads.values().map(|head| head.0).filter(|head| *head > 0).collect();
    assert_eq!(written, [3, 5, 2]);
}

#[tokio::test]
async fn a_stream_is_read_after_a_version() {
    let world = World::new().await;
    let (athlete, stream) = (world.athlete(8).await, world.workout());
    let write = world.write(athlete, stream, 0, 5);
    let said: Vec<Event> = write.events.iter().map(|new| new.event.clone()).collect();
    let appended = world.log.append(append(athlete, vec![write])).await.expect("an append");

    let read = async |after, owner: Athlete| {
        let read =
            world.log.reader().read_stream(athlete.partition, owner.id, stream, Version(after));
        read.await.expect("a stream")
    };
    let rest = read(3, athlete).await;
    let rest: Vec<_> = rest.iter().map(|stored| stored.decode().expect("an event")).collect();
    assert_eq!(rest.iter().map(|r| r.id.version.0).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(rest.iter().map(|r| &r.event).collect::<Vec<_>>(), [&said[3], &said[4]]);
    assert!(rest.iter().all(|recorded| recorded.epoch == appended.epoch));
    assert!(read(5, athlete).await.is_empty());
    // The stream's id alone opens nothing.
    assert!(read(0, world.athlete(8).await).await.is_empty());
}

#[tokio::test]
async fn logs_on_one_database_compete_by_the_key() {
    let world = Arc::new(World::new().await);
    let athlete = world.athlete(9).await;
    let shared = world.workout();
    let writers = (0..4).map(|_| {
        let world = world.clone();
        tokio::spawn(async move {
            let log = world.database.log();
            let mut won = 0;
            let mut known = 0;
            while won < 10 {
                let write = world.write(athlete, shared, known, 1);
                match log.append(append(athlete, vec![write])).await {
                    Ok(_) => (won, known) = (won + 1, known + 1),
                    Err(AppendError::Conflict { actual, .. }) => {
                        assert!(actual.0 > known, "at {actual}, was at {known}");
                        known = actual.0;
                    }
                    Err(error) => panic!("{error}"),
                }
                world.append(athlete, world.workout(), 0, 1).await.expect("a stream of one's own");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    assert_eq!(world.versions(athlete, shared).await, (1..=40).collect::<Vec<_>>());
    let stored = world.partition(9).await;
    let dense: Vec<i64> = (1..).take(stored.len()).collect();
    assert_eq!(positions(&stored), dense);
}

#[tokio::test]
async fn what_another_process_appended_is_no_conflict() {
    let world = World::new().await;
    let (athlete, stream) = (world.athlete(9).await, world.workout());
    let other = world.database.log();
    world.append(athlete, stream, 0, 1).await.expect("ours");
    let theirs = append(athlete, vec![world.write(athlete, stream, 1, 1)]);
    other.append(theirs).await.expect("theirs");
    // This log remembers version 1, and the caller has read version 2.
    world.append(athlete, stream, 2, 1).await.expect("ours again");
    assert_eq!(world.versions(athlete, stream).await, [1, 2, 3]);
}

#[tokio::test]
async fn an_append_wakes_the_readers_of_other_processes() {
    let world = World::new().await;
    let athlete = world.athlete(10).await;
    let other = world.database.log();
    let mut changes = other.reader().changes();
    // The first hint says that it listens now.
    changes.changed().await.expect("a listener");
    for _ in 0..3 {
        let appended = world.append(athlete, world.workout(), 0, 1).await.expect("an append");
        let mut after = BTreeMap::from([(athlete.partition, Position(appended.position.0 - 1))]);
        while after[&athlete.partition] < appended.position {
            changes.changed().await.expect("a hint");
            if let Some(last) = other.reader().tail(&after, 10).await.expect("a tail").last() {
                after.insert(last.partition, last.position);
            }
        }
    }
}

/// Ends every connection of the `api` role.
async fn kill_backends(owner: &mut PgConnection) {
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and usename = 'ironledger_test_api'",
    )
    .execute(owner)
    .await
    .expect("the owner may");
}

#[tokio::test]
async fn a_killed_backend_is_replaced() {
    let world = World::new().await;
    let (athlete, stream) = (world.athlete(11).await, world.workout());
    let mut owner = world.owner().await;
    for version in 0..5 {
        world.append(athlete, stream, version, 1).await.expect("an append");
        kill_backends(&mut owner).await;
    }
    assert_eq!(positions(&world.partition(11).await), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_backend_killed_in_the_middle_of_an_append_is_replaced() {
    let world = Arc::new(World::new().await);
    let (athlete, stream) = (world.athlete(12).await, world.workout());
    let mut owner = world.owner().await;
    // Another writer at the same position, whose end the lane must wait for.
    let mut rival = world.owner().await;
    let mut transaction = rival.begin().await.expect("a transaction");
    sqlx::query(
        "insert into log.events (partition, position, epoch, owner, stream_kind, stream_id,
             version, type, type_version, recorded_at, metadata, payload)
         values (12, 1, 1, $1, 3, $1, 1, 'SetRemoved', 1, now(), '{}', '{}')",
    )
    .bind(world.uuid())
    .execute(&mut *transaction)
    .await
    .expect("a row");
    let appending = {
        let world = world.clone();
        tokio::spawn(async move { world.append(athlete, stream, 0, 1).await })
    };
    let waiting = "select exists (select from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut owner).await.expect("a look") {
        tokio::task::yield_now().await;
    }
    kill_backends(&mut owner).await;
    transaction.rollback().await.expect("a rollback");

    let appended = appending.await.expect("a task").expect("an append");
    assert_eq!(appended.position, Position(1));
    assert_eq!(world.versions(athlete, stream).await, [1]);
}

/// Passes bytes to and from Postgres. Once `cut` is set, the next answer is swallowed and the
/// connection closed: what was asked has happened, and nobody heard of it.
async fn relay(server: PgConnectOptions, cut: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, cut) = (server.clone(), cut.clone());
            tokio::spawn(async move {
                if let Some(folder) = server.get_socket() {
                    let socket = folder.join(format!(".s.PGSQL.{}", server.get_port()));
                    pass(client, UnixStream::connect(socket).await.expect("a socket"), &cut).await;
                } else {
                    let address = (server.get_host(), server.get_port());
                    pass(client, TcpStream::connect(address).await.expect("a server"), &cut).await;
                }
            });
        }
    });
    port
}

async fn pass(client: TcpStream, server: impl AsyncRead + AsyncWrite, cut: &AtomicBool) {
    let (mut asks, mut hears) = client.into_split();
    let (mut answers, mut asked) = tokio::io::split(server);
    let there = tokio::io::copy(&mut asks, &mut asked);
    let back = async {
        let mut bytes = [0; 8192];
        while let Ok(count @ 1..) = answers.read(&mut bytes).await {
            if cut.swap(false, Ordering::SeqCst) {
                return;
            }
            if hears.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { _ = there => (), () = back => () }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_settled_by_reading() {
    let world = World::new().await;
    let athlete = world.athlete(13).await;
    let cut = Arc::new(AtomicBool::new(false));
    let server: PgConnectOptions = world.database.api_url().parse().expect("an address");
    let port = relay(server.clone(), cut.clone()).await;
    let through = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(server.get_username())
        .password("test")
        .database(server.get_database().expect("a name"));
    let pool = PgPoolOptions::new().connect_lazy_with(world.api.direct.clone());
    let log =
        world.database.log_with(&log::Database { pool, direct: through }, &Options::default());

    let (one, two) = (world.workout(), world.workout());
    for round in 0..5 {
        // After this the insert is prepared, so that the next answer is that of a commit.
        let first = world.write(athlete, one, 3 * round, 1);
        log.append(append(athlete, vec![first])).await.expect("an append");
        cut.store(true, Ordering::SeqCst);
        let writes =
            vec![world.write(athlete, one, 3 * round + 1, 2), world.write(athlete, two, round, 1)];
        let appended = log.append(append(athlete, writes)).await.expect("a settled append");
        assert!(!cut.load(Ordering::SeqCst), "an answer was lost");
        assert_eq!(appended.position.0, i64::from(4 * (round + 1)));
    }
    assert_eq!(world.versions(athlete, one).await, (1..=15).collect::<Vec<_>>());
    assert_eq!(world.versions(athlete, two).await, (1..=5).collect::<Vec<_>>());
}

#[tokio::test]
async fn tokens_carry_the_epoch() {
    let world = World::new().await;
    let athlete = world.athlete(14).await;
    let epoch = world.log.reader().epoch().await.expect("an epoch");
    let appended = world.append(athlete, world.workout(), 0, 2).await.expect("an append");
    assert_eq!((appended.epoch, appended.partition), (epoch, athlete.partition));
    let token = Positions::one(appended.epoch, appended.partition, appended.position).to_string();
    let positions: Positions = token.parse().expect("a token");
    assert_eq!(positions.epoch, epoch);
    assert!(world.partition(14).await.iter().all(|stored| stored.epoch == epoch));

    // A restore begins another line of history, which processes started afterwards are on.
    let next = Epoch(epoch.0 + 1);
    sqlx::query("insert into log.epochs (epoch, reason) values ($1, 'restored')")
        .bind(next.0)
        .execute(&mut world.owner().await)
        .await
        .expect("the owner may");
    let restarted = world.database.log();
    assert_eq!(restarted.reader().epoch().await.expect("an epoch"), next);
    let write = world.write(athlete, world.workout(), 0, 1);
    let appended = restarted.append(append(athlete, vec![write])).await.expect("an append");
    assert_eq!((appended.epoch, appended.position), (next, Position(3)));
}
