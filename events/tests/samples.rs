//! What was stored once stays readable: every type and version has a stored sample that decodes.

use std::{collections::BTreeSet, fs, path::Path};

use events::{Event, TYPES};

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
    let known: BTreeSet<String> =
        TYPES.iter().map(|kind| format!("{}.v{}.json", kind.name, kind.version)).collect();
    for name in ["samples", "schemas"] {
        let found: BTreeSet<String> = fs::read_dir(folder(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(found, known, "events/{name}");
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
