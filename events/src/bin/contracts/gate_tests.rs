//! Which changes of a contract are refused, and which are taken.

use serde_json::{Value, json};

use super::{Contracts, breaks};

/// The schema of an event with a bit of everything.
fn schema() -> Value {
    json!({
        "$id": "urn:ironledger:event:SetLogged:1",
        "description": "A set was performed.",
        "type": "object",
        "properties": {
            "set": { "description": "What.", "$ref": "#/$defs/Set" },
            "muscles": { "type": "array", "items": { "$ref": "#/$defs/Muscle" } },
            "notes": { "type": ["object", "null"], "x-personal": true, "properties": {} },
        },
        "required": ["set"],
        "$defs": {
            "Set": {
                "type": "object",
                "properties": {
                    "reps": { "type": ["integer", "null"], "minimum": 0, "maximum": 1000 },
                    "weight": { "anyOf": [{ "$ref": "#/$defs/Weight" }, { "type": "null" }] },
                    "kind": { "oneOf": [
                        { "description": "Work.", "type": "string", "const": "normal" },
                        { "type": "string", "const": "drop" },
                    ] },
                    "next": { "$ref": "#/$defs/Set" },
                },
                "required": ["kind"],
            },
            "Weight": {
                "type": "object",
                "properties": { "kg": { "type": "string", "pattern": "^[0-9]+$" } },
                "required": ["kg"],
            },
            "Muscle": { "enum": ["chest", "lats"] },
        },
    })
}

fn contracts(stored: &[(i16, Value)], public: &[(i16, Value)]) -> Contracts {
    let keyed = |all: &[(i16, Value)]| {
        let named = all.iter().cloned();
        named.map(|(version, schema)| (("SetLogged".to_owned(), version), schema)).collect()
    };
    let samples = [(("SetLogged".to_owned(), 1), "{}".to_owned())].into();
    Contracts { stored: keyed(stored), public: keyed(public), samples }
}

fn fine(_: &str, _: i16, _: &str) -> Result<(), String> {
    Ok(())
}

/// What is said of a change of version 1 of the stored event.
fn stored(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut changed = schema();
    change(&mut changed);
    let (old, new) = (contracts(&[(1, schema())], &[]), contracts(&[(1, changed)], &[]));
    breaks(&old, &new, fine).iter().map(ToString::to_string).collect()
}

/// What is said of a change of the public event, which is of that version then.
fn public(version: i16, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut changed = schema();
    change(&mut changed);
    let old = contracts(&[], &[(1, schema())]);
    let new = contracts(&[], &[(1, schema()), (version, changed)]);
    breaks(&old, &new, fine).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(said: &[String], words: &[&str]) {
    assert_eq!(said.len(), 1, "{said:#?}");
    for word in words {
        assert!(said[0].contains(word), "{word}: {}", said[0]);
    }
}

fn set(schema: &mut Value) -> &mut Value {
    &mut schema["$defs"]["Set"]
}

fn remove(from: &mut Value, name: &str) {
    from.as_object_mut().unwrap().remove(name);
}

#[test]
fn a_removed_field_is_refused_and_told_how_to_do_it_right() {
    let said = stored(|schema| remove(&mut set(schema)["properties"], "reps"));
    refused(&said, &["SetLogged version 1, field set.reps: was removed", "Raise the version"]);
}

#[test]
fn a_retyped_field_is_refused() {
    let said = stored(|schema| set(schema)["properties"]["reps"]["type"] = json!("string"));
    assert!(said.iter().any(|said| said.contains("set.reps: type was \"integer\"")), "{said:?}");
    let said = stored(|schema| {
        schema["$defs"]["Weight"]["properties"]["kg"] = json!({ "type": "number" });
    });
    assert!(said[0].contains("field set.weight.kg: "), "{said:?}");
    let said = stored(|schema| schema["properties"]["muscles"] = json!({ "type": "string" }));
    refused(&said, &["field muscles: was a list, and is string"]);
}

#[test]
fn a_new_required_field_needs_a_new_version() {
    let add = |schema: &mut Value| {
        set(schema)["properties"]["side"] = json!({ "enum": ["both", "left"] });
        set(schema)["required"] = json!(["kind", "side"]);
    };
    refused(&stored(add), &["field set.side: is new and required", "from { OLD => step }"]);

    // With one, and the old version still read, it is right.
    let mut second = schema();
    add(&mut second);
    let old = contracts(&[(1, schema())], &[]);
    let new = contracts(&[(1, schema()), (2, second.clone())], &[]);
    assert_eq!(breaks(&old, &new, fine), []);

    // A step that makes of the old sample what the type does not read is none.
    let found = breaks(&old, &new, |_, _, _| Err("missing field `side`".to_owned()));
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    refused(&said, &["SetLogged version 1: the released sample", "missing field `side`", "step"]);

    // And without the old version the logs of yesterday are lost.
    let found = breaks(&old, &contracts(&[(2, second)], &[]), fine);
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    refused(&said, &["SetLogged version 1: was removed", "Put it back"]);
}

#[test]
fn optional_fields_docs_and_new_events_are_taken() {
    let none: Vec<String> = Vec::new();
    assert_eq!(
        stored(|schema| set(schema)["properties"]["rpe"] = json!({ "type": "number" })),
        none
    );
    let docs = stored(|schema| {
        schema["description"] = json!("Otherwise.");
        set(schema)["properties"]["reps"]["x-unit"] = json!("1");
        // The same words, written as another version of the generator does.
        set(schema)["properties"]["kind"] = json!({ "type": "string", "enum": ["drop", "normal"] });
        // The same, without the detour.
        schema["properties"]["muscles"]["items"] = json!({ "enum": ["lats", "chest"] });
    });
    assert_eq!(docs, none);
    let mut more = contracts(&[(1, schema())], &[]);
    more.stored.insert(("SetTeleported".to_owned(), 1), schema());
    assert_eq!(breaks(&contracts(&[(1, schema())], &[]), &more, fine), []);
}

#[test]
fn words_and_bounds_of_a_stored_version_stay() {
    let kind = |words: Value| {
        move |schema: &mut Value| {
            set(schema)["properties"]["kind"] = json!({ "enum": words });
        }
    };
    refused(&stored(kind(json!(["normal"]))), &["field set.kind: can no longer be drop"]);
    refused(&stored(kind(json!(["normal", "drop", "x"]))), &["set.kind: can be x, and never was"]);
    let muscles = stored(|schema| schema["$defs"]["Muscle"]["enum"] = json!(["chest"]));
    refused(&muscles, &["field muscles.*: can no longer be lats"]);
    for (word, value) in [("minimum", 1), ("minimum", -1), ("maximum", 999), ("maximum", 1001)] {
        let said = stored(|schema| set(schema)["properties"]["reps"][word] = json!(value));
        refused(&said, &["field set.reps: ", word]);
    }
    let said = stored(|schema| remove(&mut set(schema)["properties"]["reps"], "maximum"));
    refused(&said, &["maximum was 1000, and is absent"]);
    let said =
        stored(|schema| schema["$defs"]["Weight"]["properties"]["kg"]["pattern"] = json!("."));
    refused(&said, &["field set.weight.kg: pattern was"]);
}

#[test]
fn presence_and_privacy_of_a_stored_version_stay() {
    refused(&stored(|schema| set(schema)["required"] = json!([])), &["set.kind: may be absent"]);
    let said = stored(|schema| set(schema)["required"] = json!(["kind", "reps"]));
    refused(&said, &["set.reps: is required"]);
    let said = stored(|schema| set(schema)["properties"]["reps"]["type"] = json!("integer"));
    refused(&said, &["set.reps: must not be null"]);
    let said = stored(|schema| set(schema)["additionalProperties"] = json!(false));
    refused(&said, &["field set: refuses unknown fields"]);
    let said = stored(|schema| remove(&mut schema["properties"]["notes"], "x-personal"));
    refused(&said, &["field notes: was personal"]);
}

#[test]
fn an_object_that_refuses_unknown_fields_takes_no_new_one() {
    let closed = |schema: &mut Value| set(schema)["additionalProperties"] = json!(false);
    let mut old = schema();
    closed(&mut old);
    let mut new = old.clone();
    set(&mut new)["properties"]["rpe"] = json!({ "type": "number" });
    let found = breaks(&contracts(&[(1, old)], &[]), &contracts(&[(1, new)], &[]), fine);
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    refused(&said, &["field set.rpe: is new where readers refuse unknown fields"]);
}

#[test]
fn a_public_event_only_ever_says_more() {
    let none: Vec<String> = Vec::new();
    for version in [1, 2] {
        let said = public(version, |schema| remove(&mut set(schema)["properties"], "reps"));
        refused(&said, &["public SetLogged", "set.reps: was removed", "no upcasts"]);
        let said = public(version, |schema| set(schema)["required"] = json!([]));
        refused(&said, &["set.kind: may be absent"]);
        let more = public(version, |schema| {
            set(schema)["properties"]["side"] = json!({ "enum": ["both"] });
            set(schema)["required"] = json!(["kind", "side", "reps"]);
            set(schema)["properties"]["reps"]["type"] = json!("integer");
            set(schema)["properties"]["reps"]["maximum"] = json!(500);
        });
        assert_eq!(more, none, "more is said, and surely");
    }
    let said = public(2, |schema| schema["x-topic"] = json!("ironledger.social.v1"));
    refused(&said, &["moved to another topic"]);
    let gone = breaks(&contracts(&[], &[(1, schema())]), &Contracts::default(), fine);
    assert_eq!(gone.len(), 1, "{gone:?}");
}

#[test]
fn new_words_of_a_public_event_come_with_a_version() {
    let word =
        |schema: &mut Value| schema["$defs"]["Muscle"]["enum"] = json!(["chest", "lats", "x"]);
    refused(&public(1, word), &["muscles.*: can be x", "Raise the version"]);
    assert_eq!(public(2, word), Vec::<String>::new());
}
