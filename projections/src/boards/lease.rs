//! How many streams an athlete has at the same time, in all processes together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use redis::Script;
use uuid::Uuid;
use web::{Error, Redis};

use super::live::held;

/// An athlete watches so many at the same time, in all processes together.
const MOST_WATCHED: usize = 10;

/// A client that was not heard of for so long watches no more.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// Takes a place among those that an athlete watches, or keeps it. Answers whether there was one.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local has = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not has and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
";

/// How many each athlete has in this process, for when Redis cannot tell.
pub(super) type Watching = Mutex<HashMap<Uuid, usize>>;

/// A place among those that an athlete watches.
pub(super) struct Lease {
    watching: Arc<Watching>,
    redis: Option<Redis>,
    viewer: Uuid,
    id: Uuid,
    renewed: Instant,
}

impl Lease {
    /// Fails where the athlete has as many as can be.
    pub(super) async fn take(
        watching: Arc<Watching>,
        redis: Option<Redis>,
        viewer: Uuid,
        id: Uuid,
    ) -> Result<Self, Error> {
        let too_many = || {
            let message = "so many leaderboards are watched already: 10 at the same time";
            Error::too_many("TOO_MANY_STREAMS", message, LEASE.as_secs())
        };
        {
            let mut here = held(&watching);
            let here = here.entry(viewer).or_default();
            if *here >= MOST_WATCHED {
                return Err(too_many());
            }
            *here += 1;
        }
        metrics::gauge!("ironledger_board_streams").increment(1);
        let lease = Self { watching, redis, viewer, id, renewed: Instant::now() };
        // Where Redis is away, each process counts for itself.
        if lease.ask().await == Some(0) { Err(too_many()) } else { Ok(lease) }
    }

    fn key(redis: &Redis, viewer: Uuid) -> String {
        redis.key(&format!("watching:{viewer}"))
    }

    async fn ask(&self) -> Option<i64> {
        let redis = self.redis.as_ref()?;
        let script = Script::new(TAKE);
        let mut call = script.prepare_invoke();
        call.key(Self::key(redis, self.viewer)).arg(self.id.as_bytes());
        call.arg(MOST_WATCHED).arg(LEASE.as_millis() as u64);
        redis.ask("lease", async |mut redis| call.invoke_async::<i64>(&mut redis).await).await
    }

    /// Says that somebody is still there; whether they may go on.
    pub(super) async fn renew(&mut self) -> bool {
        if self.renewed.elapsed() < LEASE / 3 {
            return true;
        }
        self.renewed = Instant::now();
        self.ask().await != Some(0)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        metrics::gauge!("ironledger_board_streams").decrement(1);
        let mut watching = held(&self.watching);
        if let Some(here) = watching.get_mut(&self.viewer) {
            *here -= 1;
            if *here == 0 {
                watching.remove(&self.viewer);
            }
        }
        if let Some(redis) = self.redis.clone() {
            let (viewer, id) = (self.viewer, self.id);
            tokio::spawn(async move {
                let mut gone = redis::cmd("ZREM");
                gone.arg(Self::key(&redis, viewer)).arg(id.as_bytes());
                let asked = async |mut redis| gone.query_async::<()>(&mut redis).await;
                redis.ask("lease", asked).await;
            });
        }
    }
}
