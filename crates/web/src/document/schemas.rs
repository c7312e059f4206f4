//! The schemas of the document: of what is read, as strictly as it is checked, and of what is shown.

use std::collections::BTreeSet;

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

/// The schemas that operations refer to.
pub struct Schemas {
    /// Of what is read: fields with a default may be left out.
    pub(super) read: SchemaGenerator,
    /// Of what is shown: they are always there.
    pub(super) shown: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            shown: settings().for_serialize().into_generator(),
        }
    }
}

impl Schemas {
    /// All of them by name. A type that is read and shown, and is not the same in both, is two.
    pub fn finish(mut self, document: &mut Value) -> Map<String, Value> {
        let mut all = self.shown.take_definitions(true);
        let mut read = self.read.take_definitions(true);
        read.values_mut().for_each(as_it_is_checked);
        let differs = |(name, schema): &(&String, &Value)| {
            all.get(*name).is_some_and(|shown| shown != *schema)
        };
        let twice: BTreeSet<String> =
            read.iter().filter(differs).map(|(name, _)| name.clone()).collect();
        for (name, mut schema) in read {
            rename(&mut schema, &twice);
            let name = if twice.contains(&name) { format!("{name}Input") } else { name };
            all.insert(name, schema);
        }
        // What is read stands in parameters and bodies alone.
        let operations = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
        for operation in operations.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap_or_default().to_owned();
                as_its_name_is_checked(&name, &mut parameter["schema"]);
                rename(parameter, &twice);
            }
            let body = operation.get_mut("requestBody").and_then(|body| body.get_mut("content"));
            for content in body.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
            {
                as_it_is_checked(&mut content["schema"]);
                rename(content, &twice);
            }
        }
        all
    }
}

/// A UUID of version 7, as ids are read.
const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

/// From 1900 to 9999: of local days and instants, the years that are read.
pub const YEARS: &str = "^(19|[2-9][0-9])[0-9]{2}-";

/// No control characters but tabs and line breaks, and something that can be seen: no white space, and
/// nothing that is there for the layout alone, which stands here as itself, for not every reader of patterns knows the
/// same escapes.
const TEXT: &str = concat!(
    "^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*",
    "[^\\s\\x00-\\x1f\\x7f-\\x9f",
    "\u{ad}\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}-\u{180f}\u{200b}-\u{200f}",
    "\u{202a}-\u{202e}\u{2060}-\u{206f}\u{2800}\u{3164}\u{fe00}-\u{fe0f}\u{feff}\u{ffa0}]",
    "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$",
);

/// Adds to the schema of what is read what its decoders ask beyond it. It is not said at the types, whose
/// schemas are those of events as well: what is on the log is never refused, whatever is asked of requests.
fn as_it_is_checked(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_text = match fields.get("type") {
                Some(Value::String(kind)) => kind == "string",
                Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
                _ => false,
            };
            let format = fields.get("format").and_then(Value::as_str);
            let is_of_people = fields.get("minLength").and_then(Value::as_u64) == Some(1)
                && fields.contains_key("maxLength");
            let pattern = match format {
                Some("uuid") => Some(UUID),
                Some("date-time") => Some(YEARS),
                None if is_of_people => Some(TEXT),
                _ => None,
            };
            if let Some(pattern) = pattern.filter(|_| is_text) {
                fields.entry("pattern").or_insert_with(|| pattern.into());
            }
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for (name, schema) in properties {
                    as_its_name_is_checked(name, schema);
                }
            }
            let others = fields.iter_mut().filter(|(name, _)| *name != "properties");
            others.for_each(|(_, schema)| as_it_is_checked(schema));
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(as_it_is_checked),
        _ => {}
    }
}

/// The same of a field or parameter. Time zones have a name of their own for what no pattern says.
fn as_its_name_is_checked(name: &str, schema: &mut Value) {
    if name == "time_zone" {
        schema["format"] = "iana-time-zone".into();
    }
    as_it_is_checked(schema);
}

fn rename(value: &mut Value, twice: &BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "$ref" => {
                        let of = text.rsplit('/').next().unwrap_or_default();
                        if twice.contains(of) {
                            text.push_str("Input");
                        }
                    }
                    value => rename(value, twice),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, twice)),
        _ => {}
    }
}
