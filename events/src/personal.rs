//! Fields about a person: sealed with that person's key before they are stored, and gone for good
//! once the key is destroyed.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser};

use crate::AthleteId;

/// A value about a person.
///
/// It serialises only when sealed: an attempt to store it in clear is an error, not a leak. Who
/// holds the keys seals and opens it through [`PersonalField`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Personal<T> {
    /// The value itself, in memory.
    Clear(T),
    /// The value under the key of the person it is about, as it is stored.
    Sealed {
        /// Whose key opens it.
        about: AthleteId,
        /// The sealed JSON text, in the format of who sealed it.
        sealed: String,
    },
    /// The key is gone, and with it the value.
    Erased,
}

impl<T> Personal<T> {
    /// The value, when it is in clear.
    pub fn clear(&self) -> Option<&T> {
        match self {
            Self::Clear(value) => Some(value),
            Self::Sealed { .. } | Self::Erased => None,
        }
    }
}

/// A personal field of whatever type, as those who hold the keys see it.
pub trait PersonalField: Send {
    /// Replaces the clear value by its sealed form. `seal` turns JSON text into sealed text. A
    /// field already sealed or erased stays as it is.
    fn seal(&mut self, about: AthleteId, seal: &mut dyn FnMut(&str) -> String);

    /// Whose key opens the field, when it is sealed.
    fn about(&self) -> Option<AthleteId>;

    /// Replaces the sealed form by the clear value. `open` turns sealed text into JSON text, or
    /// `None` when the key is gone, which leaves the field erased.
    fn open(&mut self, open: &mut dyn FnMut(AthleteId, &str) -> Option<String>);
}

/// Lengths of what is sealed are multiples of so many bytes.
const BLOCK: usize = 32;

impl<T: Serialize + DeserializeOwned + Send> PersonalField for Personal<T> {
    fn seal(&mut self, about: AthleteId, seal: &mut dyn FnMut(&str) -> String) {
        if let Self::Clear(value) = self
            && let Ok(mut text) = serde_json::to_string(value)
        {
            // What is sealed is as long as what it holds: blanks keep `male` from being told from `female`.
            let padded = text.len().next_multiple_of(BLOCK);
            text.extend(std::iter::repeat_n(' ', padded - text.len()));
            *self = Self::Sealed { about, sealed: seal(&text) };
        }
    }

    fn about(&self) -> Option<AthleteId> {
        match self {
            Self::Sealed { about, .. } => Some(*about),
            Self::Clear(_) | Self::Erased => None,
        }
    }

    fn open(&mut self, open: &mut dyn FnMut(AthleteId, &str) -> Option<String>) {
        if let Self::Sealed { about, sealed } = self {
            *self = open(*about, sealed)
                .and_then(|text| serde_json::from_str(&text).ok())
                .map_or(Self::Erased, Self::Clear);
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    about: AthleteId,
    sealed: Cow<'a, str>,
}

impl<T> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sealed { about, sealed } => {
                Stored { about: *about, sealed: sealed.as_str().into() }.serialize(to)
            }
            Self::Erased => to.serialize_none(),
            Self::Clear(_) => Err(ser::Error::custom("a personal field was not sealed")),
        }
    }
}

impl<'de, T> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match Option::<Stored<'_>>::deserialize(from)? {
            Some(Stored { about, sealed }) => Self::Sealed { about, sealed: sealed.into_owned() },
            None => Self::Erased,
        })
    }
}

impl<T> JsonSchema for Personal<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Personal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Personal data, sealed with the key of the person it is about.",
            "type": "object",
            "required": ["about", "sealed"],
            "properties": {
                "about": { "type": "string", "format": "uuid" },
                "sealed": { "type": "string", "contentEncoding": "base64" }
            },
            "additionalProperties": false,
            "x-personal": true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Personal, PersonalField};

    #[test]
    fn clear_text_cannot_be_stored() {
        let mut title = Personal::Clear("Leg day".to_owned());
        assert!(serde_json::to_string(&title).is_err());

        let about = "0193f0a0-0000-7000-8000-000000000001".parse().unwrap();
        title.seal(about, &mut |text| text.chars().rev().collect());
        let stored = serde_json::to_string(&title).unwrap();
        assert!(!stored.contains("Leg day"));

        let mut read: Personal<String> = serde_json::from_str(&stored).unwrap();
        read.open(&mut |_, sealed| Some(sealed.chars().rev().collect()));
        assert_eq!(read.clear().unwrap(), "Leg day");

        let lengths = ["male", "female", "other"].map(|sex| {
            let mut length = 0;
            Personal::Clear(sex.to_owned()).seal(about, &mut |text| {
                length = text.len();
                String::new()
            });
            length
        });
        assert_eq!(lengths, [32; 3], "how long it is tells nothing");

        let mut forgotten: Personal<String> = serde_json::from_str(&stored).unwrap();
        forgotten.open(&mut |_, _| None);
        assert_eq!(forgotten, Personal::Erased);
    }
}
