//! `PUT /v1/workouts/{id}/exercises/{exercise}`: notes and form of one exercise of a workout.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, bench, new_id};

use crate::{app, personal_data::log_of};

async fn put(athlete: &Client, path: &str, body: Value) -> Answer {
    Answer::to(athlete.request(Method::PUT, path).json(&body)).await
}

#[tokio::test]
async fn what_is_noted_is_the_whole_of_it_and_shown_everywhere() {
    let app = app().await;
    let athlete = app.pro_athlete().await;
    let own = json!({
        "name": "My press", "equipment": "machine", "primary_muscles": ["chest"],
        "kind": "weight_reps",
    });
    let own = athlete.post("/v1/exercises", own).await.expect(201);
    let own = own.data()["id"].as_str().unwrap();
    let workout = athlete.start_workout(json!({})).await;
    let noting = |exercise: &str| format!("{workout}/exercises/{exercise}");

    // Before any set of it, and of an exercise that never has one.
    let plank = put(&athlete, &noting("plank"), json!({ "form_notes": "hips low" })).await;
    assert_eq!(plank.expect(200).data()["exercises"][0]["form_notes"], "hips low");
    put(&athlete, &noting(own), json!({ "form_score": 0 })).await.expect(200);
    athlete.log_bench(&workout, 5, 100).await;
    let full = json!({ "notes": "clear-slow", "form_score": 85, "form_notes": "clear-elbows" });
    let noted = put(&athlete, &noting("bench-press-barbell"), full.clone()).await.expect(200);
    let shown = json!([
        {
            "exercise": { "id": "bench-press-barbell", "name": "Bench Press (Barbell)" },
            "notes": "clear-slow", "form_score": 85, "form_notes": "clear-elbows",
        },
        {
            "exercise": { "id": "plank", "name": "Plank" },
            "notes": null, "form_score": null, "form_notes": "hips low",
        },
        {
            "exercise": { "id": own, "name": "My press" },
            "notes": null, "form_score": 0, "form_notes": null,
        },
    ]);
    assert_eq!(noted.data()["exercises"], shown, "in the order of the sets, then those without");
    let again = put(&athlete, &noting("bench-press-barbell"), full).await.expect(200);
    assert_eq!(again.position(), noted.position(), "nothing changed, so nothing happened");

    let history = athlete.history("", noted.position()).await;
    assert_eq!(history.list()[0]["exercises"], shown);
    let list = athlete.get_at("/v1/workouts?status=active", noted.position()).await;
    assert_eq!(list.list()[0]["exercises"], shown);
    let chest = athlete.history("exercise=bench&fields=exercises", noted.position()).await;
    assert_eq!(chest.list(), [json!({ "exercises": [shown[0]] })]);
    for payload in log_of(&app, &athlete, "payload").await {
        assert!(!payload.contains("clear-") && !payload.contains("hips low"), "{payload}");
    }

    athlete.complete(&workout, json!({})).await.expect(200);
    let less = json!({ "form_score": 90, "notes": null });
    let less = put(&athlete, &noting("bench-press-barbell"), less).await.expect(200);
    assert_eq!(less.data()["exercises"][0]["notes"], Value::Null);
    assert_eq!(less.data()["exercises"][0]["form_score"], 90);
    let mut last = less;
    for exercise in ["bench-press-barbell", "plank", own] {
        last = put(&athlete, &noting(exercise), json!({})).await.expect(200);
    }
    assert_eq!(last.data()["exercises"], json!([]));
    let history = athlete.history("", last.position()).await;
    assert_eq!(history.list(), [athlete.get(&workout).await.data().clone()]);
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_noted() {
    let app = app().await;
    let (athlete, other) = (app.athlete().await, app.athlete().await);
    let workout = athlete.start_workout(json!({})).await;
    let path = format!("{workout}/exercises/plank");

    let everything = json!({
        "notes": "x".repeat(1001), "form_score": 101, "form_notes": " ", "reps": 5,
    });
    let refused = put(&athlete, &path, everything).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["form_notes", "form_score", "notes", "reps"]);
    for (bad, field) in [
        (json!({ "form_score": -1 }), "form_score"),
        (json!({ "form_score": 8.5 }), "form_score"),
        (json!({ "form_score": "good" }), "form_score"),
        (json!({ "notes": 5 }), "notes"),
        (json!({ "form_notes": "bell\u{7}" }), "form_notes"),
    ] {
        let refused = put(&athlete, &path, bad).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), [field]);
    }

    let good = json!({ "form_score": 70 });
    for exercise in ["no-such-lift", "No%20such", &new_id().to_string()] {
        let path = format!("{workout}/exercises/{exercise}");
        put(&athlete, &path, good.clone()).await.refused(404, "NOT_FOUND");
    }
    put(&other, &path, good.clone()).await.refused(404, "NOT_FOUND");
    put(&app.client(), &path, good.clone()).await.expect(401);

    let before = athlete.get(&workout).await.expect(200);
    assert_eq!(before.data()["exercises"], json!([]));
    let tag = before.header("etag");
    let with_tag = || athlete.request(Method::PUT, &path).header("if-match", tag).json(&good);
    let noted = Answer::to(with_tag()).await.expect(200);
    assert_ne!(noted.header("etag"), tag);
    let stale = Answer::to(with_tag()).await.refused(412, "STALE");
    assert_eq!(stale.body["error"]["current"]["exercises"][0]["form_score"], 70);

    athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    let discarded = athlete.delete(&workout).await.expect(200);
    put(&athlete, &path, good).await.refused(409, "WORKOUT_DISCARDED");
    assert_eq!(athlete.history("", discarded.position()).await.meta()["count"], 0);
    assert_eq!(app.errors(), Vec::<String>::new());
}
