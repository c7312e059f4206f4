//! What browsers and thrifty clients get: origins, guards, tags, fields, compression, and the page.

use reqwest::header::{ACCEPT_ENCODING, ORIGIN};
use serde_json::{Value, json};
use testkit::{App, Method, bench};

use crate::{app, binary};

#[tokio::test]
async fn pages_of_known_origins_may_call_and_those_of_others_not() {
    let origins = " https://app.example.com, http://localhost:3000";
    let environment = [("IRONLEDGER_CORS_ORIGINS", origins), ("IRONLEDGER_CORS_MAX_AGE", "600")];
    let app = App::start_with(binary(), &environment).await;
    let client = app.client();
    let asked = async |origin: &str| {
        let asked = client.request(Method::OPTIONS, "/v1/workouts").header(ORIGIN, origin);
        let asked = asked.header("access-control-request-method", "POST");
        let asked = asked.header("access-control-request-headers", "authorization,idempotency-key");
        asked.send().await.unwrap()
    };
    let answer = asked("https://app.example.com").await;
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_lowercase();
    assert_eq!(header("access-control-allow-origin"), "https://app.example.com");
    assert_eq!(header("access-control-allow-credentials"), "true");
    assert_eq!(header("access-control-max-age"), "600");
    assert!(header("access-control-allow-headers").contains("idempotency-key"));
    assert!(header("access-control-allow-methods").contains("patch"));
    let other = asked("https://evil.example.com").await;
    assert!(!other.headers().contains_key("access-control-allow-origin"));

    // Also what is refused can be read by the page.
    let refused =
        client.request(Method::GET, "/v1/workouts").header(ORIGIN, "http://localhost:3000");
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["access-control-allow-origin"], "http://localhost:3000");
    let mine = app.athlete().await;
    let mine = mine.request(Method::GET, "/v1/workouts").header(ORIGIN, "http://localhost:3000");
    let mine = mine.send().await.unwrap();
    let vary: Vec<_> = mine.headers().get_all("vary").iter().map(|v| v.to_str().unwrap()).collect();
    assert!(vary.iter().any(|vary| vary.contains("origin")), "{vary:?}");
    let shown = refused.headers()["access-control-expose-headers"].to_str().unwrap().to_lowercase();
    assert!(shown.contains("x-request-id") && shown.contains("etag"), "{shown}");
    // Without a word of it nobody's page may.
    let nobody = crate::app().await;
    let plain = nobody.client().request(Method::GET, "/livez").header(ORIGIN, "https://a.example");
    assert!(!plain.send().await.unwrap().headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn every_answer_says_what_it_must_not_be_used_for() {
    let app = app().await;
    for path in ["/livez", "/v1/workouts", "/nothing", "/openapi.json", "/docs/"] {
        let answer = app.client().request(Method::GET, path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert!(header("strict-transport-security").starts_with("max-age="));
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn what_is_as_before_is_not_sent_again_and_what_is_not_is() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({ "title": "Tags" })).await;
    athlete.log_bench(&workout, 5, 100).await;
    let position = athlete.complete(&workout, json!({})).await.expect(200).position().to_owned();
    let paths = [
        workout.as_str(),
        "/v1/history",
        "/v1/history?unit=lb",
        "/v1/records",
        "/v1/stats/overview",
        "/v1/stats/strength-levels/bench-press-barbell",
        "/v1/exercises?q=bench&limit=5",
        "/v1/exercises/bench-press-barbell",
        "/v1/athletes/me",
        "/v1/auth/sessions",
    ];
    let mut tags = Vec::new();
    for path in paths {
        let first = athlete.get_at(path, &position).await.expect(200);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = athlete.with("if-none-match", known).get(path).await.expect(304);
            assert_eq!(again.body, Value::Null);
            assert_eq!(again.header("etag"), tag);
            assert_eq!(again.header("cache-control"), "private, no-cache");
        }
        athlete.with("if-none-match", "\"other\"").get(path).await.expect(200);
        tags.push(tag);
    }
    // Another representation, another athlete, another state: other tags.
    assert_ne!(tags[1], tags[2]);
    let other = app.athlete().await;
    other.with("if-none-match", &tags[8]).get("/v1/athletes/me").await.expect(200);
    let later = athlete.log_set(&workout, bench(5, 110)).await.expect(201);
    let later = later.position();
    for (path, tag) in paths.iter().zip(&tags).take(6) {
        let asked = athlete.with("if-none-match", tag).get_at(path, later).await;
        assert_ne!(asked.expect(200).header("etag"), tag, "{path}");
    }
    // A command is carried out whatever the caller has.
    let changed = athlete.with("if-none-match", &tags[0]);
    changed.patch(&workout, json!({ "title": "New" })).await.expect(200);
}

#[tokio::test]
async fn every_reading_takes_fields() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({ "title": "Fields" })).await;
    athlete.log_bench(&workout, 5, 100).await;
    let position = athlete.complete(&workout, json!({})).await.expect(200).position().to_owned();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let some = athlete.get(&format!("{workout}?fields=title,%20totals")).await.expect(200);
    assert_eq!(keys(some.data()), ["title", "totals"]);
    let whole = athlete.get(&workout).await.expect(200);
    assert_ne!(some.header("etag"), whole.header("etag"));
    // The version in it is what If-Match compares.
    let version = |tag: &str| tag.split('-').next().unwrap().to_owned();
    assert_eq!(version(some.header("etag")), version(whole.header("etag")));
    let head = athlete.request(Method::HEAD, "/v1/history?fields=id").send().await.unwrap();
    assert_eq!(head.status(), 200);
    let records = athlete.get_at("/v1/records?fields=exercise", &position).await.expect(200);
    assert_eq!(keys(&records.list()[0]), ["exercise"]);
    let stats = athlete.get_at("/v1/stats/overview?fields=sets", &position).await.expect(200);
    assert_eq!(stats.data(), &json!({ "sets": 1 }));
    for path in
        ["/v1/history?fields=titel", "/v1/auth/sessions?fields=secret", "/v1/athletes/me?fields="]
    {
        let refused = athlete.get(path).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), ["fields"], "{path}");
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_wants_it() {
    let app = app().await;
    let athlete = app.athlete().await;
    let asked = |path: &str| athlete.request(Method::GET, path);
    let long = asked("/v1/exercises").header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(long.headers()["content-encoding"], "gzip");
    let vary: Vec<_> = long.headers().get_all("vary").iter().map(|v| v.to_str().unwrap()).collect();
    assert!(vary.iter().any(|vary| vary.contains("accept-encoding")), "{vary:?}");
    let packed = long.bytes().await.unwrap();
    let plain = asked("/v1/exercises").send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    assert!(packed.len() * 4 < plain.bytes().await.unwrap().len());
    let short = asked("/livez").header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert!(!short.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn the_document_and_its_page_are_served_to_everybody() {
    let app = app().await;
    let client = app.client();
    let served = client.get("/openapi.json").await.expect(200);
    let kept: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
    assert_eq!(served.body, kept);
    let page = client.request(Method::GET, "/docs").send().await.unwrap();
    assert_eq!(page.url().path(), "/docs/");
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let text = page.text().await.unwrap();
    // What it is made of is there.
    let parts =
        text.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let parts: Vec<&str> = parts.map(|part| part.trim_start_matches("./")).collect();
    assert!(parts.len() >= 3, "{text}");
    for part in parts {
        let path = format!("/docs/{part}");
        assert_eq!(
            client.request(Method::GET, &path).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
    let script = client.request(Method::GET, "/docs/swagger-initializer.js").send().await.unwrap();
    assert!(script.text().await.unwrap().contains("/openapi.json"));
    assert_eq!(client.request(Method::GET, "/docs/nothing").send().await.unwrap().status(), 404);
}
