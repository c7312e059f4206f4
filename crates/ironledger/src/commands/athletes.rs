//! Commands about athletes themselves: their profile, and what they weigh.

use std::sync::Arc;

use domain::{
    Patch, Rejection,
    body::{self, Body, Bodyweights},
    profile::{self, Language, Profile, Username},
};
use events::{
    AthleteId, BirthYear, BodyweightId, Channels, DistanceUnit, Event, Experience, Goal, Height,
    Notifications, Number, Partition, Privacy, Sex, Stream, Text, Theme, TimeZone, Timestamp,
    Units, WeightUnit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Error};

use super::{
    Commands, Failure, Loaded, Origin, State, rejected,
    requests::{BodyweightBody, TypedWeight},
};

impl State for Profile {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        Self::evolve(state, event)
    }
}

impl State for Body {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

/// The body of `PATCH /v1/athletes/me`: absent fields stay, `null` empties what may be empty; of settings,
/// only what is named changes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ChangeProfile {
    /// A name that nobody else has.
    pub(crate) username: Patch<Username>,
    /// What the athlete is called.
    name: Patch<Text<100>>,
    /// The year of birth.
    birth_year: Patch<BirthYear>,
    /// The sex whose standards the athlete is held against.
    sex: Patch<Sex>,
    /// 50 to 280, with at most one decimal.
    height_cm: Patch<TypedHeight>,
    /// How long the athlete has trained.
    experience: Patch<Experience>,
    /// What the athlete trains for.
    goal: Patch<Goal>,
    /// Where the athlete's days begin and end.
    #[schemars(with = "TimeZone")]
    time_zone: Patch<TimeZone>,
    /// In which units the athlete reads figures.
    #[schemars(with = "ChangeUnits")]
    units: Patch<ChangeUnits>,
    /// How apps should look.
    #[schemars(with = "Theme")]
    theme: Patch<Theme>,
    /// The language the athlete reads, as in BCP 47.
    language: Patch<Language>,
    /// Of what the athlete wants to hear, and how.
    #[schemars(with = "ChangeNotifications")]
    notifications: Patch<ChangeNotifications>,
    /// What others may see.
    #[schemars(with = "ChangePrivacy")]
    privacy: Patch<ChangePrivacy>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "an object with weight and distance")]
struct ChangeUnits {
    weight: Option<WeightUnit>,
    distance: Option<DistanceUnit>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "an object with push and email")]
struct ChangeChannels {
    push: Option<bool>,
    email: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "an object of channels by kind")]
struct ChangeNotifications {
    record: ChangeChannels,
    like: ChangeChannels,
    comment: ChangeChannels,
    follow: ChangeChannels,
    challenge: ChangeChannels,
    digest: ChangeChannels,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "an object with private_profile and show_stats")]
struct ChangePrivacy {
    private_profile: Option<bool>,
    show_stats: Option<bool>,
}

/// A height in centimetres as a request says it: a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Number")]
#[schemars(with = "Number", extend("minimum" = 50, "maximum" = 280, "multipleOf" = 0.1))]
struct TypedHeight(Height);

impl TryFrom<Number> for TypedHeight {
    type Error = events::OutOfRange;

    fn try_from(number: Number) -> Result<Self, events::OutOfRange> {
        Height::new(number.0).map(Self)
    }
}

/// The body of `POST /v1/athletes/me/measurements`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measure {
    /// A UUID of version 7 that makes the command safe to send twice.
    pub(crate) id: Option<BodyweightId>,
    /// 10 to 500 kg, in the unit that the scales show.
    #[schemars(with = "BodyweightBody")]
    bodyweight: TypedWeight,
    /// Now by default.
    measured_at: Option<Timestamp>,
}

/// The body of `PATCH /v1/athletes/me/measurements/{id}`: absent fields stay.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CorrectMeasurement {
    /// 10 to 500 kg, in the unit that the scales show.
    #[schemars(with = "BodyweightBody")]
    bodyweight: Patch<TypedWeight>,
    /// When the scales showed it.
    #[schemars(with = "Timestamp")]
    measured_at: Patch<Timestamp>,
}

type Decided = Result<Vec<Event>, Rejection>;

impl ChangeProfile {
    fn decide(&self, profile: &Profile, now: Timestamp) -> Decided {
        let wish = self.clone();
        let before = &profile.0;
        let change = profile::Change {
            username: wish.username,
            name: wish.name.map(Text::into_string),
            birth_year: wish.birth_year,
            sex: wish.sex,
            height_cm: wish.height_cm.map(|height| height.0),
            experience: wish.experience,
            goal: wish.goal,
            time_zone: wish.time_zone,
            units: wish.units.map(|units| units.of(before.units)),
            theme: wish.theme,
            language: wish.language,
            notifications: wish.notifications.map(|kinds| kinds.of(before.notifications)),
            privacy: wish.privacy.map(|privacy| privacy.of(before.privacy)),
        };
        profile::change(profile, change, now)
    }
}

impl ChangeUnits {
    fn of(self, before: Units) -> Units {
        Units {
            weight: self.weight.unwrap_or(before.weight),
            distance: self.distance.unwrap_or(before.distance),
        }
    }
}

impl ChangeChannels {
    fn of(self, before: Channels) -> Channels {
        Channels {
            push: self.push.unwrap_or(before.push),
            email: self.email.unwrap_or(before.email),
        }
    }
}

impl ChangeNotifications {
    fn of(self, before: Notifications) -> Notifications {
        Notifications {
            record: self.record.of(before.record),
            like: self.like.of(before.like),
            comment: self.comment.of(before.comment),
            follow: self.follow.of(before.follow),
            challenge: self.challenge.of(before.challenge),
            digest: self.digest.of(before.digest),
        }
    }
}

impl ChangePrivacy {
    fn of(self, before: Privacy) -> Privacy {
        Privacy {
            private_profile: self.private_profile.unwrap_or(before.private_profile),
            show_stats: self.show_stats.unwrap_or(before.show_stats),
        }
    }
}

impl Commands {
    /// The profile as the log has it now.
    pub(crate) async fn profile(&self, origin: &Origin) -> Result<Arc<Loaded<Profile>>, Error> {
        let stream = Stream::athlete(origin.athlete);
        self.profiles.read(origin.athlete, origin.partition, stream).await
    }

    /// What the athlete weighed, as the log has it now.
    pub(crate) async fn body(&self, origin: &Origin) -> Result<Arc<Loaded<Body>>, Error> {
        self.bodies.read(origin.athlete, origin.partition, Stream::body(origin.athlete)).await
    }

    /// Which bodyweight counts on which day, and where days begin and end.
    pub(crate) async fn bodyweights(
        &self,
        origin: &Origin,
    ) -> Result<(Bodyweights, TimeZone), Error> {
        self.bodyweights_of(origin.athlete, origin.partition).await
    }

    /// The same of any athlete.
    pub(super) async fn bodyweights_of(
        &self,
        athlete: AthleteId,
        partition: Partition,
    ) -> Result<(Bodyweights, TimeZone), Error> {
        let (body, profile) = tokio::join!(
            self.bodies.read(athlete, partition, Stream::body(athlete)),
            self.profiles.read(athlete, partition, Stream::athlete(athlete)),
        );
        let (body, profile) = (body?, profile?);
        let bodyweights = body.state.as_ref().map(Body::bodyweights).unwrap_or_default();
        let zone = profile.state.as_ref().map_or(TimeZone::UTC, |profile| profile.0.time_zone);
        Ok((bodyweights, zone))
    }

    /// Says what the rules would say of a change of the profile.
    pub(crate) async fn judge_profile(
        &self,
        origin: &Origin,
        command: &ChangeProfile,
    ) -> Result<(), Error> {
        let loaded = self.profile(origin).await?;
        let profile = loaded.state.as_ref().ok_or_else(|| Error::not_found("athlete"))?;
        command.decide(profile, self.clock.now()).map(drop).map_err(rejected)
    }

    /// Changes the profile. Whose the username is must be settled before.
    pub(crate) async fn change_profile<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        command: ChangeProfile,
        show: impl Fn(Arc<Loaded<Profile>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Profile>> {
        let decide = |loaded: &Loaded<Profile>, now| {
            let profile = loaded.state.as_ref().ok_or(Rejection::NotFound("athlete"))?;
            command.decide(profile, now)
        };
        let stream = Stream::athlete(origin.athlete);
        self.execute(&self.profiles, origin, stream, None, decide, show).await
    }

    /// Notes a weighing; `show` gets its id too.
    pub(crate) async fn measure<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        command: Measure,
        show: impl Fn(BodyweightId, Arc<Loaded<Body>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Body>> {
        let client = match command.id {
            Some(id) => {
                let said = ("measure", &command);
                Some(self.client_id(origin.athlete, Some(id.uuid()), &said).await?)
            }
            None => None,
        };
        let id = match command.id {
            Some(id) => id,
            None => {
                let id = self.random.uuid(self.clock.now());
                BodyweightId::new(id).map_err(Error::internal)?
            }
        };
        let weight = command.bodyweight.0;
        let decide = |body: &Body, now| body::measure(body, id, weight, command.measured_at, now);
        self.on_body(origin, client, decide, |loaded| show(id, loaded)).await
    }

    /// Whether a weighing could be noted.
    pub(crate) async fn judge_measure(
        &self,
        origin: &Origin,
        command: &Measure,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let id = BodyweightId::new(self.random.uuid(now)).map_err(Error::internal)?;
        let (weight, at) = (command.bodyweight.0, command.measured_at);
        self.judge_body(origin, |body| body::measure(body, id, weight, at, now)).await
    }

    /// Whether a weighing could be corrected so.
    pub(crate) async fn judge_remeasure(
        &self,
        origin: &Origin,
        id: BodyweightId,
        command: &CorrectMeasurement,
    ) -> Result<(), Error> {
        let (weight, at) = (command.bodyweight.map(|weight| weight.0), command.measured_at);
        self.judge_body(origin, |body| body::correct(body, id, weight, at, self.clock.now())).await
    }

    async fn judge_body(
        &self,
        origin: &Origin,
        decide: impl Fn(&Body) -> Decided,
    ) -> Result<(), Error> {
        let (loaded, nothing) = (self.body(origin).await?, Body::default());
        decide(loaded.state.as_ref().unwrap_or(&nothing)).map(drop).map_err(rejected)
    }

    /// Corrects a weighing.
    pub(crate) async fn correct_measurement<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: BodyweightId,
        command: CorrectMeasurement,
        show: impl Fn(Arc<Loaded<Body>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Body>> {
        let decide = |body: &Body, now| {
            let weight = command.bodyweight.map(|weight| weight.0);
            body::correct(body, id, weight, command.measured_at, now)
        };
        self.on_body(origin, None, decide, show).await
    }

    /// Removes a weighing.
    pub(crate) async fn remove_measurement<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: BodyweightId,
        show: impl Fn(Arc<Loaded<Body>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Body>> {
        self.on_body(origin, None, |body, _| body::remove(body, id), show).await
    }

    async fn on_body<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        client: Option<log::ClientId>,
        decide: impl Fn(&Body, Timestamp) -> Decided,
        show: impl Fn(Arc<Loaded<Body>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Body>> {
        let nothing = Body::default();
        let decide =
            |loaded: &Loaded<Body>, now| decide(loaded.state.as_ref().unwrap_or(&nothing), now);
        let stream = Stream::body(origin.athlete);
        self.execute(&self.bodies, origin, stream, client, decide, show).await
    }
}
