//! What can happen: every event type of Ironledger, with its payload, its versions, and the value
//! types that payloads are made of.
//!
//! The crate is pure: it reads no clock, draws no random number and does no input or output. An
//! event that was stored once stays readable for ever, so a payload here only ever grows by
//! optional fields; anything else is a new version with an upcast from the last.

mod account;
mod athlete;
mod audit;
mod body;
mod coaching;
mod exercise;
mod ids;
mod metadata;
mod moderation;
mod personal;
mod public;
mod record;
mod recorded;
mod registry;
mod routine;
mod social;
mod timestamp;
mod values;
mod weight;
mod workout;

pub use account::{Notice, Role, RoleGranted, Tier, TierGranted};
pub use athlete::{
    AthleteRegistered, Channels, Experience, Goal, Notifications, Privacy, ProfileChanged, Sex,
    Theme, TimeZone, Units,
};
pub use audit::{AuditRead, AuditSubject};
pub use body::{BodyweightCorrected, BodyweightMeasured, BodyweightRemoved, Weighing};
pub use coaching::{CoachAccepted, CoachInvited, CoachingEnded, CoachingSide};
pub use exercise::{CustomExerciseCreated, Equipment, ExerciseTraits, Measurement, Muscle};
pub use ids::{
    AthleteId, BodyweightId, CommentId, CustomExerciseId, ExerciseId, FolderId, FollowId,
    InvalidId, InvitationId, PostId, ReportId, RoutineId, SetId, Stream, StreamKind, WorkoutId,
};
pub use metadata::{Actor, Channel, Metadata};
pub use moderation::{
    AthleteSuspended, ContentHidden, ContentReported, ContentRestored, ReportOutcome, ReportReason,
    ReportResolved, SuspensionLifted,
};
pub use personal::{Personal, PersonalField};
pub use public::{Family, public_schema};
pub use record::{
    PRAchieved, PRRevoked, RecordHolder, RecordKind, RecordMoved, RecordsRestated, RestatedBecause,
};
pub use recorded::{Epoch, EventId, Partition, Position, Recorded, Version};
pub use registry::{DecodeError, Event, EventType, TYPES};
pub use routine::{
    CopiedFrom, PlannedExercise, PlannedSet, RepRange, RoutineChanged, RoutineCreated,
    RoutineDeleted, RoutineDetails, RoutineFolderCreated, RoutineFolderDeleted,
    RoutineFolderRenamed, RoutineLiked, RoutineUnliked, Weekday,
};
pub use social::{
    AthleteBlocked, AthleteFollowed, AthleteUnblocked, AthleteUnfollowed, CommentDeleted,
    CommentDismissed, CommentEdited, CommentWritten, ContentId, ContentKind, ContentLiked,
    ContentUnliked, FollowerAccepted, FollowerRemoved, PostDeleted, PostEdited, PostPublished,
    PublicId,
};
pub use timestamp::Timestamp;
pub use values::{
    BirthYear, Energy, FormScore, OutOfRange, Rating, Reps, Rpe, Seconds, SetNumber, Soreness,
    SupersetId, Text,
};
pub use weight::{
    CustomMetric, DistanceUnit, Height, KG_PER_LB, Metres, MetricKind, Number, Weight, WeightUnit,
};
pub use workout::{
    ExerciseNoted, Feeling, ImportFormat, SetConfirmed, SetCorrected, SetKind, SetLogged,
    SetRemoved, SetValues, Side, Visibility, WorkoutCompleted, WorkoutDetails,
    WorkoutDetailsChanged, WorkoutDiscarded, WorkoutRoutine, WorkoutShared, WorkoutStarted,
    WorkoutUnshared,
};
