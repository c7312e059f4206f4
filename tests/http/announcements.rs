//! What is announced of records on the log: once, and what is true.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{App, Client, bench, eventually};

use crate::{app, binary};

/// What was announced to an athlete, in order: the type and what it says.
async fn announced(app: &App, athlete: &Client) -> Vec<(String, Value)> {
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select type, payload from log.events where owner = $1 and stream_kind = 6
         order by version",
    )
    .bind(athlete.athlete.unwrap())
    .fetch_all(&mut owner)
    .await
    .unwrap();
    rows.into_iter().map(|(kind, said)| (kind, serde_json::from_str(&said).unwrap())).collect()
}

/// The same, once there are so many.
pub(crate) async fn so_many(app: &App, athlete: &Client, count: usize) -> Vec<(String, Value)> {
    eventually("announcements", async || {
        Some(announced(app, athlete).await).filter(|said| said.len() >= count)
    })
    .await
}

/// What an announcement says of a kind of record.
fn of<'a>(said: &'a (String, Value), kind: &str) -> &'a Value {
    let records = said.1["records"].as_array().unwrap();
    records.iter().find(|record| record["kind"] == kind).unwrap_or(&Value::Null)
}

/// Waits until nothing is marked for the athlete any more.
async fn quiet(app: &App, athlete: &Client, position: &str) {
    athlete.get_at("/v1/records", position).await.expect(200);
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    eventually("no mark", async || {
        let marks: i64 =
            sqlx::query_scalar("select count(*) from projector.marks where owner = $1")
                .bind(athlete.athlete.unwrap())
                .fetch_one(&mut owner)
                .await
                .unwrap();
        (marks == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_record_is_announced_within_a_second_and_revoked_when_it_is_lost() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    let said = so_many(&app, &athlete, 1).await;
    assert_eq!((said[0].0.as_str(), &said[0].1["first"]), ("PRAchieved", &json!(true)));
    assert_eq!(of(&said[0], "heaviest_weight")["holder"]["figure"], "100");
    assert!(of(&said[0], "heaviest_weight")["previous"].is_null());
    assert!(of(&said[0], "session_volume").is_null(), "the session goes on");

    let best = athlete.log_set(&workout, bench(5, 110)).await.expect(201);
    let began = Instant::now();
    let said = so_many(&app, &athlete, 2).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!((said[1].0.as_str(), &said[1].1["first"]), ("PRAchieved", &json!(false)));
    let moved = of(&said[1], "heaviest_weight");
    assert_eq!(moved["holder"]["figure"], "110");
    assert_eq!(moved["previous"]["figure"], "100");
    assert_eq!(moved["holder"]["set_id"], best.data()["set"]["id"]);
    assert!(of(&said[1], "most_reps").is_null(), "five repetitions stay the first set's");

    athlete.complete(&workout, json!({})).await.expect(200);
    let said = so_many(&app, &athlete, 3).await;
    assert_eq!(of(&said[2], "session_volume")["holder"]["figure"], "1050");
    athlete.delete(best.header("location")).await.expect(200);
    let said = so_many(&app, &athlete, 4).await;
    assert_eq!(said[3].0, "PRRevoked");
    let moved = of(&said[3], "heaviest_weight");
    assert_eq!(moved["previous"]["figure"], "110");
    assert_eq!(moved["holder"]["figure"], "100");
    let gone = athlete.delete(&workout).await.expect(200);
    let said = so_many(&app, &athlete, 5).await;
    assert!(of(&said[4], "heaviest_weight")["holder"].is_null(), "{:?}", said[4]);

    quiet(&app, &athlete, gone.position()).await;
    assert_eq!(announced(&app, &athlete).await.len(), 5, "and nothing more");
}

#[tokio::test]
async fn what_came_and_went_is_not_announced_in_the_end() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    so_many(&app, &athlete, 1).await;
    for _ in 0..10 {
        let set = athlete.log_bench(&workout, 5, 120).await;
        athlete.delete(&set).await.expect(200);
    }
    let last = athlete.log_set(&workout, bench(5, 90)).await.expect(201);
    quiet(&app, &athlete, last.position()).await;
    let mut held = json!(null);
    for said in announced(&app, &athlete).await {
        let moved = of(&said, "heaviest_weight");
        if !moved.is_null() {
            held = moved["holder"]["figure"].clone();
        }
    }
    assert_eq!(held, "100", "whatever was said on the way");
}

#[tokio::test]
async fn an_import_is_summed_up_and_replays_say_nothing() {
    // With a product of its own, whose models are replayed.
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let mut csv =
        "title,start_time,end_time,description,exercise_title,superset_id,exercise_notes,\
                   set_index,set_type,weight_kg,reps,distance_km,duration_seconds,rpe\n"
            .to_owned();
    for day in 1..=25 {
        for (exercise, kg) in [("Bench Press (Barbell)", 60 + day), ("Squat (Barbell)", 80 + day)] {
            csv += &format!(
                "Push,\"{day} Jan 2025, 08:00\",\"{day} Jan 2025, 09:00\",,{exercise},,,0,normal,\
                 {kg},5,,,\n"
            );
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.csv");
    std::fs::write(&file, csv).unwrap();
    let email = athlete.email.clone().unwrap();
    let arguments = ["import", "--format", "hevy", file.to_str().unwrap(), "--athlete", &email];
    let (status, output) = app.run(&[&arguments[..], &["--time-zone", "UTC"]].concat()).await;
    assert!(status.success(), "{output}");
    let said = so_many(&app, &athlete, 2).await;
    let kinds: Vec<&str> = said.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["RecordsRestated", "RecordsRestated"], "one for each exercise");
    assert!(said.iter().all(|(_, said)| said["reason"] == "imported"));

    // What beats an import is news.
    let workout = athlete.start_workout(json!({})).await;
    let beats = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    let said = so_many(&app, &athlete, 3).await;
    assert_eq!((said[2].0.as_str(), &said[2].1["first"]), ("PRAchieved", &json!(false)));
    quiet(&app, &athlete, beats.position()).await;

    let url = app.database.projector_url();
    let (status, output) = app.run_as(&url, &["replay", "records", "--verify"]).await;
    assert!(status.success(), "{output}");
    let url = app.database.emitter_url();
    let (status, output) = app.run_as(&url, &["records", "reconcile"]).await;
    assert!(status.success() && output.contains("2 exercises looked at, 0 events"), "{output}");
    quiet(&app, &athlete, beats.position()).await;
    assert_eq!(announced(&app, &athlete).await.len(), 3, "and nothing more");
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn whatever_dies_on_the_way_nothing_is_said_twice() {
    let mut app = App::start(binary()).await;
    let athletes = [app.athlete().await, app.athlete().await, app.athlete().await];
    let mut workouts = Vec::new();
    for athlete in &athletes {
        workouts.push(athlete.start_workout(json!({})).await);
    }
    let mut last = Vec::new();
    for round in 0..12_u32 {
        last.clear();
        for (athlete, workout) in athletes.iter().zip(&workouts) {
            let kg = 50 + round;
            let set = athlete.log_set(workout, bench(5, kg)).await.expect(201);
            last.push(set.position().to_owned());
        }
        match round % 3 {
            0 => app.start_emitter(),
            1 => app.start_projector(),
            _ => {}
        }
    }
    for (athlete, position) in athletes.iter().zip(&last) {
        let path = "/v1/records/bench-press-barbell";
        eventually("records", async || {
            (athlete.get_at(path, position).await.status == 200).then_some(())
        })
        .await;
        quiet(&app, athlete, position).await;
        let said = announced(&app, athlete).await;
        let mut held = json!(null);
        for said in &said {
            let moved = of(said, "heaviest_weight");
            assert_eq!(moved["previous"]["figure"], held, "each goes on where the last ended");
            held = moved["holder"]["figure"].clone();
        }
        assert_eq!(held, "61", "{said:?}");
        assert_eq!(said.iter().filter(|(_, said)| said["first"] == true).count(), 1);
    }
}
