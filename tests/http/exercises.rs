//! `/v1/exercises`: the library and one's own.

use serde_json::{Value, json};
use testkit::new_id;

use crate::app;

fn zercher(id: Option<uuid::Uuid>) -> Value {
    json!({
        "id": id, "name": "Zercher Carry", "equipment": "barbell",
        "primary_muscles": ["quadriceps", "upper_back"], "secondary_muscles": ["glutes"],
        "kind": "weight_reps",
    })
}

#[tokio::test]
async fn the_library_is_listed_and_filtered() {
    let app = app().await;
    let athlete = app.athlete().await;
    let all = athlete.get("/v1/exercises").await.expect(200);
    assert!(all.list().len() >= 300);
    assert_eq!(all.meta()["count"], all.list().len());
    assert!(!all.position().is_empty());

    let found = athlete.get("/v1/exercises?name=BENCH%20press%20(b&muscle=chest").await.expect(200);
    assert!(found.each("name").contains(&&json!("Bench Press (Barbell)")));
    for exercise in found.list() {
        assert!(exercise["name"].as_str().unwrap().starts_with("Bench Press (B"));
    }
    let found = athlete.get("/v1/exercises?equipment=kettlebell").await.expect(200);
    assert!(found.each("equipment").iter().all(|equipment| *equipment == "kettlebell"));
    assert_eq!(athlete.get("/v1/exercises?name=zzz").await.expect(200).meta()["count"], 0);
    let refused = athlete.get("/v1/exercises?muscle=elbow&equipment=x&p=1").await;
    let refused = refused.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["equipment", "muscle", "p"]);
}

#[tokio::test]
async fn exercises_are_found_by_what_a_person_types() {
    let app = app().await;
    let athlete = app.pro_athlete().await;
    let first = async |query: &str| {
        let found = athlete.get(&format!("/v1/exercises?{query}")).await.expect(200);
        found.list().first().map(|exercise| exercise["id"].as_str().unwrap().to_owned())
    };
    assert_eq!(first("q=bnech%20pres%20barbel").await.as_deref(), Some("bench-press-barbell"));
    assert_eq!(first("q=dead&equipment=trap_bar").await.as_deref(), Some("deadlift-trap-bar"));
    assert_eq!(first("q=xylophone").await, None);
    let hard = athlete.get("/v1/exercises?q=pull&difficulty=advanced&limit=3").await.expect(200);
    assert!((1..=3).contains(&hard.list().len()));
    assert!(hard.each("difficulty").iter().all(|difficulty| *difficulty == "advanced"));

    // One's own are among them, and have a page too.
    let made = athlete.post("/v1/exercises", zercher(None)).await.expect(201);
    let id = made.data()["id"].as_str().unwrap();
    assert_eq!(first("q=zerchr%20carry").await.as_deref(), Some(id));
    let shown = athlete.get(&format!("/v1/exercises/{id}")).await.expect(200);
    assert_eq!(shown.data()["name"], "Zercher Carry");
    app.athlete().await.get(&format!("/v1/exercises/{id}")).await.expect(404);
    let shown = athlete.get("/v1/exercises/squat-barbell").await.expect(200);
    assert!(shown.data()["description"].as_str().unwrap().len() > 80);
    assert!(shown.data()["cues"].as_array().unwrap().len() > 1);
    athlete.get("/v1/exercises/no-such-thing").await.expect(404);
    athlete.get("/v1/exercises/NO%20id").await.expect(404);
}

#[tokio::test]
async fn exercises_of_ones_own() {
    let app = app().await;
    let (athlete, other) = (app.pro_athlete().await, app.pro_athlete().await);
    let id = new_id();
    let made = athlete.post("/v1/exercises", zercher(Some(id))).await.expect(201);
    assert_eq!(made.data()["custom"], true);
    assert_eq!(made.header("location"), format!("/v1/exercises/{id}"));
    let again = athlete.post("/v1/exercises", zercher(Some(id))).await.expect(201);
    assert_eq!((again.data(), again.position()), (made.data(), made.position()));
    let mut otherwise = zercher(Some(id));
    otherwise["name"] = json!("Zercher Walk");
    athlete.post("/v1/exercises", otherwise).await.refused(409, "ID_TAKEN");
    athlete.post("/v1/exercises", zercher(None)).await.refused(409, "EXERCISE_NAME_TAKEN");
    let mut taken = zercher(None);
    taken["name"] = json!("bench  PRESS (barbell)");
    athlete.post("/v1/exercises", taken).await.refused(409, "EXERCISE_NAME_TAKEN");

    let listed = athlete.get("/v1/exercises?name=zercher%20c").await.expect(200);
    assert_eq!(listed.each("id"), [&json!(id)]);
    assert_eq!(other.get("/v1/exercises?name=zercher%20c").await.expect(200).meta()["count"], 0);

    let set =
        json!({ "exercise": id, "number": 1, "reps": 8, "weight": {"value": 60, "unit": "kg"} });
    let workout = athlete.start_workout(json!({})).await;
    let logged = athlete.log_set(&workout, set.clone()).await.expect(201);
    assert_eq!(logged.data()["set"]["exercise"]["name"], "Zercher Carry");
    assert_eq!(logged.data()["workout"]["totals"]["volume_kg"], 480);
    let found = athlete.history("exercise=ZERCHER&muscle=glutes", logged.position()).await;
    assert_eq!(found.list()[0]["sets"][0]["exercise"]["name"], "Zercher Carry");
    assert_eq!(found.list()[0]["totals"]["volume_kg"], 480);

    // Another's exercise is none of mine, though I may use the same id for one.
    let workout = other.start_workout(json!({})).await;
    let refused = other.log_set(&workout, set.clone()).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["exercise"]);
    other.post("/v1/exercises", zercher(Some(id))).await.expect(201);
    other.log_set(&workout, set).await.expect(201);
}

#[tokio::test]
async fn bad_exercises_are_refused() {
    let app = app().await;
    let athlete = app.pro_athlete().await;
    let refused = athlete.post(
        "/v1/exercises",
        json!({
            "id": "x", "name": " ", "equipment": "sword", "primary_muscles": ["elbow"], "colour": 1,
        }),
    );
    assert_eq!(
        refused.await.refused(400, "VALIDATION_ERROR").error_fields(),
        ["colour", "equipment", "id", "kind", "name", "primary_muscles[0]"]
    );
    let mut version_four = zercher(None);
    version_four["id"] = json!("9b2d6f0e-3c1a-4f57-8e21-5a0c7d9e4b11");
    let refused = athlete.post("/v1/exercises", version_four).await;
    assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), ["id"]);
    let mut flood = zercher(None);
    flood["primary_muscles"] = json!(vec!["quadriceps"; 50_000]);
    flood["secondary_muscles"] = json!(["glutes", "glutes"]);
    let refused = athlete.post("/v1/exercises", flood).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["primary_muscles", "secondary_muscles"]);
    let mut without = zercher(None);
    without["primary_muscles"] = json!([]);
    athlete.post("/v1/exercises", without).await.expect(201);
}

#[tokio::test]
async fn a_search_means_the_plain_lift_and_its_pages_go_on() {
    let app = app().await;
    let athlete = app.athlete().await;
    for (typed, meant) in [
        ("squat", "squat-barbell"),
        ("sqaut", "squat-barbell"),
        ("deadlift", "deadlift-barbell"),
        ("benchpress", "bench-press-barbell"),
    ] {
        let found = athlete.get(&format!("/v1/exercises?q={typed}&limit=1")).await.expect(200);
        assert_eq!(found.data()[0]["id"], meant, "{typed}");
    }
    for typed in ["pullup", "chinup", "legpress", "situp", "pushup"] {
        let found = athlete.get(&format!("/v1/exercises?q={typed}&limit=1")).await.expect(200);
        let id = found.data()[0]["id"].as_str().unwrap().replace('-', "");
        assert!(id.starts_with(typed), "{typed}: {id}");
    }

    let all = athlete.get("/v1/exercises?q=squat").await.expect(200);
    assert_eq!(all.meta()["next_cursor"], serde_json::Value::Null);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            athlete.get(&format!("/v1/exercises?q=squat&limit=20{cursor}")).await.expect(200);
        seen.extend(page.data().as_array().unwrap().clone());
        let Some(next) = page.meta()["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&seen, all.data().as_array().unwrap());
}
