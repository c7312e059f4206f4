//! Personal records: which sets of an exercise are the best that an athlete ever did.
//!
//! [`Best`] is the whole truth about a span of time: the sets that hold a record within it. Spans
//! next to one another add up by [`Best::with`], so days make months, months years, and years a
//! life; whoever loses a set looks again at one day, its month and its year, and at nothing else.

use std::{borrow::Cow, cmp::Reverse};

use chrono::DateTime;
use events::{Measurement, SetId, Timestamp, Weight, WeightUnit, WorkoutId};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::one_rep_max::{Formula, MOST_REPS};

/// A kind of record. Each compares one figure, of which more is better, but of an assistance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The heaviest weight, for a repetition at least where there are repetitions; in kg. Of
    /// weighted bodyweight exercises, the weight that was added.
    HeaviestWeight,
    /// The least assistance for a repetition at least; in kg. Assisted exercises have it in place
    /// of weights.
    LeastAssistance,
    /// The best estimate of a one-repetition maximum from a set of 1 to 12 repetitions; in kg.
    OneRepMax(Formula),
    /// The heaviest weight for three repetitions at least; in kg.
    HeaviestForThree,
    /// The heaviest weight for five repetitions at least; in kg.
    HeaviestForFive,
    /// The most repetitions.
    MostReps,
    /// The most repetitions times weight of a set; in kg.
    BestSetVolume,
    /// The most repetitions times weight of all working sets of a workout; in kg.
    BestSessionVolume,
    /// The longest time; in seconds.
    LongestDuration,
    /// The longest distance; in metres.
    LongestDistance,
    /// The heaviest weight (or the least assistance) for exactly so many repetitions, 1 to 12; in
    /// kg.
    AtReps(u16),
}

impl Kind {
    /// The kinds that exercises of a measurement have.
    pub fn of(measurement: Measurement) -> impl Iterator<Item = Self> {
        let weights: &[Self] =
            &[Self::HeaviestWeight, Self::HeaviestForThree, Self::HeaviestForFive];
        let reps: &[Self] = &[Self::MostReps];
        let volumes: &[Self] = &[Self::BestSetVolume, Self::BestSessionVolume];
        let (kinds, is_estimated, has_table): (Vec<&[Self]>, _, _) = match measurement {
            Measurement::WeightReps | Measurement::WeightedBodyweight => {
                (vec![weights, reps, volumes], true, true)
            }
            Measurement::AssistedBodyweight => {
                (vec![&[Self::LeastAssistance], reps, volumes], false, true)
            }
            Measurement::RepsOnly => (vec![reps], false, false),
            Measurement::Duration => (vec![&[Self::LongestDuration]], false, false),
            Measurement::WeightDuration => {
                (vec![&[Self::HeaviestWeight, Self::LongestDuration]], false, false)
            }
            Measurement::DistanceDuration => {
                (vec![&[Self::LongestDistance, Self::LongestDuration]], false, false)
            }
            Measurement::WeightDistance => {
                (vec![&[Self::HeaviestWeight, Self::LongestDistance]], false, false)
            }
        };
        let estimates = Formula::ALL.into_iter().filter(move |_| is_estimated);
        let table = (1..=MOST_REPS).filter(move |_| has_table);
        let kinds = kinds.concat().into_iter().chain(estimates.map(Self::OneRepMax));
        kinds.chain(table.map(Self::AtReps))
    }

    /// The word for it; of the rep table, the same for all.
    pub fn name(self) -> &'static str {
        match self {
            Self::HeaviestWeight => "heaviest_weight",
            Self::LeastAssistance => "least_assistance",
            Self::OneRepMax(_) => "one_rep_max",
            Self::HeaviestForThree => "heaviest_for_3",
            Self::HeaviestForFive => "heaviest_for_5",
            Self::MostReps => "most_reps",
            Self::BestSetVolume => "set_volume",
            Self::BestSessionVolume => "session_volume",
            Self::LongestDuration => "longest_duration",
            Self::LongestDistance => "longest_distance",
            Self::AtReps(_) => "at_reps",
        }
    }

    /// What its figures are in.
    pub fn unit(self) -> Unit {
        match self {
            Self::HeaviestWeight
            | Self::LeastAssistance
            | Self::OneRepMax(_)
            | Self::HeaviestForThree
            | Self::HeaviestForFive
            | Self::BestSetVolume
            | Self::BestSessionVolume
            | Self::AtReps(_) => Unit::Kg,
            Self::MostReps => Unit::Reps,
            Self::LongestDuration => Unit::Seconds,
            Self::LongestDistance => Unit::Metres,
        }
    }

    /// The figure of a set, as it is shown: rounded half-even to 0.001, so that 135 lb ties with an
    /// exported 61.23492 kg. Nothing of a set that holds no such record.
    ///
    /// A set of no repetitions is a failed attempt and holds none. Weights of nothing are none, but
    /// an assistance of nothing is the best there is.
    pub fn figure(self, set: &Performed, measurement: Measurement) -> Option<Decimal> {
        if set.reps == Some(0) {
            return None;
        }
        let weight = set.weight.map(Weight::comparable_kg);
        let weight = match measurement {
            Measurement::AssistedBodyweight => weight,
            _ => weight.filter(|kg| !kg.is_zero()),
        };
        let at_least = |reps| set.reps.is_some_and(|done| done >= reps);
        let has_reps = |from: u16, to: u16| set.reps.filter(|done| (from..=to).contains(done));
        match self {
            Self::HeaviestWeight | Self::LeastAssistance => {
                weight.filter(|_| !measurement.has_reps() || at_least(1))
            }
            Self::HeaviestForThree => weight.filter(|_| at_least(3)),
            Self::HeaviestForFive => weight.filter(|_| at_least(5)),
            Self::OneRepMax(formula) => formula.estimate(weight?, has_reps(1, MOST_REPS)?),
            Self::AtReps(reps) => weight.filter(|_| set.reps == Some(reps)),
            Self::MostReps => set.reps.map(Decimal::from),
            Self::BestSetVolume => set.volume_kg.filter(|volume| !volume.is_zero()),
            Self::LongestDuration => {
                set.duration_seconds.filter(|seconds| *seconds > 0).map(Decimal::from)
            }
            Self::LongestDistance => set.distance_metres.filter(|metres| !metres.is_zero()),
            Self::BestSessionVolume => None,
        }
    }

    /// What of a figure is compared: more is better.
    pub fn score(self, figure: Decimal, measurement: Measurement) -> Decimal {
        let is_assistance = measurement == Measurement::AssistedBodyweight
            && matches!(self, Self::LeastAssistance | Self::AtReps(_));
        if is_assistance { -figure } else { figure }
    }

    /// The set with the record, of those given: the best, of equals the earliest performed, of
    /// those the earlier logged.
    pub fn holder<'a>(
        self,
        sets: impl IntoIterator<Item = &'a Performed>,
        measurement: Measurement,
    ) -> Option<(&'a Performed, Decimal)> {
        let figures =
            sets.into_iter().filter_map(|set| Some((set, self.figure(set, measurement)?)));
        figures.max_by_key(|(set, figure)| {
            (self.score(*figure, measurement), Reverse((set.performed_at, set.logged)))
        })
    }
}

/// What figures of records are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Unit {
    Kg,
    Reps,
    Seconds,
    Metres,
}

/// A working set, as far as records go; warm-ups are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Performed {
    /// Which set.
    pub id: SetId,
    /// Of which workout.
    pub workout: WorkoutId,
    /// When it was performed.
    pub performed_at: Timestamp,
    /// Its place among all that the athlete logged: the position of its event.
    pub logged: i64,
    /// Repetitions.
    pub reps: Option<u16>,
    /// Weight lifted, added or assisting.
    pub weight: Option<Weight>,
    /// How long.
    pub duration_seconds: Option<u32>,
    /// How far.
    pub distance_metres: Option<Decimal>,
    /// Repetitions times weight, of the weight rounded to 0.001 kg, with the bodyweight of the day
    /// where that counts; none where it is not known.
    pub volume_kg: Option<Decimal>,
    /// Far beyond what the athlete did before, and not confirmed.
    pub unusual: bool,
}

/// The same without names, for there are many: time in microseconds, weights as `100 kg`.
type Stored = (
    SetId,
    WorkoutId,
    i64,
    i64,
    Option<u16>,
    Option<Typed>,
    Option<u32>,
    Option<Decimal>,
    Option<Decimal>,
    u8,
);

impl From<Performed> for Stored {
    fn from(set: Performed) -> Self {
        (
            set.id,
            set.workout,
            set.performed_at.utc().timestamp_micros(),
            set.logged,
            set.reps,
            set.weight.map(Typed),
            set.duration_seconds,
            set.distance_metres,
            set.volume_kg,
            u8::from(set.unusual),
        )
    }
}

impl TryFrom<Stored> for Performed {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let (id, workout, at, logged, reps, weight, duration_seconds, distance, volume, unusual) =
            stored;
        let at = DateTime::from_timestamp_micros(at).ok_or("a time beyond all calendars")?;
        Ok(Self {
            id,
            workout,
            performed_at: Timestamp::new(at),
            logged,
            reps,
            weight: weight.map(|typed| typed.0),
            duration_seconds,
            distance_metres: distance,
            volume_kg: volume,
            unusual: unusual == 1,
        })
    }
}

/// A weight as a person types it, such as `100 kg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typed(pub Weight);

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let unit = match self.0.unit() {
            WeightUnit::Kg => "kg",
            WeightUnit::Lb => "lb",
        };
        to.collect_str(&format_args!("{} {unit}", self.0.value()))
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let weight = text.split_once(' ').and_then(|(value, unit)| {
            let unit = if unit == "lb" { WeightUnit::Lb } else { WeightUnit::Kg };
            Weight::new(value.parse().ok()?, unit).ok()
        });
        weight.map(Self).ok_or_else(|| de::Error::custom("must be a weight such as 100 kg"))
    }
}

/// What the working sets of an exercise came to in one workout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Which workout.
    #[serde(rename = "w")]
    pub workout: WorkoutId,
    /// When it began.
    #[serde(rename = "s")]
    pub started_at: Timestamp,
    /// The place of its first event among all that the athlete logged.
    #[serde(rename = "l")]
    pub logged: i64,
    /// Repetitions times weight of those sets that have both; rounded to 0.001 kg.
    #[serde(rename = "v")]
    pub volume_kg: Decimal,
    /// Whether it may still change by itself: the workout goes on, or a set of it is unusual.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

impl Session {
    fn rank(&self) -> impl Ord + use<> {
        (self.volume_kg, Reverse((self.started_at, self.logged)))
    }
}

/// The sets and sessions that hold the records of a span of time: the records of all there is, and
/// those without what is unusual and sessions that are open, which is what is told to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Best {
    /// Those that hold at least one record, in the order of logging.
    #[serde(rename = "s")]
    pub sets: Vec<Performed>,
    /// The workout with the most volume and, where that is open, the one that is not.
    #[serde(rename = "w", skip_serializing_if = "Vec::is_empty", default)]
    pub sessions: Vec<Session>,
}

/// Which records of an exercise are kept: all that its measurement has, or the estimated maximum alone,
/// which is what others are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// How the exercise is measured.
    pub measurement: Measurement,
    /// Whether there is more than the maximum by [`Formula::Standard`].
    pub is_whole: bool,
}

impl Scope {
    /// The kinds of records that are kept.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        let one = Kind::OneRepMax(Formula::Standard);
        Kind::of(self.measurement).filter(move |kind| self.is_whole || *kind == one)
    }
}

impl From<Measurement> for Scope {
    fn from(measurement: Measurement) -> Self {
        Self { measurement, is_whole: true }
    }
}

impl Best {
    /// Of any sets and sessions.
    pub fn of(
        scope: impl Into<Scope>,
        mut sets: Vec<Performed>,
        sessions: impl IntoIterator<Item = Session>,
    ) -> Self {
        let scope = scope.into();
        let measurement = scope.measurement;
        let any_unusual = sets.iter().any(|set| set.unusual);
        let mut holders: Vec<SetId> = Vec::new();
        for kind in scope.kinds() {
            let of_all = kind.holder(&sets, measurement);
            let of_usual = any_unusual.then(|| kind.holder(usual(&sets), measurement)).flatten();
            holders.extend(of_all.into_iter().chain(of_usual).map(|(set, _)| set.id));
        }
        sets.retain(|set| holders.contains(&set.id));
        sets.sort_by_key(|set| set.logged);

        let (open, closed): (Vec<Session>, Vec<Session>) = sessions
            .into_iter()
            .filter(|session| !session.volume_kg.is_zero())
            .partition(|session| session.open);
        let closed = closed.into_iter().max_by_key(Session::rank);
        let open = open.into_iter().max_by_key(Session::rank);
        let open = open.filter(|open| closed.as_ref().is_none_or(|best| open.rank() > best.rank()));
        Self { sets, sessions: open.into_iter().chain(closed).collect() }
    }

    /// Of two spans together.
    pub fn with(mut self, other: Self, scope: impl Into<Scope>) -> Self {
        self.sets.extend(other.sets);
        Self::of(scope, self.sets, self.sessions.into_iter().chain(other.sessions))
    }

    /// Whether nothing holds any record.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.sessions.is_empty()
    }

    /// The holder of a record of sets, and its figure.
    pub fn holder(&self, kind: Kind, measurement: Measurement) -> Option<(&Performed, Decimal)> {
        kind.holder(&self.sets, measurement)
    }

    /// The workout with the most volume.
    pub fn session(&self) -> Option<&Session> {
        self.sessions.iter().max_by_key(|session| session.rank())
    }

    /// The holder of a record among what is usual: who is told of as the one that holds it.
    pub fn usual_holder(
        &self,
        kind: Kind,
        measurement: Measurement,
    ) -> Option<(&Performed, Decimal)> {
        kind.holder(usual(&self.sets), measurement)
    }

    /// The workout with the most volume among those that do not change by themselves.
    pub fn closed_session(&self) -> Option<&Session> {
        self.sessions.iter().find(|session| !session.open)
    }
}

fn usual(sets: &[Performed]) -> impl Iterator<Item = &Performed> {
    sets.iter().filter(|set| !set.unusual)
}

impl Performed {
    /// Whether it holds every record that an earlier state of it held, whatever else there is.
    pub fn is_no_worse_than(&self, earlier: &Self, scope: impl Into<Scope>) -> bool {
        let scope = scope.into();
        let (mut kinds, measurement) = (scope.kinds(), scope.measurement);
        let place = |set: &Self| (set.performed_at, set.logged);
        place(self) <= place(earlier)
            && self.unusual <= earlier.unusual
            && kinds.all(|kind| {
                let score = |set: &Self| {
                    let figure = kind.figure(set, measurement)?;
                    Some(kind.score(figure, measurement))
                };
                score(self) >= score(earlier)
            })
    }
}

impl Session {
    /// Whether it holds the record if an earlier state of it held it, whatever else there is.
    pub fn is_no_worse_than(&self, earlier: &Self) -> bool {
        self.rank() >= earlier.rank() && self.open <= earlier.open
    }
}

/// The volume of a set as records compare it: of weights rounded half-even to 0.001 kg.
pub fn volume_kg(
    reps: Option<u16>,
    weight: Option<Weight>,
    measurement: Measurement,
    bodyweight_kg: Option<Decimal>,
) -> Option<Decimal> {
    let rounded = |kg: Decimal| kg.round_dp_with_strategy(3, RoundingStrategy::MidpointNearestEven);
    let weight = weight.map(Weight::comparable_kg);
    crate::volume_of(reps, weight, measurement, bodyweight_kg.map(rounded)).map(rounded)
}
