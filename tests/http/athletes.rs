//! `/v1/athletes/me` and its measurements: who one is, what one weighs, and what follows from it.

use serde_json::{Value, json};
use testkit::{Client, Method, new_id};

use crate::app;

const ME: &str = "/v1/athletes/me";
const MEASUREMENTS: &str = "/v1/athletes/me/measurements";

fn username() -> String {
    format!("a{}", &new_id().simple().to_string()[12..])
}

async fn weigh(athlete: &Client, at: &str, kg: f64) -> testkit::Answer {
    let bodyweight = json!({ "value": kg, "unit": "kg" });
    let body = json!({ "measured_at": at, "bodyweight": bodyweight });
    athlete.post(MEASUREMENTS, body).await.expect(201)
}

#[tokio::test]
async fn a_profile_says_what_was_said_last() {
    let app = app().await;
    let athlete = app.athlete().await;
    let fresh = athlete.get(ME).await.expect(200);
    assert_eq!(fresh.data()["time_zone"], "Europe/Paris");
    assert_eq!(fresh.data()["username"], Value::Null);
    assert_eq!(fresh.data()["notifications"]["digest"], json!({ "push": false, "email": true }));

    let name = username();
    let wish = json!({
        "username": name, "name": "Ada", "birth_year": 1990, "sex": "female", "height_cm": 171.5,
        "experience": "advanced", "goal": "muscle_gain", "time_zone": "Asia/Tokyo",
        "units": { "weight": "lb" }, "theme": "dark", "language": "pt-BR",
        "notifications": { "like": { "email": true } }, "privacy": { "private_profile": true },
    });
    let changed = athlete.patch(ME, wish.clone()).await.expect(200);
    let me = athlete.get(ME).await.expect(200);
    assert_eq!(me.data(), changed.data());
    let me = me.data();
    assert_eq!(me["height_cm"], 171.5);
    assert_eq!(me["units"], json!({ "weight": "lb", "distance": "km" }), "the rest stays");
    assert_eq!(me["notifications"]["like"], json!({ "push": true, "email": true }));
    assert_eq!(me["privacy"], json!({ "private_profile": true, "show_stats": true }));

    // Said again, nothing is appended; emptied, it is empty.
    let again = athlete.patch(ME, wish).await.expect(200);
    assert_eq!(again.position(), changed.position());
    let emptied = athlete.patch(ME, json!({ "birth_year": null, "username": null })).await;
    assert_eq!(emptied.expect(200).data()["birth_year"], Value::Null);
}

#[tokio::test]
async fn a_profile_has_a_version_and_says_everything_that_is_wrong() {
    let app = app().await;
    let athlete = app.athlete().await;
    let tag = athlete.get(ME).await.expect(200).header("etag").to_owned();
    athlete.patch(ME, json!({ "name": "Ada" })).await.expect(200);
    let stale = athlete.request(Method::PATCH, ME).header("if-match", tag);
    let stale = testkit::Answer::to(stale.json(&json!({ "name": "Eve" }))).await.expect(412);
    assert_eq!(stale.body["error"]["current"]["name"], "Ada", "{}", stale.body);

    let wrong = json!({
        "username": "a b", "birth_year": 1850, "sex": "x", "height_cm": 20, "time_zone": "Mars",
        "units": { "weight": "stone" }, "theme": "pink", "language": "english", "goal": 1,
        "notifications": { "sms": {} }, "role": "admin",
    });
    let refused = athlete.patch(ME, wrong).await.refused(400, "VALIDATION_ERROR");
    let fields = refused.error_fields();
    for field in [
        "username",
        "birth_year",
        "sex",
        "height_cm",
        "time_zone",
        "units.weight",
        "theme",
        "language",
        "goal",
        "notifications.sms",
        "role",
    ] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    let null = athlete.patch(ME, json!({ "time_zone": null, "birth_year": 2099 })).await;
    assert_eq!(null.refused(400, "VALIDATION_ERROR").error_fields(), ["birth_year", "time_zone"]);
}

#[tokio::test]
async fn a_username_is_one_athletes_whatever_its_capitals() {
    let app = app().await;
    let (one, other) = (app.athlete().await, app.athlete().await);
    let name = username();
    one.patch(ME, json!({ "username": name })).await.expect(200);
    let upper = json!({ "username": name.to_uppercase() });
    other.patch(ME, upper.clone()).await.refused(409, "USERNAME_TAKEN");
    // One's own name may be written otherwise, and many at the same moment have one winner.
    one.patch(ME, upper).await.expect(200);
    let name = username();
    let wishes = (0..8).map(|_| {
        let (app, name) = (app.clone(), name.clone());
        tokio::spawn(async move {
            app.athlete().await.patch(ME, json!({ "username": name })).await.status
        })
    });
    let mut statuses = Vec::new();
    for wish in wishes {
        statuses.push(wish.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn nobody_hoards_usernames() {
    let app = app().await;
    let (one, other) = (app.athlete().await, app.athlete().await);
    for _ in 0..4 {
        one.patch(ME, json!({ "username": username() })).await.expect(200);
    }
    let wish = json!({ "username": username() });
    one.patch(ME, wish.clone()).await.refused(409, "USERNAME_CHANGED_OFTEN");
    // What was refused is free for others.
    other.patch(ME, wish).await.expect(200);
}

#[tokio::test]
async fn weighings_are_noted_listed_corrected_and_removed() {
    let app = app().await;
    let athlete = app.athlete().await;
    let id = new_id().to_string();
    let bodyweight = json!({ "value": 180.5, "unit": "lb" });
    let at = "2026-01-02T07:00:00Z";
    let body = json!({ "id": id, "measured_at": at, "bodyweight": bodyweight });
    let noted = athlete.post(MEASUREMENTS, body.clone()).await.expect(201);
    let again = athlete.post(MEASUREMENTS, body).await.expect(201);
    let wrong = json!({ "bodyweight": { "value": 5, "unit": "kg" }, "what": 1 });
    let refused = athlete.post(MEASUREMENTS, wrong.clone()).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["bodyweight", "what"]);
    let path = noted.header("location");
    let refused = athlete.patch(path, wrong).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["bodyweight", "what"]);
    assert_eq!(again.data(), noted.data(), "told twice, noted once");
    let other = json!({ "id": id, "measured_at": at, "bodyweight": { "value": 1, "unit": "kg" } });
    athlete.post(MEASUREMENTS, other).await.refused(409, "ID_TAKEN");
    assert_eq!(noted.data()["bodyweight"]["value"], 180.5, "as it was typed");

    weigh(&athlete, "2026-01-03T07:00:00Z", 82.0).await;
    weigh(&athlete, "2026-01-01T07:00:00Z", 83.0).await;
    let all = athlete.get(MEASUREMENTS).await.expect(200);
    let days: Vec<&str> =
        all.each("measured_at").iter().map(|at| &at.as_str().unwrap()[..10]).collect();
    assert_eq!(days, ["2026-01-03", "2026-01-02", "2026-01-01"]);
    let first = athlete.get(&format!("{MEASUREMENTS}?limit=2&unit=kg")).await.expect(200);
    assert_eq!(first.list()[1]["bodyweight"]["value"], 81.87);
    let cursor = first.meta()["next_cursor"].as_str().unwrap();
    let rest = athlete.get(&format!("{MEASUREMENTS}?cursor={cursor}")).await.expect(200);
    assert_eq!(rest.list().len(), 1);
    assert_eq!(athlete.get(ME).await.data()["bodyweight"]["bodyweight"]["value"], 82);

    let path = format!("{MEASUREMENTS}/{id}");
    let correction = json!({ "bodyweight": { "value": 81, "unit": "kg" } });
    let corrected = athlete.patch(&path, correction).await.expect(200);
    assert_eq!(corrected.data()["measured_at"], at, "the rest stays");
    assert_eq!(athlete.get(&path).await.expect(200).data(), corrected.data());
    athlete.delete(&path).await.expect(200);
    athlete.delete(&path).await.expect(200);
    athlete.get(&path).await.refused(404, "NOT_FOUND");
    athlete.patch(&path, json!({})).await.refused(404, "NOT_FOUND");
    app.athlete().await.get(&path).await.refused(404, "NOT_FOUND");

    let wrong = json!({ "bodyweight": { "value": 5, "unit": "kg" }, "measured_at": "2099-01-01T00:00:00Z" });
    let refused = athlete.post(MEASUREMENTS, wrong).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["bodyweight", "measured_at"]);
}

#[tokio::test]
async fn what_is_lifted_of_the_body_follows_the_scales_everywhere() {
    let app = app().await;
    let athlete = app.athlete().await;
    let start = "2026-01-05T17:00:00Z";
    let workout = athlete.start_workout(json!({ "started_at": start })).await;
    let set = |exercise: &str, kg: u32| {
        json!({
            "exercise": exercise, "number": 1, "reps": 5, "performed_at": start,
            "weight": { "value": kg, "unit": "kg" },
        })
    };
    athlete.log_set(&workout, set("pull-up-weighted", 20)).await.expect(201);
    athlete.log_set(&workout, set("pull-up-assisted", 30)).await.expect(201);
    let end = json!({ "completed_at": "2026-01-05T18:00:00Z" });
    let done = athlete.complete(&workout, end).await.expect(200);
    assert_eq!(done.data()["totals"]["volume_kg"], 0, "nobody knows a bodyweight");

    // (body + added) · 5 + (body − assistance) · 5, by every way there is to ask.
    let holds = async |position: &str, body: f64| {
        let volume = (body + 20.0) * 5.0 + (body - 30.0) * 5.0;
        let workout = athlete.get(&workout).await.expect(200);
        assert_eq!(workout.data()["totals"]["volume_kg"], volume, "the workout");
        let history = athlete.history("limit=1", position).await;
        assert_eq!(history.list()[0]["totals"]["volume_kg"], volume, "history");
        let stats = athlete.get_at("/v1/stats/overview?period=all", position).await.expect(200);
        assert_eq!(stats.data()["volume_kg"], volume, "stats");
        let records = athlete.get_at("/v1/records/pull-up-weighted", position).await.expect(200);
        let records = records.data()["records"].as_array().unwrap();
        let kept = records.iter().find(|record| record["kind"] == "session_volume").unwrap();
        assert_eq!(kept["value"], (body + 20.0) * 5.0, "records");
    };
    let late = weigh(&athlete, "2026-01-06T06:00:00Z", 70.0).await;
    let before = athlete.get_at("/v1/stats/overview?period=all", late.position()).await.expect(200);
    assert_eq!(before.data()["volume_kg"], 0, "a later day says nothing of an earlier one");
    // In the evening of the same day, Paris time.
    let noted = weigh(&athlete, "2026-01-05T22:30:00Z", 80.0).await;
    holds(noted.position(), 80.0).await;
    let path = noted.header("location");
    let correction = json!({ "bodyweight": { "value": 90, "unit": "kg" } });
    let corrected = athlete.patch(path, correction).await.expect(200);
    holds(corrected.position(), 90.0).await;
    // In Tokyo it was the next day, which ended with another weighing; in New York the same one.
    let earlier = weigh(&athlete, "2026-01-04T06:00:00Z", 60.0).await;
    holds(earlier.position(), 90.0).await;
    let moved = athlete.patch(ME, json!({ "time_zone": "Asia/Tokyo" })).await.expect(200);
    holds(moved.position(), 70.0).await;
    let back = athlete.patch(ME, json!({ "time_zone": "America/New_York" })).await.expect(200);
    holds(back.position(), 90.0).await;
    let removed = athlete.delete(path).await.expect(200);
    holds(removed.position(), 60.0).await;
}
