//! What happens to an athlete's account, as far as training needs to know it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{DistanceUnit, PersonalField, WeightUnit};

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
