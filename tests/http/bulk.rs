//! `POST /v1/workouts:bulk`: whole workouts at once, all of them or none.

use serde_json::{Value, json};
use testkit::{App, Client, Method, bench, new_id};
use tokio::task::JoinSet;

use crate::app;

const BULK: &str = "/v1/workouts:bulk";

fn workout(day: u32, sets: Vec<Value>) -> Value {
    json!({
        "started_at": format!("2026-01-{day:02}T07:00:00Z"),
        "completed_at": format!("2026-01-{day:02}T08:00:00Z"),
        "title": "Push",
        "rating": 4,
        "soreness": { "chest": 3 },
        "exercises": [{ "exercise": "bench-press-barbell", "notes": "Paused", "form_score": 90 }],
        "sets": sets,
    })
}

fn bulk(workouts: impl Into<Vec<Value>>) -> Value {
    json!({ "workouts": workouts.into() })
}

async fn count(app: &App, athlete: &Client) -> i64 {
    let owner = athlete.athlete.unwrap();
    let of = format!("log.events where owner = '{owner}' and type = 'WorkoutStarted'");
    app.database.count(&of).await
}

#[tokio::test]
async fn whole_workouts_are_recorded_and_can_be_waited_for() {
    let app = app().await;
    let athlete = app.athlete().await;
    let id = new_id();
    let mut first = workout(5, vec![bench(5, 100), bench(5, 105)]);
    first["id"] = json!(id);
    let said = bulk([first, workout(7, vec![bench(3, 110)])]);
    let taken = athlete.post(BULK, said).await.expect(202);
    assert_eq!(taken.list()[0]["id"], id.to_string());
    assert_eq!(taken.list()[0]["sets"].as_array().unwrap().len(), 2);

    let history = athlete.history("", taken.position()).await;
    assert_eq!(history.each("started_at"), ["2026-01-07T07:00:00Z", "2026-01-05T07:00:00Z"]);
    assert_eq!(history.list()[1]["sets"][0]["id"], taken.list()[0]["sets"][0]);
    let shown = athlete.get(&format!("/v1/workouts/{id}")).await.expect(200);
    let shown = shown.data();
    assert_eq!(shown["status"], "completed");
    assert_eq!(shown["completed_at"], "2026-01-05T08:00:00Z");
    assert_eq!(shown["feeling"], json!({ "rating": 4, "soreness": { "chest": 3 } }));
    assert_eq!(shown["exercises"][0]["notes"], "Paused");
    assert_eq!(shown["sets"][1]["performed_at"], "2026-01-05T07:00:00Z");
    assert_eq!(shown["totals"]["sets"], 2);
    let records = athlete.get_at("/v1/records/bench-press-barbell", taken.position()).await;
    let records = records.expect(200);
    let heaviest = &records.data()["records"][0];
    assert_eq!((&heaviest["kind"], &heaviest["value"]), (&json!("heaviest_weight"), &json!(110)));
}

#[tokio::test]
async fn it_is_safe_to_send_twice_by_ids_or_by_a_key_also_at_once() {
    let app = app().await;
    let athlete = app.athlete().await;
    let mut one = workout(5, vec![bench(5, 100)]);
    one["id"] = json!(new_id());
    let mut sending = JoinSet::new();
    for _ in 0..10 {
        let (athlete, said) = (athlete.clone(), bulk([one.clone()]));
        sending.spawn(async move {
            let answer = athlete.post(BULK, said).await;
            answer.expect(202)
        });
    }
    let answers = sending.join_all().await;
    assert!(answers.iter().all(|answer| answer.data() == answers[0].data()));
    assert_eq!(count(&app, &athlete).await, 1);

    // Its set may be gone since: what was recorded then is told. One more is recorded beside it.
    let id = one["id"].as_str().unwrap();
    let set = answers[0].list()[0]["sets"][0].as_str().unwrap();
    athlete.delete(&format!("/v1/workouts/{id}/sets/{set}")).await.expect(200);
    let more = bulk([one.clone(), workout(6, vec![bench(1, 120)])]);
    let both = athlete.keyed("more", Method::POST, BULK, more.clone()).await.expect(202);
    assert_eq!(both.list()[0], answers[0].list()[0]);
    let again = athlete.keyed("more", Method::POST, BULK, more).await.expect(202);
    assert_eq!(both.data(), again.data());
    assert_eq!(both.position(), again.position());
    assert_eq!(count(&app, &athlete).await, 2);

    // Other content under the id, or a set that is in another workout already.
    let mut other = one.clone();
    other["title"] = json!("Pull");
    athlete
        .post(BULK, bulk([workout(8, vec![bench(5, 90)]), other]))
        .await
        .refused(409, "ID_TAKEN");
    let mut taken = bench(5, 90);
    taken["id"] = json!(set);
    athlete.post(BULK, bulk([workout(8, vec![taken])])).await.refused(409, "ID_TAKEN");
    // The same where a workout that is known stands beside it: the set is in that one.
    let added = bench(5, 95);
    let added = athlete.log_set(&format!("/v1/workouts/{id}"), added).await.expect(201);
    let mut taken = bench(5, 90);
    taken["id"] = added.data()["set"]["id"].clone();
    let both = bulk([one.clone(), workout(8, vec![taken])]);
    athlete.post(BULK, both).await.refused(409, "ID_TAKEN");
    assert_eq!(count(&app, &athlete).await, 2);
    // The id is another athlete's affair.
    app.athlete().await.post(BULK, bulk([one])).await.expect(202);
}

#[tokio::test]
async fn everything_wrong_is_named_at_once_and_nothing_is_recorded() {
    let app = app().await;
    let athlete = app.athlete().await;
    let mut bad = workout(
        5,
        vec![
            bench(5, 100),
            json!({ "exercise": "running", "number": 1, "weight": { "value": 5, "unit": "kg" } }),
            json!({ "exercise": "no-such-exercise", "number": 500, "reps": 5, "x": 1 }),
            json!({ "exercise": "no-such-exercise", "number": 1, "reps": 5 }),
            json!(7),
        ],
    );
    bad["rating"] = json!(9);
    let mut late = workout(6, vec![bench(5, 100)]);
    late["completed_at"] = json!("2026-01-06T06:00:00Z");
    late["exercises"] = json!([{ "exercise": "none" }, { "exercise": "none", "form_score": 101 }]);
    let id = new_id();
    let mut twice = workout(7, vec![bench(5, 100), bench(5, 100)]);
    for set in twice["sets"].as_array_mut().unwrap() {
        set["id"] = json!(id);
    }
    let empty = json!({ "started_at": "2026-01-07T07:00:00", "sets": [] });
    let refused = athlete.post(BULK, bulk([bad, late, twice, empty])).await;
    let refused = refused.refused(400, "VALIDATION_ERROR");
    assert_eq!(
        refused.error_fields(),
        [
            "workouts[0].rating",
            "workouts[0].sets[1].distance_metres",
            "workouts[0].sets[1].weight",
            "workouts[0].sets[2].number",
            "workouts[0].sets[2].x",
            "workouts[0].sets[3].exercise",
            "workouts[0].sets[4]",
            "workouts[1].completed_at",
            "workouts[1].exercises[0].exercise",
            "workouts[1].exercises[1].exercise",
            "workouts[1].exercises[1].form_score",
            "workouts[2].sets[1].id",
            "workouts[3].completed_at",
            "workouts[3].started_at",
        ]
    );
    let fields = async |said: Value| {
        let refused = athlete.post(BULK, said).await.refused(400, "VALIDATION_ERROR");
        refused.error_fields().iter().map(|field| (*field).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(fields(bulk([])).await, ["workouts"]);
    assert_eq!(fields(bulk([workout(5, vec![])])).await, ["workouts[0].sets"]);
    assert_eq!(fields(bulk(vec![workout(5, vec![bench(5, 100)]); 101])).await, ["workouts"]);
    assert_eq!(fields(bulk([workout(5, vec![bench(5, 100); 501])])).await, ["workouts"]);
    assert_eq!(fields(json!({})).await, ["workouts"]);
    assert_eq!(count(&app, &athlete).await, 0);
}
