//! How strong somebody is now: the working maximum of what was done lately.

use std::cmp::Reverse;

use chrono::TimeDelta;
use events::Measurement;
use rust_decimal::Decimal;

use crate::{
    one_rep_max::{Formula, MOST_REPS},
    records::{Kind, Performed},
};

/// Sets that are older say how strong somebody was.
pub const LATELY: TimeDelta = TimeDelta::days(30);

/// So many sets with the largest volume count.
const SETS: usize = 10;

/// What a working maximum is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkingMaximum<'a> {
    /// The estimate, in kg, rounded half-even to 0.001.
    pub kg: Decimal,
    /// The set that it is of.
    pub set: &'a Performed,
}

/// Whether exercises of a measurement have a working maximum.
pub fn has_maximum(measurement: Measurement) -> bool {
    Kind::of(measurement).any(|kind| kind == Kind::OneRepMax(Formula::Standard))
}

/// Whether a set may be one of those that a working maximum is of: of 1 to 12 repetitions under a
/// weight, and nothing that somebody still has to confirm. When it was done is not asked here.
pub fn counts(set: &Performed, measurement: Measurement) -> bool {
    !set.unusual
        && set.reps.is_some_and(|reps| (1..=MOST_REPS).contains(&reps))
        && estimate(set, measurement).is_some()
}

/// The working maximum of sets that count: of the ten with the largest volume (of equals, the later) the
/// 95th percentile of the estimates, which is the one at ⌊0.05·n⌋ from the best down. Sets whose volume
/// is not known, since a bodyweight is part of it, are not among them.
pub fn working_maximum<'a>(
    sets: impl IntoIterator<Item = &'a Performed>,
    measurement: Measurement,
) -> Option<WorkingMaximum<'a>> {
    let when = |set: &Performed| (set.performed_at, set.logged);
    let mut largest: Vec<(Decimal, &Performed)> =
        sets.into_iter().filter_map(|set| Some((set.volume_kg?, set))).collect();
    largest.sort_by_key(|(volume, set)| Reverse((*volume, when(set))));
    largest.truncate(SETS);
    let mut estimates: Vec<WorkingMaximum<'a>> = largest
        .into_iter()
        .filter_map(|(_, set)| Some(WorkingMaximum { kg: estimate(set, measurement)?, set }))
        .collect();
    estimates.sort_by_key(|estimate| Reverse((estimate.kg, when(estimate.set))));
    let index = estimates.len() * 5 / 100;
    estimates.get(index).copied()
}

fn estimate(set: &Performed, measurement: Measurement) -> Option<Decimal> {
    Kind::OneRepMax(Formula::Standard).figure(set, measurement)
}

#[cfg(test)]
mod tests {
    use events::{Measurement, SetId, Weight, WeightUnit, WorkoutId};
    use rust_decimal::{Decimal, dec};
    use uuid::Uuid;

    use super::{counts, working_maximum};
    use crate::records::{Performed, volume_kg};

    fn set(number: u32, reps: u16, kg: i64) -> Performed {
        let id = Uuid::from_u128(7 << 76 | u128::from(number));
        let weight = Weight::new(Decimal::from(kg), WeightUnit::Kg).ok();
        Performed {
            id: SetId::new(id).unwrap(),
            workout: WorkoutId::new(id).unwrap(),
            performed_at: "2026-01-01T10:00:00Z".parse().unwrap(),
            logged: number.into(),
            reps: Some(reps),
            weight,
            duration_seconds: None,
            distance_metres: None,
            volume_kg: volume_kg(Some(reps), weight, Measurement::WeightReps, None),
            unusual: false,
        }
    }

    #[test]
    fn the_best_estimate_of_the_ten_largest_sets_is_the_working_maximum() {
        let weighed = Measurement::WeightReps;
        // Ten sets of 1 000 kg, and one heavier single, whose volume is too small to count.
        let mut sets: Vec<Performed> = (0..10).map(|number| set(number, 10, 100)).collect();
        sets.push(set(10, 1, 300));
        let maximum = working_maximum(&sets, weighed).unwrap();
        assert_eq!(maximum.kg, dec!(133.333));
        assert_eq!(maximum.set.logged, 9, "of equals, the later");
        // With nine others it does.
        let maximum = working_maximum(&sets[1..], weighed).unwrap();
        assert_eq!((maximum.kg, maximum.set.logged), (dec!(300), 10));
        assert_eq!(working_maximum(&[], weighed), None);
    }

    #[test]
    fn failed_light_endless_and_unusual_sets_do_not_count() {
        let weighed = Measurement::WeightReps;
        assert!(counts(&set(1, 12, 20), weighed));
        assert!(!counts(&set(1, 13, 20), weighed));
        assert!(!counts(&set(1, 0, 20), weighed));
        assert!(!counts(&set(1, 5, 0), weighed));
        assert!(!counts(&Performed { unusual: true, ..set(1, 5, 20) }, weighed));
        let without = Performed { volume_kg: None, ..set(1, 5, 20) };
        assert_eq!(working_maximum([&without], Measurement::WeightedBodyweight), None);
    }
}
