//! Records on the topic of the log that are none of its events: set aside, for whoever looks after it.

use log::kafka::Foreign;
use sqlx::PgPool;

/// So many are kept; who sees that many has seen enough, and a flood fills no disk.
const MOST: i64 = 10_000;

/// Sets records aside. Each is kept once, whoever reads it.
pub(crate) async fn park(
    pool: &PgPool,
    topic: &str,
    records: &[(i16, i64, Foreign)],
) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    for (partition, offset, Foreign { why, .. }) in records {
        tracing::warn!(topic, partition, offset, why, "set a foreign record aside");
    }
    let partitions: Vec<i16> = records.iter().map(|(partition, ..)| *partition).collect();
    let offsets: Vec<i64> = records.iter().map(|(_, offset, _)| *offset).collect();
    let foreign = || records.iter().map(|(.., foreign)| foreign);
    let reasons: Vec<&str> = foreign().map(|foreign| foreign.why.as_str()).collect();
    let keys: Vec<Option<&[u8]>> = foreign().map(|foreign| foreign.key.as_deref()).collect();
    let values: Vec<Option<&[u8]>> = foreign().map(|foreign| foreign.value.as_deref()).collect();
    sqlx::query!(
        "insert into projector.foreign_records (topic, partition, kafka_offset, why, key, value)
         select $1, * from unnest($2::smallint[], $3::bigint[], $4::text[], $5::bytea[], $6::bytea[])
             as records (partition, kafka_offset, why, key, value)
         where (select count(*) from projector.foreign_records) < $7
         on conflict do nothing",
        topic,
        &partitions,
        &offsets,
        &reasons as &[&str],
        &keys as &[Option<&[u8]>],
        &values as &[Option<&[u8]>],
        MOST,
    )
    .execute(pool)
    .await?;
    Ok(())
}
