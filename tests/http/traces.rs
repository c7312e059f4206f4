//! Can a set be followed from its request to the read models?

use serde_json::json;
use testkit::{Answer, App, Method, bench, collector::Collector, eventually};

use crate::binary;

#[tokio::test]
async fn a_set_is_followed_from_its_request_to_the_read_models() {
    let collector = Collector::start().await;
    let app = App::start_with(binary(), &collector.environment()).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let request = athlete.request(Method::POST, &format!("{workout}/sets"));
    let request = request.header("traceparent", format!("00-{trace}-{caller}-01"));
    let logged = Answer::to(request.json(&bench(5, 100))).await.expect(201);

    let models = ["history_v6", "records_v3", "stats_v3", "strength_v1"];
    let spans = eventually("spans of all models", async || {
        let mut spans = collector.told();
        spans.retain(|span| span.trace == trace);
        let has = |model: &str| spans.iter().any(|span| span.name == format!("project {model}"));
        models.iter().all(|model| has(model)).then_some(spans)
    })
    .await;
    let named = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {spans:?}");
        found[0].clone()
    };
    let request = named("POST /v1/workouts/{id}/sets");
    assert_eq!((request.parent.as_str(), request.service.as_str()), (caller, "ironledger-api"));
    let append = named("append");
    assert_eq!(append.parent, request.id);
    for model in models {
        let taken = named(&format!("project {model}"));
        assert_eq!(
            (taken.parent, taken.service.as_str()),
            (append.id.clone(), "ironledger-projector")
        );
    }

    // Whoever reads the event knows the trace.
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    let stream = format!("workout-{}", workout.rsplit('/').next().unwrap());
    let found = admin.get(&format!("/v1/log?stream={stream}")).await.expect(200);
    let events = found.list().iter();
    let mut traces = events.map(|event| &event["metadata"]["correlation"]);
    let correlation = format!(
        "{}-{}-{}-{}-{}",
        &trace[..8],
        &trace[8..12],
        &trace[12..16],
        &trace[16..20],
        &trace[20..]
    );
    assert!(traces.any(|of| *of == correlation), "{}", found.body);

    // What is no trace begins one.
    let request = athlete.request(Method::POST, &format!("{workout}/sets"));
    let request = request.header("traceparent", "00-rubbish");
    Answer::to(request.json(&bench(6, 100))).await.expect(201);
    assert_ne!(logged.position(), "");
    assert_eq!(app.errors(), [""; 0]);
}

#[tokio::test]
async fn a_collector_that_is_away_is_nobodys_trouble() {
    let nowhere =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"), ("IRONLEDGER_TRACES_RATIO", "0.5")];
    let app = App::start_with(binary(), &nowhere).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_bench(&workout, 5, 100).await;
    athlete.get(&workout).await.expect(200);
}

#[tokio::test]
async fn metrics_say_what_the_log_the_database_and_redis_take() {
    let app = App::start_with(binary(), &[("IRONLEDGER_METRICS_LISTEN", "127.0.0.1:0")]).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let set = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    athlete.get_at("/v1/history", set.position()).await.expect(200);
    athlete.get("/v1/history").await.expect(200);
    let told = app.api.metrics().await;
    for name in [
        "db_query_duration_seconds_count",
        "append_batch_size_sum",
        "append_duration_seconds_count",
        "redis_operation_duration_seconds_count{operation=\"get\"}",
        "cache_requests_total{model=\"history\",found=\"nowhere\"}",
    ] {
        assert!(told.get(name).is_some_and(|count| *count >= 1.0), "{name}: {told:?}");
    }
    assert!(told["append_batch_size_sum"] >= 3.0);
    assert!(told.contains_key("active_connections"));
}
