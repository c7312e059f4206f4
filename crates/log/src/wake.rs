//! How those who wait learn that there is something new: a channel within the process, a coalesced
//! `NOTIFY` between processes. Both only hint; who waits also polls.

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

/// `NOTIFY` is sent at most this often: it wakes other processes, and one does for many appends.
const COALESCE: Duration = Duration::from_millis(10);

/// Wakes whoever waits for the same thing, in this process and in others.
#[derive(Clone)]
pub struct Wake(Arc<Inner>);

struct Inner {
    /// What is waited for, as a channel of Postgres.
    channel: String,
    database: Database,
    /// A connection of its own: what listens must not go through a transaction pooler.
    direct: PgPool,
    changed: watch::Sender<()>,
    called: Arc<Notify>,
    notifier: OnceLock<AbortOnDropHandle<()>>,
    listener: OnceLock<AbortOnDropHandle<()>>,
}

impl Wake {
    /// For what has this name. Nothing is sent and no connection made before the first use.
    pub fn new(database: &Database, channel: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            channel: channel.into(),
            database: database.clone(),
            direct: PgPoolOptions::new()
                .max_connections(1)
                .connect_lazy_with(database.direct.clone()),
            changed: watch::Sender::new(()),
            called: Arc::new(Notify::new()),
            notifier: OnceLock::new(),
            listener: OnceLock::new(),
        }))
    }

    /// Tells everybody that there is something new; called after the commit, never within it, since
    /// `NOTIFY` inside a transaction takes a lock on the whole database.
    pub fn call(&self) {
        let inner = &self.0;
        inner.changed.send_replace(());
        inner.called.notify_one();
        inner.notifier.get_or_init(|| {
            let (pool, called) = (inner.database.pool.clone(), inner.called.clone());
            let channel = inner.channel.clone();
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    called.notified().await;
                    // It waits for no disk: a lost hint is none the worse for a crash.
                    let notify = sqlx::query(
                        "select set_config('synchronous_commit', 'off', true), pg_notify($1, '')",
                    )
                    .bind(&channel);
                    if let Err(error) = notify.execute(&pool).await {
                        tracing::debug!(%error, "other processes were not woken; they poll");
                    }
                    sleep(COALESCE).await;
                }
            }))
        });
    }

    /// Changes whenever there may be something new, by whatever process.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        let inner = &self.0;
        inner.listener.get_or_init(|| {
            let (pool, changed) = (inner.direct.clone(), inner.changed.clone());
            let channel = inner.channel.clone();
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    if let Err(error) = listen(&pool, &channel, &changed).await {
                        tracing::debug!(%error, "not listening for a second; readers poll");
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            }))
        });
        inner.changed.subscribe()
    }
}

async fn listen(
    pool: &PgPool,
    channel: &str,
    changed: &watch::Sender<()>,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    loop {
        // Also at first and when a lost connection was made again, which `None` tells: something
        // may have been missed.
        changed.send_replace(());
        listener.try_recv().await?;
    }
}
