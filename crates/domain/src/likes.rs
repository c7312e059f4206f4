//! What of others an athlete likes: the state and decisions of `likes-…` streams.

use std::collections::BTreeSet;

use events::{AthleteId, Event, RoutineId, RoutineLiked, RoutineUnliked};

use crate::Rejection;

/// Most likes of an athlete that stand.
const MAX: usize = 1000;

/// What an athlete likes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Likes(BTreeSet<(AthleteId, RoutineId)>);

impl Likes {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::RoutineLiked(liked) => {
                self.0.insert((liked.owner, liked.routine));
            }
            Event::RoutineUnliked(unliked) => {
                self.0.remove(&(unliked.owner, unliked.routine));
            }
            _ => {}
        }
    }

    /// Whether a routine is among them.
    pub fn has(&self, owner: AthleteId, routine: RoutineId) -> bool {
        self.0.contains(&(owner, routine))
    }

    /// Decides on liking a routine that the athlete sees; no events when they like it already.
    pub fn like(&self, owner: AthleteId, routine: RoutineId) -> Result<Vec<Event>, Rejection> {
        if self.has(owner, routine) {
            return Ok(Vec::new());
        }
        if self.0.len() >= MAX {
            let message = "an athlete likes at most 1000 routines";
            return Err(Rejection::Conflict { code: "TOO_MANY_LIKES", message });
        }
        Ok(vec![RoutineLiked { owner, routine }.into()])
    }

    /// Decides on liking a routine no longer, seen or not; no events when they do not like it.
    pub fn unlike(&self, owner: AthleteId, routine: RoutineId) -> Vec<Event> {
        if self.has(owner, routine) {
            vec![RoutineUnliked { owner, routine }.into()]
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use events::{AthleteId, RoutineId};
    use uuid::Uuid;

    use super::Likes;

    #[test]
    fn a_routine_is_liked_once_until_it_is_not() {
        let id = Uuid::from_u128(7 << 76);
        let (owner, routine) = (AthleteId::new(id).unwrap(), RoutineId::new(id).unwrap());
        let mut likes = Likes::default();
        assert_eq!(likes.unlike(owner, routine), Vec::new());
        for _ in 0..2 {
            likes.like(owner, routine).unwrap().iter().for_each(|event| likes.evolve(event));
            assert_eq!(likes.like(owner, routine), Ok(Vec::new()));
            likes.unlike(owner, routine).iter().for_each(|event| likes.evolve(event));
            assert!(!likes.has(owner, routine));
        }
    }
}
