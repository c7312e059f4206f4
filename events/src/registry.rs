//! Which event types exist, in which versions, and how stored bytes become events again.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};

use crate::{
    AthleteRegistered, AuditRead, CustomExerciseCreated, PersonalField, SetCorrected, SetLogged,
    SetRemoved, WorkoutCompleted, WorkoutDetailsChanged, WorkoutDiscarded, WorkoutStarted,
};

/// Stored bytes are not an event that this program knows.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No event of that name, or none so new: a newer program wrote it.
    #[error("unknown event type {name} version {version}")]
    Unknown {
        /// The stored type name.
        name: String,
        /// The stored payload version.
        version: i16,
    },
    /// The payload does not have the shape of its type.
    #[error("{name} version {version} does not decode: {source}")]
    Malformed {
        /// The stored type name.
        name: String,
        /// The stored payload version.
        version: i16,
        /// What the decoder met.
        source: serde_json::Error,
    },
}

/// One event type in one version, for those who document and check them.
pub struct EventType {
    /// The name as it is stored, such as `SetLogged`.
    pub name: &'static str,
    /// The version of the payload.
    pub version: i16,
    /// The JSON Schema of the payload, with `$id` and title.
    pub schema: fn() -> Schema,
}

/// Declares the event types at their current versions.
macro_rules! registry {
    ($($name:ident = $version:literal),* $(,)?) => {
        /// Something that happened.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each payload says what it means")]
        pub enum Event {
            $($name($name)),*
        }

        $(impl From<$name> for Event {
            fn from(payload: $name) -> Self {
                Self::$name(payload)
            }
        })*

        /// Every event type in every version that the log may hold.
        pub const TYPES: &[EventType] = &[$(
            EventType {
                name: stringify!($name),
                version: $version,
                schema: || schema::<$name>(stringify!($name), $version),
            }
        ),*];

        impl Event {
            /// The name of the type and the version of the payload, as they are stored.
            pub fn type_and_version(&self) -> (&'static str, i16) {
                match self {
                    $(Self::$name(_) => (stringify!($name), $version)),*
                }
            }

            /// The payload as JSON text: fields in the order of their declaration, so the same
            /// event always gives the same bytes. Fails when a personal field is in clear.
            pub fn encode(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(Self::$name(payload) => serde_json::to_string(payload)),*
                }
            }

            /// The event behind stored bytes of a known type and version.
            pub fn decode(name: &str, version: i16, payload: &str) -> Result<Self, DecodeError> {
                match (name, version) {
                    $((stringify!($name), $version) => {
                        serde_json::from_str(payload).map(Self::$name)
                    })*
                    _ => return Err(DecodeError::Unknown { name: name.to_owned(), version }),
                }
                .map_err(|source| DecodeError::Malformed {
                    name: name.to_owned(),
                    version,
                    source,
                })
            }

            /// The fields about a person, to be sealed before storing and opened after reading.
            pub fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
                match self {
                    $(Self::$name(payload) => payload.personal_fields()),*
                }
            }
        }
    };
}

registry! {
    AthleteRegistered = 1,
    CustomExerciseCreated = 1,
    WorkoutStarted = 1,
    WorkoutDetailsChanged = 1,
    SetLogged = 1,
    SetCorrected = 1,
    SetRemoved = 1,
    WorkoutCompleted = 1,
    WorkoutDiscarded = 1,
    AuditRead = 1,
}

fn schema<T: JsonSchema>(name: &str, version: i16) -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), format!("urn:ironledger:event:{name}:{version}").into());
    schema
}
