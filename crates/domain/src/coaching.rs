//! Who coaches whom: the state and decisions of `coaching-…` streams.
//!
//! Each side tells its part in its own stream: the coach invites, the client accepts, either ends it.
//! A coach acts for a client while the coach's stream has an invitation that it did not end, and the
//! client's has accepted that very one and did not end it. So either ends it alone and at once.

use std::collections::{BTreeMap, BTreeSet};

use events::{AthleteId, CoachAccepted, CoachInvited, CoachingEnded, CoachingSide, Event};
use uuid::Uuid;

use crate::Rejection;

/// Most clients of a coach, those asked included, and those who ended it and were not asked again.
const CLIENTS: usize = 10_000;

/// Most coaches of a client, those included who ended it.
const COACHES: usize = 1000;

/// What an athlete said about coaching, as a coach and as a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coaching {
    /// Invitations that stand, by whom they are for.
    clients: BTreeMap<AthleteId, Uuid>,
    /// Invitations that were accepted and stand, by who coaches.
    coaches: BTreeMap<AthleteId, Uuid>,
    /// Invitations of others that this side ended.
    ended: BTreeSet<Uuid>,
}

impl Coaching {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::CoachInvited(invited) => {
                self.clients.insert(invited.client, invited.invitation);
            }
            Event::CoachAccepted(accepted) => {
                self.coaches.insert(accepted.coach, accepted.invitation);
            }
            Event::CoachingEnded(ended) => match ended.by {
                CoachingSide::Coach => {
                    self.clients.remove(&ended.with);
                }
                CoachingSide::Client => {
                    self.coaches.remove(&ended.with);
                    self.ended.insert(ended.invitation);
                }
            },
            _ => {}
        }
    }
}

/// Both sides of a coaching.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Who coaches, and what they said.
    pub coach: (AthleteId, &'a Coaching),
    /// Who is coached, and what they said.
    pub client: (AthleteId, &'a Coaching),
}

impl Pair<'_> {
    /// Whether the coach acts for the client.
    pub fn holds(&self) -> bool {
        let invitation = self.invitation();
        invitation.is_some() && invitation == self.client.1.coaches.get(&self.coach.0).copied()
    }

    /// The invitation that the coach lets stand.
    fn invitation(&self) -> Option<Uuid> {
        self.coach.1.clients.get(&self.client.0).copied()
    }

    /// Decides on an invitation, of the coach's `coaching-…` stream. A new one takes the place of one
    /// that the client ended.
    pub fn invite(&self, invitation: Uuid) -> Result<Vec<Event>, Rejection> {
        let (coach, client) = (self.coach.0, self.client.0);
        if coach == client {
            let message = "nobody coaches themselves";
            return Err(Rejection::Conflict { code: "OWN_COACH", message });
        }
        let mut events = Vec::new();
        if let Some(stands) = self.invitation() {
            if !self.client.1.ended.contains(&stands) {
                let message = "the athlete is a client of yours, or was asked already";
                return Err(Rejection::Conflict { code: "ALREADY_INVITED", message });
            }
            let by = CoachingSide::Coach;
            events.push(CoachingEnded { invitation: stands, by, with: client }.into());
        } else if self.coach.1.clients.len() >= CLIENTS {
            let message = "a coach has at most 10000 clients";
            return Err(Rejection::Conflict { code: "TOO_MANY_CLIENTS", message });
        }
        events.push(CoachInvited { invitation, client }.into());
        Ok(events)
    }

    /// Decides on accepting an invitation, of the client's `coaching-…` stream.
    pub fn accept(&self, invitation: Uuid) -> Result<Vec<Event>, Rejection> {
        let coach = self.coach.0;
        if self.client.1.ended.contains(&invitation) {
            let message = "you ended this invitation; the coach has to invite you anew";
            return Err(Rejection::Conflict { code: "INVITATION_ENDED", message });
        }
        if self.invitation() != Some(invitation) {
            return Err(Rejection::NotFound("invitation"));
        }
        if self.client.1.coaches.get(&coach) == Some(&invitation) {
            return Ok(Vec::new());
        }
        if self.client.1.coaches.len() >= COACHES {
            let message = "an athlete has at most 1000 coaches";
            return Err(Rejection::Conflict { code: "TOO_MANY_COACHES", message });
        }
        Ok(vec![CoachAccepted { invitation, coach }.into()])
    }

    /// Decides on the coach's end of it, whether it was accepted or not.
    pub fn end_by_coach(&self) -> Result<Vec<Event>, Rejection> {
        let invitation = self.invitation().ok_or(Rejection::NotFound("client"))?;
        let by = CoachingSide::Coach;
        Ok(vec![CoachingEnded { invitation, by, with: self.client.0 }.into()])
    }

    /// Decides on the client's end of it, whether it was accepted or not.
    pub fn end_by_client(&self) -> Result<Vec<Event>, Rejection> {
        let accepted = self.client.1.coaches.get(&self.coach.0).copied();
        let stands = self.invitation().filter(|asked| !self.client.1.ended.contains(asked));
        let invitation = accepted.or(stands).ok_or(Rejection::NotFound("coach"))?;
        let by = CoachingSide::Client;
        Ok(vec![CoachingEnded { invitation, by, with: self.coach.0 }.into()])
    }
}

#[cfg(test)]
mod tests {
    use events::{AthleteId, Event};
    use uuid::Uuid;

    use super::{Coaching, Pair};
    use crate::Rejection;

    /// A coach and a client, and what each says.
    #[derive(Default)]
    struct Both {
        coach: Coaching,
        client: Coaching,
    }

    const FIRST: Uuid = Uuid::from_u128(1);
    const SECOND: Uuid = Uuid::from_u128(2);

    impl Both {
        fn pair(&self) -> Pair<'_> {
            let id = |n: u128| AthleteId::new(Uuid::from_u128(7 << 76 | n)).unwrap();
            Pair { coach: (id(1), &self.coach), client: (id(2), &self.client) }
        }

        fn coach(&mut self, decide: impl Fn(&Pair<'_>) -> Result<Vec<Event>, Rejection>) {
            let events = decide(&self.pair()).unwrap();
            events.iter().for_each(|event| self.coach.evolve(event));
        }

        fn client(&mut self, decide: impl Fn(&Pair<'_>) -> Result<Vec<Event>, Rejection>) {
            let events = decide(&self.pair()).unwrap();
            events.iter().for_each(|event| self.client.evolve(event));
        }
    }

    fn code(refused: Result<Vec<Event>, Rejection>) -> &'static str {
        match refused {
            Err(Rejection::Conflict { code, .. }) => code,
            Err(Rejection::NotFound(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_sides_make_it_and_either_ends_it() {
        for by_coach in [true, false] {
            let mut both = Both::default();
            both.coach(|pair| pair.invite(FIRST));
            assert!(!both.pair().holds(), "not accepted");
            assert_eq!(code(both.pair().invite(SECOND)), "ALREADY_INVITED");
            assert_eq!(code(both.pair().accept(SECOND)), "invitation", "another one");
            both.client(|pair| pair.accept(FIRST));
            assert!(both.pair().holds());
            assert_eq!(both.pair().accept(FIRST), Ok(Vec::new()), "said twice");
            if by_coach {
                both.coach(|pair| pair.end_by_coach());
            } else {
                both.client(|pair| pair.end_by_client());
            }
            assert!(!both.pair().holds());
        }
    }

    #[test]
    fn an_invitation_that_is_over_cannot_be_accepted_again() {
        let mut both = Both::default();
        both.coach(|pair| pair.invite(FIRST));
        both.client(|pair| pair.accept(FIRST));
        both.client(|pair| pair.end_by_client());
        assert_eq!(code(both.pair().accept(FIRST)), "INVITATION_ENDED");
        assert_eq!(code(both.pair().end_by_client()), "coach");

        // The coach may ask again, and that is another one.
        both.coach(|pair| pair.invite(SECOND));
        assert!(!both.pair().holds());
        assert_eq!(code(both.pair().accept(FIRST)), "INVITATION_ENDED");
        both.client(|pair| pair.accept(SECOND));
        assert!(both.pair().holds());

        // One that was withdrawn is none, and what was accepted of it does not come back with a new one.
        both.coach(|pair| pair.end_by_coach());
        assert_eq!(code(both.pair().end_by_coach()), "client");
        assert_eq!(code(both.pair().accept(SECOND)), "invitation");
        both.coach(|pair| pair.invite(Uuid::from_u128(3)));
        assert!(!both.pair().holds());
    }

    #[test]
    fn nobody_coaches_themselves() {
        let nothing = Coaching::default();
        let me = AthleteId::new(Uuid::from_u128(7 << 76)).unwrap();
        let pair = Pair { coach: (me, &nothing), client: (me, &nothing) };
        assert_eq!(code(pair.invite(FIRST)), "OWN_COACH");
    }
}
