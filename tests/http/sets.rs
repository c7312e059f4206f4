//! `/v1/workouts/{id}/sets`: log, correct, remove, in any unit and any number of times.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{Answer, App, bench, new_id};
use tokio::task::JoinSet;

use crate::{app, binary};

#[tokio::test]
async fn pounds_stay_pounds_and_convert_when_asked() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let mut set = bench(5, 0);
    set["weight"] = json!({ "value": 225, "unit": "lb" });
    let logged = athlete.log_set(&workout, set).await.expect(201);
    let last = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    assert_eq!(
        logged.data()["set"]["weight"],
        json!({ "value": 225, "unit": "lb", "kg": 102.05828325 })
    );

    let weights = async |path: &str| {
        let answer = athlete.get_at(path, last.position()).await.expect(200);
        let workout = answer.data().get(0).unwrap_or(answer.data()).clone();
        [0, 1].map(|at| {
            let weight = &workout["sets"][at]["weight"];
            (weight["value"].clone(), weight["unit"].clone())
        })
    };
    let typed = [(json!(225), json!("lb")), (json!(100), json!("kg"))];
    let kilos = [(json!(102.06), json!("kg")), (json!(100), json!("kg"))];
    let pounds = [(json!(225), json!("lb")), (json!(220.46), json!("lb"))];
    for (query, expected) in [("", typed), ("?unit=kg", kilos), ("?unit=lb", pounds)] {
        assert_eq!(weights(&format!("{workout}{query}")).await, expected, "{query}");
        assert_eq!(weights(&format!("/v1/history{query}")).await, expected, "{query}");
    }
    athlete.get(&format!("{workout}?unit=stone")).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn one_side_and_floors_are_kept_shown_and_corrected() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let plain = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    assert_eq!(plain.data()["set"]["side"], "both");
    assert_eq!(plain.data()["set"]["custom_metric"], Value::Null);
    let stairs = json!({
        "id": new_id(), "exercise": "stair-machine", "number": 1, "duration_seconds": 600,
        "side": "left", "custom_metric": { "kind": "floors", "value": 42.5 },
    });
    let logged = athlete.log_set(&workout, stairs.clone()).await.expect(201);
    assert_eq!(logged.data()["set"]["side"], "left");
    assert_eq!(logged.data()["set"]["custom_metric"], stairs["custom_metric"]);
    let again = athlete.log_set(&workout, stairs.clone()).await.expect(201);
    assert_eq!(again.position(), logged.position());
    let mut other_side = stairs;
    other_side["side"] = json!("both");
    athlete.log_set(&workout, other_side).await.refused(409, "ID_TAKEN");

    let path = logged.header("location");
    let nulls = athlete.patch(path, json!({ "side": null, "custom_metric": null })).await;
    assert_eq!(nulls.refused(400, "VALIDATION_ERROR").error_fields(), ["side"]);
    let steps = json!({ "side": "right", "custom_metric": { "kind": "steps", "value": 800 } });
    let corrected = athlete.patch(path, steps.clone()).await.expect(200);
    assert_eq!(corrected.data()["set"]["side"], "right");
    assert_eq!(corrected.data()["set"]["custom_metric"], steps["custom_metric"]);
    let without = athlete.patch(path, json!({ "custom_metric": null })).await.expect(200);
    let history = athlete.history("", without.position()).await;
    assert_eq!(history.list(), [athlete.get(&workout).await.data().clone()]);
    assert_eq!(history.list()[0]["sets"][1]["custom_metric"], Value::Null);

    for (bad, field) in [
        (json!({ "side": "middle" }), "side"),
        (json!({ "custom_metric": { "kind": "laps", "value": 1 } }), "custom_metric.kind"),
        (json!({ "custom_metric": { "kind": "steps" } }), "custom_metric.value"),
        (json!({ "custom_metric": { "kind": "steps", "value": "1" } }), "custom_metric.value"),
        (json!({ "custom_metric": { "kind": "steps", "value": -1 } }), "custom_metric"),
        (json!({ "custom_metric": { "kind": "steps", "value": 1e7 } }), "custom_metric"),
        (json!({ "custom_metric": 5 }), "custom_metric"),
    ] {
        let refused = athlete.patch(path, bad.clone()).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), [field], "{bad}");
    }
}

/// What was stored before sets had sides is read, decided on and corrected like any other.
#[tokio::test]
async fn a_set_of_the_first_version_is_of_both_sides() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let (id, set) = (workout.rsplit('/').next().unwrap(), new_id());
    let payload = json!({ "set_id": set, "set": {
        "exercise": "bench-press-barbell", "number": 1, "kind": "normal", "reps": 5,
        "performed_at": "2025-06-30T18:02:11Z",
    }});
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    sqlx::query(
        "insert into log.events
         select partition, position + 1, epoch, owner, stream_kind, stream_id, version + 1,
             'SetLogged', 1, recorded_at, null, null, metadata, $2
         from log.events where stream_id = $1::uuid",
    )
    .bind(id)
    .bind(payload.to_string())
    .execute(&mut owner)
    .await
    .unwrap();

    let shown = athlete.get(&workout).await.expect(200);
    assert_eq!(shown.data()["sets"][0]["side"], "both");
    let history = athlete.history("", shown.position()).await;
    assert_eq!(history.list(), [shown.data().clone()]);
    let path = format!("{workout}/sets/{set}");
    let right = athlete.patch(&path, json!({ "side": "right" })).await.expect(200);
    let history = athlete.history("", right.position()).await;
    assert_eq!(history.list()[0]["sets"][0]["side"], "right");
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_set_sent_twice_is_one_set() {
    let app = app().await;
    let (athlete, other) = (app.athlete().await, app.athlete().await);
    let workout = athlete.start_workout(json!({})).await;
    let mut set = bench(5, 100);
    set["id"] = json!(new_id());
    let first = athlete.log_set(&workout, set.clone()).await.expect(201);
    let path = first.header("location").to_owned();

    let repeated = async || {
        let again = athlete.log_set(&workout, set.clone()).await.expect(201);
        assert_eq!(again.position(), first.position());
        assert_eq!(again.data(), first.data());
        assert_eq!(again.header("etag"), first.header("etag"));
    };
    repeated().await;
    athlete.log_bench(&workout, 3, 110).await;
    athlete.patch(&path, json!({ "reps": 6 })).await.expect(200);
    repeated().await;
    athlete.delete(&path).await.expect(200);
    repeated().await;

    let mut heavier = set.clone();
    heavier["weight"]["value"] = json!(101);
    athlete.log_set(&workout, heavier).await.refused(409, "ID_TAKEN");
    let elsewhere = athlete.start_workout(json!({})).await;
    athlete.log_set(&elsewhere, set.clone()).await.refused(409, "ID_TAKEN");

    let others = other.start_workout(json!({ "id": workout.rsplit('/').next() })).await;
    assert_eq!(others, workout);
    other.log_set(&others, set.clone()).await.expect(201);
    other.patch(&path, json!({ "reps": 9 })).await.expect(200);
    assert_eq!(athlete.get(&workout).await.data()["totals"]["sets"], 1);

    athlete.complete(&workout, json!({})).await.expect(200);
    repeated().await;
    athlete.delete(&workout).await.expect(200);
    repeated().await;
}

#[tokio::test]
async fn twenty_identical_posts_leave_one_set() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let mut set = bench(5, 100);
    set["id"] = json!(new_id());
    let mut sending = JoinSet::new();
    for _ in 0..20 {
        let (athlete, workout, set) = (athlete.clone(), workout.clone(), set.clone());
        sending.spawn(async move { athlete.log_set(&workout, set).await.expect(201) });
    }
    let answers = sending.join_all().await;
    for answer in &answers {
        assert_eq!(answer.position(), answers[0].position());
        assert_eq!(answer.data(), answers[0].data());
    }
    let history = athlete.history("", answers[0].position()).await;
    assert_eq!(history.list()[0]["totals"]["sets"], 1);
}

#[tokio::test]
async fn twenty_different_sets_at_once_all_land() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let mut sending = JoinSet::new();
    for reps in 1..=20 {
        let (athlete, workout) = (athlete.clone(), workout.clone());
        sending.spawn(async move { athlete.log_set(&workout, bench(reps, 50)).await.expect(201) });
    }
    let answers = sending.join_all().await;
    let read = athlete.get(&workout).await.expect(200);
    assert_eq!(
        (&read.data()["totals"]["sets"], &read.data()["totals"]["reps"]),
        (&json!(20), &json!(210))
    );
    let mut seen: Vec<_> =
        answers.iter().map(|answer| answer.data()["workout"]["totals"]["sets"].as_u64()).collect();
    seen.sort();
    assert_eq!(seen, (1..=20).map(Some).collect::<Vec<_>>(), "each answer is a state of its own");
    let history = athlete.history("", read.position()).await;
    assert_eq!(history.list()[0]["sets"], read.data()["sets"]);
}

#[tokio::test]
async fn corrections_keep_empty_or_set_each_field() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let mut set = bench(5, 100);
    set["rpe"] = json!(9.5);
    set["kind"] = json!("drop");
    let first = athlete.log_set(&workout, set).await.expect(201);
    let path = first.header("location");

    let nothing = athlete.patch(path, json!({})).await.expect(200);
    assert_eq!(nothing.position(), first.position(), "nothing changed, so nothing happened");
    let refused = athlete.patch(path, json!({ "reps": null, "number": null, "kind": null })).await;
    let refused = refused.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["kind", "number", "reps"]);
    // Another exercise, measured otherwise.
    let refused = athlete.patch(path, json!({ "exercise": "plank" })).await;
    let refused = refused.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["duration_seconds", "reps", "weight"]);
    let plank = json!({
        "exercise": "plank", "reps": null, "weight": null, "duration_seconds": 90,
    });
    let corrected = athlete.patch(path, plank).await.expect(200);
    assert_eq!(corrected.data()["set"]["exercise"], json!({ "id": "plank", "name": "Plank" }));
    assert_eq!(corrected.data()["set"]["weight"], Value::Null);
    assert_eq!(corrected.data()["set"]["rpe"], 9.5);

    let missing = format!("{workout}/sets/{}", new_id());
    athlete.patch(&missing, json!({})).await.refused(404, "NOT_FOUND");
    athlete.delete(&missing).await.refused(404, "NOT_FOUND");
    let removed = athlete.delete(path).await.expect(200);
    assert_eq!(athlete.delete(path).await.expect(200).position(), removed.position());
    athlete.patch(path, json!({ "reps": 1 })).await.refused(404, "NOT_FOUND");

    let request = athlete.request(Method::DELETE, path).header("if-match", first.header("etag"));
    let stale = Answer::to(request).await.refused(412, "STALE");
    assert_eq!(stale.body["error"]["current"]["totals"]["sets"], 0);
}

#[tokio::test]
async fn a_workout_takes_five_hundred_sets() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({ "started_at": "2024-01-01T10:00:00Z" })).await;
    let mut sending = JoinSet::new();
    for worker in 0..4 {
        let (athlete, workout) = (athlete.clone(), workout.clone());
        sending.spawn(async move {
            for reps in 0..125 {
                athlete.log_set(&workout, bench(worker + reps, 50)).await.expect(201);
            }
        });
    }
    sending.join_all().await;
    athlete.log_set(&workout, bench(1, 1)).await.refused(409, "TOO_MANY_SETS");
    athlete.complete(&workout, json!({})).await.expect(200);
    // All of them move in one append.
    let moved = athlete.patch(&workout, json!({ "started_at": "2023-12-31T10:00:00Z" })).await;
    let history = athlete.history("", moved.expect(200).position()).await;
    assert_eq!(history.list()[0]["sets"].as_array().unwrap().len(), 500);
}

#[tokio::test]
async fn two_processes_agree_on_one_workout() {
    let app = app().await;
    let (_other, url) = app.another_api().await;
    let here = app.athlete().await;
    let there = here.at(&url);
    let workout = here.start_workout(json!({})).await;
    let mut same = bench(1, 100);
    same["id"] = json!(new_id());
    let mut sending = JoinSet::new();
    for reps in 1..=20 {
        for (client, set) in [(&here, bench(reps, 50)), (&there, bench(reps, 50))] {
            let (client, workout, same) = (client.clone(), workout.clone(), same.clone());
            sending.spawn(async move {
                client.log_set(&workout, set).await.expect(201);
                client.log_set(&workout, same).await.expect(201).position().to_owned()
            });
        }
    }
    let positions = sending.join_all().await;
    assert!(positions.iter().all(|position| *position == positions[0]));
    for client in [&here, &there] {
        assert_eq!(client.get(&workout).await.expect(200).data()["totals"]["sets"], 41);
    }
    // What one did, the other knows, though it has another state in its cache.
    let set = here.log_bench(&workout, 5, 100).await;
    there.patch(&set, json!({ "reps": 6 })).await.expect(200);
    here.delete(&set).await.expect(200);
    there.patch(&set, json!({ "reps": 7 })).await.refused(404, "NOT_FOUND");
    let discarded = there.delete(&workout).await.expect(200);
    here.log_set(&workout, bench(5, 100)).await.refused(409, "WORKOUT_DISCARDED");
    assert_eq!(here.history("", discarded.position()).await.meta()["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_that_come_side_by_side_all_get_in() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (athlete, workout) = (athlete.clone(), workout.clone());
        callers.spawn(async move {
            for _ in 0..12 {
                athlete.log_set(&workout, bench(5, 100)).await.expect(201);
            }
        });
    }
    callers.join_all().await;
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let sets: i64 = sqlx::query_scalar(
        "select count(distinct version) from log.events
         where type = 'SetLogged' and stream_id = $1",
    )
    .bind(workout.rsplit_once('/').unwrap().1.parse::<uuid::Uuid>().unwrap())
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert_eq!(sets, 16 * 12);
    assert_eq!(app.errors(), Vec::<String>::new());
}
