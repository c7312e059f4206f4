//! Which event types exist, in which versions, and how stored bytes become events again.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    AthleteBlocked, AthleteFollowed, AthleteRegistered, AthleteSuspended, AthleteUnblocked,
    AthleteUnfollowed, AuditRead, BodyweightCorrected, BodyweightMeasured, BodyweightRemoved,
    CoachAccepted, CoachInvited, CoachingEnded, CommentDeleted, CommentDismissed, CommentEdited,
    CommentWritten, ContentHidden, ContentLiked, ContentReported, ContentRestored, ContentUnliked,
    CustomExerciseCreated, ExerciseNoted, Family, FollowerAccepted, FollowerRemoved, PRAchieved,
    PRRevoked, PersonalField, PostDeleted, PostEdited, PostPublished, ProfileChanged,
    RecordsRestated, ReportResolved, RoleGranted, RoutineChanged, RoutineCreated, RoutineDeleted,
    RoutineFolderCreated, RoutineFolderDeleted, RoutineFolderRenamed, RoutineLiked, RoutineUnliked,
    SetConfirmed, SetCorrected, SetLogged, SetRemoved, StreamKind, SuspensionLifted, TierGranted,
    WorkoutCompleted, WorkoutDetailsChanged, WorkoutDiscarded, WorkoutShared, WorkoutStarted,
    WorkoutUnshared, public, workout,
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

/// Room for the text of nearly all payloads.
const USUAL_BYTES: usize = 384;

/// One event type in one version, for those who document and check them.
pub struct EventType {
    /// The name as it is stored, such as `SetLogged`.
    pub name: &'static str,
    /// The version of the payload.
    pub version: i16,
    /// Whether it is the version that is written today; older ones are only read.
    pub current: bool,
    /// The kind of stream that it belongs to.
    pub stream: StreamKind,
    /// The public topics that it appears on, from its current version; none for a private one.
    pub family: Option<Family>,
    /// The JSON Schema of the payload, with `$id` and title.
    pub schema: fn() -> Schema,
}

/// Makes a payload of one version into one of the next. It must not fail: what it cannot make
/// sense of it leaves as it is, for the decoder to refuse.
type Upcast = fn(Value) -> Value;

/// Declares the event types: the current version of each, its stream and its family, and for each
/// older version the step to the next.
macro_rules! registry {
    ($(
        $name:ident = $version:literal on $stream:ident, $family:expr
        $(, from { $($old:literal => $step:path),+ $(,)? })?;
    )*) => {
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
            $($(EventType {
                name: stringify!($name),
                version: $old,
                current: false,
                stream: StreamKind::$stream,
                family: $family,
                schema: || {
                    frozen(include_str!(concat!(
                        "../schemas/", stringify!($name), ".v", $old, ".json"
                    )))
                },
            },)+)?
            EventType {
                name: stringify!($name),
                version: $version,
                current: true,
                stream: StreamKind::$stream,
                family: $family,
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
                let mut text = Vec::with_capacity(USUAL_BYTES);
                match self {
                    $(Self::$name(payload) => serde_json::to_writer(&mut text, payload)?),*
                }
                String::from_utf8(text).map_err(|_| serde::ser::Error::custom("not UTF-8"))
            }

            /// The event behind stored bytes of a known type and version; of an older version, as
            /// the current one says it.
            pub fn decode(name: &str, version: i16, payload: &str) -> Result<Self, DecodeError> {
                match (name, version) {
                    // What nearly all events are is read straight from the bytes.
                    $((stringify!($name), $version) => {
                        serde_json::from_str(payload).map(Self::$name)
                    })*
                    $($((stringify!($name), 1..$version) => {
                        let steps: &[(i16, Upcast)] = &[$(($old, $step)),+];
                        upcast(steps, version, payload).map(Self::$name)
                    })?)*
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

            /// The public topics that the event appears on; none for a private one.
            pub fn family(&self) -> Option<Family> {
                match self {
                    $(Self::$name(_) => $family),*
                }
            }

            /// The payload as public topics carry it: without any personal field, sealed, erased
            /// or empty. Fails when a personal field is in clear.
            pub fn public_payload(&self) -> Result<String, serde_json::Error> {
                let (name, payload) = match self {
                    $(Self::$name(payload) => (stringify!($name), serde_json::to_value(payload)?)),*
                };
                serde_json::to_string(&public::without_personal(name, payload))
            }
        }
    };
}

registry! {
    AthleteRegistered = 1 on Athlete, Some(Family::Athletes);
    ProfileChanged = 1 on Athlete, Some(Family::Athletes);
    BodyweightMeasured = 1 on Body, None;
    BodyweightCorrected = 1 on Body, None;
    BodyweightRemoved = 1 on Body, None;
    CustomExerciseCreated = 1 on Exercises, Some(Family::Training);
    WorkoutStarted = 1 on Workout, Some(Family::Training);
    WorkoutDetailsChanged = 1 on Workout, Some(Family::Training);
    SetLogged = 2 on Workout, Some(Family::Training), from { 1 => workout::set_with_side };
    SetCorrected = 2 on Workout, Some(Family::Training), from { 1 => workout::set_with_side };
    SetConfirmed = 1 on Workout, Some(Family::Training);
    SetRemoved = 1 on Workout, Some(Family::Training);
    ExerciseNoted = 1 on Workout, Some(Family::Training);
    WorkoutCompleted = 1 on Workout, Some(Family::Training);
    WorkoutDiscarded = 1 on Workout, Some(Family::Training);
    WorkoutShared = 1 on Workout, Some(Family::Training);
    WorkoutUnshared = 1 on Workout, Some(Family::Training);
    PRAchieved = 1 on Records, Some(Family::Records);
    PRRevoked = 1 on Records, Some(Family::Records);
    RecordsRestated = 1 on Records, Some(Family::Records);
    AuditRead = 1 on Audit, None;
    RoleGranted = 1 on Account, None;
    TierGranted = 1 on Account, None;
    CoachInvited = 1 on Coaching, None;
    CoachAccepted = 1 on Coaching, None;
    CoachingEnded = 1 on Coaching, None;
    RoutineCreated = 1 on Routine, Some(Family::Training);
    RoutineChanged = 1 on Routine, Some(Family::Training);
    RoutineDeleted = 1 on Routine, Some(Family::Training);
    RoutineFolderCreated = 1 on Folders, None;
    RoutineFolderRenamed = 1 on Folders, None;
    RoutineFolderDeleted = 1 on Folders, None;
    RoutineLiked = 1 on Likes, None;
    RoutineUnliked = 1 on Likes, None;
    AthleteFollowed = 1 on Relation, None;
    AthleteUnfollowed = 1 on Relation, None;
    FollowerAccepted = 1 on Relation, None;
    FollowerRemoved = 1 on Relation, None;
    AthleteBlocked = 1 on Relation, None;
    AthleteUnblocked = 1 on Relation, None;
    PostPublished = 1 on Post, Some(Family::Social);
    PostEdited = 1 on Post, Some(Family::Social);
    PostDeleted = 1 on Post, Some(Family::Social);
    CommentWritten = 1 on Comment, None;
    CommentEdited = 1 on Comment, None;
    CommentDeleted = 1 on Comment, None;
    CommentDismissed = 1 on Reaction, None;
    ContentLiked = 1 on Reaction, None;
    ContentUnliked = 1 on Reaction, None;
    ContentReported = 1 on Report, None;
    ReportResolved = 1 on Report, None;
    ContentHidden = 1 on Moderation, None;
    ContentRestored = 1 on Moderation, None;
    AthleteSuspended = 1 on Moderation, None;
    SuspensionLifted = 1 on Moderation, None;
}

/// Reads a payload of an older version by all steps from there to the current one.
fn upcast<T: DeserializeOwned>(
    steps: &[(i16, Upcast)],
    version: i16,
    payload: &str,
) -> Result<T, serde_json::Error> {
    let stored: Value = serde_json::from_str(payload)?;
    let steps = steps.iter().filter(|(from, _)| *from >= version);
    serde_json::from_value(steps.fold(stored, |payload, (_, step)| step(payload)))
}

/// The schema of a current version, from its type.
fn schema<T: JsonSchema>(name: &str, version: i16) -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), format!("urn:ironledger:event:{name}:{version}").into());
    schema
}

/// The schema of an older version, as it was when that was written.
fn frozen(stored: &str) -> Schema {
    // The file is part of the program and tested with it.
    serde_json::from_str(stored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{TYPES, Upcast, upcast};

    #[test]
    fn versions_have_no_gap_and_the_last_is_current() {
        for kind in TYPES {
            let of_name = || TYPES.iter().filter(|other| other.name == kind.name);
            let versions: Vec<i16> = of_name().map(|kind| kind.version).collect();
            let newest = *versions.last().unwrap();
            assert_eq!(versions, (1..=newest).collect::<Vec<_>>(), "{}", kind.name);
            assert_eq!(kind.current, kind.version == newest, "{}", kind.name);
            let id = format!("urn:ironledger:event:{}:{}", kind.name, kind.version);
            assert_eq!((kind.schema)().get("$id"), Some(&Value::from(id)));
        }
    }

    #[test]
    fn a_chain_is_walked_from_where_the_payload_stands() {
        fn step(payload: Value, name: &str) -> Value {
            json!(format!("{}{name}", payload.as_str().unwrap()))
        }
        let steps: &[(i16, Upcast)] =
            &[(1, |payload| step(payload, " two")), (2, |payload| step(payload, " three"))];
        let read = |version| upcast::<String>(steps, version, "\"said\"").unwrap();
        assert_eq!(read(1), "said two three");
        assert_eq!(read(2), "said three");
    }
}
