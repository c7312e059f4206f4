//! Does what a log holds survive the migrations after it was written?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, migrate::Migrator};

/// A database of its own that no migration has touched.
async fn bare() -> (testkit::Database, PgConnection) {
    let database = testkit::Database::bare().await;
    let connection = PgConnection::connect(&database.owner_url()).await.expect("a connection");
    (database, connection)
}

async fn events(connection: &mut PgConnection) -> Vec<(i16, i64, String)> {
    sqlx::query_as("select partition, position, payload from log.events order by 1, 2")
        .fetch_all(connection)
        .await
        .expect("the events")
}

#[tokio::test]
async fn events_move_into_the_tables_for_eight_partitions() {
    let (_database, mut owner) = bare().await;
    let before = log::MIGRATIONS.iter().filter(|migration| migration.version < 6).cloned();
    let before = Migrator { migrations: Cow::Owned(before.collect()), ..Migrator::DEFAULT };
    before.run(&mut owner).await.expect("the migrations up to the fifth");
    owner
        .execute(sqlx::raw_sql(
            "select log.add_partition(17::smallint);
             insert into log.events (partition, position, epoch, owner, stream_kind, stream_id,
                 version, type, type_version, recorded_at, metadata, payload)
             select partition, position, 1, gen_random_uuid(), 3, gen_random_uuid(), 1, 'X', 1,
                 now(), '{}', json_build_object('p', position)::text
             from generate_series(0, 17) as partition, generate_series(1, 5) as position
             where partition <> 16",
        ))
        .await
        .expect("events of a log that was");
    let was = events(&mut owner).await;
    assert_eq!(was.len(), 17 * 5);

    log::MIGRATIONS.run(&mut owner).await.expect("all migrations");
    assert_eq!(events(&mut owner).await, was);
    let partitions: Vec<i16> =
        sqlx::query_scalar("select number from log.partitions order by number")
            .fetch_all(&mut owner)
            .await
            .expect("the partitions");
    assert_eq!(partitions, (0..=15).chain([17]).collect::<Vec<i16>>());
    for table in ["events", "events_0_to_7", "events_8_to_15", "events_16_to_23"] {
        let sql = format!("delete from log.{table}");
        let refused = owner.execute(AssertSqlSafe(sql)).await.expect_err(table).to_string();
        assert!(refused.contains("never changed or removed"), "{refused}");
    }
    owner.execute("select log.add_partition(24::smallint)").await.expect("another table");
    owner.execute("select log.add_partition(16::smallint)").await.expect("a place in a table");
}
