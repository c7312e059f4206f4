//! What of the events leaves the house: the families of the public topics, and payloads and schemas
//! without personal fields.

use std::{collections::HashMap, sync::LazyLock};

use schemars::Schema;
use serde_json::{Map, Value};

use crate::{EventType, TYPES};

/// Events that are published together: one public topic each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Workouts, sets, and exercises and routines that athletes made.
    Training,
    /// Who joined.
    Athletes,
    /// Personal records.
    Records,
    /// What athletes share with one another.
    Social,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Training, Self::Athletes, Self::Records, Self::Social];

    /// The word for it in names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Athletes => "athletes",
            Self::Records => "records",
            Self::Social => "social",
        }
    }

    /// Its topic, such as `ironledger.training.v1`. What breaks readers would go to a `v2` beside
    /// it.
    pub fn topic(self, prefix: &str) -> String {
        format!("{prefix}.{}.v1", self.name())
    }

    /// The family of an event type; none for a private one, and of names that are no type's.
    pub fn of(name: &str) -> Option<Self> {
        TYPES.iter().find(|kind| kind.name == name)?.family
    }
}

/// The schema of what public topics carry of an event type; none for a private one.
pub fn public_schema(kind: &EventType) -> Option<Schema> {
    let family = kind.family?;
    let mut schema = (kind.schema)();
    let id = format!("urn:ironledger:public:{}:{}", kind.name, kind.version);
    schema.insert("$id".to_owned(), id.into());
    schema.insert("x-topic".to_owned(), family.topic("ironledger").into());
    if let Some(object) = schema.as_object_mut() {
        object.values_mut().for_each(withhold);
        withhold_of(object);
    }
    Some(schema)
}

/// Takes the personal properties out of a schema and of all that are within it.
fn withhold(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(withhold);
            withhold_of(object);
        }
        Value::Array(several) => several.iter_mut().for_each(withhold),
        _ => {}
    }
}

fn withhold_of(object: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    properties.retain(|_, property| !is_personal(property));
    let known: Vec<String> = properties.keys().cloned().collect();
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.retain(|name| known.iter().any(|known| name == known));
    }
}

fn is_personal(schema: &Value) -> bool {
    schema.get("x-personal") == Some(&Value::Bool(true))
}

/// Where a personal field is within a payload.
type Path = Vec<Step>;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    /// In the field of this name.
    Field(String),
    /// In each entry of a list, or each value of a map.
    Each,
}

/// The personal fields of each type at its current version, from the marks of its schema.
static PERSONAL: LazyLock<HashMap<&'static str, Vec<Path>>> = LazyLock::new(|| {
    let current = TYPES.iter().filter(|kind| kind.current);
    current.map(|kind| (kind.name, personal((kind.schema)().as_value()))).collect()
});

/// The payload of a type without its personal fields.
pub(crate) fn without_personal(name: &str, mut payload: Value) -> Value {
    for path in PERSONAL.get(name).into_iter().flatten() {
        remove(&mut payload, path);
    }
    payload
}

fn remove(from: &mut Value, path: &[Step]) {
    match (from, path) {
        (Value::Object(fields), [Step::Field(name)]) => {
            fields.remove(name);
        }
        (Value::Object(fields), [Step::Field(name), rest @ ..]) => {
            if let Some(field) = fields.get_mut(name) {
                remove(field, rest);
            }
        }
        (Value::Object(entries), [Step::Each]) => entries.clear(),
        (Value::Array(entries), [Step::Each]) => entries.clear(),
        (Value::Object(entries), [Step::Each, rest @ ..]) => {
            entries.values_mut().for_each(|entry| remove(entry, rest));
        }
        (Value::Array(entries), [Step::Each, rest @ ..]) => {
            entries.iter_mut().for_each(|entry| remove(entry, rest));
        }
        _ => {}
    }
}

/// The paths of all that a schema marks as personal.
fn personal(root: &Value) -> Vec<Path> {
    let mut found = Vec::new();
    search(root, root, &mut Vec::new(), &mut found);
    found
}

fn search(root: &Value, schema: &Value, path: &mut Path, found: &mut Vec<Path>) {
    // Deeper than any payload is: a schema that holds itself.
    if path.len() > 16 {
        return;
    }
    if is_personal(schema) {
        found.push(path.clone());
        return;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str)
        && let Some(target) = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer))
    {
        search(root, target, path, found);
    }
    for (name, property) in
        schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        path.push(Step::Field(name.clone()));
        search(root, property, path, found);
        path.pop();
    }
    for inner in ["items", "additionalProperties"].into_iter().filter_map(|word| schema.get(word)) {
        path.push(Step::Each);
        search(root, inner, path, found);
        path.pop();
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        for inner in schema.get(word).and_then(Value::as_array).into_iter().flatten() {
            search(root, inner, path, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{personal, remove, withhold};

    #[test]
    fn personal_fields_are_found_wherever_they_are() {
        let schema = json!({
            "properties": {
                "title": { "x-personal": true },
                "kind": { "type": "string" },
                "sets": { "type": "array", "items": { "$ref": "#/$defs/Set" } },
                "by_day": { "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/Set" }, {}] } },
            },
            "required": ["title", "kind"],
            "$defs": {
                "Set": {
                    "properties": { "notes": { "x-personal": true }, "next": { "$ref": "#/$defs/Set" } },
                    "required": ["notes"],
                },
            },
        });
        let mut payload = json!({
            "title": "private", "kind": "x", "sets": [{ "notes": "private", "reps": 1 }],
            "by_day": { "monday": { "notes": "private", "next": { "notes": "private" } } },
        });
        for path in personal(&schema) {
            remove(&mut payload, &path);
        }
        let public = json!({
            "kind": "x", "sets": [{ "reps": 1 }], "by_day": { "monday": { "next": {} } },
        });
        assert_eq!(payload, public);

        let mut schema = schema;
        withhold(&mut schema);
        assert!(!schema.to_string().contains("x-personal"), "{schema}");
        assert_eq!(schema["required"], json!(["kind"]));
        assert_eq!(schema["$defs"]["Set"]["required"], Value::Array(Vec::new()));
    }
}
