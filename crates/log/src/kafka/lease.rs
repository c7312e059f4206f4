//! Which of several processes leads a feed: a row with a term, kept on a connection of its own.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use crate::Database;

/// A lease that is not renewed for so long is anybody's. With how often others ask, and what
/// taking over costs, it stays below the five seconds that a change of leaders may take.
const TTL: Duration = Duration::from_secs(3);

/// How often the holder renews it.
const RENEW: Duration = Duration::from_secs(1);

/// The right to publish, until it expires.
#[derive(Debug)]
pub(super) struct Lease {
    feed: &'static str,
    holder: Uuid,
    /// Higher than that of every earlier leader.
    pub(super) term: i64,
    /// By our own clock, and never later than by the database's.
    expires: Mutex<Instant>,
}

impl Lease {
    /// Takes the lease if nobody has it.
    ///
    /// On a direct connection: behind a transaction pooler a statement may wait for longer than
    /// the lease lasts.
    pub(super) async fn take(
        database: &Database,
        connection: &mut Option<PgConnection>,
        feed: &'static str,
        holder: Uuid,
    ) -> Result<Option<Self>, sqlx::Error> {
        let mut direct = match connection.take() {
            Some(direct) => direct,
            None => PgConnection::connect_with(&database.direct).await?,
        };
        let asked = Instant::now();
        let term = sqlx::query_scalar!(
            "insert into log.relay_lease (feed, term, holder, expires_at)
             values ($1, 1, $2, clock_timestamp() + make_interval(secs => $3))
             on conflict (feed) do update
             set term = relay_lease.term + 1, holder = excluded.holder,
                 expires_at = excluded.expires_at
             where relay_lease.expires_at < clock_timestamp()
             returning term",
            feed,
            holder,
            TTL.as_secs_f64(),
        )
        .fetch_optional(&mut direct)
        .await?;
        *connection = Some(direct);
        Ok(term.map(|term| Self { feed, holder, term, expires: Mutex::new(asked + TTL) }))
    }

    /// Whether we may still publish.
    pub(super) fn holds(&self) -> bool {
        Instant::now() < *self.expires.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the lease again and again; comes back when it is lost.
    pub(super) async fn keep(&self, database: &Database) {
        let mut connection = None;
        while self.holds() {
            let asked = Instant::now();
            match timeout(RENEW, self.renew(database, &mut connection)).await {
                Ok(Ok(false)) => return,
                Ok(Ok(true)) => {
                    *self.expires.lock().unwrap_or_else(PoisonError::into_inner) = asked + TTL;
                    sleep_until(asked + RENEW).await;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the lease cannot be renewed");
                    connection = None;
                    sleep_until(asked + RENEW / 5).await;
                }
                Err(_) => connection = None,
            }
        }
    }

    /// `false` when somebody else has it.
    async fn renew(
        &self,
        database: &Database,
        connection: &mut Option<PgConnection>,
    ) -> Result<bool, sqlx::Error> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(PgConnection::connect_with(&database.direct).await?),
        };
        let renewed = sqlx::query!(
            "update log.relay_lease
             set expires_at = clock_timestamp() + make_interval(secs => $4)
             where feed = $1 and term = $2 and holder = $3",
            self.feed,
            self.term,
            self.holder,
            TTL.as_secs_f64(),
        )
        .execute(connection)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Gives it back, so that another need not wait.
    pub(super) async fn release(self, database: &Database) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(&database.direct).await?;
        sqlx::query!(
            "update log.relay_lease set expires_at = '-infinity'
             where feed = $1 and term = $2 and holder = $3",
            self.feed,
            self.term,
            self.holder,
        )
        .execute(&mut connection)
        .await?;
        connection.close().await
    }
}
