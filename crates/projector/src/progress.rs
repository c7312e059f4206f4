//! Waiting for a read model to reach a position of the log.

use std::time::Duration;

use log::{Database, Positions, Wake};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::time::{Instant, timeout};

/// The model of a query has not reached the position that the caller asked for.
#[derive(Debug, thiserror::Error)]
pub enum NotReached {
    /// Not within the time; it may be soon.
    #[error("the read model has not reached the position yet")]
    Yet,
    /// The log has no such position, or has it on another line of history, such as one before a restore.
    #[error("the position is not on the log's present line of history")]
    OtherHistory,
    /// Postgres did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Without a word from the projector, the checkpoint is looked at so often.
const POLL: Duration = Duration::from_millis(50);

/// Tells how far a read model is.
#[derive(Clone)]
pub struct Progress {
    pool: PgPool,
    projection: &'static str,
    committed: Wake,
}

impl Progress {
    /// Of a model, wherever its projector runs.
    pub fn of(database: &Database, projection: &'static str) -> Self {
        let committed = Wake::new(database, format!("ironledger_{projection}"));
        Self { pool: database.pool.clone(), projection, committed }
    }

    /// Tells those who wait that the model has moved; called after the commit.
    pub(crate) fn moved(&self) {
        self.committed.call();
    }

    /// Waits until the model has reached a position in every partition it names, at most so long.
    pub async fn reach(&self, wanted: &Positions, patience: Duration) -> Result<(), NotReached> {
        let deadline = Instant::now() + patience;
        let mut committed = self.committed.subscribe();
        loop {
            committed.mark_unchanged();
            if self.reached(wanted).await? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(NotReached::Yet);
            }
            timeout(POLL, committed.changed()).await.ok();
        }
    }

    async fn reached(&self, wanted: &Positions) -> Result<bool, NotReached> {
        let partitions: Vec<i16> = wanted.at.keys().map(|partition| partition.0).collect();
        let positions: Vec<i64> = wanted.at.values().map(|position| position.0).collect();
        // Nobody is told a position before its event is committed, so what is not there now never was,
        // or was lost. A token has the epoch of the event at its position, or a later one. An older
        // than the present is still good where that event is: what a restore lost is not there, or
        // was written again in a later epoch.
        let on_this_history = sqlx::query_scalar!(
            r#"select not exists (
                   select from unnest($2::smallint[], $3::bigint[]) as wanted (partition, position)
                   left join log.partitions p on p.number = wanted.partition
                   left join log.events e on e.partition = wanted.partition
                       and e.position = wanted.position
                       and (e.epoch = $1 or $1 = (select max(epoch) from log.epochs))
                   where p.number is null or (wanted.position > 0 and e.position is null)
               ) as "on_this_history!""#,
            wanted.epoch.0,
            &partitions,
            &positions,
        )
        .fetch_one(&self.pool)
        .await?;
        if !on_this_history {
            return Err(NotReached::OtherHistory);
        }
        // The name of a schema is the program's own text.
        let reached: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
            "select count(*)
             from {}.checkpoints c
             join unnest($1::smallint[], $2::bigint[]) as wanted (partition, position)
                 on c.partition = wanted.partition and c.position >= wanted.position",
            self.projection,
        )))
        .bind(&partitions)
        .bind(&positions)
        .fetch_one(&self.pool)
        .await?;
        Ok(usize::try_from(reached) == Ok(wanted.at.len()))
    }
}
