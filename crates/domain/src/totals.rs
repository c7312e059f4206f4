//! What sets add up to.

use std::collections::HashSet;

use events::{ExerciseId, Measurement, Number, SetKind, SetValues, Timestamp};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

/// What the working sets of a workout add up to; warm-ups are left out of everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Totals {
    /// Working sets.
    pub sets: usize,
    /// Repetitions of all working sets.
    pub reps: u64,
    /// Repetitions times weight, in exact kg, of the sets that have both.
    pub volume_kg: Number,
    /// Different exercises.
    pub exercises: usize,
    /// From start to end, in seconds; absent while the workout is active.
    pub duration_seconds: Option<i64>,
    /// Mean RPE of the sets that have one, to two decimals.
    pub average_rpe: Option<Number>,
}

/// Adds up the sets of a workout. Beside each set is how it is measured, and the athlete's bodyweight
/// in kg on its day, where that is known.
pub fn totals<'a>(
    sets: impl Iterator<Item = (&'a SetValues, Measurement, Option<Decimal>)>,
    started_at: Timestamp,
    completed_at: Option<Timestamp>,
) -> Totals {
    let mut count = 0;
    let mut reps = 0;
    let mut volume = Decimal::ZERO;
    let mut exercises: HashSet<&ExerciseId> = HashSet::new();
    let mut latest = None;
    // RPEs are exact in halves.
    let (mut rated, mut half_points) = (0, 0);
    for (set, kind, bodyweight_kg) in sets.filter(|(set, ..)| set.kind != SetKind::WarmUp) {
        count += 1;
        reps += set.reps.map_or(0, |reps| u64::from(reps.get()));
        volume += volume_kg(set, kind, bodyweight_kg).unwrap_or_default();
        // Sets of one exercise mostly follow each other.
        if latest.replace(&set.exercise) != Some(&set.exercise) {
            exercises.insert(&set.exercise);
        }
        if let Some(rpe) = set.rpe {
            rated += 1;
            half_points += u64::from(rpe.half_points());
        }
    }
    let mean = |rated| Decimal::from(half_points) / Decimal::from(2 * rated);
    let average_rpe = (rated > 0).then(|| Number(mean(rated).round_dp(2)));
    Totals {
        sets: count,
        reps,
        volume_kg: Number(volume.normalize()),
        exercises: exercises.len(),
        duration_seconds: completed_at.map(|end| (end.utc() - started_at.utc()).num_seconds()),
        average_rpe,
    }
}

/// Repetitions times weight of a set, in exact kg; see [`volume_of`].
pub fn volume_kg(
    set: &SetValues,
    kind: Measurement,
    bodyweight_kg: Option<Decimal>,
) -> Option<Decimal> {
    let reps = set.reps.map(|reps| reps.get());
    volume_of(reps, set.weight.map(|weight| weight.kg()), kind, bodyweight_kg)
}

/// Repetitions times weight, in exact kg.
///
/// Weighted bodyweight exercises add the bodyweight of the day, assisted ones subtract the
/// assistance from it; without a known bodyweight, and for sets without repetitions or of kinds
/// that have no weight, there is none.
pub fn volume_of(
    reps: Option<u16>,
    weight_kg: Option<Decimal>,
    kind: Measurement,
    bodyweight_kg: Option<Decimal>,
) -> Option<Decimal> {
    let per_rep = match kind {
        Measurement::WeightReps => weight_kg?,
        Measurement::WeightedBodyweight => bodyweight_kg? + weight_kg.unwrap_or_default(),
        Measurement::AssistedBodyweight => {
            (bodyweight_kg? - weight_kg.unwrap_or_default()).max(Decimal::ZERO)
        }
        Measurement::RepsOnly
        | Measurement::Duration
        | Measurement::WeightDuration
        | Measurement::DistanceDuration
        | Measurement::WeightDistance => return None,
    };
    Some(per_rep * Decimal::from(reps?))
}

#[cfg(test)]
mod tests {
    use events::{
        Measurement, Number, Reps, Rpe, SetKind, SetNumber, SetValues, Side, Weight, WeightUnit,
    };
    use rust_decimal::{Decimal, dec};

    use super::{totals, volume_kg};

    fn set(kind: SetKind, reps: i64, weight: Decimal, unit: WeightUnit) -> SetValues {
        SetValues {
            exercise: "bench-press-barbell".parse().unwrap(),
            number: SetNumber::new(1).unwrap(),
            kind,
            side: Side::Both,
            reps: Some(Reps::new(reps).unwrap()),
            weight: Some(Weight::new(weight, unit).unwrap()),
            rpe: Some(Rpe::new(8.5).unwrap()),
            rest_seconds: None,
            duration_seconds: None,
            distance_metres: None,
            custom_metric: None,
            superset_id: None,
            notes: None,
            performed_at: "2026-01-01T10:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn warm_ups_do_not_count_and_pounds_are_exact() {
        let sets = [
            set(SetKind::WarmUp, 10, dec!(20), WeightUnit::Kg),
            set(SetKind::Normal, 5, dec!(100), WeightUnit::Kg),
            set(SetKind::Failure, 3, dec!(225), WeightUnit::Lb),
        ];
        let start = "2026-01-01T10:00:00Z".parse().unwrap();
        let end = "2026-01-01T11:00:00Z".parse().unwrap();
        let sum = totals(sets.iter().map(|s| (s, Measurement::WeightReps, None)), start, Some(end));
        assert_eq!((sum.sets, sum.reps, sum.exercises), (2, 8, 1));
        assert_eq!(sum.volume_kg, Number(dec!(806.17484975)));
        assert_eq!(sum.duration_seconds, Some(3600));
        assert_eq!(sum.average_rpe, Some(Number(dec!(8.5))));
    }

    #[test]
    fn bodyweight_exercises_have_a_volume_only_with_a_bodyweight() {
        let set = set(SetKind::Normal, 10, dec!(20), WeightUnit::Kg);
        let volume = |kind, bodyweight| volume_kg(&set, kind, bodyweight);
        assert_eq!(volume(Measurement::WeightedBodyweight, None), None);
        assert_eq!(volume(Measurement::WeightedBodyweight, Some(dec!(80))), Some(dec!(1000)));
        assert_eq!(volume(Measurement::AssistedBodyweight, Some(dec!(80))), Some(dec!(600)));
        assert_eq!(volume(Measurement::Duration, Some(dec!(80))), None);
    }
}
