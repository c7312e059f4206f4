//! What was stored once stays readable: every type and version has a stored sample that decodes.

use std::{collections::BTreeSet, fs, path::Path};

use events::{Event, EventType, TYPES};
use serde_json::Value;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn every_type_and_version_has_a_sample_that_decodes() {
    for kind in TYPES {
        let file = folder("samples").join(format!("{}.v{}.json", kind.name, kind.version));
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let stored = text.trim_end();
        let event = Event::decode(kind.name, kind.version, stored).unwrap();
        if event.type_and_version() == (kind.name, kind.version) {
            assert_eq!(event.encode().unwrap(), stored, "{} is deterministic", kind.name);
        }
    }
}

#[test]
fn no_sample_or_schema_is_left_over() {
    let names = |wanted: fn(&&EventType) -> bool| -> BTreeSet<String> {
        let wanted = TYPES.iter().filter(wanted);
        wanted.map(|kind| format!("{}.v{}.json", kind.name, kind.version)).collect()
    };
    let all = names(|_| true);
    let public = names(|kind| kind.family.is_some());
    for (name, known) in [("samples", &all), ("schemas", &all), ("public", &public)] {
        let found: BTreeSet<String> = fs::read_dir(folder(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(found, *known, "events/{name}");
    }
}

#[test]
fn what_was_stored_before_there_were_sides_is_of_both() {
    for name in ["SetLogged", "SetCorrected"] {
        let stored = fs::read_to_string(folder("samples").join(format!("{name}.v1.json"))).unwrap();
        let event = Event::decode(name, 1, &stored).unwrap();
        assert_eq!(event.type_and_version(), (name, 2), "as the current version says it");
        let now: Value = serde_json::from_str(&event.encode().unwrap()).unwrap();
        let mut then: Value = serde_json::from_str(&stored).unwrap();
        then["set"]["side"] = "both".into();
        assert_eq!(now, then, "nothing else changes on the way");
    }
    // A step must not fail on what is no payload: the decoder names it.
    for malformed in ["7", "[]", r#"{"set":7}"#, "{"] {
        let refused = Event::decode("SetLogged", 1, malformed).unwrap_err().to_string();
        assert!(refused.contains("SetLogged version 1"), "{refused}");
    }
}

#[test]
fn unknown_types_and_newer_versions_are_refused_by_name() {
    let newer = Event::decode("SetLogged", 99, "{}").unwrap_err().to_string();
    assert!(newer.contains("SetLogged version 99"), "{newer}");
    assert!(Event::decode("SetTeleported", 1, "{}").is_err());
    let malformed = Event::decode("SetRemoved", 1, r#"{"set_id":7}"#).unwrap_err().to_string();
    assert!(malformed.contains("SetRemoved version 1"), "{malformed}");
}
