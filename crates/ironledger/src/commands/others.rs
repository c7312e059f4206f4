//! What athletes do with routines of others: see, like and copy those that are public.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    exercises::{self, Exercises},
    likes::Likes,
    routines::{self, Routine},
};
use events::{AthleteId, CopiedFrom, Event, ExerciseId, RoutineId, Stream, Visibility};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{Answer, Error};

use super::{
    Beside, Commands, Failure, Loaded, On, Origin, State, coaching::Side, rejected,
    routines::not_taken,
};

impl State for Likes {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

/// The body of `POST /v1/athletes/{athlete}/routines/{routine}/copy`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyRoutine {
    /// A UUID of version 7 that makes the command safe to send twice: the id of the copy.
    id: Option<RoutineId>,
}

/// Whether somebody likes a routine.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoutineLike")]
pub(crate) struct Liked {
    owner: AthleteId,
    routine: RoutineId,
    liked: bool,
}

impl Commands {
    /// A routine of somebody, if the athlete may see it: their own, or a public one of an athlete whose
    /// profile is not private, or whom they follow. All of it is asked of the log, so that going private
    /// holds at once.
    pub(crate) async fn visible_routine(
        &self,
        origin: &Origin,
        owner: Side,
        id: RoutineId,
    ) -> Result<Arc<Loaded<Routine>>, Error> {
        let (athlete, partition) = owner;
        let (routine, is_open) = tokio::try_join!(
            self.routines.read(athlete, partition, Stream::routine(id)),
            self.is_open_to(origin, owner),
        )?;
        let is_own = athlete == origin.athlete;
        let seen = routine.state.as_ref().is_some_and(|routine| {
            if is_own { !routine.is_deleted } else { is_open && routine.is_public() }
        });
        if seen { Ok(routine) } else { Err(Error::not_found("routine")) }
    }

    /// Whether the athlete may see what somebody shares with everybody, as the log has it now.
    pub(crate) async fn is_open_to(&self, origin: &Origin, owner: Side) -> Result<bool, Error> {
        Ok(self.toward(origin, owner).await?.sees(Visibility::Public))
    }

    /// The exercises that an athlete made.
    pub(crate) async fn exercises_of(
        &self,
        (athlete, partition): Side,
    ) -> Result<Arc<Loaded<Exercises>>, Error> {
        self.exercises.read(athlete, partition, Stream::exercises(athlete)).await
    }

    /// What the athlete likes.
    pub(crate) async fn likes(&self, origin: &Origin) -> Result<Arc<Loaded<Likes>>, Error> {
        self.likes.read(origin.athlete, origin.partition, Stream::likes(origin.athlete)).await
    }

    /// Likes a routine of somebody.
    pub(crate) async fn like_routine(
        &self,
        origin: &Origin,
        owner: Side,
        routine: RoutineId,
    ) -> Result<Answer<Liked>, Error> {
        self.may_meet(origin).await?;
        self.visible_routine(origin, owner, routine).await?;
        self.on_likes(origin, owner.0, routine, |likes| likes.like(owner.0, routine)).await
    }

    /// Likes a routine no longer, whether it can still be seen or not.
    pub(crate) async fn unlike_routine(
        &self,
        origin: &Origin,
        owner: AthleteId,
        routine: RoutineId,
    ) -> Result<Answer<Liked>, Error> {
        self.on_likes(origin, owner, routine, |likes| Ok(likes.unlike(owner, routine))).await
    }

    async fn on_likes(
        &self,
        origin: &Origin,
        owner: AthleteId,
        routine: RoutineId,
        decide: impl Fn(&Likes) -> Result<Vec<Event>, domain::Rejection>,
    ) -> Result<Answer<Liked>, Error> {
        let nothing = Likes::default();
        let decide = |loaded: &Loaded<Likes>, _| decide(loaded.state.as_ref().unwrap_or(&nothing));
        let show = async |loaded: Arc<Loaded<Likes>>| {
            let liked = loaded.state.as_ref().is_some_and(|likes| likes.has(owner, routine));
            Answer::ok(&Liked { owner, routine, liked })
        };
        let stream = Stream::likes(origin.athlete);
        let done = self.execute(&self.likes, origin, stream, None, decide, show).await;
        done.map_err(Failure::of_new)
    }

    /// Copies a routine that the athlete may see; `show` gets the id of the copy too, and the exercises of
    /// the copier's own, where some are made for it: those of its owner's become theirs, in the same append.
    pub(crate) async fn copy_routine<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        owner: Side,
        routine: RoutineId,
        command: CopyRoutine,
        show: impl Fn(RoutineId, Arc<Loaded<Routine>>, Option<Arc<Exercises>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Routine>> {
        let from = CopiedFrom { owner: owner.0, routine };
        let client = match command.id {
            Some(_) => {
                let said = ("copy_routine", from, &command);
                Some(self.client_id(origin.athlete, None, &said).await?)
            }
            None => None,
        };
        let id = self.routine_id(command.id)?;
        let stream = Stream::routine(id);
        // Said again, it is shown even where the other one is gone since.
        let known = self.routines.read(origin.athlete, origin.partition, stream).await?;
        let (source, taken) = if known.state.is_some() {
            (None, Taken::default())
        } else {
            let source = self.visible_routine(origin, owner, routine).await?;
            let taken = self.take_over(origin, owner, &source).await?;
            (source.state.clone(), taken)
        };
        let others = self.count_routines(origin.athlete).await;
        let decide = |loaded: &Loaded<Routine>, _| {
            not_taken(loaded)?;
            let source = source.as_ref().ok_or(domain::Rejection::NotFound("routine"))?;
            let own = |exercise: &ExerciseId| match exercise {
                ExerciseId::Custom(theirs) => taken.own.get(theirs).unwrap_or(exercise).clone(),
                ExerciseId::System(_) => exercise.clone(),
            };
            routines::copy(from, &source.details, own, others)
        };
        let on = On { stream, client, beside: taken.beside.as_ref() };
        let show = |loaded| show(id, loaded, taken.exercises.clone());
        self.execute_on(&self.routines, origin, on, decide, show).await
    }

    /// Finds or makes an own exercise for each of somebody else's that a routine of theirs has.
    async fn take_over(
        &self,
        origin: &Origin,
        owner: Side,
        routine: &Loaded<Routine>,
    ) -> Result<Taken, Error> {
        let mut taken = Taken::default();
        if owner.0 == origin.athlete {
            return Ok(taken);
        }
        let plan = routine.state.iter().flat_map(|routine| &routine.details.exercises);
        let theirs: Vec<Uuid> = plan
            .filter_map(|planned| match planned.exercise {
                ExerciseId::Custom(id) => Some(id),
                ExerciseId::System(_) => None,
            })
            .collect();
        if theirs.is_empty() {
            return Ok(taken);
        }
        let (of_owner, own) =
            tokio::try_join!(self.exercises_of(owner), self.own_exercises(origin))?;
        let mut state = own.state.clone().unwrap_or_default();
        let mut events = Vec::new();
        for id in theirs {
            let exercise = of_owner.state.as_ref().and_then(|state| state.get(id));
            let Some(exercise) = exercise.filter(|_| !taken.own.contains_key(&id)) else {
                continue;
            };
            let new = self.random.uuid(self.clock.now());
            let (same, made) = exercises::adopt(&state, new, exercise).map_err(rejected)?;
            made.iter().for_each(|event| state.evolve(event));
            events.extend(made);
            taken.own.insert(id, same);
        }
        if !events.is_empty() {
            let stream = Stream::exercises(origin.athlete);
            taken.beside = Some(Beside { stream, expected: own.version, events });
            taken.exercises = Some(Arc::new(state));
        }
        Ok(taken)
    }
}

/// What becomes of exercises of somebody else's.
#[derive(Default)]
struct Taken {
    /// By which of the copier's they are replaced.
    own: BTreeMap<Uuid, ExerciseId>,
    /// Those that are made for it.
    beside: Option<Beside>,
    /// All of the copier's, with them.
    exercises: Option<Arc<Exercises>>,
}
