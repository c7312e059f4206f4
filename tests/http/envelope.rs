//! The form of every answer: envelope, problem details, request ids, and what no route takes.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::Answer;

use crate::app;

#[tokio::test]
async fn successes_and_failures_have_one_form() {
    let app = app().await;
    let athlete = app.athlete().await;
    let good = athlete.get("/v1/history").await.expect(200);
    assert_eq!(good.body["success"], true);
    assert_eq!(good.meta()["version"], "v1");
    assert_eq!(good.meta()["count"], 0);
    assert_eq!(good.header("content-type"), "application/json");
    assert_eq!(good.header("cache-control"), "private, no-cache");
    assert_eq!(good.meta()["request_id"], good.header("x-request-id"));
    assert!(good.meta()["timestamp"].as_str().unwrap().ends_with('Z'));

    let bad = athlete.get("/v1/history?limit=0").await.expect(400);
    assert_eq!(bad.body["success"], false);
    assert_eq!(bad.error_fields(), ["limit"]);
    assert!(bad.body["error"]["message"].is_string());
    assert_eq!(bad.meta()["request_id"], bad.header("x-request-id"));
    assert!(bad.meta()["timestamp"].is_string());
}

#[tokio::test]
async fn problem_details_for_those_who_ask() {
    let app = app().await;
    let athlete = app.athlete().await;
    let ask = async |method: Method, path: &str| {
        let accept = "application/problem+json, application/json;q=0.5";
        Answer::to(athlete.request(method, path).header("accept", accept)).await
    };
    let problem = ask(Method::GET, "/v1/history?limit=0&nope=1").await.expect(400);
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert_eq!(problem.body["status"], 400);
    assert_eq!(problem.body["code"], "VALIDATION_ERROR");
    assert_eq!(problem.body["errors"].as_array().unwrap().len(), 2);
    assert_eq!(problem.body["request_id"], problem.header("x-request-id"));
    for member in ["type", "title", "detail"] {
        assert!(problem.body[member].is_string(), "{member}");
    }
    assert_eq!(ask(Method::GET, "/nowhere").await.body["status"], 404);
    assert_eq!(ask(Method::PUT, "/v1/history").await.body["status"], 405);
    assert_eq!(ask(Method::GET, "/v1/history").await.body["success"], true);
}

#[tokio::test]
async fn request_ids_come_back_or_are_made() {
    let app = app().await;
    let client = app.client();
    let ask = async |id: &[u8]| {
        let request = client.request(Method::GET, "/livez").header("x-request-id", id);
        Answer::to(request).await.header("x-request-id").to_owned()
    };
    assert_eq!(ask(b"my-request_1.2").await, "my-request_1.2");
    let long = [b'x'; 65];
    for silly in [&b""[..], b"a b", b"<script>", b"\xff\xfe", &long] {
        let made = ask(silly).await;
        assert_eq!(made.len(), 36, "{made}");
    }
    assert_ne!(ask(b"").await, ask(b"").await);

    // The same id is on the log beside what the request did.
    let athlete = app.athlete().await;
    let request = athlete.request(Method::POST, "/v1/workouts").header("x-request-id", "trace-me");
    let request = request.header("x-device-id", "phone-1").json(&json!({}));
    Answer::to(request).await.expect(201);
    let metadata = crate::personal_data::log_of(&app, &athlete, "metadata").await.join("\n");
    assert!(metadata.contains("trace-me") && metadata.contains("phone-1"), "{metadata}");
}

#[tokio::test]
async fn unknown_routes_and_methods() {
    let app = app().await;
    let athlete = app.athlete().await;
    for path in ["/", "/v1", "/v2/history", "/v1/history/", "/v1/workouts/x/y/z", "/%ff", "//"] {
        let answer = athlete.get(path).await.refused(404, "NOT_FOUND");
        assert_eq!(answer.meta()["request_id"], answer.header("x-request-id"));
    }
    for (method, path) in [
        (Method::PUT, "/v1/history"),
        (Method::DELETE, "/v1/workouts"),
        (Method::GET, "/v1/auth/login"),
        (Method::POST, "/livez"),
        (Method::OPTIONS, "/v1/history"),
    ] {
        let answer = Answer::to(athlete.request(method, path)).await;
        let answer = answer.refused(405, "METHOD_NOT_ALLOWED");
        answer.header("allow");
        assert_eq!(answer.meta()["request_id"], answer.header("x-request-id"));
    }
    // Without a body there is no envelope, but there is the rest.
    let head = Answer::to(athlete.request(Method::HEAD, "/v1/history")).await.expect(200);
    assert_eq!(head.body, Value::Null);
    head.header("x-request-id");
}
