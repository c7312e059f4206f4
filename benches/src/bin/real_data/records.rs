//! Are the records that the product shows, and their progressions, those of a recomputation?

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use events::Measurement;
use rust_decimal::Decimal;
use serde_json::Value;
use testkit::{
    Client,
    oracle::{
        held, held_of,
        truth::{self, Held, Measured, Set, Workout},
        word,
    },
};

use crate::exercises::Exercise;

/// Of the estimated one-repetition maximum.
const FORMULAS: [&str; 3] = ["standard", "brzycki", "epley"];

/// Differences that are told in full.
const TOLD: usize = 10;

/// What a row of an export says of a set, in whatever app's columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) warm_up: bool,
    pub(crate) reps: Option<u32>,
    pub(crate) kg: Option<Decimal>,
    pub(crate) seconds: Option<u32>,
    pub(crate) metres: Option<Decimal>,
}

/// All that somebody did, in the order in which the product was told of it.
#[derive(Default)]
pub(crate) struct Done {
    exercises: Vec<(String, Measured)>,
    workouts: Vec<Workout>,
    sets: Vec<Set>,
}

impl Done {
    /// A workout, and its sets with their ids; all of them at its start, as in an import.
    pub(crate) fn add(
        &mut self,
        workout: &str,
        started_at: DateTime<Utc>,
        sets: impl IntoIterator<Item = (String, Exercise, Figures)>,
    ) {
        let logged = self.logged();
        let id = workout.to_owned();
        self.workouts.push(Workout { id, started_at, logged, completed: true });
        for (id, exercise, figures) in sets {
            let set = Set {
                id,
                workout: workout.to_owned(),
                exercise: self.index(exercise),
                warm_up: figures.warm_up,
                at: started_at,
                logged: self.logged(),
                reps: figures.reps,
                kg: figures.kg,
                seconds: figures.seconds,
                metres: figures.metres,
                unusual: false,
                // No export says what anybody weighs.
                bodyweight: None,
            };
            self.sets.push(set);
        }
    }

    fn logged(&self) -> usize {
        self.workouts.len() + self.sets.len()
    }

    fn index(&mut self, exercise: Exercise) -> usize {
        let known = self.exercises.iter().position(|(id, _)| *id == exercise.id);
        known.unwrap_or_else(|| {
            self.exercises.push((exercise.id, measured(exercise.kind)));
            self.exercises.len() - 1
        })
    }

    fn sets_of(&self, exercise: usize) -> Vec<Set> {
        self.sets.iter().filter(|set| set.exercise == exercise).cloned().collect()
    }
}

fn measured(kind: Measurement) -> Measured {
    match kind {
        Measurement::WeightReps => Measured::WeightReps,
        Measurement::RepsOnly => Measured::RepsOnly,
        Measurement::WeightedBodyweight => Measured::Added,
        Measurement::AssistedBodyweight => Measured::Assisted,
        Measurement::Duration => Measured::Duration,
        Measurement::WeightDuration => Measured::WeightDuration,
        Measurement::DistanceDuration => Measured::DistanceDuration,
        Measurement::WeightDistance => Measured::WeightDistance,
    }
}

/// How many were compared, and how many of them were the same.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) all: usize,
    pub(crate) equal: usize,
}

impl Count {
    /// Whether there was something to compare, and no difference.
    pub(crate) fn is_good(&self) -> bool {
        self.all > 0 && self.equal == self.all
    }

    /// Compares what is shown of an exercise with what is true, kind by kind.
    fn compare(&mut self, of: &str, shown: &[Held], truth: &[Held], differences: &mut Vec<String>) {
        let kinds: BTreeSet<&str> =
            shown.iter().chain(truth).map(|held| held.kind.as_str()).collect();
        for kind in kinds {
            let only = |all: &[Held]| -> Vec<Held> {
                all.iter().filter(|held| held.kind == kind).cloned().collect()
            };
            let (shown, truth) = (only(shown), only(truth));
            self.all += 1;
            if shown == truth {
                self.equal += 1;
            } else {
                let (shown, truth) = (tell(&shown), tell(&truth));
                differences.push(format!("{of}, {kind}\n  shown: {shown}\n  true:  {truth}"));
            }
        }
    }
}

fn tell(held: &[Held]) -> String {
    let told = held.iter().map(|Held { value, set, workout, at, .. }| {
        let set = set.as_deref().unwrap_or("all sets");
        format!("{value} at {at} by {set} of {workout}")
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join("; ") }
}

/// What came of comparing, all athletes together.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Of each formula for itself.
    pub(crate) records: Count,
    /// The same, and those of the rep table once.
    pub(crate) progressions: Count,
    differences: Vec<String>,
}

impl Outcome {
    /// Compares everything about an athlete's records, once the models stand at a position.
    pub(crate) async fn compare(&mut self, athlete: &Client, position: &str, done: &Done) {
        for formula in FORMULAS {
            self.compare_records(athlete, position, done, formula).await;
        }
        for index in 0..done.exercises.len() {
            for formula in FORMULAS {
                self.compare_progressions(athlete, position, done, index, formula, None).await;
            }
            // Which is shown for the asking alone.
            let kinds = truth::kinds(done.exercises[index].1);
            for kind in kinds.iter().filter(|kind| is_rep_table(kind)) {
                let formula = FORMULAS[0];
                self.compare_progressions(athlete, position, done, index, formula, Some(kind))
                    .await;
            }
        }
    }

    async fn compare_records(
        &mut self,
        athlete: &Client,
        position: &str,
        done: &Done,
        formula: &str,
    ) {
        let path = format!("/v1/records?formula={formula}");
        let answer = athlete.get_at(&path, position).await.expect(200);
        let id = |of: &Value| of["exercise"]["id"].as_str().unwrap_or_default().to_owned();
        for (index, (exercise, measured)) in done.exercises.iter().enumerate() {
            let shown = answer.list().iter().filter(|of| id(of) == *exercise);
            let shown: Vec<Held> = shown.flat_map(held_of).collect();
            let sets = done.sets_of(index);
            let truth = truth::records(*measured, formula, &sets, &done.workouts, None);
            let of = format!("{path} of {exercise}");
            self.records.compare(&of, &shown, &truth, &mut self.differences);
        }
        for of in answer.list() {
            if !done.exercises.iter().any(|(exercise, _)| *exercise == id(of)) {
                let path = format!("{path} of {}, which nobody did", id(of));
                self.records.compare(&path, &held_of(of), &[], &mut self.differences);
            }
        }
    }

    /// Of an exercise: of a kind, or of all but the rep table.
    async fn compare_progressions(
        &mut self,
        athlete: &Client,
        position: &str,
        done: &Done,
        index: usize,
        formula: &str,
        kind: Option<&str>,
    ) {
        let (exercise, measured) = &done.exercises[index];
        let mut path = format!("/v1/records/{exercise}/progression?formula={formula}");
        let mut kinds = truth::kinds(*measured);
        match kind {
            Some(kind) => {
                path += &format!("&kind={kind}");
                kinds = vec![kind.to_owned()];
            }
            None => kinds.retain(|kind| !is_rep_table(kind)),
        }
        let answer = athlete.get_at(&path, position).await.expect(200);
        let mut shown: Vec<Held> = Vec::new();
        for broken in answer.list() {
            let points = broken["points"].as_array().into_iter().flatten();
            shown.extend(points.map(|point| held(&word(broken), point)));
        }
        shown.sort_by(truth::order);
        let sets = done.sets_of(index);
        let truth = truth::progression(*measured, formula, &kinds, &sets, &done.workouts);
        self.progressions.compare(&path, &shown, &truth, &mut self.differences);
    }

    /// The first differences in full, and how many more there are.
    pub(crate) fn differences(&self) -> impl Iterator<Item = String> {
        let more = self.differences.len().saturating_sub(TOLD);
        let more = (more > 0).then(|| format!("and {more} more differences"));
        self.differences.iter().take(TOLD).cloned().chain(more)
    }
}

fn is_rep_table(kind: &str) -> bool {
    kind.starts_with("at_reps")
}
