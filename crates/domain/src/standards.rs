//! How strong somebody is for their sex and bodyweight, by published tables; and the weight classes
//! in which athletes compare.
//!
//! Where each table is from, and what its levels are called there: `docs/strength-standards.md`.

use events::Sex;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How strong somebody is, from the weakest up.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Level {
    /// Less than a novice.
    Beginner,
    /// Some months of regular training.
    Novice,
    /// About two years of it.
    Intermediate,
    /// Several years of it, with goals.
    Advanced,
    /// Of those who compete in strength sports.
    Elite,
}

impl Level {
    /// All of them, from the weakest up.
    pub const ALL: [Self; 5] =
        [Self::Beginner, Self::Novice, Self::Intermediate, Self::Advanced, Self::Elite];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Beginner => "beginner",
            Self::Novice => "novice",
            Self::Intermediate => "intermediate",
            Self::Advanced => "advanced",
            Self::Elite => "elite",
        }
    }
}

/// What it takes to be of a level in an exercise: the one-repetition maximum as a multiple of the
/// bodyweight, of weighted bodyweight exercises the added weight alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standard {
    /// What somebody lifts who has learnt the lift and not trained it yet. It decides no level: who
    /// lifts less than a novice is a beginner. Negative where that takes assistance.
    pub untrained: Decimal,
    /// From here, novice. Negative where a novice still takes assistance; any added weight is more.
    pub novice: Decimal,
    /// From here, intermediate.
    pub intermediate: Decimal,
    /// From here, advanced.
    pub advanced: Decimal,
    /// From here, elite.
    pub elite: Decimal,
}

impl Standard {
    /// The level of a maximum that is so many times the bodyweight.
    pub fn level(&self, ratio: Decimal) -> Level {
        let reached = self.levels().into_iter().rev().find(|(_, multiple)| *multiple <= ratio);
        reached.map_or(Level::Beginner, |(level, _)| level)
    }

    /// The next level and the multiple of the bodyweight that it takes; nothing is above elite.
    pub fn next(&self, ratio: Decimal) -> Option<(Level, Decimal)> {
        self.levels().into_iter().find(|(_, multiple)| ratio < *multiple)
    }

    fn levels(&self) -> [(Level, Decimal); 4] {
        [
            (Level::Novice, self.novice),
            (Level::Intermediate, self.intermediate),
            (Level::Advanced, self.advanced),
            (Level::Elite, self.elite),
        ]
    }
}

/// The standard of an exercise of the system library, by its slug; nothing of one without a table.
pub fn standard(exercise: &str, sex: Sex) -> Option<Standard> {
    let (_, men, women) = TABLES.iter().find(|(slug, ..)| *slug == exercise)?;
    let [untrained, novice, intermediate, advanced, elite] = match sex {
        Sex::Male => men,
        Sex::Female => women,
    }
    .map(|hundredths| Decimal::new(hundredths, 2));
    Some(Standard { untrained, novice, intermediate, advanced, elite })
}

/// The slugs of the exercises that have a table.
pub fn exercises() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(slug, ..)| *slug)
}

/// A row of [`Standard`], in hundredths of the bodyweight.
type Multiples = [i64; 5];

/// The slug, men, women; in the order of the slugs.
const TABLES: &[(&str, Multiples, Multiples)] = &[
    ("bench-press-barbell", [50, 75, 125, 175, 225], [30, 50, 75, 100, 150]),
    ("bench-press-close-grip-barbell", [50, 75, 125, 150, 200], [30, 50, 75, 105, 135]),
    ("bent-over-row-barbell", [50, 75, 100, 150, 175], [30, 45, 70, 95, 125]),
    ("bicep-curl-barbell", [25, 40, 60, 80, 105], [10, 25, 40, 55, 75]),
    ("chest-dip-weighted", [5, 30, 65, 100, 140], [-25, 0, 30, 60, 95]),
    ("clean-and-jerk-barbell", [50, 75, 125, 150, 200], [45, 60, 85, 110, 140]),
    ("deadlift-barbell", [100, 150, 200, 275, 350], [50, 100, 150, 200, 275]),
    ("deadlift-trap-bar", [125, 150, 200, 275, 325], [75, 100, 150, 200, 250]),
    ("decline-bench-press-barbell", [75, 100, 125, 175, 225], [25, 50, 75, 125, 150]),
    ("front-squat-barbell", [75, 100, 125, 175, 225], [50, 75, 100, 125, 150]),
    ("hip-thrust-barbell", [50, 125, 175, 275, 375], [50, 100, 175, 250, 325]),
    ("incline-bench-press-barbell", [50, 75, 100, 150, 175], [25, 40, 65, 95, 125]),
    ("military-press-barbell", [40, 55, 80, 105, 130], [25, 35, 50, 70, 90]),
    ("overhead-press-barbell", [35, 55, 80, 105, 135], [20, 35, 50, 70, 95]),
    ("pendlay-row-barbell", [50, 75, 125, 150, 175], [40, 55, 80, 105, 135]),
    ("power-clean-barbell", [50, 75, 100, 150, 175], [45, 60, 80, 105, 135]),
    ("pull-up-weighted", [-5, 20, 40, 70, 95], [-25, -5, 15, 40, 65]),
    ("push-press-barbell", [50, 75, 100, 125, 175], [35, 50, 70, 90, 115]),
    ("romanian-deadlift-barbell", [75, 100, 150, 200, 275], [50, 75, 100, 150, 200]),
    ("snatch-barbell", [50, 75, 100, 125, 150], [35, 45, 65, 90, 110]),
    ("squat-barbell", [75, 125, 175, 250, 325], [50, 75, 125, 175, 250]),
    ("sumo-deadlift-barbell", [125, 175, 225, 275, 350], [75, 100, 150, 200, 250]),
    ("triceps-dip-weighted", [5, 30, 65, 100, 140], [-25, 0, 30, 60, 95]),
];

/// The weight classes of the International Powerlifting Federation, from the lightest up: words of
/// the heaviest bodyweight in kg that each holds. Those up to 53 kg of men and 43 kg of women are
/// left out: they are for juniors.
pub fn classes(sex: Sex) -> &'static [&'static str] {
    match sex {
        Sex::Male => &MEN,
        Sex::Female => &WOMEN,
    }
}

/// The weight class of a bodyweight in kg. A class holds bodyweights up to and including its limit.
pub fn weight_class(sex: Sex, bodyweight_kg: Decimal) -> &'static str {
    let (limits, classes, heaviest) = match sex {
        Sex::Male => (MEN_UP_TO, MEN, MEN[7]),
        Sex::Female => (WOMEN_UP_TO, WOMEN, WOMEN[7]),
    };
    let mut classes = limits.into_iter().zip(classes);
    let class = classes.find(|(limit, _)| bodyweight_kg <= Decimal::from(*limit));
    class.map_or(heaviest, |(_, class)| class)
}

const MEN: [&str; 8] = ["59", "66", "74", "83", "93", "105", "120", "120+"];
const MEN_UP_TO: [u8; 7] = [59, 66, 74, 83, 93, 105, 120];
const WOMEN: [&str; 8] = ["47", "52", "57", "63", "69", "76", "84", "84+"];
const WOMEN_UP_TO: [u8; 7] = [47, 52, 57, 63, 69, 76, 84];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use events::{ExerciseId, Measurement, Sex};
    use proptest::prelude::*;
    use rust_decimal::{Decimal, dec};

    use super::{Level, Standard, classes, exercises, standard, weight_class};
    use crate::library::Library;

    const SEXES: [Sex; 2] = [Sex::Female, Sex::Male];

    fn multiples(of: Standard) -> [Decimal; 5] {
        [of.untrained, of.novice, of.intermediate, of.advanced, of.elite]
    }

    #[test]
    fn every_table_is_of_an_exercise_with_weights_and_rises() {
        assert!(exercises().is_sorted_by(|a, b| a < b), "slugs are sorted and unique");
        for slug in exercises() {
            let exercise = Library::system().get(&ExerciseId::System(slug.into()));
            let kind = exercise.unwrap_or_else(|| panic!("{slug}: not in the library")).kind;
            let is_added = kind == Measurement::WeightedBodyweight;
            assert!(is_added || kind == Measurement::WeightReps, "{slug}: {kind:?}");
            let [women, men] = SEXES.map(|sex| multiples(standard(slug, sex).unwrap()));
            for multiples in [women, men] {
                assert!(multiples.is_sorted_by(|a, b| a < b), "{slug}: {multiples:?}");
                assert!(is_added || multiples[0] > Decimal::ZERO, "{slug}: {multiples:?}");
                assert!(multiples[2] > Decimal::ZERO, "{slug}: {multiples:?}");
            }
            assert!(women.iter().zip(men).all(|(women, men)| *women <= men), "{slug}");
        }
    }

    #[test]
    fn the_tables_that_every_version_has() {
        let of = |slug, sex| multiples(standard(slug, sex).unwrap()).map(|m| m.normalize());
        let bench = of("bench-press-barbell", Sex::Male);
        assert_eq!(bench, [dec!(0.5), dec!(0.75), dec!(1.25), dec!(1.75), dec!(2.25)]);
        let bench = of("bench-press-barbell", Sex::Female);
        assert_eq!(bench, [dec!(0.3), dec!(0.5), dec!(0.75), dec!(1), dec!(1.5)]);
        let squat = of("squat-barbell", Sex::Male);
        assert_eq!(squat, [dec!(0.75), dec!(1.25), dec!(1.75), dec!(2.5), dec!(3.25)]);
        let squat = of("squat-barbell", Sex::Female);
        assert_eq!(squat, [dec!(0.5), dec!(0.75), dec!(1.25), dec!(1.75), dec!(2.5)]);
        let deadlift = of("deadlift-barbell", Sex::Male);
        assert_eq!(deadlift, [dec!(1), dec!(1.5), dec!(2), dec!(2.75), dec!(3.5)]);
        let deadlift = of("deadlift-barbell", Sex::Female);
        assert_eq!(deadlift, [dec!(0.5), dec!(1), dec!(1.5), dec!(2), dec!(2.75)]);
        for slug in [
            "bent-over-row-barbell",
            "front-squat-barbell",
            "hip-thrust-barbell",
            "overhead-press-barbell",
            "pull-up-weighted",
        ] {
            assert!(exercises().any(|exercise| exercise == slug), "{slug}");
        }
        assert_eq!(standard("plank", Sex::Male), None);
        assert_eq!(standard("squat", Sex::Male), None);
    }

    #[test]
    fn a_level_begins_at_its_multiple_and_below_novice_is_beginner() {
        let squat = standard("squat-barbell", Sex::Male).unwrap();
        for (ratio, level, next) in [
            (dec!(0), Level::Beginner, Some((Level::Novice, dec!(1.25)))),
            (dec!(0.75), Level::Beginner, Some((Level::Novice, dec!(1.25)))),
            (dec!(1.249), Level::Beginner, Some((Level::Novice, dec!(1.25)))),
            (dec!(1.25), Level::Novice, Some((Level::Intermediate, dec!(1.75)))),
            (dec!(1.75), Level::Intermediate, Some((Level::Advanced, dec!(2.5)))),
            (dec!(2.5), Level::Advanced, Some((Level::Elite, dec!(3.25)))),
            (dec!(3.249), Level::Advanced, Some((Level::Elite, dec!(3.25)))),
            (dec!(3.25), Level::Elite, None),
            (dec!(4), Level::Elite, None),
        ] {
            assert_eq!(squat.level(ratio), level, "{ratio}");
            assert_eq!(squat.next(ratio), next, "{ratio}");
        }
        // A woman who needs no assistance in a pull-up has done what it takes.
        let pull_up = standard("pull-up-weighted", Sex::Female).unwrap();
        assert_eq!(pull_up.level(dec!(0)), Level::Novice);
    }

    #[test]
    fn levels_have_the_words_that_are_shown() {
        for level in Level::ALL {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
        }
        assert!(Level::ALL.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_class_holds_bodyweights_up_to_its_limit() {
        for (sex, bodyweight, class) in [
            (Sex::Male, dec!(40), "59"),
            (Sex::Male, dec!(59), "59"),
            (Sex::Male, dec!(59.001), "66"),
            (Sex::Male, dec!(83.0), "83"),
            (Sex::Male, dec!(83.1), "93"),
            (Sex::Male, dec!(120), "120"),
            (Sex::Male, dec!(120.01), "120+"),
            (Sex::Male, dec!(600), "120+"),
            (Sex::Female, dec!(35), "47"),
            (Sex::Female, dec!(47), "47"),
            (Sex::Female, dec!(63.1), "69"),
            (Sex::Female, dec!(69.1), "76"),
            (Sex::Female, dec!(84), "84"),
            (Sex::Female, dec!(84.001), "84+"),
        ] {
            assert_eq!(weight_class(sex, bodyweight), class, "{sex:?} {bodyweight}");
        }
        for sex in SEXES {
            let unique: HashSet<_> = classes(sex).iter().collect();
            assert_eq!(unique.len(), 8);
            // A class of another name than its limit would say something else than it holds.
            for class in &classes(sex)[..7] {
                assert_eq!(weight_class(sex, class.parse().unwrap()), *class);
            }
        }
    }

    proptest! {
        #[test]
        fn more_is_no_lower_level_and_the_next_is_the_one_above(
            thousandths in 0_i64..=5_000, more in 0_i64..=5_000, male: bool,
        ) {
            let sex = if male { Sex::Male } else { Sex::Female };
            let ratio = Decimal::new(thousandths, 3);
            for slug in exercises() {
                let standard = standard(slug, sex).unwrap();
                let level = standard.level(ratio);
                prop_assert!(standard.level(ratio + Decimal::new(more, 3)) >= level);
                let above = Level::ALL.into_iter().find(|other| *other > level);
                let next = standard.next(ratio);
                prop_assert_eq!(next.map(|(level, _)| level), above);
                prop_assert!(next.is_none_or(|(level, at)| standard.level(at) == level));
            }
        }
    }
}
