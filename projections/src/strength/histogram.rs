//! How many athletes have which working maximum.

use std::collections::BTreeMap;

use projector::{Tables, row};

/// Grams of a step: with four kilograms, a percentile adds up some seventy steps and the grams of one.
pub(super) const STEP: i64 = 4_000;

row! {
    struct Coarse in "coarse" by 4 {
        partition: i16,
        exercise: String,
        among: String,
        step: i32,
        athletes: i64,
    }
}

row! {
    struct Fine in "fine" by 4 {
        partition: i16,
        exercise: String,
        among: String,
        grams: i64,
        athletes: i64,
    }
}

/// Where an athlete is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) partition: i16,
    pub(super) exercise: String,
    pub(super) among: String,
    pub(super) grams: i64,
}

/// Who leaves and takes places.
#[derive(Default)]
pub(super) struct Moves(BTreeMap<Place, i64>);

/// The step of so many grams.
pub(super) fn step(grams: i64) -> i32 {
    i32::try_from(grams / STEP).unwrap_or(i32::MAX)
}

impl Moves {
    pub(super) fn leave(&mut self, place: Place) {
        *self.0.entry(place).or_default() -= 1;
    }

    pub(super) fn take(&mut self, place: Place) {
        *self.0.entry(place).or_default() += 1;
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let mut coarse: BTreeMap<(i16, String, String, i32), i64> = BTreeMap::new();
        let mut fine: BTreeMap<(i16, String, String, i64), i64> = BTreeMap::new();
        for (place, athletes) in self.0 {
            let (exercise, among) = (place.exercise.clone(), place.among.clone());
            let key = (place.partition, exercise, among, step(place.grams));
            *coarse.entry(key).or_default() += athletes;
            let key = (place.partition, place.exercise, place.among, place.grams);
            *fine.entry(key).or_default() += athletes;
        }
        coarse.retain(|_, athletes| *athletes != 0);
        fine.retain(|_, athletes| *athletes != 0);

        let rows: Vec<Coarse> = tables.read(coarse.keys().cloned()).await?;
        for row in rows {
            let key = (row.partition, row.exercise, row.among, row.step);
            *coarse.entry(key).or_default() += row.athletes;
        }
        let (there, gone): (BTreeMap<_, i64>, BTreeMap<_, i64>) =
            coarse.into_iter().partition(|(_, athletes)| *athletes > 0);
        let rows = there.into_iter().map(|((partition, exercise, among, step), athletes)| Coarse {
            partition,
            exercise,
            among,
            step,
            athletes,
        });
        tables.upsert(rows).await?;
        tables.delete::<Coarse, _>(gone.into_keys()).await?;

        let rows: Vec<Fine> = tables.read(fine.keys().cloned()).await?;
        for row in rows {
            let key = (row.partition, row.exercise, row.among, row.grams);
            *fine.entry(key).or_default() += row.athletes;
        }
        let (there, gone): (BTreeMap<_, i64>, BTreeMap<_, i64>) =
            fine.into_iter().partition(|(_, athletes)| *athletes > 0);
        let rows = there.into_iter().map(|((partition, exercise, among, grams), athletes)| Fine {
            partition,
            exercise,
            among,
            grams,
            athletes,
        });
        tables.upsert(rows).await?;
        tables.delete::<Fine, _>(gone.into_keys()).await
    }
}
