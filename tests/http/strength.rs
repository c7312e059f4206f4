//! `/v1/stats/strength-levels`: how strong somebody is, and among whom.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use testkit::Client;

use crate::app;

const LEVELS: &str = "/v1/stats/strength-levels";

fn days_ago(days: i64) -> chrono::DateTime<Utc> {
    log::Clock::system().now().utc() - TimeDelta::days(days)
}

fn set(exercise: &str, reps: u32, kg: f64) -> Value {
    json!({ "exercise": exercise, "number": 1, "reps": reps, "weight": { "value": kg, "unit": "kg" } })
}

/// A completed workout so many days ago; answers its path and the position.
async fn train(athlete: &Client, days: i64, sets: &[Value]) -> (String, String) {
    let start = days_ago(days);
    let workout = athlete.start_workout(json!({ "started_at": start.to_rfc3339() })).await;
    for set in sets {
        let mut set = set.clone();
        set["performed_at"] = json!(start.to_rfc3339());
        athlete.log_set(&workout, set).await.expect(201);
    }
    let end = json!({ "completed_at": (start + TimeDelta::hours(1)).to_rfc3339() });
    let done = athlete.complete(&workout, end).await.expect(200);
    (workout, done.position().to_owned())
}

async fn weigh(athlete: &Client, days: i64, kg: f64) -> String {
    let body = json!({
        "measured_at": days_ago(days).to_rfc3339(), "bodyweight": { "value": kg, "unit": "kg" },
    });
    let noted = athlete.post("/v1/athletes/me/measurements", body).await.expect(201);
    noted.position().to_owned()
}

async fn level(athlete: &Client, exercise: &str, position: &str) -> Value {
    let path = format!("{LEVELS}/{exercise}");
    athlete.get_at(&path, position).await.expect(200).data().clone()
}

#[tokio::test]
async fn a_level_says_what_it_is_made_of_and_what_is_missing() {
    let app = app().await;
    let athlete = app.athlete().await;
    let (bench, row) = ("bench-press-barbell", "seated-row-machine");
    let sets = [set(bench, 5, 100.0), set(bench, 3, 105.0), set(bench, 20, 60.0)];
    let (_, position) = train(&athlete, 3, &sets).await;
    let unknown = level(&athlete, bench, &position).await;
    assert_eq!(unknown["working_maximum"]["value"], 112.5, "100 kg five times, by Brzycki");
    assert_eq!(unknown["set"]["reps"], 5);
    assert_eq!(unknown["sets"], 2, "twenty repetitions say little about one");
    assert_eq!(unknown["level"], "unknown");
    assert_eq!(unknown["missing"], json!(["sex", "bodyweight"]));
    assert!(unknown["percentiles"]["all"]["athletes"].as_u64().unwrap() >= 1);
    assert_eq!(unknown["percentiles"]["sex"], Value::Null);

    let undone = level(&athlete, "squat-barbell", &position).await;
    assert_eq!(undone["missing"], json!(["sex", "set"]));

    athlete.patch("/v1/athletes/me", json!({ "sex": "male" })).await.expect(200);
    let position = weigh(&athlete, 5, 80.0).await;
    let known = level(&athlete, bench, &position).await;
    assert_eq!((&known["ratio"], &known["level"]), (&json!(1.406), &json!("intermediate")));
    assert_eq!(known["next"]["level"], "advanced");
    assert_eq!(known["next"]["working_maximum"]["value"], 140);
    assert_eq!(known["next"]["more"]["value"], 27.5);
    assert_eq!(known["percentiles"]["class"]["weight_class"], "83");
    assert_eq!(known["missing"], json!([]));

    // Another bodyweight of that day is another level.
    let position = weigh(&athlete, 4, 60.0).await;
    let lighter = level(&athlete, bench, &position).await;
    assert_eq!((&lighter["ratio"], &lighter["level"]), (&json!(1.875), &json!("advanced")));
    assert_eq!(lighter["percentiles"]["class"]["weight_class"], "66");

    let (_, position) = train(&athlete, 2, &[set(row, 8, 50.0)]).await;
    let without = level(&athlete, row, &position).await;
    assert_eq!((&without["level"], &without["missing"]), (&json!("unknown"), &json!(["table"])));
    assert!(without["percentiles"]["sex"].is_object(), "and yet there is a percentile");
    let pounds = athlete.get(&format!("{LEVELS}/{bench}?unit=lb")).await.expect(200);
    assert_eq!(pounds.data()["working_maximum"], json!({ "value": 248.02, "unit": "lb" }));
    athlete.get(&format!("{LEVELS}/no-such-thing")).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn only_completed_workouts_of_thirty_days_count() {
    let app = app().await;
    let athlete = app.athlete().await;
    let squat = "squat-barbell";
    let (_, position) = train(&athlete, 31, &[set(squat, 5, 200.0)]).await;
    assert_eq!(level(&athlete, squat, &position).await["working_maximum"], Value::Null);
    let (workout, position) = train(&athlete, 29, &[set(squat, 5, 150.0)]).await;
    let shown = level(&athlete, squat, &position).await;
    assert_eq!(shown["set"]["weight"]["value"], 150);
    // Moved to where it is too old.
    let start = json!({ "started_at": days_ago(40).to_rfc3339() });
    let moved = athlete.patch(&workout, start).await.expect(200);
    assert_eq!(level(&athlete, squat, moved.position()).await["sets"], 0);

    let active = athlete.start_workout(json!({})).await;
    let logged = athlete.log_set(&active, set(squat, 5, 100.0)).await.expect(201);
    assert_eq!(level(&athlete, squat, logged.position()).await["sets"], 0);
    let done = athlete.complete(&active, json!({})).await.expect(200);
    assert_eq!(level(&athlete, squat, done.position()).await["sets"], 1);
    let gone = athlete.delete(&active).await.expect(200);
    assert_eq!(level(&athlete, squat, gone.position()).await["working_maximum"], Value::Null);
}

#[tokio::test]
async fn a_percentile_is_those_below_among_those_alike() {
    let app = app().await;
    // An exercise that no other test does.
    let lift = "pendlay-row-barbell";
    let mut athletes = Vec::new();
    for (number, (sex, bodyweight)) in
        [("male", 80.0), ("male", 80.0), ("male", 100.0), ("female", 60.0)].into_iter().enumerate()
    {
        let athlete = app.athlete().await;
        athlete.patch("/v1/athletes/me", json!({ "sex": sex })).await.expect(200);
        weigh(&athlete, 10, bodyweight).await;
        let kg = 60.0 + 10.0 * f64::from(u32::try_from(number).unwrap());
        let (workout, position) = train(&athlete, 1, &[set(lift, 1, kg)]).await;
        level(&athlete, lift, &position).await;
        athletes.push((athlete, workout));
    }
    let place = async |number: usize| {
        let answer = athletes[number].0.get(&format!("{LEVELS}/{lift}")).await.expect(200);
        let of = |among: &str| {
            let place = &answer.data()["percentiles"][among];
            (place["percentile"].clone(), place["athletes"].clone())
        };
        [of("all"), of("sex"), of("class")]
    };
    let expect = |percentile: f64, athletes: u64| {
        let percentile =
            if percentile.fract() == 0.0 { json!(percentile as i64) } else { json!(percentile) };
        (percentile, json!(athletes))
    };
    // 60, 70 and 80 kg by men, 90 by a woman.
    assert_eq!(place(0).await, [expect(0.0, 4), expect(0.0, 3), expect(0.0, 2)]);
    assert_eq!(place(1).await, [expect(25.0, 4), expect(33.33, 3), expect(50.0, 2)]);
    assert_eq!(place(2).await, [expect(50.0, 4), expect(66.67, 3), expect(0.0, 1)]);
    assert_eq!(place(3).await, [expect(75.0, 4), expect(0.0, 1), expect(0.0, 1)]);

    // Who gives up a place gives it up everywhere.
    let (first, workout) = &athletes[0];
    let gone = first.delete(workout).await.expect(200);
    level(first, lift, gone.position()).await;
    let other =
        athletes[1].0.patch("/v1/athletes/me", json!({ "sex": "female" })).await.expect(200);
    level(&athletes[1].0, lift, other.position()).await;
    assert_eq!(place(1).await, [expect(0.0, 3), expect(0.0, 2), expect(0.0, 1)]);
    assert_eq!(place(3).await, [expect(66.67, 3), expect(50.0, 2), expect(0.0, 1)]);
}

#[tokio::test]
async fn a_total_of_the_three_lifts_is_worth_points() {
    let app = app().await;
    let athlete = app.athlete().await;
    let lifts = [("squat-barbell", 250.0), ("bench-press-barbell", 150.0)];
    let sets: Vec<Value> = lifts.iter().map(|(lift, kg)| set(lift, 1, *kg)).collect();
    let (_, position) = train(&athlete, 1, &sets).await;
    let answer = athlete.get_at(LEVELS, &position).await.expect(200);
    assert_eq!(answer.data()["total"], Value::Null, "a lift is missing");
    let (_, position) = train(&athlete, 1, &[set("deadlift-barbell", 1, 300.0)]).await;
    let answer = athlete.get_at(LEVELS, &position).await.expect(200);
    assert_eq!(answer.data()["total"]["total"]["value"], 700);
    assert_eq!(answer.data()["total"]["dots"], Value::Null);
    athlete.patch("/v1/athletes/me", json!({ "sex": "male" })).await.expect(200);
    let position = weigh(&athlete, 2, 100.0).await;
    let answer = athlete.get_at(LEVELS, &position).await.expect(200);
    let total = &answer.data()["total"];
    // Worked out by the published formulas elsewhere.
    let points = [&total["dots"], &total["wilks"], &total["ipf_gl"]];
    assert_eq!(points, [&json!(430.86), &json!(510.55), &json!(88.43)]);
    let levels: Vec<&Value> =
        answer.data()["exercises"].as_array().unwrap().iter().map(|of| &of["level"]).collect();
    assert_eq!(levels, ["advanced", "advanced", "intermediate"], "the best first");
}
