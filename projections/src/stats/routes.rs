//! `GET /v1/stats/…`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::extract::{FromRef, State};
use chrono::{Datelike, Days, Months, NaiveDate};
use domain::{Streak, streak_of_days, streak_of_weeks, week_of};
use events::{ExerciseId, Muscle, Number};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use web::{Answer, Error, Path, Query, Routes};

use super::{Stats, fold::Counted, query::Training};
use crate::{
    Context,
    reading::{Keeping, Reading, kept},
    represent::Exercise,
};

/// Longer periods than ten years are written `all`.
const LONGEST: u32 = 3660;

/// How long answers are good, if nothing changes.
const KEEPING: Keeping = Keeping { shared: Duration::from_secs(60 * 60), by_day: true };

/// The routes of stats.
pub fn routes<S>(context: &Context) -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    let routes = Routes::of(include_str!("routes.rs"))
        .get("/v1/stats/overview", overview)
        .get("/v1/stats/volume", volume)
        .get("/v1/stats/exercises", exercises)
        .get("/v1/stats/exercises/{exercise}", exercise)
        .get("/v1/stats/muscles", muscles);
    kept::<Stats, S>(routes, context, KEEPING)
}

/// A number of local days up to today, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period(Option<u32>);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        if text == "all" {
            return Ok(Self(None));
        }
        let days = text.strip_suffix('d').and_then(web::whole);
        days.filter(|days| (1..=LONGEST).contains(days)).map(|days| Self(Some(days))).ok_or_else(
            || de::Error::custom(format!("must be 1d to {LONGEST}d, such as 30d, or all")),
        )
    }
}

web::looks_like! { Period: {
    "type": "string", "pattern": "^(([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-5][0-9]|3660)d|all)$", "examples": ["30d"],
    "description": "So many local days up to today, 1d to 3660d, or all.",
} }

/// A span of local days, both of them in it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Period")]
struct Span {
    from: NaiveDate,
    to: NaiveDate,
    /// Where the days begin and end.
    time_zone: String,
}

impl Span {
    fn of(training: &Training) -> Self {
        let time_zone = training.zone.0.name().to_owned();
        Self { from: training.first, to: training.today, time_zone }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OverviewQuery {
    period: Option<Period>,
}

async fn read(context: &Context, reading: &Reading, period: Period) -> Result<Training, Error> {
    Training::read(context, reading.owner, reading.partition, period.0).await
}

/// What working sets come to.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
struct Sums {
    /// Working sets.
    sets: u64,
    /// Their repetitions.
    reps: u64,
    /// Repetitions times weight, in exact kg, of those that have both.
    volume_kg: Number,
}

impl Sums {
    fn add(&mut self, training: &Training, exercise: &ExerciseId, set: &Counted) {
        self.sets += 1;
        self.reps += set.1.map_or(0, u64::from);
        self.volume_kg.0 = (self.volume_kg.0 + training.volume(exercise, set)).normalize();
    }
}

/// A period at a glance.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StatsOverview")]
struct Overview {
    period: Span,
    /// Completed workouts.
    sessions: usize,
    #[serde(flatten)]
    sums: Sums,
    /// Mean time from start to end, in seconds; `null` without workouts.
    average_duration_seconds: Option<i64>,
    /// Different days with a workout.
    workout_days: usize,
    /// Of days with a workout, whatever the period.
    streak_days: Streak,
    /// Of ISO weeks with a workout, whatever the period.
    streak_weeks: Streak,
}

/// Sessions, sums and streaks, of 30 days by default.
async fn overview(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<OverviewQuery>,
) -> Result<Answer<Overview>, Error> {
    let period = query.period.unwrap_or(Period(Some(30)));
    let training = read(&context, &reading, period).await?;
    let mut sums = Sums::default();
    for (exercise, set) in training.sets() {
        sums.add(&training, exercise, set);
    }
    let sessions = training.workouts.len();
    let seconds: i64 = training.workouts.iter().map(|workout| workout.seconds).sum();
    let days: BTreeSet<NaiveDate> = training.workouts.iter().map(|workout| workout.day).collect();
    let answer = Overview {
        period: Span::of(&training),
        sessions,
        sums,
        average_duration_seconds: i64::try_from(sessions).ok().and_then(|n| seconds.checked_div(n)),
        workout_days: days.len(),
        streak_days: streak_of_days(&training.days, training.today),
        streak_weeks: streak_of_weeks(&training.days, training.today),
    };
    Ok(Answer::ok(&answer)?.at(training.position))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VolumeQuery {
    period: Option<Period>,
    /// What is summed up: days, ISO weeks or months.
    #[serde(default)]
    by: By,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum By {
    #[default]
    Day,
    Week,
    Month,
}

impl By {
    /// The first day of the day, ISO week or month that a day is in.
    fn first(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => day,
            Self::Week => week_of(day),
            Self::Month => day.with_day(1).unwrap_or(day),
        }
    }

    fn next(self, first: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => first + Days::new(1),
            Self::Week => first + Days::new(7),
            Self::Month => first + Months::new(1),
        }
    }
}

/// A day, week or month.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
struct Bucket {
    /// Its first day; before the period's where that begins in the middle of it.
    from: NaiveDate,
    /// Completed workouts.
    sessions: u64,
    #[serde(flatten)]
    sums: Sums,
}

/// Volume per day, ISO week or month, oldest first; those without a workout too.
async fn volume(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<VolumeQuery>,
) -> Result<Answer<Vec<Bucket>>, Error> {
    let period = query.period.unwrap_or(Period(Some(30)));
    let training = read(&context, &reading, period).await?;
    let mut buckets: BTreeMap<NaiveDate, Bucket> = BTreeMap::new();
    let mut from = query.by.first(training.first);
    while from <= training.today {
        buckets.insert(from, Bucket { from, ..Bucket::default() });
        from = query.by.next(from);
    }
    for workout in &training.workouts {
        let bucket = buckets.entry(query.by.first(workout.day)).or_default();
        bucket.sessions += 1;
        for (exercise, set) in workout.sets.working() {
            bucket.sums.add(&training, exercise, set);
        }
    }
    let buckets: Vec<Bucket> = buckets.into_values().collect();
    Ok(Answer::list(&buckets, None)?.at(training.position))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExercisesQuery {
    period: Option<Period>,
}

/// What an athlete did of an exercise in a period.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExerciseStats")]
struct OfExercise {
    exercise: Exercise,
    /// Completed workouts in which it was done.
    sessions: usize,
    #[serde(flatten)]
    sums: Sums,
    /// Mean weight of the working sets that have one, in kg, to two decimals.
    average_weight_kg: Option<Number>,
    /// The heaviest weight, in exact kg.
    maximum_weight_kg: Option<Number>,
}

impl OfExercise {
    fn new(training: &Training, exercise: &ExerciseId) -> Self {
        let name = training.about(exercise).and_then(|about| about.name);
        let (mut sums, mut sessions, mut weights) = (Sums::default(), 0, Vec::new());
        for workout in &training.workouts {
            let sets = || workout.sets.working().filter(|(of, _)| *of == exercise);
            sessions += usize::from(sets().next().is_some());
            for (_, set) in sets() {
                sums.add(training, exercise, set);
                weights.extend(set.2.map(|kg| kg.0));
            }
        }
        let mean = weights.iter().sum::<Decimal>().checked_div(Decimal::from(weights.len()));
        Self {
            exercise: Exercise { id: exercise.to_string(), name },
            sessions,
            sums,
            average_weight_kg: mean.map(|mean| Number(mean.round_dp(2).normalize())),
            maximum_weight_kg: weights.into_iter().max().map(|kg| Number(kg.normalize())),
        }
    }
}

/// Every exercise that was done in a period, 90 days by default: most volume first.
async fn exercises(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<ExercisesQuery>,
) -> Result<Answer<Vec<OfExercise>>, Error> {
    let period = query.period.unwrap_or(Period(Some(90)));
    let training = read(&context, &reading, period).await?;
    let done: BTreeSet<&ExerciseId> = training.sets().map(|(exercise, _)| exercise).collect();
    let mut all: Vec<OfExercise> =
        done.into_iter().map(|exercise| OfExercise::new(&training, exercise)).collect();
    all.sort_by(|one, other| {
        (other.sums.volume_kg.0, other.sums.sets).cmp(&(one.sums.volume_kg.0, one.sums.sets))
    });
    Ok(Answer::list(&all, None)?.at(training.position))
}

/// One exercise in a period, 90 days by default: zeros if it was not done.
async fn exercise(
    State(context): State<Context>,
    reading: Reading,
    Path(exercise): Path<String>,
    Query(query): Query<ExercisesQuery>,
) -> Result<Answer<OfExercise>, Error> {
    let exercise: ExerciseId = exercise.parse().map_err(|_| Error::not_found("exercise"))?;
    let period = query.period.unwrap_or(Period(Some(90)));
    let training = read(&context, &reading, period).await?;
    // One that the athlete does not have is none, even if somebody else has it.
    if training.about(&exercise).is_none() {
        return Err(Error::not_found("exercise"));
    }
    Ok(Answer::ok(&OfExercise::new(&training, &exercise))?.at(training.position))
}

/// What trained a muscle in a period.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MuscleStats")]
struct OfMuscle {
    muscle: Muscle,
    /// Of the exercises whose primary muscle it is.
    #[serde(flatten)]
    sums: Sums,
    /// Working sets of the exercises in which it only helps.
    secondary_sets: u64,
}

/// Every muscle that was trained in a period, 90 days by default: most sets first. A set counts for
/// each of the primary muscles of its exercise.
async fn muscles(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<ExercisesQuery>,
) -> Result<Answer<Vec<OfMuscle>>, Error> {
    let period = query.period.unwrap_or(Period(Some(90)));
    let training = read(&context, &reading, period).await?;
    let mut muscles: BTreeMap<Muscle, (Sums, u64)> = BTreeMap::new();
    for (exercise, set) in training.sets() {
        let Some(about) = training.about(exercise) else { continue };
        for muscle in about.primary_muscles {
            muscles.entry(muscle).or_default().0.add(&training, exercise, set);
        }
        for muscle in about.secondary_muscles {
            muscles.entry(muscle).or_default().1 += 1;
        }
    }
    let mut all: Vec<OfMuscle> = muscles
        .into_iter()
        .map(|(muscle, (sums, secondary_sets))| OfMuscle { muscle, sums, secondary_sets })
        .collect();
    all.sort_by_key(|muscle| std::cmp::Reverse((muscle.sums.sets, muscle.secondary_sets)));
    Ok(Answer::list(&all, None)?.at(training.position))
}
