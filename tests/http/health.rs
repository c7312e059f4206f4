//! `/livez`, `/readyz`, `/health`: alive, ready, or not and why.

use serde_json::json;
use sqlx::{Connection, PgConnection};
use testkit::{App, Client, MASTER_KEY, PASSWORD, Process, TOKEN_KEY, bench, eventually};

use crate::{app, binary};

#[tokio::test]
async fn a_working_product_is_alive_and_ready() {
    let app = app().await;
    for (path, status) in [("/livez", "alive"), ("/readyz", "ready"), ("/health", "ready")] {
        assert_eq!(app.client().get(path).await.expect(200).data()["status"], status);
    }
}

#[tokio::test]
async fn without_its_projector_the_product_says_what_is_missing() {
    let mut app = App::without_projector(binary()).await;
    let client = app.client();
    client.get("/livez").await.expect(200);
    for path in ["/readyz", "/health"] {
        let answer = client.get(path).await.refused(503, "NOT_READY");
        assert_eq!(
            answer.error_fields(),
            [
                "projection boards_v1",
                "projection coaching_v1",
                "projection history_v6",
                "projection open_v1",
                "projection records_v3",
                "projection routines_v1",
                "projection social_v1",
                "projection stats_v3",
                "projection strength_v1",
            ]
        );
        answer.header("retry-after");
    }
    // Commands go on; queries say when to come back.
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let set = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    for query in ["", "?exercise=bench"] {
        let answer = athlete.get(&format!("/v1/history{query}")).await.refused(503, "NOT_BUILT");
        answer.header("retry-after");
    }
    athlete.get_at("/v1/history", set.position()).await.expect(503).header("retry-after");

    app.start_projector();
    eventually("a product that is ready", async || {
        (client.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(athlete.history("", set.position()).await.meta()["count"], 1);
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn processes_end_when_asked_and_recover_when_killed() {
    let mut app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    app.projector.as_mut().unwrap().kill();
    let set = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    let early = athlete.get_at("/v1/history", set.position()).await;
    let early = early.refused(503, "POSITION_NOT_REACHED");
    assert!(early.header("retry-after").parse::<u32>().unwrap() > 0);
    app.start_projector();
    // It may take longer than a query waits.
    eventually("a model that caught up", async || {
        (athlete.get_at("/v1/history", set.position()).await.status == 200).then_some(())
    })
    .await;
    let status = app.projector.as_mut().unwrap().stop().await;
    assert!(status.success(), "{status}");
    let status = app.api.stop().await;
    assert!(status.success(), "{status}");
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn without_its_database_the_product_lives_and_says_so() {
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let environment = [
        ("DATABASE_URL", nowhere),
        ("IRONLEDGER_MASTER_KEY", MASTER_KEY),
        ("IRONLEDGER_TOKEN_KEY", TOKEN_KEY),
        ("IRONLEDGER_BYPASS_KEY", testkit::BYPASS_KEY),
    ];
    let mut api = Process::start(binary(), &["api", "--listen", "127.0.0.1:0"], &environment);
    let client = Client::anonymous(&api.listening().await);
    client.get("/livez").await.expect(200);
    let login = json!({ "email": "a@b", "password": PASSWORD });
    let (ready, login) = tokio::join!(client.get("/readyz"), client.post("/v1/auth/login", login));
    assert_eq!(ready.refused(503, "NOT_READY").error_fields(), ["database"]);
    login.refused(503, "DATABASE_UNAVAILABLE").header("retry-after");
}

#[tokio::test]
async fn what_a_newer_version_recorded_is_refused_by_name_and_not_left_out() {
    let app = App::without_projector(binary()).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let set = athlete.log_bench(&workout, 5, 100).await;
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let newer = sqlx::query(
        "insert into log.events
         select partition, position + 1, epoch, owner, stream_kind, stream_id, version + 1,
             'SetTeleported', 3, recorded_at, null, null, metadata, '{}'
         from log.events where type = 'SetLogged'",
    );
    assert_eq!(newer.execute(&mut owner).await.unwrap().rows_affected(), 1);
    let audit = format!("/v1/audit/sets/{}", set.rsplit('/').next().unwrap());
    for answer in [
        athlete.get(&workout).await,
        athlete.get(&audit).await,
        athlete.patch(&set, json!({ "reps": 6 })).await,
        athlete.log_set(&workout, bench(6, 100)).await,
    ] {
        answer.refused(503, "NEWER_EVENTS").header("retry-after");
    }
    let said = app.api.output();
    assert_eq!(said.matches("unknown event type SetTeleported version 3").count(), 4, "{said}");
    // Other workouts go on.
    let other = athlete.start_workout(json!({})).await;
    athlete.log_bench(&other, 5, 100).await;
}
