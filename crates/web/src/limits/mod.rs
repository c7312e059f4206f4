//! How much anybody may ask for: sliding windows, shared in Redis, or each process its own.
//!
//! A window is cut into steps; what was taken in a step counts until the whole step has left the
//! window. So no window of any position ever holds more than its limit, and what was taken comes
//! back a step late at most.

mod local;
mod quotas;
mod shared;

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub use quotas::{Budget, Quota, Quotas};

use crate::{Error, remote::Redis};
use local::Local;
use shared::Shared;

/// What is left of a budget after it was asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Of what.
    pub budget: Budget,
    /// How much there is in a window.
    pub quota: Quota,
    /// How much of that is left.
    pub remaining: u32,
    /// Until some of it comes back, or, where it did not do, enough.
    pub back_in: Duration,
    /// Whether what was asked for was there.
    pub granted: bool,
}

/// The limits of a process.
pub struct Limits {
    quotas: Quotas,
    shared: Option<Shared>,
    local: Local,
}

impl Limits {
    /// Limits of this process alone, or shared through Redis.
    pub fn new(quotas: Quotas, redis: Option<Redis>) -> Self {
        Self { local: Local::new(&quotas), quotas, shared: redis.map(Shared::new) }
    }

    /// Takes from all of a subject's budgets, or from none; answers the one with least left.
    ///
    /// Without Redis, what the first budgets granted is gone where a later one refuses.
    pub async fn take(&self, subject: &str, budgets: &[Budget], cost: u32) -> Option<Left> {
        let asked = self.asked(budgets);
        if let Some(shared) = &self.shared
            && let Some(left) = shared.take(subject, &asked, cost).await
        {
            return tightest(left);
        }
        tightest(
            asked.iter().map(|(budget, quota)| self.local.take(subject, *budget, *quota, cost)),
        )
    }

    /// Whether there is something left of a budget, of which nothing is taken.
    pub async fn look(&self, subject: &str, budget: Budget) -> Left {
        let quota = self.quotas.of(budget);
        if let Some(shared) = &self.shared
            && let Some(left) = shared.look(subject, (budget, quota)).await
        {
            return left;
        }
        self.local.look(subject, budget, quota)
    }

    fn asked(&self, budgets: &[Budget]) -> Vec<(Budget, Quota)> {
        budgets.iter().map(|budget| (*budget, self.quotas.of(*budget))).collect()
    }
}

/// The budget that refuses, else that of which the smallest part is left.
pub(crate) fn tightest(left: impl IntoIterator<Item = Left>) -> Option<Left> {
    left.into_iter().min_by_key(|left| {
        let part = u64::from(left.remaining) * 1_000_000 / u64::from(left.quota.count.max(1));
        (left.granted, part)
    })
}

impl Left {
    /// What the caller is told when it did not do.
    pub fn refusal(&self) -> Error {
        let seconds = seconds(self.back_in).max(1);
        let message = format!(
            "too often: {} ({} in {} seconds); come back in {seconds} seconds",
            self.budget.what(),
            self.quota.count,
            self.quota.window.as_secs(),
        );
        Error::too_many("RATE_LIMITED", message, seconds).of_limit(*self)
    }

    /// Says how much is left, in the headers that clients look for.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let policy = format!("{};w={}", self.quota.count, self.quota.window.as_secs());
        let told = [
            ("ratelimit-limit", self.quota.count.to_string()),
            ("ratelimit-remaining", self.remaining.to_string()),
            ("ratelimit-reset", seconds(self.back_in).to_string()),
            ("ratelimit-policy", policy),
        ];
        for (name, value) in told {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Whole seconds, the one that has begun too.
fn seconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}
