//! When: instants as events and answers carry them.

use std::{borrow::Cow, fmt, str::FromStr};

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const WANTED: &str = "an RFC 3339 time with an offset, such as 2026-01-31T18:30:00+01:00";

/// An instant in UTC, to the microsecond, from 1900 to 9999; written as RFC 3339 with `Z`.
///
/// It is read from RFC 3339 with `Z` or an offset; a time without an offset is refused, because
/// nobody can say when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Drops what is finer than a microsecond, which Postgres could not keep.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at))
    }

    /// The instant for calculations with calendars and time zones.
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// The instant so much later, or earlier when negative; `None` outside 1900 to 9999.
    pub fn shifted(self, by: TimeDelta) -> Option<Self> {
        self.0.checked_add_signed(by).map(Self).filter(|at| at.in_range())
    }

    fn in_range(self) -> bool {
        (1900..=9999).contains(&self.0.year())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The decoder also takes a space for the T, and a minus that is no ASCII.
        let is_plain = text.is_ascii() && matches!(text.as_bytes().get(10), Some(b'T' | b't'));
        DateTime::parse_from_rfc3339(text)
            .map(|at| Self::new(at.to_utc()))
            .ok()
            .filter(|at| is_plain && at.in_range())
            .ok_or_else(|| format!("must be {WANTED}"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WANTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }

        from.deserialize_str(Visitor)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn an_offset_is_needed_and_normalised() {
        let at: Timestamp = "2026-01-31T18:30:00.1234567+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-01-31T17:30:00.123456Z");
        for bad in [
            "2026-01-31T18:30:00",
            "2026-01-31",
            "1899-12-31T00:00:00Z",
            "2026-01-31 18:30:00Z",
            "2026-01-31T18:30:00\u{2212}01:00",
            "soon",
            "",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
