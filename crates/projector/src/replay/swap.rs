//! Putting one schema in the place of another.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use super::{NEAR, Replay, ReplayError, STEP, old_schema};
use crate::{Error, Projection, Projector, checkpoint, schema};

/// Attempts to lock the live model. Each waits for a moment only, since queries queue up behind it.
const ATTEMPTS: u32 = 100;

impl<P: Projection> Replay<P> {
    /// Puts the schema `from` in the place of the live one, which is kept under another name.
    pub(super) async fn swap(
        &self,
        projector: &mut Projector<P>,
        from: &str,
    ) -> Result<(), ReplayError> {
        let mut connection = self.connect("public").await?;
        for attempt in 1..=ATTEMPTS {
            if self.stop.is_cancelled() {
                return Err(ReplayError::Stopped);
            }
            if self.try_swap(&mut connection, projector, from).await? {
                // Somebody may have skipped one since the new model was tried last.
                self.projector(P::SCHEMA).retry(None).await?;
                return Ok(());
            }
            sleep(Duration::from_millis(u64::from(attempt).min(50) * 10)).await;
            self.catch_up(projector).await?;
        }
        Err(ReplayError::Busy(P::SCHEMA))
    }

    /// One transaction. `false` when the live model is in use, or too far ahead.
    ///
    /// The lock on the live checkpoints keeps everybody away who reads or writes the model: all of
    /// them name that table before any other, so that nobody sees rows of one schema and the
    /// position of the other. A batch that is under way holds it, and is waited for; one that comes
    /// later finds another generation.
    async fn try_swap(
        &self,
        connection: &mut PgConnection,
        projector: &mut Projector<P>,
        from: &str,
    ) -> Result<bool, ReplayError> {
        let live = P::SCHEMA;
        let mut transaction = connection.begin().await?;
        schema::lock(&mut transaction).await?;
        let mut generation = 1;
        let there = schema::exists(&mut transaction, live).await?;
        if there {
            schema::run(
                &mut transaction,
                &format!("set local lock_timeout = '250ms'; set local search_path to {live}"),
            )
            .await?;
            let locked =
                schema::run(&mut transaction, "lock table checkpoints in access exclusive mode");
            match locked.await {
                Ok(()) => {}
                Err(error) if is_lock_timeout(&error) => {
                    transaction.rollback().await?;
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
            let at = checkpoint::load(&mut *transaction).await?;
            let ends = at.iter().map(|(partition, at)| (*partition, at.position)).collect();
            let as_of = at.iter().map(|(partition, at)| (*partition, at.as_of)).collect();
            // A live model of a log that was restored may be ahead of what is true; it is why
            // somebody replays.
            let live_is_forked =
                matches!(self.projector(P::SCHEMA).check(&at).await, Err(Error::Forked { .. }));
            if !live_is_forked {
                let taken = self.follow(projector, &ends, STEP).await?;
                self.told.loaded(taken as u64);
                let reached = projector.load().await?.checkpoints;
                let behind = at.iter().any(|(partition, at)| {
                    reached.get(partition).is_none_or(|reached| reached.position < at.position)
                });
                if behind {
                    transaction.rollback().await?;
                    return Ok(false);
                }
                // Nor does time go back.
                projector.age_to(&as_of).await?;
                tracing::debug!(taken, NEAR, "caught up while the live model waited");
            }
            generation = at.values().map(|at| at.generation).max().unwrap_or(0) + 1;
        }
        let keep = if there {
            format!("alter schema {live} rename to {live}_replaced;")
        } else {
            String::new()
        };
        let old = old_schema::<P>();
        // Not before: a model that could not be swapped in has taken nothing away.
        if there && from != old {
            schema::drop(&mut transaction, &old).await?;
        }
        let kept = if there {
            format!("alter schema {live}_replaced rename to {old};")
        } else {
            String::new()
        };
        schema::run(
            &mut transaction,
            &format!(
                "set local role ironledger_projector;
                 update {from}.checkpoints set generation = {generation};
                 update {from}.model set built_at = coalesce(built_at, clock_timestamp());
                 {keep}
                 alter schema {from} rename to {live};
                 {kept}"
            ),
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // Not available, or chosen to end a deadlock.
    code.is_some_and(|code| code == "55P03" || code == "40P01")
}
