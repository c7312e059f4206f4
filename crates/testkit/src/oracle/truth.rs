//! What records are, worked out from all sets that there are: slowly, and by nothing of the product's.

use std::cmp::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rust_decimal::{Decimal, RoundingStrategy::MidpointNearestEven, dec};

/// How an exercise is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Measured {
    WeightReps,
    RepsOnly,
    Added,
    Assisted,
    Duration,
    WeightDuration,
    DistanceDuration,
    WeightDistance,
}

/// A set as it stands now.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Set {
    pub id: String,
    pub workout: String,
    pub exercise: usize,
    pub warm_up: bool,
    pub at: DateTime<Utc>,
    /// When it was logged, as a number that grows.
    pub logged: usize,
    pub reps: Option<u32>,
    pub kg: Option<Decimal>,
    pub seconds: Option<u32>,
    pub metres: Option<Decimal>,
    pub unusual: bool,
    /// In kg, on the day of the set.
    pub bodyweight: Option<Decimal>,
}

/// A weighing as it stands now, among others in the order in which they were noted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Weighing {
    pub id: String,
    pub at: DateTime<Utc>,
    pub kg: Decimal,
}

/// What somebody weighed on the local day of an instant, as far as it was known at the end of it.
pub fn bodyweight(weighings: &[Weighing], at: DateTime<Utc>, zone: Tz) -> Option<Decimal> {
    let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
    let mut last: Option<&Weighing> = None;
    for weighing in weighings {
        if day(weighing.at) <= day(at) && last.is_none_or(|last| weighing.at >= last.at) {
            last = Some(weighing);
        }
    }
    last.map(|last| last.kg)
}

/// A workout as it stands now.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Workout {
    pub id: String,
    pub started_at: DateTime<Utc>,
    pub logged: usize,
    pub completed: bool,
}

/// One record: its kind, figure and holder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The word, with the number of repetitions for the rep table.
    pub kind: String,
    /// The figure, without zeros at its end.
    pub value: Decimal,
    /// The set; none for a session.
    pub set: Option<String>,
    /// The workout.
    pub workout: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Somebody's claim on a record.
struct Claim {
    value: Decimal,
    /// More is better.
    score: Decimal,
    set: Option<String>,
    workout: String,
    at: DateTime<Utc>,
    logged: usize,
}

fn round(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(3, MidpointNearestEven)
}

/// The kinds of records, as words.
pub fn kinds(measured: Measured) -> Vec<String> {
    let weights = ["heaviest_weight", "heaviest_for_3", "heaviest_for_5"];
    let others = ["most_reps", "set_volume", "session_volume"];
    let mut kinds: Vec<String> = match measured {
        Measured::WeightReps | Measured::Added => {
            [&weights[..], &others[..], &["one_rep_max"]].concat()
        }
        Measured::Assisted => [&["least_assistance"], &others[..]].concat(),
        Measured::RepsOnly => vec!["most_reps"],
        Measured::Duration => vec!["longest_duration"],
        Measured::WeightDuration => vec!["heaviest_weight", "longest_duration"],
        Measured::DistanceDuration => vec!["longest_distance", "longest_duration"],
        Measured::WeightDistance => vec!["heaviest_weight", "longest_distance"],
    }
    .into_iter()
    .map(str::to_owned)
    .collect();
    if matches!(measured, Measured::WeightReps | Measured::Added | Measured::Assisted) {
        kinds.extend((1..=12).map(|reps| format!("at_reps_{reps}")));
    }
    kinds
}

/// An estimated one-repetition maximum.
pub fn one_rep_max(formula: &str, kg: Decimal, reps: u32) -> Option<Decimal> {
    if !(1..=12).contains(&reps) {
        return None;
    }
    let r = Decimal::from(reps);
    let brzycki = kg * dec!(36) / (dec!(37) - r);
    let epley = kg * (dec!(30) + r) / dec!(30);
    Some(round(match (formula, reps) {
        (_, 1) => kg,
        ("standard", ..=10) | ("brzycki", _) => brzycki,
        _ => epley,
    }))
}

fn volume(measured: Measured, set: &Set) -> Option<Decimal> {
    let kg = set.kg.map(round);
    let body = set.bodyweight.map(round);
    let load = match measured {
        Measured::WeightReps => kg?,
        Measured::Added => body? + kg.unwrap_or_default(),
        Measured::Assisted => (body? - kg.unwrap_or_default()).max(Decimal::ZERO),
        _ => return None,
    };
    Some(round(load * Decimal::from(set.reps?)))
}

/// What a set claims of a kind of record.
fn figure(kind: &str, measured: Measured, formula: &str, set: &Set) -> Option<Decimal> {
    if set.warm_up || set.reps == Some(0) {
        return None;
    }
    let kg = set.kg.map(round).filter(|kg| measured == Measured::Assisted || *kg > Decimal::ZERO);
    let at_least = |least: u32| set.reps.is_some_and(|reps| reps >= least);
    match kind {
        "heaviest_weight" if set.reps.is_none() => kg,
        "heaviest_weight" | "least_assistance" => kg.filter(|_| at_least(1)),
        "heaviest_for_3" => kg.filter(|_| at_least(3)),
        "heaviest_for_5" => kg.filter(|_| at_least(5)),
        "one_rep_max" => one_rep_max(formula, kg?, set.reps?),
        "most_reps" => set.reps.map(Decimal::from),
        "set_volume" => volume(measured, set).filter(|volume| *volume > Decimal::ZERO),
        "longest_duration" => set.seconds.filter(|s| *s > 0).map(Decimal::from),
        "longest_distance" => set.metres.filter(|metres| *metres > Decimal::ZERO),
        kind => {
            let reps: u32 = kind.strip_prefix("at_reps_")?.parse().ok()?;
            kg.filter(|_| set.reps == Some(reps))
        }
    }
}

/// Every claim on a kind of record, the earliest performed first, of those the earlier logged.
fn claims(
    kind: &str,
    measured: Measured,
    formula: &str,
    sets: &[Set],
    workouts: &[Workout],
) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    if kind == "session_volume" {
        for workout in workouts {
            let of_it = sets.iter().filter(|set| set.workout == workout.id && !set.warm_up);
            let total: Decimal = of_it.filter_map(|set| volume(measured, set)).sum();
            if total > Decimal::ZERO {
                claims.push(Claim {
                    value: total,
                    score: total,
                    set: None,
                    workout: workout.id.clone(),
                    at: workout.started_at,
                    logged: workout.logged,
                });
            }
        }
    }
    for set in sets {
        let Some(value) = figure(kind, measured, formula, set) else { continue };
        let is_load = kind.starts_with("at_reps") || kind == "least_assistance";
        let less_is_better = measured == Measured::Assisted && is_load;
        claims.push(Claim {
            value,
            score: if less_is_better { -value } else { value },
            set: Some(set.id.clone()),
            workout: set.workout.clone(),
            at: set.at,
            logged: set.logged,
        });
    }
    claims.sort_by_key(|claim| (claim.at, claim.logged));
    claims
}

fn held(kind: &str, claim: &Claim) -> Held {
    Held {
        kind: kind.to_owned(),
        value: claim.value.normalize(),
        set: claim.set.clone(),
        workout: claim.workout.clone(),
        at: claim.at,
    }
}

/// Who holds the records of an exercise, of sets and sessions of a window if there is one; sorted.
pub fn records(
    measured: Measured,
    formula: &str,
    sets: &[Set],
    workouts: &[Workout],
    window: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> Vec<Held> {
    let mut all = Vec::new();
    for kind in kinds(measured) {
        let mut best: Option<Claim> = None;
        for claim in claims(&kind, measured, formula, sets, workouts) {
            if window.is_some_and(|(from, to)| claim.at < from || claim.at >= to) {
                continue;
            }
            if best.as_ref().is_none_or(|best| claim.score > best.score) {
                best = Some(claim);
            }
        }
        all.extend(best.map(|claim| held(&kind, &claim)));
    }
    all.sort_by(order);
    all
}

/// Every time that a record was broken, by kind and time.
pub fn progression(
    measured: Measured,
    formula: &str,
    kinds: &[String],
    sets: &[Set],
    workouts: &[Workout],
) -> Vec<Held> {
    let mut all = Vec::new();
    for kind in kinds {
        let mut best: Option<Decimal> = None;
        for claim in claims(kind, measured, formula, sets, workouts) {
            if best.is_none_or(|best| claim.score > best) {
                best = Some(claim.score);
                all.push(held(kind, &claim));
            }
        }
    }
    all.sort_by(order);
    all
}

/// By kind, and within it by time.
pub fn order(one: &Held, other: &Held) -> Ordering {
    (&one.kind, one.at, one.value).cmp(&(&other.kind, other.at, other.value))
}

/// Who is announced to hold the records of an exercise: nothing unusual, no workout that goes on or has
/// something unusual, one formula, and no volume that tells a bodyweight. Sorted.
pub fn announced(measured: Measured, sets: &[Set], workouts: &[Workout]) -> Vec<Held> {
    let usual: Vec<Set> = sets.iter().filter(|set| !set.unusual).cloned().collect();
    let closed: Vec<Workout> = workouts
        .iter()
        .filter(|workout| {
            let of_it = |set: &&Set| set.workout == workout.id && !set.warm_up && set.unusual;
            workout.completed && !sets.iter().any(|set| of_it(&set))
        })
        .cloned()
        .collect();
    let mut held = records(measured, "standard", &usual, &closed, None);
    let tells = matches!(measured, Measured::Added | Measured::Assisted);
    held.retain(|held| !(tells && held.kind.ends_with("_volume")));
    held
}

/// A working maximum, and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub struct Maximum {
    pub kg: Decimal,
    pub set: String,
    pub bodyweight: Option<Decimal>,
}

/// The working maximum of what was done in the thirty days before a time.
pub fn working_maximum(
    measured: Measured,
    sets: &[Set],
    workouts: &[Workout],
    as_of: DateTime<Utc>,
) -> Option<Maximum> {
    if !matches!(measured, Measured::WeightReps | Measured::Added) {
        return None;
    }
    let completed =
        |set: &Set| workouts.iter().any(|workout| workout.id == set.workout && workout.completed);
    let mut counted: Vec<(&Set, Decimal, Decimal)> = Vec::new();
    for set in sets {
        let is_lately = set.at > as_of - TimeDelta::days(30);
        if set.unusual || !is_lately || !completed(set) {
            continue;
        }
        let estimate = figure("one_rep_max", measured, "standard", set);
        if let (Some(estimate), Some(volume)) = (estimate, volume(measured, set)) {
            counted.push((set, volume, estimate));
        }
    }
    // The last of those that are equal comes first, and then the largest.
    counted.sort_by_key(|(set, ..)| std::cmp::Reverse((set.at, set.logged)));
    counted.sort_by_key(|(_, volume, _)| std::cmp::Reverse(*volume));
    counted.truncate(10);
    counted.sort_by_key(|(set, ..)| std::cmp::Reverse((set.at, set.logged)));
    counted.sort_by_key(|(.., estimate)| std::cmp::Reverse(*estimate));
    let (set, _, kg) = counted.get(counted.len() / 20)?;
    Some(Maximum { kg: kg.normalize(), set: set.id.clone(), bodyweight: set.bodyweight })
}
