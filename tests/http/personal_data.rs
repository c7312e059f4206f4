//! Is what is personal sealed wherever it is stored?

use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::{Answer, App, Client, bench};

use crate::app;

/// A column of every event of an athlete, as it is stored.
pub(crate) async fn log_of(app: &App, athlete: &Client, column: &str) -> Vec<String> {
    let sql = format!("select {column} from log.events where owner = $1 order by position");
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
    let athlete = app.athlete().await;
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
    let feeling = json!({ "rating": 5, "soreness": { "hip_flexors": 9 } });
    let last = athlete.complete(&workout, feeling).await.expect(200);

    let history = athlete.history("", last.position()).await;
    assert_eq!(history.list()[0]["title"], "clear-new-title", "readable to its owner");
    assert_eq!(history.list()[0]["sets"][0]["notes"], "clear-correction");
    assert_eq!(history.list()[0]["feeling"]["soreness"]["hip_flexors"], 9);

    let mut stored = log_of(&app, &athlete, "payload").await;
    assert_eq!(stored.len(), 8);
    stored.extend(log_of(&app, &athlete, "metadata").await);
    for table in ["athletes", "custom_exercises", "workouts", "workout_sets", "workout_notes"] {
        let sql = format!("select t::text from history_v4.{table} t where owner = $1");
        let found = rows(&app, &athlete, &sql).await;
        assert!(!found.is_empty(), "{table}");
        stored.extend(found);
    }
    let email = athlete.email.clone().unwrap();
    for clear in ["clear-", "Clear Exercise", "hip_flexors", &email] {
        let leak = stored.iter().find(|row| row.contains(clear));
        assert_eq!(leak, None, "{clear}");
    }
    let said = app.api.output();
    assert!(!said.contains("clear-") && !said.contains(&email), "nor in the process' own log");
}
