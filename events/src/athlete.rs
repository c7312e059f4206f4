//! What happens to an athlete's account, as far as training needs to know it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{BirthYear, DistanceUnit, Height, Personal, PersonalField, WeightUnit};

/// An athlete joined. Said by the athlete, on registering.
///
/// E-mail address and password are no part of the log. First event of `athlete-…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AthleteRegistered {
    /// Where the athlete's days begin and end.
    pub time_zone: TimeZone,
    /// In which units the athlete reads figures.
    pub units: Units,
}

impl AthleteRegistered {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// What an athlete says of themselves, or how they want things, changed. Said by the athlete. Holds the
/// whole new truth, so that a reader needs nothing earlier. In `athlete-…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileChanged {
    /// The name that nobody else has, 3 to 30 letters, digits, points and underscores; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Personal<String>>,
    /// What the athlete is called, 1 to 100 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<String>>,
    /// The year of birth; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_year: Option<Personal<BirthYear>>,
    /// The sex whose standards the athlete is held against; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sex: Option<Personal<Sex>>,
    /// The height in centimetres; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height_cm: Option<Personal<Height>>,
    /// How long the athlete has trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experience: Option<Experience>,
    /// What the athlete trains for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// Where the athlete's days begin and end.
    pub time_zone: TimeZone,
    /// In which units the athlete reads figures.
    pub units: Units,
    /// How apps should look.
    pub theme: Theme,
    /// The language the athlete reads, as in BCP 47: `en`, `pt-BR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Of what the athlete wants to hear, and how.
    pub notifications: Notifications,
    /// What others may see.
    pub privacy: Privacy,
}

impl ProfileChanged {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        fn field<T: PersonalField>(of: &mut Option<T>) -> Option<&mut dyn PersonalField> {
            of.as_mut().map(|field| field as &mut dyn PersonalField)
        }
        let fields = [
            field(&mut self.username),
            field(&mut self.name),
            field(&mut self.birth_year),
            field(&mut self.sex),
            field(&mut self.height_cm),
        ];
        fields.into_iter().flatten().collect()
    }
}

/// The sex whose standards and weight classes an athlete is held against.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Sex {
    Female,
    Male,
}

/// How long somebody has trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Experience {
    Beginner,
    Intermediate,
    Advanced,
}

/// What somebody trains for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Goal {
    MuscleGain,
    FatLoss,
    Strength,
}

/// How apps should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Theme {
    Light,
    Dark,
    /// As the device does.
    #[default]
    System,
}

/// Of what an athlete wants to hear, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
pub struct Notifications {
    /// A record of one's own.
    pub record: Channels,
    /// Somebody liked a post or a comment.
    pub like: Channels,
    /// Somebody commented.
    pub comment: Channels,
    /// Somebody follows, or asks to.
    pub follow: Channels,
    /// News of a challenge.
    pub challenge: Channels,
    /// The week in figures.
    pub digest: Channels,
}

impl Default for Notifications {
    fn default() -> Self {
        let push = Channels { push: true, email: false };
        let digest = Channels { push: false, email: true };
        Self { record: push, like: push, comment: push, follow: push, challenge: push, digest }
    }
}

/// The ways to be told of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
pub struct Channels {
    /// On the devices.
    pub push: bool,
    /// By e-mail.
    pub email: bool,
}

/// What others may see of an athlete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
pub struct Privacy {
    /// Only those whom the athlete lets follow see anything.
    pub private_profile: bool,
    /// Who sees the profile sees figures and records there.
    pub show_stats: bool,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { private_profile: false, show_stats: true }
    }
}

/// The units in which an athlete reads figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with weight (kg, lb) and distance (km, mi)")]
pub struct Units {
    /// Kilograms or pounds.
    #[serde(default)]
    pub weight: WeightUnit,
    /// Kilometres or miles.
    #[serde(default)]
    pub distance: DistanceUnit,
}

/// A time zone of the IANA database, such as `Europe/Paris`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeZone(pub chrono_tz::Tz);

impl TimeZone {
    /// The zone of those of whom nothing is known.
    pub const UTC: Self = Self(chrono_tz::UTC);
}

impl std::str::FromStr for TimeZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| "must be a time zone of the IANA database, such as Europe/Paris".into())
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for TimeZone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeZone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["Europe/Paris"] })
    }
}
