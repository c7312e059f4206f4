//! An event as the log holds it: where it stands, and what it says.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AthleteId, Event, Metadata, Stream, Timestamp};

/// Declares a number of the log.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// One of the dense sequences that the log is made of; an athlete belongs to one for ever.
    Partition(i16)
}
number! {
    /// Where in its partition an event stands: 1, 2, 3 … in commit order, with no hole.
    Position(i64)
}
number! {
    /// Which event of its stream it is: 1, 2, 3 …; 0 is a stream that does not exist yet.
    Version(i32)
}
number! {
    /// Which line of history the log is on; it changes when the log is restored from a backup.
    Epoch(i64)
}

impl Position {
    /// The position after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Version {
    /// The version after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The identity of an event, everywhere and for ever: owner, stream and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The athlete whose event it is.
    pub owner: AthleteId,
    /// The stream it belongs to.
    pub stream: Stream,
    /// Its number within the stream.
    pub version: Version,
}

impl EventId {
    /// Whether a text that was made of an identity names this one, also if one of both was made by
    /// a program that does not know the kind of the stream.
    pub fn is_named(&self, text: &str) -> bool {
        let ours = self.to_string();
        if ours == text {
            return true;
        }
        let parts = |text: &str| -> Option<(String, bool)> {
            let (owner, rest) = text.split_once('/')?;
            let (word, rest) = rest.split_once('-')?;
            let is_unknown =
                word.strip_prefix("kind").is_some_and(|code| code.parse::<i16>().is_ok());
            Some((format!("{owner}/{rest}"), is_unknown))
        };
        match (parts(&ours), parts(text)) {
            (Some((ours, unknown)), Some((theirs, other))) => ours == theirs && (unknown || other),
            _ => false,
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.owner, self.stream, self.version)
    }
}

/// An event that the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The partition of its owner.
    pub partition: Partition,
    /// Its place in the partition.
    pub position: Position,
    /// The line of history in which it was recorded.
    pub epoch: Epoch,
    /// Owner, stream and version.
    pub id: EventId,
    /// When the log took it; never earlier than the event before it in the partition.
    pub recorded_at: Timestamp,
    /// Who, from where, why, and when it happened.
    pub metadata: Metadata,
    /// What happened.
    pub event: Event,
}
