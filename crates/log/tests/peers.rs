//! Do several processes append to one log as one would, and does one go on without the others?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use events::{
    Actor, AthleteId, Channel, Metadata, Partition, SetId, SetRemoved, Stream, Timestamp, Version,
    WorkoutId,
};
use log::{Append, AppendError, ClientId, Clock, Log, NewEvent, Options, Random, Write};
use sqlx::{Connection, PgConnection};
use testkit::eventually;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn now() -> Timestamp {
    Clock::system().now()
}

fn fresh() -> Uuid {
    Random::system().uuid(now())
}

#[derive(Clone, Copy)]
struct Athlete {
    id: AthleteId,
    partition: Partition,
}

async fn athletes(database: &testkit::Database, partitions: &[i16]) -> Vec<Athlete> {
    let log = database.log();
    let mut connection = PgConnection::connect(&database.api_url()).await.expect("a connection");
    let mut all = Vec::new();
    for partition in partitions {
        let id = AthleteId::new(fresh()).expect("an id");
        log.keys().create(&mut connection, id, now()).await.expect("a key");
        all.push(Athlete { id, partition: Partition(*partition) });
    }
    all
}

/// One event with a client-made id, on a stream that is at a version.
fn append(athlete: Athlete, stream: Stream, expected: i32, id: Uuid) -> Append {
    let metadata = Metadata {
        occurred_at: now(),
        actor: Actor::Athlete(athlete.id),
        on_behalf_of: None,
        channel: Channel::Api,
        device: None,
        request: None,
        correlation: fresh(),
        causation: fresh(),
    };
    let event = SetRemoved { set_id: SetId::new(id).expect("an id") }.into();
    let client = Some(ClientId { id: Some(id), fingerprint: [1; 16] });
    let events = vec![NewEvent { event, metadata, client }];
    let writes = vec![Write { stream, expected: Version(expected), events }];
    Append { owner: athlete.id, partition: athlete.partition, writes }
}

fn workout() -> Stream {
    Stream::workout(WorkoutId::new(fresh()).expect("an id"))
}

/// A process of its own, as far as the log can tell: pool, lanes, leases, listener.
struct Peer {
    log: Log,
    sharing: JoinHandle<()>,
    stop: CancellationToken,
}

async fn peer(database: &testkit::Database) -> Peer {
    let log = database.log();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let stop = CancellationToken::new();
    let (sharing, stopped) = (log.clone(), stop.clone());
    let sharing = tokio::spawn(async move {
        sharing.share(listener, address, &Random::system(), stopped).await;
    });
    Peer { log, sharing, stop }
}

async fn leases(database: &testkit::Database) -> BTreeMap<i16, Uuid> {
    let mut owner = PgConnection::connect(&database.owner_url()).await.expect("a connection");
    sqlx::query_as("select number, holder from log.leases where work = 'append'")
        .fetch_all(&mut owner)
        .await
        .expect("the leases")
        .into_iter()
        .collect()
}

/// Ten events for every athlete, each through the processes in turn; answers the ids.
async fn train(peers: &[&Peer], athletes: &[Athlete]) -> BTreeSet<Uuid> {
    let mut all = JoinSet::new();
    for athlete in athletes.iter().copied() {
        let logs: Vec<Log> = peers.iter().map(|peer| peer.log.clone()).collect();
        all.spawn(async move {
            let (stream, mut ids) = (workout(), Vec::new());
            for version in 0..10 {
                let id = fresh();
                let log = &logs[version as usize % logs.len()];
                log.append(append(athlete, stream, version, id)).await.expect("an append");
                ids.push(id);
            }
            ids
        });
    }
    all.join_all().await.into_iter().flatten().collect()
}

async fn recorded(database: &testkit::Database) -> Vec<Uuid> {
    let mut owner = PgConnection::connect(&database.owner_url()).await.expect("a connection");
    sqlx::query_scalar("select client_id from log.events order by client_id")
        .fetch_all(&mut owner)
        .await
        .expect("the events")
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_the_tables_and_append_for_one_another() {
    let database = testkit::Database::fresh().await;
    let athletes = athletes(&database, &(0..16).collect::<Vec<i16>>()).await;
    let (one, two) = (peer(&database).await, peer(&database).await);
    let shared = async || {
        let leases = leases(&database).await;
        let holders: BTreeSet<Uuid> = leases.values().copied().collect();
        (leases.len() == 2 && holders.len() == 2).then_some(())
    };
    eventually("a table for each", shared).await;
    // Routes follow the leases within a second.
    sleep(Duration::from_secs(2)).await;
    let mut ids = train(&[&one, &two], &athletes).await;

    // Forwarded or not, an answer is the same.
    let (athlete, stream, id) = (athletes[0], workout(), fresh());
    for log in [&one.log, &two.log] {
        let first = log.append(append(athlete, stream, 0, id)).await;
        assert!(
            matches!(&first, Ok(_) | Err(AppendError::Already { same: true, .. })),
            "{first:?}"
        );
        let conflict = log.append(append(athlete, stream, 7, fresh())).await;
        assert!(matches!(conflict, Err(AppendError::Conflict { .. })), "{conflict:?}");
    }
    ids.insert(id);
    assert_eq!(recorded(&database).await, ids.iter().copied().collect::<Vec<_>>());

    // One stops in good order: the other has everything at its next look.
    two.stop.cancel();
    two.sharing.await.expect("an end");
    eventually("all tables in one hand", async || {
        let leases = leases(&database).await;
        (leases.len() == 2 && leases.values().collect::<BTreeSet<_>>().len() == 1).then_some(())
    })
    .await;
    train(&[&one], &athletes).await;
    one.stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_vanishes_costs_less_than_five_seconds() {
    let database = testkit::Database::fresh().await;
    let athletes = athletes(&database, &[1, 9, 3, 12]).await;
    let (one, two) = (peer(&database).await, peer(&database).await);
    eventually("a table for each", async || {
        (leases(&database).await.values().collect::<BTreeSet<_>>().len() == 2).then_some(())
    })
    .await;
    sleep(Duration::from_secs(2)).await;
    train(&[&one, &two], &athletes).await;
    // Without a word: its leases stay until they run out.
    two.sharing.abort();
    let began = Instant::now();
    train(&[&one], &athletes).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    one.stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_without_leases_compete_and_nobody_starves() {
    let database = testkit::Database::fresh().await;
    let athletes = athletes(&database, &[5; 12]).await;
    let options = Options { patience: Duration::from_secs(20), ..Options::default() };
    let mut all = JoinSet::new();
    for turn in 0..6 {
        let log = database.log_with(&database.connect_api(), &options);
        for athlete in athletes.iter().skip(turn).step_by(6).copied() {
            let log = log.clone();
            all.spawn(async move {
                let stream = workout();
                for version in 0..40 {
                    let appended = log.append(append(athlete, stream, version, fresh())).await;
                    appended.expect("an append");
                }
            });
        }
    }
    all.join_all().await;
    let heads = database.log().reader().heads().await.expect("the heads");
    assert_eq!(heads[&Partition(5)].0, 12 * 40);
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let database = testkit::Database::fresh().await;
    let log = database.log();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let (sharing, stopped) = (log.clone(), stop.clone());
    tokio::spawn(async move {
        sharing.share(listener, address.to_string(), &Random::system(), stopped).await;
    });
    let mut stranger = tokio::net::TcpStream::connect(address).await.expect("a connection");
    stranger.write_all(&[0; 16]).await.expect("a nonce");
    let mut challenge = [0; 48];
    stranger.read_exact(&mut challenge).await.expect("a challenge");
    // What the listener said, said back: the roles are told apart.
    stranger.write_all(&challenge[16..]).await.expect("a proof");
    stranger.write_all(&[0, 0, 0, 1, 0]).await.ok();
    let end = stranger.read(&mut [0; 1]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    stop.cancel();
}
