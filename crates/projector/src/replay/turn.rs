//! Whose turn it is: one replay of a model at a time, by a lock that lives as long as its connection.

use std::{sync::LazyLock, time::Duration};

use events::Timestamp;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::{Phase, Replay, ReplayError};
use crate::{Error, Projection, schema, trouble::or_stop};

/// Any number: whoever replays a model holds the lock of that number and of the model's name.
const REPLAY_LOCK: i32 = 0x1204;

/// A replay waits so long for a Postgres that is away.
const PATIENCE: Duration = Duration::from_secs(600);

/// And looks so often whether it is back.
const LOOK: Duration = Duration::from_secs(1);

impl<P: Projection> Replay<P> {
    /// Keeps everybody else from replaying the model for as long as the connection lives, which is
    /// no longer than this process. Tells what the one before it came to.
    pub(super) async fn lock(&self) -> Result<(PgConnection, Earlier), ReplayError> {
        let mut connection = self.connect("public").await?;
        let ours = sqlx::query_scalar!(
            r#"select pg_try_advisory_lock($1, hashtext($2)) as "ours!""#,
            REPLAY_LOCK,
            P::NAME
        )
        .fetch_one(&mut connection)
        .await?;
        let here = (host(), i32::try_from(std::process::id()).unwrap_or(0));
        if ours {
            let earlier = sqlx::query!(
                "select build, phase from projector.replays where model = $1",
                P::SCHEMA
            )
            .fetch_optional(&mut connection)
            .await?;
            let earlier = earlier.map_or_else(Earlier::default, |row| Earlier {
                build: row.build,
                was_refused: row.phase == Phase::Different.name(),
            });
            sqlx::query!(
                "insert into projector.replays
                     (model, phase, host, process, done, total, events_per_second, build)
                 values ($1, 'loading', $2, $3, 0, 0, 0, $4)
                 on conflict (model) do update
                 set phase = excluded.phase, host = excluded.host, process = excluded.process,
                     started_at = clock_timestamp(), updated_at = clock_timestamp(), done = 0,
                     total = 0, events_per_second = 0, build = excluded.build",
                P::SCHEMA,
                here.0,
                here.1,
                program(),
            )
            .execute(&mut connection)
            .await?;
            return Ok((connection, earlier));
        }
        let other = sqlx::query!(
            "select host, process, started_at from projector.replays
             where model = $1 or starts_with(model, $2)
             order by updated_at desc limit 1",
            P::SCHEMA,
            P::NAME,
        )
        .fetch_optional(&mut connection)
        .await?;
        Err(ReplayError::Running {
            model: P::SCHEMA,
            host: other.as_ref().map_or_else(String::new, |other| other.host.clone()),
            process: other.as_ref().map_or(0, |other| other.process),
            since: Timestamp::new(other.map(|other| other.started_at).unwrap_or_default()),
        })
    }

    /// The lock once more, when Postgres is back.
    pub(super) async fn lock_again(
        &self,
        outage: Error,
    ) -> Result<(PgConnection, Earlier), ReplayError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            or_stop(&self.stop, sleep(LOOK)).await;
            if self.stop.is_cancelled() {
                return Err(ReplayError::Stopped);
            }
            match self.lock().await {
                Err(ReplayError::Failed(error)) if error.is_outage() => {}
                // Perhaps ours: the server may not have seen yet that its connection is gone.
                Err(ReplayError::Running { .. }) => {}
                done => return done,
            }
            if Instant::now() >= deadline {
                return Err(ReplayError::Away(outage));
            }
        }
    }

    /// Lets the next one in, and writes down if it failed.
    pub(super) async fn end<T>(
        &self,
        lock: PgConnection,
        done: Result<T, ReplayError>,
    ) -> Result<T, ReplayError> {
        if done.is_err() {
            self.note(Phase::Failed).await.ok();
        }
        unlock(lock).await;
        done
    }
}

/// What the replay before this one came to.
#[derive(Default)]
pub(super) struct Earlier {
    /// The program that did it.
    pub(super) build: String,
    /// What it built was not swapped in, for it differed.
    pub(super) was_refused: bool,
}

/// Which program this is: another one may mean other rows by the same events.
pub fn program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let program = std::env::current_exe().and_then(std::fs::read);
        // A program that cannot be read is taken for any other that cannot.
        program.map_or_else(|_| String::new(), |bytes| schema::fingerprint(&bytes))
    });
    &PROGRAM
}

/// Lets the next one in at once, and not when the server sees that the connection has ended.
pub(super) async fn unlock(mut connection: PgConnection) {
    schema::run(&mut connection, "select pg_advisory_unlock_all()").await.ok();
    connection.close().await.ok();
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this machine".to_owned(), |name| name.trim().to_owned())
}
