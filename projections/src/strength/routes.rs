//! `GET /v1/stats/strength-levels…`.

use std::cmp::Reverse;

use axum::extract::{FromRef, State};
use domain::{
    points,
    standards::{self, Level, Standard},
};
use events::{ExerciseId, Number, SetId, Sex, Timestamp, WeightUnit, WorkoutId};
use rust_decimal::{Decimal, RoundingStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Error, Path, Query, Routes};

use super::{
    Strength,
    query::{self, Among, Best, Maximum, Standing},
};
use crate::{
    Context,
    athlete::Exercises,
    reading::Reading,
    represent::{Exercise, Known, ShownWeight, show_weight},
};

/// The lifts of powerlifting.
const SQUAT: &str = "squat-barbell";
const BENCH_PRESS: &str = "bench-press-barbell";
const DEADLIFT: &str = "deadlift-barbell";

/// The routes of strength.
pub fn routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    Routes::of(include_str!("routes.rs"))
        .get("/v1/stats/strength-levels", levels)
        .get("/v1/stats/strength-levels/{exercise}", level)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LevelsQuery {
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// How strong an athlete is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StrengthLevels")]
struct Levels {
    /// Sets of the thirty days before count.
    as_of: Timestamp,
    sex: Option<Sex>,
    /// The last that was measured.
    bodyweight: Option<Figure>,
    /// Strongest first, by level and by percentile.
    exercises: Vec<OfExercise>,
    /// `null` unless there is a working maximum of squat, bench press and deadlift.
    total: Option<Total>,
}

/// How strong an athlete is in an exercise.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExerciseStrength")]
struct OfExercise {
    exercise: Exercise,
    /// Sets of the thirty days that count.
    sets: usize,
    working_maximum: Option<Figure>,
    /// The set that it is estimated from.
    set: Option<OfSet>,
    /// On the day of that set.
    bodyweight: Option<Figure>,
    /// The working maximum divided by the bodyweight, rounded to 0.001.
    ratio: Option<Number>,
    /// `unknown` without a table for the exercise, a sex or a bodyweight.
    level: LevelName,
    /// The next level, and what it takes; `null` at the top.
    next: Option<Next>,
    percentiles: Percentiles,
    /// What would have to be known for a level: `sex`, a `set` of the thirty days, the `bodyweight` of its
    /// day, a `table` for the exercise.
    missing: Vec<&'static str>,
}

/// A level, or none that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(untagged)]
enum LevelName {
    Unknown(Unknown),
    Known(Level),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unknown {
    Unknown,
}

/// What the next level takes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NextLevel")]
struct Next {
    level: Level,
    /// The working maximum that it begins with, at the same bodyweight.
    working_maximum: Figure,
    /// How much more that is.
    more: Figure,
}

/// 100 times the athletes with a strictly lower working maximum, divided by all that have one.
#[derive(Debug, Serialize, JsonSchema)]
struct Percentiles {
    /// Among all; `null` of an exercise of one's own.
    all: Option<Percentile>,
    /// Among those of the sex.
    sex: Option<Percentile>,
    /// Among those of the sex in the weight class of that day.
    class: Option<Percentile>,
}

/// A place among others.
#[derive(Debug, Serialize, JsonSchema)]
struct Percentile {
    /// From 0 to less than 100, rounded to 0.01.
    percentile: Number,
    /// Who is counted, oneself included.
    athletes: u64,
    /// Of a weight class, its word: `83` is up to 83 kg.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_class: Option<String>,
}

/// A weight in the unit that is wanted, kg by default.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
struct Figure {
    /// In kg to 0.001, or, with `unit=`, rounded to two decimals.
    value: Number,
    unit: WeightUnit,
}

/// The set that a working maximum is estimated from.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StrengthSet")]
struct OfSet {
    id: SetId,
    workout: WorkoutId,
    performed_at: Timestamp,
    reps: Option<u16>,
    weight: Option<ShownWeight>,
}

/// The working maxima of squat, bench press and deadlift together, and what that is worth at the last
/// bodyweight.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StrengthTotal")]
struct Total {
    total: Figure,
    /// DOTS; like the others, `null` without sex and bodyweight.
    dots: Option<Number>,
    /// Wilks, with the coefficients of 2020.
    wilks: Option<Number>,
    /// IPF GL, raw.
    ipf_gl: Option<Number>,
}

impl Figure {
    fn new(kg: Decimal, unit: Option<WeightUnit>) -> Self {
        let rounded = |value: Decimal, places| {
            let even = RoundingStrategy::MidpointNearestEven;
            Number(value.round_dp_with_strategy(places, even).normalize())
        };
        match unit {
            None => Self { value: rounded(kg, 3), unit: WeightUnit::Kg },
            Some(unit) => Self { value: rounded(unit.from_kg(kg), 2), unit },
        }
    }
}

impl Percentile {
    fn new(among: Among, weight_class: Option<String>) -> Self {
        let share = Decimal::from(among.below) * Decimal::ONE_HUNDRED;
        let share = share.checked_div(Decimal::from(among.athletes)).unwrap_or_default();
        let share = share.round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven);
        Self { percentile: Number(share.normalize()), athletes: among.athletes, weight_class }
    }
}

impl OfExercise {
    fn new(maximum: Maximum, known: &Known, sex: Option<Sex>, unit: Option<WeightUnit>) -> Self {
        let id = maximum.exercise.to_string();
        let has_table = standards::exercises().any(|exercise| exercise == id);
        let standard = sex.and_then(|sex| standards::standard(&id, sex));
        let best = maximum.best;
        let bodyweight = best.as_ref().and_then(|best| best.bodyweight);
        let ratio = best.as_ref().zip(bodyweight).and_then(|(best, kg)| best.kg.checked_div(kg));
        let mut missing = Vec::new();
        if sex.is_none() {
            missing.push("sex");
        }
        if best.is_none() {
            missing.push("set");
        } else if bodyweight.is_none() {
            missing.push("bodyweight");
        }
        if !has_table {
            missing.push("table");
        }
        let known_ratio = standard.zip(ratio);
        let level = known_ratio
            .as_ref()
            .map_or(LevelName::Unknown(Unknown::Unknown), |(standard, ratio)| {
                LevelName::Known(standard.level(*ratio))
            });
        let next = known_ratio.zip(best.as_ref()).zip(bodyweight);
        let next = next.and_then(|(((standard, ratio), best), kg)| {
            next_level(&standard, ratio, best, kg, unit)
        });
        let ratio = ratio.map(|ratio| {
            let even = RoundingStrategy::MidpointNearestEven;
            Number(ratio.round_dp_with_strategy(3, even).normalize())
        });
        let percentiles = Percentiles {
            all: best.as_ref().and_then(|best| best.all).map(|all| Percentile::new(all, None)),
            sex: best.as_ref().and_then(|best| best.of_sex).map(|of| Percentile::new(of, None)),
            class: best
                .as_ref()
                .and_then(|best| Some(Percentile::new(best.of_class?, best.class.clone()))),
        };
        Self {
            exercise: Exercise { id, name: known.name.clone() },
            sets: maximum.sets,
            working_maximum: best.as_ref().map(|best| Figure::new(best.kg, unit)),
            bodyweight: bodyweight.map(|kg| Figure::new(kg, unit)),
            set: best.map(|Best { set, .. }| OfSet {
                id: set.id,
                workout: set.workout,
                performed_at: set.performed_at,
                reps: set.reps,
                weight: set.weight.map(|weight| show_weight(weight, unit)),
            }),
            ratio,
            level,
            next,
            percentiles,
            missing,
        }
    }

    /// By which exercises are put in order: level, and percentile among those of the sex or among all.
    fn rank(&self) -> (LevelName, Option<Number>) {
        let place = self.percentiles.sex.as_ref().or(self.percentiles.all.as_ref());
        (self.level, place.map(|place| place.percentile))
    }
}

fn next_level(
    standard: &Standard,
    ratio: Decimal,
    best: &Best,
    bodyweight: Decimal,
    unit: Option<WeightUnit>,
) -> Option<Next> {
    let (level, multiple) = standard.next(ratio)?;
    let wanted = multiple * bodyweight;
    Some(Next {
        level,
        working_maximum: Figure::new(wanted, unit),
        more: Figure::new(wanted - best.kg, unit),
    })
}

/// The total of the three lifts; none unless all are there.
fn total(standing: &Standing, unit: Option<WeightUnit>) -> Option<Total> {
    let of = |id: &str| {
        let lift = standing.maxima.iter().find(|maximum| maximum.exercise.to_string() == id)?;
        lift.best.as_ref().map(|best| best.kg)
    };
    let kg = of(SQUAT)? + of(BENCH_PRESS)? + of(DEADLIFT)?;
    let who = standing.sex.zip(standing.bodyweight);
    let worth = |points: fn(Sex, Decimal, Decimal) -> Option<Decimal>| {
        let (sex, bodyweight) = who?;
        points(sex, bodyweight, kg).map(|points| Number(points.normalize()))
    };
    Some(Total {
        total: Figure::new(kg, unit),
        dots: worth(points::dots),
        wilks: worth(points::wilks),
        ipf_gl: worth(points::ipf_gl),
    })
}

/// How strong the caller is in every exercise of the last thirty days.
async fn levels(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<LevelsQuery>,
) -> Result<Answer<Levels>, Error> {
    context.wait::<Strength>(&reading).await?;
    let (owner, partition) = (reading.owner, reading.partition);
    let exercises = Exercises::of::<Strength>(&context, owner).await?;
    let standing = query::standing(&context, owner, partition, None).await?;
    let total = total(&standing, query.unit);
    let (position, sex) = (standing.position, standing.sex);
    let mut all: Vec<OfExercise> = standing
        .maxima
        .into_iter()
        .filter_map(|maximum| {
            let known = exercises.get(&maximum.exercise)?;
            Some(OfExercise::new(maximum, &known, sex, query.unit))
        })
        .collect();
    all.sort_by_key(|of| Reverse(of.rank()));
    let levels = Levels {
        as_of: Timestamp::new(standing.as_of),
        sex,
        bodyweight: standing.bodyweight.map(|kg| Figure::new(kg, query.unit)),
        exercises: all,
        total,
    };
    Ok(Answer::ok(&levels)?.at(position))
}

/// How strong the caller is in one exercise; `unknown` if it was not done in the thirty days.
async fn level(
    State(context): State<Context>,
    reading: Reading,
    Path(exercise): Path<String>,
    Query(query): Query<LevelsQuery>,
) -> Result<Answer<OfExercise>, Error> {
    context.wait::<Strength>(&reading).await?;
    let (owner, partition) = (reading.owner, reading.partition);
    let exercises = Exercises::of::<Strength>(&context, owner).await?;
    let (exercise, known): (ExerciseId, Known) = exercises.named(&exercise)?;
    let standing = query::standing(&context, owner, partition, Some(&exercise)).await?;
    let nothing = Maximum { exercise, sets: 0, best: None };
    let maximum = standing.maxima.into_iter().next().unwrap_or(nothing);
    let answer = OfExercise::new(maximum, &known, standing.sex, query.unit);
    Ok(Answer::ok(&answer)?.at(standing.position))
}
