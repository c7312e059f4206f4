//! What several models keep of an athlete: the time zone and the exercises of their own. Each model
//! keeps it for itself, for a model reads no other.

use std::collections::{BTreeMap, HashMap};

use events::{
    AthleteId, AthleteRegistered, CustomExerciseCreated, Muscle, PersonalField, TimeZone,
};
use projector::{Projection, Tables, row};
use sqlx::AssertSqlSafe;
use uuid::Uuid;
use web::Error;

use crate::{Context, context, represent::Known};

row! {
    struct Athlete in "athletes" by 1 {
        owner: Uuid,
        time_zone: String,
    }
}

row! {
    pub(crate) struct CustomExercise in "custom_exercises" by 2 {
        pub(crate) owner: Uuid,
        pub(crate) exercise: Uuid,
        pub(crate) created: String,
    }
}

/// What a batch says of athletes.
#[derive(Default)]
pub(crate) struct Athletes {
    zones: BTreeMap<AthleteId, TimeZone>,
    exercises: BTreeMap<(AthleteId, Uuid), CustomExerciseCreated>,
}

impl Athletes {
    pub(crate) fn registered(&mut self, owner: AthleteId, registered: AthleteRegistered) {
        self.zones.insert(owner, registered.time_zone);
    }

    pub(crate) fn created(&mut self, owner: AthleteId, created: CustomExerciseCreated) {
        self.exercises.insert((owner, created.exercise_id), created);
    }

    pub(crate) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let zones = self.zones.into_iter().map(|(owner, zone)| Athlete {
            owner: owner.uuid(),
            time_zone: zone.0.name().to_owned(),
        });
        tables.upsert(zones).await?;
        let mut exercises = Vec::with_capacity(self.exercises.len());
        for ((owner, exercise), created) in self.exercises {
            let created = serde_json::to_string(&created)
                .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
            exercises.push(CustomExercise { owner: owner.uuid(), exercise, created });
        }
        tables.upsert(exercises).await
    }
}

/// An exercise of the athlete's own.
pub(crate) struct Custom {
    pub(crate) known: Known,
    pub(crate) primary_muscles: Vec<Muscle>,
    pub(crate) secondary_muscles: Vec<Muscle>,
}

impl Custom {
    pub(crate) fn trains(&self, muscle: Muscle) -> bool {
        self.primary_muscles.contains(&muscle) || self.secondary_muscles.contains(&muscle)
    }
}

/// The athlete's own exercises, by id, as a model knows them.
pub(crate) async fn custom_exercises<P: Projection>(
    context: &Context,
    owner: AthleteId,
) -> Result<HashMap<Uuid, Custom>, Error> {
    // The name of a schema is the program's own text.
    let query = format!("select created from {}.custom_exercises where owner = $1", P::SCHEMA);
    let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query))
        .bind(owner.uuid())
        .fetch_all(&context.pool)
        .await
        .map_err(context::database)?;
    let mut all: Vec<CustomExerciseCreated> = Vec::with_capacity(rows.len());
    for row in rows {
        all.push(serde_json::from_str(&row).map_err(Error::internal)?);
    }
    let names = all.iter_mut().map(|created| &mut created.name as &mut dyn PersonalField).collect();
    context.keys.open(names).await.map_err(context::database)?;
    let exercises = all.into_iter().map(|created| {
        let known = Known { name: created.name.clear().cloned(), measurement: created.traits.kind };
        let custom = Custom {
            known,
            primary_muscles: created.traits.primary_muscles,
            secondary_muscles: created.traits.secondary_muscles,
        };
        (created.exercise_id, custom)
    });
    Ok(exercises.collect())
}
