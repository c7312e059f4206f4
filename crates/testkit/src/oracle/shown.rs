//! Records as answers show them.

use chrono::DateTime;
use rust_decimal::Decimal;
use serde_json::Value;

use super::truth::{Held, order};

/// The records in an answer about an exercise.
pub fn held_of(of: &Value) -> Vec<Held> {
    let lists = [&of["records"], &of["by_reps"]].into_iter().filter_map(Value::as_array);
    let shown = lists.flatten().filter(|record| !record["value"].is_null());
    let mut all: Vec<Held> = shown.map(|record| held(&word(record), record)).collect();
    all.sort_by(order);
    all
}

/// Those of the window before.
pub(super) fn previous_of(of: &Value) -> Vec<Held> {
    let lists = [&of["records"], &of["by_reps"]].into_iter().filter_map(Value::as_array);
    let shown = lists.flatten().filter(|record| !record["previous"].is_null());
    let mut all: Vec<Held> = shown.map(|record| held(&word(record), &record["previous"])).collect();
    all.sort_by(order);
    all
}

/// A delta that is not the difference of the two figures.
pub(super) fn wrong_delta(of: &Value, now: &[Held], before: &[Held]) -> Option<String> {
    let lists = [&of["records"], &of["by_reps"]].into_iter().filter_map(Value::as_array);
    lists.flatten().find_map(|record| {
        let kind = word(record);
        let figure = |of: &[Held]| of.iter().find(|held| held.kind == kind).map(|held| held.value);
        let truth = figure(now).zip(figure(before)).map(|(now, before)| now - before);
        let shown = record["delta"].as_number().map(|delta| decimal(&delta.to_string()));
        (shown != truth.map(|delta| delta.normalize()))
            .then(|| format!("delta of {kind} is {shown:?} and should be {truth:?}"))
    })
}

/// The word for a kind of record; of the rep table, with the number of repetitions.
pub fn word(record: &Value) -> String {
    let kind = record["kind"].as_str().expect("a kind");
    match record["reps"].as_u64() {
        Some(reps) if kind == "at_reps" => format!("at_reps_{reps}"),
        _ => kind.to_owned(),
    }
}

/// Who holds a record, as an answer says it.
pub fn held(kind: &str, holder: &Value) -> Held {
    let at = holder["performed_at"].as_str().expect("a time");
    Held {
        kind: kind.to_owned(),
        value: decimal(&holder["value"].as_number().expect("a number").to_string()),
        set: holder["set"]["id"].as_str().map(str::to_owned),
        workout: holder["workout"].as_str().expect("a workout").to_owned(),
        at: DateTime::parse_from_rfc3339(at).expect("a time").to_utc(),
    }
}

pub(super) fn decimal(text: &str) -> Decimal {
    text.parse::<Decimal>().expect("a decimal").normalize()
}
