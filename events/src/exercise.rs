//! Exercises: what is trained, with what, and how it is measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Personal, PersonalField};

/// An athlete made an exercise of their own. Said by the athlete, or by an import that met a name
/// the library does not know. In `exercises-…`. The name is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomExerciseCreated {
    /// The id of the exercise among those of its owner.
    pub exercise_id: Uuid,
    /// What the athlete calls it, 1 to 100 characters.
    pub name: Personal<String>,
    /// What it trains, with what, and how it is measured.
    pub traits: ExerciseTraits,
}

impl CustomExerciseCreated {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.name]
    }
}

/// What an exercise trains, with what, and how it is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExerciseTraits {
    /// What it takes.
    pub equipment: Equipment,
    /// The muscles that do the work.
    pub primary_muscles: Vec<Muscle>,
    /// The muscles that help.
    #[serde(default)]
    pub secondary_muscles: Vec<Muscle>,
    /// How its sets are measured; never changed, since records depend on it.
    pub kind: Measurement,
}

/// How the sets of an exercise are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Measurement {
    /// Weight and repetitions: bench press.
    WeightReps,
    /// Repetitions alone: push-up.
    RepsOnly,
    /// Repetitions with weight added to the body: weighted pull-up.
    WeightedBodyweight,
    /// Repetitions with weight taken off the body: assisted pull-up.
    AssistedBodyweight,
    /// Time alone: plank.
    Duration,
    /// Time under a weight: weighted plank.
    WeightDuration,
    /// Distance and time: running.
    DistanceDuration,
    /// Distance under a weight: farmer's walk.
    WeightDistance,
}

impl Measurement {
    /// Whether a set of this kind can have a weight (added or assisting weight included).
    pub fn has_weight(self) -> bool {
        !matches!(self, Self::RepsOnly | Self::Duration | Self::DistanceDuration)
    }

    /// Whether the bodyweight of the day is part of what is lifted.
    pub fn has_bodyweight(self) -> bool {
        matches!(self, Self::WeightedBodyweight | Self::AssistedBodyweight)
    }

    /// Whether a set of this kind can have repetitions.
    pub fn has_reps(self) -> bool {
        matches!(
            self,
            Self::WeightReps | Self::RepsOnly | Self::WeightedBodyweight | Self::AssistedBodyweight
        )
    }

    /// Whether a set of this kind can have a distance.
    pub fn has_distance(self) -> bool {
        matches!(self, Self::DistanceDuration | Self::WeightDistance)
    }
}

/// What an exercise takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Equipment {
    Barbell,
    Dumbbell,
    Kettlebell,
    Machine,
    Cable,
    SmithMachine,
    Bodyweight,
    Band,
    Plate,
    EzBar,
    TrapBar,
    MedicineBall,
    Suspension,
    CardioMachine,
    Other,
    None,
}

/// A muscle, or what stands for several.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Muscle {
    Abdominals,
    Obliques,
    LowerBack,
    UpperBack,
    Lats,
    Traps,
    Neck,
    Chest,
    FrontDelts,
    SideDelts,
    RearDelts,
    Biceps,
    Triceps,
    Forearms,
    Quadriceps,
    Hamstrings,
    Glutes,
    Adductors,
    Abductors,
    Calves,
    HipFlexors,
    Cardio,
    FullBody,
}
