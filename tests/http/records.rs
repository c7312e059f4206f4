//! `/v1/records…`: who holds what, whatever happens to sets.

use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::{
    Answer, App, Client, bench,
    oracle::{self, Product},
};

use crate::{app, binary};

/// The figure of a record and the id of its set.
fn record<'a>(answer: &'a Answer, kind: &str) -> Option<(&'a Value, &'a Value)> {
    let records = answer.data()["records"].as_array().unwrap();
    let found = records.iter().find(|record| record["kind"] == kind)?;
    Some((&found["value"], &found["set"]["id"]))
}

async fn of_bench(athlete: &Client, query: &str, position: &str) -> Answer {
    let path = format!("/v1/records/bench-press-barbell{query}");
    athlete.get_at(&path, position).await.expect(200)
}

fn id(answer: &Answer) -> Value {
    answer.data()["set"]["id"].clone()
}

#[tokio::test]
async fn of_what_is_not_done_any_more_nothing_is_left() {
    let app = app().await;
    let athlete = app.athlete().await;
    let mut pull_up = bench(5, 10);
    pull_up["exercise"] = json!("pull-up-weighted");
    let owner = PgPool::connect(&app.database.owner_url()).await.unwrap();
    let me = athlete.get("/v1/athletes/me").await.expect(200).data()["id"].clone();
    let rows = async || {
        let count = "select count(*) from records_v3.bodyweight_exercises where owner::text = $1";
        let count = sqlx::query_scalar(count).bind(me.as_str().unwrap());
        let count: i64 = count.fetch_one(&owner).await.unwrap();
        count
    };
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_set(&workout, pull_up.clone()).await.expect(201);
    let moved = athlete.log_set(&workout, pull_up).await.expect(201);
    athlete.get_at("/v1/records", moved.position()).await.expect(200);
    assert_eq!(rows().await, 1);
    let set = moved.header("location");
    let moved = athlete.patch(set, json!({ "exercise": "squat-barbell" })).await.expect(200);
    athlete.get_at("/v1/records", moved.position()).await.expect(200);
    assert_eq!(rows().await, 1, "one of both is left");
    let gone = athlete.delete(&workout).await.expect(200);
    athlete.get_at("/v1/records", gone.position()).await.expect(200);
    assert_eq!(rows().await, 0, "a replay would find none");
}

#[tokio::test]
async fn a_record_that_is_removed_goes_back_to_who_held_it() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let first = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    let best = athlete.log_set(&workout, bench(3, 120)).await.expect(201);
    let mut warm_up = bench(1, 200);
    warm_up["kind"] = json!("warm_up");
    athlete.log_set(&workout, warm_up).await.expect(201);
    let failed = athlete.log_set(&workout, bench(0, 180)).await.expect(201);

    let shown = of_bench(&athlete, "", failed.position()).await;
    assert_eq!(record(&shown, "heaviest_weight"), Some((&json!(120), &id(&best))));
    assert_eq!(record(&shown, "heaviest_for_5"), Some((&json!(100), &id(&first))));
    assert_eq!(record(&shown, "one_rep_max"), Some((&json!(127.059), &id(&best))));
    assert_eq!(record(&shown, "most_reps"), Some((&json!(5), &id(&first))));
    assert_eq!(record(&shown, "session_volume"), Some((&json!(860), &Value::Null)));
    let epley = of_bench(&athlete, "?formula=epley&unit=lb", failed.position()).await;
    assert_eq!(record(&epley, "one_rep_max").unwrap().0, 291.01);

    let set = best.header("location");
    let removed = athlete.delete(set).await.expect(200);
    let shown = of_bench(&athlete, "", removed.position()).await;
    assert_eq!(record(&shown, "heaviest_weight"), Some((&json!(100), &id(&first))));
    assert_eq!(record(&shown, "session_volume").unwrap().0, 500);

    let gone = athlete.delete(&workout).await.expect(200);
    let shown = of_bench(&athlete, "", gone.position()).await;
    assert_eq!(shown.data()["records"], json!([]));
    assert_eq!(athlete.get("/v1/records").await.expect(200).meta()["count"], 0);
    assert_eq!(app.athlete().await.get("/v1/records").await.expect(200).meta()["count"], 0);
}

#[tokio::test]
async fn pounds_and_kilograms_tie_and_read_back_as_they_were() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let set = |value: f64, unit: &str| {
        json!({
            "exercise": "bench-press-barbell", "number": 1, "reps": 8,
            "weight": { "value": value, "unit": unit },
        })
    };
    let kg = athlete.log_set(&workout, set(61.23492, "kg")).await.expect(201);
    let lb = athlete.log_set(&workout, set(135.0, "lb")).await.expect(201);
    let shown = of_bench(&athlete, "", lb.position()).await;
    for kind in ["heaviest_weight", "one_rep_max", "set_volume"] {
        assert_eq!(record(&shown, kind).unwrap().1, &id(&kg), "{kind}");
    }
    let heavy = athlete.log_set(&workout, set(225.0, "lb")).await.expect(201);
    let shown = of_bench(&athlete, "?unit=lb", heavy.position()).await;
    assert_eq!(record(&shown, "heaviest_weight"), Some((&json!(225), &id(&heavy))));
    let shown = of_bench(&athlete, "", heavy.position()).await;
    let weight = &shown.data()["records"][0]["set"]["weight"];
    assert_eq!((&weight["value"], &weight["unit"]), (&json!(225), &json!("lb")));
}

#[tokio::test]
async fn windows_progressions_and_an_overview() {
    let app = app().await;
    let athlete = app.athlete().await;
    let mut last = String::new();
    for (day, kg) in [("2026-01-10", 100), ("2026-02-10", 90), ("2026-02-20", 110)] {
        let workout =
            athlete.start_workout(json!({ "started_at": format!("{day}T10:00:00Z") })).await;
        let mut set = bench(5, kg);
        set["performed_at"] = json!(format!("{day}T10:05:00Z"));
        last = athlete.log_set(&workout, set).await.expect(201).position().to_owned();
    }
    let window = of_bench(&athlete, "?from=2026-02-01&to=2026-02-28", &last).await;
    let heaviest = &window.data()["records"][0];
    assert_eq!((&heaviest["value"], &heaviest["previous"]["value"]), (&json!(110), &json!(100)));
    assert_eq!(heaviest["delta"], 10);

    let path = "/v1/records/bench-press-barbell/progression?kind=heaviest_weight";
    let told = athlete.get_at(path, &last).await.expect(200);
    let points = told.list()[0]["points"].as_array().unwrap();
    let values: Vec<&Value> = points.iter().map(|point| &point["value"]).collect();
    assert_eq!(values, [100, 110]);

    let overview = athlete.get_at("/v1/stats/personal-records", &last).await.expect(200);
    assert_eq!(overview.data()["exercises"], 1);
    assert_eq!(overview.data()["latest"][0]["value"], 110);

    let bad = athlete.get("/v1/records?formula=mayhew&unit=st&from=2026-02-01").await;
    assert_eq!(bad.refused(400, "VALIDATION_ERROR").error_fields(), ["formula", "unit"]);
    let bad = athlete.get("/v1/records?from=2026-02-01").await;
    assert_eq!(bad.refused(400, "VALIDATION_ERROR").error_fields(), ["to"]);
    let bad = athlete.get("/v1/records?from=2026-02-02&to=2026-02-01").await;
    assert_eq!(bad.refused(400, "VALIDATION_ERROR").error_fields(), ["to"]);
    let bad = athlete.get(&path.replace("heaviest_weight", "at_reps_13")).await;
    assert_eq!(bad.refused(400, "VALIDATION_ERROR").error_fields(), ["kind"]);
    athlete.get("/v1/records/no-such-thing").await.expect(404);
    app.client().get("/v1/records").await.expect(401);
}

/// Random histories, held to a recomputation; `cargo xtask oracle` does thousands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_those_of_a_recomputation() {
    // With a product of its own, for percentiles are of everybody.
    let app = App::start(binary()).await;
    let owner = PgPool::connect(&app.database.owner_url()).await.unwrap();
    let product = Product { client: app.client(), owner };
    let mut lives = Vec::new();
    for seed in 0..25 {
        let outcome = oracle::run_seed(&product, seed).await;
        assert!(outcome.comparisons > 10, "seed {seed}");
        assert!(outcome.differences.is_empty(), "{}", outcome.differences[0]);
        lives.extend(outcome.lives);
    }
    let (comparisons, differences) = oracle::strength::percentiles(&lives).await;
    assert!(comparisons > 10, "{comparisons}");
    assert_eq!(differences, Vec::<String>::new());
}
