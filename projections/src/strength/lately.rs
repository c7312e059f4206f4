//! What athletes did of an exercise in the last thirty days, and what it comes to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use domain::{
    records::{Performed, volume_kg},
    standards::weight_class,
    strength::{LATELY, working_maximum},
};
use events::{AthleteId, ExerciseId, Measurement, Partition, SetId};
use projector::{Tables, row};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use uuid::Uuid;

use super::histogram::{Moves, Place};
use crate::{
    athlete::{people, sex},
    lifts::{Days, OnDays, decode, encode},
};

row! {
    pub(super) struct LatelyRow in "lately" by 2 {
        owner: Uuid,
        exercise: String,
        partition: i16,
        weighs: bool,
        sets: String,
        expires_at: DateTime<Utc>,
        grams: Option<i64>,
        best: Option<String>,
        bodyweight: Option<String>,
        sex: Option<String>,
        class: Option<String>,
    }
}

row! {
    struct Expiry in "expiries" by 4 {
        partition: i16,
        expires_at: DateTime<Utc>,
        owner: Uuid,
        exercise: String,
    }
}

/// A change of what somebody did lately.
pub(super) enum Edit {
    Drop(SetId),
    Set(Performed),
}

type Key = (AthleteId, String);

/// What changes of an exercise.
struct OfKey {
    partition: Partition,
    /// Whether the bodyweight of the day is part of volumes; as the row says, where nothing is.
    weighs: bool,
    edits: Vec<Edit>,
}

impl OfKey {
    fn again(partition: Partition) -> Self {
        Self { partition, weighs: false, edits: Vec::new() }
    }
}

/// The changes of a batch.
#[derive(Default)]
pub(super) struct Edits {
    by_key: BTreeMap<Key, OfKey>,
    /// Whose bodyweight, days or sex are others than before.
    weighed: BTreeSet<(AthleteId, Partition)>,
}

/// Brings what ages to the time at which the partition stands.
pub(super) async fn age(partition: Partition, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
    let as_of = tables.as_of(partition);
    let due: Vec<Expiry> = tables.up_to([(partition.0, as_of)]).await?;
    let mut edits = Edits::default();
    for row in due {
        if let Ok(owner) = AthleteId::new(row.owner) {
            edits.by_key.insert((owner, row.exercise), OfKey::again(partition));
        }
    }
    edits.write(tables).await
}

impl Edits {
    pub(super) fn put(
        &mut self,
        owner: AthleteId,
        partition: Partition,
        exercise: &ExerciseId,
        measurement: Measurement,
        edit: Edit,
    ) {
        let key = (owner, exercise.to_string());
        let of = self.by_key.entry(key).or_insert_with(|| OfKey::again(partition));
        of.weighs = measurement.has_bodyweight();
        of.edits.push(edit);
    }

    /// Everything that somebody did lately is to be looked at again.
    pub(super) fn weigh_again(&mut self, owner: AthleteId, partition: Partition) {
        self.weighed.insert((owner, partition));
    }

    pub(super) async fn write(mut self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let partitions: HashMap<Uuid, Partition> =
            self.weighed.iter().map(|(owner, partition)| (owner.uuid(), *partition)).collect();
        let of_weighed: Vec<LatelyRow> =
            tables.read(self.weighed.iter().map(|(owner, _)| (owner.uuid(),))).await?;
        for row in of_weighed {
            if let Ok(owner) = AthleteId::new(row.owner)
                && let Some(partition) = partitions.get(&row.owner)
            {
                self.by_key
                    .entry((owner, row.exercise))
                    .or_insert_with(|| OfKey::again(*partition));
            }
        }
        if self.by_key.is_empty() {
            return Ok(());
        }
        let keys = self.by_key.keys().map(|(owner, exercise)| (owner.uuid(), exercise.clone()));
        let rows: Vec<LatelyRow> = tables.read(keys).await?;
        let mut there: HashMap<(Uuid, String), LatelyRow> =
            rows.into_iter().map(|row| ((row.owner, row.exercise.clone()), row)).collect();

        let mut done: Vec<Done> = Vec::with_capacity(self.by_key.len());
        for ((owner, exercise), OfKey { partition, mut weighs, edits }) in self.by_key {
            let before = there.remove(&(owner.uuid(), exercise.clone()));
            let mut sets: Vec<Performed> = Vec::new();
            if let Some(row) = &before {
                (weighs, sets) = (row.weighs, decode(&row.sets)?);
            }
            for edit in edits {
                let id = match &edit {
                    Edit::Drop(id) => *id,
                    Edit::Set(set) => set.id,
                };
                sets.retain(|set| set.id != id);
                if let Edit::Set(set) = edit {
                    sets.push(set);
                }
            }
            let since = tables.as_of(partition) - LATELY;
            sets.retain(|set| set.performed_at.utc() > since);
            // The same however they came.
            sets.sort_by_key(|set| set.logged);
            done.push(Done { owner, exercise, partition, weighs, before, sets });
        }
        let mut days = Days::default();
        for of in &done {
            of.sets.iter().for_each(|set| days.want(of.owner, set.performed_at));
        }
        let bodyweights = days.read(tables).await?;
        let people = people(done.iter().map(|of| of.owner), tables).await?;

        let mut changes = Changes::default();
        for of in done {
            let sex = people.get(&of.owner.uuid()).and_then(|person| person.sex.clone());
            let before = of.before.clone();
            changes.turn(before, of.row(&bodyweights, sex)?);
        }
        changes.write(tables).await
    }
}

/// What an athlete did of an exercise lately.
struct Done {
    owner: AthleteId,
    exercise: String,
    partition: Partition,
    weighs: bool,
    before: Option<LatelyRow>,
    sets: Vec<Performed>,
}

impl Done {
    /// What it comes to; nothing without sets.
    fn row(
        self,
        bodyweights: &OnDays,
        sex_word: Option<String>,
    ) -> Result<Option<LatelyRow>, sqlx::Error> {
        let oldest = self.sets.iter().map(|set| set.performed_at.utc()).min();
        let Some(oldest) = oldest else { return Ok(None) };
        let on = |set: &Performed| bodyweights.on(self.owner, set.performed_at);
        let measurement =
            if self.weighs { Measurement::WeightedBodyweight } else { Measurement::WeightReps };
        let weighed: Vec<Performed> = self
            .sets
            .iter()
            .map(|set| {
                let volume_kg = volume_kg(set.reps, set.weight, measurement, on(set));
                Performed { volume_kg, ..set.clone() }
            })
            .collect();
        let best = working_maximum(&weighed, measurement);
        let bodyweight: Option<Decimal> = best.and_then(|best| on(best.set));
        let who = sex_word.as_deref().and_then(sex);
        let class = who.zip(bodyweight).map(|(sex, kg)| weight_class(sex, kg).to_owned());
        Ok(Some(LatelyRow {
            owner: self.owner.uuid(),
            exercise: self.exercise,
            partition: self.partition.0,
            weighs: self.weighs,
            sets: encode(&self.sets)?,
            expires_at: oldest + LATELY,
            grams: best.and_then(|best| (best.kg * Decimal::from(1000)).to_i64()),
            best: best.map(|best| encode(best.set)).transpose()?,
            bodyweight: bodyweight.map(|kg| kg.to_string()),
            sex: sex_word,
            class,
        }))
    }
}

impl LatelyRow {
    /// Where the athlete is counted.
    fn places(&self) -> Vec<Place> {
        let Some(grams) = self.grams else { return Vec::new() };
        // Nobody else can have done an exercise of one's own.
        if matches!(self.exercise.parse(), Ok(ExerciseId::Custom(_)) | Err(_)) {
            return Vec::new();
        }
        let mut among = vec!["all".to_owned()];
        if let Some(sex) = &self.sex {
            among.push(sex.clone());
            among.extend(self.class.as_ref().map(|class| format!("{sex} {class}")));
        }
        let place = |among| Place {
            partition: self.partition,
            exercise: self.exercise.clone(),
            among,
            grams,
        };
        among.into_iter().map(place).collect()
    }

    fn expiry(&self) -> (i16, DateTime<Utc>, Uuid, String) {
        (self.partition, self.expires_at, self.owner, self.exercise.clone())
    }
}

/// The changes of rows.
#[derive(Default)]
struct Changes {
    rows: Vec<LatelyRow>,
    gone: Vec<(Uuid, String)>,
    expiries: Vec<Expiry>,
    expired: Vec<(i16, DateTime<Utc>, Uuid, String)>,
    moves: Moves,
}

impl Changes {
    fn turn(&mut self, before: Option<LatelyRow>, after: Option<LatelyRow>) {
        if before == after {
            return;
        }
        let expiry = |row: &Option<LatelyRow>| row.as_ref().map(LatelyRow::expiry);
        if expiry(&before) != expiry(&after) {
            self.expired.extend(expiry(&before));
            let new = expiry(&after).into_iter();
            self.expiries.extend(new.map(|(partition, expires_at, owner, exercise)| Expiry {
                partition,
                expires_at,
                owner,
                exercise,
            }));
        }
        before.iter().flat_map(LatelyRow::places).for_each(|place| self.moves.leave(place));
        after.iter().flat_map(LatelyRow::places).for_each(|place| self.moves.take(place));
        match (before, after) {
            (_, Some(after)) => self.rows.push(after),
            (Some(before), None) => self.gone.push((before.owner, before.exercise)),
            (None, None) => {}
        }
    }

    async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        tables.upsert(self.rows).await?;
        tables.delete::<LatelyRow, _>(self.gone).await?;
        tables.delete::<Expiry, _>(self.expired).await?;
        tables.upsert(self.expiries).await?;
        self.moves.write(tables).await
    }
}
