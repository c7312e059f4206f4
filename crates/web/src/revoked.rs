//! What was revoked while access tokens of it may still be about.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{Access, Tokens};

/// Whoever has not heard for so long whether there is something new must not go by memory.
const FRESH: Duration = Duration::from_millis(700);

/// Something that ends access tokens before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// A session or an API key is over.
    Over(Uuid),
    /// Tokens of an athlete below a generation say what is no longer true.
    Below(Uuid, i32),
}

/// The revocations of the last quarter of an hour, by what a process has heard: older ones have no
/// token left to end.
#[derive(Debug, Clone, Default)]
pub struct Revoked(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    over: HashMap<Uuid, Instant>,
    below: HashMap<Uuid, (i32, Instant)>,
    /// Everything that was committed then is known.
    heard: Option<Instant>,
    swept: Option<Instant>,
}

impl Revoked {
    /// Takes in revocations.
    pub fn take(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let now = Instant::now();
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for revocation in revocations {
            match revocation {
                Revocation::Over(id) => {
                    state.over.insert(id, now);
                }
                Revocation::Below(athlete, generation) => {
                    let known = state.below.entry(athlete).or_insert((generation, now));
                    *known = (known.0.max(generation), now);
                }
            }
        }
        if state.swept.is_none_or(|swept| now - swept > Tokens::LIFETIME / 15) {
            let is_of_use =
                |since: Instant| now - since <= Tokens::LIFETIME + Duration::from_secs(60);
            state.over.retain(|_, since| is_of_use(*since));
            state.below.retain(|_, (_, since)| is_of_use(*since));
            state.swept = Some(now);
        }
    }

    /// Everything that was committed before `asked` has been taken in.
    pub fn heard(&self, asked: Instant) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).heard = Some(asked);
    }

    /// Whether what a token says was ended; `None` when that is not known here now.
    pub fn ends(&self, access: &Access) -> Option<bool> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let ended = state.over.contains_key(&access.session)
            || state
                .below
                .get(&access.athlete)
                .is_some_and(|(below, _)| access.generation < *below);
        // What was ended stays so, however long ago that was heard.
        let is_fresh = || state.heard.is_some_and(|heard| heard.elapsed() <= FRESH);
        (ended || is_fresh()).then_some(ended)
    }

    /// Whether an API key is over, as far as is known.
    pub fn is_over(&self, key: Uuid) -> Option<bool> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let over = state.over.contains_key(&key);
        let is_fresh = || state.heard.is_some_and(|heard| heard.elapsed() <= FRESH);
        (over || is_fresh()).then_some(over)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use uuid::Uuid;

    use super::{Revocation, Revoked};
    use crate::{Access, Role, Tier};

    #[test]
    fn who_has_not_heard_does_not_know() {
        let access = Access {
            athlete: Uuid::nil(),
            partition: 0,
            role: Role::Athlete,
            tier: Tier::Free,
            generation: 1,
            session: Uuid::max(),
        };
        let revoked = Revoked::default();
        assert_eq!(revoked.ends(&access), None);
        revoked.heard(Instant::now());
        assert_eq!(revoked.ends(&access), Some(false));
        revoked.heard(Instant::now() - Duration::from_secs(1));
        assert_eq!(revoked.ends(&access), None);

        revoked.take([Revocation::Below(access.athlete, 1)]);
        assert_eq!(revoked.ends(&access), None, "its own generation is good");
        revoked.take([Revocation::Below(access.athlete, 2), Revocation::Below(access.athlete, 1)]);
        assert_eq!(revoked.ends(&access), Some(true));
        let newer = Access { generation: 2, ..access };
        revoked.heard(Instant::now());
        assert_eq!(revoked.ends(&newer), Some(false));
        revoked.take([Revocation::Over(newer.session)]);
        assert_eq!(revoked.ends(&newer), Some(true));
    }
}
