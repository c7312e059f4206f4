//! Replays beside live models: equal rows, resumed runs, swaps, ways back, and what a replay says.
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use log::{Clock, Log, Reader};
use projections::{
    boards::Boards, coaching::Coaching, history::History, open::Open, records::Records,
    routines::Routines, social::Social, stats::Stats, strength::Strength,
};
use projector::{Error, Options, Projection, Projector, Replay, ReplayError, Replayed};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use testkit::{Database, eventually, simulate::Simulator};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Small batches, so that a log of a test has many.
const PLAIN: Options = Options {
    workers: 2,
    throttle: None,
    verify: false,
    accept_differences: false,
    accept_parked: false,
    batch: 30,
};
const VERIFIED: Options = Options { verify: true, ..PLAIN };

struct World {
    database: Database,
    log: Log,
    simulator: Simulator,
    athletes: Vec<testkit::simulate::Athlete>,
    owner: PgConnection,
}

impl World {
    /// A log with lives in it, and no models.
    async fn new(seed: u64) -> Self {
        let database = Database::fresh().await;
        let log = database.log();
        let mut simulator = Simulator::new(seed);
        let athletes = simulator.fill(&log, &database, 10, 8).await;
        let owner = PgConnection::connect(&database.owner_url()).await.expect("the owner");
        Self { database, log, simulator, athletes, owner }
    }

    async fn grow(&mut self) {
        for athlete in self.athletes.clone() {
            self.simulator.train(&self.log, athlete, 1).await;
        }
    }

    fn projector<P: Projection>(&self) -> Projector<P> {
        // Weeks after what the athletes did, so that rows that age have some of it.
        let clock = Clock::standing_at("2026-01-31T12:00:00Z".parse().expect("a time"));
        Projector::new(&self.database.connect_projector(), self.log.reader().clone())
            .with_keys(Some(self.database.projector_keys()))
            .by_clock(clock)
    }

    /// The live model, up to date.
    async fn live<P: Projection>(&self) -> Projector<P> {
        let mut projector = self.projector::<P>();
        projector.prepare().await.expect("a schema");
        while projector.step(None, 50).await.expect("a step") > 0 {}
        projector.prepare().await.expect("a model that is built");
        projector
    }

    fn replay<P: Projection>(&self, options: Options, stop: CancellationToken) -> Replay<P> {
        let database = self.database.connect_projector();
        let reader = Reader::open(&database);
        let keys = self.database.projector_keys();
        Replay::new(&database, reader, options, stop).with_keys(Some(keys))
    }

    async fn replayed<P: Projection>(&self, options: Options) -> Result<Replayed, ReplayError> {
        self.replay::<P>(options, CancellationToken::new()).run().await
    }

    async fn roll_back<P: Projection>(&self) -> Result<(), ReplayError> {
        self.replay::<P>(PLAIN, CancellationToken::new()).roll_back().await
    }

    async fn run(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        self.owner.execute(sqlx::raw_sql(sql)).await.expect("a statement of the test");
    }

    async fn count(&mut self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(&mut self.owner).await.expect("a number")
    }

    /// Every row of a model's own tables.
    async fn rows<P: Projection>(&mut self) -> String {
        let tables: Vec<String> = sqlx::query_scalar(
            "select tablename::text from pg_tables where schemaname = $1
             and tablename not in ('model', 'checkpoints', 'parked_events', 'revisions') order by 1",
        )
        .bind(P::SCHEMA)
        .fetch_all(&mut self.owner)
        .await
        .expect("the tables");
        let mut rows = String::new();
        for table in tables {
            let query = format!(
                "select coalesce(string_agg(t::text, E'\\n' order by t::text), '')
                 from {}.{table} t",
                P::SCHEMA
            );
            let text: String = sqlx::query_scalar(AssertSqlSafe(query))
                .fetch_one(&mut self.owner)
                .await
                .expect("the rows");
            rows += &format!("-- {table}\n{text}\n");
        }
        rows
    }

    async fn indexes(&mut self, schema: &str) -> i64 {
        self.count(&format!("select count(*) from pg_indexes where schemaname = '{schema}'")).await
    }
}

async fn a_replay_gives_the_rows_of_the_live_model<P: Projection>() {
    let mut world = World::new(11).await;
    let mut live = world.live::<P>().await;
    let (rows, indexes) = (world.rows::<P>().await, world.indexes(P::SCHEMA).await);
    let events = world.count("select count(*) from log.events").await;

    let replayed = world.replayed::<P>(VERIFIED).await.expect("a replay");
    assert!(replayed.swapped && replayed.different == 0, "{replayed:?}");
    assert_eq!(replayed.events as i64, events);
    assert!(replayed.compared.expect("compared") > 10, "{replayed:?}");
    assert_eq!(world.rows::<P>().await, rows);
    assert_eq!(world.indexes(P::SCHEMA).await, indexes);
    assert_eq!(world.indexes(&format!("{}_shadow", P::SCHEMA)).await, 0, "no shadow is left");

    // Who projected before is fenced off once, and goes on with the new rows.
    world.grow().await;
    for athlete in world.athletes.clone() {
        world.simulator.ask(&world.log, athlete).await;
    }
    assert!(matches!(live.step(None, 50).await, Err(Error::Fenced(_))));
    while live.step(None, 50).await.expect("a step") > 0 {}
    let grown = world.rows::<P>().await;
    assert_ne!(grown, rows);

    // And back, with what has happened since, and forth again.
    for _ in 0..2 {
        world.roll_back::<P>().await.expect("a way back");
        assert_eq!(world.rows::<P>().await, grown);
    }
    let prune = async |world: &World| {
        world.replay::<P>(PLAIN, CancellationToken::new()).prune().await.expect("an answer")
    };
    assert!(prune(&world).await);
    assert!(!prune(&world).await);
    let nothing = world.roll_back::<P>().await;
    assert!(matches!(nothing, Err(ReplayError::NothingToGoBackTo(_))), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_gives_the_rows_of_live_history() {
    a_replay_gives_the_rows_of_the_live_model::<History>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_gives_the_rows_of_live_stats() {
    a_replay_gives_the_rows_of_the_live_model::<Stats>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_of_records_gives_the_live_rows() {
    a_replay_gives_the_rows_of_the_live_model::<Records>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_gives_the_places_of_every_day() {
    a_replay_gives_the_rows_of_the_live_model::<Boards>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_of_strength_gives_the_live_rows_of_the_same_moment() {
    a_replay_gives_the_rows_of_the_live_model::<Strength>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_gives_the_rows_of_live_open_workouts() {
    a_replay_gives_the_rows_of_the_live_model::<Open>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_gives_the_rows_of_live_coaching() {
    a_replay_gives_the_rows_of_the_live_model::<Coaching>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_gives_the_rows_of_live_routines() {
    a_replay_gives_the_rows_of_the_live_model::<Routines>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_of_social_gives_the_rows_of_the_live_model() {
    a_replay_gives_the_rows_of_the_live_model::<Social>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_was_never_there_is_built_by_a_replay() {
    let mut world = World::new(12).await;
    let replayed = world.replayed::<History>(VERIFIED).await.expect("a replay");
    assert!(replayed.swapped);
    let rows = world.rows::<History>().await;
    world.run("drop schema history_v6 cascade").await;
    world.live::<History>().await;
    assert_eq!(world.rows::<History>().await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_was_killed_goes_on_where_it_was() {
    let mut world = World::new(13).await;
    world.live::<History>().await;
    let rows = world.rows::<History>().await;
    let total = world.count("select count(*) from log.events").await;
    // Killed at different moments, first before it can have done anything; each leaves what it has
    // committed, and no more.
    let mut loaded = 0_i64;
    for wait in [None, Some(0), Some(30), Some(60), Some(15)] {
        let slowly = Options { workers: 1, throttle: Some(300), ..PLAIN };
        let replay = world.replay::<History>(slowly, CancellationToken::new());
        let mut steps = replay.steps();
        let running = tokio::spawn(replay.run());
        if let Some(wait) = wait {
            let goes_on = steps.wait_for(|step| step.done > loaded.unsigned_abs());
            goes_on.await.expect("a replay that goes on");
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        running.abort();
        running.await.expect_err("it was killed");
        // Its lock goes with its connection.
        eventually("the lock", async || {
            let free = world
                .replay::<History>(Options { throttle: Some(1), ..PLAIN }, stopped())
                .run()
                .await;
            (!matches!(free, Err(ReplayError::Running { .. }))).then_some(())
        })
        .await;
        let there = world
            .count("select coalesce(sum(position), 0)::bigint from history_v6_shadow.checkpoints")
            .await;
        let more = wait.is_none() || there > loaded;
        assert!(there >= loaded && more && there <= total, "{there} of {total}, {loaded} before");
        loaded = there;
    }
    let replayed = world.replayed::<History>(VERIFIED).await.expect("a replay");
    assert_eq!(replayed.events as i64, total - loaded, "nothing is loaded twice");
    assert_eq!(world.rows::<History>().await, rows);
}

/// Told to stop before it began.
fn stopped() -> CancellationToken {
    let stop = CancellationToken::new();
    stop.cancel();
    stop
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_replay_says_who_is_at_it() {
    let world = World::new(14).await;
    let slowly = Options { workers: 1, throttle: Some(500), ..PLAIN };
    let first = world.replay::<History>(slowly, CancellationToken::new());
    let mut steps = first.steps();
    let first = tokio::spawn(first.run());
    steps.wait_for(|step| step.total > 0).await.expect("a step");
    let second = world.replayed::<History>(PLAIN).await;
    match second {
        Err(ReplayError::Running { process, .. }) => {
            assert_eq!(process.unsigned_abs(), std::process::id());
        }
        other => panic!("{other:?}"),
    }
    // Other models do not mind.
    world.replayed::<Stats>(PLAIN).await.expect("a replay");
    first.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_are_shown_with_the_event_they_come_from() {
    let mut world = World::new(15).await;
    world.live::<History>().await;
    let right = world.rows::<History>().await;
    // A row that says something else, one that is missing, and one that nobody has logged.
    world
        .run(
            "update history_v6.workout_sets set ordinal = ordinal + 100
             where set_id = (select min(set_id::text)::uuid from history_v6.workout_sets);
             delete from history_v6.workout_sets
             where set_id = (select max(set_id::text)::uuid from history_v6.workout_sets);
             insert into history_v6.athletes
             select gen_random_uuid(), 'Europe/Berlin'",
        )
        .await;
    let wrong = world.rows::<History>().await;
    let replayed = world.replayed::<History>(VERIFIED).await.expect("a replay");
    assert!(!replayed.swapped);
    assert_eq!((replayed.different, replayed.differences.len()), (3, 3), "{replayed:?}");
    assert_eq!(world.rows::<History>().await, wrong, "nothing is swapped");
    for difference in &replayed.differences {
        match difference.table.as_str() {
            "athletes" => {
                assert!(difference.rebuilt.is_none() && difference.cause.is_none());
            }
            "workout_sets" => {
                let row = difference.rebuilt.as_ref().expect("a row");
                let (partition, position, _) = difference.cause.expect("an event");
                let events = world.log.reader().at(partition, &[position.0]).await.expect("events");
                let set = row["set_id"].as_str().expect("an id");
                assert!(events[0].payload.contains(set), "{events:?}");
                // The last one that says something of the set.
                let later = world
                    .count(&format!(
                        "select count(*) from log.events where partition = {partition}
                         and position > {position} and payload like '%{set}%'"
                    ))
                    .await;
                assert_eq!(later, 0);
            }
            other => panic!("{other}"),
        }
    }
    let accepting = Options { accept_differences: true, ..VERIFIED };
    let replayed = world.replayed::<History>(accepting).await.expect("a replay");
    assert!(replayed.swapped && replayed.different == 3 && replayed.events == 0, "{replayed:?}");
    assert_eq!(world.rows::<History>().await, right);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_frozen_across_the_swap_writes_nothing() {
    let mut world = World::new(16).await;
    let mut live = world.live::<History>().await;
    world.grow().await;
    // In the middle of a batch: the checkpoints are moved, and no row is written yet.
    let mut frozen = PgConnection::connect(&world.database.projector_url()).await.expect("one");
    let mut batch = frozen.begin().await.expect("a transaction");
    sqlx::query("update history_v6.checkpoints set position = position + 1")
        .execute(&mut *batch)
        .await
        .expect("a first statement");
    let swapping = tokio::spawn(world.replay::<History>(PLAIN, CancellationToken::new()).run());
    let waits = timeout(Duration::from_secs(2), async {
        while !swapping.is_finished() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waits.await.expect_err("the swap waits for the batch");
    batch.rollback().await.expect("its end");
    swapping.await.expect("no panic").expect("a replay");
    let rows = world.rows::<History>().await;
    // One that wakes up afterwards believes in another generation.
    assert!(matches!(live.step(None, 50).await, Err(Error::Fenced(_))));
    assert_eq!(world.rows::<History>().await, rows);
    let stale = sqlx::query(
        "update history_v6.checkpoints set position = position + 1 where generation = 1",
    )
    .execute(&mut frozen)
    .await
    .expect("a statement");
    assert_eq!(stale.rows_affected(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_restored_and_grew_again_is_noticed_and_a_replay_mends_it() {
    let mut world = World::new(17).await;
    world.live::<History>().await;
    // The end of the log is lost, by a restore from a backup; then others write on.
    world
        .run(
            "set session_replication_role = replica;
             delete from log.events e using (
                 select partition, max(position) as last from log.events group by 1
             ) heads
             where e.partition = heads.partition and e.position > heads.last - 20;
             set session_replication_role = origin;
             insert into log.epochs (epoch, reason) select max(epoch) + 1, 'test' from log.epochs",
        )
        .await;
    world.log = world.database.log();
    let before = world.rows::<History>().await;
    for _ in 0..4 {
        world.grow().await;
    }
    let past = world
        .count(
            "select count(*) from history_v6.checkpoints c where exists (
                 select from log.events e
                 where e.partition = c.partition and e.position > c.position
             )",
        )
        .await;
    assert!(past > 0, "the log grew past what was read");
    let mut live = world.projector::<History>();
    let refused = live.step(None, 50).await;
    assert!(matches!(refused, Err(Error::Forked { .. })), "{refused:?}");
    assert_eq!(world.rows::<History>().await, before, "nothing is written");
    assert!(world.replayed::<History>(PLAIN).await.expect("a replay").swapped);
    world.live::<History>().await;
    let rows = world.rows::<History>().await;
    world.run("drop schema history_v6 cascade").await;
    world.live::<History>().await;
    assert_eq!(world.rows::<History>().await, rows);
}

/// Who goes on with a workout after a restore makes an event of the same name at the same place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_the_place_of_a_lost_one_is_no_other_for_its_name() {
    let mut world = World::new(20).await;
    world.live::<History>().await;
    let before = world.rows::<History>().await;
    world
        .run(
            "set session_replication_role = replica;
             insert into log.epochs (epoch, reason) select max(epoch) + 1, 'test' from log.epochs;
             update log.events e set epoch = e.epoch + 1 from (
                 select partition, max(position) as last from log.events group by 1 limit 1
             ) head
             where e.partition = head.partition and e.position = head.last;
             set session_replication_role = origin",
        )
        .await;
    world.log = world.database.log();
    world.grow().await;
    let refused = world.projector::<History>().step(None, 50).await;
    assert!(matches!(refused, Err(Error::Forked { .. })), "{refused:?}");
    assert_eq!(world.rows::<History>().await, before, "nothing is written");
    assert!(world.replayed::<History>(PLAIN).await.expect("a replay").swapped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_model_that_is_not_built_holds_nothing_up() {
    let mut world = World::new(21).await;
    world.projector::<History>().prepare().await.expect("a schema");
    let replayed = world.replayed::<History>(VERIFIED).await.expect("a replay");
    assert!(replayed.swapped && replayed.compared.is_none(), "{replayed:?}");
    let rows = world.rows::<History>().await;
    world.run("drop schema history_v6 cascade").await;
    world.live::<History>().await;
    assert_eq!(world.rows::<History>().await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_model_behind_what_is_built_is_waited_for() {
    let mut world = World::new(22).await;
    let mut live = world.live::<History>().await;
    world.grow().await;
    // The swap cannot be, and the replay is stopped: what it has built is ahead of the live model.
    let mut holds = PgConnection::connect(&world.database.owner_url()).await.expect("the owner");
    holds.execute("begin; lock table history_v6.checkpoints in share mode").await.expect("a lock");
    let stop = CancellationToken::new();
    let replaying = tokio::spawn(world.replay::<History>(PLAIN, stop.clone()).run());
    eventually("a shadow that has everything", async || {
        let behind = "select count(*) from log.partitions p
             left join history_v6_shadow.checkpoints c on c.partition = p.number
             where coalesce(c.position, -1) < coalesce((
                 select max(position) from log.events e where e.partition = p.number), 0)";
        let there = "select count(*) from pg_namespace where nspname = 'history_v6_shadow'";
        (world.count(there).await == 1 && world.count(behind).await == 0).then_some(())
    })
    .await;
    stop.cancel();
    let stopped = replaying.await.expect("an end");
    assert!(matches!(stopped, Err(ReplayError::Stopped)), "{stopped:?}");
    holds.execute("rollback").await.expect("its end");

    let verifying = tokio::spawn(world.replay::<History>(VERIFIED, CancellationToken::new()).run());
    tokio::time::sleep(Duration::from_millis(300)).await;
    while live.step(None, 50).await.expect("a step") > 0 {}
    let replayed = verifying.await.expect("an end").expect("a replay");
    assert!(replayed.swapped && replayed.different == 0, "{replayed:?}");
    assert!(replayed.compared.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_build_has_built_is_not_gone_on_with() {
    let mut world = World::new(23).await;
    world.live::<History>().await;
    let rows = world.rows::<History>().await;
    let total = world.count("select count(*) from log.events").await;
    let mut holds = PgConnection::connect(&world.database.owner_url()).await.expect("the owner");
    holds.execute("begin; lock table history_v6.checkpoints in share mode").await.expect("a lock");
    let half = CancellationToken::new();
    let replaying = tokio::spawn(world.replay::<History>(PLAIN, half.clone()).run());
    eventually("rows of a shadow", async || {
        let there = "select count(*) from pg_tables
             where schemaname = 'history_v6_shadow' and tablename = 'workout_sets'";
        let rows = "select count(*) from history_v6_shadow.workout_sets";
        (world.count(there).await == 1 && world.count(rows).await > 0).then_some(())
    })
    .await;
    half.cancel();
    replaying.await.expect("an end").expect_err("it was stopped");
    holds.execute("rollback").await.expect("its end");
    world.run("update history_v6_shadow.workout_sets set ordinal = ordinal + 1").await;
    world.run("update projector.replays set build = 'the one with the fault'").await;
    let replayed = world.replayed::<History>(PLAIN).await.expect("a replay");
    assert_eq!(replayed.events as i64, total, "everything is loaded again");
    assert_eq!(world.rows::<History>().await, rows);

    // Nor with what was refused, unless it is accepted.
    world.run("update history_v6.workout_sets set ordinal = ordinal + 1").await;
    let refused = world.replayed::<History>(VERIFIED).await.expect("a replay");
    assert!(!refused.swapped && refused.different > 0, "{refused:?}");
    let again = world.replayed::<History>(PLAIN).await.expect("a replay");
    assert!(again.swapped && again.events as i64 == total, "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_of_another_shape_begins_anew() {
    let mut world = World::new(18).await;
    world.live::<History>().await;
    let rows = world.rows::<History>().await;
    let begun = world.replay::<History>(PLAIN, stopped()).run().await;
    assert!(matches!(begun, Err(ReplayError::Stopped)), "{begun:?}");
    // Another build has made the shadow, and then somebody changes the live tables too.
    world
        .run(
            "update history_v6_shadow.model set shape = 'another';
             alter table history_v6_shadow.workout_sets add column more text",
        )
        .await;
    world.replayed::<History>(VERIFIED).await.expect("a replay");
    assert_eq!(world.rows::<History>().await, rows);
    world.run("update history_v6.model set shape = 'another'").await;
    let refused = world.projector::<History>().prepare().await;
    assert!(matches!(refused, Err(Error::OtherShape(_))), "{refused:?}");
    world.replayed::<History>(PLAIN).await.expect("a replay");
    world.projector::<History>().prepare().await.expect("its own shape again");
    assert_eq!(world.rows::<History>().await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_a_replay_and_the_next_goes_on() {
    let mut world = World::new(19).await;
    let live = world.live::<History>().await;
    let rows = world.rows::<History>().await;
    drop(live);
    let begun = world.replay::<History>(PLAIN, stopped()).run().await;
    assert!(matches!(begun, Err(ReplayError::Stopped)), "{begun:?}");
    world
        .run(
            "create function history_v6_shadow.no_room() returns trigger language plpgsql as $$
             begin
                 raise exception 'No space left on device' using errcode = 'disk_full';
             end $$;
             create trigger no_room before insert on history_v6_shadow.workout_sets
             for each statement execute function history_v6_shadow.no_room()",
        )
        .await;
    let full = world.replayed::<History>(PLAIN).await.expect_err("no room");
    assert!(full.to_string().contains("No space left"), "{full}");
    assert_eq!(world.rows::<History>().await, rows);
    world.run("drop function history_v6_shadow.no_room cascade").await;
    world.replayed::<History>(VERIFIED).await.expect("a replay");
    assert_eq!(world.rows::<History>().await, rows);
}
