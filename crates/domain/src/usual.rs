//! What is usual for an athlete, so that a slip of the finger is seen.

use events::{Measurement, SetKind, SetValues, Weight};
use rust_decimal::{Decimal, dec};

use crate::records::Performed;

/// So many times what was best is no progress but a slip: a digit too many, or pounds for kilograms
/// in the wrong way.
const UNUSUAL: Decimal = dec!(10);

/// The most that is known of an athlete in an exercise, by what its sets are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usual {
    kg: Option<Decimal>,
    reps: Option<Decimal>,
    seconds: Option<Decimal>,
    metres: Option<Decimal>,
}

impl Usual {
    /// Of sets that hold records; those that are unusual themselves say nothing.
    pub fn of<'a>(sets: impl IntoIterator<Item = &'a Performed>, measurement: Measurement) -> Self {
        let mut usual = Self::default();
        for set in sets.into_iter().filter(|set| !set.unusual) {
            usual.add(Self::figures(
                measurement,
                set.weight,
                set.reps,
                set.duration_seconds,
                set.distance_metres,
            ));
        }
        usual
    }

    /// Takes in another set; a warm-up says nothing.
    pub fn take(&mut self, set: &SetValues, measurement: Measurement) {
        if set.kind != SetKind::WarmUp {
            self.add(Self::of_values(set, measurement));
        }
    }

    /// Whether a set is ten times or more what is known, in anything that it is measured in. Of
    /// whom nothing is known, nothing is unusual, and warm-ups never are.
    pub fn is_exceeded(&self, set: &SetValues, measurement: Measurement) -> bool {
        let said = Self::of_values(set, measurement);
        let exceeds = |said: Option<Decimal>, known: Option<Decimal>| {
            said.zip(known.filter(|known| !known.is_zero()))
                .is_some_and(|(said, known)| said >= known * UNUSUAL)
        };
        set.kind != SetKind::WarmUp
            && (exceeds(said.kg, self.kg)
                || exceeds(said.reps, self.reps)
                || exceeds(said.seconds, self.seconds)
                || exceeds(said.metres, self.metres))
    }

    /// Whether a set will not be [exceeding](Self::is_exceeded), whatever else is taken in.
    pub fn covers(&self, set: &SetValues, measurement: Measurement) -> bool {
        let said = Self::of_values(set, measurement);
        let covers = |said: Option<Decimal>, known: Option<Decimal>| {
            said.is_none_or(|said| known.is_some_and(|known| said < known * UNUSUAL))
        };
        covers(said.kg, self.kg)
            && covers(said.reps, self.reps)
            && covers(said.seconds, self.seconds)
            && covers(said.metres, self.metres)
    }

    fn of_values(set: &SetValues, measurement: Measurement) -> Self {
        Self::figures(
            measurement,
            set.weight,
            set.reps.map(|reps| reps.get()),
            set.duration_seconds.map(|seconds| seconds.get()),
            set.distance_metres.map(|metres| metres.get()),
        )
    }

    /// What of a set is held against what is known. Much assistance is no great deed, and under a
    /// weight many repetitions are none: only the weight is.
    fn figures(
        measurement: Measurement,
        weight: Option<Weight>,
        reps: Option<u16>,
        seconds: Option<u32>,
        metres: Option<Decimal>,
    ) -> Self {
        let has_reps_alone =
            matches!(measurement, Measurement::RepsOnly | Measurement::AssistedBodyweight);
        let is_assisted = measurement == Measurement::AssistedBodyweight;
        let attempted = reps != Some(0);
        Self {
            kg: weight.map(Weight::comparable_kg).filter(|_| !is_assisted && attempted),
            reps: reps.map(Decimal::from).filter(|_| has_reps_alone),
            seconds: seconds.map(Decimal::from),
            metres,
        }
    }

    fn add(&mut self, other: Self) {
        self.kg = self.kg.max(other.kg);
        self.reps = self.reps.max(other.reps);
        self.seconds = self.seconds.max(other.seconds);
        self.metres = self.metres.max(other.metres);
    }
}

#[cfg(test)]
mod tests {
    use events::{Measurement, Reps, SetKind, SetNumber, SetValues, Side, Weight, WeightUnit};
    use rust_decimal::Decimal;

    use super::Usual;

    fn set(kind: SetKind, reps: i64, kg: i64) -> SetValues {
        SetValues {
            exercise: "bench-press-barbell".parse().unwrap(),
            number: SetNumber::new(1).unwrap(),
            kind,
            side: Side::Both,
            reps: Reps::new(reps).ok(),
            weight: Weight::new(Decimal::from(kg), WeightUnit::Kg).ok(),
            rpe: None,
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
    fn ten_times_what_was_known_is_unusual_in_what_counts() {
        let weighed = Measurement::WeightReps;
        let nothing = Usual::default();
        assert!(!nothing.is_exceeded(&set(SetKind::Normal, 5, 1000), weighed), "nothing is known");
        let mut usual = Usual::default();
        usual.take(&set(SetKind::WarmUp, 5, 500), weighed);
        assert_eq!(usual, nothing, "warm-ups say nothing");
        usual.take(&set(SetKind::Normal, 5, 100), weighed);
        assert!(usual.is_exceeded(&set(SetKind::Normal, 5, 1000), weighed));
        assert!(!usual.is_exceeded(&set(SetKind::Normal, 5, 999), weighed));
        assert!(!usual.is_exceeded(&set(SetKind::WarmUp, 5, 1000), weighed));
        assert!(!usual.is_exceeded(&set(SetKind::Normal, 50, 20), weighed), "light and many");

        assert!(!nothing.covers(&set(SetKind::Normal, 5, 100), weighed), "nothing is known");
        assert!(usual.covers(&set(SetKind::Normal, 5, 999), weighed));
        assert!(!usual.covers(&set(SetKind::Normal, 5, 1000), weighed));
        usual.take(&set(SetKind::Normal, 5, 0), weighed);
        assert!(usual.covers(&set(SetKind::Normal, 5, 999), weighed), "what is known only grows");

        let (alone, assisted) = (Measurement::RepsOnly, Measurement::AssistedBodyweight);
        for measurement in [alone, assisted] {
            let mut usual = Usual::default();
            usual.take(&set(SetKind::Normal, 5, 1), measurement);
            assert!(usual.is_exceeded(&set(SetKind::Normal, 50, 1), measurement));
            assert!(!usual.is_exceeded(&set(SetKind::Normal, 49, 9), measurement));
        }
    }
}
