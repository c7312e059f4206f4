//! One end of a span of time, as queries name it.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use domain::days::begins;
use events::{TimeZone, Timestamp};
use serde::{Deserialize, Deserializer, de};

/// One end of a span of time: an instant, or a local day of the athlete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    At(Timestamp),
    Day(NaiveDate),
}

impl Edge {
    /// The first instant of a span that begins here.
    pub(crate) fn first(self, zone: TimeZone) -> DateTime<Utc> {
        match self {
            Self::At(at) => at.utc(),
            Self::Day(day) => begins(day, zone),
        }
    }

    /// The first instant after a span that ends here; of an instant, the span has that too.
    pub(crate) fn after(self, zone: TimeZone) -> DateTime<Utc> {
        match self {
            Self::At(at) => at.utc() + TimeDelta::microseconds(1),
            Self::Day(day) => begins(day + Days::new(1), zone),
        }
    }
}

impl<'de> Deserialize<'de> for Edge {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        // In a query string, an unescaped plus is a space.
        let text = text.replace(' ', "+");
        // The years that an instant can have, and Postgres can compare.
        let in_range = |day: &NaiveDate| (1900..=9999).contains(&day.year());
        let day = || plain_day(&text).filter(in_range).map(Self::Day);
        text.parse()
            .map(Self::At)
            .ok()
            .or_else(day)
            .ok_or_else(|| de::Error::custom("must be a date or an RFC 3339 time with an offset"))
    }
}

/// A day as `YYYY-MM-DD`; the decoder takes signs and fewer digits, too.
fn plain_day(text: &str) -> Option<NaiveDate> {
    let is_plain = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    text.parse().ok().filter(|_| is_plain)
}

web::looks_like! { Edge: {
    "examples": ["2026-01-31"],
    "anyOf": [
        { "type": "string", "format": "date", "pattern": web::document::YEARS },
        { "type": "string", "format": "date-time", "pattern": web::document::YEARS },
    ],
    "description": "A local day of the athlete, or an RFC 3339 time with an offset.",
} }

#[cfg(test)]
mod tests {
    use super::Edge;

    fn day(day: &str, zone: &str) -> (String, String) {
        let (edge, zone) = (Edge::Day(day.parse().unwrap()), zone.parse().unwrap());
        let text = |at: chrono::DateTime<chrono::Utc>| at.format("%FT%T").to_string();
        (text(edge.first(zone)), text(edge.after(zone)))
    }

    #[test]
    fn days_begin_when_the_clocks_of_the_place_say_so() {
        for (date, zone, first, after) in [
            ("2024-03-02", "Europe/Paris", "2024-03-01T23:00:00", "2024-03-02T23:00:00"),
            ("2024-03-31", "Europe/Paris", "2024-03-30T23:00:00", "2024-03-31T22:00:00"),
            ("2024-03-02", "US/Pacific", "2024-03-02T08:00:00", "2024-03-03T08:00:00"),
            // Midnight was skipped, and on Samoa a whole day.
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00", "2018-11-05T02:00:00"),
            ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00", "2011-12-30T10:00:00"),
            // Midnight came twice.
            ("2018-02-18", "America/Sao_Paulo", "2018-02-18T03:00:00", "2018-02-19T03:00:00"),
            ("9999-12-31", "UTC", "9999-12-31T00:00:00", "+10000-01-01T00:00:00"),
        ] {
            assert_eq!(day(date, zone), (first.into(), after.into()), "{date} {zone}");
        }
    }
}
