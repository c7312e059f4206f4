//! Commands about who coaches whom. Each side decides on its own stream, having read the other's.

use std::sync::Arc;

use domain::{
    Rejection,
    coaching::{Coaching, Pair},
};
use events::{AthleteId, Event, Partition, Stream};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use web::{Answer, Error};

use super::{Commands, Failure, Loaded, Origin, State};

impl State for Coaching {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

/// An invitation, made or accepted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CoachingAsked")]
pub(crate) struct Asked {
    invitation: Uuid,
    coach: AthleteId,
    client: AthleteId,
}

/// What is over.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CoachingEnded")]
pub(crate) struct Ended {
    coach: AthleteId,
    client: AthleteId,
    ended: bool,
}

/// An athlete, and where on the log.
pub(crate) type Side = (AthleteId, Partition);

impl Commands {
    /// Whether one coaches the other at this moment, by what both have said.
    pub(crate) async fn coaches(&self, coach: Side, client: Side) -> Result<bool, Error> {
        let (of_coach, of_client, between) = tokio::try_join!(
            self.coaching(coach),
            self.coaching(client),
            self.between(coach, client),
        )?;
        let nothing = Coaching::default();
        let pair = Pair {
            coach: (coach.0, of_coach.state.as_ref().unwrap_or(&nothing)),
            client: (client.0, of_client.state.as_ref().unwrap_or(&nothing)),
        };
        Ok(pair.holds() && !between.pair.is_blocked())
    }

    /// A coach asks an athlete.
    pub(crate) async fn invite_client(
        &self,
        origin: &Origin,
        client: Side,
    ) -> Result<Answer<Asked>, Error> {
        if !self.toward(origin, client).await?.knows() {
            return Err(Error::not_found("athlete"));
        }
        let invitation = self.random.uuid(self.clock.now());
        let show = || {
            let asked = Asked { invitation, coach: origin.athlete, client: client.0 };
            Ok(Answer::ok(&asked)?.created("/v1/coaching/clients"))
        };
        self.as_coach(origin, client, |pair| pair.invite(invitation), show).await
    }

    /// A coach withdraws an invitation, or ends what came of it.
    pub(crate) async fn dismiss_client(
        &self,
        origin: &Origin,
        client: Side,
    ) -> Result<Answer<Ended>, Error> {
        let ended = Ended { coach: origin.athlete, client: client.0, ended: true };
        self.as_coach(origin, client, |pair| pair.end_by_coach(), || Answer::ok(&ended)).await
    }

    /// An athlete accepts an invitation.
    pub(crate) async fn accept_coach(
        &self,
        origin: &Origin,
        coach: Side,
        invitation: Uuid,
    ) -> Result<Answer<Asked>, Error> {
        let accepted = Asked { invitation, coach: coach.0, client: origin.athlete };
        let show = || Answer::ok(&accepted);
        self.as_client(origin, coach, |pair| pair.accept(invitation), show).await
    }

    /// An athlete declines an invitation, or ends what came of it.
    pub(crate) async fn leave_coach(
        &self,
        origin: &Origin,
        coach: Side,
    ) -> Result<Answer<Ended>, Error> {
        let ended = Ended { coach: coach.0, client: origin.athlete, ended: true };
        self.as_client(origin, coach, |pair| pair.end_by_client(), || Answer::ok(&ended)).await
    }

    async fn as_coach<T>(
        &self,
        origin: &Origin,
        client: Side,
        decide: impl Fn(Pair<'_>) -> Result<Vec<Event>, Rejection>,
        show: impl Fn() -> Result<Answer<T>, Error>,
    ) -> Result<Answer<T>, Error> {
        let other = self.coaching(client).await?;
        let nothing = Coaching::default();
        let other = other.state.as_ref().unwrap_or(&nothing);
        let decide = |own: &Coaching| {
            decide(Pair { coach: (origin.athlete, own), client: (client.0, other) })
        };
        self.decide_as(origin, decide, show).await
    }

    async fn as_client<T>(
        &self,
        origin: &Origin,
        coach: Side,
        decide: impl Fn(Pair<'_>) -> Result<Vec<Event>, Rejection>,
        show: impl Fn() -> Result<Answer<T>, Error>,
    ) -> Result<Answer<T>, Error> {
        let other = self.coaching(coach).await?;
        let nothing = Coaching::default();
        let other = other.state.as_ref().unwrap_or(&nothing);
        let decide = |own: &Coaching| {
            decide(Pair { coach: (coach.0, other), client: (origin.athlete, own) })
        };
        self.decide_as(origin, decide, show).await
    }

    /// Decides on the athlete's own stream.
    async fn decide_as<T>(
        &self,
        origin: &Origin,
        decide: impl Fn(&Coaching) -> Result<Vec<Event>, Rejection>,
        show: impl Fn() -> Result<Answer<T>, Error>,
    ) -> Result<Answer<T>, Error> {
        let stream = Stream::coaching(origin.athlete);
        let nothing = Coaching::default();
        let decide =
            |loaded: &Loaded<Coaching>, _| decide(loaded.state.as_ref().unwrap_or(&nothing));
        let show = async |_: Arc<Loaded<Coaching>>| show();
        let done = self.execute(&self.coachings, origin, stream, None, decide, show).await;
        done.map_err(Failure::of_new)
    }

    async fn coaching(&self, (athlete, partition): Side) -> Result<Arc<Loaded<Coaching>>, Error> {
        self.coachings.read(athlete, partition, Stream::coaching(athlete)).await
    }
}
