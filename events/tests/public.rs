//! Nothing personal leaves the house: every sample, as public topics carry it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{collections::BTreeSet, fs, path::Path};

use events::{Event, EventType, Family, TYPES, public_schema};
use serde_json::Value;

/// What stands in every personal field of the samples.
const SEALED: &str = "GoJWw9k7cQmX2bN1";
const ABOUT: &str = "0193f0a0-0000-7000-8000-000000000001";

fn sample(kind: &EventType) -> String {
    let name = format!("samples/{}.v{}.json", kind.name, kind.version);
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn no_personal_field_survives_and_the_rest_is_of_the_public_schema() {
    let mut withheld = 0;
    for kind in TYPES {
        let stored = sample(kind);
        let mut event = Event::decode(kind.name, kind.version, &stored).unwrap();
        assert_eq!((event.family(), Family::of(kind.name)), (kind.family, kind.family));
        let public = event.public_payload().unwrap();
        assert!(!public.contains(SEALED) && !public.contains(ABOUT), "{}: {public}", kind.name);
        assert!(!public.contains("sealed") && !public.contains("about"), "{public}");

        let payload: Value = serde_json::from_str(&public).unwrap();
        let current = TYPES.iter().find(|other| other.name == kind.name && other.current).unwrap();
        let Some(schema) = public_schema(current) else {
            assert_eq!(kind.family, None, "{}", kind.name);
            continue;
        };
        let schema = schema.to_value();
        let id = format!("urn:ironledger:public:{}:{}", current.name, current.version);
        assert_eq!(schema["$id"], id);
        assert!(!schema.to_string().contains("x-personal"), "{schema}");
        assert_eq!(faults(&schema, &schema, &payload), [""; 0], "{public}");

        // Every personal field is gone, erased ones too, and nothing else is.
        let fields = event.personal_fields();
        withheld += fields.len();
        let sealed = fields.len();
        for field in fields {
            field.open(&mut |_, _| None);
        }
        assert_eq!(event.public_payload().unwrap(), public, "erased ones are no different");
        let all: Value = serde_json::from_str(&event.encode().unwrap()).unwrap();
        assert_eq!(leaves(&all), leaves(&payload) + sealed, "{}", kind.name);
    }
    assert!(withheld >= 10, "{withheld} personal fields in the samples");
}

#[test]
fn clear_text_is_an_error_and_not_a_leak() {
    let mut event = Event::decode(
        "CustomExerciseCreated",
        1,
        &sample(TYPES.iter().find(|kind| kind.name == "CustomExerciseCreated").unwrap()),
    )
    .unwrap();
    for field in event.personal_fields() {
        field.open(&mut |_, _| Some("\"My press\"".to_owned()));
    }
    assert!(event.public_payload().is_err());
}

#[test]
fn families_have_topics_of_their_own() {
    let topics: BTreeSet<String> = Family::ALL.map(|family| family.topic("test")).into();
    assert_eq!(topics.len(), Family::ALL.len());
    assert_eq!(Family::Training.topic("ironledger"), "ironledger.training.v1");
    assert_eq!(Family::of("SetTeleported"), None);
}

/// Values that hold no others.
fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(leaves).sum(),
        Value::Array(entries) => entries.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// Where a value is not what a schema says. It knows the keywords of our schemas and panics at any
/// other; the usual validators would switch on features of serde_json that the product is without.
fn faults(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (word, said) in schema.as_object().unwrap() {
        let good = match word.as_str() {
            "$id" | "$schema" | "$defs" | "title" | "description" | "examples" | "default" => true,
            word if word.starts_with("x-") => true,
            // Of these the types say more, and have tests of their own.
            "format" | "pattern" | "multipleOf" => true,
            "$ref" => {
                let target = root.pointer(said.as_str().unwrap().strip_prefix('#').unwrap());
                found.extend(faults(root, target.unwrap(), value));
                true
            }
            "type" => match said {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "properties" => {
                for (name, inner) in said.as_object().unwrap() {
                    if let Some(field) = value.get(name) {
                        found.extend(faults(root, inner, field));
                    }
                }
                true
            }
            "required" => said
                .as_array()
                .unwrap()
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some()),
            "additionalProperties" if *said == Value::Bool(false) => {
                let known = schema["properties"].as_object().unwrap();
                value
                    .as_object()
                    .is_none_or(|fields| fields.keys().all(|name| known.contains_key(name)))
            }
            "items" => {
                for entry in value.as_array().into_iter().flatten() {
                    found.extend(faults(root, said, entry));
                }
                true
            }
            "uniqueItems" => {
                let entries = value.as_array().map_or(&[][..], Vec::as_slice);
                entries.iter().enumerate().all(|(at, entry)| !entries[..at].contains(entry))
            }
            "anyOf" | "oneOf" => {
                said.as_array().unwrap().iter().any(|one| faults(root, one, value).is_empty())
            }
            "enum" => said.as_array().unwrap().contains(value),
            "const" => said == value,
            "minimum" => value.as_f64().is_none_or(|number| number >= said.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= said.as_f64().unwrap()),
            other => panic!("a schema says {other}"),
        };
        if !good {
            found.push(format!("{value} is not of {word} {said}"));
        }
    }
    found
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("a schema says type {other}"),
    }
}
