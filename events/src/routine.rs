//! What athletes plan to train, and which plans of others they like: all events of `routine-…`,
//! `folders-…` and `likes-…` streams.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AthleteId, ExerciseId, FolderId, Metres, Personal, PersonalField, Reps, RoutineId, Rpe,
    Seconds, SetKind, SupersetId, Weight,
};

/// An athlete made a routine, or copied somebody's. Said by the athlete. First event of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineCreated {
    /// What is planned.
    pub routine: RoutineDetails,
    /// Whose routine it was copied from. Names another athlete, so personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_from: Option<Personal<CopiedFrom>>,
}

impl RoutineCreated {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        let mut fields = self.routine.personal_fields();
        fields.extend(self.copied_from.as_mut().map(|field| field as &mut dyn PersonalField));
        fields
    }
}

/// A routine of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CopiedFrom {
    /// Whose it is.
    pub owner: AthleteId,
    /// Which one.
    pub routine: RoutineId,
}

/// A routine changed. Said by the athlete. Holds the whole new truth, so that a reader needs nothing
/// earlier; the earlier truth is in the events before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineChanged {
    /// What is planned now.
    pub routine: RoutineDetails,
}

impl RoutineChanged {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        self.routine.personal_fields()
    }
}

/// A routine was thrown away; workouts that were started from it keep what was planned. Said by the
/// athlete. Last event of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineDeleted {}

impl RoutineDeleted {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// What a routine says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineDetails {
    /// What the athlete calls it, 1 to 100 characters; personal.
    pub name: Personal<String>,
    /// Notes of 1 to 1000 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Personal<String>>,
    /// The folder that it was put into. One that was deleted since is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderId>,
    /// At most 50 exercises, in their order.
    pub exercises: Vec<PlannedExercise>,
    /// The days of the week that it is for.
    #[serde(default)]
    pub schedule: BTreeSet<Weekday>,
    /// Whether everybody may see, like and copy it.
    pub public: bool,
}

impl RoutineDetails {
    /// The fields about a person.
    pub fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        let mut fields: Vec<&mut dyn PersonalField> = vec![&mut self.name];
        fields.extend(self.notes.as_mut().map(|field| field as &mut dyn PersonalField));
        fields.extend(self.exercises.iter_mut().flat_map(PlannedExercise::personal_fields));
        fields
    }
}

/// What is planned of an exercise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedExercise {
    /// The exercise: a slug of the library, or the id of a custom one of the owner.
    pub exercise: ExerciseId,
    /// 1 to 30 sets, in their order.
    pub sets: Vec<PlannedSet>,
    /// Rest after each set, in seconds.
    pub rest_seconds: Seconds,
    /// Exercises with the same number are done in turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superset_id: Option<SupersetId>,
    /// Notes of 1 to 500 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Personal<String>>,
}

impl PlannedExercise {
    /// The fields about a person.
    pub fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        self.notes.as_mut().map(|field| field as &mut dyn PersonalField).into_iter().collect()
    }
}

/// What a set is to be; what is absent is left to the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedSet {
    /// What the set is for.
    pub kind: SetKind,
    /// How many repetitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reps: Option<RepRange>,
    /// Weight lifted, added or assisting, by the exercise's kind of measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// How long it is to take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<Seconds>,
    /// How far, in metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_metres: Option<Metres>,
    /// Rating of perceived exertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpe: Option<Rpe>,
}

/// From so many repetitions to so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepRange {
    /// At least so many.
    pub min: Reps,
    /// At most so many, and not fewer than the least.
    pub max: Reps,
}

/// A day of the week.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// An athlete made a folder for routines. Said by the athlete, in `folders-…`. The name is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineFolderCreated {
    /// The id of the folder among those of its owner.
    pub folder: FolderId,
    /// What the athlete calls it, 1 to 100 characters.
    pub name: Personal<String>,
}

impl RoutineFolderCreated {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.name]
    }
}

/// A folder for routines has another name. Said by the athlete, in `folders-…`. The name is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineFolderRenamed {
    /// Which folder.
    pub folder: FolderId,
    /// What the athlete calls it now, 1 to 100 characters.
    pub name: Personal<String>,
}

impl RoutineFolderRenamed {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.name]
    }
}

/// A folder for routines is gone; its routines are in none from then on. Said by the athlete, in
/// `folders-…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineFolderDeleted {
    /// Which folder.
    pub folder: FolderId,
}

impl RoutineFolderDeleted {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// An athlete likes a routine of somebody. Said by who likes it, in their own `likes-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineLiked {
    /// Whose routine.
    pub owner: AthleteId,
    /// Which one.
    pub routine: RoutineId,
}

impl RoutineLiked {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// An athlete likes a routine of somebody no longer. Said by who liked it, in their own `likes-…`
/// stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutineUnliked {
    /// Whose routine.
    pub owner: AthleteId,
    /// Which one.
    pub routine: RoutineId,
}

impl RoutineUnliked {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}
