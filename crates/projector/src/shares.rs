//! Who of several projectors takes which partition, agreed on in Postgres.
//!
//! Each keeps itself on the list of members, takes its fair share of the partitions and gives back
//! what is above it. It is only an agreement, by which they do not do the same work twice: what
//! keeps two owners apart is the compare-and-swap on the checkpoint.

use std::time::Duration;

use events::Partition;
use sqlx::PgPool;
use uuid::Uuid;

/// Who is not heard of for so long has lost its partitions.
const TTL: Duration = Duration::from_secs(4);

/// A member of those who run one projection.
pub(crate) struct Shares {
    pool: PgPool,
    projection: &'static str,
    member: Uuid,
}

impl Shares {
    pub(crate) fn new(pool: PgPool, projection: &'static str, member: Uuid) -> Self {
        Self { pool, projection, member }
    }

    /// Says that we are there, and answers which partitions are ours now; to be called about once
    /// a second.
    pub(crate) async fn renew(&self) -> Result<Vec<Partition>, sqlx::Error> {
        let ttl = TTL.as_secs_f64();
        let mut transaction = self.pool.begin().await?;
        let fair = sqlx::query_scalar!(
            r#"with gone as (
                   delete from projector.members
                   where projection = $1 and expires_at < clock_timestamp() and holder <> $2
               ), here as (
                   insert into projector.members (projection, holder, expires_at)
                   values ($1, $2, clock_timestamp() + make_interval(secs => $3))
                   on conflict (projection, holder) do update set expires_at = excluded.expires_at
               ), others as (
                   select count(*) as count from projector.members
                   where projection = $1 and holder <> $2 and expires_at >= clock_timestamp()
               )
               select ceil(count(*)::float8 / (1 + (select count from others)))::bigint as "fair!"
               from projector.checkpoints where projection = $1"#,
            self.projection,
            self.member,
            ttl,
        )
        .fetch_one(&mut *transaction)
        .await?;
        // First what we have, as far as it is our share, then what nobody has.
        let ours = sqlx::query_scalar!(
            "insert into projector.leases as lease (projection, partition, holder, expires_at)
             select $1, c.partition, $2, clock_timestamp() + make_interval(secs => $3)
             from projector.checkpoints c
             left join projector.leases l using (projection, partition)
             where c.projection = $1
                 and (l.holder is null or l.holder = $2 or l.expires_at < clock_timestamp())
             order by l.holder is not distinct from $2 desc, c.partition
             limit $4
             on conflict (projection, partition) do update
             set holder = excluded.holder, expires_at = excluded.expires_at
             where lease.holder = excluded.holder or lease.expires_at < clock_timestamp()
             returning partition",
            self.projection,
            self.member,
            ttl,
            fair,
        )
        .fetch_all(&mut *transaction)
        .await?;
        sqlx::query!(
            "delete from projector.leases
             where projection = $1 and holder = $2 and partition <> all($3::smallint[])",
            self.projection,
            self.member,
            &ours,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(ours.into_iter().map(Partition).collect())
    }

    /// Gives everything back, so that others need not wait.
    pub(crate) async fn leave(&self) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "with left_behind as (
                 delete from projector.leases where projection = $1 and holder = $2
             )
             delete from projector.members where projection = $1 and holder = $2",
            self.projection,
            self.member,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
