//! What the schema of a body knows that its decoder does not tell: every field that is missing, at
//! any depth and in entries of lists, and every array that stands where an object should.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use crate::Detail;

/// Walks a body beside the schema of its type.
pub(crate) fn breaches<T: JsonSchema>(body: &Value) -> Vec<Detail> {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut details = Vec::new();
    walk(schema.as_value(), schema.as_value(), body, "", &mut details);
    details
}

fn walk(root: &Value, schema: &Value, value: &Value, path: &str, details: &mut Vec<Detail>) {
    if let (Value::Array(entries), Some(of_each)) = (value, entries_of(root, schema)) {
        for (index, entry) in entries.iter().enumerate() {
            walk(root, of_each, entry, &format!("{path}[{index}]"), details);
        }
        return;
    }
    let Some(schema) = object(root, schema) else { return };
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let missing =
                required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
            details.extend(missing.map(|name| Detail::new(below(name), "must be given")));
            for (name, value) in fields {
                if let Some(schema) = schema["properties"].get(name) {
                    walk(root, schema, value, &below(name), details);
                }
            }
        }
        Value::Array(_) => details.push(Detail::new(path, "must be an object")),
        _ => {}
    }
}

/// The schema of the entries of a list, behind references and alternatives.
fn entries_of<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return entries_of(root, root.pointer(reference.strip_prefix('#')?)?);
    }
    if let Some(of_each) = schema.get("items") {
        return Some(of_each);
    }
    schema.get("anyOf")?.as_array()?.iter().find_map(|schema| entries_of(root, schema))
}

/// The schema of an object with known fields, behind references and alternatives.
fn object<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return object(root, root.pointer(reference.strip_prefix('#')?)?);
    }
    if schema.get("properties").is_some() {
        return Some(schema);
    }
    schema.get("anyOf")?.as_array()?.iter().find_map(|schema| object(root, schema))
}
