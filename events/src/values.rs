//! How many, how hard, how long: small numbers and texts that know their range.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The value lies outside what the field can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct OutOfRange(pub(crate) &'static str);

/// Declares a whole number with an inclusive range, which holds wherever it is read.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident: $int:ty, $min:literal..=$max:literal $(, $unit:literal)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name($int);

        impl $name {
            const WANTED: &str =
                concat!("a whole number from ", stringify!($min), " to ", stringify!($max));

            /// Takes a number within the range.
            pub fn new(value: i64) -> Result<Self, OutOfRange> {
                if ($min..=$max).contains(&value) {
                    Ok(Self(value as $int))
                } else {
                    Err(OutOfRange(Self::WANTED))
                }
            }

            /// The bare number.
            pub fn get(self) -> $int {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let whole = from.deserialize_i64(Whole(Self::WANTED))?;
                Self::new(whole).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "integer", "minimum": $min, "maximum": $max, $("x-unit": $unit)?
                })
            }
        }
    };
}

/// Reads a whole number; the range is checked by who asked.
struct Whole(&'static str);

impl de::Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
        Ok(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<i64, E> {
        // Exports and JavaScript write 6.0 for six.
        if value.fract() == 0.0 && value.abs() < 9e15 {
            Ok(value as i64)
        } else {
            Err(E::custom(format!("must be {}", self.0)))
        }
    }
}

bounded! {
    /// The number of a set within an exercise of a workout, as the athlete counts: from 1.
    SetNumber: u8, 1..=100
}
bounded! {
    /// Repetitions of a set; 0 is a failed attempt.
    Reps: u16, 0..=1000
}
bounded! {
    /// A span of time in whole seconds, up to a day.
    Seconds: u32, 0..=86400, "s"
}
impl Seconds {
    /// The rest between planned sets of which nothing else is said.
    pub const USUAL_REST: Self = Self(90);
}

bounded! {
    /// Sets of a workout with the same number belong to one superset.
    SupersetId: u16, 0..=999
}
bounded! {
    /// How good a workout was, in stars.
    Rating: u8, 1..=5
}
bounded! {
    /// How much energy the athlete had.
    Energy: u8, 1..=10
}
bounded! {
    /// How sore a muscle was; 0 is not at all.
    Soreness: u8, 0..=10
}

bounded! {
    /// How well an exercise was executed, in points of 100.
    FormScore: u8, 0..=100
}
bounded! {
    /// The year somebody was born in.
    BirthYear: u16, 1900..=2100
}

/// Rating of perceived exertion, 1 to 10 in halves; a JSON number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rpe {
    half_points: u8,
}

impl Rpe {
    const WANTED: &str = "a number from 1 to 10 in halves";

    /// Takes a number from 1 to 10 in halves.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        let doubled = value * 2.0;
        if (2.0..=20.0).contains(&doubled) && doubled.fract() == 0.0 {
            Ok(Self { half_points: doubled as u8 })
        } else {
            Err(OutOfRange(Self::WANTED))
        }
    }

    /// The rating times two.
    pub fn half_points(self) -> u8 {
        self.half_points
    }

    /// The rating; halves are exact in binary.
    pub fn get(self) -> f64 {
        f64::from(self.half_points) / 2.0
    }
}

impl Serialize for Rpe {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.half_points.is_multiple_of(2) {
            to.serialize_u8(self.half_points / 2)
        } else {
            to.serialize_f64(self.get())
        }
    }
}

impl<'de> Deserialize<'de> for Rpe {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Rpe;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Rpe::WANTED)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Rpe, E> {
                self.visit_f64(value as f64)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Rpe, E> {
                self.visit_f64(value as f64)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Rpe, E> {
                Rpe::new(value).map_err(E::custom)
            }
        }

        from.deserialize_f64(Visitor)
    }
}

impl JsonSchema for Rpe {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rpe".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 1, "maximum": 10, "multipleOf": 0.5 })
    }
}

/// Whether a character shows: not white space, nor what is there for the layout alone.
fn is_seen(c: char) -> bool {
    let is_layout = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}');
    !c.is_whitespace() && !c.is_control() && !is_layout
}

/// A person's text of 1 to `MAX` characters, with no control characters but line breaks and tabs.
///
/// White space around it is dropped once it is counted; a text of white space alone is refused as empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes a text within the limits.
    pub fn new(text: &str) -> Result<Self, String> {
        // White space around it counts for the most, so that this is what a schema can say.
        let typed = text.chars().count();
        let text = text.trim();
        let length = if text.is_empty() { 0 } else { typed };
        if length == 0 || length > MAX {
            return Err(format!("must be 1 to {MAX} characters, and is {length}"));
        }
        if !text.chars().any(is_seen) {
            return Err("must hold something that can be seen".to_owned());
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err("must hold no control characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself.
    pub fn into_string(self) -> String {
        self.0
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

impl<const MAX: usize> JsonSchema for Text<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Text{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::{Reps, Rpe, Text};

    #[test]
    fn ranges_hold_when_read() {
        assert_eq!(serde_json::from_str::<Reps>("6.0").unwrap().get(), 6);
        for bad in ["1001", "-1", "6.5", "\"6\"", "99999999999999999999", "null"] {
            let error = serde_json::from_str::<Reps>(bad).unwrap_err().to_string();
            assert!(error.contains("a whole number from 0 to 1000"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_text_can_be_seen() {
        assert_eq!(Text::<9>::new(" a\u{200d}b ").unwrap().as_str(), "a\u{200d}b");
        for bad in ["", " \n", "\u{200b}", "\u{feff}\u{2800} \u{ad}", "1234567890", "a\u{7}"] {
            assert!(Text::<9>::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rpe_comes_in_halves() {
        for (text, value) in [("8", 8.0), ("8.5", 8.5), ("1", 1.0), ("10", 10.0)] {
            let rpe: Rpe = serde_json::from_str(text).unwrap();
            assert_eq!(rpe.get(), value);
            assert_eq!(serde_json::to_string(&rpe).unwrap(), text);
        }
        for bad in ["8.25", "0.5", "10.5", "\"8\""] {
            assert!(serde_json::from_str::<Rpe>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_are_trimmed_and_counted_in_characters() {
        assert_eq!(Text::<8>::new("  héllo ").unwrap().as_str(), "héllo");
        assert!(Text::<7>::new("  héllo ").is_err());
        assert!(Text::<5>::new("  ").is_err());
        assert!(Text::<5>::new("longer").is_err());
        assert!(Text::<5>::new("a\u{0}b").is_err());
    }
}
