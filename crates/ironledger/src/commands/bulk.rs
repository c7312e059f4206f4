//! Whole workouts at once, all of them or none: `POST /v1/workouts:bulk`.

use std::collections::{BTreeMap, HashSet};

use domain::{
    Rejection,
    workout::{self, Follows},
};
use events::{
    Energy, ExerciseId, Feeling, FormScore, Muscle, Position, Rating, SetId, Soreness, Stream,
    Text, Timestamp, Version, Visibility, WorkoutId,
};
use log::{Append, AppendError, Appended, ClientId, Keep, Positions, Write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Detail, Error, KeptAnswer};

use super::{
    ATTEMPTS, Commands, Origin,
    exercises::Measurements,
    id_taken,
    recording::Draft,
    rejected,
    requests::{LogSet, NoteExercise, StartWorkout},
    unavailable, unreadable,
};

/// Most workouts of a call.
const MOST_WORKOUTS: usize = 100;

/// Most sets of a call, over all of its workouts.
const MOST_SETS: usize = 500;

/// Most exercises that something is noted of: with the beginnings and the ends of workouts, and all
/// sets, they are still one append.
const MOST_NOTED: usize = 200;

/// The body of `POST /v1/workouts:bulk`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordWorkouts {
    /// 1 to 100 workouts that are over, with at most 500 sets in all.
    #[schemars(length(min = 1, max = 100))]
    workouts: Vec<RecordWorkout>,
}

/// A workout that is over, with everything that is said of it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordWorkout {
    /// A UUID of version 7 that makes the workout safe to send twice.
    id: Option<WorkoutId>,
    /// When it began.
    started_at: Timestamp,
    /// When it ended.
    completed_at: Timestamp,
    /// A title.
    title: Option<Text<100>>,
    /// Notes.
    notes: Option<Text<1000>>,
    /// Who may see it; followers by default.
    visibility: Option<Visibility>,
    /// Stars, 1 to 5.
    rating: Option<Rating>,
    /// Energy, 1 to 10.
    energy: Option<Energy>,
    /// Soreness of muscles, 0 to 10 each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    soreness: BTreeMap<Muscle, Soreness>,
    /// What is noted of exercises.
    #[serde(default)]
    exercises: Vec<NotedExercise>,
    /// One set or more, in the order in which they were performed; each at the start of the workout
    /// where it says nothing else.
    #[schemars(length(min = 1))]
    sets: Vec<LogSet>,
}

/// What is noted of an exercise of the workout.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NotedExercise {
    /// The slug of a library exercise or the id of one's own.
    exercise: ExerciseId,
    /// Notes.
    notes: Option<Text<1000>>,
    /// How well it was executed, in points of 100.
    form_score: Option<FormScore>,
    /// Notes on the execution.
    form_notes: Option<Text<1000>>,
}

/// Which ids a recorded workout and its sets have, in the order of the request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RecordedWorkout {
    id: WorkoutId,
    sets: Vec<SetId>,
}

/// A workout of a call, with the ids that it shall have.
struct Planned {
    /// Where the request has it.
    at: String,
    id: WorkoutId,
    /// In the order of the request.
    sets: Vec<SetId>,
    said: RecordWorkout,
    client: ClientId,
}

impl Commands {
    /// Records whole workouts in one append, and answers their ids. Those that the log has already,
    /// said the same, are answered as they were recorded.
    pub(crate) async fn record_workouts(
        &self,
        origin: &Origin,
        command: RecordWorkouts,
    ) -> Result<Answer<Vec<RecordedWorkout>>, Error> {
        let now = self.clock.now();
        let run = self.random.uuid(now);
        let (planned, drafts) = self.judged(origin, command, now).await?;
        for _ in 0..ATTEMPTS {
            let (known, known_at) = self.recorded(origin, &planned).await?;
            let answer = |at: &Appended| -> Result<Answer<Vec<RecordedWorkout>>, Error> {
                let ids = planned.iter().map(|workout| RecordedWorkout {
                    id: workout.id,
                    sets: known.get(&workout.id).unwrap_or(&workout.sets).clone(),
                });
                let ids: Vec<RecordedWorkout> = ids.collect();
                let position = Positions::one(at.epoch, at.partition, at.position);
                Ok(Answer::list(&ids, None)?.accepted().at(position))
            };
            let is_new = |stream| {
                let mut new = planned.iter().filter(|workout| !known.contains_key(&workout.id));
                new.any(|workout| Stream::workout(workout.id) == stream)
            };
            let new = planned.iter().zip(&drafts);
            let new = new.filter(|(workout, _)| !known.contains_key(&workout.id));
            let writes: Vec<Write> = new
                .map(|(workout, draft)| draft.clone().write(workout.id, origin, now, run))
                .collect();
            if writes.is_empty() {
                return answer(&known_at);
            }
            let keep = match &origin.key {
                None => None,
                Some(key) => {
                    // Where it will be, the log adds.
                    let answer = KeptAnswer::from(&answer(&known_at)?);
                    let answer = serde_json::to_vec(&answer).map_err(Error::internal)?;
                    Some(Keep { key: key.key, answer })
                }
            };
            let (owner, partition) = (origin.athlete, origin.partition);
            match self.append(origin, Append { owner, partition, writes }, keep).await {
                Ok(appended) => {
                    if let Some(key) = &origin.key {
                        key.is_kept();
                    }
                    return answer(&appended);
                }
                // One of them is there meanwhile.
                Err(AppendError::Conflict { .. }) => {}
                Err(AppendError::Already { stream, .. }) if is_new(stream) => {}
                Err(AppendError::Already { .. }) => return Err(id_taken()),
                Err(error) => return Err(unavailable(error)),
            }
        }
        Err(unavailable(AppendError::Busy))
    }

    /// What the rules say of a call that is not carried out, because some of it cannot even be read.
    pub(crate) async fn judge_workouts(
        &self,
        origin: &Origin,
        command: RecordWorkouts,
    ) -> Result<(), Error> {
        self.judged(origin, command, self.clock.now()).await.map(drop)
    }

    /// The workouts of a call with the events of each, if the rules have nothing against any.
    async fn judged(
        &self,
        origin: &Origin,
        command: RecordWorkouts,
        now: Timestamp,
    ) -> Result<(Vec<Planned>, Vec<Draft>), Error> {
        let mut wrong = uncounted(&command.workouts);
        if wrong.iter().any(|detail| detail.field == "workouts") {
            return Err(Error::validation(wrong));
        }
        let mut planned = Vec::with_capacity(command.workouts.len());
        for (index, said) in command.workouts.into_iter().enumerate() {
            planned.push(self.plan(origin, format!("workouts[{index}]"), said).await?);
        }
        wrong.extend(given_twice(&planned));
        let drafts = self.drafts(origin, &planned, now, &mut wrong).await?;
        // Of a field that is wrong in two ways, one is enough to be told.
        let mut told = HashSet::new();
        wrong.retain(|detail| told.insert(detail.field.clone()));
        if wrong.is_empty() { Ok((planned, drafts)) } else { Err(Error::validation(wrong)) }
    }

    /// A workout with its ids, of our making where the request has none.
    async fn plan(
        &self,
        origin: &Origin,
        at: String,
        said: RecordWorkout,
    ) -> Result<Planned, Error> {
        let client = self.client_id(origin.athlete, None, &("record_workout", &said)).await?;
        let made = || self.random.uuid(self.clock.now());
        let id = match said.id {
            Some(id) => id,
            None => WorkoutId::new(made()).map_err(Error::internal)?,
        };
        let mut sets = Vec::with_capacity(said.sets.len());
        for set in &said.sets {
            sets.push(match set.id {
                Some(id) => id,
                None => SetId::new(made()).map_err(Error::internal)?,
            });
        }
        Ok(Planned { at, id, sets, said, client })
    }

    /// The workouts that the log has already, with the ids of their sets, and where it has the last
    /// of them. One that was said otherwise is a conflict.
    async fn recorded(
        &self,
        origin: &Origin,
        planned: &[Planned],
    ) -> Result<(BTreeMap<WorkoutId, Vec<SetId>>, Appended), Error> {
        let epoch = self.log.reader().epoch().await.map_err(unreadable)?;
        let (mut known, mut last) = (BTreeMap::new(), Position(0));
        for workout in planned.iter().filter(|workout| workout.said.id.is_some()) {
            let loaded = self.workout(origin, workout.id).await?;
            if loaded.state.is_none() {
                continue;
            }
            let fingerprint = workout.client.fingerprint;
            if loaded.made(None).is_none_or(|made| made.fingerprint != fingerprint) {
                return Err(id_taken());
            }
            // As it was recorded: its sets may have been corrected or removed since.
            let recorded = Version(1 + i32::try_from(workout.sets.len()).map_err(Error::internal)?);
            let (athlete, stream) = (origin.athlete, Stream::workout(workout.id));
            let then = self.workouts.as_of(athlete, origin.partition, stream, recorded).await?;
            let sets = then.state.iter().flat_map(|workout| &workout.sets);
            known.insert(workout.id, sets.map(|set| set.id).collect());
            last = last.max(loaded.position);
        }
        Ok((known, Appended { epoch, partition: origin.partition, position: last }))
    }

    /// The events of each workout, and everything that the rules say against them.
    async fn drafts(
        &self,
        origin: &Origin,
        planned: &[Planned],
        now: Timestamp,
        wrong: &mut Vec<Detail>,
    ) -> Result<Vec<Draft>, Error> {
        let involved = planned.iter().flat_map(|workout| {
            let sets = workout.said.sets.iter().map(|set| &set.exercise);
            sets.chain(workout.said.exercises.iter().map(|noted| &noted.exercise))
        });
        let involved: Vec<&ExerciseId> = involved.collect();
        let measurements = self.measurements(origin, &involved).await?;
        let mut drafts = Vec::with_capacity(planned.len());
        for workout in planned {
            drafts.push(self.draft(origin, workout, &measurements, now, wrong).await?);
        }
        Ok(drafts)
    }

    async fn draft(
        &self,
        origin: &Origin,
        planned: &Planned,
        measurements: &Measurements,
        now: Timestamp,
        wrong: &mut Vec<Detail>,
    ) -> Result<Draft, Error> {
        let (said, at) = (&planned.said, &planned.at);
        let start = StartWorkout {
            id: Some(planned.id),
            started_at: Some(said.started_at),
            title: said.title.clone(),
            notes: said.notes.clone(),
            visibility: said.visibility,
            routine: None,
        };
        let mut draft = match start.decide(None, Follows::Nothing, now) {
            Ok(started) => Draft::new(started, planned.client),
            Err(rejection) => {
                wrong.extend(against(at, rejection)?);
                Draft::default()
            }
        };
        for (index, (set, id)) in said.sets.iter().zip(&planned.sets).enumerate() {
            let Some(workout) = draft.state.as_ref() else { break };
            let mut set = set.clone();
            set.id = Some(*id);
            set.performed_at = set.performed_at.or(Some(said.started_at));
            let measurement = measurements.of(&set.exercise);
            let usual = self.known_usual(origin.athlete, &set.exercise, measurement, *id).await;
            match set.decide(workout, *id, measurements, usual, now) {
                Ok(logged) => {
                    let said = ("log_set", planned.id, &set);
                    let client = self.client_id(origin.athlete, Some(id.uuid()), &said).await?;
                    draft.take(logged, Some(client));
                }
                Err(Rejection::Conflict { message, .. }) => {
                    let field = format!("{at}.sets[{index}].id");
                    if wrong.iter().all(|known| known.field != field) {
                        wrong.push(Detail::new(field, message));
                    }
                }
                Err(rejection) => wrong.extend(against(&format!("{at}.sets[{index}]"), rejection)?),
            }
        }
        for (index, noted) in said.exercises.iter().enumerate() {
            let Some(workout) = draft.state.as_ref() else { break };
            let note = NoteExercise {
                notes: noted.notes.clone(),
                form_score: noted.form_score,
                form_notes: noted.form_notes.clone(),
            };
            match note.decide(workout, &noted.exercise, measurements) {
                Ok(events) => draft.take(events, None),
                Err(Rejection::NotFound(_)) => {
                    let message = "must be an exercise of the library or one of your own";
                    wrong.push(Detail::new(format!("{at}.exercises[{index}].exercise"), message));
                }
                Err(rejection) => {
                    wrong.extend(against(&format!("{at}.exercises[{index}]"), rejection)?);
                }
            }
        }
        let feeling =
            Feeling { rating: said.rating, energy: said.energy, soreness: said.soreness.clone() };
        let feeling = (feeling != Feeling::default()).then_some(feeling);
        if let Some(workout) = draft.state.as_ref().filter(|workout| !workout.sets.is_empty()) {
            match workout::complete(workout, Some(said.completed_at), feeling, now) {
                Ok(completed) => draft.take(completed, None),
                Err(rejection) => wrong.extend(against(at, rejection)?),
            }
        }
        Ok(draft)
    }
}

/// Of what there is too much or too little.
fn uncounted(workouts: &[RecordWorkout]) -> Vec<Detail> {
    let mut wrong = Vec::new();
    if !(1..=MOST_WORKOUTS).contains(&workouts.len()) {
        wrong.push(Detail::new("workouts", "must be 1 to 100 workouts"));
    }
    let empty = workouts.iter().enumerate().filter(|(_, workout)| workout.sets.is_empty());
    wrong.extend(empty.map(|(index, _)| {
        Detail::new(format!("workouts[{index}].sets"), "must be one set or more")
    }));
    if workouts.iter().map(|workout| workout.sets.len()).sum::<usize>() > MOST_SETS {
        wrong.push(Detail::new("workouts", "must have at most 500 sets in all"));
    }
    if workouts.iter().map(|workout| workout.exercises.len()).sum::<usize>() > MOST_NOTED {
        wrong.push(Detail::new("workouts", "must have notes on at most 200 exercises in all"));
    }
    wrong
}

/// The ids that stand in a request twice.
fn given_twice(planned: &[Planned]) -> Vec<Detail> {
    let (mut wrong, mut workouts, mut sets) = (Vec::new(), HashSet::new(), HashSet::new());
    for workout in planned {
        if !workouts.insert(workout.id) {
            wrong.push(Detail::new(format!("{}.id", workout.at), "must not be given twice"));
        }
        for (index, id) in workout.sets.iter().enumerate() {
            if !sets.insert(*id) {
                let field = format!("{}.sets[{index}].id", workout.at);
                wrong.push(Detail::new(field, "must not be given twice"));
            }
        }
        let mut noted = HashSet::new();
        for (index, said) in workout.said.exercises.iter().enumerate() {
            if !noted.insert(&said.exercise) {
                let field = format!("{}.exercises[{index}].exercise", workout.at);
                wrong.push(Detail::new(field, "must not be given twice"));
            }
        }
    }
    wrong
}

/// What the rules say against an entry, by the names of the request.
fn against(at: &str, rejection: Rejection) -> Result<Vec<Detail>, Error> {
    match rejection {
        Rejection::Invalid(fields) => {
            let below = fields.into_iter();
            let below = below.map(|it| Detail::new(format!("{at}.{}", it.field), it.message));
            Ok(below.collect())
        }
        rejection => Err(rejected(rejection)),
    }
}
