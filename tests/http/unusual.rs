//! Sets far beyond what was known of an athlete: taken, asked about, confirmed or corrected.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{App, Client, bench};

use crate::app;

/// An athlete with a best of 100 kg, which records know, and a new workout.
async fn known() -> (Arc<App>, Client, String) {
    let app = app().await;
    let athlete = app.athlete().await;
    let first = athlete.start_workout(json!({})).await;
    let logged = athlete.log_set(&first, bench(5, 100)).await.expect(201);
    assert_eq!(logged.data()["set"]["unusual"], false, "nothing was known");
    athlete.get_at("/v1/records", logged.position()).await.expect(200);
    let workout = athlete.start_workout(json!({})).await;
    (app, athlete, workout)
}

fn held<'a>(records: &'a Value, kind: &str) -> &'a Value {
    let records = records["records"].as_array().unwrap();
    records.iter().find(|record| record["kind"] == kind).unwrap()
}

#[tokio::test]
async fn ten_times_the_best_is_asked_about_and_confirmed() {
    let (app, athlete, workout) = known().await;
    let usual = athlete.log_set(&workout, bench(5, 99)).await.expect(201);
    assert_eq!(usual.data()["set"]["unusual"], false);
    let slip = athlete.log_set(&workout, bench(5, 1000)).await.expect(201);
    assert_eq!(slip.data()["set"]["unusual"], true);
    let again = athlete.log_set(&workout, bench(5, 1000)).await.expect(201);
    assert_eq!(again.data()["set"]["unusual"], true, "a slip makes nothing usual");

    let shown = athlete.history("limit=1", again.position()).await;
    assert_eq!(shown.list()[0]["sets"][1]["unusual"], true);
    let path = "/v1/records/bench-press-barbell";
    let records = athlete.get_at(path, again.position()).await.expect(200);
    let best = held(records.data(), "heaviest_weight");
    assert_eq!((&best["value"], &best["set"]["unusual"]), (&json!(1000), &json!(true)));

    let set = slip.header("location");
    let confirmed = athlete.post(&format!("{set}/confirm"), json!({})).await.expect(200);
    assert_eq!(confirmed.data()["set"]["unusual"], false);
    let twice = athlete.post(&format!("{set}/confirm"), json!({})).await.expect(200);
    assert_eq!(twice.position(), confirmed.position(), "nothing more is appended");
    let shown = athlete.history("limit=1", confirmed.position()).await;
    assert_eq!(shown.list()[0]["sets"][1]["unusual"], false);
    let records = athlete.get_at(path, confirmed.position()).await.expect(200);
    assert_eq!(held(records.data(), "heaviest_weight")["set"]["unusual"], false);
    let id = slip.data()["set"]["id"].as_str().unwrap();
    let audit = athlete.get(&format!("/v1/audit/sets/{id}")).await.expect(200);
    let kinds: Vec<&Value> =
        audit.data()["events"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["SetLogged", "SetConfirmed"]);

    let other = app.athlete().await;
    other.post(&format!("{set}/confirm"), json!({})).await.refused(404, "NOT_FOUND");
    let nothing = format!("{workout}/sets/{}/confirm", testkit::new_id());
    athlete.post(&nothing, json!({})).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn the_first_set_of_a_workout_is_held_against_the_records_and_corrected() {
    let (_app, athlete, workout) = known().await;
    let slip = athlete.log_set(&workout, bench(5, 1000)).await.expect(201);
    assert_eq!(slip.data()["set"]["unusual"], true);
    let mut warm_up = bench(5, 1000);
    warm_up["kind"] = json!("warm_up");
    let warm_up = athlete.log_set(&workout, warm_up).await.expect(201);
    assert_eq!(warm_up.data()["set"]["unusual"], false, "it counts nowhere");

    let set = slip.header("location");
    let noted = athlete.patch(set, json!({ "rpe": 9 })).await.expect(200);
    assert_eq!(noted.data()["set"]["unusual"], true, "still");
    let weight = json!({ "weight": { "value": 101, "unit": "kg" } });
    let corrected = athlete.patch(set, weight).await.expect(200);
    assert_eq!(corrected.data()["set"]["unusual"], false);
    let weight = json!({ "weight": { "value": 999, "unit": "kg" } });
    let just_below = athlete.patch(set, weight).await.expect(200);
    assert_eq!(just_below.data()["set"]["unusual"], false, "ten times is the word");
}

#[tokio::test]
async fn a_correction_of_the_holder_is_held_against_whom_it_beat() {
    let app = app().await;
    let athlete = app.athlete().await;
    let plank =
        |seconds: u32| json!({ "exercise": "plank", "number": 1, "duration_seconds": seconds });
    let mut last = None;
    for seconds in [60, 120] {
        let workout = athlete.start_workout(json!({})).await;
        let logged = athlete.log_set(&workout, plank(seconds)).await.expect(201);
        athlete.get_at("/v1/records", logged.position()).await.expect(200);
        last = Some(logged);
    }
    let set = last.as_ref().unwrap().header("location");
    let slip = athlete.patch(set, json!({ "duration_seconds": 12_000 })).await.expect(200);
    assert_eq!(slip.data()["set"]["unusual"], true);
    let right = athlete.patch(set, json!({ "duration_seconds": 599 })).await.expect(200);
    assert_eq!(right.data()["set"]["unusual"], false);
}

#[tokio::test]
async fn what_is_removed_is_usual_no_longer() {
    let (_app, athlete, workout) = known().await;
    let high = athlete.log_set(&workout, bench(5, 900)).await.expect(201);
    assert_eq!(high.data()["set"]["unusual"], false);
    let gone = athlete.delete(&workout).await.expect(200);
    athlete.get_at("/v1/records", gone.position()).await.expect(200);
    let workout = athlete.start_workout(json!({})).await;
    let slip = athlete.log_set(&workout, bench(5, 1000)).await.expect(201);
    assert_eq!(slip.data()["set"]["unusual"], true);
}

#[tokio::test]
async fn records_that_are_behind_are_waited_for() {
    let app = app().await;
    let mut asked_about = 0;
    for _ in 0..10 {
        let athlete = app.athlete().await;
        let first = athlete.start_workout(json!({})).await;
        athlete.log_set(&first, bench(5, 50)).await.expect(201);
        let next = athlete.start_workout(json!({})).await;
        let slip = athlete.log_set(&next, bench(5, 900)).await.expect(201);
        asked_about += u32::from(slip.data()["set"]["unusual"] == true);
    }
    // For a quarter of a second each, which a busy machine may exceed.
    assert!(asked_about >= 5, "{asked_about} of 10");
}
