//! What is true of leaderboards, recomputed from all that was told, and nothing else.
#![expect(clippy::expect_used, reason = "a model that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeZone as _, Utc};
use domain::{one_rep_max::Formula, points};
use events::{AthleteId, BodyweightId, Partition, SetId, Sex, TimeZone, Version, WorkoutId};
use rust_decimal::{Decimal, RoundingStrategy::MidpointNearestEven, prelude::ToPrimitive};
use uuid::Uuid;

pub(crate) const SQUAT: &str = "squat-barbell";
pub(crate) const BENCH: &str = "bench-press-barbell";
pub(crate) const DEADLIFT: &str = "deadlift-barbell";
/// Of which the bodyweight is part.
pub(crate) const PULL_UP: &str = "pull-up-weighted";

pub(crate) const EXERCISES: [&str; 4] = [SQUAT, BENCH, DEADLIFT, PULL_UP];

pub(crate) const BOARDS: [&str; 11] = [
    SQUAT,
    BENCH,
    DEADLIFT,
    PULL_UP,
    "dots",
    "volume-week",
    "volume-month",
    "volume-all-time",
    "workouts-week",
    "workouts-month",
    "workouts-all-time",
];

const MEN: [u32; 7] = [59, 66, 74, 83, 93, 105, 120];
const WOMEN: [u32; 7] = [47, 52, 57, 63, 69, 76, 84];

/// An athlete, and all that was told of them.
pub(crate) struct Athlete {
    pub(crate) id: AthleteId,
    pub(crate) partition: Partition,
    pub(crate) zone: TimeZone,
    pub(crate) sex: Option<Sex>,
    pub(crate) is_private: bool,
    pub(crate) profile: Version,
    pub(crate) body: Version,
    /// No two at the same time.
    pub(crate) weighings: BTreeMap<DateTime<Utc>, (BodyweightId, Decimal)>,
    pub(crate) workouts: BTreeMap<WorkoutId, Workout>,
    /// Whom they follow, and where they stand with each of those they ever followed.
    pub(crate) follows: BTreeMap<AthleteId, Uuid>,
    pub(crate) relations: BTreeMap<AthleteId, Version>,
}

pub(crate) struct Workout {
    pub(crate) version: Version,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) is_completed: bool,
    pub(crate) sets: BTreeMap<SetId, Set>,
}

#[derive(Clone)]
pub(crate) struct Set {
    pub(crate) exercise: &'static str,
    pub(crate) reps: u16,
    pub(crate) kg: Decimal,
    pub(crate) is_unusual: bool,
    pub(crate) is_warm_up: bool,
    pub(crate) performed_at: DateTime<Utc>,
}

/// A place: whom it is held against, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) owner: Uuid,
    pub(crate) score: i64,
    pub(crate) sex: Option<Sex>,
    pub(crate) class: Option<&'static str>,
}

/// All places of all boards, best first, equals by id.
pub(crate) type Standings = BTreeMap<&'static str, Vec<Place>>;

pub(crate) fn classes(sex: Sex) -> [&'static str; 8] {
    match sex {
        Sex::Male => ["59", "66", "74", "83", "93", "105", "120", "120+"],
        Sex::Female => ["47", "52", "57", "63", "69", "76", "84", "84+"],
    }
}

fn class(sex: Sex, kg: Decimal) -> &'static str {
    let limits = if sex == Sex::Male { MEN } else { WOMEN };
    let at = limits.iter().position(|limit| kg <= Decimal::from(*limit)).unwrap_or(7);
    classes(sex)[at]
}

fn rounded(kg: Decimal) -> Decimal {
    kg.round_dp_with_strategy(3, MidpointNearestEven)
}

fn grams(kg: Decimal) -> i64 {
    (kg * Decimal::ONE_THOUSAND).to_i64().expect("a weight that fits")
}

/// The first and the last day of a board's period.
pub(crate) fn period(board: &str, day: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
    if board.ends_with("-week") {
        let monday = day - Days::new(day.weekday().num_days_from_monday().into());
        return Some((monday, monday + Days::new(6)));
    }
    let first = day.with_day(1).filter(|_| board.ends_with("-month"))?;
    let mut last = first;
    while (last + Days::new(1)).month() == first.month() {
        last = last + Days::new(1);
    }
    Some((first, last))
}

impl Athlete {
    /// The bodyweight on the local day of an instant; without one, the last that is known.
    fn bodyweight(&self, at: Option<DateTime<Utc>>) -> Option<Decimal> {
        let before = match at {
            None => DateTime::<Utc>::MAX_UTC,
            Some(at) => {
                let next = at.with_timezone(&self.zone.0).date_naive() + Days::new(1);
                let midnight = next.and_hms_opt(0, 0, 0).expect("midnight");
                let local = self.zone.0.from_local_datetime(&midnight).earliest();
                local.expect("a midnight that there is").with_timezone(&Utc)
            }
        };
        self.weighings.range(..before).next_back().map(|(_, (_, kg))| *kg)
    }

    fn done(&self) -> impl Iterator<Item = &Workout> {
        let counts = |set: &Set| !set.is_warm_up && !set.is_unusual;
        let has_sets = move |workout: &&Workout| workout.sets.values().any(counts);
        self.workouts.values().filter(|workout| workout.is_completed).filter(has_sets)
    }

    /// The best estimate, and when it was done: of equals, the earliest.
    fn best(&self, exercise: &str) -> Option<(i64, DateTime<Utc>)> {
        let sets = self.done().flat_map(|workout| workout.sets.values());
        let sets =
            sets.filter(|set| set.exercise == exercise && !set.is_warm_up && !set.is_unusual);
        let figures = sets.filter(|set| set.reps <= 12 && !set.kg.is_zero()).filter_map(|set| {
            let kg = Formula::Standard.estimate(rounded(set.kg), set.reps)?;
            Some((grams(kg), set.performed_at))
        });
        figures.max_by_key(|(grams, at)| (*grams, std::cmp::Reverse(*at)))
    }

    fn volume(&self, workout: &Workout) -> i64 {
        let sets = workout.sets.values().filter(|set| !set.is_warm_up && !set.is_unusual);
        let volumes = sets.filter_map(|set| {
            let added = if set.exercise == PULL_UP {
                rounded(self.bodyweight(Some(set.performed_at))?)
            } else {
                Decimal::ZERO
            };
            Some(grams(rounded((rounded(set.kg) + added) * Decimal::from(set.reps))))
        });
        volumes.sum()
    }

    /// The score on a board, and the day whose bodyweight counts.
    fn score(&self, board: &str, day: NaiveDate) -> Option<(i64, Option<DateTime<Utc>>)> {
        if EXERCISES.contains(&board) {
            return self.best(board).map(|(grams, at)| (grams, Some(at)));
        }
        if board == "dots" {
            let lifts = [SQUAT, BENCH, DEADLIFT].map(|lift| self.best(lift));
            let lifts: Vec<(i64, DateTime<Utc>)> = lifts.into_iter().collect::<Option<_>>()?;
            let at = lifts.iter().map(|(_, at)| *at).max();
            let total = Decimal::new(lifts.iter().map(|(grams, _)| grams).sum(), 3);
            let points = points::dots(self.sex?, self.bodyweight(at)?, total)?;
            return Some(((points * Decimal::ONE_HUNDRED).to_i64()?, at));
        }
        let counts = |workout: &&Workout| {
            period(board, day).is_none_or(|(first, last)| {
                (first..=last).contains(&workout.started_at.date_naive())
            })
        };
        let done = self.done().filter(counts);
        let score = if board.starts_with("volume") {
            done.map(|workout| self.volume(workout)).sum()
        } else {
            i64::try_from(done.count()).ok()?
        };
        (score > 0).then_some((score, None))
    }
}

/// All boards, on a day.
pub(crate) fn standings(athletes: &[Athlete], day: NaiveDate) -> Standings {
    let board = |board: &'static str| {
        let place = |athlete: &Athlete| {
            let (score, at) = athlete.score(board, day)?;
            let kg = athlete.bodyweight(at);
            let class = athlete.sex.zip(kg).map(|(sex, kg)| class(sex, kg));
            Some(Place { owner: athlete.id.uuid(), score, sex: athlete.sex, class })
        };
        let mut places: Vec<Place> = athletes.iter().filter_map(place).collect();
        places.sort_by_key(|place| (-place.score, place.owner));
        (board, places)
    };
    BOARDS.into_iter().map(board).collect()
}

/// The places of some, with their ranks.
pub(crate) fn ranked(
    places: &[Place],
    sex: Option<Sex>,
    class: Option<&str>,
    some: Option<&BTreeSet<Uuid>>,
) -> Vec<(i64, Place)> {
    let places: Vec<Place> = places
        .iter()
        .filter(|place| sex.is_none() || place.sex == sex)
        .filter(|place| class.is_none() || place.class == class)
        .filter(|place| some.is_none_or(|some| some.contains(&place.owner)))
        .copied()
        .collect();
    let rank = |place: &Place| {
        let above = places.iter().filter(|other| other.score > place.score).count();
        (i64::try_from(above).unwrap_or(i64::MAX) + 1, *place)
    };
    places.iter().map(rank).collect()
}
