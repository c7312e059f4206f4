//! `/v1/history`: filters, pages, positions.

use events::{Partition, Position};
use log::Positions;
use serde_json::{Value, json};
use testkit::{Answer, Client, bench};

use crate::app;

/// Workouts of one set each that start at the times given; answers the last position.
async fn trained(athlete: &Client, starts: &[&str]) -> String {
    let mut position = String::new();
    for start in starts {
        let workout = athlete.start_workout(json!({ "started_at": start, "title": start })).await;
        let set = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
        position = set.position().to_owned();
    }
    position
}

fn titles(answer: &Answer) -> Vec<&str> {
    answer.each("title").iter().filter_map(|title| title.as_str()).collect()
}

#[tokio::test]
async fn nothing_found_is_an_empty_list() {
    let app = app().await;
    let athlete = app.athlete().await;
    for query in ["", "exercise=bench", "muscle=neck", "from=2024-01-01", "exercise=%00%ff"] {
        let answer = athlete.get(&format!("/v1/history?{query}")).await.expect(200);
        assert_eq!(answer.data(), &json!([]));
        assert_eq!(
            (&answer.meta()["count"], &answer.meta()["next_cursor"]),
            (&json!(0), &Value::Null)
        );
        assert!(!answer.position().is_empty());
    }
}

#[tokio::test]
async fn filters_by_exercise_and_muscle_show_matching_sets_with_full_totals() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    athlete.log_bench(&workout, 5, 100).await;
    for exercise in ["bench-press-dumbbell", "squat-barbell"] {
        let mut set = bench(10, 20);
        set["exercise"] = json!(exercise);
        athlete.log_set(&workout, set).await.expect(201);
    }
    let other = athlete.start_workout(json!({})).await;
    let plank = json!({ "exercise": "plank", "number": 1, "duration_seconds": 60 });
    let last = athlete.log_set(&other, plank).await.expect(201);

    for (query, sets) in [
        ("exercise=BENCH%20press", 2),
        ("exercise=Bench+Press+(Barbell)", 1),
        ("exercise=squat", 1),
        ("muscle=chest", 2),
        ("muscle=quadriceps", 1),
        ("muscle=chest&exercise=bench%20press%20(d", 1),
    ] {
        let found = athlete.history(query, last.position()).await;
        assert_eq!(found.meta()["count"], 1, "{query}");
        assert_eq!(found.list()[0]["sets"].as_array().unwrap().len(), sets, "{query}");
        assert_eq!(found.list()[0]["totals"]["sets"], 3, "{query}");
        assert_eq!(found.list()[0]["totals"]["volume_kg"], 900, "{query}");
    }
    for query in ["exercise=press", "muscle=calves", "muscle=chest&exercise=squat"] {
        assert_eq!(athlete.history(query, last.position()).await.meta()["count"], 0, "{query}");
    }
}

#[tokio::test]
async fn days_are_those_of_the_athlete() {
    let app = app().await;
    let paris = app.athlete().await;
    // Midnight of 2 March in Paris is 23:00 UTC.
    let starts = [
        "2024-03-01T22:59:59Z",
        "2024-03-01T23:00:00Z",
        "2024-03-02T22:59:59Z",
        "2024-03-02T23:00:00Z",
    ];
    let position = trained(&paris, &starts).await;
    for (query, found) in [
        ("from=2024-03-02&to=2024-03-02", &starts[1..3]),
        ("to=2024-03-01", &starts[..1]),
        ("from=2024-03-03", &starts[3..]),
        ("from=2024-03-01T23:00:00Z&to=2024-03-02T22:59:59Z", &starts[1..3]),
        ("from=2024-03-02T00:00:00%2B01:00", &starts[1..]),
        ("from=2024-03-02T00:00:00+01:00", &starts[1..]),
        ("from=2024-03-02&to=2024-03-01T23:30:00Z", &starts[1..2]),
        ("from=2024-03-05&to=2024-03-01", &[]),
        ("from=1900-01-01&to=9999-12-31", &starts[..]),
    ] {
        let answer = paris.history(query, &position).await;
        let newest_first: Vec<&str> = found.iter().rev().copied().collect();
        assert_eq!(titles(&answer), newest_first, "{query}");
    }

    // The same instants are other days on Hawaii, and a day may have 23 hours.
    let hawaii = app.client().register(&testkit::email(), "Pacific/Honolulu").await;
    let position = trained(&hawaii, &starts).await;
    let answer = hawaii.history("from=2024-03-01&to=2024-03-01", &position).await;
    assert_eq!(titles(&answer), [starts[1], starts[0]]);
    let position = trained(&paris, &["2024-03-31T21:59:59Z", "2024-03-31T22:00:00Z"]).await;
    let answer = paris.history("from=2024-03-31&to=2024-03-31", &position).await;
    assert_eq!(titles(&answer), ["2024-03-31T21:59:59Z"]);
}

#[tokio::test]
async fn pages_hold_while_new_workouts_arrive() {
    let app = app().await;
    let athlete = app.athlete().await;
    // Two at the same instant: ties go by id.
    let starts: Vec<String> = (0..7).map(|n| format!("2024-01-0{}T10:00:00Z", 1 + n / 2)).collect();
    let starts: Vec<&str> = starts.iter().map(String::as_str).collect();
    let mut position = trained(&athlete, &starts).await;
    let expected = athlete.history("", &position).await;
    assert_eq!(expected.list().len(), 7);

    let mut walked = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = athlete.history(&query, &position).await;
        assert_eq!(page.meta()["count"], page.list().len());
        walked.extend(page.each("id").into_iter().cloned());
        // Newer and as new: they do not push anything over the edge of a page.
        position = trained(&athlete, &["2025-01-01T10:00:00Z", "2024-01-04T10:00:00Z"]).await;
        match page.meta()["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=2&cursor={cursor}"),
            None => break,
        }
        assert!(walked.len() < 20, "no end");
    }
    let seen: Vec<_> = walked.iter().filter(|id| expected.each("id").contains(id)).collect();
    assert_eq!(seen, expected.each("id"), "each once, in order");
    assert_eq!(athlete.history("limit=1", &position).await.list().len(), 1);
    assert_eq!(athlete.history("limit=100", &position).await.meta()["next_cursor"], Value::Null);
}

#[tokio::test]
async fn fields_are_chosen() {
    let app = app().await;
    let athlete = app.athlete().await;
    let position = trained(&athlete, &["2024-01-01T10:00:00Z"]).await;
    let answer = athlete.history("fields=id,%20totals", &position).await;
    let fields: Vec<_> = answer.list()[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["id", "totals"]);
}

#[tokio::test]
async fn every_bad_parameter_is_named() {
    let app = app().await;
    let athlete = app.athlete().await;
    let all = "limit=0&muscle=elbow&from=soon&to=2024-02-30&unit=stone&fields=id,x&cursor=!&page=2";
    let refused = athlete.get(&format!("/v1/history?{all}")).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(
        refused.error_fields(),
        ["cursor", "fields", "from", "limit", "muscle", "page", "to", "unit"]
    );
    let position = trained(&athlete, &["2024-01-01T10:00:00Z", "2024-01-02T10:00:00Z"]).await;
    let page = athlete.history("limit=1", &position).await;
    let cursor = page.meta()["next_cursor"].as_str().unwrap();
    let tampered = format!("A{}", &cursor[1..]);
    for (query, field) in [
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("from=2024-01-01T10:00:00", "from"),
        ("from=", "from"),
        ("from=2024-1-1", "from"),
        ("from=%2B2024-01-1", "from"),
        ("from=2024-01-01%2010:00:00Z", "from"),
        ("limit=05", "limit"),
        ("limit=%2B5", "limit"),
        ("from=-5000-01-01", "from"),
        ("to=%2B262142-12-31", "to"),
        ("to=99999-01-01T00:00:00Z", "to"),
        (&format!("cursor={tampered}"), "cursor"),
        (&format!("cursor={}", &cursor[..cursor.len() - 2]), "cursor"),
        ("cursor=bnVsbA", "cursor"),
        ("cursor=", "cursor"),
        ("fields=", "fields"),
        ("Limit=1", "Limit"),
        ("exercise=x&unit=KG", "unit"),
    ] {
        let answer = athlete.get(&format!("/v1/history?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
        assert_eq!(answer.error_fields(), [field], "{query}");
    }
    // However many are bad, the answer has an end, and comes soon.
    let many: Vec<String> = (0..10_000).map(|n| format!("{n}=")).collect();
    let refused = athlete.get(&format!("/v1/history?{}", many.join("&"))).await;
    assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields().len(), 100);
}

#[tokio::test]
async fn reads_wait_for_a_position_but_not_for_ever() {
    let app = app().await;
    let athlete = app.athlete().await;
    let position = trained(&athlete, &["2024-01-01T10:00:00Z"]).await;
    let here: Positions = position.parse().unwrap();

    let answer = athlete.history("", &position).await;
    let stands: Positions = answer.position().parse().unwrap();
    for (partition, wanted) in &here.at {
        assert!(stands.at[partition] >= *wanted, "the answer stands where it was asked to");
    }
    for garbage in ["", "x", "AAAA", "not base64!", &position[..position.len() - 1], "null"] {
        let refused = athlete.get_at("/v1/history", garbage).await;
        let refused = refused.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), ["X-Min-Position"], "{garbage}");
    }
    let twice = athlete.with("x-min-position", &position).get_at("/v1/history", &position).await;
    assert_eq!(twice.refused(400, "VALIDATION_ERROR").error_fields(), ["X-Min-Position"]);
    // What is not on the log is not waited for.
    let (mut future, mut elsewhere, mut nowhere) = (here.clone(), here.clone(), here.clone());
    future.at.values_mut().for_each(|position| position.0 += 1_000_000);
    elsewhere.epoch.0 += 1;
    nowhere.at.insert(Partition(9999), Position(0));
    for unknown in [future, elsewhere, nowhere] {
        let answer = athlete.get_at("/v1/workouts", &unknown.to_string()).await;
        answer.refused(409, "POSITION_UNKNOWN");
    }
    // Of the log's own beginning, everything stands there or later.
    let mut beginning = here;
    beginning.at.values_mut().for_each(|position| position.0 = 0);
    athlete.history("", &beginning.to_string()).await;
}
