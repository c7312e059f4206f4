//! Several `api` processes on one log: what becomes of commands when one of them freezes or dies?

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use testkit::{App, Client, bench, eventually, new_id};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::binary;

/// Logs sets one after another until told to stop; a set that is not acknowledged is sent again.
/// Answers the sets, and the longest that one took.
async fn train(athlete: Client, stop: CancellationToken) -> (Vec<String>, Duration) {
    let workout = athlete.start_workout(serde_json::json!({})).await;
    let (mut sets, mut longest) = (Vec::new(), Duration::ZERO);
    while !stop.is_cancelled() && sets.len() < 450 {
        let mut set = bench(5, 100);
        set["id"] = new_id().to_string().into();
        let began = Instant::now();
        loop {
            let answer = athlete.log_set(&workout, set.clone()).await;
            if answer.status == 201 {
                break;
            }
            assert_eq!(answer.status, 503, "{}", answer.body);
            sleep(Duration::from_millis(50)).await;
        }
        longest = longest.max(began.elapsed());
        sets.push(set["id"].as_str().unwrap().to_owned());
        sleep(Duration::from_millis(20)).await;
    }
    (sets, longest)
}

#[tokio::test]
async fn a_process_that_freezes_or_dies_costs_the_others_less_than_five_seconds() {
    let app = App::without_projector(binary()).await;
    let (mut other, _) = app.another_api().await;
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    eventually("a table for each process", async || {
        let holders: i64 = sqlx::query_scalar(
            "select count(distinct holder) from log.leases where work = 'append'",
        )
        .fetch_one(&mut owner)
        .await
        .unwrap();
        (holders == 2).then_some(())
    })
    .await;
    let stop = CancellationToken::new();
    let mut training = JoinSet::new();
    for _ in 0..8 {
        training.spawn(train(app.athlete().await, stop.clone()));
    }
    sleep(Duration::from_secs(2)).await;
    // They do append for one another: neither has found the other out of reach.
    for output in [app.api.output(), other.output()] {
        assert!(output.contains("tables of the log are shared"), "{output}");
        assert!(!output.contains("cannot be reached"), "{output}");
    }
    // Longer than its leases last; then it goes on with what it had in its hands.
    other.freeze();
    sleep(Duration::from_secs(5)).await;
    other.thaw();
    sleep(Duration::from_secs(3)).await;
    other.kill();
    sleep(Duration::from_secs(2)).await;
    stop.cancel();

    let mut acknowledged = BTreeSet::new();
    for (sets, longest) in training.join_all().await {
        assert!(longest < Duration::from_secs(5), "{longest:?}");
        assert!(sets.len() > 20, "{} sets", sets.len());
        acknowledged.extend(sets);
    }
    let recorded: Vec<String> = sqlx::query_scalar(
        "select client_id::text from log.events where type = 'SetLogged' order by 1",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    // Each once; and nobody gave up on one.
    assert_eq!(recorded, acknowledged.into_iter().collect::<Vec<_>>());
}
