//! Commands about an athlete's own exercises.

use std::{collections::HashSet, sync::Arc};

use domain::exercises;
use events::{
    CustomExerciseId, Equipment, Event, ExerciseId, ExerciseTraits, Measurement, Muscle, Stream,
    Text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{Answer, Detail, Error};

use super::{Commands, Failure, Loaded, Origin, State};
use crate::shown;

impl State for exercises::Exercises {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

/// The body of `POST /v1/exercises`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateExercise {
    /// A UUID of version 7 that makes the command safe to send twice.
    pub(crate) id: Option<CustomExerciseId>,
    /// What the athlete calls it.
    pub(crate) name: Text<100>,
    /// What it takes.
    pub(crate) equipment: Equipment,
    /// The muscles that do the work.
    #[schemars(extend("uniqueItems" = true))]
    pub(crate) primary_muscles: Vec<Muscle>,
    /// The muscles that help.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub(crate) secondary_muscles: Vec<Muscle>,
    /// How its sets are measured; it cannot be changed later.
    pub(crate) kind: Measurement,
}

impl Commands {
    /// Makes an exercise of the athlete's own; `show` gets its id too.
    pub(crate) async fn create_exercise<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        command: CreateExercise,
        show: impl Fn(Uuid, Arc<Loaded<exercises::Exercises>>) -> Shown,
    ) -> Result<Answer<T>, Error> {
        let repeated: Vec<Detail> = [
            ("primary_muscles", &command.primary_muscles),
            ("secondary_muscles", &command.secondary_muscles),
        ]
        .into_iter()
        .filter(|(_, muscles)| muscles.iter().collect::<HashSet<_>>().len() < muscles.len())
        .map(|(field, _)| Detail::new(field, "must name each muscle once"))
        .collect();
        if !repeated.is_empty() {
            return Err(Error::validation(repeated));
        }
        let client = match command.id {
            Some(id) => {
                let said = ("create_exercise", &command);
                Some(self.client_id(origin.athlete, Some(id.uuid()), &said).await?)
            }
            None => None,
        };
        let id = command.id.map(CustomExerciseId::uuid);
        let id = id.unwrap_or_else(|| self.random.uuid(self.clock.now()));
        let traits = ExerciseTraits {
            equipment: command.equipment,
            primary_muscles: command.primary_muscles,
            secondary_muscles: command.secondary_muscles,
            kind: command.kind,
        };
        let name = command.name.as_str();
        let nothing = exercises::Exercises::default();
        let done = self
            .execute(
                &self.exercises,
                origin,
                Stream::exercises(origin.athlete),
                client,
                |loaded, _| {
                    let state = loaded.state.as_ref().unwrap_or(&nothing);
                    exercises::create(state, id, name, traits.clone())
                },
                |loaded| show(id, loaded),
            )
            .await;
        done.map_err(Failure::of_new)
    }

    /// The athlete's own exercises as the log has them now.
    pub(crate) async fn own_exercises(
        &self,
        origin: &Origin,
    ) -> Result<Arc<Loaded<exercises::Exercises>>, Error> {
        let stream = Stream::exercises(origin.athlete);
        self.exercises.read(origin.athlete, origin.partition, stream).await
    }

    /// How sets of exercises are measured, for a decision. Own exercises are asked for only where
    /// one is involved.
    pub(super) async fn measurements(
        &self,
        origin: &Origin,
        involved: &[&ExerciseId],
    ) -> Result<Measurements, Error> {
        let own: Vec<Uuid> = involved
            .iter()
            .filter_map(|id| match id {
                ExerciseId::Custom(id) => Some(*id),
                ExerciseId::System(_) => None,
            })
            .collect();
        if own.is_empty() {
            return Ok(Measurements(None));
        }
        let stream = Stream::exercises(origin.athlete);
        let (loaded, fresh) =
            self.exercises.cached_or_read(origin.athlete, origin.partition, stream).await?;
        let knows_all = own
            .iter()
            .all(|id| loaded.state.as_ref().is_some_and(|state| state.get(*id).is_some()));
        if knows_all || fresh {
            return Ok(Measurements(Some(loaded)));
        }
        self.own_exercises(origin).await.map(|loaded| Measurements(Some(loaded)))
    }
}

/// How sets of exercises are measured.
pub(super) struct Measurements(Option<Arc<Loaded<exercises::Exercises>>>);

impl Measurements {
    /// How sets of an exercise are measured; `None` when there is no such exercise.
    pub(super) fn of(&self, id: &ExerciseId) -> Option<Measurement> {
        shown::measurement(id, self.0.as_ref().and_then(|own| own.state.as_ref()))
    }
}
