//! Recording whole workouts that happened: what imports bring.

use domain::workout::{self, Follows, Workout};
use events::{Event, ExerciseId, ImportFormat, Stream, Timestamp, Version, WorkoutId};
use log::{Append, AppendError, ClientId, NewEvent, Write};
use uuid::Uuid;

use super::{
    Commands, Failure, Origin, rejected,
    requests::{LogSet, NoteExercise, StartWorkout},
    unavailable, unseen,
};

/// A workout that is not on the log yet, told event by event.
#[derive(Clone, Default)]
pub(super) struct Draft {
    pub(super) state: Option<Workout>,
    events: Vec<(Event, Option<ClientId>)>,
}

impl Draft {
    /// It begins so.
    pub(super) fn new(started: Vec<Event>, client: ClientId) -> Self {
        let mut draft = Self::default();
        draft.take(started, Some(client));
        draft
    }

    /// And then this happened; the client-made id is that of the first event.
    pub(super) fn take(&mut self, events: Vec<Event>, client: Option<ClientId>) {
        for (index, event) in events.into_iter().enumerate() {
            self.state = Workout::evolve(self.state.take(), &event);
            self.events.push((event, client.filter(|_| index == 0)));
        }
    }

    /// What is to be appended.
    pub(super) fn write(self, id: WorkoutId, origin: &Origin, now: Timestamp, run: Uuid) -> Write {
        let events = self.events.into_iter().map(|(event, client)| NewEvent {
            metadata: origin.metadata(&event, now, run),
            event,
            client,
        });
        Write { stream: Stream::workout(id), expected: Version(0), events: events.collect() }
    }
}

/// What is said of a workout that is over.
pub(crate) struct Whole {
    pub(crate) start: StartWorkout,
    pub(crate) sets: Vec<LogSet>,
    /// At most one for each exercise.
    pub(crate) notes: Vec<(ExerciseId, NoteExercise)>,
    pub(crate) completed_at: Timestamp,
    pub(crate) imported_from: ImportFormat,
}

/// What came of recording a whole workout.
#[derive(Default)]
pub(crate) struct Recorded {
    /// Whether the workout was not there before.
    pub(crate) new: bool,
    /// What came of its sets, in their order.
    pub(crate) sets: Vec<Outcome>,
    /// What came of its notes, in their order.
    pub(crate) notes: Vec<Outcome>,
}

/// What came of one set or note of a recorded workout.
pub(crate) enum Outcome {
    New,
    Known,
    Refused(String),
}

impl Commands {
    /// Records a whole workout that happened: in one append where it is new, else by the sets and
    /// notes that the log does not have yet. What cannot be is passed over, and told.
    pub(crate) async fn record_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        whole: Whole,
    ) -> Result<Recorded, Failure<Workout>> {
        if self.workout(origin, id).await?.state.is_none()
            && let Some(recorded) = self.record_new_workout(origin, id, &whole).await?
        {
            return Ok(recorded);
        }
        let mut outcomes = Vec::with_capacity(whole.sets.len());
        for set in whole.sets {
            let known = {
                let loaded = self.workout(origin, id).await?;
                set.id.is_some_and(|set| loaded.made(Some(set.uuid())).is_some())
            };
            outcomes.push(match self.log_set(origin, id, set, |_, loaded| unseen(loaded)).await {
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
        let mut notes = Vec::with_capacity(whole.notes.len());
        for (exercise, note) in whole.notes {
            notes.push(self.record_note(origin, id, &exercise, note).await?);
        }
        Ok(Recorded { new: false, sets: outcomes, notes })
    }

    /// Notes something of an exercise of which nothing was noted yet: what the athlete said since
    /// stays, also when that was to empty it.
    async fn record_note(
        &self,
        origin: &Origin,
        id: WorkoutId,
        exercise: &ExerciseId,
        note: NoteExercise,
    ) -> Result<Outcome, Failure<Workout>> {
        let loaded = self.workout(origin, id).await?;
        if let Some(known) = loaded.state.as_ref().and_then(|workout| workout.noted.get(exercise)) {
            let known = known.notes.as_ref().and_then(|notes| notes.clear());
            let same = known.map(String::as_str) == note.notes.as_ref().map(|notes| notes.as_str());
            let stays =
                || Outcome::Refused("are other than those of before, which stay".to_owned());
            return Ok(if same { Outcome::Known } else { stays() });
        }
        match self.note_exercise(origin, id, exercise, note, unseen).await {
            Ok(_) => Ok(Outcome::New),
            Err(Failure::Refused(error)) if error.is_of_caller() => {
                Ok(Outcome::Refused(error.to_string()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Everything in one append. `None` when somebody else was faster.
    async fn record_new_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        whole: &Whole,
    ) -> Result<Option<Recorded>, Failure<Workout>> {
        let Whole { start, sets, notes, completed_at, imported_from } = whole;
        let now = self.clock.now();
        let run = self.random.uuid(now);
        let owner = origin.athlete;
        let client = self.client_id(owner, None, &("start_workout", start)).await?;
        let started =
            start.decide(Some(*imported_from), Follows::Nothing, now).map_err(rejected)?;
        let mut draft = Draft::new(started, client);

        let of_notes = notes.iter().map(|(exercise, _)| exercise);
        let involved: Vec<&ExerciseId> =
            sets.iter().map(|set| &set.exercise).chain(of_notes).collect();
        let measurements = self.measurements(origin, &involved).await?;
        let mut outcomes = Vec::with_capacity(sets.len());
        for set in sets {
            let (Some(workout), Some(set_id)) = (draft.state.as_ref(), set.id) else { continue };
            let measurement = measurements.of(&set.exercise);
            let usual = self.known_usual(owner, &set.exercise, measurement, set_id).await;
            match set.decide(workout, set_id, &measurements, usual, now) {
                Ok(logged) => {
                    let said = ("log_set", id, set);
                    let client = self.client_id(owner, Some(set_id.uuid()), &said).await?;
                    draft.take(logged, Some(client));
                    outcomes.push(Outcome::New);
                }
                Err(rejection) => outcomes.push(Outcome::Refused(rejected(rejection).to_string())),
            }
        }
        if draft.state.as_ref().is_none_or(|workout| workout.sets.is_empty()) {
            return Ok(Some(Recorded { sets: outcomes, ..Recorded::default() }));
        }
        let mut noted = Vec::with_capacity(notes.len());
        for (exercise, note) in notes {
            let Some(workout) = draft.state.as_ref() else { continue };
            noted.push(match note.decide(workout, exercise, &measurements) {
                Ok(said) => {
                    draft.take(said, None);
                    Outcome::New
                }
                Err(rejection) => Outcome::Refused(rejected(rejection).to_string()),
            });
        }
        let Some(workout) = draft.state.as_ref() else { return Ok(None) };
        let completed = workout::complete(workout, Some(*completed_at), None, now);
        draft.take(completed.map_err(rejected)?, None);

        let writes = vec![draft.write(id, origin, now, run)];
        let append = Append { owner, partition: origin.partition, writes };
        match self.append(origin, append, None).await {
            Ok(_) => Ok(Some(Recorded { new: true, sets: outcomes, notes: noted })),
            Err(AppendError::Conflict { .. } | AppendError::Already { .. }) => Ok(None),
            Err(error) => Err(unavailable(error).into()),
        }
    }
}
