//! Is what is personal sealed wherever it is stored?

use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::{Answer, App, Client, bench};

use crate::app;

/// A column of every event that an athlete said, as it is stored: without announcements, which come
/// when they come.
pub(crate) async fn log_of(app: &App, athlete: &Client, column: &str) -> Vec<String> {
    let sql = format!(
        "select {column} from log.events where owner = $1 and stream_kind <> 6 order by position"
    );
    rows(app, athlete, &sql).await
}

async fn rows(app: &App, athlete: &Client, sql: &str) -> Vec<String> {
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(athlete.athlete);
    query.fetch_all(&mut owner).await.unwrap()
}

#[tokio::test]
async fn nothing_that_was_written_in_words_is_stored_in_clear() {
    let app = app().await;
    let athlete = app.pro_athlete().await;
    let details = json!({ "title": "clear-title", "notes": "clear-notes" });
    let workout = athlete.start_workout(details).await;
    let mut set = bench(5, 100);
    set["notes"] = json!("clear-set-notes");
    let set = athlete.log_set(&workout, set).await.expect(201);
    athlete.patch(set.header("location"), json!({ "notes": "clear-correction" })).await.expect(200);
    athlete.patch(&workout, json!({ "title": "clear-new-title" })).await.expect(200);
    let noting = format!("{workout}/exercises/bench-press-barbell");
    let note = json!({ "notes": "clear-noted", "form_notes": "clear-form" });
    Answer::to(athlete.request(Method::PUT, &noting).json(&note)).await.expect(200);
    let exercise = json!({
        "name": "Clear Exercise", "equipment": "other", "primary_muscles": ["neck"],
        "kind": "reps_only",
    });
    athlete.post("/v1/exercises", exercise).await.expect(201);
    let profile = json!({
        "username": format!("clear{}", &testkit::new_id().simple().to_string()[20..]),
        "name": "clear-name", "birth_year": 1987, "sex": "female", "height_cm": 171.3,
    });
    let me = athlete.patch("/v1/athletes/me", profile).await.expect(200);
    let username = me.data()["username"].as_str().unwrap().to_owned();
    let weighed = json!({ "bodyweight": { "value": 77.125, "unit": "kg" } });
    athlete.post("/v1/athletes/me/measurements", weighed).await.expect(201);
    let feeling = json!({ "rating": 5, "soreness": { "hip_flexors": 9 } });
    let last = athlete.complete(&workout, feeling).await.expect(200);

    let history = athlete.history("", last.position()).await;
    assert_eq!(history.list()[0]["title"], "clear-new-title", "readable to its owner");
    assert_eq!(history.list()[0]["sets"][0]["notes"], "clear-correction");
    assert_eq!(history.list()[0]["feeling"]["soreness"]["hip_flexors"], 9);

    let mut stored = log_of(&app, &athlete, "payload").await;
    assert_eq!(stored.len(), 11, "among them the tier");
    stored.extend(log_of(&app, &athlete, "metadata").await);
    let history = ["athletes", "custom_exercises", "workouts", "workout_sets", "workout_notes"];
    let stats = ["athletes", "custom_exercises", "workouts", "weighings"];
    let history = history.into_iter().chain(["weighings"]).map(|table| ("history_v6", table));
    for (schema, table) in history.chain(stats.map(|table| ("stats_v3", table))) {
        let sql = format!("select t::text from {schema}.{table} t where owner = $1");
        let found = rows(&app, &athlete, &sql).await;
        assert!(!found.is_empty(), "{table}");
        stored.extend(found);
    }
    let email = athlete.email.clone().unwrap();
    let clear = ["clear-", "Clear Exercise", "hip_flexors", "female", "1987", "171.3", "77.125"];
    for clear in clear.into_iter().chain([email.as_str(), &username]) {
        let leak = stored.iter().find(|row| row.contains(clear));
        assert_eq!(leak, None, "{clear}");
    }
    let said = app.api.output();
    assert!(!said.contains("clear-") && !said.contains(&email), "nor in the process' own log");
}
