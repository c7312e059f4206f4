//! Why a command is not carried out, and how a command says what to change.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

/// A command that is not carried out. Nothing happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// What it is about is not there, or not the caller's.
    NotFound(&'static str),
    /// It contradicts what happened already.
    Conflict {
        /// A stable word for programs.
        code: &'static str,
        /// A sentence for people.
        message: &'static str,
    },
    /// Some of its fields cannot be; all of them are listed.
    Invalid(Vec<Invalid>),
}

/// A field that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The field's name in the command; nested ones with dots, entries of lists with their number.
    pub field: Cow<'static, str>,
    /// What it must be.
    pub message: &'static str,
}

/// Collects what is wrong with the fields of a command, so that all of it is told at once.
#[derive(Default)]
pub(crate) struct Problems(Vec<Invalid>);

impl Problems {
    pub(crate) fn add(&mut self, field: impl Into<Cow<'static, str>>, message: &'static str) {
        self.0.push(Invalid { field: field.into(), message });
    }

    pub(crate) fn add_if(&mut self, wrong: bool, field: &'static str, message: &'static str) {
        if wrong {
            self.add(field, message);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_result(self) -> Result<(), Rejection> {
        if self.0.is_empty() { Ok(()) } else { Err(Rejection::Invalid(self.0)) }
    }
}

/// What a command does to one field: leave it, empty it, or give it a value. In JSON: the field
/// is absent, `null`, or there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Empty it.
    Clear,
    /// Give it this value.
    Set(T),
}

impl<T> Patch<T> {
    /// The same change of a value made from this one.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(f(value)),
        }
    }

    /// Changes a field that may be empty.
    pub(crate) fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// Changes a field that, emptied, is as it is by default.
    pub(crate) fn apply_or_default(self, field: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *field = T::default(),
            Self::Set(value) => *field = value,
        }
    }

    /// Changes a field that is never empty.
    pub(crate) fn apply_required(self, field: &mut T, name: &'static str, problems: &mut Problems) {
        match self {
            Self::Keep => {}
            Self::Clear => problems.add(name, "must not be null"),
            Self::Set(value) => *field = value,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Absent is `Keep` by `#[serde(default)]` on the field.
        Ok(Option::<T>::deserialize(from)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Patch_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}
