//! One workout: the state and decisions of `workout-…` streams.

mod sets;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use events::{
    Event, ExerciseId, ExerciseNoted, Feeling, FormScore, ImportFormat, Measurement, Personal,
    PlannedExercise, SetCorrected, SetId, SetValues, Timestamp, Visibility, WorkoutCompleted,
    WorkoutDetails, WorkoutDetailsChanged, WorkoutDiscarded, WorkoutRoutine, WorkoutShared,
    WorkoutStarted, WorkoutUnshared,
};

use crate::{Patch, Rejection, rejection::Problems};

pub use sets::{Correction, NewSet, confirm_set, correct_set, log_set, remove_set};

/// Most sets of one workout.
pub const MAX_SETS: usize = 500;

/// How far a device's clock may be ahead of ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// A workout that ended longer ago is no news, and is not shared by being completed.
const NEWS: TimeDelta = TimeDelta::days(7);

/// Where a workout is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It goes on.
    Active,
    /// It ended, and stays editable.
    Completed,
    /// It was thrown away, and takes nothing more.
    Discarded,
}

/// A workout as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workout {
    /// Where it is in its life.
    pub status: Status,
    /// What the athlete said about it.
    pub details: WorkoutDetails,
    /// The app whose export it came from.
    pub imported_from: Option<ImportFormat>,
    /// The routine that it follows.
    pub routine: Option<WorkoutRoutine>,
    /// What was planned.
    pub plan: Vec<PlannedExercise>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Whether it was left open, and closed by Ironledger.
    pub abandoned: bool,
    /// How it felt.
    pub feeling: Option<Personal<Feeling>>,
    /// Whether it is shared with those who may see it.
    pub shared: bool,
    /// What the athlete says with it where it is shared.
    pub caption: Option<Personal<String>>,
    /// Whether it is shared without the records that it broke.
    pub records_withheld: bool,
    /// The sets that count, in the order of logging.
    pub sets: Vec<Set>,
    /// What was noted last of each exercise, also where it was emptied since.
    pub noted: BTreeMap<ExerciseId, ExerciseNoted>,
    /// Sets that were removed: their ids are not used again.
    removed: BTreeSet<SetId>,
}

/// A set of a workout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its id.
    pub id: SetId,
    /// What it was.
    pub values: SetValues,
    /// Whether it is far beyond what was known of the athlete, and nobody has confirmed it.
    pub unusual: bool,
}

impl Workout {
    /// Takes in what happened; the first event makes the workout.
    pub fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let Some(mut workout) = state else {
            let Event::WorkoutStarted(started) = event else { return None };
            return Some(Self {
                status: Status::Active,
                details: started.details.clone(),
                imported_from: started.imported_from,
                routine: started.routine,
                plan: started.plan.clone(),
                completed_at: None,
                abandoned: false,
                feeling: None,
                shared: false,
                caption: None,
                records_withheld: false,
                sets: Vec::new(),
                noted: BTreeMap::new(),
                removed: BTreeSet::new(),
            });
        };
        match event {
            Event::WorkoutDetailsChanged(changed) => {
                workout.details = changed.details.clone();
                workout.completed_at = changed.completed_at;
                workout.feeling = changed.feeling.clone();
            }
            Event::SetLogged(logged) => {
                workout.sets.push(Set {
                    id: logged.set_id,
                    values: logged.set.clone(),
                    unusual: logged.unusual,
                });
            }
            Event::SetCorrected(corrected) => {
                if let Some(set) = workout.sets.iter_mut().find(|set| set.id == corrected.set_id) {
                    set.values = corrected.set.clone();
                    set.unusual = corrected.unusual;
                }
            }
            Event::SetConfirmed(confirmed) => {
                if let Some(set) = workout.sets.iter_mut().find(|set| set.id == confirmed.set_id) {
                    set.unusual = false;
                }
            }
            Event::SetRemoved(removed) => {
                workout.sets.retain(|set| set.id != removed.set_id);
                workout.removed.insert(removed.set_id);
            }
            Event::ExerciseNoted(noted) => {
                workout.noted.insert(noted.exercise.clone(), noted.clone());
            }
            Event::WorkoutCompleted(completed) => {
                workout.status = Status::Completed;
                workout.completed_at = Some(completed.completed_at);
                workout.abandoned = completed.abandoned;
                workout.shared = completed.shared;
                workout.feeling = completed.feeling.clone();
            }
            Event::WorkoutShared(shared) => {
                // What was withheld of one that is shared stays so.
                workout.records_withheld &= workout.shared;
                workout.shared = true;
                workout.caption = shared.text.clone();
            }
            Event::WorkoutUnshared(unshared) if unshared.records_only => {
                workout.records_withheld = true;
            }
            Event::WorkoutUnshared(_) => {
                workout.shared = false;
                workout.caption = None;
            }
            Event::WorkoutDiscarded(_) => workout.status = Status::Discarded,
            _ => {}
        }
        Some(workout)
    }

    /// The set of an id, unless it was removed.
    pub fn set(&self, id: SetId) -> Option<&Set> {
        self.sets.iter().find(|set| set.id == id)
    }

    fn still_open(&self) -> Result<(), Rejection> {
        if self.status == Status::Discarded {
            let message = "the workout was discarded and takes nothing more";
            return Err(Rejection::Conflict { code: "WORKOUT_DISCARDED", message });
        }
        Ok(())
    }
}

/// What to start a workout with.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// When it began; now by default.
    pub started_at: Option<Timestamp>,
    /// A title.
    pub title: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// The app whose export it comes from.
    pub imported_from: Option<ImportFormat>,
    /// What it follows.
    pub follows: Follows,
}

/// Which routine a workout is to follow.
#[derive(Debug, Clone, Default)]
pub enum Follows {
    /// None.
    #[default]
    Nothing,
    /// One that is not there.
    Unknown,
    /// One as it is at this moment.
    Routine {
        /// Which, and in which version.
        routine: WorkoutRoutine,
        /// Its name, which the workout has unless it is given another.
        name: Option<String>,
        /// What it plans.
        plan: Vec<PlannedExercise>,
    },
}

/// Decides on starting a workout.
pub fn start(start: Start, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let started_at = start.started_at.unwrap_or(now);
    let mut problems = Problems::default();
    problems.add_if(future(started_at, now), "started_at", FUTURE);
    let (routine, name, plan) = match start.follows {
        Follows::Nothing => (None, None, Vec::new()),
        Follows::Unknown => {
            problems.add("routine", "must be a routine of yours");
            (None, None, Vec::new())
        }
        Follows::Routine { routine, name, plan } => (Some(routine), name, plan),
    };
    problems.into_result()?;
    let details = WorkoutDetails {
        started_at,
        title: start.title.or(name).map(Personal::Clear),
        notes: start.notes.map(Personal::Clear),
        visibility: start.visibility,
    };
    let imported_from = start.imported_from;
    Ok(vec![WorkoutStarted { details, imported_from, routine, plan }.into()])
}

/// What to change of a workout.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Change {
    pub started_at: Patch<Timestamp>,
    pub completed_at: Patch<Timestamp>,
    pub title: Patch<String>,
    pub notes: Patch<String>,
    pub visibility: Patch<Visibility>,
    pub feeling: Patch<Feeling>,
}

/// Decides on changing what is said about a workout; no events when it says so already.
///
/// A completed workout that is given a new start alone is re-dated: its end and its sets move
/// along. Given both times, or still active, its sets stay where they are.
pub fn change(workout: &Workout, change: Change, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    workout.still_open()?;
    let mut problems = Problems::default();
    let mut details = workout.details.clone();
    let mut completed_at = workout.completed_at;
    let mut feeling = workout.feeling.clone();

    let re_dated = workout.status == Status::Completed && change.completed_at == Patch::Keep;
    change.started_at.apply_required(&mut details.started_at, "started_at", &mut problems);
    change.visibility.apply_required(&mut details.visibility, "visibility", &mut problems);
    change.title.map(Personal::Clear).apply(&mut details.title);
    change.notes.map(Personal::Clear).apply(&mut details.notes);
    if workout.status == Status::Active {
        let message = "can be given once the workout is completed";
        problems.add_if(change.completed_at != Patch::Keep, "completed_at", message);
        problems.add_if(change.feeling != Patch::Keep, "feeling", message);
    } else {
        problems.add_if(change.completed_at == Patch::Clear, "completed_at", "must not be null");
        change.completed_at.apply(&mut completed_at);
        change.feeling.map(Personal::Clear).apply(&mut feeling);
    }
    let moved = details.started_at.utc() - workout.details.started_at.utc();
    if re_dated {
        completed_at = completed_at.and_then(|end| end.shifted(moved));
    }
    problems.add_if(future(details.started_at, now), "started_at", FUTURE);
    let mut sets = Vec::new();
    if re_dated && !moved.is_zero() {
        for set in &workout.sets {
            let Some(performed_at) = moved_to(set.values.performed_at, moved, now) else {
                problems.add("started_at", "must not move a set into the future or before 1900");
                break;
            };
            let values = SetValues { performed_at, ..set.values.clone() };
            sets.push(SetCorrected { set_id: set.id, set: values, unusual: set.unusual });
        }
    }
    if let Some(end) = completed_at {
        problems.add_if(future(end, now), "completed_at", FUTURE);
        problems.add_if(end < details.started_at, "completed_at", BEFORE_START);
    }
    problems.into_result()?;

    let unchanged = details == workout.details
        && completed_at == workout.completed_at
        && feeling == workout.feeling;
    if unchanged {
        return Ok(Vec::new());
    }
    let mut events: Vec<Event> =
        vec![WorkoutDetailsChanged { details, completed_at, feeling }.into()];
    events.extend(sets.into_iter().map(Event::from));
    Ok(events)
}

/// What to note of an exercise of a workout: the whole of it, so that what is absent is emptied.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Note {
    pub exercise: ExerciseId,
    pub notes: Option<String>,
    pub form_score: Option<FormScore>,
    pub form_notes: Option<String>,
}

/// Decides on noting something of an exercise, whether the workout has a set of it or not; no
/// events when it says so already. `measurement` is that of the exercise, `None` when there is no
/// such exercise for this athlete.
pub fn note_exercise(
    workout: &Workout,
    note: Note,
    measurement: Option<Measurement>,
) -> Result<Vec<Event>, Rejection> {
    workout.still_open()?;
    measurement.ok_or(Rejection::NotFound("exercise"))?;
    let noted = ExerciseNoted {
        exercise: note.exercise,
        notes: note.notes.map(Personal::Clear),
        form_score: note.form_score,
        form_notes: note.form_notes.map(Personal::Clear),
    };
    let unchanged = match workout.noted.get(&noted.exercise) {
        Some(known) => *known == noted,
        None => noted.is_empty(),
    };
    if unchanged {
        return Ok(Vec::new());
    }
    Ok(vec![noted.into()])
}

/// Decides on completing a workout; no events when it was completed so already.
pub fn complete(
    workout: &Workout,
    completed_at: Option<Timestamp>,
    feeling: Option<Feeling>,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    workout.still_open()?;
    let feeling = feeling.map(Personal::Clear);
    if workout.status == Status::Completed {
        let same = completed_at.is_none_or(|at| workout.completed_at == Some(at))
            && (feeling.is_none() || feeling == workout.feeling);
        if same {
            return Ok(Vec::new());
        }
        let message = "the workout was completed otherwise; change it instead";
        return Err(Rejection::Conflict { code: "WORKOUT_COMPLETED", message });
    }
    if workout.sets.is_empty() {
        let message = "the workout has no sets: log one, or discard it";
        return Err(Rejection::Conflict { code: "WORKOUT_EMPTY", message });
    }
    let at = completed_at.unwrap_or(now.max(workout.details.started_at));
    let mut problems = Problems::default();
    problems.add_if(future(at, now), "completed_at", FUTURE);
    problems.add_if(at < workout.details.started_at, "completed_at", BEFORE_START);
    problems.into_result()?;
    let is_news = at.shifted(NEWS).is_none_or(|last| last > now);
    let shared = is_news
        && workout.imported_from.is_none()
        && workout.details.visibility != Visibility::Private;
    Ok(vec![WorkoutCompleted { completed_at: at, feeling, abandoned: false, shared }.into()])
}

/// Decides on sharing a completed workout with those who may see it, and on what is said with it;
/// no events when it is shared so already.
pub fn share(workout: &Workout, text: Option<String>) -> Result<Vec<Event>, Rejection> {
    workout.still_open()?;
    if workout.status != Status::Completed {
        let message = "the workout goes on: complete it first";
        return Err(Rejection::Conflict { code: "WORKOUT_ACTIVE", message });
    }
    if workout.details.visibility == Visibility::Private {
        let message = "the workout is private: let others see it first";
        return Err(Rejection::Conflict { code: "WORKOUT_PRIVATE", message });
    }
    let text = text.map(Personal::Clear);
    if workout.shared && workout.caption == text {
        return Ok(Vec::new());
    }
    Ok(vec![WorkoutShared { text }.into()])
}

/// Decides on sharing a workout, or the records that it broke, with nobody any more; no events when
/// that is so already.
pub fn unshare(workout: &Workout, records_only: bool) -> Vec<Event> {
    let is_shared = workout.shared && workout.status != Status::Discarded;
    if is_shared && !(records_only && workout.records_withheld) {
        vec![WorkoutUnshared { records_only }.into()]
    } else {
        Vec::new()
    }
}

/// Decides on closing a workout that was left open: it ended with its last set, or never was one. No
/// events when it is closed already.
pub fn close_abandoned(workout: &Workout) -> Vec<Event> {
    if workout.status != Status::Active {
        return Vec::new();
    }
    let Some(last) = workout.sets.iter().map(|set| set.values.performed_at).max() else {
        return vec![WorkoutDiscarded {}.into()];
    };
    let completed_at = last.max(workout.details.started_at);
    vec![WorkoutCompleted { completed_at, feeling: None, abandoned: true, shared: false }.into()]
}

/// Decides on discarding a workout; no events when it was discarded already.
pub fn discard(workout: &Workout) -> Vec<Event> {
    match workout.status {
        Status::Discarded => Vec::new(),
        Status::Active | Status::Completed => vec![WorkoutDiscarded {}.into()],
    }
}

const FUTURE: &str = "must not lie in the future";
const BEFORE_START: &str = "must not lie before the start";

fn future(at: Timestamp, now: Timestamp) -> bool {
    now.shifted(SKEW).is_some_and(|latest| at > latest)
}

/// Where a set lands that is moved along with its workout; `None` where no set can be.
fn moved_to(at: Timestamp, by: TimeDelta, now: Timestamp) -> Option<Timestamp> {
    at.shifted(by).filter(|at| !future(*at, now))
}

#[cfg(test)]
#[path = "workout_tests.rs"]
mod tests;
