//! Dependencies between our packages go one way.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Which of our packages each may use, as docs/architecture.md draws it.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("events", &[]),
    ("servers", &[]),
    ("web", &[]),
    ("domain", &["events"]),
    ("log", &["events"]),
    ("projector", &["events", "log"]),
    ("projections", &["domain", "events", "log", "projector", "web"]),
    ("ironledger", &["domain", "events", "log", "projections", "projector", "servers", "web"]),
    ("testkit", &["events", "log", "projector", "servers"]),
    (
        "benches",
        &["domain", "events", "log", "projections", "projector", "servers", "testkit", "web"],
    ),
    ("xtask", &["servers"]),
];

#[test]
fn arrows_go_one_way() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let short = |name: &str| name.strip_prefix("ironledger-").unwrap_or(name).to_owned();
    let ours: BTreeSet<String> =
        metadata.packages.iter().map(|package| short(&package.name)).collect();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    assert_eq!(ours, allowed.keys().map(|name| (*name).to_owned()).collect(), "the packages");
    for package in &metadata.packages {
        let name = short(&package.name);
        // Tests may use the kit, which is above what they test.
        // Everybody else's have no path, though one may have the name of ours.
        let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
        let used = normal.filter(|dependency| dependency.path.is_some());
        for used in used.map(|dependency| short(&dependency.name)) {
            if ours.contains(&used) {
                assert!(allowed[name.as_str()].contains(&used.as_str()), "{name} uses {used}");
            }
        }
    }
}
