//! Workouts with what records and levels depend on, before and after a batch: for the models that
//! work out what changed by comparing both.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use domain::{
    days,
    library::Library,
    records::{Performed, Typed, volume_kg},
};
use events::{
    AthleteId, CustomExerciseCreated, ExerciseId, Measurement, Partition, SetId, SetKind,
    SetValues, TimeZone, Timestamp, WorkoutId,
};
use projector::{Tables, row};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    athlete::{Athlete, CustomExercise},
    training::{Change, Said, Workouts},
    weighings::WeighingRow,
};

row! {
    struct WorkoutRow in "workouts" by 2 {
        workout: Uuid,
        owner: Uuid,
        started_at: DateTime<Utc>,
        logged: i64,
        completed: bool,
        imported: bool,
        sets: String,
    }
}

/// A workout with what counts of its sets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workout {
    pub(crate) started_at: Timestamp,
    /// The position of its first event.
    pub(crate) logged: i64,
    pub(crate) completed: bool,
    pub(crate) imported: bool,
    sets: BTreeMap<ExerciseId, Vec<Set>>,
}

/// What counts of a set: `[id, flags, microseconds, position, reps, weight, s, m, bodyweight]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Set(
    SetId,
    /// Of what it is beside a usual working set. Warm-ups stay, for a correction may make them count,
    /// at the place at which they were logged.
    u8,
    i64,
    i64,
    Option<u16>,
    Option<Typed>,
    Option<u32>,
    Option<Decimal>,
    /// In kg, on its day, where it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    Option<Decimal>,
);

const WARM_UP: u8 = 1;
const UNUSUAL: u8 = 2;

/// A workout before and after a batch.
pub(crate) struct Turn {
    pub(crate) owner: AthleteId,
    pub(crate) partition: Partition,
    /// When the log took the newest event that led to it.
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) id: WorkoutId,
    pub(crate) before: Option<Workout>,
    pub(crate) after: Option<Workout>,
}

/// The turns of a batch, and how the exercises in them are measured.
pub(crate) struct Turns {
    pub(crate) all: Vec<Turn>,
    measurements: Measurements,
}

/// How exercises are measured, by owner of custom ones.
struct Measurements(HashMap<(Uuid, Uuid), Measurement>);

impl Set {
    fn of(id: SetId, logged: i64, values: &SetValues, unusual: bool) -> Self {
        let warm_up = if values.kind == SetKind::WarmUp { WARM_UP } else { 0 };
        Self(
            id,
            warm_up | if unusual { UNUSUAL } else { 0 },
            values.performed_at.utc().timestamp_micros(),
            logged,
            values.reps.map(|reps| reps.get()),
            values.weight.map(Typed),
            values.duration_seconds.map(|seconds| seconds.get()),
            values.distance_metres.map(|metres| metres.get()),
            None,
        )
    }

    fn warmed_up(&self) -> bool {
        self.1 & WARM_UP != 0
    }

    fn performed_at(&self) -> Timestamp {
        Timestamp::new(DateTime::from_timestamp_micros(self.2).unwrap_or_default())
    }
}

impl Workout {
    fn of_row(row: &WorkoutRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            started_at: Timestamp::new(row.started_at),
            logged: row.logged,
            completed: row.completed,
            imported: row.imported,
            sets: decode(&row.sets)?,
        })
    }

    fn row(&self, workout: Uuid, owner: Uuid) -> Result<WorkoutRow, sqlx::Error> {
        Ok(WorkoutRow {
            workout,
            owner,
            started_at: self.started_at.utc(),
            logged: self.logged,
            completed: self.completed,
            imported: self.imported,
            sets: encode(&self.sets)?,
        })
    }

    /// After a change; of a workout that is new, from nothing.
    fn after(before: Option<&Self>, change: Change) -> Option<Self> {
        if change.is_gone {
            return None;
        }
        let mut workout = before.cloned().unwrap_or_else(|| Self {
            started_at: Timestamp::new(DateTime::default()),
            logged: change.first.0,
            completed: false,
            imported: change.imported,
            sets: BTreeMap::new(),
        });
        workout.started_at = change.started_at.unwrap_or(workout.started_at);
        if let Some(completed_at) = change.completed_at {
            workout.completed = completed_at.is_some();
        }
        for (id, position, said) in change.sets {
            match said {
                Said::Logged(values, unusual) => workout.put(id, position.0, &values, unusual),
                Said::Corrected(values, unusual) => {
                    let logged = workout.remove(id).map_or(position.0, |set| set.3);
                    workout.put(id, logged, &values, unusual);
                }
                Said::Confirmed => {
                    let all = workout.sets.values_mut().flatten();
                    all.filter(|set| set.0 == id).for_each(|set| set.1 &= !UNUSUAL);
                }
                Said::Removed => {
                    workout.remove(id);
                }
            }
        }
        Some(workout)
    }

    fn put(&mut self, id: SetId, logged: i64, values: &SetValues, unusual: bool) {
        let set = Set::of(id, logged, values, unusual);
        self.sets.entry(values.exercise.clone()).or_default().push(set);
    }

    fn remove(&mut self, id: SetId) -> Option<Set> {
        let mut removed = None;
        self.sets.retain(|_, sets| {
            if let Some(index) = sets.iter().position(|set| set.0 == id) {
                removed = Some(sets.remove(index));
            }
            !sets.is_empty()
        });
        removed
    }
}

impl Turn {
    /// The exercises that it has, or had.
    pub(crate) fn exercises(&self) -> BTreeSet<&ExerciseId> {
        let both = self.before.iter().chain(&self.after);
        both.flat_map(|workout| workout.sets.keys()).collect()
    }

    /// The working sets of an exercise before or after.
    pub(crate) fn sets(
        &self,
        workout: Option<&Workout>,
        exercise: &ExerciseId,
        measurement: Measurement,
    ) -> BTreeMap<SetId, Performed> {
        let sets = workout.and_then(|workout| workout.sets.get(exercise)).into_iter().flatten();
        let working = sets.filter(|set| !set.warmed_up());
        let performed = working.map(|set| {
            let weight = set.5.map(|typed| typed.0);
            let performed = Performed {
                id: set.0,
                workout: self.id,
                performed_at: set.performed_at(),
                logged: set.3,
                reps: set.4,
                weight,
                duration_seconds: set.6,
                distance_metres: set.7,
                volume_kg: volume_kg(set.4, weight, measurement, set.8),
                unusual: set.1 & UNUSUAL != 0,
            };
            (set.0, performed)
        });
        performed.collect()
    }
}

impl Turns {
    /// Brings the workouts of a batch up to date, and answers what they were and are. Sets of
    /// exercises whose measurement `weighs` get the bodyweight of their day.
    pub(crate) async fn write(
        workouts: Workouts,
        tables: &mut Tables<'_>,
        weighs: fn(Measurement) -> bool,
    ) -> Result<Self, sqlx::Error> {
        let mut known = Vec::new();
        for ((workout, owner), change) in &workouts.0 {
            if !change.is_new {
                known.push((*workout, owner.uuid()));
            }
        }
        let rows: Vec<WorkoutRow> = tables.read(known).await?;
        let mut before = HashMap::with_capacity(rows.len());
        for row in &rows {
            before.insert((row.workout, row.owner), Workout::of_row(row)?);
        }
        let mut all = Vec::with_capacity(workouts.0.len());
        for ((workout, owner), change) in workouts.0 {
            // Streams are named by ids that were checked when they were begun.
            let Ok(id) = WorkoutId::new(workout) else { continue };
            let before = before.remove(&(workout, owner.uuid()));
            if before.is_none() && !change.is_new {
                continue;
            }
            let (partition, recorded_at) = (change.partition, change.recorded_at);
            let after = Workout::after(before.as_ref(), change);
            all.push(Turn { owner, partition, recorded_at, id, before, after });
        }
        let measurements = Measurements::of_turns(&all, tables).await?;
        weigh(&mut all, &measurements, tables, weighs).await?;
        all.retain(|turn| turn.before != turn.after);

        let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for turn in &all {
            let (workout, owner) = (turn.id.uuid(), turn.owner.uuid());
            match (&turn.before, &turn.after) {
                (None, Some(after)) => new.push(after.row(workout, owner)?),
                (Some(_), Some(after)) => changed.push(after.row(workout, owner)?),
                (Some(_), None) => gone.push((workout, owner)),
                (None, None) => {}
            }
        }
        tables.insert(new).await?;
        tables.upsert(changed).await?;
        tables.delete::<WorkoutRow, _>(gone).await?;
        Ok(Self { all, measurements })
    }

    /// How an exercise of one of the turns is measured.
    pub(crate) fn measurement(
        &self,
        owner: AthleteId,
        exercise: &ExerciseId,
    ) -> Option<Measurement> {
        self.measurements.of(owner.uuid(), exercise)
    }
}

impl Measurements {
    async fn of_turns(turns: &[Turn], tables: &mut Tables<'_>) -> Result<Self, sqlx::Error> {
        let mut wanted = BTreeSet::new();
        for turn in turns {
            for exercise in turn.exercises() {
                if let ExerciseId::Custom(id) = exercise {
                    wanted.insert((turn.owner.uuid(), *id));
                }
            }
        }
        Self::of_custom(wanted, tables).await
    }

    async fn of_custom(
        wanted: BTreeSet<(Uuid, Uuid)>,
        tables: &mut Tables<'_>,
    ) -> Result<Self, sqlx::Error> {
        let rows: Vec<CustomExercise> = tables.read(wanted).await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in rows {
            let created: CustomExerciseCreated = decode(&row.created)?;
            found.insert((row.owner, row.exercise), created.traits.kind);
        }
        Ok(Self(found))
    }

    fn of(&self, owner: Uuid, exercise: &ExerciseId) -> Option<Measurement> {
        match exercise {
            ExerciseId::Custom(id) => self.0.get(&(owner, *id)).copied(),
            system => Library::system().get(system).map(|exercise| exercise.kind),
        }
    }
}

/// Gives sets the bodyweight of their day.
async fn weigh(
    turns: &mut [Turn],
    measurements: &Measurements,
    tables: &mut Tables<'_>,
    weighs: fn(Measurement) -> bool,
) -> Result<(), sqlx::Error> {
    let mut days = Days::default();
    let weighed = |owner: AthleteId, exercise: &ExerciseId| {
        measurements.of(owner.uuid(), exercise).is_some_and(weighs)
    };
    for turn in turns.iter() {
        for (exercise, sets) in turn.after.iter().flat_map(|after| &after.sets) {
            if weighed(turn.owner, exercise) {
                let working = sets.iter().filter(|set| !set.warmed_up());
                working.for_each(|set| days.want(turn.owner, set.performed_at()));
            }
        }
    }
    let bodyweights = days.read(tables).await?;
    for turn in turns.iter_mut() {
        let owner = turn.owner;
        for (exercise, sets) in turn.after.iter_mut().flat_map(|after| &mut after.sets) {
            if weighed(owner, exercise) {
                for set in sets {
                    // A warm-up is in no day that would be looked at again with another bodyweight.
                    let on = |set: &Set| bodyweights.on(owner, set.performed_at());
                    set.8 = if set.warmed_up() { None } else { on(set) };
                }
            }
        }
    }
    Ok(())
}

/// Days of athletes of which the bodyweights are wanted.
#[derive(Default)]
pub(crate) struct Days(BTreeSet<(AthleteId, Timestamp)>);

/// Bodyweights of days.
pub(crate) struct OnDays {
    zones: HashMap<AthleteId, TimeZone>,
    /// By the end of the day.
    kg: HashMap<(AthleteId, DateTime<Utc>), Decimal>,
}

impl Days {
    /// The day of an instant is wanted.
    pub(crate) fn want(&mut self, owner: AthleteId, at: Timestamp) {
        self.0.insert((owner, at));
    }

    /// Reads the bodyweights: for each day an index probe.
    pub(crate) async fn read(self, tables: &mut Tables<'_>) -> Result<OnDays, sqlx::Error> {
        let owners: BTreeSet<AthleteId> = self.0.iter().map(|(owner, _)| *owner).collect();
        let zones = zones(owners, tables).await?;
        let mut on = OnDays { zones, kg: HashMap::new() };
        let ends: BTreeSet<(AthleteId, DateTime<Utc>)> =
            self.0.into_iter().map(|(owner, at)| (owner, on.end(owner, at))).collect();
        // A floor has no name for the key that it was asked for, and so the days are asked in order:
        // what is found for one holds for the days after it, up to the next that is found.
        let mut found: BTreeMap<AthleteId, BTreeMap<DateTime<Utc>, Decimal>> = BTreeMap::new();
        let before = |end: DateTime<Utc>| end - chrono::TimeDelta::microseconds(1);
        let keys = ends.iter().map(|(owner, end)| (owner.uuid(), before(*end)));
        let rows: Vec<WeighingRow> = tables.floor(keys).await?;
        for row in rows {
            let Ok(owner) = AthleteId::new(row.owner) else { continue };
            if let Some(kg) = row.kg() {
                found.entry(owner).or_default().insert(row.measured_at, kg);
            }
        }
        for (owner, end) in ends {
            let of_owner = found.get(&owner);
            if let Some((_, kg)) = of_owner.and_then(|of| of.range(..end).next_back()) {
                on.kg.insert((owner, end), *kg);
            }
        }
        Ok(on)
    }
}

impl OnDays {
    /// The bodyweight that counts for what was done at an instant whose day was wanted, in kg.
    pub(crate) fn on(&self, owner: AthleteId, at: Timestamp) -> Option<Decimal> {
        self.kg.get(&(owner, self.end(owner, at))).copied()
    }

    fn end(&self, owner: AthleteId, at: Timestamp) -> DateTime<Utc> {
        days::ends(at, self.zones.get(&owner).copied().unwrap_or(TimeZone::UTC))
    }
}

/// Where the days of athletes begin and end.
pub(crate) async fn zones(
    owners: impl IntoIterator<Item = AthleteId>,
    tables: &mut Tables<'_>,
) -> Result<HashMap<AthleteId, TimeZone>, sqlx::Error> {
    let keys: Vec<(Uuid,)> = owners.into_iter().map(|owner| (owner.uuid(),)).collect();
    let rows: Vec<Athlete> = tables.read(keys).await?;
    let zones = rows
        .into_iter()
        .filter_map(|row| Some((AthleteId::new(row.owner).ok()?, row.time_zone.parse().ok()?)));
    Ok(zones.collect())
}

/// Rows hold JSON of the program's own making.
pub(crate) fn encode(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
