//! Reading paths and query strings.

use std::{borrow::Cow, collections::BTreeSet, str::FromStr};

use axum::{
    extract::{FromRequestParts, path::ErrorKind, rejection::PathRejection},
    http::{Method, request::Parts},
};
use serde::{Deserialize, Deserializer, de, de::DeserializeOwned};

use crate::{Detail, Error, error::MOST_TOLD};

/// The ids in a route. One that is no id at all names nothing, so the answer is 404.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(inner))
                if !matches!(inner.kind(), ErrorKind::UnsupportedType { .. }) =>
            {
                Err(Error::not_found("resource"))
            }
            Err(other) => Err(Error::internal(other)),
        }
    }
}

/// The fields of what a route shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(pub(crate) BTreeSet<String>);

impl Fields {
    /// What is wrong with the names that somebody asked for.
    pub(crate) fn unknown<'a>(&self, asked: &mut impl Iterator<Item = &'a str>) -> Option<Detail> {
        asked.find(|name| !self.0.contains(name.trim()))?;
        if self.0.is_empty() {
            return Some(Detail::new(FIELDS, NO_PARAMETER));
        }
        let known = self.0.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Some(Detail::new(FIELDS, format!("must be some of {known}, with commas between")))
    }
}

/// How to learn the fields of what a route shows: with every request of it.
#[derive(Clone)]
pub(crate) struct FieldsOf(pub(crate) fn() -> Fields);

/// What is said of a parameter that a route does not have.
const NO_PARAMETER: &str = "is not a parameter of this route";

/// The parameter by which every reading is asked for some of its fields.
pub(crate) const FIELDS: &str = "fields";

/// The parameters of a query string; every bad one is named at once.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let mut pairs = pairs(parts.uri.query().unwrap_or_default());
        let mut wrong = Vec::new();
        // Which fields are shown is the envelope's affair; bad ones are named beside the others.
        if matches!(parts.method, Method::GET | Method::HEAD) {
            let asked = pairs.extract_if(.., |(name, _)| name == FIELDS);
            let asked: Vec<String> = asked.map(|(_, names)| names).collect();
            if let (false, Some(fields)) = (asked.is_empty(), parts.extensions.get::<FieldsOf>()) {
                let mut names = asked.iter().flat_map(|names| names.split(','));
                wrong.extend((fields.0)().unknown(&mut names));
            }
        }
        Self::read(pairs, wrong)
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

impl<T: DeserializeOwned> Query<T> {
    /// Reads the query string of a reading in which one parameter may be repeated: `a=1&a=2` is
    /// `a=1,2`.
    pub fn joining(name: &str, text: &str) -> Result<Self, Error> {
        let all = pairs(text).into_iter().filter(|(known, _)| known != FIELDS);
        let (repeated, mut others): (Vec<_>, Vec<_>) = all.partition(|(known, _)| known == name);
        let values: Vec<String> = repeated.into_iter().map(|(_, value)| value).collect();
        if !values.is_empty() {
            others.push((name.to_owned(), values.join(",")));
        }
        Self::read(others, Vec::new())
    }

    fn read(mut pairs: Vec<(String, String)>, mut details: Vec<Detail>) -> Result<Self, Error> {
        // Every round takes a parameter away, so there are no more rounds than parameters.
        loop {
            let text =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let parsed = form_urlencoded::parse(text.as_bytes());
            let from = serde_urlencoded::Deserializer::new(parsed);
            let error = match serde_path_to_error::deserialize(from) {
                Ok(value) if details.is_empty() => return Ok(Self(value)),
                Ok(_) => return Err(Error::validation(details)),
                Err(error) => error,
            };
            let path = error.path().to_string();
            let message = error.into_inner().to_string();
            let quoted = message.split('`').nth(1).unwrap_or_default().to_owned();
            let (name, told) = if message.starts_with("unknown field") {
                (quoted, NO_PARAMETER.to_owned())
            } else if message.starts_with("missing field") {
                (quoted, "must be given".to_owned())
            } else if message.starts_with("duplicate field") {
                (quoted, "must be given once".to_owned())
            } else if let Some((_, wanted)) = message.split_once("expected ") {
                (path, format!("must be {}", wanted.replace('`', "")))
            } else {
                (path, message)
            };
            let before = pairs.len();
            pairs.retain(|(known, _)| *known != name);
            // One that must be given is missing as soon as it is taken away for being bad.
            if details.iter().all(|detail| detail.field != name) {
                details.push(Detail::new(name, told));
            }
            if pairs.len() == before || details.len() >= MOST_TOLD {
                return Err(Error::validation(details));
            }
        }
    }
}

/// A whole number as there is one way to write it: digits alone, the first of them no zero but of zero
/// itself.
pub fn whole<T: FromStr>(text: &str) -> Option<T> {
    let is_plain = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// How many entries a page has: 1 to 100, by default 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub usize);

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let number = whole(&text).filter(|number| (1..=100).contains(number));
        number.map(Self).ok_or_else(|| de::Error::custom("must be a whole number from 1 to 100"))
    }
}

crate::looks_like! { Limit: {
    "type": "integer", "minimum": 1, "maximum": 100, "default": 20,
    "description": "How many entries at most.",
} }

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Limit, Query, whole};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[serde(rename = "q")]
        _q: char,
        #[serde(rename = "limit")]
        _limit: Option<Limit>,
    }

    #[test]
    fn every_bad_parameter_is_named_once() {
        let named = |text: &str| {
            let pairs = super::pairs(text);
            let error = Query::<Wanted>::read(pairs, Vec::new()).expect_err("something is wrong");
            error.details.iter().map(|detail| detail.field.clone()).collect::<Vec<_>>()
        };
        assert_eq!(named("limit=0&q=abc&x=1"), ["limit", "q", "x"]);
        assert_eq!(named("q=abc"), ["q"]);
        assert_eq!(named("limit=5"), ["q"]);
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        assert_eq!(whole::<u8>("0"), Some(0));
        assert_eq!(whole::<i16>("32767"), Some(32767));
        for bad in ["", "00", "05", "+5", "-5", " 5", "5.0", "5e0", "\u{665}", "256"] {
            assert_eq!(whole::<u8>(bad), None, "{bad}");
        }
    }
}
