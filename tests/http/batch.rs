//! `POST /v1/batch`: several requests in one, each as if it had come alone.

use serde_json::{Value, json};
use testkit::{App, Method, bench, new_id};

use crate::{app, binary};

#[tokio::test]
async fn each_request_has_its_own_answer_in_order() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = new_id();
    let path = format!("/v1/workouts/{workout}");
    let batch = json!({ "requests": [
        { "method": "POST", "path": "/v1/workouts", "body": { "id": workout, "title": "Batch" } },
        { "method": "POST", "path": format!("{path}/sets"), "body": bench(5, 100) },
        { "method": "POST", "path": format!("{path}/sets"), "body": bench(0, 9999) },
        { "method": "GET", "path": format!("/v1/workouts/{}", new_id()) },
        { "method": "PATCH", "path": path, "body": { "title": "X" }, "if_match": format!("\"1-{}\"", "0".repeat(24)) },
        { "method": "GET", "path": path },
    ] });
    let answer = athlete.post("/v1/batch", batch).await.expect(200);
    assert_eq!(answer.meta()["count"], 6);
    assert_eq!(answer.each("status"), [201, 201, 400, 404, 412, 200]);
    let result = |n: usize| &answer.list()[n];
    assert_eq!(result(0)["headers"]["location"], path);
    assert!(result(1)["body"]["meta"]["position"].is_string());
    assert_eq!(result(2)["body"]["error"]["code"], "VALIDATION_ERROR");
    assert_eq!(result(4)["body"]["error"]["code"], "STALE");
    assert_eq!(result(5)["body"]["data"]["title"], "Batch");
    assert_eq!(result(5)["body"]["data"]["sets"].as_array().unwrap().len(), 1);
    let alone = athlete.get(&path).await.expect(200);
    assert_eq!(result(5)["headers"]["etag"], alone.header("etag"));
    assert_eq!(result(5)["body"]["data"], *alone.data());
    let id = answer.header("x-request-id");
    assert_eq!(result(3)["headers"]["x-request-id"], format!("{id}.4"));
}

#[tokio::test]
async fn keys_make_each_command_safe_to_send_twice() {
    let app = app().await;
    let athlete = app.athlete().await;
    let batch = json!({ "requests": [
        { "method": "POST", "path": "/v1/workouts", "body": {}, "idempotency_key": "a" },
        { "method": "POST", "path": "/v1/workouts", "body": {}, "idempotency_key": "b" },
    ] });
    let first = athlete.post("/v1/batch", batch.clone()).await.expect(200);
    let again = athlete.post("/v1/batch", batch).await.expect(200);
    for (first, again) in first.list().iter().zip(again.list()) {
        assert_eq!(first["body"]["data"], again["body"]["data"]);
        assert_eq!(again["headers"]["idempotency-replayed"], "true");
    }
    assert_ne!(first.list()[0]["body"]["data"]["id"], first.list()[1]["body"]["data"]["id"]);

    // One key for all of them, which is good for each by its place.
    let start = json!({ "method": "POST", "path": "/v1/workouts", "body": {} });
    let batch = json!({ "requests": [start.clone(), start] });
    let first = athlete.keyed("all", Method::POST, "/v1/batch", batch.clone()).await.expect(200);
    let again = athlete.keyed("all", Method::POST, "/v1/batch", batch).await.expect(200);
    let ids = |answer: &testkit::Answer| -> Vec<Value> {
        answer.list().iter().map(|result| result["body"]["data"]["id"].clone()).collect()
    };
    assert_eq!(ids(&first), ids(&again));
    assert_ne!(ids(&first)[0], ids(&first)[1]);
}

#[tokio::test]
async fn it_costs_what_its_requests_cost_and_knows_who_calls() {
    let environment = [("IRONLEDGER_LIMITS", "free=5/1h,anonymous=5/1h")];
    let app = App::start_with(binary(), &environment).await;
    let athlete = app.athlete().await;
    let athlete = athlete.limited();
    let read = json!({ "method": "GET", "path": "/v1/workouts" });
    let batch = json!({ "requests": vec![read; 7] });
    let answer = athlete.post("/v1/batch", batch.clone()).await.expect(200);
    assert_eq!(answer.each("status"), [200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(answer.list()[4]["headers"]["ratelimit-remaining"], "0");
    let nobody = athlete.anonymously();
    let nobody = nobody.post("/v1/batch", batch).await.expect(200);
    assert_eq!(nobody.each("status"), [401, 401, 401, 429, 429, 429, 429]);

    let coach = app.grant(&app.athlete().await, &["--role", "coach"]).await;
    let stranger = coach.acting_for(&athlete);
    let read = json!({ "requests": [{ "method": "GET", "path": "/v1/history" }] });
    stranger.post("/v1/batch", read).await.refused(403, "NOT_A_CLIENT");
}

#[tokio::test]
async fn nothing_is_carried_out_of_a_batch_that_cannot_be_read() {
    let app = app().await;
    let athlete = app.athlete().await;
    let good = json!({ "method": "POST", "path": "/v1/workouts", "body": {} });
    let refused = async |requests: Value| {
        let answer = athlete.post("/v1/batch", json!({ "requests": requests })).await;
        let answer = answer.refused(400, "VALIDATION_ERROR");
        answer.error_fields().iter().map(|field| (*field).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(refused(json!([])).await, ["requests"]);
    assert_eq!(refused(json!(vec![good.clone(); 51])).await, ["requests"]);
    let path = |path: &str| json!({ "method": "POST", "path": path, "idempotency_key": "a\nb" });
    for outside in
        ["/v1/batch", "/v1/auth/login", "/v1/billing/notices", "/livez", "v1", "", "/v1/ x"]
    {
        let fields = refused(json!([good.clone(), path(outside)])).await;
        assert_eq!(fields, ["requests[1].idempotency_key", "requests[1].path"], "{outside}");
    }
    let odd = json!([good.clone(), { "method": "TRACE", "path": "/v1/workouts", "role": "admin" }]);
    assert_eq!(refused(odd).await, ["requests[1].method", "requests[1].role"]);
    for (field, text) in
        [("if_match", "\"é\""), ("if_none_match", "\u{2212}"), ("min_position", "a\nb")]
    {
        let one = json!({ "method": "GET", "path": "/v1/workouts", field: text });
        assert_eq!(refused(json!([one])).await, [format!("requests[0].{field}")]);
    }
    // A key that is good, and is none with the place of the request behind it.
    let key = "k".repeat(254);
    let one = json!({ "requests": [good.clone()] });
    let refused = athlete.keyed(&key, Method::POST, "/v1/batch", one).await;
    let refused = refused.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["requests[0].idempotency_key"]);
    let key = "k".repeat(256);
    let one = json!({ "requests": [good] });
    let refused = athlete.keyed(&key, Method::POST, "/v1/batch", one).await;
    assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), ["Idempotency-Key"]);
    assert_eq!(athlete.get("/v1/workouts").await.expect(200).meta()["count"], 0);
}
