//! Who looked at whose records: all events of `audit-…` streams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::PersonalField;

/// Somebody who runs the place read the audit of an athlete's set or workout. Said by Ironledger
/// before it gives the answer; who it was is the actor of the metadata. In the `audit-…` stream of
/// the athlete whose audit was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRead {
    /// What kind of thing it was.
    pub subject: AuditSubject,
    /// Which one, among those of the athlete.
    pub id: Uuid,
}

impl AuditRead {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// What an audit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum AuditSubject {
    /// One set.
    Set,
    /// A workout with its sets.
    Workout,
}
