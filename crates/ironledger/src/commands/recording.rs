//! Recording whole workouts that happened: what imports bring.

use domain::workout::{self, Workout};
use events::{ExerciseId, ImportFormat, Stream, Timestamp, Version, WorkoutId};
use log::{Append, AppendError, NewEvent, Write};

use super::{
    Commands, Failure, Origin, rejected,
    requests::{LogSet, StartWorkout},
    unavailable, unseen,
};

/// How a recorded workout ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Completion {
    pub(crate) completed_at: Timestamp,
}

/// What came of recording a whole workout.
pub(crate) struct Recorded {
    /// Whether the workout was not there before.
    pub(crate) new: bool,
    /// What came of its sets, in their order.
    pub(crate) sets: Vec<Outcome>,
}

/// What came of one set of a recorded workout.
pub(crate) enum Outcome {
    New,
    Known,
    Refused(String),
}

impl Commands {
    /// Records a whole workout that happened: in one append where it is new, else by the sets that
    /// the log does not have yet. Sets that cannot be are passed over, and told.
    pub(crate) async fn record_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        start: StartWorkout,
        sets: Vec<LogSet>,
        completion: Completion,
        imported_from: ImportFormat,
    ) -> Result<Recorded, Failure<Workout>> {
        if self.workout(origin, id).await?.state.is_none()
            && let Some(recorded) = self
                .record_new_workout(origin, id, &start, &sets, completion, imported_from)
                .await?
        {
            return Ok(recorded);
        }
        let mut outcomes = Vec::with_capacity(sets.len());
        for set in sets {
            let known = {
                let loaded = self.workout(origin, id).await?;
                set.id.is_some_and(|set| loaded.made(Some(set.uuid())).is_some())
            };
            outcomes.push(match self.log_set(origin, id, set, unseen).await {
                Ok(_) if known => Outcome::Known,
                Ok(_) => Outcome::New,
                Err(Failure::Refused(_)) if known => {
                    Outcome::Refused("was brought before with other values, which stay".to_owned())
                }
                Err(Failure::Refused(error)) if error.is_of_caller() => {
                    Outcome::Refused(error.to_string())
                }
                Err(failure) => return Err(failure),
            });
        }
        Ok(Recorded { new: false, sets: outcomes })
    }

    /// Everything in one append. `None` when somebody else was faster.
    async fn record_new_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        start: &StartWorkout,
        sets: &[LogSet],
        completion: Completion,
        imported_from: ImportFormat,
    ) -> Result<Option<Recorded>, Failure<Workout>> {
        let now = self.clock.now();
        let run = self.random.uuid(now);
        let owner = origin.athlete;
        let client = self.client_id(owner, None, &("start_workout", start)).await?;
        let mut events = start.decide(Some(imported_from), now).map_err(rejected)?;
        let mut clients = vec![Some(client)];
        let mut state = events.iter().fold(None, Workout::evolve);

        let involved: Vec<&ExerciseId> = sets.iter().map(|set| &set.exercise).collect();
        let measurements = self.measurements(origin, &involved).await?;
        let mut outcomes = Vec::with_capacity(sets.len());
        for set in sets {
            let (Some(workout), Some(set_id)) = (state.as_ref(), set.id) else { continue };
            match set.decide(workout, set_id, &measurements, now) {
                Ok(logged) => {
                    let said = ("log_set", id, set);
                    let client = self.client_id(owner, Some(set_id.uuid()), &said).await?;
                    state = logged.iter().fold(state, Workout::evolve);
                    clients.extend(logged.iter().map(|_| Some(client)));
                    events.extend(logged);
                    outcomes.push(Outcome::New);
                }
                Err(rejection) => outcomes.push(Outcome::Refused(rejected(rejection).to_string())),
            }
        }
        let Some(workout) = state.as_ref().filter(|workout| !workout.sets.is_empty()) else {
            return Ok(Some(Recorded { new: false, sets: outcomes }));
        };
        let completed = workout::complete(workout, Some(completion.completed_at), None, now);
        events.extend(completed.map_err(rejected)?);

        let new = events.into_iter().zip(clients.into_iter().chain(std::iter::repeat(None)));
        let new = new.map(|(event, client)| NewEvent {
            metadata: origin.metadata(&event, now, run),
            event,
            client,
        });
        let write =
            Write { stream: Stream::workout(id), expected: Version(0), events: new.collect() };
        let append = Append { owner, partition: origin.partition, writes: vec![write] };
        match self.log.append(append).await {
            Ok(_) => Ok(Some(Recorded { new: true, sets: outcomes })),
            Err(AppendError::Conflict { .. } | AppendError::Already { .. }) => Ok(None),
            Err(error) => Err(unavailable(error).into()),
        }
    }
}
