//! Who of several processes takes which share of a work, agreed on in Postgres.
//!
//! Each keeps itself on the list of members, takes its fair share and gives back what is above it.
//! It is only an agreement, by which they do not do the same work twice: what keeps two owners
//! apart is a compare-and-swap, on the positions of the log or on the checkpoint of a read model.

use std::{collections::BTreeMap, time::Duration};

use sqlx::PgPool;
use uuid::Uuid;

/// Who is not heard of for so long has lost its share. With how often others look, that stays below
/// the five seconds that a killed process may cost.
const TTL: Duration = Duration::from_secs(3);

/// A member of those who share a work.
pub struct Shares {
    pool: PgPool,
    work: &'static str,
    member: Uuid,
    address: Option<String>,
}

impl Shares {
    /// One who takes a share of a work, under a name of its own; nothing is sent yet.
    pub fn new(pool: PgPool, work: &'static str, member: Uuid) -> Self {
        Self { pool, work, member, address: None }
    }

    /// The same, whom the others reach at an address.
    pub fn reached_at(self, address: String) -> Self {
        Self { address: Some(address), ..self }
    }

    /// Says that we are there, and answers which of the numbers are ours now; to be called about
    /// once a second.
    pub async fn renew(&self, numbers: &[i16]) -> Result<Vec<i16>, sqlx::Error> {
        let ttl = TTL.as_secs_f64();
        let mut transaction = self.pool.begin().await?;
        let fair = sqlx::query_scalar!(
            r#"with gone as (
                   delete from log.members
                   where work = $1 and expires_at < clock_timestamp() and holder <> $2
               ), here as (
                   insert into log.members (work, holder, address, expires_at)
                   values ($1, $2, $5, clock_timestamp() + make_interval(secs => $3))
                   on conflict (work, holder) do update
                   set address = excluded.address, expires_at = excluded.expires_at
               )
               select ceil($4::float8 / (1 + count(*)))::bigint as "fair!" from log.members
               where work = $1 and holder <> $2 and expires_at >= clock_timestamp()"#,
            self.work,
            self.member,
            ttl,
            numbers.len() as f64,
            self.address,
        )
        .fetch_one(&mut *transaction)
        .await?;
        // First what we have, as far as it is our share, then what nobody has.
        let ours = sqlx::query_scalar!(
            "insert into log.leases as lease (work, number, holder, expires_at)
             select $1, n.number, $2, clock_timestamp() + make_interval(secs => $3)
             from unnest($5::smallint[]) as n (number)
             left join log.leases l on l.work = $1 and l.number = n.number
             where l.holder is null or l.holder = $2 or l.expires_at < clock_timestamp()
             order by l.holder is not distinct from $2 desc, n.number
             limit $4
             on conflict (work, number) do update
             set holder = excluded.holder, expires_at = excluded.expires_at
             where lease.holder = excluded.holder or lease.expires_at < clock_timestamp()
             returning number",
            self.work,
            self.member,
            ttl,
            fair,
            numbers,
        )
        .fetch_all(&mut *transaction)
        .await?;
        sqlx::query!(
            "delete from log.leases where work = $1 and holder = $2 and number <> all($3::smallint[])",
            self.work,
            self.member,
            &ours,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(ours)
    }

    /// Whether anybody takes a share of this work now.
    pub async fn are_taken(&self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar!(
            r#"select exists (
                   select from log.members where work = $1 and expires_at >= clock_timestamp()
               ) as "taken!""#,
            self.work,
        )
        .fetch_one(&self.pool)
        .await
    }

    /// Which numbers others have, and where those are reached.
    pub async fn others(&self) -> Result<BTreeMap<i16, String>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"select l.number, m.address as "address!"
               from log.leases l join log.members m using (work, holder)
               where work = $1 and holder <> $2 and m.address is not null
                   and l.expires_at >= clock_timestamp() and m.expires_at >= clock_timestamp()"#,
            self.work,
            self.member,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.number, row.address)).collect())
    }

    /// Gives everything back, so that others need not wait.
    pub async fn leave(&self) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "with left_behind as (
                 delete from log.leases where work = $1 and holder = $2
             )
             delete from log.members where work = $1 and holder = $2",
            self.work,
            self.member,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
