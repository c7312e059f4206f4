//! Events that cannot be projected: the rest goes on, they can be tried again, or left out.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use events::{AthleteId, Event, Partition, Position};
use log::{Log, Reader};
use projections::history::History;
use projector::{
    Error, Happened, Model, Observer, Options, ParkedEvent, Poison, Projection, Projector, Refused,
    Replay, Retried, State, Tables, row,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use testkit::{
    Database,
    simulate::{Athlete, Simulator},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A world in which something is wrong with an event of the first athlete.
struct World {
    database: Database,
    log: Log,
    simulator: Simulator,
    athletes: Vec<Athlete>,
    owner: PgConnection,
}

impl World {
    async fn new(seed: u64) -> Self {
        let database = Database::fresh().await;
        let log = database.log();
        let mut simulator = Simulator::new(seed);
        let athletes = simulator.fill(&log, &database, 6, 3).await;
        let owner = PgConnection::connect(&database.owner_url()).await.expect("the owner");
        Self { database, log, simulator, athletes, owner }
    }

    fn unlucky(&self) -> Athlete {
        self.athletes[0]
    }

    async fn grow(&mut self) {
        for athlete in self.athletes.clone() {
            self.simulator.train(&self.log, athlete, 2).await;
        }
    }

    fn projector<P: Projection>(&self) -> Projector<P> {
        Projector::new(&self.database.connect_projector(), self.log.reader().clone())
    }

    async fn run(&mut self, sql: &str) -> u64 {
        let sql = AssertSqlSafe(sql.to_owned());
        self.owner.execute(sqlx::raw_sql(sql)).await.expect("a statement").rows_affected()
    }

    /// Changes the payload of an event, as nothing but a fault of the disk could.
    async fn change(&mut self, at: (Partition, Position), payload: &str) {
        self.run(&format!(
            "set session_replication_role = replica;
             update log.events set payload = '{payload}'
             where partition = {} and position = {};
             set session_replication_role = origin",
            at.0, at.1
        ))
        .await;
    }

    /// The place and payload of a set that the unlucky one has logged: the `number`th.
    async fn a_set(&mut self, number: usize) -> ((Partition, Position), String) {
        let Athlete { id, partition } = self.unlucky();
        let head = self.log.reader().heads().await.expect("heads")[&partition];
        let events = self.log.reader().of_owner(partition, id, head).await.expect("events");
        let mut sets = events.into_iter().filter(|event| event.kind == "SetLogged");
        let set = sets.nth(number).expect("a set");
        ((set.partition, set.position), set.payload)
    }

    /// The rows of history, of one athlete or of all others.
    async fn rows(&mut self, of: Option<AthleteId>, but: Option<AthleteId>) -> String {
        let mut rows = String::new();
        for table in ["athletes", "custom_exercises", "workouts", "workout_sets", "workout_notes"] {
            let query = format!(
                "select coalesce(string_agg(t::text, E'\\n' order by t::text), '')
                 from history_v6.{table} t
                 where ($1::uuid is null or owner = $1) and ($2::uuid is null or owner <> $2)"
            );
            let text: String = sqlx::query_scalar(AssertSqlSafe(query))
                .bind(of.map(AthleteId::uuid))
                .bind(but.map(AthleteId::uuid))
                .fetch_one(&mut self.owner)
                .await
                .expect("the rows");
            rows += &format!("-- {table}\n{text}\n");
        }
        rows
    }

    /// All rows as they are when the model is built from nothing.
    async fn built_anew(&mut self) -> String {
        self.run("drop schema if exists history_v6 cascade").await;
        let mut projector = self.projector::<History>();
        projector.prepare().await.expect("a schema");
        exhaust(&mut projector).await;
        self.rows(None, None).await
    }
}

async fn exhaust<P: Projection>(projector: &mut Projector<P>) {
    loop {
        match projector.step(None, 7).await {
            Ok(0) => return,
            Ok(_) | Err(Error::Fenced(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn parked<P: Projection>(projector: &Projector<P>) -> Vec<ParkedEvent> {
    projector.parked(None, 100).await.expect("parked events")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_event_parks_its_owner_and_nobody_else() {
    let mut world = World::new(31).await;
    let right = world.built_anew().await;
    let unlucky = world.unlucky().id;
    let others = world.rows(None, Some(unlucky)).await;
    let (place, payload) = world.a_set(2).await;
    world.change(place, "{\"set_id\": 7}").await;

    world.run("drop schema history_v6 cascade").await;
    let mut projector = world.projector::<History>();
    projector.prepare().await.expect("a schema");
    exhaust(&mut projector).await;
    assert_eq!(world.rows(None, Some(unlucky)).await, others, "everybody else goes on");
    let [event] = &parked(&projector).await[..] else { panic!("one event is parked") };
    assert_eq!((event.partition, event.position), place);
    assert_eq!((event.owner, event.attempts), (unlucky, 0));
    assert!(event.waiting > 5, "{event:?}");
    assert!(event.error.contains("SetLogged"), "{}", event.error);

    // It is told, and is no reason to call the model stuck.
    const MODELS: &[Model] = &[Model { name: History::NAME, schema: History::SCHEMA }];
    projector.prepare().await.expect("it has reached the end");
    let observer = Observer::new(world.database.connect_api().pool, MODELS);
    let status = observer.look().await.expect("a look").remove(0);
    assert_eq!((status.state, status.lag_events, status.parked_events), (State::Parked, 0, 1));
    assert_eq!(status.waiting_events, event.waiting);

    // What comes later waits too, also for a projector that has just started.
    world.grow().await;
    let mut another = world.projector::<History>();
    exhaust(&mut another).await;
    let waiting = parked(&another).await[0].waiting;
    assert!(waiting > event.waiting, "{waiting}");

    // Trying again does not help as long as nothing is repaired.
    let refused = another.retry(Some(unlucky)).await.expect("an answer");
    assert_eq!(refused, Retried { projected: 0, refused: 1 });
    let [again] = &parked(&another).await[..] else { panic!("one event is parked") };
    assert_eq!((again.attempts, again.waiting), (1, waiting));

    // Repaired, all of them are projected in their order, and the owner goes on. The other
    // projector learns of it by being fenced off.
    world.change(place, &payload).await;
    let tried = another.retry(None).await.expect("an answer");
    assert_eq!(tried, Retried { projected: 1 + waiting.unsigned_abs(), refused: 0 });
    assert!(parked(&another).await.is_empty());
    world.grow().await;
    assert!(matches!(projector.step(None, 7).await, Err(Error::Fenced(_))));
    exhaust(&mut projector).await;
    assert!(parked(&projector).await.is_empty(), "nothing waits any more");
    let rows = world.rows(None, None).await;
    assert_ne!(rows, right);
    assert_eq!(world.built_anew().await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skipped_event_is_left_out_of_every_replay() {
    let mut world = World::new(32).await;
    let (place, _) = world.a_set(1).await;
    world.change(place, "[]").await;
    let mut projector = world.projector::<History>();
    projector.prepare().await.expect("a schema");
    exhaust(&mut projector).await;
    let waiting = parked(&projector).await[0].waiting;
    let nothing = projector.skip(place.0, Position(place.1.0 + 1), "a slip").await;
    assert_eq!(nothing.expect("an answer"), None, "only what is parked for an error");
    let skipped = projector.skip(place.0, place.1, "broken by a disk").await.expect("an answer");
    assert_eq!(skipped, Some(Retried { projected: waiting.unsigned_abs(), refused: 0 }));
    assert!(parked(&projector).await.is_empty());

    let database = world.database.connect_projector();
    let options = Options { verify: true, ..Options::default() };
    let reader = Reader::open(&database);
    let replay = Replay::<History>::new(&database, reader, options, CancellationToken::new());
    let replayed = replay.run().await.expect("a replay");
    assert!(replayed.swapped && replayed.different == 0, "{replayed:?}");
    let rows = world.rows(None, None).await;
    assert_eq!(world.built_anew().await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_skipped_stays_so_on_the_way_back() {
    let mut world = World::new(35).await;
    let (place, _) = world.a_set(1).await;
    world.change(place, "[]").await;
    let mut projector = world.projector::<History>();
    projector.prepare().await.expect("a schema");
    exhaust(&mut projector).await;
    let database = world.database.connect_projector();
    let replay = || {
        let (reader, stop) = (Reader::open(&database), CancellationToken::new());
        Replay::<History>::new(&database, reader, Options::default(), stop)
    };
    assert!(replay().run().await.expect("a replay").swapped);
    let live = world.projector::<History>();
    live.skip(place.0, place.1, "broken by a disk").await.expect("an answer");
    let rows = world.rows(None, None).await;
    replay().roll_back().await.expect("a way back");
    assert!(parked(&live).await.is_empty());
    assert_eq!(world.rows(None, None).await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_would_park_more_is_not_swapped_in_unasked() {
    let mut world = World::new(36).await;
    let rows = world.built_anew().await;
    world.projector::<History>().prepare().await.expect("a model that is built");
    let (place, _) = world.a_set(1).await;
    world.change(place, "[]").await;
    let database = world.database.connect_projector();
    let replay = async |accept_parked| {
        let (reader, stop) = (Reader::open(&database), CancellationToken::new());
        let options = Options { accept_parked, ..Options::default() };
        Replay::<History>::new(&database, reader, options, stop).run().await.expect("a replay")
    };
    let refused = replay(false).await;
    assert!(!refused.swapped && refused.parked > refused.parked_live, "{refused:?}");
    assert_eq!(world.rows(None, None).await, rows);
    assert!(replay(true).await.swapped);
    assert_ne!(world.rows(None, None).await, rows);

    // Nothing is tried again in a model that is not this program's.
    world.run("update history_v6.model set shape = 'another'").await;
    let other = world.projector::<History>().retry(None).await;
    assert!(matches!(other, Err(Error::OtherShape(_))), "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_parks_what_the_live_model_parks() {
    let mut world = World::new(33).await;
    let (place, payload) = world.a_set(3).await;
    world.change(place, "null").await;
    let database = world.database.connect_projector();
    let options = Options { workers: 1, ..Options::default() };
    let reader = Reader::open(&database);
    let replay = Replay::<History>::new(&database, reader, options, CancellationToken::new());
    assert!(replay.run().await.expect("a replay").swapped);
    let mut projector = world.projector::<History>();
    let replayed: Vec<_> =
        parked(&projector).await.iter().map(|e| (e.position, e.waiting)).collect();
    let rows = world.rows(None, None).await;
    assert_eq!(world.built_anew().await, rows);
    projector = world.projector();
    let live: Vec<_> = parked(&projector).await.iter().map(|e| (e.position, e.waiting)).collect();
    assert_eq!(replayed, live);
    world.change(place, &payload).await;
    assert_eq!(projector.retry(None).await.expect("an answer").refused, 0);
    let rows = world.rows(None, None).await;
    assert_eq!(world.built_anew().await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_an_unknown_type_is_parked_alone_until_a_program_knows_it() {
    an_unknown_event_is_parked_alone("stream_kind").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_an_unknown_kind_of_stream_stops_nobody_either() {
    an_unknown_event_is_parked_alone("9").await;
}

async fn an_unknown_event_is_parked_alone(stream_kind: &str) {
    let mut world = World::new(34).await;
    let right = world.built_anew().await;
    let Athlete { id, partition } = world.unlucky();
    let insert = format!(
        "insert into log.events (partition, position, epoch, owner, stream_kind, stream_id, version,
             type, type_version, recorded_at, metadata, payload)
         select partition, position + 1, epoch, '{id}', {stream_kind}, gen_random_uuid(), 1,
             'TrophyPolished', 1, recorded_at, metadata, '{{}}'
         from log.events where partition = {partition} order by position desc limit 1"
    );
    assert_eq!(world.run(&insert).await, 1);
    let mut projector = world.projector::<History>();
    exhaust(&mut projector).await;
    let [event] = &parked(&projector).await[..] else { panic!("one event is parked") };
    assert!(event.error.contains("TrophyPolished"), "{}", event.error);
    assert_eq!((event.owner, event.waiting), (id, 0));
    assert_eq!(world.rows(None, None).await, right);

    // Its owner goes on, and trying again changes nothing.
    world.log = world.database.log();
    world.grow().await;
    exhaust(&mut projector).await;
    assert_eq!(parked(&projector).await[0].waiting, 0);
    assert_ne!(world.rows(Some(id), None).await, "");
    let refused = projector.retry(None).await.expect("an answer");
    assert_eq!(refused, Retried { projected: 0, refused: 1 });

    // A program that knows the type, and does not need it, passes over it.
    world
        .run(
            "set session_replication_role = replica;
             update log.events set type = 'AuditRead', stream_kind = 4 where type = 'TrophyPolished';
             set session_replication_role = origin",
        )
        .await;
    let known = projector.retry(None).await.expect("an answer");
    assert_eq!(known, Retried { projected: 0, refused: 0 });
    assert!(parked(&projector).await.is_empty());
}

row! {
    struct Count in "counts" by 1 {
        owner: Uuid,
        sets: i16,
    }
}

/// Counts sets, and has its faults: what it makes of a set depends on the repetitions.
struct Fussy<const STOPS: bool>;

impl<const STOPS: bool> Projection for Fussy<STOPS> {
    const NAME: &'static str = if STOPS { "strict" } else { "fussy" };
    const SCHEMA: &'static str = if STOPS { "strict_v1" } else { "fussy_v1" };
    const TABLES: &'static str =
        "create table counts (owner uuid primary key, sets smallint not null check (sets < 900));";
    const INDEXES: &'static str = "";
    const TYPES: &'static [&'static str] = &["SetLogged"];
    const POISON: Poison = if STOPS { Poison::Stop } else { Poison::Park };

    type Batch = BTreeMap<Uuid, i16>;

    fn fold(batch: &mut Self::Batch, happened: Happened) -> Result<(), Refused> {
        let Event::SetLogged(logged) = happened.event else { return Ok(()) };
        let count = match logged.set.reps.map_or(0, |reps| reps.get()) {
            998 => return Err(Refused("a thousand repetitions, or nearly".to_owned())),
            999 => panic!("an astonished projection"),
            // More than Postgres takes.
            1000 => 900,
            _ => 1,
        };
        *batch.entry(happened.owner.uuid()).or_default() += count;
        Ok(())
    }

    async fn write(batch: Self::Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let mut rows: Vec<Count> = tables.read(batch.keys().map(|owner| (*owner,))).await?;
        let mut batch = batch;
        for row in &mut rows {
            row.sets += batch.remove(&row.owner).unwrap_or_default();
        }
        rows.extend(batch.into_iter().map(|(owner, sets)| Count { owner, sets }));
        tables.upsert(rows).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_panics_and_rows_that_postgres_refuses_are_parked_too() {
    for (reps, why) in [(998, "a thousand"), (999, "panicked"), (1000, "23514")] {
        let mut world = World::new(35).await;
        let mut projector = world.projector::<Fussy<false>>();
        projector.prepare().await.expect("a schema");
        exhaust(&mut projector).await;
        let counts = "select jsonb_object_agg(owner, sets)::text from fussy_v1.counts";
        let right: String =
            sqlx::query_scalar(counts).fetch_one(&mut world.owner).await.expect("counts");

        let (place, payload) = world.a_set(2).await;
        let mut said: serde_json::Value = serde_json::from_str(&payload).expect("JSON");
        said["set"]["reps"] = reps.into();
        world.change(place, &said.to_string()).await;
        world.run("drop schema fussy_v1 cascade").await;
        projector = world.projector();
        projector.prepare().await.expect("a schema");
        exhaust(&mut projector).await;
        let [event] = &parked(&projector).await[..] else { panic!("one event is parked") };
        assert_eq!((event.partition, event.position), place);
        assert!(event.error.contains(why), "{}", event.error);
        let before: i16 = sqlx::query_scalar("select sets from fussy_v1.counts where owner = $1")
            .bind(world.unlucky().id.uuid())
            .fetch_one(&mut world.owner)
            .await
            .expect("what was before it");
        assert_eq!(before, 2);

        world.change(place, &payload).await;
        assert_eq!(projector.retry(None).await.expect("an answer").refused, 0);
        let after: String =
            sqlx::query_scalar(counts).fetch_one(&mut world.owner).await.expect("counts");
        assert_eq!(after, right);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_must_not_go_on_stops_and_says_where() {
    let mut world = World::new(36).await;
    let (place, payload) = world.a_set(2).await;
    let mut said: serde_json::Value = serde_json::from_str(&payload).expect("JSON");
    said["set"]["reps"] = 998.into();
    world.change(place, &said.to_string()).await;
    let mut projector = world.projector::<Fussy<true>>();
    projector.prepare().await.expect("a schema");
    let stopped = loop {
        match projector.step(None, 1).await {
            Ok(0) => panic!("it went past it"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(stopped, Error::Poisoned { .. }), "{stopped:?}");
    assert!(stopped.to_string().contains("a thousand"), "{stopped}");
    let at: i64 =
        sqlx::query_scalar("select position from strict_v1.checkpoints where partition = $1")
            .bind(place.0.0)
            .fetch_one(&mut world.owner)
            .await
            .expect("a checkpoint");
    assert!(at < place.1.0, "{at}");
    world.change(place, &payload).await;
    exhaust(&mut projector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_beside_a_projector_at_work_lose_and_double_nothing() {
    let mut world = World::new(37).await;
    let (place, payload) = world.a_set(0).await;
    for _ in 0..4 {
        world.change(place, "0").await;
        world.run("drop schema if exists history_v6 cascade").await;
        let mut live = world.projector::<History>();
        live.prepare().await.expect("a schema");
        let other = world.projector::<History>();
        world.grow().await;
        while parked(&other).await.is_empty() {
            live.step(None, 3).await.expect("a step");
        }
        world.change(place, &payload).await;
        let retrying = async {
            for _ in 0..20 {
                // Both may lock the same checkpoint, and one gives way.
                other.retry(None).await.ok();
            }
        };
        tokio::join!(exhaust(&mut live), retrying);
        while other.retry(None).await.expect("an answer").projected > 0 {}
        assert!(parked(&other).await.is_empty());
        let rows = world.rows(None, None).await;
        assert_eq!(world.built_anew().await, rows);
    }
}
