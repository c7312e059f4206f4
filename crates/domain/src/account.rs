//! What an account may do and has paid for: the state and decisions of `account-…` streams.

use std::collections::BTreeSet;

use events::{Event, Notice, Role, RoleGranted, Tier, TierGranted, Timestamp};

/// What an account may do and has paid for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it may do beyond its own affairs.
    pub role: Role,
    tier: Tier,
    until: Option<Timestamp>,
    /// The newest notice of the billing service, by what it says, and the ids of all of them.
    noticed_at: Option<Timestamp>,
    notices: BTreeSet<String>,
}

impl Standing {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::RoleGranted(granted) => self.role = granted.role,
            Event::TierGranted(granted) => {
                self.tier = granted.tier;
                self.until = granted.until;
                if let Some(notice) = &granted.notice {
                    self.noticed_at = self.noticed_at.max(Some(notice.at));
                    self.notices.insert(notice.id.clone());
                }
            }
            _ => {}
        }
    }

    /// What it has paid for at a time.
    pub fn tier(&self, now: Timestamp) -> Tier {
        if self.until.is_some_and(|until| until <= now) { Tier::Free } else { self.tier }
    }

    /// When what it has paid for ends, where it has not ended before a time.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now && self.tier != Tier::Free)
    }
}

/// Decides on a role.
pub fn grant_role(standing: &Standing, role: Role) -> Vec<Event> {
    if standing.role == role { Vec::new() } else { vec![RoleGranted { role }.into()] }
}

/// Decides on a tier. A notice that was taken before, or that tells of a time before what another one
/// told of, changes nothing.
pub fn grant_tier(
    standing: &Standing,
    tier: Tier,
    until: Option<Timestamp>,
    notice: Option<Notice>,
) -> Vec<Event> {
    let is_old = notice.as_ref().is_some_and(|notice| {
        standing.notices.contains(&notice.id)
            || standing.noticed_at.is_some_and(|newest| notice.at < newest)
    });
    let is_so = standing.tier == tier && standing.until == until;
    if is_old || (is_so && notice.is_none()) {
        return Vec::new();
    }
    vec![TierGranted { tier, until, notice }.into()]
}

#[cfg(test)]
mod tests {
    use events::{Notice, Role, Tier, Timestamp};

    use super::{Standing, grant_role, grant_tier};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn notice(id: &str, told_at: &str) -> Option<Notice> {
        Some(Notice { id: id.to_owned(), at: at(told_at) })
    }

    #[test]
    fn notices_count_once_and_in_the_order_of_what_they_tell() {
        let mut standing = Standing::default();
        let mut told = |tier, until: Option<&str>, notice| {
            let events = grant_tier(&standing, tier, until.map(at), notice);
            events.iter().for_each(|event| standing.evolve(event));
            (events.len(), standing.tier(at("2026-06-15T00:00:00Z")))
        };
        let (june, july) = ("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z");
        assert_eq!(told(Tier::Pro, Some(july), notice("a", june)), (1, Tier::Pro));
        assert_eq!(told(Tier::Pro, Some(july), notice("a", june)), (0, Tier::Pro), "again");
        let late = notice("b", "2026-05-01T00:00:00Z");
        assert_eq!(told(Tier::Free, None, late), (0, Tier::Pro), "from before");
        assert_eq!(told(Tier::Free, None, notice("c", july)), (1, Tier::Free));
        assert_eq!(told(Tier::Pro, None, None), (1, Tier::Pro), "an admin says so");
        assert_eq!(told(Tier::Pro, None, None), (0, Tier::Pro));
    }

    #[test]
    fn what_was_paid_for_ends() {
        let mut standing = Standing::default();
        let end = at("2026-07-01T00:00:00Z");
        for event in grant_tier(&standing.clone(), Tier::Pro, Some(end), None) {
            standing.evolve(&event);
        }
        let before = at("2026-06-30T23:59:59Z");
        assert_eq!((standing.tier(before), standing.ends(before)), (Tier::Pro, Some(end)));
        assert_eq!((standing.tier(end), standing.ends(end)), (Tier::Free, None));
    }

    #[test]
    fn a_role_is_granted_once() {
        let mut standing = Standing::default();
        assert!(grant_role(&standing, Role::Athlete).is_empty());
        for event in grant_role(&standing.clone(), Role::Coach) {
            standing.evolve(&event);
        }
        assert_eq!(standing.role, Role::Coach);
        assert!(grant_role(&standing, Role::Coach).is_empty());
    }
}
