//! Workouts that were left open: `ironledger scheduler` closes them.

use serde_json::json;
use testkit::{App, Client, bench, eventually};

use crate::binary;

async fn status(client: &Client, workout: &str) -> String {
    let shown = client.get(workout).await;
    shown.data()["status"].as_str().unwrap_or("gone").to_owned()
}

#[tokio::test]
async fn what_was_left_open_ends_with_its_last_set_or_never_was() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let started = json!({ "started_at": "2026-01-05T07:00:00Z", "title": "Left" });
    let left = athlete.start_workout(started).await;
    for minute in [20, 40, 30] {
        let mut set = bench(5, 100);
        set["performed_at"] = json!(format!("2026-01-05T07:{minute}:00Z"));
        athlete.log_set(&left, set).await.expect(201);
    }
    let empty = athlete.start_workout(json!({})).await;
    // All that it has is older than itself.
    let odd = athlete.start_workout(json!({ "started_at": "2026-01-06T07:00:00Z" })).await;
    let mut early = bench(5, 100);
    early["performed_at"] = json!("2026-01-06T06:00:00Z");
    athlete.log_set(&odd, early).await.expect(201);
    let done = athlete.start_workout(json!({})).await;
    athlete.log_bench(&done, 5, 80).await;
    let done_before = athlete.complete(&done, json!({})).await.expect(200).data().clone();

    // Nothing of it is a day old.
    let day = app.start_scheduler(&[]);
    let second = app.start_scheduler(&["--abandoned-after", "1s"]);
    let third = app.start_scheduler(&["--abandoned-after", "1s"]);
    eventually("workouts that are closed", async || {
        let all = [status(&athlete, &left).await, status(&athlete, &odd).await];
        let gone = status(&athlete, &empty).await;
        (all == ["completed", "completed"] && gone == "discarded").then_some(())
    })
    .await;
    let shown = athlete.get(&left).await.expect(200);
    assert_eq!(shown.data()["completed_at"], "2026-01-05T07:40:00Z");
    assert_eq!(shown.data()["abandoned"], true);
    let shown_odd = athlete.get(&odd).await.expect(200);
    assert_eq!(shown_odd.data()["completed_at"], "2026-01-06T07:00:00Z");
    assert_eq!(*athlete.get(&done).await.data(), done_before);
    drop((day, second, third));

    // It says so itself, once, and history knows.
    let id = left.rsplit('/').next().unwrap();
    let audit = athlete.get(&format!("/v1/audit/workouts/{id}")).await.expect(200);
    let events = audit.data()["events"].as_array().unwrap();
    let closed: Vec<_> =
        events.iter().filter(|event| event["type"] == "WorkoutCompleted").collect();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["actor"], "system:scheduler");
    let said = athlete.patch(&left, json!({ "title": "Right" })).await.expect(200);
    assert_eq!(said.data()["abandoned"], true);
    let history = athlete.history("", said.position()).await;
    let of = |id: &str| {
        history.list().iter().find(|workout| id.ends_with(workout["id"].as_str().unwrap()))
    };
    assert_eq!(of(&left).unwrap()["abandoned"], true);
    assert_eq!(of(&done).unwrap()["abandoned"], false);
    assert!(of(&empty).is_none());
    // It stays editable: the athlete says when it ended.
    let ended = json!({ "completed_at": "2026-01-05T08:15:00Z" });
    athlete.patch(&left, ended).await.expect(200);
    athlete.log_set(&left, bench(5, 105)).await.expect(201);
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn nobody_is_disturbed_while_they_log() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let going_on = athlete.start_workout(json!({})).await;
    let left = athlete.start_workout(json!({})).await;
    athlete.log_bench(&left, 5, 100).await;
    // Opened two minutes ago; of one, something was said just now, within the last 24th of the minute.
    let opened = "update open_v1.workouts set opened_at = opened_at - interval '2 minutes'";
    let said = athlete.log_set(&going_on, bench(5, 100)).await.expect(201);
    athlete.get_at("/v1/workouts", said.position()).await.expect(200);
    eventually("rows of open workouts", async || {
        app.database.run(opened).await;
        (app.database.count("open_v1.workouts where opened_at < now() - interval '1 minute'").await
            == 2)
            .then_some(())
    })
    .await;
    let _scheduler = app.start_scheduler(&["--abandoned-after", "1m"]);
    let logging = async {
        loop {
            athlete.log_set(&going_on, bench(5, 100)).await.expect(201);
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    };
    let closing = eventually("the one that was left to be closed", async || {
        (status(&athlete, &left).await == "completed").then_some(())
    });
    tokio::select! {
        () = closing => {}
        () = logging => {}
    }
    assert_eq!(status(&athlete, &going_on).await, "active");
}
