//! Redis, as something that may be away: then nobody waits for it, and everybody goes on without.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    Client, RedisError, RedisResult, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

/// A request waits no longer for Redis.
const PATIENCE: Duration = Duration::from_millis(200);

/// After Redis failed, it is left alone for so long.
const AWAY: Duration = Duration::from_secs(1);

/// A Redis, and what names of our keys begin with there. Clones share the connection.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    connection: ConnectionManager,
    prefix: String,
    away_until: Mutex<Option<Instant>>,
}

impl Redis {
    /// Connects lazily. Fails when the address is none of Redis.
    pub fn new(url: &str, prefix: &str) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?;
        let prefix = prefix.to_owned();
        Ok(Self(Arc::new(Inner { connection, prefix, away_until: Mutex::default() })))
    }

    /// The whole name of a key.
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.0.prefix)
    }

    /// Whether it answers.
    pub async fn answers(&self) -> bool {
        let asked = async |mut redis| redis::cmd("PING").query_async::<String>(&mut redis).await;
        self.ask("ping", asked).await.is_some()
    }

    /// What a key holds; `None` also where it is not there as text, or Redis is away.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let asked = async |mut redis| redis::cmd("GET").arg(key).query_async(&mut redis).await;
        self.ask("get", asked).await?
    }

    /// Sets a key for a time.
    pub async fn set(&self, key: &str, value: &[u8], keep: Duration) {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value).arg("PX").arg(milliseconds(keep));
        self.ask("set", async |mut redis| command.query_async::<()>(&mut redis).await).await;
    }

    /// Sets a key that is not there for a time; whether it was not there.
    pub async fn set_new(&self, key: &str, value: &[u8], keep: Duration) -> bool {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value).arg("NX").arg("PX").arg(milliseconds(keep));
        let asked = async |mut redis| command.query_async::<Option<String>>(&mut redis).await;
        self.ask("set", asked).await.flatten().is_some()
    }

    /// Puts another value in the place of the one that is given, if it is still there.
    pub async fn replace(&self, key: &str, old: &[u8], new: &[u8], keep: Duration) {
        const REPLACE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then
            redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        end";
        let script = Script::new(REPLACE);
        let mut call = script.prepare_invoke();
        call.key(key).arg(old).arg(new).arg(milliseconds(keep));
        self.ask("script", async |mut redis| call.invoke_async::<()>(&mut redis).await).await;
    }

    /// Forgets keys.
    pub async fn forget(&self, keys: &[String]) {
        if !keys.is_empty() {
            let mut command = redis::cmd("UNLINK");
            command.arg(keys);
            self.ask("unlink", async |mut redis| command.query_async::<()>(&mut redis).await).await;
        }
    }

    /// Asks something, named by what is asked; `None` where Redis is away or answers by an error.
    pub async fn ask<T, A>(
        &self,
        what: &'static str,
        asking: impl FnOnce(ConnectionManager) -> A,
    ) -> Option<T>
    where
        A: Future<Output = RedisResult<T>>,
    {
        if self.is_away() {
            return None;
        }
        let began = Instant::now();
        let asked = asking(self.0.connection.clone());
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        metrics::histogram!("redis_operation_duration_seconds", "operation" => what)
            .record(began.elapsed());
        let why = match answer {
            Ok(Ok(answer)) => return Some(answer),
            // It is there, and does not do this: some key holds what is not ours.
            Ok(Err(error)) if error.code().is_some() => {
                tracing::warn!(operation = what, %error, "Redis refuses");
                return None;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        tracing::warn!(operation = what, why, "going on without Redis");
        self.is_away_now();
        None
    }

    fn is_away(&self) -> bool {
        let until = self.0.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    fn is_away_now(&self) {
        let mut until = self.0.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + AWAY);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
