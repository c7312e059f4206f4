//! Is a command with an `Idempotency-Key` carried out once, however often it is sent?

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{Answer, App, Method, PASSWORD, bench, email, eventually, new_id};
use tokio::task::JoinSet;

use crate::binary;

/// Everything of an answer but what is of one request alone.
fn essence(answer: &Answer) -> (u16, Value, Option<Value>, Value, Option<String>) {
    let header = |name: &str| answer.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    (
        answer.status,
        answer.body["data"].clone(),
        answer.body.get("error").cloned(),
        answer.body["meta"]["position"].clone(),
        header("etag").or_else(|| header("location")),
    )
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn the_same_key_and_body_have_the_first_answer_and_one_effect() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let start = athlete.keyed("k-1", Method::POST, "/v1/workouts", json!({"title": "Legs"})).await;
    let start = start.expect(201);
    assert!(!is_replayed(&start));
    let workout = start.data()["id"].as_str().unwrap().to_owned();
    let sets = format!("/v1/workouts/{workout}/sets");
    let first = athlete.keyed("k-2", Method::POST, &sets, bench(5, 100)).await.expect(201);
    // The set is corrected and removed meanwhile: the first answer is given all the same.
    let set = first.data()["set"]["id"].as_str().unwrap().to_owned();
    let path = format!("{sets}/{set}");
    let corrected =
        athlete.keyed("k-3", Method::PATCH, &path, json!({"reps": 6})).await.expect(200);
    let removed = athlete.keyed("k-4", Method::DELETE, &path, Value::Null).await.expect(200);
    let before = app.database.count("log.events").await;
    for (key, method, path, body, was) in [
        ("k-1", Method::POST, "/v1/workouts", json!({"title": "Legs"}), &start),
        ("k-2", Method::POST, sets.as_str(), bench(5, 100), &first),
        ("k-3", Method::PATCH, path.as_str(), json!({"reps": 6}), &corrected),
        ("k-4", Method::DELETE, path.as_str(), Value::Null, &removed),
    ] {
        let again = athlete.keyed(key, method, path, body).await;
        assert!(is_replayed(&again), "{key}");
        assert_eq!(essence(&again), essence(was), "{key}");
    }
    assert_eq!(app.database.count("log.events").await, before);
    assert_eq!(app.database.count("log.kept_answers").await, 4);
}

#[tokio::test]
async fn a_key_is_good_for_one_request_of_one_athlete() {
    let app = App::start(binary()).await;
    let (anna, ben) = (app.pro_athlete().await, app.athlete().await);
    anna.keyed("mine", Method::POST, "/v1/workouts", json!({"title": "A"})).await.expect(201);
    for (method, path, body) in [
        (Method::POST, "/v1/workouts", json!({"title": "B"})),
        (Method::POST, "/v1/workouts", json!({})),
        (Method::POST, "/v1/exercises", json!({"title": "A"})),
    ] {
        let reused = anna.keyed("mine", method, path, body).await;
        reused.refused(422, "IDEMPOTENCY_KEY_REUSED");
    }
    ben.keyed("mine", Method::POST, "/v1/workouts", json!({"title": "B"})).await.expect(201);
    assert_eq!(app.database.count("log.events where type = 'WorkoutStarted'").await, 2);
}

#[tokio::test]
async fn many_at_the_same_moment_leave_one_effect() {
    let app = App::start(binary()).await;
    let (_other, other_url) = app.another_api().await;
    let athlete = app.athlete().await;
    for round in 0..3 {
        let mut all = JoinSet::new();
        for number in 0..50 {
            let client = if number % 2 == 0 { athlete.clone() } else { athlete.at(&other_url) };
            all.spawn(async move {
                let key = format!("round-{round}");
                client.keyed(&key, Method::POST, "/v1/workouts", json!({"title": "Once"})).await
            });
        }
        let answers = all.join_all().await;
        for answer in &answers {
            assert_eq!(essence(answer), essence(&answers[0]));
        }
        assert_eq!(answers[0].status, 201);
        assert_eq!(answers.iter().filter(|answer| !is_replayed(answer)).count(), 1);
    }
    assert_eq!(app.database.count("log.events where type = 'WorkoutStarted'").await, 3);
}

#[tokio::test]
async fn a_command_whose_process_dies_between_commit_and_answer_is_answered_by_another() {
    let mut app = App::without_projector(binary()).await;
    let athlete = app.athlete().await;
    let title = json!({ "title": "Once" });
    let before = app.database.count("log.events").await;
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let hold = "begin; lock table log.events_0_to_7, log.events_8_to_15 in share mode";
    sqlx::raw_sql(hold).execute(&mut owner).await.unwrap();
    let first = athlete.request(Method::POST, "/v1/workouts").header("idempotency-key", "once");
    let first = tokio::spawn(first.json(&title).send());
    // Its append has reached Postgres; when that goes on, nobody is there to hear of it.
    let waiting = "pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock' and query ilike '%insert into log.events%'";
    eventually("an append that waits", async || {
        (app.database.count(waiting).await == 1).then_some(())
    })
    .await;
    app.api.freeze();
    sqlx::raw_sql("commit").execute(&mut owner).await.unwrap();
    eventually("its commit", async || {
        (app.database.count("log.events").await == before + 1).then_some(())
    })
    .await;
    app.api.kill();
    assert!(first.await.unwrap().is_err(), "nobody was left to answer");

    let (_other, other_url) = app.another_api().await;
    let mut all = JoinSet::new();
    for _ in 0..50 {
        let (client, title) = (athlete.at(&other_url), title.clone());
        all.spawn(async move { client.keyed("once", Method::POST, "/v1/workouts", title).await });
    }
    let answers = all.join_all().await;
    for answer in &answers {
        assert!(is_replayed(answer), "{}", answer.body);
        assert_eq!((answer.status, essence(answer)), (201, essence(&answers[0])));
    }
    assert_eq!(app.database.count("log.events").await, before + 1);
}

#[tokio::test]
async fn refusals_and_commands_without_effect_are_kept_too() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let complete = format!("{workout}/complete");
    let refused = athlete.keyed("early", Method::POST, &complete, json!({})).await;
    assert_eq!(refused.status, 409);
    athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    let again = athlete.keyed("early", Method::POST, &complete, json!({})).await;
    assert_eq!(essence(&again), essence(&refused), "the first answer, though it would do now");
    assert!(is_replayed(&again));

    let invalid = athlete.keyed("bad", Method::POST, "/v1/workouts", json!({"title": 7})).await;
    assert_eq!(invalid.status, 400);
    let again = athlete.keyed("bad", Method::POST, "/v1/workouts", json!({"title": 7})).await;
    assert_eq!(essence(&again), essence(&invalid));

    // Nothing to do, nothing appended, and an answer.
    let path = workout.as_str();
    let same = json!({"visibility": "followers"});
    let nothing = athlete.keyed("same", Method::PATCH, path, same.clone()).await.expect(200);
    athlete.patch(path, json!({"title": "Later"})).await.expect(200);
    let again = athlete.keyed("same", Method::PATCH, path, same).await;
    assert_eq!(essence(&again), essence(&nothing));
}

#[tokio::test]
async fn bad_keys_are_refused_and_reading_needs_none() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    for bad in ["", " ", "a b", &"x".repeat(256), "caf\u{e9}"] {
        let refused = athlete.keyed(bad, Method::POST, "/v1/workouts", json!({})).await;
        let refused = refused.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), ["Idempotency-Key"], "{bad:?}");
    }
    athlete.keyed(&"x".repeat(255), Method::POST, "/v1/workouts", json!({})).await.expect(201);
    let anonymous = app.client();
    anonymous
        .keyed("k", Method::POST, "/v1/workouts", json!({}))
        .await
        .refused(401, "TOKEN_MISSING");
    let missing = format!("/v1/workouts/{}", new_id());
    athlete.keyed("read", Method::GET, &missing, Value::Null).await.refused(404, "NOT_FOUND");
    for key in ["read", "", "no key at all"] {
        athlete.keyed(key, Method::GET, "/v1/exercises", Value::Null).await.expect(200);
    }
    assert_eq!(app.database.count("log.kept_answers").await, 1);
}

#[tokio::test]
async fn what_is_kept_is_sealed_and_hashed() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let body = json!({"title": "Secret garden", "notes": "Nobody's business"});
    athlete.keyed("key-of-mine", Method::POST, "/v1/workouts", body).await.expect(201);
    let rows = app
        .database
        .count("log.kept_answers k where position('Secret'::bytea in answer) > 0")
        .await
        + app.database.count("log.kept_answers k where k::text like '%key-of-mine%'").await;
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_registration_can_be_sent_twice_by_who_knows_the_password() {
    let app = App::start(binary()).await;
    let anybody = app.client();
    let body = |password: &str, zone: &str| json!({"email": "twice@example.com", "password": password, "time_zone": zone});
    let register = async |key: &str, body: Value| {
        anybody.keyed(key, Method::POST, "/v1/auth/register", body).await
    };
    let first = register("r", body("correct horse", "Europe/Paris")).await.expect(201);
    let again = register("r", body("correct horse", "Europe/Paris")).await.expect(201);
    assert_eq!(again.data()["athlete"], first.data()["athlete"]);
    assert_eq!(again.position(), first.position());
    let other = register("r", body("correct horse", "Europe/Rome")).await;
    other.refused(422, "IDEMPOTENCY_KEY_REUSED");
    for (key, password) in [("r", "wrong horse!"), ("another", "correct horse")] {
        register(key, body(password, "Europe/Paris")).await.refused(409, "EMAIL_TAKEN");
    }
    assert_eq!(app.database.count("log.events where type = 'AthleteRegistered'").await, 1);
}

#[tokio::test]
async fn a_registration_whose_end_nobody_saw_is_settled_by_its_key() {
    let app = App::start(binary()).await;
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let register = json!({ "email": email(), "password": PASSWORD, "time_zone": "Europe/Paris" });
    let client = app.client();
    let send = || client.keyed("first", Method::POST, "/v1/auth/register", register.clone());
    let hold = "begin; lock table log.events_0_to_7, log.events_8_to_15 in share mode";
    sqlx::raw_sql(hold).execute(&mut owner).await.unwrap();
    let (unsettled, _) = tokio::join!(send(), async {
        tokio::time::sleep(std::time::Duration::from_secs(15)).await;
        sqlx::raw_sql("commit").execute(&mut owner).await.unwrap();
    });
    assert_eq!(unsettled.status, 503, "{}", unsettled.body);
    let again = send().await.expect(201);
    let once_more = send().await.expect(201);
    assert_eq!(again.data()["athlete"], once_more.data()["athlete"]);
    assert_eq!(app.database.count("log.events").await, 1);
}
