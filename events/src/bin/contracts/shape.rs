//! What does a JSON Schema let stand where? Without titles and docs, references followed, and the
//! many ways in which one thing can be written made one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// What may stand in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) nullable: bool,
    pub(crate) values: Values,
    /// What changes nothing of what may stand there: `description`, `x-unit`, `x-personal` …
    pub(crate) notes: BTreeMap<String, Value>,
}

/// What may stand in one place beside `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Values {
    Object(Object),
    List(Box<Shape>),
    /// One of these words.
    Words(BTreeSet<String>),
    /// What keywords such as `type`, `format` and `minimum` say.
    Plain(BTreeMap<String, Value>),
    /// Any of several shapes.
    Either(Vec<Shape>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// By name: whether it must be there, and what it may be.
    pub(crate) fields: BTreeMap<String, (bool, Shape)>,
    /// What fields of any other name may be, where the schema says so.
    pub(crate) others: Option<Box<Shape>>,
    /// Whether there may be no other fields.
    pub(crate) closed: bool,
}

impl Values {
    /// In a word or two, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Object(_) => "an object".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Words(words) => {
                format!(
                    "one of {}",
                    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
                )
            }
            Self::Plain(keywords) => match keywords.get("type") {
                Some(Value::String(kind)) => kind.clone(),
                _ => "anything".to_owned(),
            },
            Self::Either(_) => "one of several shapes".to_owned(),
        }
    }
}

/// Keywords that change nothing of what may stand there.
fn is_note(word: &str) -> bool {
    let notes =
        ["$schema", "$id", "$defs", "$comment", "title", "description", "examples", "default"];
    notes.contains(&word) || word.starts_with("x-")
}

impl Shape {
    /// What a schema describes.
    pub(crate) fn of(schema: &Value) -> Self {
        Self::within(schema, schema, &mut Vec::new())
    }

    fn within<'a>(root: &'a Value, schema: &'a Value, open: &mut Vec<&'a str>) -> Self {
        let Value::Object(keywords) = schema else {
            let keywords = BTreeMap::from([("schema".to_owned(), schema.clone())]);
            return Self::plain(keywords);
        };
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            return Self::referred(root, reference, keywords, open);
        }
        let notes = keywords.iter().filter(|(word, _)| is_note(word));
        let notes = notes.map(|(word, value)| (word.clone(), value.clone())).collect();
        let mut shape = Self::unannotated(root, keywords, open);
        // What stands nearer says it better.
        let inner = std::mem::replace(&mut shape.notes, notes);
        for (word, value) in inner {
            shape.notes.entry(word).or_insert(value);
        }
        shape
    }

    /// What a reference leads to, with what stands beside it.
    fn referred<'a>(
        root: &'a Value,
        reference: &'a str,
        beside: &Map<String, Value>,
        open: &mut Vec<&'a str>,
    ) -> Self {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let mut shape = match target {
            // A schema that holds itself ends where it begins anew.
            Some(target) if !open.contains(&reference) => {
                open.push(reference);
                let shape = Self::within(root, target, open);
                open.pop();
                shape
            }
            _ => Self::plain(BTreeMap::from([("$ref".to_owned(), reference.into())])),
        };
        for (word, value) in beside.iter().filter(|(word, _)| *word != "$ref") {
            if is_note(word) {
                shape.notes.insert(word.clone(), value.clone());
            } else if let Values::Plain(keywords) = &mut shape.values {
                keywords.insert(word.clone(), value.clone());
            }
        }
        shape
    }

    fn unannotated<'a>(
        root: &'a Value,
        keywords: &'a Map<String, Value>,
        open: &mut Vec<&'a str>,
    ) -> Self {
        for word in ["anyOf", "oneOf"] {
            if let Some(Value::Array(several)) = keywords.get(word) {
                let shapes = several.iter().map(|schema| Self::within(root, schema, open));
                return Self::either(shapes.collect());
            }
        }
        let words = match (keywords.get("enum"), keywords.get("const")) {
            (Some(Value::Array(words)), _) => Some(words.iter().collect()),
            (_, Some(word)) => Some(vec![word]),
            _ => None,
        };
        if let Some(words) = words {
            let nullable = words.contains(&&Value::Null);
            let words = words.into_iter().filter(|word| !word.is_null()).map(text).collect();
            return Self { nullable, values: Values::Words(words), notes: BTreeMap::new() };
        }
        let types: Vec<&str> = match keywords.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let nullable = types.contains(&"null");
        let mut types = types.into_iter().filter(|kind| *kind != "null");
        let values = match (types.next(), types.next()) {
            (Some("object"), None) => Values::Object(Object::of(root, keywords, open)),
            (Some("array"), None) if keywords.contains_key("items") => {
                Values::List(Box::new(Self::within(root, &keywords["items"], open)))
            }
            _ => {
                let said = keywords.iter().filter(|(word, _)| !is_note(word));
                let mut said: BTreeMap<String, Value> =
                    said.map(|(word, value)| (word.clone(), value.clone())).collect();
                if let Some(Value::Array(several)) = said.get_mut("type") {
                    several.retain(|kind| kind != "null");
                    if let [one] = several.as_slice() {
                        let one = one.clone();
                        said.insert("type".to_owned(), one);
                    }
                }
                Values::Plain(said)
            }
        };
        Self { nullable, values, notes: BTreeMap::new() }
    }

    /// One of several: words together are a longer list of words, and `null` beside one shape
    /// makes it nullable.
    fn either(shapes: Vec<Self>) -> Self {
        let (nulls, mut others): (Vec<_>, Vec<_>) = shapes.into_iter().partition(Self::only_null);
        let nullable = !nulls.is_empty() || others.iter().any(|shape| shape.nullable);
        let all_words: Option<BTreeSet<String>> = others
            .iter()
            .map(|shape| match &shape.values {
                Values::Words(words) => Some(words.clone()),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(|words| words.into_iter().flatten().collect());
        if let (Some(words), true) = (all_words, !others.is_empty()) {
            return Self { nullable, values: Values::Words(words), notes: BTreeMap::new() };
        }
        if others.len() == 1
            && let Some(one) = others.pop()
        {
            return Self { nullable, ..one };
        }
        Self { nullable, values: Values::Either(others), notes: BTreeMap::new() }
    }

    fn only_null(&self) -> bool {
        match &self.values {
            Values::Plain(keywords) => keywords.get("type").is_some_and(|kind| kind == "null"),
            Values::Words(words) => self.nullable && words.is_empty(),
            _ => false,
        }
    }

    fn plain(keywords: BTreeMap<String, Value>) -> Self {
        Self { nullable: false, values: Values::Plain(keywords), notes: BTreeMap::new() }
    }
}

impl Object {
    fn of<'a>(root: &'a Value, keywords: &'a Map<String, Value>, open: &mut Vec<&'a str>) -> Self {
        let required: Vec<&Value> =
            keywords.get("required").and_then(Value::as_array).into_iter().flatten().collect();
        let fields = keywords.get("properties").and_then(Value::as_object).into_iter().flatten();
        let fields = fields.map(|(name, schema)| {
            let must = required.iter().any(|required| *required == name);
            (name.clone(), (must, Shape::within(root, schema, open)))
        });
        let fields = fields.collect();
        let (others, closed) = match keywords.get("additionalProperties") {
            None | Some(Value::Bool(true)) => (None, false),
            Some(Value::Bool(false)) => (None, true),
            Some(schema) => (Some(Box::new(Shape::within(root, schema, open))), false),
        };
        Self { fields, others, closed }
    }
}

fn text(word: &Value) -> String {
    word.as_str().map_or_else(|| word.to_string(), str::to_owned)
}
