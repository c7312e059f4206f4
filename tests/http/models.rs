//! Read models under a running product: their state, replays beside constant queries, parked events
//! and new versions, through HTTP and the commands of operators.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use log::Positions;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use testkit::{App, Client, MASTER_KEY, Process, bench, eventually};

use crate::{app, binary};

/// A command as the user of projectors.
async fn operate(app: &App, arguments: &[&str]) -> (bool, String) {
    let url = app.database.projector_url();
    let mut process = Process::start(binary(), arguments, &[("DATABASE_URL", &url)]);
    let status = process.ended().await;
    (status.success(), process.output())
}

async fn admin(app: &App) -> Client {
    let admin = app.athlete().await;
    let email = admin.email.clone().unwrap();
    let (granted, said) = app.run(&["admin", "grant", "--email", &email, "--role", "admin"]).await;
    assert!(granted.success(), "{said}");
    let body = json!({ "email": email, "password": testkit::PASSWORD });
    let login = app.client().post("/v1/auth/login", body).await.expect(200);
    admin.with_token(login.data()["access_token"].as_str().unwrap())
}

#[tokio::test]
async fn admins_see_how_far_the_models_are_and_nobody_else_does() {
    let app = app().await;
    let athlete = app.athlete().await;
    athlete.get("/v1/admin/projections").await.expect(403);
    app.client().get("/v1/admin/projections").await.expect(401);
    let admin = admin(&app).await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_bench(&workout, 5, 100).await;
    // Rates take two looks.
    admin.get("/v1/admin/projections").await.expect(200);
    let models = admin.get("/v1/admin/projections").await.expect(200);
    let names: Vec<&Value> = models.each("name");
    let expected = [
        "history", "stats", "records", "strength", "coaching", "routines", "open", "social",
        "boards",
    ];
    assert_eq!(names, expected);
    for model in models.list() {
        assert!(["current", "behind"].contains(&model["state"].as_str().unwrap()), "{model}");
        assert_eq!(model["partitions"].as_array().unwrap().len(), 16);
        assert!(model["events_per_second"].is_number(), "{model}");
        assert_eq!((&model["parked_events"], &model["replay"]), (&json!(0), &Value::Null));
    }
}

#[tokio::test]
async fn the_status_command_tells_missing_stuck_and_current_models_apart() {
    let mut app = App::without_projector(binary()).await;
    let (status, said) = app.run(&["status"]).await;
    assert!(!status.success() && said.contains("missing"), "{said}");
    let (_, doctor) = app.run(&["doctor"]).await;
    assert!(doctor.contains("run `ironledger replay history`"), "{doctor}");
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_bench(&workout, 5, 100).await;
    app.start_projector();
    let current = eventually("models that have everything", async || {
        let (status, said) = app.run(&["status", "--json"]).await;
        let all: Value = serde_json::from_str(said.lines().last()?).ok()?;
        let is_current = all.as_array()?.iter().all(|model| model["state"] == "current");
        (status.success() && is_current).then_some(all)
    })
    .await;
    assert_eq!(current[0]["lag_events"], 0);

    // Nobody moves it any more: after a while, which the test does not wait for, it is stuck.
    app.projector = None;
    athlete.log_bench(&workout, 6, 100).await;
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    owner
        .execute(
            "update history_v6.checkpoints set updated_at = updated_at - interval '1 hour';
             set session_replication_role = replica;
             update log.events set recorded_at = recorded_at - interval '40 seconds'",
        )
        .await
        .unwrap();
    let (status, said) = app.run(&["status", "--partitions"]).await;
    assert!(!status.success(), "{said}");
    let line = said.lines().find(|line| line.starts_with("history_v6")).unwrap();
    assert!(line.contains("stuck"), "{said}");
    assert!(said.contains("partition 15"), "{said}");
    // The other one is behind, and was moved a moment ago.
    let line = said.lines().find(|line| line.starts_with("stats_v3")).unwrap();
    assert!(line.contains("behind"), "{said}");
}

#[tokio::test]
async fn prometheus_sees_lag_rates_and_what_is_parked() {
    let app = App::without_projector(binary()).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_bench(&workout, 5, 100).await;
    let measured = |arguments: &[&str], url: &str| {
        let arguments = [arguments, &["--metrics-listen", "127.0.0.1:0"]].concat();
        let environment = [
            ("DATABASE_URL", url),
            ("IRONLEDGER_MASTER_KEY", testkit::MASTER_KEY),
            ("IRONLEDGER_TOKEN_KEY", testkit::TOKEN_KEY),
            ("IRONLEDGER_BYPASS_KEY", testkit::BYPASS_KEY),
        ];
        Process::start(binary(), &arguments, &environment)
    };
    let api = measured(&["api", "--listen", "127.0.0.1:0"], &app.database.api_url());
    let samples = api.metrics().await;
    let missing = r#"ironledger_projection_state{model="history_v6",state="missing"}"#;
    assert_eq!(samples[missing], 1.0, "{samples:?}");

    let projector = measured(&["projector", "--all"], &app.database.projector_url());
    let lag = |samples: &std::collections::BTreeMap<String, f64>, of: &str| {
        let name = format!("ironledger_projection_{of}{{model=\"history_v6\"");
        samples
            .iter()
            .filter(|(sample, _)| sample.starts_with(&name))
            .map(|(_, at)| at)
            .sum::<f64>()
    };
    eventually("a model that has everything", async || {
        let samples = projector.metrics().await;
        let current = r#"ironledger_projection_state{model="history_v6",state="current"}"#;
        let done = samples.get(r#"ironledger_projected_events_total{model="history_v6"}"#)? >= &3.0;
        (done && samples[current] == 1.0 && lag(&samples, "lag_events") == 0.0).then_some(())
    })
    .await;
    drop(projector);
    let samples = api.metrics().await;
    assert_eq!(samples["active_workouts"], 1.0, "{samples:?}");
    let live =
        api.output().lines().find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    let live = live.unwrap();
    for path in ["/livez", "/livez", "/v1/workouts/x", "/nothing"] {
        testkit::http().build().unwrap().get(format!("{live}{path}")).send().await.unwrap();
    }
    let samples = api.metrics().await;
    let count = |route: &str, status: u16| {
        let labels = format!("{{method=\"GET\",route=\"{route}\",status=\"{status}\"}}");
        let (total, timed) = ("http_requests_total", "http_request_duration_seconds_count");
        assert_eq!(samples[&format!("{total}{labels}")], samples[&format!("{timed}{labels}")]);
        samples[&format!("{total}{labels}")]
    };
    assert_eq!(count("/livez", 200), 2.0);
    assert_eq!((count("/v1/workouts/{id}", 401), count("unmatched", 404)), (1.0, 1.0));

    // One that nobody can project is behind, and one that is set aside is said to be.
    athlete.log_bench(&workout, 5, 100).await;
    let samples = api.metrics().await;
    assert_eq!((samples[missing], lag(&samples, "lag_events")), (0.0, 1.0), "{samples:?}");
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    owner
        .execute(
            "set session_replication_role = replica;
             update log.events set payload = '{}' where (partition, position) = (
                 select partition, position from log.events order by recorded_at desc limit 1)",
        )
        .await
        .unwrap();
    let projector = measured(&["projector", "history"], &app.database.projector_url());
    eventually("a parked event", async || {
        let samples = projector.metrics().await;
        let parked = r#"ironledger_parked_events_total{model="history_v6"}"#;
        let failed = r#"ironledger_projection_parked_events{model="history_v6",kind="failed"}"#;
        (samples.get(parked) == Some(&1.0) && samples[failed] == 1.0).then_some(())
    })
    .await;
}

/// What constant queries have seen.
#[derive(Default)]
struct Seen {
    asked: AtomicU64,
    failed: AtomicU64,
    went_back: AtomicU64,
    untrue: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_beside_constant_commands_and_queries_are_not_noticed() {
    let app = Arc::new(App::start(binary()).await);
    let mut athletes = Vec::new();
    for _ in 0..4 {
        let athlete = app.athlete().await;
        let workout = athlete.start_workout(json!({})).await;
        athletes.push((athlete, workout));
    }
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
    let mut tasks = tokio::task::JoinSet::new();
    for (athlete, workout) in athletes {
        // Each logs a set, asks for it and counts what it sees: exactly the sets it has logged,
        // at positions that never go back.
        let (stop, seen) = (stop.clone(), seen.clone());
        tasks.spawn(async move {
            let (mut logged, mut last) = (0_u64, std::collections::HashMap::new());
            while !stop.load(Ordering::Relaxed) {
                let set = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
                logged += 1;
                for query in ["/v1/history", "/v1/stats/overview", "/v1/history"] {
                    let answer = athlete.get_at(query, set.position()).await;
                    seen.asked.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 200 {
                        eprintln!("{query}: {}", answer.body);
                        seen.failed.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let at: Positions = answer.position().parse().unwrap();
                    let at = at.at.values().map(|at| at.0).sum::<i64>();
                    // Each model has its own place.
                    if last.insert(query, at).is_some_and(|last| at < last) {
                        seen.went_back.fetch_add(1, Ordering::Relaxed);
                    }
                    if query == "/v1/history" && answer.list()[0]["totals"]["sets"] != logged {
                        seen.untrue.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
    }
    for round in 0..6 {
        let model = ["history", "stats"][round % 2];
        let how: &[&str] = match round {
            4 => &["replay", "rollback", "history"],
            5 => &["replay", "rollback", "stats"],
            _ => &["replay", model, "--verify"],
        };
        let (done, said) = operate(&app, how).await;
        assert!(done, "{said}");
        if round < 4 {
            assert!(said.contains("0 differ") && said.contains("swapped in"), "{said}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    assert!(of(&seen.asked) > 100, "{} answers", of(&seen.asked));
    assert_eq!((of(&seen.failed), of(&seen.went_back), of(&seen.untrue)), (0, 0, 0));
    assert_eq!(app.errors(), [""; 0]);
}

#[tokio::test]
async fn operators_see_retry_and_skip_parked_events() {
    let app = App::start(binary()).await;
    let (unlucky, lucky) = (app.athlete().await, app.athlete().await);
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let (_, nothing) = operate(&app, &["parked", "list"]).await;
    assert!(nothing.contains("nothing is parked"), "{nothing}");
    // Nobody projects while an event is damaged.
    let mut app = app;
    app.projector = None;
    let workout = unlucky.start_workout(json!({ "title": "Secret" })).await;
    unlucky.log_bench(&workout, 5, 100).await;
    unlucky.log_bench(&workout, 6, 100).await;
    let other = lucky.start_workout(json!({})).await;
    let last = lucky.log_bench(&other, 7, 100).await;
    let damage = "set session_replication_role = replica;
        update log.events set payload = replace(payload, '\"reps\":5', '\"reps\":\"five\"')
        where payload like '%\"reps\":5,%'";
    owner.execute(damage).await.unwrap();
    app.start_projector();
    assert!(!last.is_empty());
    let listed = eventually("a parked event", async || {
        let (_, said) = operate(&app, &["parked", "list", "history"]).await;
        said.contains("waiting 1").then_some(said)
    })
    .await;
    assert!(listed.contains(&unlucky.athlete.unwrap().to_string()), "{listed}");
    let line = listed.lines().find(|line| line.starts_with("history ")).unwrap();
    let mut words = line.split(' ').skip(1);
    let (partition, position) = (words.next().unwrap(), words.next().unwrap());

    let (shown, said) = operate(&app, &["parked", "show", "history", partition, position]).await;
    assert!(shown && said.contains("SetLogged") && said.contains("five"), "{said}");
    assert!(!said.contains("Secret"), "{said}");
    let (done, said) = operate(&app, &["parked", "retry", "history"]).await;
    assert!(!done && said.contains("projected 0"), "{said}");
    let (done, said) =
        operate(&app, &["parked", "skip", "history", partition, "999999", "--reason", "x"]).await;
    assert!(!done && said.contains("is not parked"), "{said}");
    let reason = ["parked", "skip", "history", partition, position, "--reason", "a bad disk"];
    let (done, said) = operate(&app, &reason).await;
    assert!(done && said.contains("projected 1"), "{said}");
    let history = unlucky.get("/v1/history").await.expect(200);
    assert_eq!(history.list()[0]["sets"].as_array().unwrap().len(), 1);
    // The other model has it parked still.
    eventually("an event that stats has parked", async || {
        let (_, said) = operate(&app, &["parked", "list"]).await;
        said.lines().any(|line| line.starts_with("stats ")).then_some(())
    })
    .await;
    let (_, doctor) = app.run(&["doctor"]).await;
    // An announcement may just have put it behind, too.
    let told = doctor.lines().find(|line| line.contains("stats_v3 is ")).unwrap_or_default();
    assert!(told.starts_with("BAD") && told.contains("parked"), "{doctor}");
    assert!(!doctor.contains("history_v6 is parked"), "{doctor}");
}

#[tokio::test]
async fn a_product_is_not_ready_until_a_replay_has_built_its_models() {
    let app = App::without_projector(binary()).await;
    let athlete = app.athlete().await;
    for _ in 0..3 {
        let workout = athlete.start_workout(json!({})).await;
        for reps in 1..10 {
            athlete.log_bench(&workout, reps, 100).await;
        }
    }
    let client = app.client();
    let reasons = async || client.get("/readyz").await.refused(503, "NOT_READY").body.to_string();
    assert!(reasons().await.contains("run `ironledger replay history`"));
    // Slowly, so that somebody can ask in between.
    let url = app.database.projector_url();
    let arguments = ["replay", "--all", "--json", "--throttle", "15", "--workers", "1"];
    let environment = [("DATABASE_URL", url.as_str()), ("IRONLEDGER_MASTER_KEY", MASTER_KEY)];
    let mut replay = Process::start(binary(), &arguments, &environment);
    let told = eventually("a replay that is told of", async || {
        let reasons = reasons().await;
        reasons.contains("a replay is loading").then_some(reasons)
    })
    .await;
    assert!(told.contains("% of"), "{told}");
    let status = replay.ended().await;
    let said = replay.output();
    assert!(status.success(), "{said}");
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(line["model"].is_string(), "{line}");
    }
    assert!(said.contains("\"swapped\":true"), "{said}");
    client.get("/readyz").await.expect(200);
    let history = athlete.get("/v1/history").await.expect(200);
    assert_eq!(history.list().len(), 3);
}
