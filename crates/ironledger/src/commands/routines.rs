//! Commands about an athlete's own routines.

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    Patch, Rejection,
    folders::Folders,
    routines::{self, Around, Routine},
    workout::Follows,
};
use events::{
    AthleteId, Event, ExerciseId, FolderId, PlannedExercise, PlannedSet, RepRange, Reps, RoutineId,
    Rpe, Seconds, SetKind, Stream, SupersetId, Text, Weekday, WorkoutRoutine,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Error};

use super::{
    Commands, Failure, Loaded, Origin, State,
    exercises::Measurements,
    rejected,
    requests::{TypedMetres, TypedWeight},
};

impl State for Routine {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        Self::evolve(state, event)
    }
}

/// The body of `POST /v1/routines`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRoutine {
    /// A UUID of version 7 that makes the command safe to send twice.
    id: Option<RoutineId>,
    /// What the athlete calls it.
    name: Text<100>,
    /// Notes.
    notes: Option<Text<1000>>,
    /// One of the athlete's folders.
    folder: Option<FolderId>,
    /// At most 50, in their order.
    #[serde(default)]
    #[schemars(extend("maxItems" = 50))]
    exercises: Vec<PlannedBody>,
    /// The days of the week that it is for.
    #[serde(default)]
    schedule: BTreeSet<Weekday>,
    /// Whether everybody may see, like and copy it.
    #[serde(default)]
    public: bool,
}

/// The body of `PATCH /v1/routines/{id}`: absent fields stay, `null` empties what may be empty.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ChangeRoutine {
    /// What the athlete calls it.
    #[schemars(with = "Text<100>")]
    name: Patch<Text<100>>,
    /// Notes.
    notes: Patch<Text<1000>>,
    /// One of the athlete's folders.
    folder: Patch<FolderId>,
    /// At most 50, in their order.
    #[schemars(extend("maxItems" = 50))]
    exercises: Patch<Vec<PlannedBody>>,
    /// The days of the week that it is for.
    schedule: Patch<BTreeSet<Weekday>>,
    /// Whether everybody may see, like and copy it.
    #[schemars(with = "bool")]
    public: Patch<bool>,
}

/// What is planned of an exercise.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with exercise and sets")]
struct PlannedBody {
    /// The slug of a library exercise or the id of one's own.
    exercise: ExerciseId,
    /// 1 to 30, in their order.
    #[schemars(length(min = 1, max = 30))]
    sets: Vec<PlannedSetBody>,
    /// Rest after each set, in seconds; 90 by default.
    rest_seconds: Option<Seconds>,
    /// Exercises with the same number are done in turns.
    superset_id: Option<SupersetId>,
    /// Notes.
    notes: Option<Text<500>>,
}

/// What a set is to be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with what the set is to be")]
struct PlannedSetBody {
    /// What the set is for; normal by default.
    #[serde(default)]
    kind: SetKind,
    /// How many repetitions.
    reps: Option<RepsBody>,
    /// Weight lifted, added or assisting.
    weight: Option<TypedWeight>,
    /// How long it is to take, in seconds.
    duration_seconds: Option<Seconds>,
    /// How far, in metres.
    distance_metres: Option<TypedMetres>,
    /// Rating of perceived exertion.
    rpe: Option<Rpe>,
}

/// From so many repetitions to so many.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with min and max")]
struct RepsBody {
    /// At least so many.
    min: Reps,
    /// As min by default.
    max: Option<Reps>,
}

impl From<PlannedBody> for PlannedExercise {
    fn from(body: PlannedBody) -> Self {
        Self {
            exercise: body.exercise,
            sets: body.sets.into_iter().map(PlannedSet::from).collect(),
            rest_seconds: body.rest_seconds.unwrap_or(Seconds::USUAL_REST),
            superset_id: body.superset_id,
            notes: body.notes.map(Text::into_string).map(events::Personal::Clear),
        }
    }
}

impl From<PlannedSetBody> for PlannedSet {
    fn from(body: PlannedSetBody) -> Self {
        let range = |RepsBody { min, max }| RepRange { min, max: max.unwrap_or(min) };
        Self {
            kind: body.kind,
            reps: body.reps.map(range),
            weight: body.weight.map(|weight| weight.0),
            duration_seconds: body.duration_seconds,
            distance_metres: body.distance_metres.map(|metres| metres.0),
            rpe: body.rpe,
        }
    }
}

fn plan(bodies: Vec<PlannedBody>) -> Vec<PlannedExercise> {
    bodies.into_iter().map(PlannedExercise::from).collect()
}

type Decided = Result<Vec<Event>, Rejection>;

impl CreateRoutine {
    fn decide(&self, known: &Known, others: usize) -> Decided {
        let command = self.clone();
        let draft = routines::Draft {
            name: command.name.into_string(),
            notes: command.notes.map(Text::into_string),
            folder: command.folder,
            exercises: plan(command.exercises),
            schedule: command.schedule,
            public: command.public,
        };
        known.decide(|around| routines::create(draft, around, others))
    }

    fn involved(&self) -> Vec<&ExerciseId> {
        self.exercises.iter().map(|planned| &planned.exercise).collect()
    }
}

impl ChangeRoutine {
    fn decide(&self, routine: &Routine, known: &Known) -> Decided {
        let command = self.clone();
        let change = routines::Change {
            name: command.name.map(Text::into_string),
            notes: command.notes.map(Text::into_string),
            folder: command.folder,
            exercises: command.exercises.map(plan),
            schedule: command.schedule,
            public: command.public,
        };
        known.decide(|around| routines::change(routine, change, around))
    }

    fn involved(&self) -> Vec<&ExerciseId> {
        match &self.exercises {
            Patch::Set(all) => all.iter().map(|planned| &planned.exercise).collect(),
            Patch::Keep | Patch::Clear => Vec::new(),
        }
    }
}

/// What a decision on a plan must know of the athlete's.
struct Known {
    measurements: Measurements,
    /// Asked for only where one is named.
    folders: Option<Arc<Loaded<Folders>>>,
}

impl Known {
    fn decide(&self, decide: impl FnOnce(Around<'_>) -> Decided) -> Decided {
        let nothing = Folders::default();
        let folders = self.folders.as_ref().and_then(|loaded| loaded.state.as_ref());
        decide(Around {
            measurement: &|exercise| self.measurements.of(exercise),
            folders: folders.unwrap_or(&nothing),
        })
    }
}

/// Carrying commands out.
impl Commands {
    /// Makes a routine; `show` gets its id too.
    pub(crate) async fn create_routine<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        command: CreateRoutine,
        show: impl Fn(RoutineId, Arc<Loaded<Routine>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Routine>> {
        let client = match command.id {
            Some(_) => {
                Some(self.client_id(origin.athlete, None, &("create_routine", &command)).await?)
            }
            None => None,
        };
        let id = self.routine_id(command.id)?;
        let known = self.known(origin, &command.involved(), command.folder.is_some()).await?;
        let others = self.count_routines(origin.athlete).await;
        let decide = |loaded: &Loaded<Routine>, _| {
            not_taken(loaded)?;
            command.decide(&known, others)
        };
        let show = |loaded| show(id, loaded);
        self.execute(&self.routines, origin, Stream::routine(id), client, decide, show).await
    }

    /// Changes a routine.
    pub(crate) async fn change_routine<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: RoutineId,
        command: ChangeRoutine,
        show: impl Fn(Arc<Loaded<Routine>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Routine>> {
        let names_folder = matches!(command.folder, Patch::Set(_));
        let known = self.known(origin, &command.involved(), names_folder).await?;
        let decide = |routine: &Routine| command.decide(routine, &known);
        self.on_routine(origin, id, decide, show).await
    }

    /// Throws a routine away.
    pub(crate) async fn delete_routine<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: RoutineId,
        show: impl Fn(Arc<Loaded<Routine>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Routine>> {
        self.on_routine(origin, id, |routine| Ok(routines::delete(routine)), show).await
    }

    /// A routine as the log has it now; without a state when the athlete has none of that id.
    pub(crate) async fn routine(
        &self,
        origin: &Origin,
        id: RoutineId,
    ) -> Result<Arc<Loaded<Routine>>, Error> {
        self.routines.read(origin.athlete, origin.partition, Stream::routine(id)).await
    }

    /// What a workout follows that is to be started from a routine of the athlete's own, as it is at
    /// this moment.
    pub(super) async fn follows(
        &self,
        origin: &Origin,
        routine: Option<RoutineId>,
    ) -> Result<Follows, Error> {
        let Some(id) = routine else { return Ok(Follows::Nothing) };
        let loaded = self.routine(origin, id).await?;
        let routine = loaded.state.as_ref().and_then(Routine::there);
        Ok(routine.map_or(Follows::Unknown, |routine| Follows::Routine {
            routine: WorkoutRoutine { id, version: loaded.version },
            name: routine.details.name.clear().cloned(),
            plan: routine.details.exercises.clone(),
        }))
    }

    pub(super) fn routine_id(&self, wanted: Option<RoutineId>) -> Result<RoutineId, Error> {
        wanted.map_or_else(
            || RoutineId::new(self.random.uuid(self.clock.now())).map_err(Error::internal),
            Ok,
        )
    }

    /// How many routines the athlete has, as the read model knows. The log cannot tell without reading
    /// all of them; that some may slip in at the same moment does no harm, and nobody is kept from
    /// making one because the model is away.
    pub(super) async fn count_routines(&self, athlete: AthleteId) -> usize {
        match projections::routines::count(&self.usuals.pool, athlete).await {
            Ok(many) => many,
            Err(error) => {
                tracing::debug!(%error, "routines cannot be counted");
                0
            }
        }
    }

    async fn on_routine<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: RoutineId,
        decide: impl Fn(&Routine) -> Decided,
        show: impl Fn(Arc<Loaded<Routine>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Routine>> {
        let decide = |loaded: &Loaded<Routine>, _| {
            let routine = loaded.state.as_ref().ok_or(Rejection::NotFound("routine"))?;
            decide(routine)
        };
        self.execute(&self.routines, origin, Stream::routine(id), None, decide, show).await
    }

    async fn known(
        &self,
        origin: &Origin,
        involved: &[&ExerciseId],
        names_folder: bool,
    ) -> Result<Known, Error> {
        let measurements = self.measurements(origin, involved).await?;
        let folders = if names_folder { Some(self.folders(origin).await?) } else { None };
        Ok(Known { measurements, folders })
    }
}

/// Refuses to make a routine under the id of another.
pub(super) fn not_taken(loaded: &Loaded<Routine>) -> Result<(), Rejection> {
    if loaded.state.is_some() {
        let message = "the id belongs to another routine of yours";
        return Err(Rejection::Conflict { code: "ID_TAKEN", message });
    }
    Ok(())
}

/// Saying what the rules would say of a command that is not carried out.
impl Commands {
    pub(crate) async fn judge_routine(
        &self,
        origin: &Origin,
        command: &CreateRoutine,
    ) -> Result<(), Error> {
        let known = self.known(origin, &command.involved(), command.folder.is_some()).await?;
        command.decide(&known, 0).map(drop).map_err(rejected)
    }

    pub(crate) async fn judge_routine_change(
        &self,
        origin: &Origin,
        id: RoutineId,
        command: &ChangeRoutine,
    ) -> Result<(), Error> {
        let names_folder = matches!(command.folder, Patch::Set(_));
        let known = self.known(origin, &command.involved(), names_folder).await?;
        let loaded = self.routine(origin, id).await?;
        let routine = loaded.state.as_ref().ok_or_else(|| Error::not_found("routine"))?;
        command.decide(routine, &known).map(drop).map_err(rejected)
    }
}
