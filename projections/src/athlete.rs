//! What several models keep of an athlete: the time zone and the exercises of their own. Each model
//! keeps it for itself, for a model reads no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use events::{
    AthleteId, CustomExerciseCreated, Event, ExerciseId, Muscle, Partition, PersonalField, Sex,
    TimeZone,
};
use projector::{Happened, Projection, Tables, row};
use sqlx::AssertSqlSafe;
use uuid::Uuid;
use web::Error;

use crate::{Context, context, represent::Known, weighings::Reweighed};

row! {
    pub(crate) struct Athlete in "athletes" by 1 {
        pub(crate) owner: Uuid,
        pub(crate) time_zone: String,
    }
}

row! {
    pub(crate) struct CustomExercise in "custom_exercises" by 2 {
        pub(crate) owner: Uuid,
        pub(crate) exercise: Uuid,
        pub(crate) created: String,
    }
}

row! {
    /// Whom an athlete is held against, beside where their days begin: of models that compare athletes.
    pub(crate) struct Person in "athletes" by 1 {
        pub(crate) owner: Uuid,
        pub(crate) time_zone: String,
        pub(crate) partition: i16,
        pub(crate) sex: Option<String>,
    }
}

/// What a batch says of whom athletes are held against.
#[derive(Default)]
pub(crate) struct People(BTreeMap<AthleteId, (Partition, String, Option<String>)>);

impl People {
    /// Takes an event of an athlete's registration or profile, of which the sex is open; others it passes
    /// over.
    pub(crate) fn take(&mut self, happened: &Happened) {
        let (time_zone, sex) = match &happened.event {
            Event::AthleteRegistered(registered) => (registered.time_zone, None),
            Event::ProfileChanged(changed) => {
                (changed.time_zone, changed.sex.as_ref().and_then(|sex| sex.clear()))
            }
            _ => return,
        };
        let (time_zone, sex) =
            (time_zone.0.name().to_owned(), sex.map(|sex| word(*sex).to_owned()));
        self.0.insert(happened.owner, (happened.partition, time_zone, sex));
    }

    /// Brings the rows up to date, and answers who is another than before.
    pub(crate) async fn write(
        self,
        tables: &mut Tables<'_>,
    ) -> Result<BTreeSet<(AthleteId, Partition)>, sqlx::Error> {
        let known = people(self.0.keys().copied(), tables).await?;
        let (mut rows, mut changed) = (Vec::new(), BTreeSet::new());
        for (athlete, (partition, time_zone, sex)) in self.0 {
            let row = Person { owner: athlete.uuid(), time_zone, partition: partition.0, sex };
            let before = known.get(&row.owner);
            if before == Some(&row) {
                continue;
            }
            if before.is_some() {
                changed.insert((athlete, partition));
            }
            rows.push(row);
        }
        tables.upsert(rows).await?;
        Ok(changed)
    }
}

/// Whom athletes are held against.
pub(crate) async fn people(
    athletes: impl IntoIterator<Item = AthleteId>,
    tables: &mut Tables<'_>,
) -> Result<HashMap<Uuid, Person>, sqlx::Error> {
    let athletes: BTreeSet<AthleteId> = athletes.into_iter().collect();
    let rows: Vec<Person> = tables.read(athletes.iter().map(|of| (of.uuid(),))).await?;
    Ok(rows.into_iter().map(|row| (row.owner, row)).collect())
}

/// The word for a sex, as rows have it.
pub(crate) fn word(sex: Sex) -> &'static str {
    match sex {
        Sex::Female => "female",
        Sex::Male => "male",
    }
}

/// The sex of a word in a row.
pub(crate) fn sex(word: &str) -> Option<Sex> {
    [Sex::Female, Sex::Male].into_iter().find(|sex| self::word(*sex) == word)
}

/// What a batch says of athletes.
#[derive(Default)]
pub(crate) struct Athletes {
    /// With the days of those who had others before, which then are other days.
    zones: BTreeMap<AthleteId, (TimeZone, Option<Reweighed>)>,
    exercises: BTreeMap<(AthleteId, Uuid), CustomExerciseCreated>,
}

impl Athletes {
    /// Takes an event of an athlete's registration, profile or own exercises; others it passes over.
    pub(crate) fn take(&mut self, happened: &Happened) {
        let (owner, partition) = (happened.owner, happened.partition);
        match &happened.event {
            Event::AthleteRegistered(registered) => {
                self.zones.insert(owner, (registered.time_zone, None));
            }
            Event::ProfileChanged(changed) => {
                let recorded_at = happened.recorded_at.utc();
                let days = Reweighed { owner, partition, recorded_at, from: None };
                self.zones.insert(owner, (changed.time_zone, Some(days)));
            }
            Event::CustomExerciseCreated(created) => {
                self.exercises.insert((owner, created.exercise_id), created.clone());
            }
            _ => {}
        }
    }

    /// Brings the rows up to date, and answers whose days are others than before.
    pub(crate) async fn write(
        self,
        tables: &mut Tables<'_>,
    ) -> Result<Vec<Reweighed>, sqlx::Error> {
        let changing = self.zones.iter().filter(|(_, (_, days))| days.is_some());
        let changing: Vec<(Uuid,)> = changing.map(|(owner, _)| (owner.uuid(),)).collect();
        let known: Vec<Athlete> = tables.read(changing).await?;
        let known: HashMap<Uuid, String> =
            known.into_iter().map(|row| (row.owner, row.time_zone)).collect();
        let (mut rows, mut moved) = (Vec::new(), Vec::new());
        for (owner, (zone, days)) in self.zones {
            let (owner, time_zone) = (owner.uuid(), zone.0.name().to_owned());
            if known.get(&owner) == Some(&time_zone) {
                continue;
            }
            moved.extend(days.filter(|_| known.contains_key(&owner)));
            rows.push(Athlete { owner, time_zone });
        }
        tables.upsert(rows).await?;
        let mut exercises = Vec::with_capacity(self.exercises.len());
        for ((owner, exercise), created) in self.exercises {
            let created = serde_json::to_string(&created)
                .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
            exercises.push(CustomExercise { owner: owner.uuid(), exercise, created });
        }
        tables.upsert(exercises).await?;
        Ok(moved)
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

/// What is known of exercises: of the library, and of the athlete's own.
pub(crate) struct Exercises(HashMap<Uuid, Custom>);

impl Exercises {
    /// As a model knows them.
    pub(crate) async fn of<P: Projection>(
        context: &Context,
        owner: AthleteId,
    ) -> Result<Self, Error> {
        Ok(Self(custom_exercises::<P>(context, owner).await?))
    }

    pub(crate) fn get(&self, exercise: &ExerciseId) -> Option<Known> {
        Known::find(exercise, |id| self.0.get(&id).map(|custom| custom.known.clone()))
    }

    /// The exercise of a path: 404 if the athlete has none such.
    pub(crate) fn named(&self, path: &str) -> Result<(ExerciseId, Known), Error> {
        let exercise: ExerciseId = path.parse().map_err(|_| Error::not_found("exercise"))?;
        let known = self.get(&exercise).ok_or_else(|| Error::not_found("exercise"))?;
        Ok((exercise, known))
    }
}
