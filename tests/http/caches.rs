//! Are readings answered out of caches, and never by what is not so any more?

use std::{collections::BTreeMap, time::Duration};

use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use servers::Redis;
use sqlx::{Connection, Executor, PgConnection};
use testkit::{Answer, App, Client, Method, Process, bench, eventually};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep},
};

use crate::binary;

/// Every reading whose answers are kept.
const KEPT: [&str; 9] = [
    "/v1/history?limit=5",
    "/v1/workouts?status=completed",
    "/v1/records",
    "/v1/records/bench-press-barbell",
    "/v1/records/bench-press-barbell/progression",
    "/v1/stats/personal-records",
    "/v1/stats/overview?period=30d",
    "/v1/stats/volume",
    "/v1/stats/exercises",
];

const METRICS: (&str, &str) = ("IRONLEDGER_METRICS_LISTEN", "127.0.0.1:0");

/// How often answers were found, by where.
async fn found(api: &Process) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for (name, count) in api.metrics().await {
        if let Some(labels) = name.strip_prefix("cache_requests_total{") {
            let (_, place) = labels.split_once("found=\"").unwrap();
            *found.entry(place[..place.find('"').unwrap()].to_owned()).or_default() += count;
        }
    }
    found
}

/// An athlete with a workout, and the position that it stands at.
async fn trained(app: &App) -> (Client, String) {
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_bench(&workout, 5, 100).await;
    let completed = athlete.complete(&workout, json!({})).await.expect(200);
    (athlete, completed.position().to_owned())
}

async fn conditional(client: &Client, path: &str, tag: &str) -> Answer {
    Answer::to(client.request(Method::GET, path).header("if-none-match", tag)).await
}

#[tokio::test]
async fn what_was_read_is_found_again_here_and_elsewhere_until_it_changes() {
    let app = App::start_with(binary(), &[METRICS]).await;
    let (other, url) = app.another_api().await;
    let (athlete, position) = trained(&app).await;
    let there = athlete.at(&url);
    let first = athlete.get_at("/v1/history", &position).await.expect(200);
    let place = |process| async move { found(process).await };
    assert_eq!(place(&app.api).await, BTreeMap::from([("nowhere".to_owned(), 1.0)]));
    let again = athlete.get("/v1/history").await.expect(200);
    assert_eq!((again.data(), again.header("etag")), (first.data(), first.header("etag")));
    assert_eq!(again.header("cache-control"), "private, no-cache");
    assert_eq!(place(&app.api).await["process"], 1.0);
    // The other process is told by the first, and serves it itself from then on.
    eventually("an answer in Redis", async || {
        let answer = there.get("/v1/history").await.expect(200);
        assert_eq!(answer.data(), first.data());
        place(&other).await.contains_key("redis").then_some(())
    })
    .await;
    // Only a part of it is another question to the same answer.
    let part = athlete.get("/v1/history?fields=id,status").await.expect(200);
    assert_eq!(part.list()[0].as_object().unwrap().len(), 2);
    assert_eq!(place(&app.api).await["nowhere"], 1.0);
    athlete.get("/v1/history?fields=nothing").await.refused(400, "VALIDATION_ERROR");
    let part = there.get("/v1/history?fields=id,status").await.expect(200);
    assert_eq!(part.list()[0].as_object().unwrap().len(), 2);

    // What changes is told at once, by its own position or without one a moment later.
    let workout = athlete.start_workout(json!({ "title": "Second" })).await;
    let set = athlete.log_set(&workout, bench(8, 60)).await.expect(201);
    for client in [&athlete, &there] {
        let now = client.get_at("/v1/history", set.position()).await.expect(200);
        assert_eq!(now.meta()["count"], 2);
        assert_ne!(now.header("etag"), first.header("etag"));
        assert!(!now.header("last-modified").is_empty());
        let now = client.get("/v1/history").await.expect(200);
        assert_eq!(now.meta()["count"], 2);
    }
    assert_eq!(app.errors(), [""; 0]);
}

#[tokio::test]
async fn what_has_not_changed_is_told_without_postgres() {
    let app = App::start(binary()).await;
    let (athlete, position) = trained(&app).await;
    // So that revisions are those of after the workout.
    for path in KEPT {
        athlete.get_at(path, &position).await.expect(200);
    }
    let mut tags = Vec::new();
    for path in KEPT {
        let answer = athlete.get(path).await.expect(200);
        tags.push((path, answer.header("etag").to_owned(), answer.data().clone()));
    }
    // Nobody can read these models now.
    let mut postgres = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let lock = "begin; lock table history_v6.checkpoints, stats_v3.checkpoints, \
                records_v3.checkpoints in access exclusive mode";
    postgres.execute(lock).await.unwrap();
    let began = Instant::now();
    for (path, tag, data) in &tags {
        let answer = conditional(&athlete, path, tag).await.expect(304);
        assert_eq!(answer.header("etag"), tag, "{path}");
        assert!(!answer.header("x-position").is_empty());
        assert_eq!(athlete.get(path).await.expect(200).data(), data, "{path}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "the revisions were looked up anew");
    postgres.execute("rollback").await.unwrap();
    // Under a tag of something else there is something to tell.
    let (path, tag, _) = &tags[0];
    conditional(&athlete, path, &tags[2].1).await.expect(200);
    conditional(&athlete, path, &format!("W/{tag}, \"other\"")).await.expect(304);
}

#[tokio::test]
async fn a_thousand_who_miss_at_once_are_one_query() {
    for redis in [None, Some(())] {
        let mut environment = vec![METRICS];
        if redis.is_none() {
            environment.push(("REDIS_URL", ""));
        }
        let app = App::start_with(binary(), &environment).await;
        let (athlete, position) = trained(&app).await;
        athlete.get_at("/v1/workouts", &position).await.expect(200);
        // Slow, so that all of them come while it is made.
        let mut postgres = PgConnection::connect(&app.database.owner_url()).await.unwrap();
        postgres.execute("begin; lock table history_v6.workout_sets").await.unwrap();
        let before = found(&app.api).await;
        let mut asking = JoinSet::new();
        for _ in 0..1000 {
            let athlete = athlete.clone();
            asking.spawn(async move { athlete.get("/v1/history").await.expect(200) });
        }
        sleep(Duration::from_millis(1500)).await;
        postgres.execute("rollback").await.unwrap();
        let answers = asking.join_all().await;
        assert!(answers.iter().all(|answer| answer.data() == answers[0].data()));
        let after = found(&app.api).await;
        let more = |place: &str| {
            let count = |found: &BTreeMap<String, f64>| found.get(place).copied().unwrap_or(0.0);
            count(&after) - count(&before)
        };
        let kept = more("process") + more("redis");
        assert_eq!((more("nowhere"), kept), (1.0, 999.0), "{redis:?}");
    }
}

#[tokio::test]
async fn a_projector_that_tells_nobody_is_believed_within_seconds() {
    let mut app = App::start(binary()).await;
    // As one that dies after each commit.
    app.projector = None;
    let url = app.database.projector_url();
    let environment = [("DATABASE_URL", url.as_str())];
    let environment = [&environment[..], &testkit::SECRETS].concat();
    app.projector = Some(Process::start(binary(), &["projector", "--all"], &environment));
    let (athlete, position) = trained(&app).await;
    // It begins while others are at work, and a query waits three seconds.
    eventually("the new projector at work", async || {
        (athlete.get_at("/v1/history", &position).await.status == 200).then_some(())
    })
    .await;
    athlete.get("/v1/history").await.expect(200);
    let workout = athlete.start_workout(json!({})).await;
    let set = athlete.log_set(&workout, bench(8, 60)).await.expect(201);
    let seen = athlete.get_at("/v1/history", set.position()).await.expect(200);
    assert_eq!(seen.meta()["count"], 2, "who names a position is told the truth at once");
    eventually("others who see it", async || {
        (athlete.get("/v1/history").await.expect(200).meta()["count"] == 2).then_some(())
    })
    .await;
}

async fn redis(folder: &std::path::Path) -> Redis {
    let folder = folder.to_owned();
    spawn_blocking(move || Redis::start(&folder).unwrap()).await.unwrap()
}

pub(crate) async fn connect(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Each of the kept readings.
async fn all(client: &Client, position: &str) -> Vec<(Value, String)> {
    let mut all = Vec::new();
    for path in KEPT {
        let answer = client.get_at(path, position).await.expect(200);
        let by_itself = client.get(path).await.expect(200);
        assert_eq!(by_itself.data(), answer.data(), "{path}");
        all.push((answer.data().clone(), answer.header("etag").to_owned()));
    }
    all
}

#[tokio::test]
async fn redis_that_holds_rubbish_is_flushed_slow_or_away_changes_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let redis = redis(folder.path()).await;
    let url = redis.url();
    // Of a process that keeps nothing itself, for what is asked is asked once of each.
    let app = App::start_with(binary(), &[("REDIS_URL", url.as_str())]).await;
    let (athlete, position) = trained(&app).await;
    let (someone, of_theirs) = trained(&app).await;
    let workout = someone.start_workout(json!({ "title": "Another" })).await;
    let later = someone.log_set(&workout, bench(3, 140)).await.expect(201);
    let (mine, theirs) = (all(&athlete, &position).await, all(&someone, later.position()).await);
    assert_ne!(mine, theirs);
    assert_ne!(of_theirs, later.position());

    let mut connection = connect(&url).await;
    let keys: Vec<String> = eventually("answers in Redis", async || {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("*:answer:*").query_async(&mut connection).await.unwrap();
        (keys.len() >= 2 * KEPT.len()).then_some(keys)
    })
    .await;
    let rubbish: [&[u8]; 4] = [b"", b"rubbish", b"{\"status\":200}", &[0xff; 5000]];
    let kinds: [&[&str]; 2] = [&["*:answer:*"], &["*:answer:*", "*:revision:*"]];
    for (round, patterns) in kinds.into_iter().enumerate() {
        let mut spoiled = 0;
        for pattern in patterns {
            let keys: Vec<String> =
                redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
            for key in keys {
                let what = rubbish[spoiled % rubbish.len()];
                let mut command = redis::cmd("SET");
                command.arg(&key).arg(what).arg("XX").arg("KEEPTTL");
                command.query_async::<()>(&mut connection).await.unwrap();
                spoiled += 1;
            }
        }
        assert!(spoiled > 0);
        // One that has none of it itself.
        let (_fresh, url) = app.another_api().await;
        assert_eq!(all(&athlete.at(&url), &position).await, mine, "{round}");
        assert_eq!(all(&someone.at(&url), later.position()).await, theirs, "{round}");
    }
    // One athlete's answers at the place of another's, and of another question.
    let mut values: Vec<Vec<u8>> = Vec::new();
    for key in &keys {
        let value = redis::cmd("GET").arg(key).query_async(&mut connection).await.unwrap();
        values.push(value);
    }
    values.rotate_left(1);
    for (key, value) in keys.iter().zip(&values) {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(&value[..]).arg("KEEPTTL");
        command.query_async::<()>(&mut connection).await.unwrap();
    }
    let (_fresh, at) = app.another_api().await;
    assert_eq!(all(&athlete.at(&at), &position).await, mine);
    assert_eq!(all(&someone.at(&at), later.position()).await, theirs);
    // Something that is no text, for which the others are not given up.
    let key = &keys[0];
    redis::cmd("DEL").arg(key).query_async::<()>(&mut connection).await.unwrap();
    redis::cmd("LPUSH").arg(key).arg("x").query_async::<()>(&mut connection).await.unwrap();
    let (fresh, at) = app.another_api_with(&[METRICS]).await;
    assert_eq!(all(&athlete.at(&at), &position).await, mine);
    assert_eq!(all(&someone.at(&at), later.position()).await, theirs);
    let there = found(&fresh).await;
    assert!(there["redis"] >= 10.0, "{there:?}");

    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(all(&athlete, &position).await, mine);
    // Slow, while something changes.
    let pause = ["PAUSE", "3000", "ALL"];
    redis::cmd("CLIENT").arg(&pause).query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(all(&athlete, &position).await, mine);
    let set = someone.log_set(&workout, bench(2, 150)).await.expect(201);
    let slow = all(&someone, set.position()).await;
    assert_ne!(slow, theirs);
    // Away, while something changes.
    let stopping = spawn_blocking(move || redis.stop().map(|()| redis)).await.unwrap().unwrap();
    let set = someone.log_set(&workout, bench(1, 160)).await.expect(201);
    let away = all(&someone, set.position()).await;
    assert_ne!(away, slow);
    assert_eq!(all(&athlete, &position).await, mine);
    drop(stopping);
    assert_eq!(app.errors(), [""; 0]);
}

/// Between two rounds of who races.
const BREATH: Duration = Duration::from_millis(40);

/// What one athlete does for a while, looking at it on one process or the other: nothing may be older
/// than what they did last.
async fn races(mine: Client, there: Client, until: Instant) -> u32 {
    let (mut rounds, mut count) = (0, 0);
    let workout = mine.start_workout(json!({})).await;
    while Instant::now() < until {
        rounds += 1;
        // Other tests run beside, some of which wait for what is to come within a quarter of a second.
        sleep(BREATH).await;
        let weight = 40 + rounds % 200;
        let answer = mine.log_set(&workout, bench(5, weight)).await.expect(201);
        count += 1;
        let set = answer.data()["set"]["id"].as_str().unwrap();
        let mut position = answer.position().to_owned();
        if rounds % 3 == 0 {
            let removed = mine.delete(&format!("{workout}/sets/{set}")).await.expect(200);
            position = removed.position().to_owned();
            count -= 1;
        }
        // Several at once, so that fills and drops meet, some of which ask for nothing in particular.
        let mut reading = JoinSet::new();
        for reader in 0..6 {
            let client = if reader % 2 == 0 { mine.clone() } else { there.clone() };
            let position = (reader < 4).then(|| position.clone());
            reading.spawn(async move {
                let path = "/v1/workouts?status=active";
                match &position {
                    Some(position) => (client.get_at(path, position).await.expect(200), true),
                    None => (client.get(path).await.expect(200), false),
                }
            });
        }
        for (answer, named) in reading.join_all().await {
            let shown = answer.list()[0]["sets"].as_array().unwrap().len();
            if named {
                assert_eq!(shown, count, "round {rounds}: {}", answer.body);
            } else {
                assert!(shown + 2 >= count && shown <= count + 1, "round {rounds}: {shown}");
            }
        }
        if count > 60 {
            // A workout takes only so many sets.
            let shown = mine.get(&workout).await.expect(200);
            for set in shown.data()["sets"].as_array().unwrap() {
                let path = format!("{workout}/sets/{}", set["id"].as_str().unwrap());
                mine.delete(&path).await.expect(200);
            }
            count = 0;
        }
    }
    rounds
}

/// A coach whose right comes and goes, and an athlete who opens and closes their profile: whoever may not see
/// something is never shown it, out of no cache.
async fn rights(app: &App, url: &str, until: Instant) -> u32 {
    let client = app.athlete().await;
    let coach = app.grant(&app.athlete().await, &["--role", "coach"]).await;
    let id = |client: &Client| client.athlete.unwrap().to_string();
    let workout = client.start_workout(json!({})).await;
    client.log_bench(&workout, 5, 100).await;
    let routine = json!({ "name": "Open", "public": true, "exercises": [
        { "exercise": "bench-press-barbell", "sets": [{ "reps": { "min": 5, "max": 8 } }] },
    ] });
    client.post("/v1/routines", routine).await.expect(201);
    let public = format!("/v1/athletes/{}/routines", id(&client));
    let mut rounds = 0;
    while Instant::now() < until {
        rounds += 1;
        sleep(BREATH).await;
        let asked = coach.post("/v1/coaching/clients", json!({ "athlete": id(&client) })).await;
        let invitation = asked.expect(201).data()["invitation"].clone();
        let path = format!("/v1/coaching/coaches/{}", id(&coach));
        let accept = json!({ "invitation": invitation });
        client.post(&format!("{path}/accept"), accept).await.expect(200);
        client
            .patch("/v1/athletes/me", json!({ "privacy": { "private_profile": false } }))
            .await
            .expect(200);
        for acting in [coach.acting_for(&client), coach.at(url).acting_for(&client)] {
            acting.get("/v1/history").await.expect(200);
            acting.get("/v1/records").await.expect(200);
        }
        for reader in [coach.clone(), coach.at(url)] {
            reader.get(&public).await.expect(200);
        }
        client.delete(&path).await.expect(200);
        client
            .patch("/v1/athletes/me", json!({ "privacy": { "private_profile": true } }))
            .await
            .expect(200);
        for acting in [coach.acting_for(&client), coach.at(url).acting_for(&client)] {
            acting.get("/v1/history").await.refused(403, "NOT_A_CLIENT");
            acting.get("/v1/records").await.refused(403, "NOT_A_CLIENT");
        }
        for reader in [coach.clone(), coach.at(url)] {
            reader.get(&public).await.refused(404, "NOT_FOUND");
        }
    }
    rounds
}

#[tokio::test]
async fn fills_and_drops_that_race_for_a_minute_show_nothing_old_and_nothing_private() {
    let app = App::start_with(binary(), &[METRICS]).await;
    let (other, url) = app.another_api().await;
    let until = Instant::now() + Duration::from_secs(60);
    let mut racing = JoinSet::new();
    for _ in 0..3 {
        let athlete = app.athlete().await;
        racing.spawn(races(athlete.clone(), athlete.at(&url), until));
    }
    let rights = rights(&app, &url, until).await;
    let rounds: u32 = racing.join_all().await.iter().sum();
    assert!(rights > 5 && rounds > 100, "{rights} and {rounds} rounds are no race");
    for process in [&app.api, &other] {
        let found = found(process).await;
        assert!(found["nowhere"] > 50.0 && found["process"] > 50.0, "{found:?}");
    }
    assert_eq!(app.errors(), [""; 0]);
}
