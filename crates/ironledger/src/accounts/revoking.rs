//! How every process hears within a second of what was revoked.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use log::{Database, Wake};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use web::{Revocation, Revoked};

/// Without a call, processes look so often.
const POLL: Duration = Duration::from_millis(200);

/// A look that takes longer is given up, for a connection may be dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// Revocations: told by this process, heard from all.
#[derive(Clone)]
pub(crate) struct Revoking {
    pub(crate) revoked: Revoked,
    wake: Wake,
    /// A connection of its own: hearing must not wait until the others have time.
    pool: PgPool,
}

impl Revoking {
    pub(crate) fn new(database: &Database) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(database.direct.clone());
        Self { revoked: Revoked::default(), wake: Wake::new(database, "ironledger_revoked"), pool }
    }

    /// This process knows at once of what it has committed, and the others are called.
    pub(super) fn tell(&self, revocations: impl IntoIterator<Item = Revocation>) {
        self.revoked.take(revocations);
        self.wake.call();
    }

    /// Hears until told to stop.
    pub(crate) fn hear(&self, stop: CancellationToken) -> AbortOnDropHandle<()> {
        let this = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut called = this.wake.subscribe();
            let mut since: Arc<str> = "0".into();
            while !stop.is_cancelled() {
                match timeout(PATIENCE, this.look(&since)).await {
                    Ok(Ok(next)) => since = next,
                    // Requests ask the database themselves until this hears again.
                    Ok(Err(error)) => tracing::debug!(%error, "revocations are not heard"),
                    Err(_) => tracing::debug!("revocations are not heard: no answer"),
                }
                let _ = timeout(POLL, called.changed()).await;
            }
        }))
    }

    /// Reads on from a transaction, and answers from which to read the next time.
    async fn look(&self, since: &str) -> Result<Arc<str>, sqlx::Error> {
        let asked = Instant::now();
        let rows = sqlx::query!(
            r#"select pg_snapshot_xmin(pg_current_snapshot())::text as "next!",
                   r.subject as "subject?", r.generation
               from (select) one left join accounts.revocations r on r.transaction >= $1::text::xid8"#,
            since,
        )
        .fetch_all(&self.pool)
        .await?;
        let heard = rows.iter().filter_map(|row| {
            let subject = row.subject?;
            Some(match row.generation {
                None => Revocation::Over(subject),
                Some(generation) => Revocation::Below(subject, generation),
            })
        });
        self.revoked.take(heard);
        self.revoked.heard(asked);
        Ok(rows.first().map_or_else(|| since.into(), |row| row.next.as_str().into()))
    }
}
