//! How totals of squat, bench press and deadlift compare between bodyweights and sexes.
//!
//! Three formulas that federations publish, for lifts without supportive equipment, in exact
//! decimals. All take the bodyweight and the total in kg and answer points, rounded half-even to
//! 0.01. They answer nothing for a bodyweight or a total of nothing, and where they are not
//! defined. Their coefficients and where they are from: `docs/strength-standards.md`.

use events::Sex;
use rust_decimal::{Decimal, RoundingStrategy, dec};

/// DOTS, `500 t / (a + b x + c x² + d x³ + e x⁴)`. Lighter or heavier bodyweights than the formula
/// was made for (40 to 210 kg of men, 40 to 150 kg of women) count as the nearest of those.
///
/// T. Konertz for the BVDK (2019), as OpenPowerlifting computes it.
pub fn dots(sex: Sex, bodyweight_kg: Decimal, total_kg: Decimal) -> Option<Decimal> {
    let (coefficients, heaviest) = match sex {
        Sex::Male => (DOTS_MEN, dec!(210)),
        Sex::Female => (DOTS_WOMEN, dec!(150)),
    };
    let bodyweight = positive(bodyweight_kg)?.clamp(LIGHTEST, heaviest);
    points(total_kg, dec!(500), polynomial(&coefficients, bodyweight))
}

/// Wilks 2020, `600 t / (a + b x + c x² + d x³ + e x⁴ + f x⁵)`. Lighter or heavier bodyweights than
/// the formula was made for (40 to 200.95 kg of men, 40 to 150.95 kg of women) count as the nearest
/// of those.
///
/// R. Wilks (2020), as OpenPowerlifting computes it. It is no successor of the same scale: the
/// formula of 1994 gives other points.
pub fn wilks(sex: Sex, bodyweight_kg: Decimal, total_kg: Decimal) -> Option<Decimal> {
    let (coefficients, heaviest) = match sex {
        Sex::Male => (WILKS_MEN, dec!(200.95)),
        Sex::Female => (WILKS_WOMEN, dec!(150.95)),
    };
    let bodyweight = positive(bodyweight_kg)?.clamp(LIGHTEST, heaviest);
    points(total_kg, dec!(600), polynomial(&coefficients, bodyweight))
}

/// IPF GL points of classic powerlifting, `100 t / (A − B e^(−C x))`. Nothing below 35 kg of
/// bodyweight.
///
/// International Powerlifting Federation, "The IPF GL Coefficients for Relative Scoring" (2020).
pub fn ipf_gl(sex: Sex, bodyweight_kg: Decimal, total_kg: Decimal) -> Option<Decimal> {
    let (a, b, c) = match sex {
        Sex::Male => (dec!(1199.72839), dec!(1025.18162), dec!(0.00921)),
        Sex::Female => (dec!(610.32796), dec!(1045.59282), dec!(0.03048)),
    };
    if bodyweight_kg < dec!(35) {
        return None;
    }
    // Beyond, the exponential is less than the last digit of a decimal.
    let bodyweight = bodyweight_kg.min(dec!(10_000));
    points(total_kg, dec!(100), a - b * exp_of_minus(c * bodyweight))
}

/// The lightest bodyweight that DOTS and Wilks were made for, in kg.
const LIGHTEST: Decimal = dec!(40);

/// Each from the constant up.
const DOTS_MEN: [Decimal; 5] = [
    dec!(-307.75076),
    dec!(24.0900756),
    dec!(-0.1918759221),
    dec!(0.0007391293),
    dec!(-0.000001093),
];
const DOTS_WOMEN: [Decimal; 5] = [
    dec!(-57.96288),
    dec!(13.6175032),
    dec!(-0.1126655495),
    dec!(0.0005158568),
    dec!(-0.0000010706),
];
const WILKS_MEN: [Decimal; 6] = [
    dec!(47.4617885411949),
    dec!(8.47206137941125),
    dec!(0.073694103462609),
    dec!(-0.00139583381094385),
    dec!(0.00000707665973070743),
    dec!(-0.0000000120804336482315),
];
const WILKS_WOMEN: [Decimal; 6] = [
    dec!(-125.425539779509),
    dec!(13.7121941940668),
    dec!(-0.0330725063103405),
    dec!(-0.0010504000506583),
    dec!(0.00000938773881462799),
    dec!(-0.000000023334613884954),
];

fn positive(kg: Decimal) -> Option<Decimal> {
    (kg > Decimal::ZERO).then_some(kg)
}

/// `scale · total / denominator`; nothing also of a total that no decimal can hold the product of.
fn points(total_kg: Decimal, scale: Decimal, denominator: Decimal) -> Option<Decimal> {
    let points = positive(total_kg)?.checked_mul(scale)?.checked_div(denominator)?;
    Some(points.round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven))
}

/// By Horner's rule, of coefficients from the constant up.
fn polynomial(coefficients: &[Decimal], at: Decimal) -> Decimal {
    coefficients.iter().rev().fold(Decimal::ZERO, |sum, coefficient| sum * at + coefficient)
}

/// `e^(−x)` of an `x` that is not negative, to more than twenty decimals.
///
/// Halved until its series converges within a few terms, and squared back as often. Nothing in it
/// exceeds 1, and what is below the last digit becomes nothing.
fn exp_of_minus(x: Decimal) -> Decimal {
    let (mut x, mut halvings) = (x, 0);
    while x > dec!(0.125) {
        x /= dec!(2);
        halvings += 1;
    }
    let (mut sum, mut term) = (Decimal::ONE, Decimal::ONE);
    for n in 1..=20 {
        term = -term * x / Decimal::from(n);
        sum += term;
    }
    (0..halvings).fold(sum, |power, _| power * power)
}

#[cfg(test)]
mod tests {
    use events::Sex;
    use proptest::prelude::*;
    use rust_decimal::{Decimal, dec};

    use super::{dots, exp_of_minus, ipf_gl, wilks};

    /// Against figures worked out to sixty digits elsewhere.
    #[test]
    fn points_are_those_of_the_sources() {
        use Sex::{Female, Male};
        for (sex, bodyweight, total, by_dots, by_wilks, by_gl) in [
            (Male, dec!(59), dec!(450.5), dec!(385.57), dec!(454.83), dec!(74.55)),
            (Male, dec!(82.5), dec!(650), dec!(440.31), dec!(522.88), dec!(90.25)),
            (Male, dec!(93), dec!(700), dec!(445.38), dec!(528.09), dec!(91.57)),
            (Male, dec!(120), dec!(907.5), dec!(521.18), dec!(618.67), dec!(105.49)),
            (Female, dec!(52.3), dec!(312.5), dec!(379.39), dec!(454.99), dec!(78.52)),
            (Female, dec!(63), dec!(400), dec!(430.21), dec!(511.45), dec!(87.51)),
            (Female, dec!(84), dec!(500), dec!(460.08), dec!(555.28), dec!(94.42)),
        ] {
            assert_eq!(dots(sex, bodyweight, total), Some(by_dots), "{sex:?} {bodyweight}");
            assert_eq!(wilks(sex, bodyweight, total), Some(by_wilks), "{sex:?} {bodyweight}");
            assert_eq!(ipf_gl(sex, bodyweight, total), Some(by_gl), "{sex:?} {bodyweight}");
        }
    }

    /// Against the table that R. Wilks published, as OpenPowerlifting's tests hold it: the points of
    /// a total of 100 kg, to 0.01.
    #[test]
    fn wilks_is_the_published_table() {
        for (sex, bodyweight, points) in [
            (Sex::Male, 50, dec!(115.10)),
            (Sex::Male, 80, dec!(81.91)),
            (Sex::Male, 140, dec!(65.46)),
            (Sex::Male, 200, dec!(61.23)),
            (Sex::Female, 40, dec!(184.86)),
            (Sex::Female, 60, dec!(131.90)),
            (Sex::Female, 100, dec!(105.25)),
            (Sex::Female, 150, dec!(96.35)),
        ] {
            assert_eq!(wilks(sex, Decimal::from(bodyweight), dec!(100)), Some(points));
        }
    }

    /// Against figures worked out to sixty digits elsewhere.
    #[test]
    fn the_exponential_has_twenty_digits() {
        for (x, expected) in [
            (dec!(0), dec!(1)),
            (dec!(0.32235), dec!(0.7244445903458734523786026881)),
            (dec!(0.5), dec!(0.6065306597126334236037995350)),
            (dec!(1), dec!(0.3678794411714423215955237702)),
            (dec!(5.526), dec!(0.0039818848157063641038528743)),
            (dec!(18.288), dec!(0.0000000114188538631640880574)),
        ] {
            assert!((exp_of_minus(x) - expected).abs() < dec!(0.00000000000000000000001), "{x}");
        }
        assert_eq!(exp_of_minus(dec!(304.8)), Decimal::ZERO);
    }

    #[test]
    fn bodyweights_beyond_a_formula_count_as_its_nearest() {
        let total = dec!(500);
        for (sex, of_dots, of_wilks) in
            [(Sex::Male, dec!(210), dec!(200.95)), (Sex::Female, dec!(150), dec!(150.95))]
        {
            assert_eq!(dots(sex, dec!(30), total), dots(sex, dec!(40), total));
            assert_eq!(dots(sex, dec!(600), total), dots(sex, of_dots, total));
            assert_ne!(dots(sex, of_dots - Decimal::ONE, total), dots(sex, of_dots, total));
            assert_eq!(wilks(sex, dec!(30), total), wilks(sex, dec!(40), total));
            assert_eq!(wilks(sex, dec!(600), total), wilks(sex, of_wilks, total));
            assert_ne!(wilks(sex, of_wilks - dec!(5), total), wilks(sex, of_wilks, total));
        }
        assert_eq!(dots(Sex::Female, dec!(200), total), Some(dec!(385.38)));
        assert_eq!(wilks(Sex::Female, dec!(200), total), Some(dec!(481.35)));
        assert_eq!(ipf_gl(Sex::Female, dec!(35), dec!(100)), Some(dec!(39.92)));
        assert_eq!(ipf_gl(Sex::Male, dec!(35), dec!(200)), Some(dec!(43.76)));
        assert_eq!(ipf_gl(Sex::Male, dec!(34.99), dec!(200)), None);
    }

    #[test]
    fn what_has_no_points() {
        for formula in [dots, wilks, ipf_gl] {
            for sex in [Sex::Female, Sex::Male] {
                assert_eq!(formula(sex, dec!(80), dec!(0)), None);
                assert_eq!(formula(sex, dec!(80), dec!(-1)), None);
                assert_eq!(formula(sex, dec!(0), dec!(500)), None);
                assert_eq!(formula(sex, dec!(-80), dec!(500)), None);
                assert_eq!(formula(sex, dec!(80), Decimal::MAX), None);
                assert!(formula(sex, Decimal::MAX, dec!(500)).is_some());
            }
        }
    }

    proptest! {
        #[test]
        fn more_total_gives_more_points(
            grams in 1_i64..=600_000, total in 1_i64..=2_000, more in 1_i64..=2_000, male: bool,
        ) {
            let sex = if male { Sex::Male } else { Sex::Female };
            let bodyweight = Decimal::new(grams, 3);
            let (less, more) = (Decimal::from(total), Decimal::from(total + more));
            for formula in [dots, wilks, ipf_gl] {
                let (less, more) = (formula(sex, bodyweight, less), formula(sex, bodyweight, more));
                prop_assert_eq!(less.is_some(), more.is_some());
                prop_assert!(less.is_none() || less < more, "{:?} {:?}", less, more);
                prop_assert!(less.is_none_or(|points| points > Decimal::ZERO));
            }
            prop_assert_eq!(ipf_gl(sex, bodyweight, less).is_none(), grams < 35_000);
        }
    }
}
