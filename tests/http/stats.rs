//! `/v1/stats/…`: sums, days, weeks and streaks, as the athlete's clock sees them.

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use serde_json::{Value, json};
use testkit::{Client, bench};

use crate::app;

/// Today in a time zone. A test that runs across midnight there would be wrong by a day.
fn today(zone: &str) -> NaiveDate {
    let now = log::Clock::system().now().utc();
    now.with_timezone(&zone.parse::<Tz>().unwrap()).date_naive()
}

/// A completed workout of an hour with the sets given; answers the position.
async fn train(athlete: &Client, start: &str, sets: &[Value]) -> String {
    let workout = athlete.start_workout(json!({ "started_at": start })).await;
    for set in sets {
        athlete.log_set(&workout, set.clone()).await.expect(201);
    }
    let start: chrono::DateTime<chrono::FixedOffset> = start.parse().unwrap();
    let end = (start + chrono::TimeDelta::hours(1)).to_rfc3339();
    athlete.complete(&workout, json!({ "completed_at": end })).await.position().to_owned()
}

async fn stats(athlete: &Client, query: &str, position: &str) -> Value {
    athlete.get_at(&format!("/v1/stats/{query}"), position).await.expect(200).data().clone()
}

fn set(exercise: &str, reps: u32, kg: f64) -> Value {
    json!({ "exercise": exercise, "number": 1, "reps": reps, "weight": { "value": kg, "unit": "kg" } })
}

#[tokio::test]
async fn nobody_who_never_trained_has_any() {
    let app = app().await;
    let athlete = app.athlete().await;
    let overview = athlete.get("/v1/stats/overview").await.expect(200);
    assert!(!overview.position().is_empty());
    let overview = overview.data();
    assert_eq!(
        [&overview["sessions"], &overview["sets"], &overview["volume_kg"]],
        [&json!(0), &json!(0), &json!(0)]
    );
    assert_eq!(overview["average_duration_seconds"], Value::Null);
    assert_eq!(overview["streak_days"], json!({ "current": 0, "longest": 0 }));
    let volume = athlete.get("/v1/stats/volume").await.expect(200);
    assert_eq!(volume.list().len(), 30);
    for list in ["exercises", "muscles"] {
        assert_eq!(athlete.get(&format!("/v1/stats/{list}")).await.expect(200).data(), &json!([]));
    }
}

#[tokio::test]
async fn sums_are_of_working_sets_of_completed_workouts() {
    let app = app().await;
    let athlete = app.athlete().await;
    let day = today("Europe/Paris") - Days::new(2);
    let mut warm_up = bench(10, 20);
    warm_up["kind"] = json!("warm_up");
    let sets = [
        warm_up,
        set("bench-press-barbell", 5, 100.0),
        set("bench-press-barbell", 3, 110.5),
        set("squat-barbell", 10, 60.0),
        json!({ "exercise": "plank", "number": 1, "duration_seconds": 60 }),
    ];
    train(&athlete, &format!("{day}T10:00:00Z"), &sets).await;
    // One that goes on, and one that came to nothing.
    let active = athlete.start_workout(json!({})).await;
    athlete.log_bench(&active, 5, 100).await;
    let gone = athlete.start_workout(json!({})).await;
    athlete.log_bench(&gone, 5, 100).await;
    let gone = athlete.delete(&gone).await.expect(200);
    let at = gone.position();

    let overview = stats(&athlete, "overview", at).await;
    assert_eq!(
        (&overview["sessions"], &overview["sets"], &overview["reps"]),
        (&json!(1), &json!(4), &json!(18))
    );
    assert_eq!(overview["volume_kg"], json!(1431.5));
    assert_eq!(overview["average_duration_seconds"], json!(3600));
    assert_eq!(overview["workout_days"], json!(1));
    assert_eq!(overview["period"]["time_zone"], "Europe/Paris");

    let exercises = stats(&athlete, "exercises", at).await;
    let names: Vec<&str> =
        exercises.as_array().unwrap().iter().filter_map(|e| e["exercise"]["id"].as_str()).collect();
    assert_eq!(names, ["bench-press-barbell", "squat-barbell", "plank"]);
    let bench = &exercises[0];
    assert_eq!((&bench["sets"], &bench["volume_kg"]), (&json!(2), &json!(831.5)));
    assert_eq!(
        (&bench["average_weight_kg"], &bench["maximum_weight_kg"]),
        (&json!(105.25), &json!(110.5))
    );
    assert_eq!(stats(&athlete, "exercises/bench-press-barbell", at).await, *bench);
    assert_eq!(exercises[2]["maximum_weight_kg"], Value::Null);

    let muscles = stats(&athlete, "muscles", at).await;
    let of = |name: &str| muscles.as_array().unwrap().iter().find(|m| m["muscle"] == name).cloned();
    let chest = of("chest").unwrap();
    assert_eq!((&chest["sets"], &chest["volume_kg"]), (&json!(2), &json!(831.5)));
    assert!(of("triceps").unwrap()["secondary_sets"].as_u64().unwrap() >= 2);
    assert!(of("neck").is_none());
}

#[tokio::test]
async fn corrections_removals_and_new_dates_change_them() {
    let app = app().await;
    let athlete = app.athlete().await;
    let day = today("Europe/Paris") - Days::new(3);
    let workout = athlete.start_workout(json!({ "started_at": format!("{day}T10:00:00Z") })).await;
    let one = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    let other = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    let path = |set: &testkit::Answer| set.header("location").to_owned();
    let end = json!({ "completed_at": format!("{day}T11:00:00Z") });
    let done = athlete.complete(&workout, end).await;
    let volume = async |position: &str| {
        stats(&athlete, "overview?period=7d", position).await["volume_kg"].clone()
    };
    assert_eq!(volume(done.position()).await, json!(1000));
    let corrected = athlete.patch(&path(&one), json!({ "reps": 6 })).await.expect(200);
    assert_eq!(volume(corrected.position()).await, json!(1100));
    let removed = athlete.delete(&path(&other)).await.expect(200);
    assert_eq!(volume(removed.position()).await, json!(600));
    let earlier = day - Days::new(30);
    let moved = athlete
        .patch(&workout, json!({ "started_at": format!("{earlier}T10:00:00Z") }))
        .await
        .expect(200);
    assert_eq!(volume(moved.position()).await, json!(0));
    let all = stats(&athlete, "overview?period=all", moved.position()).await;
    assert_eq!((&all["volume_kg"], &all["sessions"]), (&json!(600), &json!(1)));
}

#[tokio::test]
async fn a_workout_belongs_to_the_day_that_it_was_where_the_athlete_lives() {
    let app = app().await;
    // 22:30 in New York is the next day in Greenwich, and in Auckland the one after begins at noon.
    for (zone, local) in [("America/New_York", "22:30:00"), ("Pacific/Auckland", "00:30:00")] {
        let athlete = app.client().register(&testkit::email(), zone).await;
        let tz: Tz = zone.parse().unwrap();
        let mut position = String::new();
        for back in [1, 2, 3, 9] {
            let day = today(zone) - Days::new(back);
            let at =
                day.and_time(local.parse().unwrap()).and_local_timezone(tz).earliest().unwrap();
            position = train(&athlete, &at.to_rfc3339(), &[bench(5, 100)]).await;
        }
        let overview = stats(&athlete, "overview", &position).await;
        assert_eq!(overview["streak_days"], json!({ "current": 3, "longest": 3 }), "{zone}");
        assert_eq!(overview["workout_days"], 4);
        let days = stats(&athlete, "volume?period=10d&by=day", &position).await;
        let sessions: Vec<u64> =
            days.as_array().unwrap().iter().map(|day| day["sessions"].as_u64().unwrap()).collect();
        assert_eq!(sessions, [1, 0, 0, 0, 0, 0, 1, 1, 1, 0], "{zone}");
        let last = days.as_array().unwrap().last().unwrap();
        assert_eq!(last["from"], today(zone).to_string());
        let weeks = stats(&athlete, "volume?period=10d&by=week", &position).await;
        let months = stats(&athlete, "volume?period=10d&by=month", &position).await;
        for buckets in [&weeks, &months] {
            let total: u64 = buckets
                .as_array()
                .unwrap()
                .iter()
                .map(|bucket| bucket["volume_kg"].as_u64().unwrap())
                .sum();
            assert_eq!(total, 2000);
        }
        let monday: NaiveDate = weeks[0]["from"].as_str().unwrap().parse().unwrap();
        assert_eq!(monday.format("%u").to_string(), "1");
        assert!(months[0]["from"].as_str().unwrap().ends_with("-01"));
    }
}

#[tokio::test]
async fn own_exercises_count_and_those_of_others_are_not_there() {
    let app = app().await;
    let (athlete, other) = (app.pro_athlete().await, app.pro_athlete().await);
    let body = json!({
        "name": "My press", "equipment": "machine", "primary_muscles": ["chest"],
        "secondary_muscles": [], "kind": "weight_reps"
    });
    let made = athlete.post("/v1/exercises", body).await.expect(201);
    let id = made.data()["id"].as_str().unwrap().to_owned();
    let day = today("Europe/Paris") - Days::new(1);
    let at = train(&athlete, &format!("{day}T10:00:00Z"), &[set(&id, 10, 50.0)]).await;
    let mine = stats(&athlete, &format!("exercises/{id}"), &at).await;
    assert_eq!((&mine["exercise"]["name"], &mine["volume_kg"]), (&json!("My press"), &json!(500)));
    assert_eq!(stats(&athlete, "muscles", &at).await[0]["muscle"], "chest");
    other.get(&format!("/v1/stats/exercises/{id}")).await.refused(404, "NOT_FOUND");
    other.get("/v1/stats/exercises/no-such-thing").await.refused(404, "NOT_FOUND");
    let none = other.get("/v1/stats/exercises/squat-barbell").await.expect(200);
    let none = none.data();
    assert_eq!((&none["sets"], &none["average_weight_kg"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn bad_parameters_are_all_named_at_once() {
    let app = app().await;
    let athlete = app.athlete().await;
    for (query, fields) in [
        ("overview?period=0d", vec!["period"]),
        ("overview?period=99999d", vec!["period"]),
        ("overview?period=007d", vec!["period"]),
        ("overview?period=%2B7d", vec!["period"]),
        ("overview?by=day", vec!["by"]),
        ("volume?period=x&by=year&limit=1", vec!["period", "by", "limit"]),
        ("exercises?period=", vec!["period"]),
        ("muscles?period=-1d", vec!["period"]),
    ] {
        let answer = athlete.get(&format!("/v1/stats/{query}")).await;
        let refused = answer.refused(400, "VALIDATION_ERROR");
        let mut found = refused.error_fields();
        found.sort_unstable();
        let mut fields = fields;
        fields.sort_unstable();
        assert_eq!(found, fields, "{query}");
    }
    for route in ["overview", "volume", "exercises", "exercises/squat-barbell", "muscles"] {
        app.client().get(&format!("/v1/stats/{route}")).await.expect(401);
    }
}
