//! Limits of one process, for while there is no Redis.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Budget, Left, Quota, Quotas};
use governor::{
    Quota as Rate, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};

type Limiter =
    RateLimiter<String, DashMapStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// Those that have not come for a while are forgotten after so many requests.
const SWEEP: u32 = 10_000;

/// A bucket for each subject and budget, which fills again at a steady rate.
pub(super) struct Local {
    limiters: Vec<Limiter>,
    /// Of what may only be looked at, who has none left, and until when: `governor` cannot be asked
    /// without taking.
    spent: Mutex<HashMap<(Budget, String), Instant>>,
    taken: AtomicU32,
}

impl Local {
    pub(super) fn new(quotas: &Quotas) -> Self {
        let limiters = Budget::all().map(|budget| {
            let Quota { count, window } = quotas.of(budget);
            let burst = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
            let every = (window / burst.get()).max(Duration::from_nanos(1));
            let rate =
                Rate::with_period(every).unwrap_or(Rate::per_second(burst)).allow_burst(burst);
            RateLimiter::dashmap(rate).with_middleware()
        });
        Self { limiters: limiters.collect(), spent: Mutex::default(), taken: AtomicU32::new(0) }
    }

    pub(super) fn take(&self, subject: &str, budget: Budget, quota: Quota, cost: u32) -> Left {
        let limiter = &self.limiters[budget as usize];
        if self.taken.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiters.iter().for_each(RateLimiter::retain_recent);
            self.spent().retain(|_, until| *until > Instant::now());
        }
        let key = subject.to_owned();
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        let one = quota.window / quota.count.max(1);
        match limiter.check_key_n(&key, cost) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                if remaining == 0 {
                    self.spent().insert((budget, key), Instant::now() + one);
                }
                Left { budget, quota, remaining, back_in: one, granted: true }
            }
            Ok(Err(until)) => {
                let back_in = until.wait_time_from(DefaultClock::default().now());
                self.spent().insert((budget, key), Instant::now() + back_in);
                Left { budget, quota, remaining: 0, back_in, granted: false }
            }
            // More than there ever is.
            Err(_) => Left { budget, quota, remaining: 0, back_in: quota.window, granted: false },
        }
    }

    pub(super) fn look(&self, subject: &str, budget: Budget, quota: Quota) -> Left {
        let now = Instant::now();
        let until = self.spent().get(&(budget, subject.to_owned())).copied();
        match until.filter(|until| *until > now) {
            Some(until) => {
                Left { budget, quota, remaining: 0, back_in: until - now, granted: false }
            }
            None => Left { budget, quota, remaining: 1, back_in: Duration::ZERO, granted: true },
        }
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, HashMap<(Budget, String), Instant>> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Local, Quotas};

    #[test]
    fn what_is_taken_is_gone_and_what_is_looked_at_is_not() {
        let quotas: Quotas = "sign-in=3/1h,free=2/1h".parse().unwrap();
        let local = Local::new(&quotas);
        let quota = quotas.of(Budget::SignIn);
        for left in [2, 1, 0] {
            assert!(local.look("me", Budget::SignIn, quota).granted);
            let taken = local.take("me", Budget::SignIn, quota, 1);
            assert_eq!((taken.granted, taken.remaining), (true, left));
        }
        let none = local.look("me", Budget::SignIn, quota);
        assert!(!none.granted && none.back_in.as_secs() > 15 * 60, "{none:?}");
        assert!(!local.take("me", Budget::SignIn, quota, 1).granted);
        assert!(local.look("you", Budget::SignIn, quota).granted);

        let quota = quotas.of(Budget::Free);
        assert!(!local.take("me", Budget::Free, quota, 3).granted, "more than there ever is");
        assert!(local.take("me", Budget::Free, quota, 2).granted);
        assert!(!local.take("me", Budget::Free, quota, 1).granted);
    }
}
