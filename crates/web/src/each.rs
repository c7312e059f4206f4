//! Lists in bodies: every bad field of every entry is named at once, with the entry's index.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{Detail, body, error::MOST_TOLD};

/// A list of which each entry is read by itself. An entry that is bad keeps the others from nothing,
/// and what is wrong with it waits to be told together with the rest: ask [`Each::wrong`].
#[derive(Debug, Clone)]
pub struct Each<T> {
    len: usize,
    /// Those that could be read, by their indices.
    good: Vec<(usize, T)>,
    wrong: Vec<Detail>,
}

impl<T> Default for Each<T> {
    fn default() -> Self {
        Self { len: 0, good: Vec::new(), wrong: Vec::new() }
    }
}

impl<T> Each<T> {
    /// How many entries the list has, bad ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the list has no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is wrong with its entries, under the name of the list.
    pub fn wrong(&self, list: &str) -> Vec<Detail> {
        let below = |detail: &Detail| Detail {
            field: format!("{list}{}", detail.field),
            message: detail.message.clone(),
        };
        self.wrong.iter().map(below).collect()
    }

    /// The entries that could be read, with their indices.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &T)> {
        self.good.iter().map(|(index, entry)| (*index, entry))
    }

    /// The entries that could be read, with their indices.
    pub fn into_entries(self) -> Vec<(usize, T)> {
        self.good
    }
}

impl<'de, T: DeserializeOwned + JsonSchema> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw: Vec<Box<RawValue>> = Vec::deserialize(from)?;
        let len = raw.len();
        let mut each = Self { len, good: Vec::with_capacity(len), wrong: Vec::new() };
        for (index, entry) in raw.iter().enumerate() {
            match body::read(entry.get().as_bytes()) {
                Ok(entry) => each.good.push((index, entry)),
                Err(bad) => each.wrong.extend(bad.told(&format!("[{index}]"))),
            }
            if each.wrong.len() >= MOST_TOLD {
                break;
            }
        }
        Ok(each)
    }
}

impl<T: Serialize> Serialize for Each<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.entries().map(|(_, entry)| entry))
    }
}

impl<T: JsonSchema> JsonSchema for Each<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}
