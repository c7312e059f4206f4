//! What is known of athletes in other workouts, so that a slip of the finger is seen when it is made.

use std::time::Duration;

use domain::{records::Performed, usual::Usual, workout::Workout};
use events::{AthleteId, Event, ExerciseId, Measurement, SetId, SetKind, Stream, WorkoutId};
use log::Database;
use moka::future::Cache;
use projections::records::Records;
use projector::{Progress, Projection};
use sqlx::PgPool;

use super::{Commands, Origin};

/// How long a set waits for records that are behind. Nobody is kept from logging it by that.
const PATIENCE: Duration = Duration::from_millis(250);

/// Reads records, and remembers for a while what is usual.
#[derive(Clone)]
pub(crate) struct Usuals {
    pub(super) pool: PgPool,
    records: Progress,
    /// For imports, whose sets are many. What is removed meanwhile may count for a while, among sets
    /// that were done once and are not being typed.
    cache: Cache<(AthleteId, ExerciseId), Usual>,
}

impl Usuals {
    pub(crate) fn new(database: &Database) -> Self {
        let cache =
            Cache::builder().max_capacity(100_000).time_to_live(Duration::from_secs(300)).build();
        let records = Progress::of(database, Records::SCHEMA);
        Self { pool: database.pool.clone(), records, cache }
    }

    /// As the records have it now, but for one set. Nothing while they cannot be read: nobody is
    /// kept from logging a set by that.
    async fn fresh(
        &self,
        owner: AthleteId,
        exercise: &ExerciseId,
        measurement: Measurement,
        but: SetId,
    ) -> Usual {
        match self.others(owner, exercise, but).await {
            Ok(others) => Usual::of(&others, measurement),
            Err(error) => {
                tracing::debug!(%error, "records cannot be asked for what is usual");
                Usual::default()
            }
        }
    }

    /// Sets among which are the best of those without one; whom that one has beaten is asked for when it
    /// holds a record.
    async fn others(
        &self,
        owner: AthleteId,
        exercise: &ExerciseId,
        but: SetId,
    ) -> Result<Vec<Performed>, sqlx::Error> {
        let best = projections::records::holders(&self.pool, owner, exercise).await?;
        match best.sets.iter().find(|set| set.id == but) {
            Some(set) => projections::records::sets_without(&self.pool, owner, exercise, set).await,
            None => Ok(best.sets),
        }
    }
}

impl Commands {
    /// What is known of an athlete in an exercise, as it is remembered, else as the records have it:
    /// for sets of imports, among which a slip is as likely, and of which there are many.
    pub(super) async fn known_usual(
        &self,
        owner: AthleteId,
        exercise: &ExerciseId,
        measurement: Option<Measurement>,
        set: SetId,
    ) -> Usual {
        let Some(measurement) = measurement else { return Usual::default() };
        if let Some(usual) = self.usuals.cache.get(&(owner, exercise.clone())).await {
            return usual;
        }
        let usual = self.usuals.fresh(owner, exercise, measurement, set).await;
        if usual != Usual::default() {
            self.usuals.cache.insert((owner, exercise.clone()), usual).await;
        }
        usual
    }

    /// What is known of an athlete in an exercise, for a set of a workout that is about to be told;
    /// `decide` says what comes of it. Records are asked only if the workout itself does not show that
    /// it is nothing unusual.
    pub(super) async fn usual(
        &self,
        origin: &Origin,
        workout: WorkoutId,
        set: SetId,
        exercise: Option<&ExerciseId>,
        measurement: Option<Measurement>,
        decide: impl Fn(&Workout, Usual) -> Vec<Event>,
    ) -> Usual {
        let nothing = Usual::default();
        let (Some(exercise), Some(measurement)) = (exercise, measurement) else { return nothing };
        let (owner, stream) = (origin.athlete, Stream::workout(workout));
        let loaded = self.workouts.cached_or_read(owner, origin.partition, stream).await;
        let Ok((loaded, _)) = loaded else { return nothing };
        let Some(state) = &loaded.state else { return nothing };
        let is_unusual = |usual| {
            decide(state, usual).iter().any(|event| match event {
                Event::SetLogged(logged) => logged.unusual,
                Event::SetCorrected(corrected) => corrected.unusual,
                _ => false,
            })
        };
        let others = state.sets.iter().filter(|other| other.id != set && !other.unusual);
        let knows = others
            .filter(|other| other.values.kind != SetKind::WarmUp)
            .any(|other| other.values.exercise == *exercise);
        if knows && !is_unusual(nothing) {
            return nothing;
        }
        let usual = self.usuals.fresh(owner, exercise, measurement, set).await;
        if usual != nothing {
            return usual;
        }
        // Of an exercise that is new to records, they may not have heard yet: what was told before this
        // workout is waited for.
        if let Err(error) = self.usuals.records.reach(&loaded.positions(), PATIENCE).await {
            tracing::debug!(%error, "records are not waited for any longer");
            return nothing;
        }
        self.usuals.fresh(owner, exercise, measurement, set).await
    }
}
