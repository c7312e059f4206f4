//! `GET /v1/records…` and `GET /v1/stats/personal-records`.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeSet, time::Duration};

use axum::extract::{FromRef, State};
use domain::{
    one_rep_max::Formula,
    records::{Best, Kind, Performed, Session},
};
use events::{ExerciseId, Measurement, Number, SetId, Timestamp, WeightUnit, WorkoutId};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use web::{Answer, Detail, Error, Path, Query, Routes};

use super::{
    Records,
    query::{Of, Window},
};
use crate::{
    Context,
    days::Edge,
    reading::{Keeping, Reading, kept},
    represent::{Exercise, Known, ShownWeight, show_figure, show_weight},
};

/// Newest records that the overview shows.
const LATEST: usize = 10;

/// How long answers are good, if nothing changes.
const KEEPING: Keeping = Keeping { shared: Duration::from_secs(24 * 60 * 60), by_day: false };

/// The routes of records.
pub fn routes<S>(context: &Context) -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    let routes = Routes::of(include_str!("routes.rs"))
        .get("/v1/records", records)
        .get("/v1/records/{exercise}", record)
        .get("/v1/records/{exercise}/progression", progression)
        .get("/v1/stats/personal-records", personal_records);
    kept::<Records, S>(routes, context, KEEPING)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RecordsQuery {
    /// The formula of the estimated one-repetition maximum.
    #[serde(default)]
    formula: Formula,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
    /// With `to`, only what was done in that time, beside the time before it.
    from: Option<Edge>,
    /// With `from`.
    to: Option<Edge>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProgressionQuery {
    /// Only this kind.
    kind: Option<KindName>,
    /// The formula of the estimated one-repetition maximum.
    #[serde(default)]
    formula: Formula,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// The word for a kind of record; of the rep table, as in `at_reps_5`.
#[derive(Debug)]
struct KindName(Cow<'static, str>);

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let known = words().into_iter().find(|word| *word == text);
        known.map(Self).ok_or_else(|| {
            de::Error::custom("must be a kind of record, such as heaviest_weight or at_reps_5")
        })
    }
}

web::looks_like! { KindName: {
    "type": "string", "enum": words(), "examples": ["heaviest_weight", "at_reps_5"],
    "description": "A kind of record.",
} }

/// The words for all kinds.
fn words() -> BTreeSet<Cow<'static, str>> {
    let measurements =
        [Measurement::WeightReps, Measurement::AssistedBodyweight, Measurement::DistanceDuration];
    measurements.into_iter().flat_map(Kind::of).map(word).collect()
}

fn word(kind: Kind) -> Cow<'static, str> {
    match kind {
        Kind::AtReps(reps) => format!("at_reps_{reps}").into(),
        kind => kind.name().into(),
    }
}

/// The records of an exercise.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExerciseRecords")]
struct OfExercise {
    exercise: Exercise,
    /// How its sets are measured.
    measurement: Measurement,
    records: Vec<Record>,
    /// The heaviest weight (or the least assistance) for exactly so many repetitions.
    by_reps: Vec<Record>,
}

/// A record that stands.
#[derive(Debug, Serialize, JsonSchema)]
struct Record {
    /// What is best.
    kind: &'static str,
    /// In the rep table: for how many repetitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    reps: Option<u16>,
    #[serde(flatten)]
    holder: Option<Holder>,
    /// In a window: who held it in the time before, as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Option<Holder>>,
    /// In a window: how much more the figure is than before; `null` without one of the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Option<Number>>,
}

/// Who holds a record, with which figure.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Holder {
    /// The figure, rounded half-even to 0.001; with `unit=`, converted and rounded to 0.01.
    value: Number,
    /// `kg`, `lb`, `reps`, `s` or `m`.
    unit: &'static str,
    workout: WorkoutId,
    /// When it was done; of a session, when that began.
    performed_at: Timestamp,
    /// The set; none of a session.
    set: Option<OfSet>,
}

/// A set that holds a record.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "RecordSet")]
struct OfSet {
    id: SetId,
    reps: Option<u16>,
    weight: Option<ShownWeight>,
    duration_seconds: Option<u32>,
    distance_metres: Option<Number>,
    /// Far beyond what was done before, and not confirmed.
    unusual: bool,
}

/// In which units figures are shown.
#[derive(Clone, Copy)]
struct Shown {
    unit: Option<WeightUnit>,
    formula: Formula,
    measurement: Measurement,
}

impl Shown {
    fn figure(self, kind: Kind, figure: Decimal) -> (Number, &'static str) {
        show_figure(kind.unit(), figure, self.unit)
    }

    fn set(self, kind: Kind, set: &Performed, figure: Decimal) -> Holder {
        let (value, unit) = self.figure(kind, figure);
        let of_set = OfSet {
            id: set.id,
            reps: set.reps,
            weight: set.weight.map(|weight| show_weight(weight, self.unit)),
            duration_seconds: set.duration_seconds,
            distance_metres: set.distance_metres.map(|metres| Number(metres.normalize())),
            unusual: set.unusual,
        };
        let (workout, performed_at) = (set.workout, set.performed_at);
        Holder { value, unit, workout, performed_at, set: Some(of_set) }
    }

    fn session(self, session: &Session) -> Holder {
        let (value, unit) = self.figure(Kind::BestSessionVolume, session.volume_kg);
        let (workout, performed_at) = (session.workout, session.started_at);
        Holder { value, unit, workout, performed_at, set: None }
    }

    /// Who holds a record among the best of a span.
    fn holder(self, best: &Best, kind: Kind) -> Option<(Holder, Decimal)> {
        if kind == Kind::BestSessionVolume {
            let session = best.session()?;
            return Some((self.session(session), session.volume_kg));
        }
        let (set, figure) = best.holder(kind, self.measurement)?;
        Some((self.set(kind, set, figure), figure))
    }

    /// The kinds that are shown: of the estimates, the one that is wanted.
    fn kinds(self) -> impl Iterator<Item = Kind> {
        let is_wanted = move |kind: &Kind| match kind {
            Kind::OneRepMax(formula) => *formula == self.formula,
            _ => true,
        };
        Kind::of(self.measurement).filter(is_wanted)
    }

    fn exercise(
        self,
        exercise: &ExerciseId,
        known: &Known,
        best: Option<&Best>,
        before: Option<Option<&Best>>,
    ) -> OfExercise {
        let (mut records, mut by_reps) = (Vec::new(), Vec::new());
        for kind in self.kinds() {
            let holds = best.and_then(|best| self.holder(best, kind));
            let held = before.map(|best| best.and_then(|best| self.holder(best, kind)));
            if holds.is_none() && held.as_ref().is_none_or(Option::is_none) {
                continue;
            }
            let delta = held.as_ref().map(|held| {
                let (held, holds) = (held.as_ref()?.1, holds.as_ref()?.1);
                Some(self.figure(kind, holds - held).0)
            });
            let record = Record {
                kind: kind.name(),
                reps: if let Kind::AtReps(reps) = kind { Some(reps) } else { None },
                holder: holds.map(|(holder, _)| holder),
                previous: held.map(|held| held.map(|(holder, _)| holder)),
                delta,
            };
            if matches!(kind, Kind::AtReps(_)) { &mut by_reps } else { &mut records }.push(record);
        }
        let exercise = Exercise { id: exercise.to_string(), name: known.name.clone() };
        OfExercise { exercise, measurement: self.measurement, records, by_reps }
    }
}

impl RecordsQuery {
    /// The window asked for, and the one before it.
    async fn windows(&self, of: Of<'_>) -> Result<Option<[Window; 2]>, Error> {
        let (from, to) = match (self.from, self.to) {
            (None, None) => return Ok(None),
            (Some(from), Some(to)) => (from, to),
            (None, Some(_)) => return Err(missing("from")),
            (Some(_), None) => return Err(missing("to")),
        };
        let zone = of.zone().await?;
        let window = Window { from: from.first(zone), after: to.after(zone) };
        let before = window.before().filter(|_| window.from < window.after);
        let Some(before) = before else {
            return Err(Error::validation(vec![Detail::new("to", "must not lie before from")]));
        };
        Ok(Some([window, before]))
    }
}

fn missing(field: &'static str) -> Error {
    let other = if field == "from" { "to" } else { "from" };
    Error::validation(vec![Detail::new(field, format!("must be given with {other}"))])
}

/// Whose records a request is about.
fn of<'a>(context: &'a Context, reading: &Reading) -> Of<'a> {
    let (owner, partition) = (reading.owner, reading.partition);
    Of { context, owner, partition }
}

/// The records of all exercises that the caller has done, by exercise.
async fn records(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<RecordsQuery>,
) -> Result<Answer<Vec<OfExercise>>, Error> {
    let of = of(&context, &reading);
    let exercises = of.exercises().await?;
    let shown = |measurement| Shown { unit: query.unit, formula: query.formula, measurement };
    let mut all = Vec::new();
    let position = match query.windows(of).await? {
        None => {
            let tracks = of.now(None).await?;
            for (exercise, best) in &tracks.best {
                let Some(known) = exercises.get(exercise) else { continue };
                let shown = shown(known.measurement);
                all.push(shown.exercise(exercise, &known, Some(best), None));
            }
            tracks.position
        }
        Some(windows) => {
            let (position, found) = of.within(None, &windows, &exercises).await?;
            let [best, before] = &found[..] else { return Err(Error::internal("two windows")) };
            let mut ids: Vec<&ExerciseId> = best.keys().chain(before.keys()).collect();
            ids.sort();
            ids.dedup();
            for exercise in ids {
                let Some(known) = exercises.get(exercise) else { continue };
                let (best, before) = (best.get(exercise), before.get(exercise));
                let shown = shown(known.measurement);
                all.push(shown.exercise(exercise, &known, best, Some(before)));
            }
            position
        }
    };
    Ok(Answer::list(&all, None)?.at(position))
}

/// The records of one exercise; empty lists if it was not done.
async fn record(
    State(context): State<Context>,
    reading: Reading,
    Path(exercise): Path<String>,
    Query(query): Query<RecordsQuery>,
) -> Result<Answer<OfExercise>, Error> {
    let of = of(&context, &reading);
    let exercises = of.exercises().await?;
    let (exercise, known) = exercises.named(&exercise)?;
    let measurement = known.measurement;
    let shown = Shown { unit: query.unit, formula: query.formula, measurement };
    let (position, answer) = match query.windows(of).await? {
        None => {
            let tracks = of.now(Some(&exercise)).await?;
            let best = tracks.best.get(&exercise);
            (tracks.position, shown.exercise(&exercise, &known, best, None))
        }
        Some(windows) => {
            let (position, found) = of.within(Some(&exercise), &windows, &exercises).await?;
            let [best, before] = &found[..] else { return Err(Error::internal("two windows")) };
            let (best, before) = (best.get(&exercise), before.get(&exercise));
            (position, shown.exercise(&exercise, &known, best, Some(before)))
        }
    };
    Ok(Answer::ok(&answer)?.at(position))
}

/// A kind of record with every time it was broken.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Progression")]
struct Broken {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reps: Option<u16>,
    /// The first and each better one, oldest first.
    points: Vec<Holder>,
}

/// Every time that a record of an exercise was broken, by kind, oldest first: for a chart.
async fn progression(
    State(context): State<Context>,
    reading: Reading,
    Path(exercise): Path<String>,
    Query(query): Query<ProgressionQuery>,
) -> Result<Answer<Vec<Broken>>, Error> {
    let of = of(&context, &reading);
    let exercises = of.exercises().await?;
    let (exercise, known) = exercises.named(&exercise)?;
    let measurement = known.measurement;
    let shown = Shown { unit: query.unit, formula: query.formula, measurement };
    let wanted = |kind: &Kind| match &query.kind {
        Some(name) => word(*kind) == name.0,
        // The rep table is asked for by name.
        None => !matches!(kind, Kind::AtReps(_)),
    };
    let kinds: Vec<Kind> = shown.kinds().filter(wanted).collect();
    let found = of.progression(&exercise, measurement, &kinds).await?;
    let broken = kinds.iter().filter_map(|kind| {
        let points: Vec<Holder> = match kind {
            Kind::BestSessionVolume => {
                found.sessions.iter().map(|session| shown.session(session)).collect()
            }
            kind => {
                let sets = found.sets.get(kind)?;
                sets.iter().map(|(set, figure)| shown.set(*kind, set, *figure)).collect()
            }
        };
        let reps = if let Kind::AtReps(reps) = kind { Some(*reps) } else { None };
        (!points.is_empty()).then(|| Broken { kind: kind.name(), reps, points })
    });
    let broken: Vec<Broken> = broken.collect();
    Ok(Answer::list(&broken, None)?.at(found.position))
}

/// The caller's records at a glance.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RecordsOverview")]
struct Overview {
    /// Exercises with a record.
    exercises: usize,
    /// Records that stand, without the rep tables.
    records: usize,
    /// The newest of them.
    latest: Vec<Latest>,
}

/// A record and the exercise that it is of.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LatestRecord")]
struct Latest {
    exercise: Exercise,
    kind: &'static str,
    #[serde(flatten)]
    holder: Holder,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OverviewQuery {
    /// The formula of the estimated one-repetition maximum.
    #[serde(default)]
    formula: Formula,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// How many records stand, and the newest of them.
async fn personal_records(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<OverviewQuery>,
) -> Result<Answer<Overview>, Error> {
    let of = of(&context, &reading);
    let exercises = of.exercises().await?;
    let tracks = of.now(None).await?;
    let (mut all, mut done) = (Vec::new(), 0);
    for (exercise, best) in &tracks.best {
        let Some(known) = exercises.get(exercise) else { continue };
        done += 1;
        let measurement = known.measurement;
        let shown = Shown { unit: query.unit, formula: query.formula, measurement };
        for kind in shown.kinds().filter(|kind| !matches!(kind, Kind::AtReps(_))) {
            let Some((holder, _)) = shown.holder(best, kind) else { continue };
            let exercise = Exercise { id: exercise.to_string(), name: known.name.clone() };
            all.push(Latest { exercise, kind: kind.name(), holder });
        }
    }
    let records = all.len();
    all.sort_by_key(|latest| Reverse(latest.holder.performed_at));
    all.truncate(LATEST);
    let overview = Overview { exercises: done, records, latest: all };
    Ok(Answer::ok(&overview)?.at(tracks.position))
}
