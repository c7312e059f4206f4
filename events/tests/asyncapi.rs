//! The AsyncAPI document names everything that there is, and leads nowhere in vain.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::BTreeSet, fs, path::Path};

use events::{Family, TYPES};
use serde_json::Value;

fn document() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/asyncapi.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Every `$ref` within a value.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(entries) => entries.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 2 * TYPES.len(), "{}", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference}"));
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_topic_has_the_events_of_its_family() {
    let document = document();
    let messages = |channel: &str| -> BTreeSet<String> {
        let messages = document["channels"][channel]["messages"].as_object().unwrap();
        messages.keys().cloned().collect()
    };
    assert_eq!(document["channels"]["log"]["address"], "ironledger.log");
    let all = TYPES.iter().map(|kind| format!("{}.v{}", kind.name, kind.version));
    assert_eq!(messages("log"), all.collect());
    for family in Family::ALL {
        let channel = &document["channels"][family.name()];
        assert_eq!(channel["address"], family.topic("ironledger"));
        let topic = &channel["bindings"]["kafka"];
        assert_eq!(topic["topic"], channel["address"]);
        assert_eq!(topic["topicConfiguration"]["cleanup.policy"], serde_json::json!(["delete"]));
        let own = TYPES.iter().filter(|kind| kind.current && kind.family == Some(family));
        let own = own.map(|kind| format!("public.{}.v{}", kind.name, kind.version));
        assert_eq!(messages(family.name()), own.collect(), "{}", family.name());
    }
    let channels = document["channels"].as_object().unwrap();
    let sent = document["operations"].as_object().unwrap().values();
    let sent: BTreeSet<&str> =
        sent.filter_map(|operation| operation["channel"]["$ref"].as_str()).collect();
    assert_eq!(sent.len(), channels.len(), "each is published");
}
