//! What is announced of records: the difference between the truth and what was announced before.

use std::collections::BTreeMap;

use events::{
    Event, ExerciseId, Measurement, PRAchieved, PRRevoked, RecordHolder, RecordKind, RecordMoved,
    RecordsRestated, RestatedBecause, WorkoutId,
};
use serde::{Deserialize, Serialize};

use crate::{
    one_rep_max::Formula,
    records::{Best, Kind},
};

/// Which record of an exercise: its kind and, in the rep table, for how many repetitions.
type Which = (RecordKind, Option<u16>);

/// Who holds the records of an exercise, as far as it is told to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<RecordMoved>", from = "Vec<RecordMoved>")]
pub struct Holders(BTreeMap<Which, RecordHolder>);

impl From<Holders> for Vec<RecordMoved> {
    fn from(holders: Holders) -> Self {
        let all = holders.0.into_iter().map(|((kind, reps), holder)| RecordMoved {
            kind,
            reps,
            holder: Some(holder),
            previous: None,
        });
        all.collect()
    }
}

impl From<Vec<RecordMoved>> for Holders {
    fn from(moved: Vec<RecordMoved>) -> Self {
        let mut holders = Self::default();
        moved.into_iter().for_each(|moved| holders.take(moved));
        holders
    }
}

impl Holders {
    /// The truth: without sets that are unusual and workouts that go on. Of the formulas of the
    /// estimated maximum, the standard; without volumes that a bodyweight is part of, for they would
    /// tell it to everybody.
    pub fn of(best: &Best, measurement: Measurement) -> Self {
        let mut holders = Self::default();
        for kind in Kind::of(measurement) {
            let (which, is_volume) = match kind {
                Kind::HeaviestWeight => (RecordKind::HeaviestWeight, false),
                Kind::LeastAssistance => (RecordKind::LeastAssistance, false),
                Kind::OneRepMax(Formula::Standard) => (RecordKind::OneRepMax, false),
                Kind::OneRepMax(_) => continue,
                Kind::HeaviestForThree => (RecordKind::HeaviestForThree, false),
                Kind::HeaviestForFive => (RecordKind::HeaviestForFive, false),
                Kind::MostReps => (RecordKind::MostReps, false),
                Kind::BestSetVolume => (RecordKind::SetVolume, true),
                Kind::BestSessionVolume => (RecordKind::SessionVolume, true),
                Kind::LongestDuration => (RecordKind::LongestDuration, false),
                Kind::LongestDistance => (RecordKind::LongestDistance, false),
                Kind::AtReps(_) => (RecordKind::AtReps, false),
            };
            if measurement.has_bodyweight() && is_volume {
                continue;
            }
            let reps = if let Kind::AtReps(reps) = kind { Some(reps) } else { None };
            let holder = if kind == Kind::BestSessionVolume {
                best.closed_session().map(|session| RecordHolder {
                    figure: session.volume_kg.normalize(),
                    set_id: None,
                    workout_id: session.workout,
                    performed_at: session.started_at,
                })
            } else {
                best.usual_holder(kind, measurement).map(|(set, figure)| RecordHolder {
                    figure: figure.normalize(),
                    set_id: Some(set.id),
                    workout_id: set.workout,
                    performed_at: set.performed_at,
                })
            };
            holders.0.extend(holder.map(|holder| ((which, reps), holder)));
        }
        holders
    }

    /// Takes in what was announced.
    pub fn take(&mut self, moved: RecordMoved) {
        let which = (moved.kind, moved.reps);
        match moved.holder {
            Some(holder) => self.0.insert(which, holder),
            None => self.0.remove(&which),
        };
    }

    /// The workouts of those who hold something.
    pub fn workouts(&self) -> impl Iterator<Item = WorkoutId> {
        self.0.values().map(|holder| holder.workout_id)
    }
}

/// Why a difference is announced, and with it, how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody trained: records are news, but those whose new holder came out of another app.
    Trained,
    /// Whatever it is, it is no news.
    Restated(RestatedBecause),
}

/// The events that bring what was announced to the truth. `announced` is nothing where nothing was
/// ever announced of the exercise.
pub fn difference(
    exercise: &ExerciseId,
    measurement: Measurement,
    truth: &Holders,
    announced: Option<&Holders>,
    occasion: Occasion,
    is_imported: impl Fn(WorkoutId) -> bool,
) -> Vec<Event> {
    let nothing = Holders::default();
    let before = announced.unwrap_or(&nothing);
    let mut all: Vec<Which> = truth.0.keys().chain(before.0.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    let (mut achieved, mut revoked, mut restated) = (Vec::new(), Vec::new(), Vec::new());
    for which in all {
        let (holder, previous) = (truth.0.get(&which), before.0.get(&which));
        if holder == previous {
            continue;
        }
        let (kind, reps) = which;
        let moved =
            RecordMoved { kind, reps, holder: holder.cloned(), previous: previous.cloned() };
        let less_is_better = kind == RecordKind::LeastAssistance
            || (kind == RecordKind::AtReps && measurement == Measurement::AssistedBodyweight);
        let is_better = match (holder, previous) {
            (Some(holder), Some(previous)) if less_is_better => holder.figure < previous.figure,
            (Some(holder), Some(previous)) => holder.figure > previous.figure,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let imported = holder.is_some_and(|holder| is_imported(holder.workout_id));
        match occasion {
            Occasion::Restated(_) => restated.push(moved),
            Occasion::Trained if is_better && imported => restated.push(moved),
            Occasion::Trained if is_better => achieved.push(moved),
            Occasion::Trained => revoked.push(moved),
        }
    }
    let reason = match occasion {
        Occasion::Restated(reason) => reason,
        Occasion::Trained => RestatedBecause::Imported,
    };
    // Whoever does something for the first time has broken nothing.
    let first = achieved.iter().all(|moved| moved.previous.is_none());
    let exercise = exercise.clone();
    let mut events: Vec<Event> = Vec::new();
    if !restated.is_empty() {
        let exercise = exercise.clone();
        events.push(RecordsRestated { exercise, reason, records: restated }.into());
    }
    if !revoked.is_empty() {
        events.push(PRRevoked { exercise: exercise.clone(), records: revoked }.into());
    }
    if !achieved.is_empty() {
        events.push(PRAchieved { exercise, first, records: achieved }.into());
    }
    events
}

#[cfg(test)]
mod tests {
    use events::{
        Event, ExerciseId, Measurement, RecordHolder, RecordKind, RecordMoved, RestatedBecause,
        WorkoutId,
    };
    use rust_decimal::Decimal;
    use uuid::Uuid;

    use super::{Holders, Occasion, difference};

    fn workout(number: u128) -> WorkoutId {
        WorkoutId::new(Uuid::from_u128(7 << 76 | number)).unwrap()
    }

    fn holders(held: &[(RecordKind, i64, u128)]) -> Holders {
        let moved = held.iter().map(|(kind, figure, number)| RecordMoved {
            kind: *kind,
            reps: None,
            holder: Some(RecordHolder {
                figure: Decimal::from(*figure),
                set_id: None,
                workout_id: workout(*number),
                performed_at: "2026-01-01T10:00:00Z".parse().unwrap(),
            }),
            previous: None,
        });
        Holders::from(moved.collect::<Vec<_>>())
    }

    fn said(
        truth: &[(RecordKind, i64, u128)],
        announced: Option<&[(RecordKind, i64, u128)]>,
        occasion: Occasion,
    ) -> Vec<Event> {
        let exercise: ExerciseId = "bench-press-barbell".parse().unwrap();
        let announced = announced.map(holders);
        let truth = holders(truth);
        let imported = |id| id == workout(9);
        let weighed = Measurement::WeightReps;
        let events = difference(&exercise, weighed, &truth, announced.as_ref(), occasion, imported);
        // Whatever was said, it adds up to the truth.
        let mut then = announced.unwrap_or_default();
        for event in &events {
            let records = match event {
                Event::PRAchieved(achieved) => &achieved.records,
                Event::PRRevoked(revoked) => &revoked.records,
                Event::RecordsRestated(restated) => &restated.records,
                other => panic!("{other:?}"),
            };
            records.iter().for_each(|moved| then.take(moved.clone()));
        }
        assert_eq!(then, truth);
        events
    }

    use RecordKind::{HeaviestWeight, MostReps, SetVolume};

    #[test]
    fn what_is_better_is_achieved_and_what_is_lost_is_revoked() {
        let first = said(&[(HeaviestWeight, 100, 1)], None, Occasion::Trained);
        let [Event::PRAchieved(first)] = &first[..] else { panic!("{first:?}") };
        assert!(first.first && first.records[0].previous.is_none());

        let before: &[_] = &[(HeaviestWeight, 100, 1), (MostReps, 5, 1), (SetVolume, 500, 1)];
        let truth = [(HeaviestWeight, 110, 2), (MostReps, 5, 3)];
        let events = said(&truth, Some(before), Occasion::Trained);
        let [Event::PRRevoked(revoked), Event::PRAchieved(achieved)] = &events[..] else {
            panic!("{events:?}")
        };
        assert!(!achieved.first);
        assert_eq!(achieved.records.len(), 1, "{achieved:?}");
        assert_eq!(revoked.records.len(), 2, "one is as good and earlier, one is gone");
        assert_eq!(said(before, Some(before), Occasion::Trained), Vec::new());
        // Nothing is broken either where nothing is left of what was known once.
        let again = said(&[(HeaviestWeight, 90, 1)], Some(&[]), Occasion::Trained);
        assert!(matches!(&again[..], [Event::PRAchieved(again)] if again.first), "{again:?}");
        // A kind that comes to be held with the end of the first workout is no trophy.
        let held: &[_] = &[(HeaviestWeight, 100, 1)];
        let more = said(&[held[0], (SetVolume, 500, 1)], Some(held), Occasion::Trained);
        assert!(matches!(&more[..], [Event::PRAchieved(more)] if more.first), "{more:?}");
    }

    #[test]
    fn what_came_from_another_app_or_by_other_rules_is_no_news() {
        let truth = [(HeaviestWeight, 110, 9), (MostReps, 6, 2)];
        let events = said(&truth, Some(&[(MostReps, 5, 1)]), Occasion::Trained);
        let [Event::RecordsRestated(restated), Event::PRAchieved(achieved)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(restated.reason, RestatedBecause::Imported);
        assert_eq!(restated.records[0].kind, HeaviestWeight);
        assert_eq!(achieved.records[0].kind, MostReps);

        let reconciled = Occasion::Restated(RestatedBecause::Reconciled);
        let events = said(&truth, Some(&[(SetVolume, 5, 1)]), reconciled);
        assert!(matches!(&events[..], [Event::RecordsRestated(all)] if all.records.len() == 3));
    }
}
