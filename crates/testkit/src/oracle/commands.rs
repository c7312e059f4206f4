//! What happens in a random history: choices that mean something whatever came before them.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::truth::Measured;

/// One exercise of each measure, and a second one with which sets change places.
pub(super) const EXERCISES: [(&str, Measured); 9] = [
    ("bench-press-barbell", Measured::WeightReps),
    ("squat-barbell", Measured::WeightReps),
    ("push-up", Measured::RepsOnly),
    ("pull-up-weighted", Measured::Added),
    ("pull-up-assisted", Measured::Assisted),
    ("plank", Measured::Duration),
    ("plank-weighted", Measured::WeightDuration),
    ("running", Measured::DistanceDuration),
    ("farmers-walk-dumbbell", Measured::WeightDistance),
];

/// Weights of which some are equal, as kg and as lb, and some nearly.
pub(super) const WEIGHTS: [(&str, &str); 12] = [
    ("0", "kg"),
    ("20", "kg"),
    ("60", "kg"),
    ("61.23492", "kg"),
    ("61.235", "kg"),
    ("135", "lb"),
    ("100", "kg"),
    ("100.0004", "kg"),
    ("225", "lb"),
    ("102.058", "kg"),
    ("102.5", "kg"),
    ("220", "lb"),
];

/// A command, with choices that mean something whatever came before it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Command {
    Start { day: i64, minute: i64 },
    Log { workout: usize, set: Values, twice: bool },
    Correct { set: usize, to: Values },
    Remove { set: usize },
    Complete { workout: usize },
    ReDate { workout: usize, days: i64 },
    Discard { workout: usize },
    Confirm { set: usize },
    Weigh { day: i64, minute: i64, weight: usize },
    WeighAgain { weighing: usize, minutes: i64, weight: usize },
    ForgetWeighing { weighing: usize },
    Move { zone: usize },
    Be { sex: usize },
}

/// Where somebody may live: on one day, in three places it is three different ones.
pub(super) const ZONES: [Tz; 3] = [Tz::Europe__Paris, Tz::America__New_York, Tz::Pacific__Apia];

/// What somebody may weigh, in kg.
pub(super) const BODYWEIGHTS: [&str; 5] = ["60", "74.25", "83", "83.5", "120.125"];

/// What a set is.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the words say it")]
pub struct Values {
    pub exercise: usize,
    pub warm_up: bool,
    pub reps: u32,
    pub weight: usize,
    pub seconds: u32,
    pub metres: u32,
    /// Minutes after the start of its workout; before it where negative.
    pub minute: i64,
}

/// Commands of a seed.
pub fn history(seed: u64) -> Vec<Command> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count = rng.random_range(10..45);
    let exercises: Vec<usize> = (0..3).map(|_| rng.random_range(0..EXERCISES.len())).collect();
    let values = |rng: &mut StdRng| Values {
        exercise: exercises[rng.random_range(0..exercises.len())],
        warm_up: rng.random_bool(0.1),
        reps: [0, 1, 1, 2, 3, 3, 5, 5, 8, 12, 13, 40][rng.random_range(0..12)],
        weight: rng.random_range(0..WEIGHTS.len()),
        seconds: [0, 30, 60, 60, 90][rng.random_range(0..5)],
        metres: [0, 100, 400, 400, 5_000][rng.random_range(0..5)],
        minute: [0, 0, 5, 10, 90, 1_500, -3_000][rng.random_range(0..7)],
    };
    // Around the ends of days, months and years, and long ago; or within what counts as lately, and
    // before it.
    let days: [i64; 12] = if is_recent(seed) {
        [0, 1, 2, 10, 20, 24, 27, 30, 31, 40, 42, 44]
    } else {
        [0, 0, 1, 27, 30, 31, 32, 59, 364, 365, 366, 800]
    };
    let mut commands = Vec::with_capacity(count);
    for index in 0..count {
        let any = rng.random_range(0..64);
        commands.push(match rng.random_range(0..130) {
            _ if index == 0 => Command::Start { day: days[5], minute: 0 },
            0..15 => Command::Start {
                day: days[rng.random_range(0..12)],
                minute: [0, 0, 600, 1_430][rng.random_range(0..4)],
            },
            15..60 => {
                let twice = rng.random_bool(0.1);
                Command::Log { workout: any, set: values(&mut rng), twice }
            }
            60..75 => Command::Correct { set: any, to: values(&mut rng) },
            75..85 => Command::Remove { set: any },
            85..91 => Command::Complete { workout: any },
            91..96 => {
                let days = [-400, -31, -1, 1, 29, 31][rng.random_range(0..6)];
                Command::ReDate { workout: any, days }
            }
            96..100 => Command::Discard { workout: any },
            100..110 => Command::Weigh {
                day: days[rng.random_range(0..12)],
                minute: [-600, 0, 600, 1_430][rng.random_range(0..4)],
                weight: rng.random_range(0..BODYWEIGHTS.len()),
            },
            110..114 => Command::WeighAgain {
                weighing: any,
                minutes: [0, 0, -1_440, 700][rng.random_range(0..4)],
                weight: rng.random_range(0..BODYWEIGHTS.len()),
            },
            114..117 => Command::ForgetWeighing { weighing: any },
            117..120 => Command::Move { zone: rng.random_range(0..ZONES.len()) },
            120..124 => Command::Be { sex: rng.random_range(0..3) },
            124..127 => Command::Complete { workout: any },
            _ => Command::Confirm { set: any },
        });
    }
    commands
}

/// Whether what happens in the history of a seed happens lately: else levels have nothing to say.
pub(super) fn is_recent(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

/// All that happens in a history of a seed lies around here: in the year 2023, or forty-five days ago.
pub(super) fn beginning(seed: u64) -> DateTime<Utc> {
    if is_recent(seed) {
        let now = log::Clock::system().now().utc();
        let minutes = now.timestamp() / 60 * 60;
        DateTime::from_timestamp(minutes, 0).expect("now") - TimeDelta::days(45)
    } else {
        DateTime::from_timestamp(1_672_531_200, 0).expect("the year 2023")
    }
}

pub(super) fn is_future(at: DateTime<Utc>) -> bool {
    at > log::Clock::system().now().utc()
}
