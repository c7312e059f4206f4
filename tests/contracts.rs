//! Does `ironledger contracts check` find what this version cannot read, and nothing else?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{path::Path, process::ExitStatus};

use sqlx::{Connection, Executor, PgConnection};
use testkit::{Database, process::Process, simulate::Simulator};

/// Checks a log as somebody who may read it and has no secrets.
async fn check(database: &Database) -> (ExitStatus, String) {
    let url = database.projector_url();
    let arguments = ["contracts", "check", "--database", &url];
    let mut process = Process::start(Path::new(env!("CARGO_BIN_EXE_ironledger")), &arguments, &[]);
    let status = process.ended().await;
    (status, process.output())
}

/// Puts an event behind the last one of the fullest partition, of another type or payload.
async fn put(database: &Database, kind: &str, version: i16, payload: &str) {
    let mut owner = PgConnection::connect(&database.owner_url()).await.expect("the owner");
    let added = sqlx::query(
        "insert into log.events
         select partition, position + 1, epoch, owner, 3, stream_id, version + 1, $1, $2,
             recorded_at, null, null, metadata, $3
         from log.events
         where (partition, position) = (
             select partition, max(position) from log.events
             group by partition order by count(*) desc, partition limit 1
         )",
    )
    .bind(kind)
    .bind(version)
    .bind(payload);
    assert_eq!(added.execute(&mut owner).await.expect("a row").rows_affected(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_that_does_not_decode_is_told() {
    let database = Database::fresh().await;
    let empty = check(&database).await;
    assert!(empty.0.success() && empty.1.contains("events=0 decoded=0 failed=0"), "{}", empty.1);

    let log = database.log();
    Simulator::new(7).fill(&log, &database, 4, 6).await;
    let old = r#"{"set_id":"0193f0a0-0000-7000-8000-0000000000a1","set":{"exercise":"plank",
        "number":1,"kind":"normal","performed_at":"2025-06-30T18:02:11Z"}}"#;
    put(&database, "SetLogged", 1, old).await;
    let (status, said) = check(&database).await;
    assert!(status.success(), "{said}");
    assert!(said.contains("ok    SetLogged version 1: 1\n"), "{said}");
    assert!(said.contains("ok    SetLogged version 2: "), "{said}");
    assert!(said.contains("ok    ExerciseNoted version 1: "), "{said}");
    assert!(said.contains(" failed=0"), "{said}");
    let decoded = |said: &str| -> u64 {
        let (_, rest) = said.split_once("decoded=").expect("a count");
        rest.split_once(' ').expect("more").0.parse().expect("a number")
    };
    let good = decoded(&said);

    put(&database, "SetTeleported", 1, "{}").await;
    put(&database, "SetLogged", 99, "{}").await;
    for _ in 0..5 {
        put(&database, "SetRemoved", 1, r#"{"set":1}"#).await;
    }
    // A row that no program has written, and a good one before and behind it.
    for _ in 0..3 {
        put(&database, "WorkoutDiscarded", 1, "{}").await;
    }
    let mut owner = PgConnection::connect(&database.owner_url()).await.expect("the owner");
    let foreign = "set session_replication_role = replica;
         update log.events e set owner = gen_random_uuid() from (
             select partition, position - 1 as position from log.events
             where type = 'WorkoutDiscarded' order by position desc limit 1
         ) last
         where (e.partition, e.position) = (last.partition, last.position)";
    owner.execute(sqlx::raw_sql(foreign)).await.expect("a row");

    let (status, said) = check(&database).await;
    assert_eq!(status.code(), Some(1), "{said}");
    for told in [
        "BAD   SetTeleported version 1: 1 times unknown event type SetTeleported version 1\n",
        "BAD   SetLogged version 99: 1 times unknown event type SetLogged version 99\n",
        "BAD   SetRemoved version 1: 5 times SetRemoved version 1 does not decode: missing field",
        "BAD   the log: 1 times its owner is no athlete\n",
        " failed=8\n",
    ] {
        assert!(said.contains(told), "{told}\n{said}");
    }
    assert_eq!(said.matches("SetRemoved version 1 does not decode: missing field").count(), 4);
    assert_eq!(decoded(&said), good + 2, "{said}");
}
