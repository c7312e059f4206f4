//! Commands about what athletes have to do with each other, and what of an athlete a reader sees, as the
//! log has it now.

use std::sync::Arc;

use domain::{
    Rejection,
    moderation::Moderation,
    profile::Profile,
    relations::{self, Following, MOST_FOLLOWED, Openness, Pair, Reader},
};
use events::{AthleteId, Event, FollowId, Stream, Visibility};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use web::{Answer, Error};

use super::{Commands, Failure, Loaded, Origin, State, coaching::Side};

impl State for relations::Side {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

/// What the caller and an athlete have to do with each other.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Relation")]
pub(crate) struct Shown {
    athlete: AthleteId,
    /// How the caller follows them.
    following: Follows,
    /// How they follow the caller.
    followed_by: Follows,
    /// The follow of theirs that waits for the caller's answer, which names it.
    request: Option<FollowId>,
    /// Whether the caller blocks them.
    blocked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Follows {
    /// Not at all.
    No,
    /// They asked to.
    Requested,
    /// They do.
    Yes,
}

impl Shown {
    pub(crate) fn of(pair: &Pair) -> Result<Self, Error> {
        let word = |following| match following {
            Following::No => Follows::No,
            Following::Requested(_) => Follows::Requested,
            Following::Yes(_) => Follows::Yes,
        };
        let theirs = pair.turned().following();
        let request = match theirs {
            Following::Requested(follow) => Some(FollowId::new(follow).map_err(Error::internal)?),
            Following::No | Following::Yes(_) => None,
        };
        Ok(Self {
            athlete: pair.other.0,
            following: word(pair.following()),
            followed_by: word(theirs),
            request,
            blocked: pair.blocks(),
        })
    }
}

/// An athlete, as one reader may see them.
pub(crate) struct Toward {
    pub(crate) pair: Pair,
    pub(crate) openness: Openness,
    pub(crate) profile: Arc<Loaded<Profile>>,
    pub(crate) moderation: Moderation,
}

impl Toward {
    pub(crate) fn reader(&self) -> Reader {
        self.pair.reader()
    }

    /// Whether the reader sees something of the athlete's.
    pub(crate) fn sees(&self, visibility: Visibility) -> bool {
        self.reader().sees(self.openness, visibility)
    }

    /// Whether the reader knows of the athlete at all.
    pub(crate) fn knows(&self) -> bool {
        self.reader().knows(self.openness)
    }

    /// 404 for who is to know nothing of the athlete: not for who blocks them.
    pub(crate) fn known(self) -> Result<Self, Error> {
        if self.knows() || self.pair.blocks() { Ok(self) } else { Err(Error::not_found("athlete")) }
    }
}

impl Commands {
    /// What the caller is to an athlete, and how open that one is: 404 for who is not known at all.
    pub(crate) async fn toward(&self, origin: &Origin, other: Side) -> Result<Toward, Error> {
        self.between((origin.athlete, origin.partition), other).await
    }

    /// The same of any two.
    pub(crate) async fn between(&self, reader: Side, other: Side) -> Result<Toward, Error> {
        let (athlete, partition) = other;
        let (own, theirs, profile, moderation) = tokio::try_join!(
            self.said_of(reader, athlete),
            self.said_of(other, reader.0),
            self.profiles.read(athlete, partition, Stream::athlete(athlete)),
            self.moderation(other),
        )?;
        let Some(Profile(said)) = &profile.state else { return Err(Error::not_found("athlete")) };
        let openness = Openness {
            is_private: said.privacy.private_profile,
            is_suspended: moderation.is_suspended(self.clock.now()),
        };
        let pair = Pair { actor: (reader.0, own), other: (athlete, theirs) };
        Ok(Toward { pair, openness, profile, moderation })
    }

    async fn said_of(
        &self,
        (athlete, partition): Side,
        other: AthleteId,
    ) -> Result<relations::Side, Error> {
        let loaded = self.relations.read(athlete, partition, Stream::relation(other)).await?;
        Ok(loaded.state.unwrap_or_default())
    }

    pub(super) async fn moderation(&self, (athlete, partition): Side) -> Result<Moderation, Error> {
        let loaded = self.moderations.read(athlete, partition, Stream::moderation(athlete)).await?;
        Ok(loaded.state.clone().unwrap_or_default())
    }

    /// Refuses an athlete who is to have nothing to do with others.
    pub(crate) async fn may_meet(&self, origin: &Origin) -> Result<(), Error> {
        let side = (origin.athlete, origin.partition);
        if self.moderation(side).await?.is_suspended(self.clock.now()) {
            let message = "you are suspended, and have nothing to do with others meanwhile";
            return Err(Error::forbidden_as("SUSPENDED", message));
        }
        Ok(())
    }

    /// Follows an athlete, or asks to. `followed` is how many the caller follows, about.
    pub(crate) async fn follow(
        &self,
        origin: &Origin,
        other: Side,
        followed: i64,
    ) -> Result<Answer<Shown>, Error> {
        self.may_meet(origin).await?;
        let toward = self.toward(origin, other).await?.known()?;
        let follow = self.random.uuid(self.clock.now());
        let decide = |pair: Pair| {
            let events = pair.follow(follow, toward.openness.is_private)?;
            if !events.is_empty() && followed >= MOST_FOLLOWED {
                let message = "an athlete follows at most 5000 others";
                return Err(Rejection::Conflict { code: "TOO_MANY_FOLLOWED", message });
            }
            Ok(events)
        };
        self.relate(origin, &toward, decide).await
    }

    /// Follows an athlete no longer, or takes the request back.
    pub(crate) async fn unfollow(
        &self,
        origin: &Origin,
        other: Side,
    ) -> Result<Answer<Shown>, Error> {
        let toward = self.toward(origin, other).await?.known()?;
        self.relate(origin, &toward, |pair| Ok(pair.unfollow())).await
    }

    /// Lets an athlete follow who asked to.
    pub(crate) async fn accept_follower(
        &self,
        origin: &Origin,
        other: Side,
        follow: Uuid,
    ) -> Result<Answer<Shown>, Error> {
        self.may_meet(origin).await?;
        let toward = self.toward(origin, other).await?.known()?;
        self.relate(origin, &toward, |pair| pair.accept(follow)).await
    }

    /// Ends that an athlete follows, or declines it.
    pub(crate) async fn remove_follower(
        &self,
        origin: &Origin,
        other: Side,
    ) -> Result<Answer<Shown>, Error> {
        let toward = self.toward(origin, other).await?.known()?;
        self.relate(origin, &toward, |pair| Ok(pair.remove_follower())).await
    }

    /// Blocks an athlete.
    pub(crate) async fn block(&self, origin: &Origin, other: Side) -> Result<Answer<Shown>, Error> {
        let toward = self.toward(origin, other).await?.known()?;
        self.relate(origin, &toward, |pair| pair.block()).await
    }

    /// Blocks an athlete no longer.
    pub(crate) async fn unblock(
        &self,
        origin: &Origin,
        other: Side,
    ) -> Result<Answer<Shown>, Error> {
        let toward = self.toward(origin, other).await?.known()?;
        self.relate(origin, &toward, |pair| Ok(pair.unblock())).await
    }

    /// Decides on the caller's own stream about the other one, having read the other's.
    async fn relate(
        &self,
        origin: &Origin,
        toward: &Toward,
        decide: impl Fn(Pair) -> Result<Vec<Event>, Rejection>,
    ) -> Result<Answer<Shown>, Error> {
        let other = toward.pair.other;
        let pair = |own: Option<relations::Side>| Pair {
            actor: (origin.athlete, own.unwrap_or_default()),
            other,
        };
        let decide = |loaded: &Loaded<relations::Side>, _| decide(pair(loaded.state));
        let show = async |loaded: Arc<Loaded<relations::Side>>| {
            Answer::ok(&Shown::of(&pair(loaded.state))?)
        };
        let stream = Stream::relation(other.0);
        let done = self.execute(&self.relations, origin, stream, None, decide, show).await;
        done.map_err(Failure::of_new)
    }
}
