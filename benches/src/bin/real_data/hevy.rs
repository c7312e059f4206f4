//! A real export of Hevy, read by the `csv` crate alone, and what history makes of its import.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use testkit::{Client, process::App};

use crate::{
    ZONE,
    exercises::{self, Exercise, fold, measured_by},
    local,
    records::{Done, Figures},
};

/// A row as it stands in the file.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    title: String,
    start_time: String,
    end_time: String,
    description: String,
    exercise_title: String,
    superset_id: Option<u64>,
    exercise_notes: String,
    set_index: u64,
    set_type: String,
    weight_kg: Option<String>,
    reps: Option<u64>,
    distance_km: Option<String>,
    duration_seconds: Option<u64>,
    rpe: Option<String>,
}

/// What of a set must be the same in the file and in history.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Set {
    exercise: String,
    number: u64,
    kind: String,
    kg: Option<Decimal>,
    reps: Option<u64>,
    metres: Option<Decimal>,
    seconds: Option<u64>,
    rpe: Option<Decimal>,
    superset: Option<u64>,
    /// Of its exercise in its workout.
    notes: Option<String>,
    performed_at: DateTime<Utc>,
}

/// What of a workout must be the same, its sets apart. In the order of time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Workout {
    started_at: DateTime<Utc>,
    completed_at: DateTime<Utc>,
    title: String,
    notes: Option<String>,
}

pub(crate) type Workouts = BTreeMap<Workout, Vec<Set>>;

/// What history answers.
pub(crate) struct History {
    pub(crate) workouts: Workouts,
    /// The ids of workouts and sets: workouts by their start.
    ids: HashMap<DateTime<Utc>, Ids>,
    /// The ids of the athlete's own exercises, by name.
    own: HashMap<String, String>,
}

#[derive(Default)]
struct Ids {
    workout: String,
    /// By exercise, as in [`Set`], and in the order of the workout.
    sets: HashMap<String, Vec<String>>,
}

pub(crate) async fn import(app: &App, athlete: &Client, file: &Path) -> Result<()> {
    let file = file.to_str().context("a plain path")?;
    let email = athlete.email.as_deref().context("an address")?;
    let whose = ["--athlete", email, "--time-zone", ZONE.name()];
    let (status, said) =
        app.run(&[&["import", "--format", "hevy", file][..], &whose].concat()).await;
    print!("{said}");
    if !status.success() {
        eprintln!("the import ended with {status}");
    }
    Ok(())
}

/// The workouts of a file, by the rules of the format alone.
pub(crate) fn read(file: &Path) -> Result<Workouts> {
    let library = exercises::library("hevy")?;
    let mut workouts = Workouts::new();
    for row in csv::Reader::from_path(file)?.into_deserialize() {
        let row: Row = row?;
        let workout = Workout {
            started_at: instant(&row.start_time)?,
            completed_at: instant(&row.end_time)?,
            title: row.title.clone(),
            notes: text(&row.description),
        };
        let set = set(&library, row, workout.started_at)?;
        workouts.entry(workout).or_default().push(set);
    }
    for sets in workouts.values_mut() {
        let mut noted: HashMap<String, Vec<String>> = HashMap::new();
        for set in &*sets {
            let texts = noted.entry(set.exercise.clone()).or_default();
            texts.extend(set.notes.clone().filter(|text| !texts.contains(text)));
        }
        for set in sets {
            set.notes = Some(noted[&set.exercise].join("\n")).filter(|text| !text.is_empty());
        }
    }
    Ok(workouts)
}

fn set(library: &HashMap<String, Exercise>, row: Row, performed_at: DateTime<Utc>) -> Result<Set> {
    let title = row.exercise_title;
    let kind = match row.set_type.as_str() {
        "warmup" => "warm_up",
        "dropset" => "drop",
        other => other,
    };
    let kilometres = decimal(row.distance_km.as_deref())?;
    Ok(Set {
        // An exercise of one's own is known by its name.
        exercise: library.get(&fold(&title)).map(|found| found.id.clone()).unwrap_or(title),
        number: row.set_index + 1,
        kind: kind.to_owned(),
        kg: decimal(row.weight_kg.as_deref())?,
        reps: row.reps,
        metres: kilometres.map(|kilometres| (kilometres * Decimal::ONE_THOUSAND).normalize()),
        seconds: row.duration_seconds,
        rpe: decimal(row.rpe.as_deref())?,
        superset: row.superset_id,
        notes: text(&row.exercise_notes),
        performed_at,
    })
}

fn text(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn decimal(text: Option<&str>) -> Result<Option<Decimal>> {
    let number = text.map(|text| text.parse::<Decimal>().with_context(|| format!("{text:?}")));
    Ok(number.transpose()?.map(|number| number.normalize()))
}

/// `30 Jun 2025, 19:56` on the clocks of the zone.
fn instant(text: &str) -> Result<DateTime<Utc>> {
    local(text, "%d %b %Y, %H:%M")
}

/// Everything that history answers, page by page.
pub(crate) async fn history(athlete: &Client, position: &str) -> Result<History> {
    let own = athlete.get("/v1/exercises").await.expect(200);
    let own: HashMap<&str, &str> = own
        .list()
        .iter()
        .filter(|exercise| exercise["custom"] == true)
        .filter_map(|exercise| Some((exercise["id"].as_str()?, exercise["name"].as_str()?)))
        .collect();
    let (mut workouts, mut ids) = (Workouts::new(), HashMap::new());
    let mut query = "limit=5".to_owned();
    loop {
        let page = athlete.history(&query, position).await;
        for shown in page.list() {
            let workout = Workout {
                started_at: field(shown, "started_at")?,
                completed_at: field(shown, "completed_at")?,
                title: field(shown, "title")?,
                notes: field(shown, "notes")?,
            };
            let noted = shown["exercises"].as_array().context("the exercises")?;
            let of_it = ids.entry(workout.started_at).or_insert_with(Ids::default);
            of_it.workout = field(shown, "id")?;
            let mut sets = Vec::new();
            for shown in shown["sets"].as_array().context("the sets")? {
                let set = shown_set(&own, noted, shown)?;
                of_it.sets.entry(set.exercise.clone()).or_default().push(field(shown, "id")?);
                sets.push(set);
            }
            let twice = workouts.insert(workout, sets);
            ensure!(twice.is_none(), "a workout is in history twice: {shown}");
        }
        match page.meta()["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=5&cursor={cursor}"),
            None => break,
        }
    }
    ensure!(ids.len() == workouts.len(), "two workouts of history start at the same time");
    let own = own.iter().map(|(id, name)| ((*name).to_owned(), (*id).to_owned())).collect();
    Ok(History { workouts, ids, own })
}

fn shown_set(own: &HashMap<&str, &str>, noted: &[Value], shown: &Value) -> Result<Set> {
    let exercise: String = field(&shown["exercise"], "id")?;
    ensure!(shown["notes"].is_null(), "a set with notes: {shown}");
    let noted = noted.iter().find(|noted| noted["exercise"]["id"] == exercise.as_str());
    let number = |shown: &Value| match shown {
        Value::Null => Ok(None),
        Value::Number(number) => decimal(Some(&number.to_string())),
        other => anyhow::bail!("{other} is no number"),
    };
    Ok(Set {
        exercise: own.get(exercise.as_str()).map_or(exercise.clone(), |name| (*name).to_owned()),
        number: field(shown, "number")?,
        kind: field(shown, "kind")?,
        kg: number(&shown["weight"]["kg"])?,
        reps: field(shown, "reps")?,
        metres: number(&shown["distance_metres"])?,
        seconds: field(shown, "duration_seconds")?,
        rpe: number(&shown["rpe"])?,
        superset: field(shown, "superset_id")?,
        notes: noted.map(|noted| field(noted, "notes")).transpose()?.flatten(),
        performed_at: field(shown, "performed_at")?,
    })
}

fn field<T: serde::de::DeserializeOwned>(of: &Value, name: &str) -> Result<T> {
    serde_json::from_value(of[name].clone()).with_context(|| format!("{name} of {of}"))
}

/// How many rows are in history as they are in the file, at the same place; tells the others.
pub(crate) fn compare(wanted: &Workouts, found: &Workouts) -> usize {
    let mut equal = 0;
    for (workout, sets) in wanted {
        let Some(shown) = found.get(workout) else {
            eprintln!("not in history: {workout:?}");
            continue;
        };
        if shown.len() != sets.len() {
            eprintln!("{} sets instead of {}: {workout:?}", shown.len(), sets.len());
        }
        for (set, shown) in sets.iter().zip(shown) {
            if set == shown {
                equal += 1;
            } else {
                eprintln!("in the file: {set:?}\nin history:  {shown:?}");
            }
        }
    }
    equal
}

/// What the file says was done, in the order in which it is imported: by the start of workouts,
/// which are all different. History knows the ids, and nothing else is taken from there.
pub(crate) fn done(wanted: &Workouts, history: &History) -> Result<Done> {
    let mut rows: HashMap<&str, Vec<Figures>> = HashMap::new();
    for set in wanted.values().flatten() {
        rows.entry(&set.exercise).or_default().push(set.figures()?);
    }
    let library = exercises::library("hevy")?;
    let library: HashMap<&str, &Exercise> =
        library.values().map(|exercise| (exercise.id.as_str(), exercise)).collect();
    let exercise = |name: &str| -> Result<Exercise> {
        if let Some(exercise) = library.get(name) {
            return Ok((*exercise).clone());
        }
        let id = history.own.get(name).with_context(|| format!("{name} was not made"))?;
        Ok(Exercise { id: id.clone(), kind: measured_by(rows[name].iter().copied()) })
    };
    let mut done = Done::default();
    for (workout, sets) in wanted {
        let ids = history.ids.get(&workout.started_at);
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut named = Vec::new();
        for set in sets {
            let count = counts.entry(&set.exercise).or_default();
            let id = ids.and_then(|ids| ids.sets.get(&set.exercise)?.get(*count));
            let id = id.map_or_else(|| unknown(&format!("{set:?}")), Clone::clone);
            *count += 1;
            named.push((id, exercise(&set.exercise)?, set.figures()?));
        }
        let id = ids.map_or_else(|| unknown(&workout.title), |ids| ids.workout.clone());
        done.add(&id, workout.started_at, named);
    }
    Ok(done)
}

/// In place of the id of what history does not have.
fn unknown(what: &str) -> String {
    format!("({what}, which is not in history)")
}

impl Set {
    /// What it says for records: a zero says nothing, but of repetitions that an attempt failed.
    fn figures(&self) -> Result<Figures> {
        let not_zero = |number: &Decimal| !number.is_zero();
        Ok(Figures {
            warm_up: self.kind == "warm_up",
            reps: self.reps.map(u32::try_from).transpose()?,
            kg: self.kg.filter(not_zero),
            seconds: self.seconds.filter(|s| *s > 0).map(u32::try_from).transpose()?,
            metres: self.metres.filter(not_zero),
        })
    }
}
