//! What becomes of appends when more come than Postgres takes?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use events::{
    Actor, AthleteId, Channel, Event, Metadata, Partition, SetId, SetRemoved, Stream, Version,
    WorkoutId,
};
use log::{Append, AppendError, Appended, Clock, Log, NewEvent, Options, Write};
use sqlx::{Connection, PgConnection};
use testkit::{Database, eventually, new_id};
use tokio::{task::JoinHandle, time::timeout};

/// A log whose only writer is held up by a lock on the table.
struct World {
    log: Log,
    athlete: AthleteId,
    holder: PgConnection,
    watcher: PgConnection,
    database: Database,
}

impl World {
    async fn new(options: Options) -> Self {
        let database = Database::fresh().await;
        let api = database.connect_api();
        let log = database.log_with(&api, &Options { lanes: 1, ..options });
        let athlete = AthleteId::new(new_id()).expect("an id");
        let mut transaction = api.pool.begin().await.expect("a transaction");
        let now = Clock::system().now();
        log.keys().create(&mut transaction, athlete, now).await.expect("a key");
        transaction.commit().await.expect("a commit");
        let owner = async || PgConnection::connect(&database.owner_url()).await.expect("the owner");
        let (holder, watcher) = (owner().await, owner().await);
        let mut world = Self { log, athlete, holder, watcher, database };
        // The writer connects and reads before it inserts, which the lock would hold up too.
        world.spawn(1).await.expect("a task").expect("an append");
        let hold = "begin; lock table log.events_0_to_7 in share mode";
        sqlx::raw_sql(hold).execute(&mut world.holder).await.expect("a lock");
        world
    }

    /// Appends so many events to a new stream.
    fn spawn(&self, events: usize) -> JoinHandle<Result<Appended, AppendError>> {
        let (log, athlete) = (self.log.clone(), self.athlete);
        let metadata = Metadata {
            occurred_at: Clock::system().now(),
            actor: Actor::Athlete(athlete),
            on_behalf_of: None,
            channel: Channel::Api,
            device: None,
            request: None,
            correlation: new_id(),
            causation: new_id(),
        };
        let event = || {
            let removed = SetRemoved { set_id: SetId::new(new_id()).expect("an id") };
            NewEvent { event: Event::from(removed), metadata: metadata.clone(), client: None }
        };
        let write = Write {
            stream: Stream::workout(WorkoutId::new(new_id()).expect("an id")),
            expected: Version(0),
            events: (0..events).map(|_| event()).collect(),
        };
        let append = Append { owner: athlete, partition: Partition(0), writes: vec![write] };
        tokio::spawn(async move { log.append(append).await })
    }

    /// Waits until an insert waits for the lock.
    async fn is_held_up(&mut self) {
        eventually("an insert that waits", async || {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_locks where not granted
                 and database = (select oid from pg_database where datname = current_database())",
            )
            .fetch_one(&mut self.watcher)
            .await
            .expect("a count");
            (waiting > 0).then_some(())
        })
        .await;
    }

    async fn let_go(&mut self) {
        sqlx::raw_sql("commit").execute(&mut self.holder).await.expect("a commit");
    }

    async fn stored(&mut self) -> i64 {
        sqlx::query_scalar("select count(*) from log.events")
            .fetch_one(&mut self.watcher)
            .await
            .expect("a count")
    }
}

/// The answers that come without waiting, and the tasks that have none yet.
async fn answered(
    tasks: Vec<JoinHandle<Result<Appended, AppendError>>>,
) -> (Vec<AppendError>, Vec<JoinHandle<Result<Appended, AppendError>>>) {
    let (mut answers, mut waiting) = (Vec::new(), Vec::new());
    for mut task in tasks {
        match timeout(Duration::from_millis(100), &mut task).await {
            Ok(answer) => answers.push(answer.expect("a task").expect_err("an event got through")),
            Err(_) => waiting.push(task),
        }
    }
    (answers, waiting)
}

#[tokio::test]
async fn more_than_the_queue_holds_is_turned_away_at_once_and_the_rest_gets_through() {
    let mut world = World::new(Options { queue: 8, ..Options::default() }).await;
    let first = world.spawn(1);
    world.is_held_up().await;
    let (refused, waiting) = answered((0..40).map(|_| world.spawn(1)).collect()).await;
    assert_eq!(refused, vec![AppendError::Busy; 32]);
    world.let_go().await;
    for task in waiting.into_iter().chain([first]) {
        task.await.expect("a task").expect("an append");
    }
    assert_eq!(world.stored().await, 1 + 1 + 8);
    world.spawn(1).await.expect("a task").expect("there is room again");
}

#[tokio::test]
async fn what_waits_takes_no_more_memory_than_it_may() {
    let mut world = World::new(Options { room: 4 * 1024, ..Options::default() }).await;
    // Each rounded up to a kilobyte.
    let first = world.spawn(1);
    world.is_held_up().await;
    let (refused, waiting) = answered((0..10).map(|_| world.spawn(1)).collect()).await;
    assert_eq!(refused, vec![AppendError::Busy; 7]);
    world.let_go().await;
    for task in waiting.into_iter().chain([first]) {
        task.await.expect("a task").expect("an append");
    }
    assert_eq!(world.stored().await, 1 + 1 + 3);
    // Larger than all of the room: alone it gets through.
    world.spawn(100).await.expect("a task").expect("a large append");
    assert_eq!(world.database.log().reader().heads().await.expect("heads")[&Partition(0)].0, 105);
}
