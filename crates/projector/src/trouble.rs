//! What goes wrong is said, tried again after a pause that grows, and written down for whoever
//! asks why a model does not move.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Error;

/// The trouble of one projector.
pub(crate) struct Trouble {
    pool: PgPool,
    model: &'static str,
    member: Uuid,
    pause: Duration,
    is_written_down: bool,
}

impl Trouble {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    /// What lasts so long is written down.
    const LASTING: Duration = Duration::from_millis(500);

    /// None yet.
    pub(crate) fn new(pool: PgPool, model: &'static str, member: Uuid) -> Self {
        Self { pool, model, member, pause: Self::FIRST, is_written_down: false }
    }

    /// It goes on.
    pub(crate) async fn over(&mut self) {
        self.pause = Self::FIRST;
        if std::mem::take(&mut self.is_written_down) {
            let forgotten = sqlx::query!(
                "delete from projector.troubles
                 where model = $1 and (member = $2 or seen_at < clock_timestamp() - interval '1h')",
                self.model,
                self.member,
            )
            .execute(&self.pool)
            .await;
            self.is_written_down = forgotten.is_err();
        }
    }

    /// Says what is wrong, and waits.
    pub(crate) async fn bear(&mut self, error: &Error, stop: &CancellationToken) {
        let model = self.model;
        metrics::counter!("ironledger_projection_failures_total", "model" => model).increment(1);
        match error {
            Error::Fenced(_) => tracing::info!(model, %error),
            // A process that was frozen finds its connections cut, and goes on with others; others find what
            // it held, until Postgres ends its transaction.
            _ if (error.is_outage() || error.is_held_up()) && self.pause == Self::FIRST => {
                tracing::warn!(model, %error, "tries again");
            }
            _ => tracing::error!(model, %error, "does not go on"),
        }
        if self.pause >= Self::LASTING {
            self.write_down(error).await;
        }
        or_stop(stop, sleep(self.pause)).await;
        self.pause = (self.pause * 2).min(Self::LONGEST);
    }

    async fn write_down(&mut self, error: &Error) {
        let written = sqlx::query!(
            "insert into projector.troubles (model, member, error) values ($1, $2, $3)
             on conflict (model, member) do update
             set error = excluded.error, seen_at = clock_timestamp()",
            self.model,
            self.member,
            error.to_string(),
        )
        .execute(&self.pool)
        .await;
        self.is_written_down |= written.is_ok();
    }
}

/// Waits, but not longer than until told to stop.
pub(crate) async fn or_stop(stop: &CancellationToken, waiting: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = waiting => {}
    }
}
