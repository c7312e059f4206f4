//! Limits that all processes share: one script in Redis, which takes from all windows or none.

use std::time::Duration;

use redis::Script;

use super::{Budget, Left, Quota};
use crate::remote::Redis;

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
    redis: Redis,
    script: Script,
}

impl Shared {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis, script: Script::new(TAKE) }
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
        let mut call = self.script.prepare_invoke();
        call.arg(cost);
        for (budget, quota) in asked {
            // The braces keep the windows of a subject on one node of a cluster.
            // Steps of another window would count for decades.
            let window = quota.window.as_millis();
            let name = budget.name();
            call.key(self.redis.key(&format!("limit:{{{subject}}}:{name}:{window}")));
            let step = u64::try_from((window / STEPS).max(1)).unwrap_or(u64::MAX);
            call.arg(quota.count).arg(u64::try_from(window).unwrap_or(u64::MAX)).arg(step);
        }
        let asking = async |mut redis| call.invoke_async::<Vec<i64>>(&mut redis).await;
        let answer = self.redis.ask("limit", asking).await?;
        let each = asked.iter().zip(answer.chunks_exact(3));
        let left = each.map(|((budget, quota), told)| Left {
            budget: *budget,
            quota: *quota,
            remaining: u32::try_from(told[1]).unwrap_or_default(),
            back_in: Duration::from_millis(u64::try_from(told[2]).unwrap_or_default()),
            granted: told[0] == 1,
        });
        let left: Vec<Left> = left.collect();
        (left.len() == asked.len()).then_some(left)
    }
}
