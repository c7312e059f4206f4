//! Does a change break somebody who reads events today?
//!
//! Pure: it compares the contracts as they were released with those of this program. There are two
//! kinds of reader, with a rule each.
//!
//! **Of stored events** every version ever released must stay as it was: this program reads what
//! earlier ones wrote, and while a fleet is updated earlier ones read what this one writes. So a
//! released version changes by docs and optional fields alone, and anything else is a new version
//! with a step that makes it from the last.
//!
//! **Of public events** readers see the current version alone, and nobody upcasts for them. So a
//! new version may say more, and surely say what it said now and then, but must not take away,
//! rename or retype. Values within a field may become more (a word, a wider range) with a new
//! version, which `ce_dataschema` tells; within one version they stay.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use crate::shape::{Object, Shape, Values};

/// Name and version of an event type.
pub(crate) type Key = (String, i16);

/// What readers rely on.
#[derive(Default)]
pub(crate) struct Contracts {
    /// The schemas of stored events, all versions.
    pub(crate) stored: BTreeMap<Key, Value>,
    /// The schemas of public events, all versions; the newest of each name is the one that counts.
    pub(crate) public: BTreeMap<Key, Value>,
    /// A stored payload of each version.
    pub(crate) samples: BTreeMap<Key, String>,
}

/// A change that breaks a reader.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// `public` or nothing, and the type's name.
    event: String,
    version: i16,
    /// The path of the field; empty for the payload as a whole.
    field: String,
    what: String,
    remedy: &'static str,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.event, self.version)?;
        if !self.field.is_empty() {
            write!(f, ", field {}", self.field)?;
        }
        write!(f, ": {}.\n    {}", self.what, self.remedy)
    }
}

const NEW_VERSION: &str = "Leave this version as it is. Raise the version in registry.rs, with \
    `from { OLD => step }` and a pure step beside the payload that makes the new shape from the \
    old one; keep schema and sample of the old version, add those of the new one.";

const KEEP_VERSION: &str = "Logs hold it for ever. Put it back: the version into `from { … }` of \
    its type in registry.rs, schema and sample into events/; a type that is not written any more \
    stays in the registry to be read.";

const DECODES: &str = "Logs hold payloads like this one. Correct the step of this version in \
    registry.rs, so that it makes what the current type reads.";

const PUBLIC: &str = "Readers of the topic have no upcasts. Keep the field as it was, filled from \
    what is known now, and say the new thing in a new field; or begin a topic v2 beside this one.";

const WIDER: &str = "Raise the version of the event, so that `ce_dataschema` tells readers.";

/// Every change that breaks a reader. `decode` says why a payload of a version cannot be read, if
/// so.
pub(crate) fn breaks(
    released: &Contracts,
    present: &Contracts,
    decode: impl Fn(&str, i16, &str) -> Result<(), String>,
) -> Vec<Break> {
    let mut found = Vec::new();
    for ((name, version), old) in &released.stored {
        let mut judge = Judge::new(name.clone(), *version, Reader::Stored, &mut found);
        match present.stored.get(&(name.clone(), *version)) {
            None => judge.say(&[], "was removed", KEEP_VERSION),
            Some(new) => judge.compare(&mut Vec::new(), &Shape::of(old), &Shape::of(new)),
        }
    }
    for ((name, version), sample) in &released.samples {
        if !present.stored.contains_key(&(name.clone(), *version)) {
            continue;
        }
        if let Err(why) = decode(name, *version, sample) {
            let mut judge = Judge::new(name.clone(), *version, Reader::Stored, &mut found);
            judge.say(
                &[],
                &format!("the released sample does not decode any more: {why}"),
                DECODES,
            );
        }
    }
    for (name, (old_version, old)) in newest(&released.public) {
        let event = format!("public {name}");
        let Some((version, new)) = newest(&present.public).remove(name) else {
            let mut judge =
                Judge::new(event, old_version, Reader::Public { newer: true }, &mut found);
            judge.say(&[], "is not published any more", PUBLIC);
            continue;
        };
        let reader = Reader::Public { newer: version > old_version };
        let mut judge = Judge::new(event, version, reader, &mut found);
        if old.get("x-topic") != new.get("x-topic") {
            judge.say(&[], "moved to another topic", PUBLIC);
        }
        judge.compare(&mut Vec::new(), &Shape::of(old), &Shape::of(new));
    }
    found
}

fn newest(all: &BTreeMap<Key, Value>) -> BTreeMap<&str, (i16, &Value)> {
    // Versions of a name come in order, so that the last one stays.
    all.iter().map(|((name, version), schema)| (name.as_str(), (*version, schema))).collect()
}

/// Whom a change must not break.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Programs that read the log, older and newer ones.
    Stored,
    /// Those of a public topic; `newer` when the version was raised.
    Public { newer: bool },
}

struct Judge<'a> {
    event: String,
    version: i16,
    reader: Reader,
    found: &'a mut Vec<Break>,
}

impl<'a> Judge<'a> {
    fn new(event: String, version: i16, reader: Reader, found: &'a mut Vec<Break>) -> Self {
        Self { event, version, reader, found }
    }

    fn say(&mut self, path: &[String], what: &str, remedy: &'static str) {
        let (event, field) = (self.event.clone(), path.join("."));
        let (version, what) = (self.version, what.to_owned());
        self.found.push(Break { event, version, field, what, remedy });
    }

    /// A change that no reader of this kind takes.
    fn refuse(&mut self, path: &[String], what: &str) {
        let remedy = match self.reader {
            Reader::Stored => NEW_VERSION,
            Reader::Public { .. } => PUBLIC,
        };
        self.say(path, what, remedy);
    }

    /// A change by which more can stand where less did.
    fn widened(&mut self, path: &[String], what: &str) {
        match self.reader {
            Reader::Stored => self.say(path, what, NEW_VERSION),
            Reader::Public { newer: false } => self.say(path, what, WIDER),
            Reader::Public { newer: true } => {}
        }
    }

    /// A change by which less can stand where more did.
    fn narrowed(&mut self, path: &[String], what: &str) {
        if self.reader == Reader::Stored {
            self.say(path, what, NEW_VERSION);
        }
    }

    fn compare(&mut self, path: &mut Vec<String>, old: &Shape, new: &Shape) {
        let personal = |shape: &Shape| shape.notes.contains_key("x-personal");
        match (personal(old), personal(new)) {
            (true, false) => self.refuse(path, "was personal, and is not any more"),
            (false, true) => self.refuse(path, "is personal, and was not"),
            _ => {}
        }
        match (old.nullable, new.nullable) {
            (false, true) => self.refuse(path, "may be null, and never was"),
            (true, false) => self.narrowed(path, "must not be null any more, and stored ones are"),
            _ => {}
        }
        match (&old.values, &new.values) {
            (Values::Object(old), Values::Object(new)) => {
                self.fields(path, old, new);
                match (&old.others, &new.others) {
                    (None, None) => {}
                    (Some(old), Some(new)) => self.inner(path, "*", old, new),
                    (None, Some(_)) => self.widened(path, "may hold fields of any name now"),
                    (Some(_), None) => {
                        self.refuse(path, "may not hold fields of any name any more");
                    }
                }
                match (old.closed, new.closed) {
                    (true, false) => self.widened(path, "may hold unknown fields now"),
                    (false, true) => self.narrowed(path, "refuses unknown fields now"),
                    _ => {}
                }
            }
            (Values::List(old), Values::List(new)) => self.inner(path, "*", old, new),
            (Values::Words(old), Values::Words(new)) => {
                let list = |words: BTreeSet<&String>| {
                    words.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
                };
                let lost: BTreeSet<_> = old.difference(new).collect();
                let gained: BTreeSet<_> = new.difference(old).collect();
                if !lost.is_empty() {
                    self.narrowed(path, &format!("can no longer be {}", list(lost)));
                }
                if !gained.is_empty() {
                    self.widened(path, &format!("can be {}, and never was", list(gained)));
                }
            }
            (Values::Plain(old), Values::Plain(new)) => self.plain(path, old, new),
            (Values::Either(old), Values::Either(new)) if old.len() == new.len() => {
                for (old, new) in old.iter().zip(new) {
                    self.compare(path, old, new);
                }
            }
            (old, new) => {
                let what = format!("was {}, and is {}", old.describe(), new.describe());
                self.refuse(path, &what);
            }
        }
    }

    fn inner(&mut self, path: &mut Vec<String>, name: &str, old: &Shape, new: &Shape) {
        path.push(name.to_owned());
        self.compare(path, old, new);
        path.pop();
    }

    fn fields(&mut self, path: &mut Vec<String>, old: &Object, new: &Object) {
        for (name, (required, shape)) in &old.fields {
            path.push(name.clone());
            match new.fields.get(name) {
                None => self.refuse(path, "was removed"),
                Some((still, now)) => {
                    match (required, still) {
                        (true, false) => self.refuse(path, "may be absent, and never was"),
                        (false, true) => {
                            self.narrowed(path, "is required, and stored ones lack it");
                        }
                        _ => {}
                    }
                    self.compare(path, shape, now);
                }
            }
            path.pop();
        }
        for (name, (required, _)) in &new.fields {
            if old.fields.contains_key(name) {
                continue;
            }
            path.push(name.clone());
            if *required {
                self.narrowed(path, "is new and required, and stored ones lack it");
            } else if old.closed {
                self.widened(path, "is new where readers refuse unknown fields");
            }
            path.pop();
        }
    }

    /// Compares what is said by keywords alone, such as `minimum` and `format`.
    fn plain(
        &mut self,
        path: &[String],
        old: &BTreeMap<String, Value>,
        new: &BTreeMap<String, Value>,
    ) {
        let words: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for word in words {
            let (was, is) = (old.get(word), new.get(word));
            if was == is {
                continue;
            }
            let shown = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
            let what = format!("{word} was {}, and is {}", shown(was), shown(is));
            let number = |value: Option<&Value>| value.and_then(Value::as_f64);
            let lower = match (number(was), number(is)) {
                (Some(was), Some(is)) => Some(is < was),
                _ => None,
            };
            let is_lower_limit = word.to_ascii_lowercase().contains("min");
            let is_upper_limit = word.to_ascii_lowercase().contains("max");
            match (is_lower_limit, is_upper_limit, lower) {
                (true, _, Some(lower)) if lower => self.widened(path, &what),
                (_, true, Some(lower)) if !lower => self.widened(path, &what),
                (true, _, _) | (_, true, _) if is.is_some() => self.narrowed(path, &what),
                (true, _, _) | (_, true, _) => self.widened(path, &what),
                _ => self.refuse(path, &what),
            }
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
