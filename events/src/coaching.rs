//! Who coaches whom: all events of `coaching-…` streams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AthleteId, PersonalField};

/// A coach asked an athlete to be their client. Said by the coach, in the coach's `coaching-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoachInvited {
    /// The invitation, which an answer names.
    pub invitation: Uuid,
    /// Who was asked.
    pub client: AthleteId,
}

impl CoachInvited {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// An athlete took a coach, who acts for them from now on. Said by the athlete, in the athlete's
/// `coaching-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoachAccepted {
    /// The invitation that is answered.
    pub invitation: Uuid,
    /// Who asked.
    pub coach: AthleteId,
}

impl CoachAccepted {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// One side withdrew, declined or ended an invitation and all that came of it, at once and for good.
/// Said by that side, in its `coaching-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoachingEnded {
    /// The invitation.
    pub invitation: Uuid,
    /// Which side says so.
    pub by: CoachingSide,
    /// Who is on the other side.
    pub with: AthleteId,
}

impl CoachingEnded {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// A side of a coaching.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words say it")]
pub enum CoachingSide {
    Coach,
    Client,
}
