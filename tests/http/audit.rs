//! `/v1/audit/…` and `ironledger audit`: everything that happened, who did it, and who looked.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use testkit::{Answer, App, Client, bench, new_id};

use crate::{app, binary, log::admin, personal_data::log_of};

/// The id at the end of a path.
fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// The events of an audit, which must be there.
async fn audited(client: &Client, path: &str) -> Vec<Value> {
    let answer = client.get(path).await.expect(200);
    let events = answer.data()["events"].as_array().unwrap().clone();
    assert!(events.iter().map(|event| event["version"].as_i64()).is_sorted_by(|a, b| a < b));
    events
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_set_from_logging_to_removal() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_bench(&workout, 9, 50).await;
    let mut body = bench(5, 100);
    body["notes"] = json!("felt heavy");
    body["performed_at"] = json!("2026-01-02T03:04:05Z");
    let request = athlete.request(Method::POST, &format!("{workout}/sets")).json(&body);
    let request = request.header("x-device-id", "watch-7").header("x-request-id", "log-1");
    let logged = Answer::to(request).await.expect(201);
    let set = logged.header("location").to_owned();
    let shown = logged.data()["set"].clone();
    athlete.patch(&set, json!({ "reps": 6 })).await.expect(200);
    let corrected = athlete.patch(&set, json!({ "notes": null })).await.expect(200);
    athlete.delete(&set).await.expect(200);
    athlete.log_bench(&workout, 3, 50).await;

    let path = format!("/v1/audit/sets/{}", id(&set));
    let answer = athlete.get(&path).await.expect(200);
    assert_eq!(answer.data()["athlete"], json!(athlete.athlete));
    assert_eq!(answer.data()["workout"], id(&workout));
    answer.position();
    let events = audited(&athlete, &path).await;
    assert_eq!(types(&events), ["SetLogged", "SetCorrected", "SetCorrected", "SetRemoved"]);

    let first = &events[0];
    assert_eq!(first["actor"], format!("athlete:{}", athlete.athlete.unwrap()));
    assert_eq!((&first["on_behalf_of"], &first["channel"]), (&Value::Null, &json!("api")));
    assert_eq!((&first["device"], &first["request"]), (&json!("watch-7"), &json!("log-1")));
    assert_eq!(first["occurred_at"], "2026-01-02T03:04:05Z");
    assert!(first["recorded_at"].as_str().unwrap() > "2026-01-02T03:04:05Z");
    assert_eq!((&first["version"], &first["set"]), (&json!(3), &json!(id(&set))));
    assert!(first["position"].is_i64() && first["partition"].is_i64());

    // What was before is what the event before left, as the answers of the time showed it.
    assert_eq!((&first["before"], &first["after"]), (&Value::Null, &shown));
    for pair in events.windows(2) {
        assert_eq!(pair[0]["after"], pair[1]["before"]);
    }
    assert_eq!((&events[1]["before"]["reps"], &events[1]["after"]["reps"]), (&json!(5), &json!(6)));
    assert_eq!(events[2]["before"]["notes"], "felt heavy");
    assert_eq!(events[2]["after"], corrected.data()["set"]);
    assert_eq!(events[3]["after"], Value::Null);
}

#[tokio::test]
async fn a_workout_from_start_to_discarding_takes_its_sets_along() {
    let app = app().await;
    let athlete = app.pro_athlete().await;
    let exercise = json!({
        "name": "Sled of Doom", "equipment": "other", "primary_muscles": ["quadriceps"],
        "kind": "weight_reps",
    });
    let exercise = athlete.post("/v1/exercises", exercise).await.expect(201);
    let workout = athlete.start_workout(json!({ "title": "Legs" })).await;
    let mut body = bench(5, 100);
    body["exercise"] = exercise.data()["id"].clone();
    let kept = athlete.log_set(&workout, body).await.expect(201).header("location").to_owned();
    let removed = athlete.log_bench(&workout, 6, 100).await;
    athlete.delete(&removed).await.expect(200);
    athlete.complete(&workout, json!({ "rating": 4 })).await.expect(200);
    athlete.patch(&workout, json!({ "title": "Legs, heavy" })).await.expect(200);
    let last = athlete.get(&workout).await.expect(200);
    athlete.delete(&workout).await.expect(200);

    let events = audited(&athlete, &format!("/v1/audit/workouts/{}", id(&workout))).await;
    assert_eq!(
        types(&events),
        [
            "WorkoutStarted",
            "SetLogged",
            "SetLogged",
            "SetRemoved",
            "WorkoutCompleted",
            "WorkoutDetailsChanged",
            "WorkoutDiscarded",
        ]
    );
    let whole: Vec<&Value> = events.iter().filter(|event| event["set"].is_null()).collect();
    assert_eq!(whole[0]["before"], Value::Null);
    assert_eq!(
        (&whole[0]["after"]["title"], &whole[0]["after"]["status"]),
        (&json!("Legs"), &json!("active"))
    );
    assert_eq!(whole[1]["before"]["totals"]["sets"], 1);
    assert_eq!(whole[1]["after"]["feeling"]["rating"], 4);
    assert_eq!(whole[1]["after"]["status"], "completed");
    assert_eq!(
        (&whole[2]["before"]["title"], &whole[2]["after"]["title"]),
        (&json!("Legs"), &json!("Legs, heavy"))
    );
    // As its own answer showed it, but for the sets, which have events of their own.
    let mut shown = last.data().clone();
    shown.as_object_mut().unwrap().remove("sets");
    assert_eq!(whole[3]["before"], shown);
    assert_eq!(whole[3]["after"]["status"], "discarded");
    assert_eq!(events[1]["set"], id(&kept));
    assert_eq!(events[1]["after"]["exercise"]["name"], "Sled of Doom");

    let set = audited(&athlete, &format!("/v1/audit/sets/{}", id(&kept))).await;
    assert_eq!(types(&set), ["SetLogged", "WorkoutDiscarded"]);
    assert_eq!((&set[1]["before"]["reps"], &set[1]["after"]), (&json!(5), &Value::Null));
    let set = audited(&athlete, &format!("/v1/audit/sets/{}", id(&removed))).await;
    assert_eq!(types(&set), ["SetLogged", "SetRemoved"], "it was gone before its workout");
}

#[tokio::test]
async fn an_imported_set_says_where_it_came_from() {
    let app = app().await;
    let athlete = app.athlete().await;
    let file = std::env::temp_dir().join(format!("{}.csv", new_id()));
    let rows = "title,start_time,end_time,description,exercise_title,superset_id,exercise_notes,\
        set_index,set_type,weight_kg,reps,distance_km,duration_seconds,rpe\n\
        \"Push\",\"5 Jan 2025, 08:00\",\"5 Jan 2025, 09:10\",\"\",\"Bench Press (Barbell)\",\"\",\
        \"\",\"0\",\"normal\",\"60\",\"8\",\"\",\"\",\"\"\n";
    std::fs::write(&file, rows).unwrap();
    let email = athlete.email.clone().unwrap();
    let (file_name, zone) = (file.to_str().unwrap(), "Europe/Paris");
    let arguments =
        ["import", "--format", "hevy", file_name, "--athlete", &email, "--time-zone", zone];
    let (status, said) = app.run(&arguments).await;
    std::fs::remove_file(&file).ok();
    assert!(status.success(), "{said}");

    let payloads = log_of(&app, &athlete, "payload").await;
    let logged: Value = payloads
        .iter()
        .map(|payload| serde_json::from_str::<Value>(payload).unwrap())
        .find(|payload| payload["set_id"].is_string())
        .unwrap();
    let set = logged["set_id"].as_str().unwrap();
    let events = audited(&athlete, &format!("/v1/audit/sets/{set}")).await;
    assert_eq!(types(&events), ["SetLogged"]);
    assert_eq!(events[0]["channel"], "import");
    assert_eq!(events[0]["after"]["reps"], 8);
    assert!(events[0]["occurred_at"].as_str().unwrap().starts_with("2025-01-05T"));
}

#[tokio::test]
async fn anothers_audit_is_not_there_and_bad_requests_are_told() {
    let app = app().await;
    let (athlete, thief) = (app.pro_athlete().await, app.athlete().await);
    let admin = admin(&app).await;
    let workout = athlete.start_workout(json!({})).await;
    let set = athlete.log_bench(&workout, 5, 100).await;
    let exercise = json!({
        "name": "Mine", "equipment": "other", "primary_muscles": ["neck"], "kind": "reps_only",
    });
    let exercise = athlete.post("/v1/exercises", exercise).await.expect(201);
    let exercise = exercise.data()["id"].as_str().unwrap().to_owned();
    let owner = athlete.athlete.unwrap();

    for (path, what) in [
        (format!("/v1/audit/sets/{}", id(&set)), "set"),
        (format!("/v1/audit/workouts/{}", id(&workout)), "workout"),
    ] {
        athlete.get(&format!("{path}?athlete={owner}")).await.expect(200);
        app.client().get(&path).await.refused(401, "TOKEN_MISSING");
        let never = format!("/v1/audit/{what}s/{}", new_id());
        let expected = thief.get(&never).await.refused(404, "NOT_FOUND");
        for (client, path) in [
            (&thief, path.clone()),
            // Only an admin may name somebody, and must name them.
            (&thief, format!("{path}?athlete={owner}")),
            (&admin, path.clone()),
            (&admin, format!("{path}?athlete={}", new_id())),
            (&admin, format!("{never}?athlete={owner}")),
        ] {
            let refused = client.get(&path).await.refused(404, "NOT_FOUND");
            assert_eq!(refused.body["error"], expected.body["error"], "{path}");
        }
        let bad = athlete.get(&format!("{path}?athlete=me&unit=kg")).await;
        assert_eq!(bad.refused(400, "VALIDATION_ERROR").error_fields(), ["athlete", "unit"]);
    }
    // Ids of other things, and what is none.
    for path in [
        format!("/v1/audit/sets/{}", id(&workout)),
        format!("/v1/audit/sets/{exercise}"),
        format!("/v1/audit/workouts/{}", id(&set)),
        format!("/v1/audit/workouts/{owner}"),
        "/v1/audit/sets/1".to_owned(),
        "/v1/audit/sets/%00".to_owned(),
    ] {
        athlete.get(&path).await.refused(404, "NOT_FOUND");
    }
    let bad = athlete.get("/v1/audit/reads?limit=0&cursor=x&athlete=1").await;
    let bad = bad.refused(400, "VALIDATION_ERROR");
    assert_eq!(bad.error_fields(), ["athlete", "cursor", "limit"]);
    assert_eq!(athlete.get("/v1/audit/reads").await.expect(200).list(), [] as [Value; 0]);
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn an_admins_reading_is_itself_on_the_log() {
    let app = app().await;
    let (admin, athlete) = (admin(&app).await, app.athlete().await);
    let owner = athlete.athlete.unwrap();
    let workout = athlete.start_workout(json!({ "title": "Secret" })).await;
    let set = athlete.log_bench(&workout, 5, 100).await;
    let of_set = format!("/v1/audit/sets/{}", id(&set));
    let of_workout = format!("/v1/audit/workouts/{}", id(&workout));

    let request = admin.request(Method::GET, &format!("{of_set}?athlete={owner}"));
    let seen = Answer::to(request.header("x-request-id", "look-1")).await.expect(200);
    assert_eq!(seen.data(), athlete.get(&of_set).await.data(), "as the athlete sees it");
    for _ in 0..2 {
        let events = audited(&admin, &format!("{of_workout}?athlete={owner}")).await;
        assert_eq!(events[0]["after"]["title"], "Secret");
    }

    let events = admin.get(&format!("/v1/log?stream=audit-{owner}")).await.expect(200);
    assert_eq!(events.each("type"), ["AuditRead"; 3]);
    let first = &events.list()[0];
    assert_eq!(first["payload"], json!({ "subject": "set", "id": id(&set) }));
    assert_eq!(first["owner"], json!(owner));
    let actor = format!("athlete:{}", admin.athlete.unwrap());
    assert_eq!(first["metadata"]["actor"], actor);
    assert_eq!(first["metadata"]["request"], "look-1");

    // The athlete is told, newest first, page by page; the admin, about whom it is not, is not.
    let page = athlete.get("/v1/audit/reads?limit=2").await.expect(200);
    assert_eq!(page.each("subject"), ["workout", "workout"]);
    assert_eq!(page.each("actor"), [&actor, &actor]);
    let cursor = page.meta()["next_cursor"].as_str().unwrap();
    let page = athlete.get(&format!("/v1/audit/reads?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(
        (page.each("subject"), page.each("id")),
        (vec![&json!("set")], vec![&json!(id(&set))])
    );
    assert!(page.meta()["next_cursor"].is_null());
    assert_eq!(admin.get("/v1/audit/reads").await.expect(200).meta()["count"], 0);

    // Nobody's reading but another's: the owner's own leaves nothing, an admin's own neither.
    let own = admin.log_bench(&admin.start_workout(json!({})).await, 1, 1).await;
    let own = format!("/v1/audit/sets/{}?athlete={}", id(&own), admin.athlete.unwrap());
    admin.get(&own).await.expect(200);
    assert_eq!(admin.get("/v1/audit/reads").await.expect(200).meta()["count"], 0);
    // Commands go on beside it, and history does not mind.
    let last = athlete.log_set(&workout, bench(6, 100)).await.expect(201);
    assert_eq!(athlete.history("", last.position()).await.list()[0]["totals"]["sets"], 2);
}

#[tokio::test]
async fn readings_at_the_same_time_are_all_recorded() {
    let app = app().await;
    let (admin, athlete) = (admin(&app).await, app.athlete().await);
    let workout = athlete.start_workout(json!({})).await;
    let path = format!("/v1/audit/workouts/{}?athlete={}", id(&workout), athlete.athlete.unwrap());
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (admin, path) = (admin.clone(), path.clone());
        reading.spawn(async move { admin.get(&path).await.expect(200) });
    }
    reading.join_all().await;
    assert_eq!(athlete.get("/v1/audit/reads?limit=100").await.expect(200).meta()["count"], 12);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_shown() {
    let app = App::without_projector(binary()).await;
    let (admin, athlete) = (admin(&app).await, app.athlete().await);
    let workout = athlete.start_workout(json!({ "title": "Secret" })).await;
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    owner.execute("revoke insert on log.events from ironledger_api").await.unwrap();

    let path = format!("/v1/audit/workouts/{}", id(&workout));
    let others = format!("{path}?athlete={}", athlete.athlete.unwrap());
    let refused = admin.get(&others).await.refused(503, "AUDIT_UNRECORDED");
    refused.header("retry-after");
    assert!(!refused.body.to_string().contains("Secret"));
    athlete.get(&path).await.expect(200);

    owner.execute("grant insert on log.events to ironledger_api").await.unwrap();
    admin.get(&others).await.expect(200);
    assert_eq!(athlete.get("/v1/audit/reads").await.expect(200).meta()["count"], 1);
}

#[tokio::test]
async fn the_command_line_shows_an_audit_and_is_recorded() {
    let app = app().await;
    let athlete = app.athlete().await;
    let (owner, email) = (athlete.athlete.unwrap().to_string(), athlete.email.clone().unwrap());
    let workout = athlete.start_workout(json!({ "title": "Legs" })).await;
    let set = athlete.log_bench(&workout, 5, 100).await;
    athlete.patch(&set, json!({ "reps": 6 })).await.expect(200);
    athlete.delete(&set).await.expect(200);

    let (status, said) = app.run(&["audit", "show", "set", id(&set), "--athlete", &email]).await;
    assert!(status.success(), "{said}");
    for wanted in ["SetLogged", "by        the athlete, through api", "reps: 5 -> 6", "is gone"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let of_workout = ["audit", "show", "workout", id(&workout), "--athlete", &owner, "--json"];
    let (status, said) = app.run(&of_workout).await;
    assert!(status.success(), "{said}");
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(types(&events), ["WorkoutStarted", "SetLogged", "SetCorrected", "SetRemoved"]);
    let answered = audited(&athlete, &format!("/v1/audit/workouts/{}", id(&workout))).await;
    assert_eq!(events, answered, "the same as the route");

    let reads = athlete.get("/v1/audit/reads").await.expect(200);
    assert_eq!(reads.each("actor"), ["system:audit-cli", "system:audit-cli"]);
    assert_eq!(reads.each("subject"), ["workout", "set"]);

    let nobody = new_id().to_string();
    for (arguments, why) in [
        (["audit", "show", "set", &nobody, "--athlete", &owner], "has no set"),
        (["audit", "show", "workout", id(&set), "--athlete", &owner], "has no workout"),
        (["audit", "show", "set", id(&set), "--athlete", &nobody], "there is no athlete"),
        (["audit", "show", "set", id(&set), "--athlete", "a@nowhere"], "there is no athlete"),
        (["audit", "show", "set", "1", "--athlete", &owner], "invalid value"),
    ] {
        let (status, said) = app.run(&arguments).await;
        assert!(!status.success() && said.contains(why), "{arguments:?}: {said}");
    }
    assert_eq!(athlete.get("/v1/audit/reads").await.expect(200).meta()["count"], 2);
}
