//! What happens in a workout: all events of `workout-…` streams.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    CustomMetric, Energy, ExerciseId, FormScore, Metres, Muscle, Personal, PersonalField,
    PlannedExercise, Rating, Reps, RoutineId, Rpe, Seconds, SetId, SetNumber, Soreness, SupersetId,
    Timestamp, Version, Weight,
};

/// A workout began. Said by the athlete or an import. First event of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkoutStarted {
    /// What the athlete said about it.
    pub details: WorkoutDetails,
    /// The app whose export it was read from; nobody is told of such a workout as news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<ImportFormat>,
    /// The routine of the athlete's own that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routine: Option<WorkoutRoutine>,
    /// What was planned, as the routine said it then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<PlannedExercise>,
}

impl WorkoutStarted {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        let mut fields = self.details.personal_fields();
        fields.extend(self.plan.iter_mut().flat_map(PlannedExercise::personal_fields));
        fields
    }
}

/// The routine that a workout follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkoutRoutine {
    /// Which one.
    pub id: RoutineId,
    /// The version of its stream that the plan is from.
    pub version: Version,
}

/// What an athlete says about a workout as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkoutDetails {
    /// When it began.
    pub started_at: Timestamp,
    /// A title of 1 to 100 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Personal<String>>,
    /// Notes of 1 to 1000 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Personal<String>>,
    /// Who may see it.
    pub visibility: Visibility,
}

impl WorkoutDetails {
    /// The fields about a person.
    pub fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        let title = self.title.as_mut().map(|field| field as &mut dyn PersonalField);
        let notes = self.notes.as_mut().map(|field| field as &mut dyn PersonalField);
        title.into_iter().chain(notes).collect()
    }
}

/// Who may see a workout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Those who follow the athlete.
    #[default]
    Followers,
    /// The athlete alone.
    Private,
}

/// The app from whose export something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ImportFormat {
    /// Hevy's CSV.
    Hevy,
    /// Strong's CSV, in any of its variants.
    Strong,
    /// FitNotes' CSV.
    Fitnotes,
}

/// What an athlete says about a workout changed. Said by the athlete. Holds the whole new truth,
/// so that a reader needs nothing earlier; the earlier truth is in the events before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkoutDetailsChanged {
    /// What now holds.
    pub details: WorkoutDetails,
    /// When it ended, as it now holds; absent while the workout is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// How it felt, as it now holds; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feeling: Option<Personal<Feeling>>,
}

impl WorkoutDetailsChanged {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        let mut fields = self.details.personal_fields();
        fields.extend(self.feeling.as_mut().map(|field| field as &mut dyn PersonalField));
        fields
    }
}

/// A set was performed. Said by the athlete or an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetLogged {
    /// The id of the set among those of its owner: a set is its id.
    pub set_id: SetId,
    /// What was performed.
    pub set: SetValues,
    /// Whether it is ten times or more what was known of the athlete then. Ironledger says so, for
    /// somebody to ask; `SetConfirmed` answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unusual: bool,
}

impl SetLogged {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        self.set.personal_fields()
    }
}

/// A set was logged wrongly, and this is what it was. Said by the athlete. Holds the whole new
/// truth, so that a reader needs nothing earlier; the earlier truth is in the events before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetCorrected {
    /// Which set.
    pub set_id: SetId,
    /// What was performed in truth.
    pub set: SetValues,
    /// Whether it is ten times or more what was known of the athlete then. Ironledger says so, for
    /// somebody to ask; `SetConfirmed` answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unusual: bool,
}

impl SetCorrected {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        self.set.personal_fields()
    }
}

/// A set was never performed, or is not to count. Said by the athlete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetRemoved {
    /// Which set.
    pub set_id: SetId,
}

impl SetRemoved {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// A set that was far beyond what was known of the athlete is right all the same. Said by the athlete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetConfirmed {
    /// Which set.
    pub set_id: SetId,
}

impl SetConfirmed {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// What a set was. Order within a workout is the order of logging; the number may repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetValues {
    /// The exercise: a slug of the library, or the id of a custom one of the owner.
    pub exercise: ExerciseId,
    /// The athlete's own count within the exercise.
    pub number: SetNumber,
    /// What the set was for.
    pub kind: SetKind,
    /// The side of the body that worked.
    pub side: Side,
    /// Repetitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reps: Option<Reps>,
    /// Weight lifted, added or assisting, by the exercise's kind of measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Rating of perceived exertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpe: Option<Rpe>,
    /// Rest after the set, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest_seconds: Option<Seconds>,
    /// How long the set took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<Seconds>,
    /// How far, in metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_metres: Option<Metres>,
    /// What else was counted, such as floors climbed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_metric: Option<CustomMetric>,
    /// Which superset of the workout it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superset_id: Option<SupersetId>,
    /// Notes of 1 to 500 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Personal<String>>,
    /// When it was performed.
    pub performed_at: Timestamp,
}

impl SetValues {
    /// The fields about a person.
    pub fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        self.notes.as_mut().map(|field| field as &mut dyn PersonalField).into_iter().collect()
    }
}

/// Makes version 2 of `SetLogged` and `SetCorrected` from version 1, which knew no sides: what it
/// told of was done with both.
pub(crate) fn set_with_side(mut payload: Value) -> Value {
    if let Some(set) = payload.get_mut("set").and_then(Value::as_object_mut) {
        set.insert("side".to_owned(), "both".into());
    }
    payload
}

/// The side of the body that worked in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Side {
    /// Both, at once or in turns.
    #[default]
    Both,
    /// The left one alone.
    Left,
    /// The right one alone.
    Right,
}

impl Side {
    /// Whether it is what a set is of that says nothing about it.
    pub fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// What a set was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SetKind {
    /// A working set.
    #[default]
    Normal,
    /// A warm-up: left out of every total and record.
    WarmUp,
    /// A set right after another, with less weight.
    Drop,
    /// A set taken to failure.
    Failure,
}

/// What is noted of one exercise of a workout changed. Said by the athlete or an import. Holds the
/// whole new truth of that exercise in that workout: what is absent was emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExerciseNoted {
    /// The exercise: a slug of the library, or the id of a custom one of the owner.
    pub exercise: ExerciseId,
    /// Notes of 1 to 1000 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Personal<String>>,
    /// How well it was executed, in points of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_score: Option<FormScore>,
    /// Notes on the execution, of 1 to 1000 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_notes: Option<Personal<String>>,
}

impl ExerciseNoted {
    /// The fields about a person.
    pub fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        let notes = self.notes.as_mut().map(|field| field as &mut dyn PersonalField);
        let form_notes = self.form_notes.as_mut().map(|field| field as &mut dyn PersonalField);
        notes.into_iter().chain(form_notes).collect()
    }

    /// Whether it says nothing any more.
    pub fn is_empty(&self) -> bool {
        self.notes.is_none() && self.form_score.is_none() && self.form_notes.is_none()
    }
}

/// A workout ended. Said by the athlete or an import, or by Ironledger of one that was left open. It
/// stays editable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkoutCompleted {
    /// When it ended.
    pub completed_at: Timestamp,
    /// How it felt; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feeling: Option<Personal<Feeling>>,
    /// Whether the athlete left it open and Ironledger closed it, at the time of its last set; nobody
    /// is told of such a workout as news.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub abandoned: bool,
    /// Whether it is shared by that with those who may see it: what is private, came out of another app
    /// or ended long ago is not news.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

impl WorkoutCompleted {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        self.feeling.as_mut().map(|field| field as &mut dyn PersonalField).into_iter().collect()
    }
}

/// How a workout felt. About the athlete's body, so personal as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Feeling {
    /// Stars for the workout, 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
    /// Energy, 1 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Energy>,
    /// Soreness of muscles, 0 to 10 each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub soreness: BTreeMap<Muscle, Soreness>,
}

/// A completed workout is shared with those who may see it, or something else is said with it.
/// Said by the athlete. Holds the whole new truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkoutShared {
    /// What the athlete says with it, of 1 to 5000 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Personal<String>>,
}

impl WorkoutShared {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        self.text.as_mut().map(|field| field as &mut dyn PersonalField).into_iter().collect()
    }
}

/// A workout is shared with nobody any more, nor are the records that it broke. Said by the athlete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkoutUnshared {
    /// The records alone are meant, and the workout stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub records_only: bool,
}

impl WorkoutUnshared {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// A workout was thrown away with all its sets. Said by the athlete, or by Ironledger of one that was
/// left open without a set. Last event of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkoutDiscarded {}

impl WorkoutDiscarded {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}
