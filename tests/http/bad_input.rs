//! What cannot be: each a clear 4xx that names every bad field, none a 500, nothing half-done.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, App, Client, bench};
use tokio::{io::AsyncWriteExt, net::TcpSocket, time::sleep};

use crate::{app, binary};

/// A workout to send bad sets to, and a check that none of them did anything.
struct Target {
    athlete: Client,
    workout: String,
}

impl Target {
    async fn new(app: &App) -> Self {
        let athlete = app.athlete().await;
        let workout = athlete.start_workout(json!({})).await;
        Self { athlete, workout }
    }

    /// Sends a good set with some fields changed, and answers which were refused.
    async fn refuses(&self, changes: Value) -> Vec<String> {
        let mut set = bench(5, 100);
        set.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let answer = self.athlete.log_set(&self.workout, set).await;
        assert_eq!(answer.status, 400, "{changes}: {}", answer.body);
        assert_eq!(answer.error_code(), "VALIDATION_ERROR", "{changes}");
        answer.error_fields().into_iter().map(str::to_owned).collect()
    }

    /// Sends bytes as a set.
    async fn sends(&self, bytes: impl Into<Vec<u8>>) -> Answer {
        self.athlete.post_bytes(&format!("{}/sets", self.workout), bytes).await
    }

    async fn nothing_happened(&self, app: &App) {
        let read = self.athlete.get(&self.workout).await.expect(200);
        assert_eq!(read.data()["sets"], json!([]));
        assert_eq!(app.errors(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_the_rules_refuse_is_named_beside_what_cannot_be_read() {
    let app = app().await;
    let target = Target::new(&app).await;
    let both =
        json!({ "reps": 1001, "exercise": "no-such-lift", "performed_at": "2999-01-01T00:00:00Z" });
    assert_eq!(target.refuses(both).await, ["exercise", "performed_at", "reps"]);
    let of_the_exercise = json!({ "rpe": 8.3, "distance_metres": 5 });
    assert_eq!(target.refuses(of_the_exercise).await, ["distance_metres", "rpe"]);
    target.nothing_happened(&app).await;
}

#[tokio::test]
async fn everything_wrong_with_a_set_is_named_at_once() {
    let app = app().await;
    let target = Target::new(&app).await;
    let everything = json!({
        "id": "nope", "exercise": 5, "number": 0, "kind": "giant", "reps": 1001,
        "weight": { "value": "heavy", "unit": "stone", "plates": 2 },
        "rpe": 8.3, "rest_seconds": -1, "duration_seconds": 86_401, "distance_metres": -5,
        "side": "top", "custom_metric": { "kind": "laps", "value": "many" },
        "superset_id": 1.5, "notes": "", "performed_at": "2024-01-01T10:00:00", "colour": "red",
    });
    assert_eq!(
        target.refuses(everything).await,
        [
            "colour",
            "custom_metric.kind",
            "custom_metric.value",
            "distance_metres",
            "duration_seconds",
            "exercise",
            "id",
            "kind",
            "notes",
            "number",
            "performed_at",
            "reps",
            "rest_seconds",
            "rpe",
            "side",
            "superset_id",
            "weight.plates",
            "weight.unit",
            "weight.value",
        ]
    );
    let missing = target.athlete.log_set(&target.workout, json!({ "reps": -1 })).await;
    let missing = missing.refused(400, "VALIDATION_ERROR");
    assert_eq!(missing.error_fields(), ["exercise", "number", "reps"]);
    let missing = json!({ "weight": {}, "rpe": 11 });
    assert_eq!(target.refuses(missing).await, ["rpe", "weight.unit", "weight.value"]);
    target.nothing_happened(&app).await;
}

#[tokio::test]
async fn values_out_of_range_or_of_another_type() {
    let app = app().await;
    let target = Target::new(&app).await;
    let kilos = |value: Value| json!({ "weight": { "value": value, "unit": "kg" } });
    for (changes, field) in [
        (json!({ "number": 101 }), "number"),
        (json!({ "number": "1" }), "number"),
        (json!({ "number": null }), "number"),
        (json!({ "reps": true }), "reps"),
        (json!({ "reps": [5] }), "reps"),
        (json!({ "reps": null }), "reps"),
        (json!({ "reps": 1e18 }), "reps"),
        (json!({ "reps": u64::MAX }), "reps"),
        (json!({ "rpe": "8" }), "rpe"),
        (json!({ "rpe": 0.5 }), "rpe"),
        (json!({ "kind": 1 }), "kind"),
        (json!({ "exercise": "" }), "exercise"),
        (json!({ "exercise": "no-such-exercise" }), "exercise"),
        (json!({ "exercise": "Bench Press" }), "exercise"),
        (json!({ "exercise": testkit::new_id() }), "exercise"),
        (json!({ "id": "9b2d6f0e-3c1a-4f57-8e21-5a0c7d9e4b11" }), "id"),
        (json!({ "id": testkit::new_id().simple() }), "id"),
        (json!({ "notes": "x".repeat(501) }), "notes"),
        (json!({ "notes": "bell\u{7}" }), "notes"),
        (json!({ "notes": "nul\u{0}" }), "notes"),
        (json!({ "notes": "   " }), "notes"),
        (json!({ "notes": format!("x{}", " ".repeat(500)) }), "notes"),
        (json!({ "notes": ["x"] }), "notes"),
        (json!({ "performed_at": "2024-01-01" }), "performed_at"),
        (json!({ "performed_at": 1_704_103_200 }), "performed_at"),
        (json!({ "performed_at": "2024-02-30T10:00:00Z" }), "performed_at"),
        (json!({ "performed_at": "2024-01-01 10:00:00Z" }), "performed_at"),
        (json!({ "performed_at": "1899-12-31T23:59:59Z" }), "performed_at"),
        (json!({ "performed_at": "2999-01-01T00:00:00Z" }), "performed_at"),
        (json!({ "performed_at": "9999-12-31T23:59:59-23:59" }), "performed_at"),
        (json!({ "distance_metres": 100 }), "distance_metres"),
        (json!({ "superset_id": 70_000 }), "superset_id"),
        (kilos(json!(1000.1)), "weight"),
        (kilos(json!(-0.5)), "weight"),
        (kilos(json!(1e300)), "weight.value"),
        (kilos(json!(7.9e28)), "weight"),
        (kilos(json!(0.123_456_7)), "weight"),
        (kilos(json!("100")), "weight.value"),
        (json!({ "weight": { "value": 2205, "unit": "lb" } }), "weight"),
        (json!({ "weight": { "value": 100 } }), "weight.unit"),
        (json!({ "weight": 100 }), "weight"),
        (json!({ "weight": [100, "kg"] }), "weight"),
    ] {
        assert_eq!(target.refuses(changes.clone()).await, [field], "{changes}");
    }
    target.nothing_happened(&app).await;
    // The edges themselves are good.
    for changes in [
        kilos(json!(1000)),
        kilos(json!(0)),
        json!({ "weight": null, "reps": 0, "number": 100, "rpe": 10, "notes": "é".repeat(500) }),
        json!({ "reps": 1000.0, "rpe": 1, "rest_seconds": 86_400, "notes": "line\nbreak\ttab" }),
    ] {
        let mut set = bench(5, 100);
        set.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        target.athlete.log_set(&target.workout, set).await.expect(201);
    }
}

#[tokio::test]
async fn what_is_no_json_or_no_object() {
    let app = app().await;
    let target = Target::new(&app).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("{{\"notes\":{deep}}}");
    let bodies: [&[u8]; 17] = [
        b"{",
        b"}",
        b"[]",
        b"null",
        b"5",
        b"\"text\"",
        b"{\"reps\":}",
        b"{'reps':5}",
        b"{\"reps\":5,}",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"{\"notes\":\"\xff\xfe\"}",
        b"{\"notes\":\"\\ud800\"}",
        b"{\"reps\":1e999}",
        b"{\"reps\":NaN}",
        deep.as_bytes(),
        nested.as_bytes(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(30)]).into_owned();
        let answer = target.sends(body).await;
        assert_eq!((answer.status, answer.error_code()), (400, "MALFORMED"), "{shown}");
    }
    // However many fields are bad, the answer has an end.
    let unknown: Vec<String> = (0..50_000).map(|n| format!("\"{n}\":[]")).collect();
    let answer = target.sends(format!("{{{}}}", unknown.join(","))).await;
    assert!(answer.refused(400, "VALIDATION_ERROR").error_fields().len() < 200);
    // An array is no object, though its entries would do.
    let positional = json!([
        null,
        "bench-press-barbell",
        1,
        "normal",
        5,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null
    ]);
    target.sends(positional.to_string()).await.refused(400, "MALFORMED");
    for path in [target.workout.clone(), format!("{}/sets/{}", target.workout, testkit::new_id())] {
        for body in ["[]", "[null]", "7"] {
            let request = target.athlete.request(Method::PATCH, &path);
            let request = request.header("content-type", "application/json").body(body);
            Answer::to(request).await.refused(400, "MALFORMED");
        }
    }
    target.nothing_happened(&app).await;
}

#[tokio::test]
async fn a_key_given_twice_is_refused_and_named() {
    let app = app().await;
    let target = Target::new(&app).await;
    let set = r#""exercise":"bench-press-barbell","number":1"#;
    for (body, field) in [
        (format!(r#"{{{set},"reps":5,"reps":6}}"#), "reps"),
        (
            format!(r#"{{{set},"reps":5,"weight":{{"value":1,"value":2,"unit":"kg"}}}}"#),
            "weight.value",
        ),
        (format!(r#"{{{set},"reps":5,"nope":1,"nope":2}}"#), "nope"),
    ] {
        let answer = target.sends(body.clone()).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(answer.error_fields(), [field], "{body}");
    }
    target.nothing_happened(&app).await;
}

#[tokio::test]
async fn bodies_too_large_or_of_another_kind() {
    let app = app().await;
    let target = Target::new(&app).await;
    let sets = format!("{}/sets", target.workout);
    let big = format!("{{\"notes\":\"{}\"}}", "x".repeat(1024 * 1024));
    let answer = target.sends(big.clone()).await.refused(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(answer.meta()["request_id"], answer.header("x-request-id"));
    let nearly = format!("{{\"notes\":\"{}\"}}", "x".repeat(1_000_000));
    target.sends(nearly).await.refused(400, "VALIDATION_ERROR");

    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json", ""]
    {
        let request = target.athlete.request(Method::POST, &sets).header("content-type", kind);
        let answer = Answer::to(request.body(bench(5, 1).to_string())).await;
        answer.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    target.nothing_happened(&app).await;
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"] {
        let request = target.athlete.request(Method::POST, &sets).header("content-type", kind);
        Answer::to(request.body(bench(5, 1).to_string())).await.expect(201);
    }
}

#[tokio::test]
async fn bad_workouts_are_refused() {
    let app = app().await;
    let athlete = app.athlete().await;
    let start = json!({
        "id": "x", "started_at": "2024-01-01 10:00", "title": "x".repeat(101),
        "notes": "x".repeat(1001), "visibility": "secret", "mood": 1,
    });
    let refused = athlete.post("/v1/workouts", start).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(
        refused.error_fields(),
        ["id", "mood", "notes", "started_at", "title", "visibility"]
    );
    let future = json!({ "started_at": "2999-01-01T00:00:00Z" });
    let refused = athlete.post("/v1/workouts", future).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["started_at"]);

    let workout = athlete.start_workout(json!({ "started_at": "2024-01-01T10:00:00Z" })).await;
    let change = json!({ "started_at": null, "visibility": null, "feeling": {"rating": 3} });
    let refused = athlete.patch(&workout, change).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["feeling", "started_at", "visibility"]);
    athlete.log_bench(&workout, 5, 100).await;
    let end = json!({
        "completed_at": "yesterday", "rating": 6, "energy": 0,
        "soreness": { "chest": 11, "elbow": 1 },
    });
    let refused = athlete.complete(&workout, end).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(
        refused.error_fields(),
        ["completed_at", "energy", "rating", "soreness.chest", "soreness.elbow"]
    );
    let early = json!({ "completed_at": "2023-12-31T10:00:00Z" });
    let refused = athlete.complete(&workout, early).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["completed_at"]);
    let read = athlete.get(&workout).await.expect(200);
    assert_eq!(read.data()["status"], "active");
    assert_eq!(app.errors(), Vec::<String>::new());
}

/// Whether the server still holds its end of a connection.
fn is_held(server: u16, client: u16) -> bool {
    let ends = format!("0100007F:{server:04X} 0100007F:{client:04X} ");
    std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&ends)
}

#[tokio::test]
async fn who_takes_nothing_of_what_is_sent_is_given_up_after_a_minute() {
    let app = App::start(binary()).await;
    let address = app.url().strip_prefix("http://").unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut connection = socket.connect(address.parse().unwrap()).await.unwrap();
    let (server, client) =
        (connection.peer_addr().unwrap().port(), connection.local_addr().unwrap().port());
    // More than the buffers between the two hold.
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(50);
    connection.write_all(requests.as_bytes()).await.unwrap();
    let began = Instant::now();
    assert!(is_held(server, client));
    while is_held(server, client) {
        assert!(began.elapsed() < Duration::from_secs(150), "it is held for ever");
        sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(30), "who is only slow is waited for");
    app.athlete().await.get("/v1/athletes/me").await.expect(200);
}
