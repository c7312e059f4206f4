//! Limits that all processes share: one script in Redis, which takes from all windows or none.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    Client, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::{Budget, Left, Quota};

/// A request waits no longer for Redis.
const PATIENCE: Duration = Duration::from_millis(200);

/// After Redis failed, it is left alone for so long.
const AWAY: Duration = Duration::from_secs(1);

/// Steps of a window.
const STEPS: u128 = 16;

/// Keys are the windows of one subject, hashes from the number of a step to what was taken in it.
/// Arguments are what to take, or 0 to look, then limit, milliseconds of window and of step for
/// each. Answers for each whether it has that much, what is left, and in how many milliseconds
/// something comes back, or enough.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local cost = tonumber(ARGV[1])
local asked = math.max(cost, 1)
local windows, granted = {}, true
for i, key in ipairs(KEYS) do
    local limit = tonumber(ARGV[3 * i - 1])
    local window, step = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
    local fields, steps, used, gone = redis.call('HGETALL', key), {}, 0, {}
    for f = 1, #fields, 2 do
        local number, taken = tonumber(fields[f]), tonumber(fields[f + 1])
        if (number + 1) * step > now - window then
            steps[#steps + 1] = {number, taken}
            used = used + taken
        else
            gone[#gone + 1] = fields[f]
        end
    end
    if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
    table.sort(steps, function(a, b) return a[1] < b[1] end)
    local has = used + asked <= limit
    local free, back = limit - used, 0
    for _, taken in ipairs(steps) do
        back = (taken[1] + 1) * step + window - now
        free = free + taken[2]
        if has or free >= asked then break end
    end
    if not has and asked > limit then back = window end
    granted = granted and has
    windows[i] = {has, used, limit, back, window, step}
end
local answer = {}
for i, key in ipairs(KEYS) do
    local has, used, limit, back, window, step = unpack(windows[i])
    if granted and cost > 0 then
        redis.call('HINCRBY', key, math.floor(now / step), cost)
        redis.call('PEXPIRE', key, window + step)
        used = used + cost
        if back == 0 then back = window end
    end
    answer[#answer + 1] = has and 1 or 0
    answer[#answer + 1] = math.max(limit - used, 0)
    answer[#answer + 1] = back
end
return answer
";

/// Windows in Redis.
pub(super) struct Shared {
    connection: ConnectionManager,
    script: Script,
    prefix: String,
    away_until: Mutex<Option<Instant>>,
}

impl Shared {
    /// Connects lazily.
    pub(super) fn new(url: &str, prefix: &str) -> Result<Self, redis::RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?;
        Ok(Self {
            connection,
            script: Script::new(TAKE),
            prefix: prefix.to_owned(),
            away_until: Mutex::default(),
        })
    }

    /// `None` where Redis is away.
    pub(super) async fn take(
        &self,
        subject: &str,
        asked: &[(Budget, Quota)],
        cost: u32,
    ) -> Option<Vec<Left>> {
        self.ask(subject, asked, cost).await
    }

    /// `None` where Redis is away.
    pub(super) async fn look(&self, subject: &str, asked: (Budget, Quota)) -> Option<Left> {
        self.ask(subject, &[asked], 0).await?.pop()
    }

    async fn ask(&self, subject: &str, asked: &[(Budget, Quota)], cost: u32) -> Option<Vec<Left>> {
        if self.away().is_some_and(|until| until > Instant::now()) {
            return None;
        }
        let mut call = self.script.prepare_invoke();
        call.arg(cost);
        for (budget, quota) in asked {
            // The braces keep the windows of a subject on one node of a cluster.
            // Steps of another window would count for decades.
            let window = quota.window.as_millis();
            let name = budget.name();
            call.key(format!("{}:limit:{{{subject}}}:{name}:{window}", self.prefix));
            let step = u64::try_from((window / STEPS).max(1)).unwrap_or(u64::MAX);
            call.arg(quota.count).arg(u64::try_from(window).unwrap_or(u64::MAX)).arg(step);
        }
        let mut connection = self.connection.clone();
        let asking = call.invoke_async::<Vec<i64>>(&mut connection);
        let answer = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(answer)) if answer.len() == asked.len() * 3 => answer,
            failed => {
                let why = match failed {
                    Ok(Err(error)) => error.to_string(),
                    Ok(Ok(_)) => "an answer of another kind".to_owned(),
                    Err(_) => "no answer".to_owned(),
                };
                tracing::warn!(why, "limits are this process's own: Redis is away");
                *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Instant::now() + AWAY);
                return None;
            }
        };
        let each = asked.iter().zip(answer.chunks_exact(3));
        let left = each.map(|((budget, quota), told)| Left {
            budget: *budget,
            quota: *quota,
            remaining: u32::try_from(told[1]).unwrap_or_default(),
            back_in: Duration::from_millis(u64::try_from(told[2]).unwrap_or_default()),
            granted: told[0] == 1,
        });
        Some(left.collect())
    }

    fn away(&self) -> Option<Instant> {
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
