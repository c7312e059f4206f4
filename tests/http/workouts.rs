//! `/v1/workouts`: start, change, complete, discard, read back.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, bench, new_id};

use crate::app;

#[tokio::test]
async fn the_whole_path_of_a_workout() {
    let app = app().await;
    let athlete = app.athlete().await;

    let body = json!({
        "started_at": "2024-03-01T18:00:00+01:00",
        "title": "Push",
        "notes": "windows open",
        "visibility": "private",
    });
    let started = athlete.post("/v1/workouts", body).await.expect(201);
    let workout = started.header("location").to_owned();
    assert_eq!(workout, format!("/v1/workouts/{}", started.data()["id"].as_str().unwrap()));
    assert_eq!(started.data()["started_at"], "2024-03-01T17:00:00Z");
    assert_eq!(started.data()["status"], "active");
    assert!(!started.position().is_empty());

    let kilos = json!({
        "exercise": "bench-press-barbell",
        "number": 1,
        "reps": 5,
        "weight": { "value": 102.5, "unit": "kg" },
        "rpe": 8.5,
        "rest_seconds": 180,
        "superset_id": 1,
        "notes": "felt light",
        "performed_at": "2024-03-01T17:05:00Z",
    });
    let first = athlete.log_set(&workout, kilos).await.expect(201);
    assert_eq!(first.data()["set"]["weight"], json!({"value": 102.5, "unit": "kg", "kg": 102.5}));
    assert_eq!(first.data()["workout"]["totals"]["sets"], 1);
    assert!(!first.position().is_empty());
    let pounds = json!({
        "exercise": "squat-barbell",
        "number": 1,
        "kind": "failure",
        "reps": 3,
        "weight": { "value": 225, "unit": "lb" },
        "performed_at": "2024-03-01T17:15:00Z",
    });
    let second = athlete.log_set(&workout, pounds).await.expect(201);
    let extra = athlete.log_bench(&workout, 1, 20).await;

    let correction = json!({ "reps": 6, "rpe": null, "notes": "was six" });
    let corrected = athlete.patch(first.header("location"), correction).await.expect(200);
    let set = &corrected.data()["set"];
    assert_eq!(
        (&set["reps"], &set["rpe"], &set["notes"]),
        (&json!(6), &Value::Null, &json!("was six"))
    );
    assert_eq!(set["rest_seconds"], 180);
    let removed = athlete.delete(&extra).await.expect(200);
    assert_eq!(removed.data()["set"], Value::Null);
    assert_eq!(removed.data()["workout"]["totals"]["sets"], 2);
    assert!(!corrected.position().is_empty() && !removed.position().is_empty());

    let changed = athlete.patch(&workout, json!({ "title": null, "notes": "cold" })).await;
    let changed = changed.expect(200);
    assert_eq!(
        (&changed.data()["title"], &changed.data()["notes"]),
        (&Value::Null, &json!("cold"))
    );

    let end = json!({
        "completed_at": "2024-03-01T18:30:00Z",
        "rating": 4,
        "energy": 7,
        "soreness": { "chest": 3, "quadriceps": 0 },
    });
    let completed = athlete.complete(&workout, end.clone()).await.expect(200);
    assert_eq!(completed.data()["status"], "completed");
    assert_eq!(completed.data()["totals"]["duration_seconds"], 5400);
    assert_eq!(completed.data()["feeling"]["soreness"]["chest"], 3);
    // Said twice, it is so already; said otherwise, it contradicts.
    let again = athlete.complete(&workout, end).await.expect(200);
    assert_eq!(again.position(), completed.position());
    let otherwise = json!({ "completed_at": "2024-03-01T18:40:00Z" });
    athlete.complete(&workout, otherwise).await.refused(409, "WORKOUT_COMPLETED");

    let late = json!({ "exercise": "plank", "number": 1, "duration_seconds": 60 });
    let late = athlete.log_set(&workout, late).await.expect(201);
    assert_eq!(late.data()["set"]["performed_at"], "2024-03-01T18:30:00Z");

    let read = athlete.get(&workout).await.expect(200);
    assert_eq!(read.data()["totals"]["sets"], 3);
    assert_eq!(read.data()["sets"][1]["weight"]["value"], 225);
    assert_eq!(read.data()["sets"][1]["id"], second.data()["set"]["id"]);
    assert_eq!(read.position(), late.position());

    let history = athlete.history("", late.position()).await;
    assert_eq!(history.list(), [read.data().clone()], "history shows what the log has");
    assert!(!history.position().is_empty());
    assert_eq!(history.meta()["count"], 1);
    assert_eq!(history.meta()["next_cursor"], Value::Null);

    let discarded = athlete.delete(&workout).await.expect(200);
    assert_eq!(discarded.data()["status"], "discarded");
    assert_eq!(athlete.delete(&workout).await.expect(200).position(), discarded.position());
    assert_eq!(athlete.history("", discarded.position()).await.meta()["count"], 0);
    athlete.log_set(&workout, bench(5, 100)).await.refused(409, "WORKOUT_DISCARDED");
    athlete
        .patch(first.header("location"), json!({"reps": 1}))
        .await
        .refused(409, "WORKOUT_DISCARDED");
    athlete.delete(first.header("location")).await.refused(409, "WORKOUT_DISCARDED");
    athlete.patch(&workout, json!({"title": "x"})).await.refused(409, "WORKOUT_DISCARDED");
    athlete.complete(&workout, json!({})).await.refused(409, "WORKOUT_DISCARDED");
    assert_eq!(athlete.history("", discarded.position()).await.meta()["count"], 0);
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn totals_leave_warm_ups_out_and_add_pounds_exactly() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let set = |kind: &str, reps: u32, value: f64, unit: &str, rpe: Option<f64>| {
        json!({
            "exercise": "bench-press-barbell", "number": 1, "kind": kind, "reps": reps,
            "weight": { "value": value, "unit": unit }, "rpe": rpe,
        })
    };
    let sets = [
        set("warm_up", 10, 60.0, "kg", Some(3.0)),
        set("normal", 5, 100.0, "kg", Some(8.0)),
        set("drop", 3, 225.0, "lb", Some(8.5)),
        set("failure", 1, 0.1, "lb", None),
    ];
    for set in sets {
        athlete.log_set(&workout, set).await.expect(201);
    }
    let pull_ups = json!({ "exercise": "pull-up", "number": 1, "reps": 12, "rpe": 9 });
    let last = athlete.log_set(&workout, pull_ups).await.expect(201);
    let totals = json!({
        "sets": 4, "reps": 21, "exercises": 2,
        // 5 × 100 + 3 × 225 × 0.45359237 + 0.1 × 0.45359237
        "volume_kg": 806.220208987,
        "duration_seconds": null,
        "average_rpe": 8.5,
    });
    assert_eq!(last.data()["workout"]["totals"], totals);
    let history = athlete.history("muscle=lats", last.position()).await;
    assert_eq!(history.list()[0]["totals"], totals);
    assert_eq!(history.list()[0]["sets"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn re_dating_a_completed_workout_moves_its_end_and_its_sets() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({ "started_at": "2024-05-02T10:00:00Z" })).await;
    for minute in [10, 20] {
        let mut set = bench(5, 100);
        set["performed_at"] = json!(format!("2024-05-02T10:{minute}:00Z"));
        athlete.log_set(&workout, set).await.expect(201);
    }
    let end = json!({ "completed_at": "2024-05-02T11:00:00Z" });
    athlete.complete(&workout, end).await.expect(200);

    let moved = athlete.patch(&workout, json!({ "started_at": "2024-04-01T09:30:00Z" })).await;
    let moved = moved.expect(200);
    let shown = |answer: &Answer| {
        let workout = answer.data().get(0).unwrap_or(answer.data()).clone();
        let at = workout["sets"].as_array().unwrap().iter().map(|set| set["performed_at"].clone());
        (workout["completed_at"].clone(), at.collect::<Vec<_>>())
    };
    let expected = (
        json!("2024-04-01T10:30:00Z"),
        vec![json!("2024-04-01T09:40:00Z"), json!("2024-04-01T09:50:00Z")],
    );
    assert_eq!(shown(&moved), expected);
    assert_eq!(shown(&athlete.history("", moved.position()).await), expected);

    // With both times given, the sets stay.
    let both = json!({
        "started_at": "2024-04-01T09:00:00Z", "completed_at": "2024-04-01T12:00:00Z",
    });
    let stretched = athlete.patch(&workout, both).await.expect(200);
    assert_eq!(shown(&stretched), (json!("2024-04-01T12:00:00Z"), expected.1));
    let before = json!({ "completed_at": "2024-04-01T08:00:00Z" });
    let refused = athlete.patch(&workout, before).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["completed_at"]);
}

#[tokio::test]
async fn a_workout_moved_before_the_beginning_of_time_is_refused_whole() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({ "started_at": "2024-05-02T10:00:00Z" })).await;
    let mut set = bench(5, 100);
    set["performed_at"] = json!("1910-01-01T00:00:00Z");
    athlete.log_set(&workout, set).await.expect(201);
    athlete.complete(&workout, json!({})).await.expect(200);
    let answer = athlete.patch(&workout, json!({ "started_at": "1950-01-01T00:00:00Z" })).await;
    assert!((400..500).contains(&answer.status), "{}", answer.body);
    athlete.get(&workout).await.expect(200);
    // Nothing unreadable reached the log: others go on.
    let other = app.athlete().await;
    let workout = other.post("/v1/workouts", json!({})).await.expect(201);
    other.history("", workout.position()).await;
}

#[tokio::test]
async fn an_empty_workout_is_not_completed() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.complete(&workout, json!({})).await.refused(409, "WORKOUT_EMPTY");
    athlete.log_bench(&workout, 5, 100).await;
    let empty = athlete.request(Method::POST, &format!("{workout}/complete"));
    let completed = Answer::to(empty).await.expect(200);
    assert_eq!(completed.data()["feeling"], Value::Null);
}

#[tokio::test]
async fn workouts_are_listed_by_status() {
    let app = app().await;
    let athlete = app.athlete().await;
    let done = athlete.start_workout(json!({ "started_at": "2024-01-01T10:00:00Z" })).await;
    athlete.log_bench(&done, 5, 100).await;
    athlete.complete(&done, json!({})).await.expect(200);
    let active = athlete.post("/v1/workouts", json!({})).await.expect(201);
    let at = active.position();

    let listed = athlete.get_at("/v1/workouts?status=active", at).await.expect(200);
    assert_eq!(listed.each("id"), [&active.data()["id"]]);
    let listed = athlete.get_at("/v1/workouts?status=completed", at).await.expect(200);
    assert_eq!(listed.each("status"), ["completed"]);
    assert_eq!(athlete.get_at("/v1/workouts", at).await.expect(200).meta()["count"], 2);
    let wrong = athlete.get("/v1/workouts?status=discarded").await;
    assert_eq!(wrong.refused(400, "VALIDATION_ERROR").error_fields(), ["status"]);
}

#[tokio::test]
async fn a_start_sent_twice_is_one_workout() {
    let app = app().await;
    let (athlete, other) = (app.athlete().await, app.athlete().await);
    let body = json!({ "id": new_id(), "title": "Legs" });
    let first = athlete.post("/v1/workouts", body.clone()).await.expect(201);
    let workout = first.header("location");
    athlete.log_bench(workout, 5, 100).await;
    athlete.patch(workout, json!({ "title": "Bench after all" })).await.expect(200);

    let again = athlete.post("/v1/workouts", body.clone()).await.expect(201);
    assert_eq!(again.position(), first.position());
    assert_eq!(again.data(), first.data());
    assert_eq!(again.header("location"), workout);

    let otherwise = json!({ "id": body["id"], "title": "Arms" });
    athlete.post("/v1/workouts", otherwise).await.refused(409, "ID_TAKEN");
    let others = other.post("/v1/workouts", body.clone()).await.expect(201);
    assert_eq!(others.data()["totals"]["sets"], 0);

    // One that the server named cannot be started again under its id.
    let named = athlete.post("/v1/workouts", json!({ "title": "Legs" })).await.expect(201);
    let same = json!({ "id": named.data()["id"], "title": "Legs" });
    athlete.post("/v1/workouts", same).await.refused(409, "ID_TAKEN");
}

#[tokio::test]
async fn if_match_refuses_what_is_stale() {
    let app = app().await;
    let athlete = app.athlete().await;
    let started = athlete.post("/v1/workouts", json!({ "title": "A" })).await.expect(201);
    let workout = started.header("location");
    let stale = started.header("etag").to_owned();
    let change = |tag: &str, title: &str| {
        let request = athlete.request(Method::PATCH, workout).header("if-match", tag);
        Answer::to(request.json(&json!({ "title": title })))
    };
    let fresh = change(&stale, "B").await.expect(200);
    assert_ne!(fresh.header("etag"), stale);
    assert_eq!(athlete.get(workout).await.header("etag"), fresh.header("etag"));

    let refused = change(&stale, "C").await.refused(412, "STALE");
    assert_eq!(refused.body["error"]["current"]["title"], "B");
    let weak = format!("W/{}", fresh.header("etag"));
    change(&weak, "D").await.expect(200);
    change("*", "E").await.expect(200);
    let both = format!("{}, {stale}", fresh.header("etag"));
    for nonsense in ["nonsense", "\"\"", "\"x-1\"", "1", "1-", "\"1-x\"", "**", "", &both] {
        let refused = change(nonsense, "F").await.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), ["If-Match"], "{nonsense}");
    }
    let twice = athlete.request(Method::PATCH, workout).header("if-match", "*");
    let twice = twice.header("if-match", &stale).json(&json!({ "title": "F" }));
    let refused = Answer::to(twice).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["If-Match"]);
    assert_eq!(athlete.get(workout).await.data()["title"], "E");

    for (method, path, body) in [
        (Method::POST, format!("{workout}/sets"), bench(5, 100)),
        (Method::POST, format!("{workout}/complete"), json!({})),
        (Method::DELETE, workout.to_owned(), json!({})),
    ] {
        let request = athlete.request(method, &path).header("if-match", &stale).json(&body);
        Answer::to(request).await.refused(412, "STALE");
    }
    // What is not there is not stale.
    let nowhere = format!("/v1/workouts/{}", new_id());
    let request = athlete.request(Method::PATCH, &nowhere).header("if-match", &stale);
    Answer::to(request.json(&json!({}))).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn what_is_made_under_a_version_that_is_not_there_is_stale() {
    let app = app().await;
    let athlete = app.pro_athlete().await;
    let exercise = json!({
        "name": "Zercher Carry",
        "equipment": "barbell",
        "primary_muscles": ["quadriceps"],
        "kind": "weight_distance",
    });
    let weighed = json!({ "bodyweight": { "value": 80, "unit": "kg" } });
    for (path, body) in [
        ("/v1/workouts", json!({})),
        ("/v1/exercises", exercise),
        ("/v1/athletes/me/measurements", weighed),
        ("/v1/routines", json!({ "name": "Push" })),
        ("/v1/routines/folders", json!({ "name": "Winter" })),
    ] {
        let make = |tag: Option<&str>| {
            let request = athlete.request(Method::POST, path).json(&body);
            tag.into_iter().fold(request, |request, tag| request.header("if-match", tag))
        };
        let tag = "\"7-0123456789abcdef01234567\"";
        let stale = Answer::to(make(Some(tag))).await.refused(412, "STALE");
        assert_eq!(stale.body["error"]["current"], Value::Null, "{path}");
        Answer::to(make(None)).await.expect(201);
    }
}
