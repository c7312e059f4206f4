//! What who runs the place may do under a running product: restore, grow, and get a key wrong.

use log::Positions;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use testkit::{App, Process, TOKEN_KEY, bench, eventually};

use crate::binary;

async fn owner(app: &App) -> PgConnection {
    PgConnection::connect(&app.database.owner_url()).await.unwrap()
}

#[tokio::test]
async fn positions_outlive_a_new_epoch_unless_their_event_was_lost() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let set = athlete.log_set(&workout, bench(5, 100)).await.expect(201);
    sqlx::query(
        "insert into log.epochs (epoch, reason) select max(epoch) + 1, 'test' from log.epochs",
    )
    .execute(&mut owner(&app).await)
    .await
    .unwrap();

    let history = athlete.get_at("/v1/history", set.position()).await.expect(200);
    athlete.get_at("/v1/history", history.position()).await.expect(200);
    let later = athlete.log_set(&workout, bench(6, 100)).await.expect(201);
    let history = athlete.get_at("/v1/history", later.position()).await.expect(200);
    assert_eq!(history.list()[0]["totals"]["sets"], 2);

    // As from before a restore that lost it: the old epoch, at a position that is not there.
    let mut lost: Positions = set.position().parse().unwrap();
    lost.at.values_mut().for_each(|position| position.0 += 1000);
    let refused = athlete.get_at("/v1/history", &lost.to_string()).await;
    refused.refused(409, "POSITION_UNKNOWN");
}

#[tokio::test]
async fn a_partition_that_is_added_is_projected() {
    let app = App::start(binary()).await;
    let mut owner = owner(&app).await;
    sqlx::query("select log.add_partition(16::smallint)").execute(&mut owner).await.unwrap();
    eventually("a checkpoint of the new partition", async || {
        let count: i64 =
            sqlx::query_scalar("select count(*) from history_v6.checkpoints where partition = 16")
                .fetch_one(&mut owner)
                .await
                .unwrap();
        (count == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wrong_master_key_is_refused_at_start() {
    let app = App::start(binary()).await;
    app.athlete().await;
    let url = app.database.api_url();
    let other = "YW5vdGhlciBtYXN0ZXIga2V5IGFub3RoZXIgbWFzdGU";
    let mut stranger = Process::start(
        binary(),
        &["api", "--listen", "127.0.0.1:0"],
        &[
            ("DATABASE_URL", &url),
            ("IRONLEDGER_MASTER_KEY", other),
            ("IRONLEDGER_TOKEN_KEY", TOKEN_KEY),
            ("IRONLEDGER_BYPASS_KEY", testkit::BYPASS_KEY),
        ],
    );
    assert!(!stranger.ended().await.success());
    let said = stranger.output();
    assert!(said.contains("the master key is not the one"), "{said}");
}
