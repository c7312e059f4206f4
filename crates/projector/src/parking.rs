//! Events that are set aside: seen, tried again, or left out for good.

use std::sync::Arc;

use events::{AthleteId, Partition, Position, Timestamp};
use sqlx::{Acquire, AssertSqlSafe, PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    Error, Projection, Projector,
    batch::{Item, Skipped, What, attempt, open},
    checkpoint,
    revisions::Changed,
    schema,
    tables::About,
};

/// Events of one owner that are tried in one transaction.
const AT_ONCE: i64 = 2_000;

/// An event that a batch sets aside.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    pub(crate) partition: Partition,
    pub(crate) position: Position,
    pub(crate) owner: AthleteId,
    /// Why; none for one that waits behind another.
    pub(crate) error: Option<String>,
    /// Whether later events of the owner go on without it.
    pub(crate) alone: bool,
}

/// An event that is set aside because it cannot be projected.
#[derive(Debug, Clone)]
pub struct ParkedEvent {
    /// Where it stands.
    pub partition: Partition,
    /// Where it stands.
    pub position: Position,
    /// Whose it is.
    pub owner: AthleteId,
    /// Why it cannot be projected.
    pub error: String,
    /// How often it was tried again.
    pub attempts: i32,
    /// Since when.
    pub parked_at: Timestamp,
    /// How many later events of the owner wait behind it.
    pub waiting: i64,
}

/// What came of trying again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retried {
    /// Events that are projected now.
    pub projected: u64,
    /// Events that still cannot be.
    pub refused: u64,
}

/// Sets events aside, in the transaction of their batch.
pub(crate) async fn park(
    transaction: &mut PgConnection,
    parked: &[Parked],
) -> Result<(), sqlx::Error> {
    if parked.is_empty() {
        return Ok(());
    }
    let partitions: Vec<i16> = parked.iter().map(|parked| parked.partition.0).collect();
    let positions: Vec<i64> = parked.iter().map(|parked| parked.position.0).collect();
    let owners: Vec<Uuid> = parked.iter().map(|parked| parked.owner.uuid()).collect();
    let errors: Vec<Option<&str>> = parked.iter().map(|parked| parked.error.as_deref()).collect();
    let alone: Vec<bool> = parked.iter().map(|parked| parked.alone).collect();
    sqlx::query!(
        "insert into parked_events (partition, position, owner, error, alone, attempts)
         select partition, position, owner, error, alone, 0
         from unnest($1::smallint[], $2::bigint[], $3::uuid[], $4::text[], $5::boolean[])
             as parked (partition, position, owner, error, alone)",
        &partitions,
        &positions,
        &owners,
        &errors as &[Option<&str>],
        &alone,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// How many events a model has set aside, with those that wait; none of a model that is not there.
pub(crate) async fn count(pool: &PgPool, schema: &str) -> Result<u64, sqlx::Error> {
    let table = format!("{schema}.parked_events");
    let there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(&table)
        .fetch_one(pool)
        .await?;
    if !there {
        return Ok(0);
    }
    // The name of a schema is the program's own text.
    let count = AssertSqlSafe(format!("select count(*) from {table}"));
    let count: i64 = sqlx::query_scalar(count).fetch_one(pool).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Whose events wait.
pub(crate) async fn owners(pool: &PgPool) -> Result<Vec<AthleteId>, sqlx::Error> {
    let owners = sqlx::query_scalar!("select distinct owner from parked_events where not alone")
        .fetch_all(pool)
        .await?;
    Ok(owners.into_iter().filter_map(|owner| AthleteId::new(owner).ok()).collect())
}

/// Which events of a model are left out, whatever its version.
pub(crate) async fn skipped(pool: &PgPool, name: &str) -> Result<Skipped, sqlx::Error> {
    let rows = sqlx::query!(
        "select partition, position, event from projector.skipped_events where projection = $1",
        name
    )
    .fetch_all(pool)
    .await?;
    let places =
        rows.into_iter().map(|row| ((Partition(row.partition), Position(row.position)), row.event));
    Ok(Skipped(places.collect()))
}

impl<P: Projection> Projector<P> {
    /// The events that cannot be projected, oldest first, at most `limit`; of one owner if given.
    pub async fn parked(
        &self,
        owner: Option<AthleteId>,
        limit: i64,
    ) -> Result<Vec<ParkedEvent>, Error> {
        let rows = sqlx::query!(
            r#"select partition, position, owner, error as "error!", attempts, parked_at,
                   case when alone then 0 else (
                       select count(*) from parked_events behind
                       where behind.owner = p.owner and behind.partition = p.partition
                           and behind.error is null
                   ) end as "waiting!"
               from parked_events p
               where error is not null and ($1::uuid is null or owner = $1)
               order by parked_at, partition, position limit $2"#,
            owner.map(AthleteId::uuid),
            limit,
        )
        .fetch_all(self.pool())
        .await?;
        let events = rows.into_iter().filter_map(|row| {
            Some(ParkedEvent {
                partition: Partition(row.partition),
                position: Position(row.position),
                owner: AthleteId::new(row.owner).ok()?,
                error: row.error,
                attempts: row.attempts,
                parked_at: Timestamp::new(row.parked_at),
                waiting: row.waiting,
            })
        });
        Ok(events.collect())
    }

    /// Tries parked events again, those of each owner in their order: all, or those of one owner.
    ///
    /// Nothing of a model that is of another shape, or has read another log than this.
    pub async fn retry(&self, owner: Option<AthleteId>) -> Result<Retried, Error> {
        schema::check_shape::<P>(&mut *self.pool().acquire().await?).await?;
        self.check(&checkpoint::load(self.pool()).await?).await?;
        let groups = sqlx::query!(
            "select distinct partition, owner, case when alone then position end as position
             from parked_events where $1::uuid is null or owner = $1
             order by partition, owner, position",
            owner.map(AthleteId::uuid),
        )
        .fetch_all(self.pool())
        .await?;
        let mut all = Retried::default();
        for group in groups {
            loop {
                let (tried, more) = self
                    .retry_some(Partition(group.partition), group.owner, group.position)
                    .await?;
                all.projected += tried.projected;
                all.refused += tried.refused;
                if !more {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Tries the oldest parked events of an owner, or a single one; whether there may be more.
    ///
    /// The checkpoint's generation is raised with it: who projects the partition now believes that
    /// the owner still waits, and must look again.
    async fn retry_some(
        &self,
        partition: Partition,
        owner: Uuid,
        alone: Option<i64>,
    ) -> Result<(Retried, bool), Error> {
        let mut connection = self.pool().acquire().await?;
        let mut transaction = connection.begin().await?;
        let as_of = sqlx::query_scalar!(
            "update checkpoints set generation = generation + 1 where partition = $1
             returning as_of",
            partition.0
        )
        .fetch_all(&mut *transaction)
        .await?;
        let as_of = as_of.into_iter().map(|as_of| (partition, as_of)).collect();
        let about = About { model: P::NAME, copies: false, tells: true, as_of: Arc::new(as_of) };
        let positions = sqlx::query_scalar!(
            "select position from parked_events
             where partition = $1 and owner = $2
                 and case when $3::bigint is null then not alone else position = $3 end
             order by position limit $4",
            partition.0,
            owner,
            alone,
            AT_ONCE,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let skipped = skipped(self.pool(), P::NAME).await?;
        let mut items = Vec::new();
        for event in self.log.at(partition, &positions).await? {
            let mut item = Item::of::<P>(&event);
            if skipped.has(&item) {
                item.what = What::Passes;
            }
            items.push(item);
        }
        open::<P>(self.keys(), &mut items).await?;
        let (good, why) = attempt::<P>(&mut transaction, &about, &items).await?;
        let changed = Changed::by::<P>(&items[..good]);
        changed.count(&mut transaction).await?;
        let done: Vec<i64> = items[..good].iter().map(|item| item.position.0).collect();
        let left_out =
            items[..good].iter().filter(|item| matches!(item.what, What::Passes)).count();
        sqlx::query!(
            "delete from parked_events where partition = $1 and position = any($2)",
            partition.0,
            &done,
        )
        .execute(&mut *transaction)
        .await?;
        let refused = items.get(good);
        if let (Some(item), Some(why)) = (refused, &why) {
            sqlx::query!(
                "update parked_events set error = $3, attempts = attempts + 1
                 where partition = $1 and position = $2",
                partition.0,
                item.position.0,
                why,
            )
            .execute(&mut *transaction)
            .await?;
        }
        if done.is_empty() && refused.is_none() {
            // Somebody else was faster; nobody need look again.
            transaction.rollback().await?;
            return Ok((Retried::default(), false));
        }
        transaction.commit().await?;
        changed.tell::<P>(self.hears()).await;
        self.progress.moved();
        let projected = (done.len() - left_out) as u64;
        let tried = Retried { projected, refused: u64::from(refused.is_some()) };
        Ok((tried, refused.is_none() && alone.is_none() && done.len() as i64 == AT_ONCE))
    }

    /// Leaves a parked event out for good, here and in every replay, and tries the events that wait
    /// behind it. `None` when there is no such parked event.
    pub async fn skip(
        &self,
        partition: Partition,
        position: Position,
        reason: &str,
    ) -> Result<Option<Retried>, Error> {
        let parked = sqlx::query_scalar!(
            r#"select exists (
                   select from parked_events
                   where partition = $1 and position = $2 and error is not null
               ) as "parked!""#,
            partition.0,
            position.0,
        )
        .fetch_one(self.pool())
        .await?;
        let events = self.log.at(partition, &[position.0]).await?;
        let Some(event) = events.first().filter(|_| parked) else { return Ok(None) };
        sqlx::query!(
            "insert into projector.skipped_events (projection, partition, position, event, reason)
             values ($1, $2, $3, $4, $5)
             on conflict (projection, partition, position) do update
             set event = excluded.event, reason = excluded.reason",
            P::NAME,
            partition.0,
            position.0,
            event.id.to_string(),
            reason,
        )
        .execute(self.pool())
        .await?;
        let owner = event.id.owner;
        Ok(Some(self.retry(Some(owner)).await?))
    }
}
