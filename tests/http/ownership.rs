//! Whose is it? What belongs to somebody else is not there, on any route.

use reqwest::Method;
use serde_json::json;
use testkit::{Answer, bench, new_id};

use crate::app;

#[tokio::test]
async fn anothers_workouts_and_sets_are_not_there() {
    let app = app().await;
    let (owner, thief) = (app.athlete().await, app.athlete().await);
    let workout = owner.start_workout(json!({ "title": "mine" })).await;
    let set = owner.log_bench(&workout, 5, 100).await;
    let before = owner.get(&workout).await.expect(200);

    let own = thief.start_workout(json!({})).await;
    let set_id = set.rsplit('/').next().unwrap();
    let own_with_others_set = format!("{own}/sets/{set_id}");
    for (method, path, body) in [
        (Method::GET, workout.clone(), json!({})),
        (Method::PATCH, workout.clone(), json!({ "title": "stolen" })),
        (Method::DELETE, workout.clone(), json!({})),
        (Method::POST, format!("{workout}/complete"), json!({})),
        (Method::POST, format!("{workout}/sets"), bench(1, 1)),
        (Method::PATCH, set.clone(), json!({ "reps": 1 })),
        (Method::DELETE, set.clone(), json!({})),
        (Method::POST, format!("{set}/confirm"), json!({})),
        (Method::PUT, format!("{workout}/exercises/plank"), json!({ "notes": "stolen" })),
        (Method::PATCH, own_with_others_set.clone(), json!({ "reps": 1 })),
        (Method::DELETE, own_with_others_set, json!({})),
    ] {
        for (header, value) in [("x-none", "-"), ("if-match", before.header("etag"))] {
            let mine = path.starts_with(&own);
            if mine && header == "if-match" {
                continue;
            }
            let request = thief.request(method.clone(), &path).header(header, value);
            let answer = Answer::to(request.json(&body)).await;
            assert_eq!(answer.status, 404, "{method} {path} {header}: {}", answer.body);
            assert_eq!(answer.error_code(), "NOT_FOUND");
        }
    }
    // The same words as for what never was.
    let never = thief.get(&format!("/v1/workouts/{}", new_id())).await;
    assert_eq!(never.body["error"], thief.get(&workout).await.body["error"]);

    assert_eq!(owner.get(&workout).await.body["data"], before.body["data"]);
    let position = thief.get(&own).await.expect(200).position().to_owned();
    let history = thief.history("", &position).await;
    assert_eq!(history.meta()["count"], 1, "the thief's own alone");
}

#[tokio::test]
async fn what_is_no_id_is_not_there_either() {
    let app = app().await;
    let athlete = app.athlete().await;
    let version_four = "9b2d6f0e-3c1a-4f57-8e21-5a0c7d9e4b11";
    for id in ["1", "null", version_four, "%00", "%ff", "..%2f..", "'%20or%201=1"] {
        athlete.get(&format!("/v1/workouts/{id}")).await.refused(404, "NOT_FOUND");
        athlete
            .delete(&format!("/v1/workouts/{}/sets/{id}", new_id()))
            .await
            .refused(404, "NOT_FOUND");
    }
}
