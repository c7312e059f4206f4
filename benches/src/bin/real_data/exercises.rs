//! Which exercise does an app mean by a name, and how are its sets measured?

use std::collections::HashMap;

use anyhow::Result;
use events::Measurement;
use serde::Deserialize;

use crate::records::Figures;

const LIBRARY: &str = include_str!("../../../../crates/domain/library/exercises.json");

/// An exercise of the library, or one of somebody's own.
#[derive(Debug, Clone)]
pub(crate) struct Exercise {
    pub(crate) id: String,
    pub(crate) kind: Measurement,
}

/// An exercise as it stands in the library.
#[derive(Deserialize)]
struct Entry {
    id: String,
    name: String,
    /// By app.
    aliases: HashMap<String, Vec<String>>,
    kind: Measurement,
}

/// The exercises of the library by their names in an app, folded.
pub(crate) fn library(app: &str) -> Result<HashMap<String, Exercise>> {
    let entries: Vec<Entry> = serde_json::from_str(LIBRARY)?;
    let exercise = |entry: &Entry| Exercise { id: entry.id.clone(), kind: entry.kind };
    let mut named: HashMap<String, Exercise> =
        entries.iter().map(|entry| (fold(&entry.name), exercise(entry))).collect();
    // Later than the names, since an alias goes before the name of another exercise.
    for entry in &entries {
        let aliases = entry.aliases.get(app).into_iter().flatten();
        named.extend(aliases.map(|alias| (fold(alias), exercise(entry))));
    }
    Ok(named)
}

/// The form in which names are compared.
pub(crate) fn fold(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// How an exercise that the library does not have is measured, from what its rows say.
pub(crate) fn measured_by(rows: impl Iterator<Item = Figures> + Clone) -> Measurement {
    let any = |has: fn(Figures) -> bool| rows.clone().any(has);
    let weight = any(|row| row.kg.is_some());
    let distance = any(|row| row.metres.is_some());
    match (any(|row| row.reps.is_some_and(|reps| reps > 0)), distance, weight) {
        (true, ..) => Measurement::WeightReps,
        (false, true, true) => Measurement::WeightDistance,
        (false, true, false) => Measurement::DistanceDuration,
        (false, false, true) => Measurement::WeightDuration,
        (false, false, false) => Measurement::Duration,
    }
}
