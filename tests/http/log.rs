//! `GET /v1/log` and `ironledger log`: everything is there, in order, for admins alone.

use std::collections::BTreeSet;

use events::StreamKind;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use testkit::{App, Client, PASSWORD, Process, bench, eventually, new_id};
use uuid::Uuid;

use crate::{app, binary};

/// An athlete who has become admin, signed in anew.
pub(crate) async fn admin(app: &App) -> Client {
    let client = app.athlete().await;
    let email = client.email.clone().unwrap();
    let (status, said) = app.run(&["admin", "grant", "--email", &email, "--role", "admin"]).await;
    assert!(status.success(), "{said}");
    let login = json!({ "email": email, "password": PASSWORD });
    let signed_in = app.client().post("/v1/auth/login", login).await.expect(200);
    client.with_token(signed_in.data()["access_token"].as_str().unwrap())
}

/// Where an event stands.
fn place(event: &Value) -> (i64, i64) {
    (event["partition"].as_i64().unwrap(), event["position"].as_i64().unwrap())
}

/// All that a query finds, page by page, and how many pages that took.
async fn walk(admin: &Client, query: &str) -> (Vec<Value>, usize) {
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = admin.get(&format!("/v1/log?{query}{cursor}")).await.expect(200);
        assert_eq!(page.meta()["count"], page.list().len());
        found.extend(page.list().to_vec());
        pages += 1;
        match page.meta()["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(found.iter().map(place).is_sorted_by(|a, b| a < b), "{query}: by place, each once");
    (found, pages)
}

/// The places that a condition on the events has, as the database tells.
async fn places(app: &App, condition: &str) -> Vec<(i64, i64)> {
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let sql = format!(
        "select partition::int8, position from log.readable where {condition} order by 1, 2"
    );
    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut owner).await.unwrap()
}

#[tokio::test]
async fn all_pages_are_all_events_whatever_is_looked_for() {
    let app = App::without_projector(binary()).await;
    let admin = admin(&app).await;
    let shared = new_id();
    let mut athletes = Vec::new();
    for _ in 0..8 {
        let athlete = app.athlete().await;
        // The same id with each of them.
        let workout = athlete.start_workout(json!({ "id": shared, "title": "Legs" })).await;
        for reps in 1..=6 {
            athlete.log_bench(&workout, reps, 100).await;
        }
        athlete.delete(&athlete.log_bench(&workout, 7, 100).await).await.expect(200);
        athletes.push(athlete);
    }
    let some = athletes[3].athlete.unwrap();
    let (all, _) = walk(&admin, "limit=100").await;
    assert_eq!(all.iter().map(place).collect::<Vec<_>>(), places(&app, "true").await);
    let middle = all.iter().map(|event| event["recorded_at"].as_str().unwrap());
    let middle: BTreeSet<&str> = middle.collect();
    let at = *middle.iter().nth(middle.len() / 2).unwrap();
    let partition = all[20]["partition"].as_i64().unwrap();

    for (query, condition) in [
        (format!("partition={partition}"), format!("partition = {partition}")),
        ("partition=99".into(), "false".into()),
        ("type=SetLogged".into(), "type = 'SetLogged'".into()),
        (
            "type=SetRemoved&type=WorkoutStarted".into(),
            "type in ('SetRemoved', 'WorkoutStarted')".into(),
        ),
        (
            "type=SetRemoved,AthleteRegistered".into(),
            "type in ('SetRemoved', 'AthleteRegistered')".into(),
        ),
        (format!("athlete={some}"), format!("owner = '{some}'")),
        (format!("athlete={}", new_id()), "false".into()),
        (format!("stream=workout-{shared}"), format!("stream = 'workout-{shared}'")),
        (
            format!("stream=workout-{shared}&athlete={some}&type=SetLogged"),
            format!("stream = 'workout-{shared}' and owner = '{some}' and type = 'SetLogged'"),
        ),
        (format!("stream=athlete-{some}"), format!("stream = 'athlete-{some}'")),
        (format!("stream=exercises-{some}"), "false".into()),
        (format!("from={at}"), format!("recorded_at >= '{at}'")),
        (format!("to={at}"), format!("recorded_at < '{at}'")),
        (format!("from={at}&to={at}"), "false".into()),
        (
            format!("from={at}&stream=workout-{shared}&partition={partition}"),
            format!(
                "recorded_at >= '{at}' and stream = 'workout-{shared}' and partition = {partition}"
            ),
        ),
    ] {
        let expected = places(&app, &condition).await;
        for limit in [1, 7, 100] {
            let (found, pages) = walk(&admin, &format!("{query}&limit={limit}")).await;
            assert_eq!(found.iter().map(place).collect::<Vec<_>>(), expected, "{query}");
            assert_eq!(pages, expected.len().div_ceil(limit).max(1), "{query}&limit={limit}");
        }
    }
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn an_event_says_everything_but_what_is_personal() {
    let app = app().await;
    let (admin, athlete) = (admin(&app).await, app.athlete().await);
    let body = json!({ "title": "clear-title", "started_at": "2026-01-02T03:04:05Z" });
    let request = athlete.request(reqwest::Method::POST, "/v1/workouts").json(&body);
    let request = request.header("x-device-id", "watch-7").header("x-request-id", "try-1");
    let workout = testkit::Answer::to(request).await.expect(201).header("location").to_owned();
    let stream = format!("workout-{}", workout.rsplit('/').next().unwrap());

    let found = admin.get(&format!("/v1/log?stream={stream}")).await.expect(200);
    let [event] = found.list() else { panic!("one event: {}", found.body) };
    let metadata = &event["metadata"];
    assert_eq!(event["stream"], stream);
    assert_eq!(event["owner"], json!(athlete.athlete));
    assert_eq!((&event["type"], &event["type_version"]), (&json!("WorkoutStarted"), &json!(1)));
    assert_eq!(event["version"], 1);
    assert!(event["epoch"].as_i64().unwrap() > 0 && event["recorded_at"].is_string());
    assert_eq!(metadata["actor"], format!("athlete:{}", athlete.athlete.unwrap()));
    assert_eq!((&metadata["device"], &metadata["request"]), (&json!("watch-7"), &json!("try-1")));
    assert_eq!(metadata["channel"], "api");
    assert_eq!(metadata["occurred_at"], "2026-01-02T03:04:05Z");
    assert!(metadata["correlation"].is_string() && metadata["causation"].is_string());
    assert_ne!(metadata["correlation"], metadata["causation"], "the request and the command");
    assert!(event["payload"]["details"]["title"]["sealed"].is_string());
    assert!(!found.body.to_string().contains("clear-title"));
}

#[tokio::test]
async fn the_log_is_for_admins_and_everything_wrong_is_named() {
    let app = app().await;
    let admin = admin(&app).await;
    // Who it is comes before what it says.
    app.client().get("/v1/log?limit=0").await.refused(401, "TOKEN_MISSING");
    app.athlete().await.get("/v1/log?limit=0").await.refused(403, "FORBIDDEN");

    let bad = "/v1/log?partition=x&stream=set-1&type=SetTeleported&athlete=1&from=now\
        &to=2026-01-01&limit=101&cursor=x&order=desc";
    let refused = admin.get(bad).await.refused(400, "VALIDATION_ERROR");
    let fields =
        ["athlete", "cursor", "from", "limit", "order", "partition", "stream", "to", "type"];
    assert_eq!(refused.error_fields(), fields);
    assert!(refused.body.to_string().contains("WorkoutStarted"), "the known types are told");

    for (query, field) in [
        ("partition=-1", "partition"),
        ("partition=40000", "partition"),
        ("partition=", "partition"),
        ("partition=05", "partition"),
        ("type=", "type"),
        ("type=SetLogged,", "type"),
        ("type=SetLogged&type=Nope", "type"),
        ("stream=workout-", "stream"),
        ("stream=workout-%00", "stream"),
        ("athlete=9b2d6f0e-3c1a-4f57-8e21-5a0c7d9e4b11", "athlete"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("to=2026-01-02T00:00:00", "to"),
        ("limit=-1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=eyJzIjoi", "cursor"),
        // A cursor of another route.
        ("cursor=NQ", "cursor"),
    ] {
        let refused = admin.get(&format!("/v1/log?{query}")).await;
        assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), [field], "{query}");
    }
    // Cursors that no answer gave, but that read like one.
    for (cursor, count) in [
        (r#"{"partition":-5,"position":-9}"#, None),
        (r#"{"partition":32767,"position":9223372036854775807}"#, Some(0)),
        (r#"{"partition":0,"position":-9223372036854775808}"#, None),
    ] {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let page = admin.get(&format!("/v1/log?cursor={}", URL_SAFE_NO_PAD.encode(cursor))).await;
        let found = page.expect(200).list().len();
        assert!(count.is_none_or(|count| count == found), "{cursor}");
    }
    let plus = "/v1/log?from=2026-01-01T01:00:00+01:00&limit=1";
    assert_eq!(admin.get(plus).await.expect(200).list().len(), 1, "an unescaped plus");
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn unknown_events_are_shown_and_a_page_looks_at_so_many_rows() {
    let app = App::without_projector(binary()).await;
    let (admin, athlete) = (admin(&app).await, app.athlete().await);
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    // As a later program writes them: a type, a kind of stream and metadata that this one does not
    // know, and text that is no JSON at all.
    let partition = 5;
    let later = |kind: i16, stream: Uuid, count: i64, payload: &str| {
        format!(
            "insert into log.events (partition, position, epoch, owner, stream_kind, stream_id,
                 version, type, type_version, recorded_at, metadata, payload)
             select {partition}, head + n, 1, '{}', {kind}, '{stream}', n, 'SetDreamt', 7, now(),
                 '{{\"mood\":1}}', '{payload}'
             from generate_series(1, {count}) as n, (
                 select coalesce(max(position), 0) as head from log.events
                 where partition = {partition}
             ) as last",
            athlete.athlete.unwrap(),
        )
    };
    let long = new_id();
    for sql in [
        later(99, new_id(), 6000, r#"{"depth": 1.50}"#),
        later(StreamKind::Workout.code(), long, 6000, "{}"),
        later(99, new_id(), 1, "{not json"),
    ] {
        owner.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    let (found, _) = walk(&admin, &format!("partition={partition}&limit=100")).await;
    assert_eq!(found.iter().map(place).collect::<Vec<_>>(), places_of(&app, partition).await);
    let dreamt: Vec<&Value> = found.iter().filter(|event| event["type"] == "SetDreamt").collect();
    assert_eq!(dreamt.len(), 12_001);
    assert!(dreamt[0]["stream"].as_str().unwrap().starts_with("kind99-"));
    assert_eq!(dreamt[0]["metadata"], json!({ "mood": 1 }));
    assert_eq!(dreamt[0]["payload"], json!({ "depth": 1.5 }));
    assert_eq!(dreamt[12_000]["payload"], "{not json", "text");

    // A stream of more events than a page looks at.
    let (found, _) = walk(&admin, &format!("stream=workout-{long}&limit=100")).await;
    assert_eq!(found.len(), 6000);

    // Nothing to be found among them, and so pages that are empty but go on.
    let (found, pages) = walk(&admin, &format!("partition={partition}&type=SetRemoved")).await;
    assert_eq!((found.len(), pages), (0, 3));
    let (_, pages) = walk(&admin, "type=SetRemoved&from=2999-01-01T00:00:00Z").await;
    assert_eq!(pages, 1, "a span of time is found without looking at what is before it");

    let (status, said) = app.run(&["log", "show", "5", "1"]).await;
    assert!(status.success() && said.contains("partition 5 position 1"), "{said}");
    let (_, said) = app.run(&["log", "tail", "--partition", "5", "--lines", "2"]).await;
    assert_eq!(said.matches("SetDreamt v7").count(), 2, "{said}");
    let (_, said) = app.run(&["log", "stats"]).await;
    assert!(said.contains("types of the newest 20"), "counted as far as it says: {said}");
    assert_eq!(app.errors(), Vec::<String>::new());
}

async fn places_of(app: &App, partition: i64) -> Vec<(i64, i64)> {
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    // Not by the view, which casts what is no JSON.
    let sql = "select partition::int8, position from log.events where partition = $1 order by 2";
    sqlx::query_as(sql).bind(partition).fetch_all(&mut owner).await.unwrap()
}

#[tokio::test]
async fn the_command_line_shows_the_log() {
    let app = App::without_projector(binary()).await;
    let athlete = app.athlete().await;
    let id = athlete.athlete.unwrap().to_string();
    let workout = athlete.start_workout(json!({ "title": "clear-title" })).await;
    let stream = format!("workout-{}", workout.rsplit('/').next().unwrap());
    for reps in 1..=5 {
        athlete.log_bench(&workout, reps, 100).await;
    }
    let url = app.database.projector_url();
    // Without secrets, and as somebody who may do little more than read.
    let start = |arguments: &[&str]| Process::start(binary(), arguments, &[("DATABASE_URL", &url)]);
    let run = async |arguments: &[&str], good: bool| {
        let mut process = start(arguments);
        let status = process.ended().await;
        let said = process.output();
        assert_eq!(status.success(), good, "{arguments:?}: {said}");
        assert!(!said.contains("clear-title") && !said.contains("panicked"), "{said}");
        said
    };
    let lines = |said: &str| -> Vec<Value> {
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };

    let said = run(&["log", "tail", "--lines", "3"], true).await;
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.lines().all(|line| line.contains("SetLogged v2") && line.ends_with("self")));
    let said = run(&["log", "tail", "--json", "--type", "WorkoutStarted"], true).await;
    assert_eq!(lines(&said)[0]["stream"], stream);
    let said = run(&["log", "tail", "--json", "--athlete", &id, "--lines", "1000"], true).await;
    let positions: Vec<i64> =
        lines(&said).iter().map(|event| event["position"].as_i64().unwrap()).collect();
    assert_eq!(positions, (1..=7).collect::<Vec<i64>>(), "oldest first");
    let partition = lines(&said)[0]["partition"].clone();

    let said = run(&["log", "show", &partition.to_string(), "3"], true).await;
    assert!(said.starts_with("SetLogged v2") && said.contains("\"reps\": 1"), "{said}");
    let said = run(&["log", "show", &stream, "--athlete", &id, "--json"], true).await;
    let versions = lines(&said).iter().map(|event| event["version"].as_i64()).collect::<Vec<_>>();
    assert_eq!(versions, (1..=6).map(Some).collect::<Vec<_>>());

    let said = run(&["log", "stats"], true).await;
    for wanted in ["types of all 7 events", "SetLogged v2", "events_0_to_7"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let said = lines(&run(&["log", "stats", "--json"], true).await);
    let of = said.iter().find(|line| line["partition"] == partition).unwrap();
    assert_eq!((&of["position"], &of["last_hour"]), (&json!(7), &json!(7)));

    let nobody = new_id().to_string();
    for (arguments, why) in [
        (&["log", "show", "3", "99"][..], "no event at position 99"),
        (&["log", "show", "99", "1"], "no event"),
        (&["log", "show", "3", "-1"], "-1"),
        (&["log", "show", "three", "1"], "must be a number"),
        (&["log", "show", &stream], "--athlete"),
        (&["log", "show", &stream, "--athlete", &nobody], "has no stream"),
        (&["log", "show", "sets-1"], "stream"),
        (&["log", "tail", "--type", "Nope"], "must be one of"),
        (&["log", "tail", "--lines", "1001"], "1001"),
    ] {
        let said = run(arguments, false).await;
        assert!(said.contains(why), "{arguments:?}: {said}");
    }

    let following = start(&["log", "tail", "--follow", "--lines", "1", "--type", "SetLogged"]);
    eventually("the last event", async || following.output().contains(" 7  ").then_some(())).await;
    athlete.complete(&workout, json!({})).await.expect(200);
    for _ in 0..2 {
        athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    }
    eventually("what happens then", async || {
        (following.output().lines().count() == 3).then_some(())
    })
    .await;
    let mut following = following;
    assert!(following.stop().await.success(), "{}", following.output());
}
