//! What boards there are, what they count, and when their periods end.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use domain::{
    library::Library,
    standards::{classes, weight_class},
    strength::has_maximum,
};
use events::{ExerciseId, Sex};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use crate::athlete::word;

/// The lifts whose total is worth points.
pub(super) const LIFTS: [&str; 3] = ["squat-barbell", "bench-press-barbell", "deadlift-barbell"];

/// The period of boards of all time.
pub(super) const EVER: i32 = 99_991_231;

/// A leaderboard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Board {
    /// The best estimated maximum in an exercise of the library, by its slug.
    OneRepMax(String),
    /// The total of squat, bench press and deadlift, in points that hold for all bodyweights.
    Dots,
    /// Repetitions times weight.
    Volume(Every),
    /// Completed workouts.
    Workouts(Every),
}

/// How long a board counts before it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Every {
    Week,
    Month,
    AllTime,
}

/// What scores are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Shown in kg or lb.
    Grams,
    /// Hundredths of points.
    Points,
    Workouts,
}

/// Whom an athlete is held against, from the widest to the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Among {
    Everyone,
    Sex(Sex),
    Class(Sex, &'static str),
}

impl Every {
    const ALL: [Self; 3] = [Self::Week, Self::Month, Self::AllTime];

    fn name(self) -> &'static str {
        match self {
            Self::Week => "week",
            Self::Month => "month",
            Self::AllTime => "all-time",
        }
    }

    /// The last day of the period that a day is in: of weeks the Sunday.
    fn ends(self, day: NaiveDate) -> i32 {
        let last = match self {
            Self::Week => {
                day.checked_add_days(Days::new(6 - u64::from(day.weekday().num_days_from_monday())))
            }
            Self::Month => day
                .with_day(1)
                .and_then(|first| first.checked_add_months(Months::new(1)))
                .and_then(|next| next.checked_sub_days(Days::new(1))),
            Self::AllTime => None,
        };
        last.map_or(EVER, number)
    }
}

impl Board {
    /// All of them: those of training, the points, and an exercise after the other.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let rolling = Every::ALL.into_iter().map(Self::Volume);
        let rolling = rolling.chain(Every::ALL.into_iter().map(Self::Workouts));
        let lifts = Library::system().all().iter().filter(|exercise| has_maximum(exercise.kind));
        let lifts = lifts.map(|exercise| Self::OneRepMax(exercise.id.to_string()));
        [Self::Dots].into_iter().chain(rolling).chain(lifts)
    }

    /// The board of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let every = |word: &str| Every::ALL.into_iter().find(|every| every.name() == word);
        if name == "dots" {
            return Some(Self::Dots);
        }
        if let Some(every) = name.strip_prefix("volume-").and_then(every) {
            return Some(Self::Volume(every));
        }
        if let Some(every) = name.strip_prefix("workouts-").and_then(every) {
            return Some(Self::Workouts(every));
        }
        let id = ExerciseId::System(name.into());
        let exercise = Library::system().get(&id).filter(|exercise| has_maximum(exercise.kind))?;
        Some(Self::OneRepMax(exercise.id.to_string()))
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::OneRepMax(exercise) => exercise.clone(),
            Self::Dots => "dots".to_owned(),
            Self::Volume(every) => format!("volume-{}", every.name()),
            Self::Workouts(every) => format!("workouts-{}", every.name()),
        }
    }

    pub(super) fn unit(&self) -> Unit {
        match self {
            Self::OneRepMax(_) | Self::Volume(_) => Unit::Grams,
            Self::Dots => Unit::Points,
            Self::Workouts(_) => Unit::Workouts,
        }
    }

    /// The period that a day is in, by its last day.
    pub(super) fn period(&self, day: NaiveDate) -> i32 {
        match self {
            Self::OneRepMax(_) | Self::Dots => EVER,
            Self::Volume(every) | Self::Workouts(every) => every.ends(day),
        }
    }

    /// The first day of the period that a day is in, unless it is all time.
    pub(super) fn begins(&self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Volume(Every::Week) | Self::Workouts(Every::Week) => {
                day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday())))
            }
            Self::Volume(Every::Month) | Self::Workouts(Every::Month) => day.with_day(1),
            _ => None,
        }
    }

    /// The boards of what a workout adds, with the score that it adds and the period that it is in.
    pub(super) fn of_workout(
        started_at: DateTime<Utc>,
        grams: i64,
    ) -> impl Iterator<Item = (Self, i32, i64)> {
        let day = started_at.date_naive();
        Every::ALL.into_iter().flat_map(move |every| {
            let period = every.ends(day);
            [(Self::Volume(every), period, grams), (Self::Workouts(every), period, 1)]
        })
    }

    /// The boards that begin anew.
    pub(super) fn rolling() -> impl Iterator<Item = Self> {
        let rolling = [Every::Week, Every::Month];
        rolling.into_iter().flat_map(|every| [Self::Volume(every), Self::Workouts(every)])
    }
}

impl Among {
    /// Of a place: what is known of the athlete, and of the bodyweight on the day of the record.
    pub(super) fn of(sex: Option<Sex>, bodyweight_kg: Option<Decimal>) -> Self {
        match (sex, bodyweight_kg) {
            (None, _) => Self::Everyone,
            (Some(sex), None) => Self::Sex(sex),
            (Some(sex), Some(kg)) => Self::Class(sex, weight_class(sex, kg)),
        }
    }

    /// All that somebody may be the narrowest of, and all that boards are shown among.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of = |sex| classes(sex).iter().map(move |class| Self::Class(sex, class));
        let sexes = [Sex::Female, Sex::Male];
        let narrower =
            sexes.into_iter().flat_map(move |sex| [Self::Sex(sex)].into_iter().chain(of(sex)));
        [Self::Everyone].into_iter().chain(narrower)
    }

    /// With all that is wider.
    pub(super) fn and_wider(self) -> impl Iterator<Item = Self> {
        let sex = match self {
            Self::Class(sex, _) => Some(Self::Sex(sex)),
            _ => None,
        };
        let everyone = (self != Self::Everyone).then_some(Self::Everyone);
        everyone.into_iter().chain(sex).chain([self])
    }

    /// All the narrowest that are part of it.
    pub(super) fn parts(self) -> impl Iterator<Item = Self> {
        Self::all().filter(move |part| part.and_wider().any(|wider| wider == self))
    }

    /// As rows have it: `all`, `male`, `male 83`.
    pub(super) fn name(self) -> String {
        match self {
            Self::Everyone => "all".to_owned(),
            Self::Sex(sex) => word(sex).to_owned(),
            Self::Class(sex, class) => format!("{} {class}", word(sex)),
        }
    }

    /// Of a name in a row.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::all().find(|among| among.name() == name)
    }
}

impl Unit {
    /// The score of a figure; none where there is nothing to hold a place with.
    pub(super) fn score(self, figure: Decimal) -> Option<i64> {
        let whole = match self {
            Self::Grams => figure * Decimal::ONE_THOUSAND,
            Self::Points => figure * Decimal::ONE_HUNDRED,
            Self::Workouts => figure,
        };
        whole.to_i64().filter(|score| *score > 0)
    }

    /// The figure of a score: kilograms, points, workouts.
    pub(super) fn figure(self, score: i64) -> Decimal {
        let places = match self {
            Self::Grams => 3,
            Self::Points => 2,
            Self::Workouts => 0,
        };
        Decimal::new(score, places).normalize()
    }
}

/// A day as a number, as in 20261128.
pub(super) fn number(day: NaiveDate) -> i32 {
    let (month, of_month) = (day.month(), day.day());
    day.year() * 10_000 + i32::try_from(month * 100 + of_month).unwrap_or(0)
}

/// The day of a number.
pub(super) fn day_of(number: i32) -> Option<NaiveDate> {
    let part = |of: i32| u32::try_from(of % 100).ok();
    NaiveDate::from_ymd_opt(number / 10_000, part(number / 100)?, part(number)?)
}

/// Scores of 63 and less are steps of their own; above, there are 32 steps to each doubling. However
/// many athletes there are, a rank adds up some hundred steps and looks at the scores within one.
const STEPS: u32 = 5;

/// The step of a score.
pub(super) fn step(score: i64) -> i32 {
    let score = score.max(1);
    let doublings = score.ilog2().saturating_sub(STEPS);
    let within = i32::try_from(score >> doublings).unwrap_or(i32::MAX);
    (i32::try_from(doublings).unwrap_or(0) << STEPS) + within
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use events::Sex;
    use proptest::prelude::*;

    use super::{Among, Board, EVER, Every, STEPS, day_of, number, step};

    /// The first score above a step.
    pub(super) fn above(step: i32) -> i64 {
        let next = i64::from(step) + 1;
        let size = 1_i64 << STEPS;
        if next < 2 * size {
            return next;
        }
        let doublings = next / size - 1;
        (next % size + size) << doublings
    }

    #[test]
    fn every_board_is_found_by_its_name_which_no_other_has() {
        let names: Vec<String> = Board::all().map(|board| board.name()).collect();
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        for board in Board::all() {
            assert_eq!(Board::named(&board.name()), Some(board));
        }
        for none in ["", "volume", "volume-year", "push-up", "Dots", "squat-barbell "] {
            assert_eq!(Board::named(none), None, "{none}");
        }
    }

    #[test]
    fn weeks_end_on_sunday_and_months_on_their_last_day() {
        let ends = |every: Every, day: &str| every.ends(day.parse().unwrap());
        assert_eq!(ends(Every::Week, "2026-11-29"), 20261129);
        assert_eq!(ends(Every::Week, "2026-11-30"), 20261206);
        assert_eq!(ends(Every::Week, "2026-12-31"), 20270103);
        assert_eq!(ends(Every::Month, "2026-11-30"), 20261130);
        assert_eq!(ends(Every::Month, "2028-02-01"), 20280229);
        assert_eq!(ends(Every::AllTime, "2028-02-01"), EVER);
        let board = Board::Volume(Every::Week);
        let day: NaiveDate = "2026-11-29".parse().unwrap();
        assert_eq!(board.begins(day), "2026-11-23".parse().ok());
    }

    #[test]
    fn whoever_is_in_a_class_is_among_their_sex_and_everyone() {
        assert_eq!(Among::all().count(), 19);
        let of = Among::Class(Sex::Male, "83");
        let names: Vec<String> = of.and_wider().map(Among::name).collect();
        assert_eq!(names, ["all", "male", "male 83"]);
        assert_eq!(Among::Everyone.parts().count(), 19);
        assert_eq!(Among::Sex(Sex::Female).parts().count(), 9);
        assert_eq!(of.parts().collect::<Vec<_>>(), [of]);
        for among in Among::all() {
            assert_eq!(Among::named(&among.name()), Some(among));
        }
    }

    proptest! {
        #[test]
        fn steps_follow_one_another(score in 1_i64..=1 << 52) {
            let of = step(score);
            prop_assert!(score < above(of));
            prop_assert!(of == 1 || above(of - 1) <= score);
            prop_assert_eq!(step(above(of)), of + 1);
        }

        #[test]
        fn days_are_found_by_their_numbers(days in 0_i32..40_000) {
            let day = NaiveDate::from_num_days_from_ce_opt(730_000 + days).unwrap();
            prop_assert_eq!(day_of(number(day)), Some(day));
        }
    }
}
