//! How regularly somebody trains.

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate};
use schemars::JsonSchema;
use serde::Serialize;

/// Days or weeks in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Streak {
    /// Up to now. The day or week that is not over yet breaks none.
    pub current: u32,
    /// The longest ever.
    pub longest: u32,
}

/// The streaks of days.
pub fn streak_of_days(days: &BTreeSet<NaiveDate>, today: NaiveDate) -> Streak {
    streak(days, today, 1)
}

/// The streaks of ISO weeks in which there was a day.
pub fn streak_of_weeks(days: &BTreeSet<NaiveDate>, today: NaiveDate) -> Streak {
    let weeks = days.iter().map(|day| week_of(*day)).collect();
    streak(&weeks, week_of(today), 7)
}

/// The Monday on which the ISO week of a day begins.
pub fn week_of(day: NaiveDate) -> NaiveDate {
    day - Days::new(day.weekday().num_days_from_monday().into())
}

/// Streaks of dates that are so many days apart. What lies ahead of now, which a changed time zone
/// or a wrong clock can make of a workout, is no part of the current one.
fn streak(dates: &BTreeSet<NaiveDate>, now: NaiveDate, apart: u64) -> Streak {
    let (mut longest, mut length) = (0, 0);
    let mut last: Option<NaiveDate> = None;
    for date in dates {
        let follows = last.is_some_and(|last| last + Days::new(apart) == *date);
        length = if follows { length + 1 } else { 1 };
        longest = longest.max(length);
        last = Some(*date);
    }
    let mut at = if dates.contains(&now) { now } else { now - Days::new(apart) };
    let mut current = 0;
    while dates.contains(&at) {
        current += 1;
        at = at - Days::new(apart);
    }
    Streak { current, longest }
}

#[cfg(test)]
mod tests {
    use super::{Streak, streak_of_days, streak_of_weeks};

    fn days(text: &str) -> std::collections::BTreeSet<chrono::NaiveDate> {
        text.split_whitespace().map(|day| day.parse().unwrap()).collect()
    }

    #[test]
    fn a_day_that_is_not_over_breaks_no_streak() {
        let trained = days("2026-02-26 2026-02-27 2026-02-28 2026-03-01 2026-03-05 2026-03-06");
        for (today, current) in [
            ("2026-03-01", 4),
            ("2026-03-02", 4),
            ("2026-03-03", 0),
            ("2026-03-06", 2),
            ("2026-03-07", 2),
            ("2026-03-08", 0),
        ] {
            let found = streak_of_days(&trained, today.parse().unwrap());
            assert_eq!(found, Streak { current, longest: 4 }, "{today}");
        }
        assert_eq!(streak_of_days(&days(""), "2026-03-01".parse().unwrap()), Streak::default());
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        // Sunday, the Monday after it, and the year's end, which is in week 1 of the next year.
        let trained = days("2025-12-14 2025-12-15 2025-12-31 2026-01-05");
        for (today, current) in [
            ("2025-12-28", 2),
            ("2025-12-31", 1),
            ("2026-01-05", 2),
            ("2026-01-12", 2),
            ("2026-01-19", 0),
        ] {
            let found = streak_of_weeks(&trained, today.parse().unwrap());
            assert_eq!(found, Streak { current, longest: 2 }, "{today}");
        }
    }
}
