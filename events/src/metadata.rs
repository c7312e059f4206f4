//! Who said so, from where, and because of what: the part of the envelope that is not the log's.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::{AthleteId, Timestamp};

/// What a command knows about itself; stored beside every event that it led to.
///
/// Nothing in it may be personal: `device` and `request` are opaque ids that a client chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metadata {
    /// When it happened, in the athlete's life; `recorded_at` says when the log took it.
    pub occurred_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The athlete for whom the actor did it, when that is somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<AthleteId>,
    /// Through which door it came.
    pub channel: Channel,
    /// The client's id of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The id of the request (`X-Request-ID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What everything that follows from one intention shares.
    pub correlation: Uuid,
    /// What directly led to it: the run of a command, which no other run shares.
    pub causation: Uuid,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person with an account.
    Athlete(AthleteId),
    /// A part of Ironledger itself, by its name.
    System(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Athlete(id) => write!(f, "athlete:{id}"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

impl FromStr for Actor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "must be athlete:<uuid> or system:<name>";
        match text.split_once(':') {
            Some(("athlete", id)) => id.parse().map(Self::Athlete).map_err(|_| WANTED),
            Some(("system", name)) if !name.is_empty() => Ok(Self::System(name.to_owned())),
            _ => Err(WANTED),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Actor {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Actor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(athlete|system):.+$" })
    }
}

/// The door through which a command came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Channel {
    /// A request to the HTTP interface.
    Api,
    /// A file exported by another app; nothing about it is news to followers.
    Import,
    /// A process of Ironledger.
    System,
}
