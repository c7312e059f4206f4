//! What is done about what does not belong here: all events of `report-…` and `moderation-…` streams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AthleteId, ContentId, Personal, PersonalField, Timestamp};

/// An athlete tells who runs the place of something that does not belong here. Said by who tells. First
/// event of its `report-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentReported {
    /// Whose doing it is.
    pub athlete: AthleteId,
    /// What of theirs; the athlete as such where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentId>,
    /// What is wrong with it.
    pub reason: ReportReason,
    /// What else there is to say, of 1 to 1000 characters; personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Personal<String>>,
}

impl ContentReported {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        self.text.as_mut().map(|field| field as &mut dyn PersonalField).into_iter().collect()
    }
}

/// What is wrong with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ReportReason {
    /// It sells something, or is there again and again.
    Spam,
    /// It is meant to hurt somebody.
    Harassment,
    /// It is against people for what they are.
    Hate,
    /// It shows what not everybody wants to see.
    Nudity,
    /// It is about hurting oneself.
    SelfHarm,
    /// Somebody passes for somebody else.
    Impersonation,
    /// The figures cannot be true.
    Cheating,
    /// Something else, which the text says.
    Other,
}

/// A report was looked at. Said by an admin, in the stream of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportResolved {
    /// What came of it.
    pub outcome: ReportOutcome,
}

impl ReportResolved {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// What came of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ReportOutcome {
    /// There is nothing wrong.
    Dismissed,
    /// What it is about is hidden.
    Hidden,
    /// Whose doing it is was suspended.
    Suspended,
}

/// Something is shown to nobody any more but whose it is. Said by an admin, in the `moderation-…` stream
/// of whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentHidden {
    /// What.
    pub content: ContentId,
}

impl ContentHidden {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// Something that was hidden is shown again. Said by an admin, in the `moderation-…` stream of whose it
/// is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentRestored {
    /// What.
    pub content: ContentId,
}

impl ContentRestored {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// Nobody sees anything of an athlete, who trains on, and has nothing to do with others. Said by an
/// admin, in the athlete's `moderation-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AthleteSuspended {
    /// Until when; for good where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl AthleteSuspended {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// An athlete is suspended no longer. Said by an admin, in the athlete's `moderation-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuspensionLifted {}

impl SuspensionLifted {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}
