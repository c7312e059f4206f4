//! What an athlete weighed: all events of `body-…` streams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BodyweightId, Personal, PersonalField, Timestamp, Weight};

/// The athlete stood on the scales. Said by the athlete. The weight is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyweightMeasured {
    /// The id of the weighing among those of its owner.
    pub bodyweight_id: BodyweightId,
    /// What the scales said, and when.
    pub weighing: Weighing,
}

impl BodyweightMeasured {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.weighing.weight]
    }
}

/// A weighing was noted wrongly, and this is what it was. Said by the athlete. Holds the whole new
/// truth, and changes what followed from the earlier one. The weight is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyweightCorrected {
    /// Which weighing.
    pub bodyweight_id: BodyweightId,
    /// What the scales said in truth, and when.
    pub weighing: Weighing,
}

impl BodyweightCorrected {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.weighing.weight]
    }
}

/// A weighing never was, or is not to count. Said by the athlete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyweightRemoved {
    /// Which weighing.
    pub bodyweight_id: BodyweightId,
}

impl BodyweightRemoved {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// What the scales said, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Weighing {
    /// When.
    pub measured_at: Timestamp,
    /// How much; personal.
    pub weight: Personal<Weight>,
}
