//! Answers of commands that came with an idempotency key: kept with the events of the command, so
//! that the same command again has the first answer and no second effect.

use std::time::Duration;

use events::{AthleteId, Epoch, Partition, Position};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AppendError, Appended, Log};

/// Keys are good for at least a day, whenever the pruning comes.
const KEPT: Duration = Duration::from_secs(48 * 3600);

/// Rows that one statement prunes.
const PRUNED_AT_ONCE: i64 = 5_000;

/// An idempotency key and what was said under it, both as keyed hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Who gave the command; each actor has keys of their own.
    pub actor: Uuid,
    /// Hash of the key.
    pub key: [u8; 16],
    /// Hash of the request.
    pub said: [u8; 16],
}

/// An answer to keep beside the events of an append, or alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keep {
    /// Under which key.
    pub key: IdempotencyKey,
    /// The answer in clear; it is sealed before it is stored.
    pub answer: Vec<u8>,
}

/// The answer that was kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whether the request said the same as the first.
    pub same: bool,
    /// The answer in clear; `None` when the owner's personal key is gone.
    pub answer: Option<Vec<u8>>,
    /// Where the events of the command are, if there were any.
    pub appended: Option<Appended>,
}

impl Log {
    /// The answer kept under a key, if there is one.
    pub async fn kept(
        &self,
        owner: AthleteId,
        key: &IdempotencyKey,
    ) -> Result<Option<Kept>, sqlx::Error> {
        let row = sqlx::query!(
            "select said, partition, position, epoch, answer from log.kept_answers
             where owner = $1 and actor = $2 and key = $3",
            owner.uuid(),
            key.actor,
            &key.key,
        )
        .fetch_optional(&self.reader().pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let appended = row.position.zip(row.epoch).map(|(position, epoch)| Appended {
            epoch: Epoch(epoch),
            partition: Partition(row.partition),
            position: Position(position),
        });
        Ok(Some(Kept {
            same: row.said == key.said,
            answer: self.keys().open_bytes(owner, &row.answer).await?,
            appended,
        }))
    }

    /// Keeps the answer of a command that appended nothing. `false` when another is kept under the
    /// key.
    pub async fn keep(
        &self,
        owner: AthleteId,
        partition: Partition,
        keep: &Keep,
    ) -> Result<bool, AppendError> {
        let unavailable = |error: sqlx::Error| {
            tracing::warn!(%error, "an answer cannot be kept");
            AppendError::Unavailable
        };
        let sealed = self.keys().seal_bytes(owner, &keep.answer).await.map_err(unavailable)?;
        let kept = sqlx::query!(
            "insert into log.kept_answers (owner, actor, key, said, kept_at, partition, answer)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict do nothing",
            owner.uuid(),
            keep.key.actor,
            &keep.key.key,
            &keep.key.said,
            self.clock().now().utc(),
            partition.0,
            sealed.ok_or(AppendError::Erased)?,
        )
        .execute(&self.reader().pool)
        .await
        .map_err(unavailable)?;
        Ok(kept.rows_affected() == 1)
    }

    /// Forgets answers older than two days; answers how many those were.
    pub async fn prune_answers(&self) -> Result<u64, sqlx::Error> {
        let oldest = self.clock().now().utc() - KEPT;
        let mut pruned = 0;
        loop {
            let rows = sqlx::query!(
                "delete from log.kept_answers where ctid = any(array(
                     select ctid from log.kept_answers where kept_at < $1 limit $2))",
                oldest,
                PRUNED_AT_ONCE,
            )
            .execute(&self.reader().pool)
            .await?
            .rows_affected();
            pruned += rows;
            if rows == 0 {
                return Ok(pruned);
            }
        }
    }
}
