//! A model's new version is built while the old one serves: two builds of one projection.

use std::{collections::BTreeMap, time::Duration};

use events::Event;
use log::Reader;
use projector::{
    Happened, Model, Observer, Options, Projection, Projector, Refused, Replay, State, Tables, row,
};
use sqlx::{AssertSqlSafe, PgPool};
use testkit::{Database, eventually, simulate::Simulator};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

row! {
    struct One in "counts" by 1 {
        owner: Uuid,
        sets: i64,
    }
}

row! {
    struct Two in "counts" by 1 {
        owner: Uuid,
        sets: i64,
        reps: i64,
    }
}

/// Counts the sets that were ever logged; its second version counts repetitions too.
struct Counter<const VERSION: u8>;

impl<const VERSION: u8> Projection for Counter<VERSION> {
    const NAME: &'static str = "counter";
    const SCHEMA: &'static str = if VERSION == 1 { "counter_v1" } else { "counter_v2" };
    const TABLES: &'static str = if VERSION == 1 {
        "create table counts (owner uuid primary key, sets bigint not null);"
    } else {
        "create table counts (
             owner uuid primary key, sets bigint not null, reps bigint not null
         );"
    };
    const INDEXES: &'static str = "";
    const TYPES: &'static [&'static str] = &["SetLogged"];

    type Batch = BTreeMap<Uuid, (i64, i64)>;

    fn fold(batch: &mut Self::Batch, happened: Happened) -> Result<(), Refused> {
        let Event::SetLogged(logged) = happened.event else { return Ok(()) };
        let (sets, reps) = batch.entry(happened.owner.uuid()).or_default();
        *sets += 1;
        *reps += logged.set.reps.map_or(0, |reps| i64::from(reps.get()));
        Ok(())
    }

    async fn write(mut batch: Self::Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let owners: Vec<(Uuid,)> = batch.keys().map(|owner| (*owner,)).collect();
        if VERSION == 1 {
            for One { owner, sets } in tables.read::<One, _>(owners).await? {
                batch.entry(owner).or_default().0 += sets;
            }
            tables.upsert(batch.into_iter().map(|(owner, (sets, _))| One { owner, sets })).await
        } else {
            for Two { owner, sets, reps } in tables.read::<Two, _>(owners).await? {
                let sums = batch.entry(owner).or_default();
                (sums.0, sums.1) = (sums.0 + sets, sums.1 + reps);
            }
            let rows = batch.into_iter().map(|(owner, (sets, reps))| Two { owner, sets, reps });
            tables.upsert(rows).await
        }
    }
}

/// What each of the two builds serves.
const OLD: &[Model] = &[Model { name: "counter", schema: "counter_v1" }];
const NEW: &[Model] = &[Model { name: "counter", schema: "counter_v2" }];

async fn sets(pool: &PgPool, schema: &str) -> Option<i64> {
    let query = format!("select coalesce(sum(sets), 0)::bigint from {schema}.counts");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(pool).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_build_serves_until_the_new_one_is_built_and_both_go_on() {
    let database = Database::fresh().await;
    let log = database.log();
    let mut simulator = Simulator::new(41);
    let athletes = simulator.fill(&log, &database, 8, 6).await;
    let pool = PgPool::connect(&database.owner_url()).await.expect("the owner");
    let logged = async || {
        sqlx::query_scalar::<_, i64>("select count(*) from log.events where type = 'SetLogged'")
            .fetch_one(&pool)
            .await
            .expect("a count")
    };
    let stop = CancellationToken::new();
    let start = |running: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| tokio::spawn(running);
    let (of_old, of_new) = (database.connect_projector(), database.connect_projector());
    let old = Projector::<Counter<1>>::new(&of_old, Reader::open(&of_old));
    let old = start(Box::pin(old.run(stop.clone())));
    let api = database.connect_api().pool;
    let (old_api, new_api) = (Observer::new(api.clone(), OLD), Observer::new(api, NEW));
    eventually("the old model", async || {
        old_api.unready().await.expect("an answer").is_empty().then_some(())
    })
    .await;

    // The new API waits, and says for what.
    let waits_for = async || new_api.unready().await.expect("an answer").pop();
    let (model, why) = waits_for().await.expect("a reason");
    assert!(model == "counter_v2" && why.contains("run `ironledger replay counter`"), "{why}");
    assert_eq!(new_api.look().await.expect("a look")[0].state, State::Missing);

    let slowly = Options { workers: 1, throttle: Some(400), batch: 20, ..Options::default() };
    let replay = Replay::<Counter<2>>::new(&of_new, Reader::open(&of_new), slowly, stop.clone());
    let replay = tokio::spawn(replay.run());
    let why = eventually("a replay that is told of", async || {
        waits_for().await.map(|(_, why)| why).filter(|why| why.contains("loading"))
    })
    .await;
    assert!(why.contains(" % of "), "{why}");
    // Meanwhile athletes train, and the old build shows it.
    for athlete in &athletes {
        simulator.train(&log, *athlete, 1).await;
    }
    let all = logged().await;
    eventually("what was logged meanwhile", async || {
        (sets(&pool, "counter_v1").await == Some(all)).then_some(())
    })
    .await;
    assert!(!replay.is_finished(), "the new one is being built still");
    assert!(waits_for().await.is_some());

    let replayed = replay.await.expect("no panic").expect("a replay");
    assert!(replayed.swapped);
    assert_eq!(waits_for().await, None, "the new build is ready");
    let new = Projector::<Counter<2>>::new(&of_new, Reader::open(&of_new));
    let new = start(Box::pin(new.run(stop.clone())));
    for athlete in &athletes {
        simulator.train(&log, *athlete, 1).await;
    }
    let all = logged().await;
    for schema in ["counter_v1", "counter_v2"] {
        eventually(schema, async || (sets(&pool, schema).await == Some(all)).then_some(())).await;
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), async {
        old.await.expect("no panic");
        new.await.expect("no panic");
    })
    .await
    .expect("they stop when told");
}
