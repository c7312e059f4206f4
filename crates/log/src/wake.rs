//! How readers learn that there is something new: a channel within the process, a coalesced
//! `NOTIFY` between processes. Both only hint; readers also poll.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

use crate::Database;

const CHANNEL: &str = "ironledger_log";

/// `NOTIFY` is sent at most this often: it wakes other processes, and one does for many appends.
const COALESCE: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub(crate) struct Wake(Arc<Inner>);

struct Inner {
    database: Database,
    /// A connection of its own: what listens must not go through a transaction pooler.
    direct: PgPool,
    changed: watch::Sender<()>,
    appended: Arc<Notify>,
    notifier: OnceLock<AbortOnDropHandle<()>>,
    listener: OnceLock<AbortOnDropHandle<()>>,
}

impl Wake {
    pub(crate) fn start(database: &Database) -> Self {
        Self(Arc::new(Inner {
            database: database.clone(),
            direct: PgPoolOptions::new()
                .max_connections(1)
                .connect_lazy_with(database.direct.clone()),
            changed: watch::Sender::new(()),
            appended: Arc::new(Notify::new()),
            notifier: OnceLock::new(),
            listener: OnceLock::new(),
        }))
    }

    /// Tells everybody that the log has grown; called after the commit, never within it, since
    /// `NOTIFY` inside a transaction takes a lock on the whole database.
    pub(crate) fn appended(&self) {
        let inner = &self.0;
        inner.changed.send_replace(());
        inner.appended.notify_one();
        inner.notifier.get_or_init(|| {
            let (pool, appended) = (inner.database.pool.clone(), inner.appended.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    appended.notified().await;
                    let notify = sqlx::query("select pg_notify($1, '')").bind(CHANNEL);
                    if let Err(error) = notify.execute(&pool).await {
                        tracing::debug!(%error, "other processes were not woken; they poll");
                    }
                    sleep(COALESCE).await;
                }
            }))
        });
    }

    /// Changes whenever the log has grown, by whatever process.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        let inner = &self.0;
        inner.listener.get_or_init(|| {
            let (pool, changed) = (inner.direct.clone(), inner.changed.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    if let Err(error) = listen(&pool, &changed).await {
                        tracing::debug!(%error, "not listening for a second; readers poll");
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            }))
        });
        inner.changed.subscribe()
    }
}

async fn listen(pool: &PgPool, changed: &watch::Sender<()>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // Also at first and when a lost connection was made again, which `None` tells: something
        // may have been missed.
        changed.send_replace(());
        listener.try_recv().await?;
    }
}
