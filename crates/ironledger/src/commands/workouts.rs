//! Commands about workouts and their sets.

use std::sync::Arc;

use domain::{
    Rejection,
    usual::Usual,
    workout::{self, Workout},
};
use events::{Event, ExerciseId, SetId, Stream, Timestamp, WorkoutId};
use web::{Answer, Error};

use super::{
    Commands, Failure, Loaded, Origin, State,
    exercises::Measurements,
    rejected,
    requests::{ChangeWorkout, CompleteWorkout, CorrectSet, LogSet, NoteExercise, StartWorkout},
};

impl State for Workout {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        Self::evolve(state, event)
    }
}

/// Carrying commands out.
impl Commands {
    /// Starts a workout; `show` gets its id too.
    pub(crate) async fn start_workout<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        command: StartWorkout,
        show: impl Fn(WorkoutId, Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
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
        let follows = self.follows(origin, command.routine).await?;
        let decide = |loaded: &Loaded<Workout>, now| {
            if loaded.state.is_some() {
                let message = "the id belongs to another workout of yours";
                return Err(Rejection::Conflict { code: "ID_TAKEN", message });
            }
            command.decide(None, follows.clone(), now)
        };
        let show = |loaded| show(id, loaded);
        self.execute(&self.workouts, origin, Stream::workout(id), client, decide, show).await
    }

    /// Changes what is said about a workout.
    pub(crate) async fn change_workout<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: ChangeWorkout,
        show: impl Fn(Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        self.on_workout(origin, id, None, |workout, now| command.decide(workout, now), show).await
    }

    /// Logs a set; `show` gets its id too.
    pub(crate) async fn log_set<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        mut command: LogSet,
        show: impl Fn(SetId, Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        // Also an id of our making goes into the index of ids: a set is found by it, and no other
        // can have it.
        let set = match command.id {
            Some(set) => set,
            None => SetId::new(self.random.uuid(self.clock.now())).map_err(Error::internal)?,
        };
        command.id = Some(set);
        let said = ("log_set", id, &command);
        let client = self.client_id(origin.athlete, Some(set.uuid()), &said).await?;
        let measurements = self.measurements(origin, &[&command.exercise]).await?;
        let (exercise, measurement) = (&command.exercise, measurements.of(&command.exercise));
        let now = self.clock.now();
        let probe = |workout: &Workout, usual| {
            command.decide(workout, set, &measurements, usual, now).unwrap_or_default()
        };
        let usual = self.usual(origin, id, set, Some(exercise), measurement, probe).await;
        let decide =
            |workout: &Workout, now| command.decide(workout, set, &measurements, usual, now);
        let show = |loaded| show(set, loaded);
        self.on_workout(origin, id, Some(client), decide, show).await
    }

    /// Corrects a set.
    pub(crate) async fn correct_set<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        set: SetId,
        command: CorrectSet,
        show: impl Fn(Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        let (exercise, measurements) = self.measurements_for(origin, id, set, &command).await?;
        let measurement = exercise.as_ref().and_then(|exercise| measurements.of(exercise));
        let now = self.clock.now();
        let probe = |workout: &Workout, usual| {
            command.decide(workout, set, &measurements, usual, now).unwrap_or_default()
        };
        let usual = self.usual(origin, id, set, exercise.as_ref(), measurement, probe).await;
        let decide =
            |workout: &Workout, now| command.decide(workout, set, &measurements, usual, now);
        self.on_workout(origin, id, None, decide, show).await
    }

    /// Confirms a set that was found unusual.
    pub(crate) async fn confirm_set<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        set: SetId,
        show: impl Fn(Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        let decide = |workout: &Workout, _| workout::confirm_set(workout, set);
        self.on_workout(origin, id, None, decide, show).await
    }

    /// Removes a set.
    pub(crate) async fn remove_set<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        set: SetId,
        show: impl Fn(Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        let decide = |workout: &Workout, _| workout::remove_set(workout, set);
        self.on_workout(origin, id, None, decide, show).await
    }

    /// Notes something of an exercise of a workout.
    pub(crate) async fn note_exercise<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        exercise: &ExerciseId,
        command: NoteExercise,
        show: impl Fn(Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        let measurements = self.measurements(origin, &[exercise]).await?;
        let decide = |workout: &Workout, _| command.decide(workout, exercise, &measurements);
        self.on_workout(origin, id, None, decide, show).await
    }

    /// Completes a workout.
    pub(crate) async fn complete_workout<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: CompleteWorkout,
        show: impl Fn(Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        self.on_workout(origin, id, None, |workout, now| command.decide(workout, now), show).await
    }

    /// Throws a workout away.
    pub(crate) async fn discard_workout<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        show: impl Fn(Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        let decide = |workout: &Workout, _| Ok(workout::discard(workout));
        self.on_workout(origin, id, None, decide, show).await
    }

    /// A workout as the log has it now; without a state when the athlete has none of that id.
    pub(crate) async fn workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
    ) -> Result<Arc<Loaded<Workout>>, Error> {
        self.workouts.read(origin.athlete, origin.partition, Stream::workout(id)).await
    }

    async fn on_workout<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: WorkoutId,
        client: Option<log::ClientId>,
        decide: impl Fn(&Workout, Timestamp) -> Result<Vec<Event>, Rejection>,
        show: impl Fn(Arc<Loaded<Workout>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Workout>> {
        let decide = |loaded: &Loaded<Workout>, now| {
            let workout = loaded.state.as_ref().ok_or(Rejection::NotFound("workout"))?;
            decide(workout, now)
        };
        self.execute(&self.workouts, origin, Stream::workout(id), client, decide, show).await
    }

    /// The measurements that a correction may need: which exercise the set has then is known only
    /// once the workout is loaded.
    async fn measurements_for(
        &self,
        origin: &Origin,
        id: WorkoutId,
        set: SetId,
        command: &CorrectSet,
    ) -> Result<(Option<ExerciseId>, Measurements), Error> {
        let loaded = self.workout(origin, id).await?;
        let workout = loaded.state.as_ref();
        let exercise = workout.and_then(|workout| command.exercise_of(workout, set));
        let involved: Vec<&ExerciseId> = exercise.iter().collect();
        let measurements = self.measurements(origin, &involved).await?;
        Ok((exercise, measurements))
    }
}

/// Saying what the rules would say of a command that is not carried out, because some of its
/// fields cannot even be read: so that the caller hears of everything wrong at once.
impl Commands {
    pub(crate) async fn judge_start(
        &self,
        origin: &Origin,
        command: &StartWorkout,
    ) -> Result<(), Error> {
        let follows = self.follows(origin, command.routine).await?;
        command.decide(None, follows, self.clock.now()).map(drop).map_err(rejected)
    }

    pub(crate) async fn judge_change(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: &ChangeWorkout,
    ) -> Result<(), Error> {
        self.judge(origin, id, |workout, now| command.decide(workout, now)).await
    }

    pub(crate) async fn judge_completion(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: &CompleteWorkout,
    ) -> Result<(), Error> {
        self.judge(origin, id, |workout, now| command.decide(workout, now)).await
    }

    pub(crate) async fn judge_set(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: &LogSet,
    ) -> Result<(), Error> {
        let some_id = SetId::new(self.random.uuid(self.clock.now())).map_err(Error::internal)?;
        let measurements = self.measurements(origin, &[&command.exercise]).await?;
        let usual = Usual::default();
        let decide =
            |workout: &Workout, now| command.decide(workout, some_id, &measurements, usual, now);
        self.judge(origin, id, decide).await
    }

    pub(crate) async fn judge_correction(
        &self,
        origin: &Origin,
        id: WorkoutId,
        set: SetId,
        command: &CorrectSet,
    ) -> Result<(), Error> {
        let (_, measurements) = self.measurements_for(origin, id, set, command).await?;
        let usual = Usual::default();
        let decide =
            |workout: &Workout, now| command.decide(workout, set, &measurements, usual, now);
        self.judge(origin, id, decide).await
    }

    pub(crate) async fn judge_note(
        &self,
        origin: &Origin,
        id: WorkoutId,
        exercise: &ExerciseId,
        command: &NoteExercise,
    ) -> Result<(), Error> {
        let measurements = self.measurements(origin, &[exercise]).await?;
        self.judge(origin, id, |workout, _| command.decide(workout, exercise, &measurements)).await
    }

    async fn judge(
        &self,
        origin: &Origin,
        id: WorkoutId,
        decide: impl Fn(&Workout, Timestamp) -> Result<Vec<Event>, Rejection>,
    ) -> Result<(), Error> {
        let loaded = self.workout(origin, id).await?;
        let workout = loaded.state.as_ref().ok_or_else(|| Error::not_found("workout"))?;
        decide(workout, self.clock.now()).map(drop).map_err(rejected)
    }
}
