//! What is announced of an athlete's records: all events of `records-…` streams.
//!
//! A record of an exercise moves from one holder to another. What is announced is the difference
//! between the truth and what this stream has said so far, so that it adds up to the truth whatever was
//! corrected, removed or brought belatedly meanwhile.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ExerciseId, PersonalField, SetId, Timestamp, WorkoutId, weight::DecimalText};

/// An athlete broke records of an exercise. Said by Ironledger, which worked it out from the sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PRAchieved {
    /// Of which exercise.
    pub exercise: ExerciseId,
    /// Whether nobody held any of these before: then it is a beginning, and no reason for a trophy.
    pub first: bool,
    /// The records that went to a better holder.
    pub records: Vec<RecordMoved>,
}

impl PRAchieved {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// Records of an exercise were lost, since the set that held them was removed, corrected, moved or
/// discarded, or another one turned out to be as good and earlier. Said by Ironledger, which worked
/// it out from the sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PRRevoked {
    /// Of which exercise.
    pub exercise: ExerciseId,
    /// The records that went to whoever is next, or to nobody.
    pub records: Vec<RecordMoved>,
}

impl PRRevoked {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// Records of an exercise are now these, and that is no news: they came with an import, or by other
/// rules. Said by Ironledger, which worked it out from the sets: one summary of an exercise in place of a
/// thousand trophies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordsRestated {
    /// Of which exercise.
    pub exercise: ExerciseId,
    /// Why it is no news.
    pub reason: RestatedBecause,
    /// The records that have another holder than was said before.
    pub records: Vec<RecordMoved>,
}

impl RecordsRestated {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// Why a record is no news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RestatedBecause {
    /// The sets came out of another app.
    Imported,
    /// Somebody had the announcements held against the truth: `ironledger records reconcile`.
    Reconciled,
    /// The sets are on the log for more than a day, and nobody was there to tell.
    Late,
}

/// A record that went from one holder to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordMoved {
    /// What is best.
    pub kind: RecordKind,
    /// In the rep table: for exactly how many repetitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reps: Option<u16>,
    /// Who holds it now; nobody where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<RecordHolder>,
    /// Who held it before, as far as it was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<RecordHolder>,
}

/// A kind of record.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RecordKind {
    /// The heaviest weight, in kg.
    HeaviestWeight,
    /// The least assistance, in kg.
    LeastAssistance,
    /// The best estimate of a one-repetition maximum, in kg.
    OneRepMax,
    /// The heaviest weight for at least three repetitions, in kg.
    #[serde(rename = "heaviest_for_3")]
    HeaviestForThree,
    /// The heaviest weight for at least five repetitions, in kg.
    #[serde(rename = "heaviest_for_5")]
    HeaviestForFive,
    /// The most repetitions.
    MostReps,
    /// The most repetitions times weight of a set, in kg.
    SetVolume,
    /// The most repetitions times weight of a workout, in kg.
    SessionVolume,
    /// The longest time, in seconds.
    LongestDuration,
    /// The longest distance, in metres.
    LongestDistance,
    /// The heaviest weight, or the least assistance, for exactly so many repetitions, in kg.
    AtReps,
}

/// Who holds a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct RecordHolder {
    /// The figure, in what the kind of record is in.
    #[schemars(with = "DecimalText")]
    pub figure: Decimal,
    /// The set; none where a whole workout holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_id: Option<SetId>,
    /// The workout.
    pub workout_id: WorkoutId,
    /// When it was done.
    pub performed_at: Timestamp,
}
