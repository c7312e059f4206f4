//! Commands about workouts and their sets.

use std::{collections::BTreeMap, sync::Arc};

use domain::{Patch, Rejection, workout};
use events::{
    Energy, Event, ExerciseId, Feeling, ImportFormat, Metres, Muscle, Number, Rating, Reps, Rpe,
    Seconds, SetId, SetKind, SetNumber, Soreness, Stream, SupersetId, Text, Timestamp, Version,
    Visibility, Weight, WeightUnit, WorkoutId,
};
use log::{Append, AppendError, NewEvent, Write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::Error;

use super::{Commands, Done, Failure, Loaded, Origin, State, rejected, unavailable};

type Workout = workout::Workout;

impl State for Workout {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        Self::evolve(state, event)
    }
}

/// The body of `POST /v1/workouts`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartWorkout {
    /// A UUID of version 7 that makes the command safe to send twice.
    pub(crate) id: Option<WorkoutId>,
    /// When it began; now by default.
    pub(crate) started_at: Option<Timestamp>,
    /// A title.
    pub(crate) title: Option<Text<100>>,
    /// Notes.
    pub(crate) notes: Option<Text<1000>>,
    /// Who may see it; followers by default.
    pub(crate) visibility: Option<Visibility>,
}

/// The body of `PATCH /v1/workouts/{id}`: absent fields stay, `null` empties.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeWorkout {
    /// A new start. Alone, for a completed workout, it moves end and sets along.
    #[serde(default)]
    pub(crate) started_at: Patch<Timestamp>,
    /// A new end, for a completed workout.
    #[serde(default)]
    pub(crate) completed_at: Patch<Timestamp>,
    #[serde(default)]
    pub(crate) title: Patch<Text<100>>,
    #[serde(default)]
    pub(crate) notes: Patch<Text<1000>>,
    #[serde(default)]
    pub(crate) visibility: Patch<Visibility>,
    /// How it felt, for a completed workout.
    #[serde(default)]
    pub(crate) feeling: Patch<FeelingBody>,
}

/// The body of `POST /v1/workouts/{id}/complete`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteWorkout {
    /// When it ended; now by default.
    pub(crate) completed_at: Option<Timestamp>,
    /// Stars, 1 to 5.
    pub(crate) rating: Option<Rating>,
    /// Energy, 1 to 10.
    pub(crate) energy: Option<Energy>,
    /// Soreness of muscles, 0 to 10 each.
    #[serde(default)]
    pub(crate) soreness: BTreeMap<Muscle, Soreness>,
}

/// How a workout felt, as a request says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeelingBody {
    /// Stars, 1 to 5.
    rating: Option<Rating>,
    /// Energy, 1 to 10.
    energy: Option<Energy>,
    /// Soreness of muscles, 0 to 10 each.
    #[serde(default)]
    soreness: BTreeMap<Muscle, Soreness>,
}

/// The body of `POST /v1/workouts/{id}/sets`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSet {
    /// A UUID of version 7 that makes the command safe to send twice.
    pub(crate) id: Option<SetId>,
    /// The slug of a library exercise or the id of one's own.
    pub(crate) exercise: ExerciseId,
    /// The athlete's own count within the exercise.
    pub(crate) number: SetNumber,
    /// What the set was for; normal by default.
    #[serde(default)]
    pub(crate) kind: SetKind,
    /// Repetitions.
    pub(crate) reps: Option<Reps>,
    /// Weight lifted, added or assisting.
    pub(crate) weight: Option<TypedWeight>,
    /// Rating of perceived exertion.
    pub(crate) rpe: Option<Rpe>,
    /// Rest after the set, in seconds.
    pub(crate) rest_seconds: Option<Seconds>,
    /// How long it took, in seconds.
    pub(crate) duration_seconds: Option<Seconds>,
    /// How far, in metres.
    pub(crate) distance_metres: Option<TypedMetres>,
    /// Which superset of the workout it belongs to.
    pub(crate) superset_id: Option<SupersetId>,
    /// Notes.
    pub(crate) notes: Option<Text<500>>,
    /// When it was performed; now by default, or in a completed workout its end.
    pub(crate) performed_at: Option<Timestamp>,
}

/// The body of `PATCH /v1/workouts/{id}/sets/{set}`: absent fields stay, `null` empties.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorrectSet {
    #[serde(default)]
    pub(crate) exercise: Patch<ExerciseId>,
    #[serde(default)]
    pub(crate) number: Patch<SetNumber>,
    #[serde(default)]
    pub(crate) kind: Patch<SetKind>,
    #[serde(default)]
    pub(crate) reps: Patch<Reps>,
    #[serde(default)]
    pub(crate) weight: Patch<TypedWeight>,
    #[serde(default)]
    pub(crate) rpe: Patch<Rpe>,
    #[serde(default)]
    pub(crate) rest_seconds: Patch<Seconds>,
    #[serde(default)]
    pub(crate) duration_seconds: Patch<Seconds>,
    #[serde(default)]
    pub(crate) distance_metres: Patch<TypedMetres>,
    #[serde(default)]
    pub(crate) superset_id: Patch<SupersetId>,
    #[serde(default)]
    pub(crate) notes: Patch<Text<500>>,
    #[serde(default)]
    pub(crate) performed_at: Patch<Timestamp>,
}

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

/// A weight as a request says it: a number and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "WeightBody")]
#[schemars(with = "WeightBody")]
pub(crate) struct TypedWeight(pub(crate) Weight);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WeightBody {
    /// 0 to 1000 kg, with at most six decimals.
    value: Number,
    /// Kilograms or pounds.
    unit: WeightUnit,
}

impl TryFrom<WeightBody> for TypedWeight {
    type Error = events::OutOfRange;

    fn try_from(body: WeightBody) -> Result<Self, events::OutOfRange> {
        Weight::new(body.value.0, body.unit).map(Self)
    }
}

/// A distance as a request says it: a number of metres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Number")]
#[schemars(with = "Number")]
pub(crate) struct TypedMetres(pub(crate) Metres);

impl TryFrom<Number> for TypedMetres {
    type Error = events::OutOfRange;

    fn try_from(number: Number) -> Result<Self, events::OutOfRange> {
        Metres::new(number.0).map(Self)
    }
}

impl Commands {
    /// Starts a workout.
    pub(crate) async fn start_workout(
        &self,
        origin: &Origin,
        command: StartWorkout,
    ) -> Result<(WorkoutId, Done<Workout>), Failure<Workout>> {
        let client = match command.id {
            Some(_) => {
                Some(self.client_id(origin.athlete, None, &("start_workout", &command)).await?)
            }
            None => None,
        };
        let id = match command.id {
            Some(id) => id,
            None => {
                let id = self.random.uuid(self.clock.now());
                WorkoutId::new(id).map_err(Error::internal)?
            }
        };
        let done = self
            .execute(&self.workouts, origin, Stream::workout(id), client, |loaded, now| {
                if loaded.state.is_some() {
                    let message = "the id belongs to another workout of yours";
                    return Err(Rejection::Conflict { code: "ID_TAKEN", message });
                }
                workout::start(command.to_start(None), now)
            })
            .await?;
        Ok((id, done))
    }

    /// Changes what is said about a workout.
    pub(crate) async fn change_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: ChangeWorkout,
    ) -> Result<Done<Workout>, Failure<Workout>> {
        self.on_workout(origin, id, None, |workout, now| {
            let command = command.clone();
            let change = workout::Change {
                started_at: command.started_at,
                completed_at: command.completed_at,
                title: command.title.map(Text::into_string),
                notes: command.notes.map(Text::into_string),
                visibility: command.visibility,
                feeling: command.feeling.map(|feeling| Feeling {
                    rating: feeling.rating,
                    energy: feeling.energy,
                    soreness: feeling.soreness,
                }),
            };
            workout::change(workout, change, now)
        })
        .await
    }

    /// Logs a set; answers its id too.
    pub(crate) async fn log_set(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: LogSet,
    ) -> Result<(SetId, Done<Workout>), Failure<Workout>> {
        let client = match command.id {
            Some(set) => {
                let said = ("log_set", id, &command);
                Some(self.client_id(origin.athlete, Some(set.uuid()), &said).await?)
            }
            None => None,
        };
        let set_id = match command.id {
            Some(id) => id,
            None => SetId::new(self.random.uuid(self.clock.now())).map_err(Error::internal)?,
        };
        let measurements = self.measurements(origin, &[&command.exercise]).await?;
        let done = self
            .on_workout(origin, id, client, |workout, now| {
                let set = command.clone().into_set();
                let measurement = measurements.of(&set.exercise);
                workout::log_set(workout, set_id, set, measurement, now)
            })
            .await?;
        Ok((set_id, done))
    }

    /// Corrects a set.
    pub(crate) async fn correct_set(
        &self,
        origin: &Origin,
        id: WorkoutId,
        set: SetId,
        command: CorrectSet,
    ) -> Result<Done<Workout>, Failure<Workout>> {
        // Which exercise the set has now is known only once it is loaded, so all of the athlete's
        // own ones are at hand.
        let workout = self.workout(origin, id).await?;
        let before = workout.state.as_ref().and_then(|workout| workout.set(set));
        let before = before.map(|set| set.values.exercise.clone());
        let after = match &command.exercise {
            Patch::Set(exercise) => Some(exercise.clone()),
            Patch::Keep | Patch::Clear => before,
        };
        let involved: Vec<&ExerciseId> = after.iter().collect();
        let measurements = self.measurements(origin, &involved).await?;
        self.on_workout(origin, id, None, |workout, now| {
            let command = command.clone();
            let correction = workout::Correction {
                exercise: command.exercise.clone(),
                number: command.number,
                kind: command.kind,
                reps: command.reps,
                weight: command.weight.map(|weight| weight.0),
                rpe: command.rpe,
                rest_seconds: command.rest_seconds,
                duration_seconds: command.duration_seconds,
                distance_metres: command.distance_metres.map(|metres| metres.0),
                superset_id: command.superset_id,
                notes: command.notes.map(Text::into_string),
                performed_at: command.performed_at,
            };
            let exercise = match &command.exercise {
                Patch::Set(exercise) => Some(exercise),
                Patch::Keep | Patch::Clear => workout.set(set).map(|set| &set.values.exercise),
            };
            let measurement = exercise.and_then(|exercise| measurements.of(exercise));
            workout::correct_set(workout, set, correction, measurement, now)
        })
        .await
    }

    /// Removes a set.
    pub(crate) async fn remove_set(
        &self,
        origin: &Origin,
        id: WorkoutId,
        set: SetId,
    ) -> Result<Done<Workout>, Failure<Workout>> {
        self.on_workout(origin, id, None, |workout, _| workout::remove_set(workout, set)).await
    }

    /// Completes a workout.
    pub(crate) async fn complete_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: CompleteWorkout,
    ) -> Result<Done<Workout>, Failure<Workout>> {
        let feeling =
            Feeling { rating: command.rating, energy: command.energy, soreness: command.soreness };
        let feeling = (feeling != Feeling::default()).then_some(feeling);
        self.on_workout(origin, id, None, |workout, now| {
            workout::complete(workout, command.completed_at, feeling.clone(), now)
        })
        .await
    }

    /// Throws a workout away.
    pub(crate) async fn discard_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
    ) -> Result<Done<Workout>, Failure<Workout>> {
        self.on_workout(origin, id, None, |workout, _| Ok(workout::discard(workout))).await
    }

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
            outcomes.push(match self.log_set(origin, id, set).await {
                Ok(_) if known => Outcome::Known,
                Ok(_) => Outcome::New,
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
        let events = workout::start(start.to_start(Some(imported_from)), now);
        let mut events = events.map_err(rejected)?;
        let mut clients = vec![Some(client)];
        let mut state = events.iter().fold(None, Workout::evolve);

        let involved: Vec<&ExerciseId> = sets.iter().map(|set| &set.exercise).collect();
        let measurements = self.measurements(origin, &involved).await?;
        let mut outcomes = Vec::with_capacity(sets.len());
        for set in sets {
            let (Some(workout), Some(set_id)) = (state.as_ref(), set.id) else { continue };
            let measurement = measurements.of(&set.exercise);
            match workout::log_set(workout, set_id, set.clone().into_set(), measurement, now) {
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

    /// A workout as the log has it now; without a state when the athlete has none of that id.
    pub(crate) async fn workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
    ) -> Result<Arc<Loaded<Workout>>, Error> {
        self.workouts.read(origin.athlete, origin.partition, Stream::workout(id)).await
    }

    async fn on_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        client: Option<log::ClientId>,
        decide: impl Fn(&Workout, Timestamp) -> Result<Vec<Event>, Rejection>,
    ) -> Result<Done<Workout>, Failure<Workout>> {
        self.execute(&self.workouts, origin, Stream::workout(id), client, |loaded, now| {
            let workout = loaded.state.as_ref().ok_or(Rejection::NotFound("workout"))?;
            decide(workout, now)
        })
        .await
    }
}

impl StartWorkout {
    fn to_start(&self, imported_from: Option<ImportFormat>) -> workout::Start {
        workout::Start {
            started_at: self.started_at,
            title: self.title.clone().map(Text::into_string),
            notes: self.notes.clone().map(Text::into_string),
            visibility: self.visibility.unwrap_or_default(),
            imported_from,
        }
    }
}

impl LogSet {
    fn into_set(self) -> workout::NewSet {
        workout::NewSet {
            exercise: self.exercise,
            number: self.number,
            kind: self.kind,
            reps: self.reps,
            weight: self.weight.map(|weight| weight.0),
            rpe: self.rpe,
            rest_seconds: self.rest_seconds,
            duration_seconds: self.duration_seconds,
            distance_metres: self.distance_metres.map(|metres| metres.0),
            superset_id: self.superset_id,
            notes: self.notes.map(Text::into_string),
            performed_at: self.performed_at,
        }
    }
}
