//! Taking in histories from other apps, through the same commands that the interface uses.
//!
//! Ids are made from the content, so that the same row is the same set however often and in
//! whatever file it is brought.

pub(crate) mod hevy;
mod local_time;
mod months;
mod records;

use std::collections::BTreeMap;

use domain::library::{Library, fold};
use events::{
    CustomExerciseId, Equipment, ExerciseId, ImportFormat, Measurement, SetId, SetNumber, Side,
    Text, Timestamp, WorkoutId,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use web::Error;

use crate::commands::{
    Commands, Failure, Origin,
    exercises::CreateExercise,
    recording::{Outcome, Whole},
    requests::{LogSet, NoteExercise, StartWorkout, TypedMetres, TypedWeight},
    unseen,
};
use hevy::{Export, Refusal};

/// What came of an import.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Rows in the file, its header apart.
    pub(crate) rows: usize,
    pub(crate) sets_new: usize,
    /// Sets that an earlier import brought.
    pub(crate) sets_known: usize,
    pub(crate) workouts_new: usize,
    pub(crate) exercises_made: usize,
    /// Rows that were not taken, and why.
    pub(crate) refused: Vec<Refusal>,
    /// What was changed on the way in.
    pub(crate) warnings: Vec<Refusal>,
}

/// The import ended early; what it took so far is there.
pub(crate) struct Interrupted {
    pub(crate) report: Report,
    pub(crate) why: String,
}

/// Takes in an export; `advanced` is told how many rows were dealt with.
pub(crate) async fn take(
    commands: &Commands,
    origin: &Origin,
    format: ImportFormat,
    export: Export,
    advanced: impl Fn(u64),
) -> Result<Report, Interrupted> {
    let mut report = Report {
        rows: export.rows,
        refused: export.refused,
        warnings: export.warnings,
        ..Report::default()
    };
    advanced(u64::try_from(report.refused.len()).unwrap_or_default());
    let taken = take_workouts(commands, origin, format, export.workouts, &mut report, advanced);
    let why = match taken.await {
        Ok(()) => {
            report.refused.sort_by_key(|refusal| refusal.line);
            report.warnings.sort_by_key(|warning| warning.line);
            return Ok(report);
        }
        Err(error) => error.to_string(),
    };
    Err(Interrupted { report, why })
}

async fn take_workouts(
    commands: &Commands,
    origin: &Origin,
    format: ImportFormat,
    workouts: Vec<hevy::Workout>,
    report: &mut Report,
    advanced: impl Fn(u64),
) -> Result<(), Error> {
    let exercises = exercises(commands, origin, format, &workouts, report).await?;
    for workout in workouts {
        let rows = u64::try_from(workout.sets.len()).unwrap_or_default();
        take_workout(commands, origin, format, workout, &exercises, report).await?;
        advanced(rows);
    }
    Ok(())
}

async fn take_workout(
    commands: &Commands,
    origin: &Origin,
    format: ImportFormat,
    workout: hevy::Workout,
    exercises: &Exercises,
    report: &mut Report,
) -> Result<(), Error> {
    let (start, end) = (workout.started_at, workout.completed_at);
    // Stored for ever, like what else goes into ids: a change here imports everything again.
    let app = match format {
        ImportFormat::Hevy => "Hevy",
        ImportFormat::Strong => "Strong",
        ImportFormat::Fitnotes => "Fitnotes",
    };
    let identity = format!("{} {app} {} {start} {end}", origin.athlete, workout.title);
    let id = WorkoutId::new(content_id(start, &identity)).map_err(Error::internal)?;
    let line = workout.line;

    let mut lines = Vec::with_capacity(workout.sets.len());
    let mut sets = Vec::with_capacity(workout.sets.len());
    let mut notes: Vec<Notes> = Vec::new();
    for set in workout.sets {
        let identity = format!("{id} {} {} {}", set.exercise, set.index, set.occurrence);
        let Ok(number) = SetNumber::new(i64::from(set.index) + 1) else {
            let reason = "set_index must be below 100".to_owned();
            report.refused.push(Refusal { line: set.line, reason });
            continue;
        };
        let exercise = match exercises.get(&fold(&set.exercise)) {
            Some(Ok(exercise)) => exercise.clone(),
            unmade => {
                let why = unmade.and_then(|unmade| unmade.as_ref().err());
                let why = why.map_or("its name cannot be one", String::as_str);
                let reason = format!("the exercise could not be made: {why}");
                report.refused.push(Refusal { line: set.line, reason });
                continue;
            }
        };
        if let Some(text) = set.exercise_notes {
            Notes::add(&mut notes, &exercise, set.line, text);
        }
        lines.push(set.line);
        sets.push(LogSet {
            id: Some(SetId::new(content_id(start, &identity)).map_err(Error::internal)?),
            exercise,
            number,
            kind: set.kind,
            side: Side::Both,
            reps: set.reps,
            weight: set.weight.map(TypedWeight),
            rpe: set.rpe,
            rest_seconds: None,
            duration_seconds: set.duration,
            distance_metres: set.distance.map(TypedMetres),
            custom_metric: None,
            superset_id: set.superset,
            notes: None,
            performed_at: Some(start),
        });
    }
    if sets.is_empty() {
        return Ok(());
    }
    let start = StartWorkout {
        id: Some(id),
        started_at: Some(start),
        title: Text::new(workout.title.trim()).ok(),
        notes: workout.notes.and_then(|notes| Text::new(notes.trim()).ok()),
        visibility: None,
        routine: None,
    };
    let note_lines: Vec<u64> = notes.iter().map(|notes| notes.line).collect();
    let whole = Whole {
        start,
        sets,
        notes: notes.into_iter().map(|notes| notes.into_command(&mut report.warnings)).collect(),
        completed_at: end,
        imported_from: format,
    };
    match commands.record_workout(origin, id, whole).await {
        Ok(recorded) => {
            for (line, outcome) in note_lines.into_iter().zip(recorded.notes) {
                if let Outcome::Refused(reason) = outcome {
                    let reason = format!("exercise_notes {reason}");
                    report.warnings.push(Refusal { line, reason });
                }
            }
            if recorded.new {
                report.workouts_new += 1;
            }
            for (line, outcome) in lines.into_iter().zip(recorded.sets) {
                match outcome {
                    Outcome::New => report.sets_new += 1,
                    Outcome::Known => report.sets_known += 1,
                    Outcome::Refused(reason) => report.refused.push(Refusal { line, reason }),
                }
            }
            Ok(())
        }
        Err(Failure::Refused(error)) if error.is_of_caller() => {
            let reason = format!("its workout (line {line}): {error}");
            report
                .refused
                .extend(lines.into_iter().map(|line| Refusal { line, reason: reason.clone() }));
            Ok(())
        }
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Stale(_)) => Err(Error::internal("an import has no If-Match")),
    }
}

/// What the rows of one exercise of a workout say of it.
struct Notes {
    exercise: ExerciseId,
    /// The first line that says something.
    line: u64,
    /// Each text once: an export repeats it on every row, and the exercise may come twice.
    texts: Vec<String>,
}

impl Notes {
    fn add(all: &mut Vec<Self>, exercise: &ExerciseId, line: u64, text: String) {
        match all.iter_mut().find(|notes| notes.exercise == *exercise) {
            Some(notes) if notes.texts.contains(&text) => {}
            Some(notes) => notes.texts.push(text),
            None => all.push(Self { exercise: exercise.clone(), line, texts: vec![text] }),
        }
    }

    fn into_command(self, warnings: &mut Vec<Refusal>) -> (ExerciseId, NoteExercise) {
        let text = self.texts.join("\n");
        let text = hevy::cut(&text, hevy::NOTES_MAX, "exercise_notes", self.line, warnings);
        let note = NoteExercise { notes: Text::new(text.trim()).ok(), ..NoteExercise::default() };
        (self.exercise, note)
    }
}

/// The exercises behind the names of an export, by folded name, or why there is none.
type Exercises = BTreeMap<String, Result<ExerciseId, String>>;

/// Finds the exercises of an export; what neither the library nor the athlete has is made.
async fn exercises(
    commands: &Commands,
    origin: &Origin,
    format: ImportFormat,
    workouts: &[hevy::Workout],
    report: &mut Report,
) -> Result<Exercises, Error> {
    let mut rows: BTreeMap<String, Vec<&hevy::Set>> = BTreeMap::new();
    for set in workouts.iter().flat_map(|workout| &workout.sets) {
        rows.entry(fold(&set.exercise)).or_default().push(set);
    }
    let own = commands.own_exercises(origin).await?;
    let mut found = Exercises::new();
    for (name, sets) in rows {
        if let Some(exercise) = Library::system().exported_as(format, &name) {
            found.insert(name, Ok(ExerciseId::System((*exercise.id).into())));
            continue;
        }
        if let Some((id, _)) = own.state.as_ref().and_then(|state| state.named(&name)) {
            found.insert(name, Ok(ExerciseId::Custom(id)));
            continue;
        }
        let title = &sets[0].exercise;
        let Ok(shown) = Text::new(title.trim()) else { continue };
        let id = content_id(None, &format!("{} exercise {name}", origin.athlete));
        let command = CreateExercise {
            id: Some(CustomExerciseId::new(id).map_err(Error::internal)?),
            name: shown,
            equipment: equipment(title),
            primary_muscles: Vec::new(),
            secondary_muscles: Vec::new(),
            kind: measurement(&sets),
        };
        let made = match commands.create_exercise(origin, command, |_, loaded| unseen(loaded)).await
        {
            Ok(_) => {
                report.exercises_made += 1;
                Ok(ExerciseId::Custom(id))
            }
            Err(error) if error.is_of_caller() => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        found.insert(name, made);
    }
    Ok(found)
}

/// How the sets of an unknown exercise are measured, from what its rows have.
fn measurement(sets: &[&hevy::Set]) -> Measurement {
    let any = |has: fn(&hevy::Set) -> bool| sets.iter().any(|set| has(set));
    let weight = any(|set| set.weight.is_some());
    match (any(|set| set.reps.is_some()), any(|set| set.distance.is_some())) {
        // Where the weight may be absent: it would be refused for ever of a kind without one.
        (true, _) => Measurement::WeightReps,
        (false, true) if weight => Measurement::WeightDistance,
        (false, true) => Measurement::DistanceDuration,
        (false, false) if weight => Measurement::WeightDuration,
        (false, false) => Measurement::Duration,
    }
}

/// What an unknown exercise takes: apps put it in brackets behind the name.
fn equipment(title: &str) -> Equipment {
    let bracketed = title.rsplit_once('(').map(|(_, rest)| rest.trim_end_matches(')').trim());
    match bracketed.map(str::to_lowercase).as_deref() {
        Some("barbell") => Equipment::Barbell,
        Some("dumbbell") => Equipment::Dumbbell,
        Some("kettlebell") => Equipment::Kettlebell,
        Some("machine" | "plate loaded") => Equipment::Machine,
        Some("cable") => Equipment::Cable,
        Some("smith machine") => Equipment::SmithMachine,
        Some("band") => Equipment::Band,
        Some("bodyweight") => Equipment::Bodyweight,
        _ => Equipment::Other,
    }
}

/// A UUID of version 7 that the same content always gives: its time, if it has one, and a hash in
/// place of chance.
fn content_id(at: impl Into<Option<Timestamp>>, identity: &str) -> Uuid {
    let at: Option<Timestamp> = at.into();
    let millis = at.map_or(0, |at| u64::try_from(at.utc().timestamp_millis()).unwrap_or(0));
    let digest = Sha256::digest(identity.as_bytes());
    let mut chance = [0; 10];
    chance.copy_from_slice(&digest[..10]);
    uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid()
}
