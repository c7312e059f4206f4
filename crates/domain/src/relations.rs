//! What athletes have to do with each other, and what of an athlete a reader sees: the state and
//! decisions of `relation-…` streams.
//!
//! Each athlete says their part in their own stream about the other one. One follows another while
//! the one's stream has a follow, and the other's has not ended that very one, and has accepted it if
//! it was asked for. So either ends it alone and at once, and an answer is good for what it names.

use events::{
    AthleteBlocked, AthleteFollowed, AthleteId, AthleteUnblocked, AthleteUnfollowed, Event,
    FollowerAccepted, FollowerRemoved, Visibility,
};
use uuid::Uuid;

use crate::Rejection;

/// Most athletes that one follows or asks to.
pub const MOST_FOLLOWED: i64 = 5000;

/// What an athlete said of another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Side {
    /// The follow of the other one that stands, and whether it was to be accepted.
    follow: Option<(Uuid, bool)>,
    /// The last follow of the other one's that was accepted, and that was ended.
    accepted: Option<Uuid>,
    removed: Option<Uuid>,
    blocks: bool,
}

impl Side {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::AthleteFollowed(followed) => {
                self.follow = Some((followed.follow, followed.requested));
            }
            Event::AthleteUnfollowed(_) => self.follow = None,
            Event::FollowerAccepted(accepted) => self.accepted = Some(accepted.follow),
            Event::FollowerRemoved(removed) => self.removed = Some(removed.follow),
            Event::AthleteBlocked(_) => self.blocks = true,
            Event::AthleteUnblocked(_) => self.blocks = false,
            _ => {}
        }
    }

    /// The follow that was not ended by the other one.
    fn standing(&self, other: &Self) -> Option<(Uuid, bool)> {
        self.follow.filter(|(follow, _)| other.removed != Some(*follow))
    }
}

/// How one athlete follows another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// Not at all.
    No,
    /// They asked to, and wait for an answer.
    Requested(Uuid),
    /// They do.
    Yes(Uuid),
}

/// What two athletes said of each other: who acts, and the other one.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// Who acts, and what they said.
    pub actor: (AthleteId, Side),
    /// The other one, and what they said.
    pub other: (AthleteId, Side),
}

impl Pair {
    /// The same, the other way round.
    pub fn turned(self) -> Self {
        Self { actor: self.other, other: self.actor }
    }

    /// Whether the actor blocks the other one.
    pub fn blocks(&self) -> bool {
        self.actor.1.blocks
    }

    /// Whether either blocks the other.
    pub fn is_blocked(&self) -> bool {
        self.actor.1.blocks || self.other.1.blocks
    }

    /// How the actor follows the other one.
    pub fn following(&self) -> Following {
        match self.actor.1.standing(&self.other.1) {
            Some(_) if self.is_blocked() => Following::No,
            Some((follow, true)) if self.other.1.accepted != Some(follow) => {
                Following::Requested(follow)
            }
            Some((follow, _)) => Following::Yes(follow),
            None => Following::No,
        }
    }

    /// What the actor is to the other one, as a reader.
    pub fn reader(&self) -> Reader {
        if self.actor.0 == self.other.0 {
            Reader::Oneself
        } else if self.is_blocked() {
            Reader::Blocked
        } else if matches!(self.following(), Following::Yes(_)) {
            Reader::Follower
        } else {
            Reader::Stranger
        }
    }

    /// Decides on following the other one, who has to accept it where their profile is private; no
    /// events when the actor does, or asked to, already.
    pub fn follow(&self, follow: Uuid, is_private: bool) -> Result<Vec<Event>, Rejection> {
        let athlete = self.other.0;
        if self.actor.0 == athlete {
            let message = "nobody follows themselves";
            return Err(Rejection::Conflict { code: "OWN_FOLLOW", message });
        }
        // Whom one blocks, one knows of, whatever they do.
        if self.actor.1.blocks {
            let message = "you block this athlete";
            return Err(Rejection::Conflict { code: "BLOCKED", message });
        }
        if self.other.1.blocks {
            return Err(Rejection::NotFound("athlete"));
        }
        match self.following() {
            Following::Yes(_) => Ok(Vec::new()),
            Following::Requested(_) if is_private => Ok(Vec::new()),
            // Who was asked need not be any more.
            Following::Requested(_) | Following::No => {
                Ok(vec![AthleteFollowed { follow, athlete, requested: is_private }.into()])
            }
        }
    }

    /// Decides on following the other one no longer, or on no longer asking to; no events when the
    /// actor does not.
    pub fn unfollow(&self) -> Vec<Event> {
        let athlete = self.other.0;
        let follow = self.actor.1.follow;
        let over = follow.map(|(follow, _)| AthleteUnfollowed { follow, athlete }.into());
        over.into_iter().collect()
    }

    /// Decides on letting the other one follow who asked to, by that very follow; no events when that
    /// is so already.
    pub fn accept(&self, follow: Uuid) -> Result<Vec<Event>, Rejection> {
        let athlete = self.other.0;
        match self.turned().following() {
            Following::Requested(asked) if asked == follow => {
                Ok(vec![FollowerAccepted { follow, athlete }.into()])
            }
            Following::Yes(there) if there == follow => Ok(Vec::new()),
            _ => Err(Rejection::NotFound("follow request")),
        }
    }

    /// Decides on ending that the other one follows or asks to; no events when they do not.
    pub fn remove_follower(&self) -> Vec<Event> {
        let athlete = self.other.0;
        let follow = self.other.1.standing(&self.actor.1);
        let over = follow.map(|(follow, _)| FollowerRemoved { follow, athlete }.into());
        over.into_iter().collect()
    }

    /// Decides on blocking the other one, which ends what follows there are; no events when the actor
    /// does already.
    pub fn block(&self) -> Result<Vec<Event>, Rejection> {
        let athlete = self.other.0;
        if self.actor.0 == athlete {
            let message = "nobody blocks themselves";
            return Err(Rejection::Conflict { code: "OWN_BLOCK", message });
        }
        if self.actor.1.blocks {
            return Ok(Vec::new());
        }
        let mut events = vec![AthleteBlocked { athlete }.into()];
        events.extend(self.unfollow());
        events.extend(self.remove_follower());
        Ok(events)
    }

    /// Decides on blocking the other one no longer; no events when the actor does not. What follow was
    /// said at the same moment as the block does not come back with that.
    pub fn unblock(&self) -> Vec<Event> {
        if !self.actor.1.blocks {
            return Vec::new();
        }
        let mut events = vec![AthleteUnblocked { athlete: self.other.0 }.into()];
        events.extend(self.remove_follower());
        events
    }
}

/// What a reader is to whose affairs they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// The same athlete.
    Oneself,
    /// Somebody who follows them.
    Follower,
    /// Somebody else, also one who asked to follow.
    Stranger,
    /// Somebody who blocks them, or whom they block.
    Blocked,
}

/// How open an athlete is to others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Openness {
    /// Only followers see anything.
    pub is_private: bool,
    /// Nobody does.
    pub is_suspended: bool,
}

impl Reader {
    /// Whether the reader knows of an athlete at all: sees the name, and may ask to follow.
    pub fn knows(self, athlete: Openness) -> bool {
        match self {
            Self::Oneself => true,
            Self::Follower | Self::Stranger => !athlete.is_suspended,
            Self::Blocked => false,
        }
    }

    /// Whether the reader sees something of an athlete's.
    pub fn sees(self, athlete: Openness, visibility: Visibility) -> bool {
        let open = match self {
            Self::Oneself => return true,
            Self::Follower => visibility != Visibility::Private,
            Self::Stranger => visibility == Visibility::Public && !athlete.is_private,
            Self::Blocked => false,
        };
        open && self.knows(athlete)
    }
}

#[cfg(test)]
mod tests {
    use events::{AthleteId, Event};
    use uuid::Uuid;

    use super::{Following, Pair, Reader, Side};
    use crate::Rejection;

    const FIRST: Uuid = Uuid::from_u128(1);
    const SECOND: Uuid = Uuid::from_u128(2);

    /// Ada and Bob, as Ada's side sees them.
    struct Two(Pair);

    impl Two {
        fn new() -> Self {
            let side =
                |n: u128| (AthleteId::new(Uuid::from_u128(7 << 76 | n)).unwrap(), Side::default());
            Self(Pair { actor: side(1), other: side(2) })
        }

        fn ada(&mut self, events: Vec<Event>) -> usize {
            events.iter().for_each(|event| self.0.actor.1.evolve(event));
            events.len()
        }

        fn bob(&mut self, events: Vec<Event>) -> usize {
            events.iter().for_each(|event| self.0.other.1.evolve(event));
            events.len()
        }

        fn of_bob(&self) -> Pair {
            self.0.turned()
        }
    }

    #[test]
    fn a_public_athlete_is_followed_at_once_and_once() {
        let mut two = Two::new();
        assert_eq!(two.ada(two.0.follow(FIRST, false).unwrap()), 1);
        assert_eq!(two.0.following(), Following::Yes(FIRST));
        assert_eq!(two.0.follow(SECOND, false), Ok(vec![]), "twice is once");
        assert_eq!(two.0.follow(SECOND, true), Ok(vec![]), "also when the other went private");
        assert_eq!(two.0.reader(), Reader::Follower);
        assert_eq!(two.of_bob().reader(), Reader::Stranger, "one way");
        assert_eq!(two.ada(two.0.unfollow()), 1);
        assert_eq!((two.0.following(), two.0.unfollow()), (Following::No, vec![]));
    }

    #[test]
    fn an_accept_is_good_for_the_request_that_it_names() {
        let mut two = Two::new();
        two.ada(two.0.follow(FIRST, true).unwrap());
        assert_eq!(two.0.following(), Following::Requested(FIRST));
        assert_eq!(two.0.reader(), Reader::Stranger);
        // Withdrawn and made again, it is another one.
        two.ada(two.0.unfollow());
        let gone = Err(Rejection::NotFound("follow request"));
        assert_eq!(two.of_bob().accept(FIRST), gone);
        two.ada(two.0.follow(SECOND, true).unwrap());
        assert_eq!(two.of_bob().accept(FIRST), gone);
        assert_eq!(two.bob(two.of_bob().accept(SECOND).unwrap()), 1);
        assert_eq!(two.of_bob().accept(SECOND), Ok(vec![]));
        assert_eq!(two.0.following(), Following::Yes(SECOND));
        // An accept that raced with the withdrawal accepts nothing that comes later.
        two.ada(two.0.unfollow());
        two.ada(two.0.follow(Uuid::from_u128(3), true).unwrap());
        assert_eq!(two.0.following(), Following::Requested(Uuid::from_u128(3)));
        // Declined, it can be made again.
        assert_eq!(two.bob(two.of_bob().remove_follower()), 1);
        assert_eq!(two.of_bob().remove_follower(), vec![]);
        assert_eq!(two.0.following(), Following::No);
        assert_eq!(two.of_bob().accept(Uuid::from_u128(3)), gone);
        assert_eq!(two.ada(two.0.follow(FIRST, false).unwrap()), 1);
        assert_eq!(two.0.following(), Following::Yes(FIRST), "public meanwhile");
    }

    #[test]
    fn a_block_ends_both_follows_and_neither_comes_back() {
        let mut two = Two::new();
        two.ada(two.0.follow(FIRST, false).unwrap());
        two.bob(two.of_bob().follow(SECOND, false).unwrap());
        assert_eq!(two.ada(two.0.block().unwrap()), 3);
        assert_eq!(two.0.block(), Ok(vec![]));
        assert_eq!((two.0.reader(), two.of_bob().reader()), (Reader::Blocked, Reader::Blocked));
        assert_eq!(two.of_bob().follow(SECOND, false), Err(Rejection::NotFound("athlete")));
        let refused = two.0.follow(SECOND, false);
        assert!(matches!(refused, Err(Rejection::Conflict { code: "BLOCKED", .. })));
        // Said at the same moment as the block.
        let raced = Uuid::from_u128(3);
        let athlete = two.0.actor.0;
        two.bob(vec![events::AthleteFollowed { follow: raced, athlete, requested: false }.into()]);
        assert_eq!(two.of_bob().following(), Following::No);
        assert_eq!(two.ada(two.0.unblock()), 2);
        assert_eq!(two.0.unblock(), vec![]);
        assert_eq!((two.0.following(), two.of_bob().following()), (Following::No, Following::No));
    }

    #[test]
    fn nobody_follows_or_blocks_themselves() {
        let side = Two::new().0.actor;
        let pair = Pair { actor: side, other: side };
        let code = |refused| match refused {
            Err(Rejection::Conflict { code, .. }) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code(pair.follow(FIRST, false)), "OWN_FOLLOW");
        assert_eq!(code(pair.block()), "OWN_BLOCK");
        assert_eq!(pair.reader(), Reader::Oneself);
    }
}
