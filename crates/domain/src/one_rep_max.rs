//! What could be lifted once, estimated from what was lifted several times.

use std::{borrow::Cow, iter::successors, sync::LazyLock};

use rust_decimal::{Decimal, RoundingStrategy, dec};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Sets with more repetitions say little about one: records and levels take those of 1 to 12.
pub const MOST_REPS: u16 = 12;

/// A published formula of the one-repetition maximum, in exact decimals.
///
/// All of them answer the weight itself for one repetition, which is no estimate, and nothing for
/// none, which is a failed attempt.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Formula {
    /// Brzycki up to 10 repetitions and Epley above: each where it was found to be good.
    #[default]
    Standard,
    /// `w · 36 / (37 − r)`. M. Brzycki, "Strength testing: predicting a one-rep max from
    /// reps-to-fatigue", Journal of Physical Education, Recreation and Dance 64 (1993), 88–90. It has
    /// no meaning from 37 repetitions, where it divides by zero and then turns negative; there, it
    /// answers nothing rather than another formula's figure under its name.
    Brzycki,
    /// `w · (1 + r / 30)`. B. Epley, "Poundage chart", Boyd Epley Workout, University of
    /// Nebraska (1985).
    Epley,
    /// `100 w / (48.8 + 53.8 e^(−0.075 r))`. D. Wathan, "Load assignment", in: T. Baechle (ed.),
    /// Essentials of Strength Training and Conditioning (1994), 435–446.
    Wathan,
    /// `w · r^0.10`. V. Lombardi, Beginning Weight Training: The Safe and Effective Way (1989).
    Lombardi,
}

impl Formula {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Standard, Self::Brzycki, Self::Epley, Self::Wathan, Self::Lombardi];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Brzycki => "brzycki",
            Self::Epley => "epley",
            Self::Wathan => "wathan",
            Self::Lombardi => "lombardi",
        }
    }

    /// The estimate from a weight in kg and repetitions to failure, rounded half-even to 0.001 kg.
    ///
    /// Nothing for no repetitions, and for Brzycki's from 37.
    pub fn estimate(self, weight_kg: Decimal, reps: u16) -> Option<Decimal> {
        let r = Decimal::from(reps);
        let estimate = match (self, reps) {
            (_, 0) => return None,
            (_, 1) => weight_kg,
            (Self::Standard, 2..=10) => Self::Brzycki.estimate(weight_kg, reps)?,
            (Self::Standard, _) => Self::Epley.estimate(weight_kg, reps)?,
            (Self::Brzycki, 2..=36) => weight_kg * dec!(36) / (dec!(37) - r),
            (Self::Brzycki, _) => return None,
            (Self::Epley, _) => weight_kg * (dec!(30) + r) / dec!(30),
            (Self::Wathan, _) => weight_kg * factor(&WATHAN, reps),
            (Self::Lombardi, _) => weight_kg * factor(&LOMBARDI, reps),
        };
        Some(estimate.round_dp_with_strategy(3, RoundingStrategy::MidpointNearestEven))
    }
}

impl<'de> Deserialize<'de> for Formula {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(from)?;
        Self::ALL.into_iter().find(|formula| formula.name() == name).ok_or_else(|| {
            de::Error::custom("must be standard, brzycki, epley, wathan or lombardi")
        })
    }
}

/// Most repetitions of a set.
const REPS: u16 = 1000;

/// `e^(−0.075)`, to as many digits as a decimal has.
const WATHAN_BASE: Decimal = dec!(0.9277434863285528922167429595);

/// What the weight is multiplied by, for each number of repetitions: worked out once, with twelve
/// decimals.
static WATHAN: LazyLock<Vec<Decimal>> = LazyLock::new(|| {
    let powers = successors(Some(Decimal::ONE), |power| Some(power * WATHAN_BASE));
    let factors = powers.map(|power| (dec!(100) / (dec!(48.8) + dec!(53.8) * power)).round_dp(12));
    factors.take(usize::from(REPS) + 1).collect()
});

static LOMBARDI: LazyLock<Vec<Decimal>> =
    LazyLock::new(|| (0..=REPS).map(|reps| tenth_root(Decimal::from(reps)).round_dp(12)).collect());

fn factor(of: &[Decimal], reps: u16) -> Decimal {
    // A set has no more repetitions.
    of.get(usize::from(reps.min(REPS))).copied().unwrap_or(Decimal::ONE)
}

/// By Newton's method, which doubles the right digits with each step.
fn tenth_root(of: Decimal) -> Decimal {
    let mut root = dec!(1.5);
    for _ in 0..60 {
        let ninth: Decimal = std::iter::repeat_n(root, 9).product();
        if ninth.is_zero() {
            return Decimal::ZERO;
        }
        root = (dec!(9) * root + of / ninth) / dec!(10);
    }
    root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::{Decimal, dec};

    use super::{Formula, LOMBARDI, WATHAN};

    /// Against figures worked out to thirty digits elsewhere.
    #[test]
    fn factors_are_those_of_the_sources() {
        for (reps, lombardi, wathan) in [
            (2, dec!(1.071773462536), dec!(1.051457387356)),
            (3, dec!(1.116123174034), dec!(1.089797427359)),
            (5, dec!(1.174618943088), dec!(1.165825052912)),
            (10, dec!(1.258925411794), dec!(1.347466994817)),
            (20, dec!(1.349282847674), dec!(1.644617752954)),
            (36, dec!(1.430969081105), dec!(1.907826907349)),
            (100, dec!(1.584893192461), dec!(2.047931595740)),
        ] {
            assert_eq!(LOMBARDI[reps], lombardi, "{reps}");
            assert_eq!(WATHAN[reps], wathan, "{reps}");
        }
        assert_eq!(WATHAN[1000], dec!(2.049180327869));
    }

    #[test]
    fn the_standard_is_brzycki_up_to_ten_and_epley_above() {
        let standard = |reps| Formula::Standard.estimate(dec!(100), reps);
        assert_eq!(standard(0), None);
        assert_eq!(standard(1), Some(dec!(100)));
        assert_eq!(standard(5), Some(dec!(112.500)));
        assert_eq!(standard(10), Some(dec!(133.333)));
        assert_eq!(standard(11), Some(dec!(136.667)));
        assert_eq!(standard(37), Some(dec!(223.333)));
        assert_eq!(Formula::Brzycki.estimate(dec!(100), 36), Some(dec!(3600)));
        assert_eq!(Formula::Brzycki.estimate(dec!(100), 37), None);
    }

    proptest! {
        #[test]
        fn every_formula_has_an_answer_that_is_no_less_than_the_weight(
            grams in 0_i64..=1_000_000, reps in 0_u16..=1000,
        ) {
            let weight = Decimal::new(grams, 3);
            for formula in Formula::ALL {
                match formula.estimate(weight, reps) {
                    Some(estimate) => prop_assert!(estimate >= weight, "{formula:?}"),
                    None => prop_assert!(reps == 0 || (reps > 36 && formula == Formula::Brzycki)),
                }
            }
        }
    }
}
