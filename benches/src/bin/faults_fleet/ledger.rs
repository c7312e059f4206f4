//! What an athlete knows of its sets: what was acknowledged, and what may or may not have happened.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

/// What a set must be.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) workout: Uuid,
    pub(crate) there: There,
    /// What was acknowledged last, and after it what was asked for in vain.
    pub(crate) values: Vec<Values>,
}

/// Whether a set must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum There {
    Yes,
    No,
    /// Nobody answered.
    Perhaps,
}

/// What of a set is looked at; every correction changes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) reps: i64,
    pub(crate) kg: i64,
}

impl Values {
    /// Of a set as answers and events show it.
    pub(crate) fn of(set: &Value) -> Option<Self> {
        let kg = &set["weight"]["kg"];
        let kg = kg.as_f64().or_else(|| kg.as_str()?.parse().ok())?;
        Some(Self { reps: set["reps"].as_i64()?, kg: kg as i64 })
    }
}

/// How a set was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) workout: Uuid,
    pub(crate) values: Option<Values>,
}

/// The sets of an athlete.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) sets: BTreeMap<Uuid, Known>,
    /// Commands about sets that were answered.
    pub(crate) acknowledged: u64,
}

impl Ledger {
    /// What is not as it was acknowledged, among the sets found; `in_workout` says that only those
    /// of one workout were looked for.
    pub(crate) fn compare(
        &self,
        found: &BTreeMap<Uuid, Found>,
        in_workout: Option<Uuid>,
    ) -> Vec<String> {
        let looked_for = |known: &Known| in_workout.is_none_or(|workout| workout == known.workout);
        let mut wrong = Vec::new();
        for (set, known) in self.sets.iter().filter(|(_, known)| looked_for(known)) {
            let good = match (found.get(set), known.there) {
                (None, There::Yes) | (Some(_), There::No) => false,
                (None, There::No | There::Perhaps) => true,
                (Some(found), There::Yes | There::Perhaps) => {
                    found.workout == known.workout
                        && found.values.is_some_and(|values| known.values.contains(&values))
                }
            };
            if !good {
                wrong.push(format!("set {set} must be {known:?}, and is {:?}", found.get(set)));
            }
        }
        for (set, found) in found.iter().filter(|(set, _)| !self.sets.contains_key(*set)) {
            wrong.push(format!("nobody logged set {set}: {found:?}"));
        }
        wrong
    }
}
