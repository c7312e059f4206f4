//! Is every row of a real Hevy export in history after its import, and only once?
//!
//! The file is read by the `csv` crate alone, so that the importer's own reading is not believed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{Europe::Paris, Tz};
use clap::Parser;
use log::Positions;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;
use testkit::{Client, process::App};

/// Where the athlete of the export was.
const ZONE: Tz = Paris;

/// The export that every folder of real data has.
const FILE: &str = "hevy-export-kg.csv";

const LIBRARY: &str = include_str!("../../../crates/domain/library/exercises.json");

#[derive(Parser)]
struct Arguments {
    /// The folder with the real exports.
    folder: PathBuf,
}

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
struct Set {
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
struct Workout {
    started_at: DateTime<Utc>,
    completed_at: DateTime<Utc>,
    title: String,
    notes: Option<String>,
}

type Workouts = BTreeMap<Workout, Vec<Set>>;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let file = Arguments::parse().folder.join(FILE);
    let file = file.canonicalize().with_context(|| format!("{} is not there", file.display()))?;
    let wanted = read_file(&file)?;
    let rows: usize = wanted.values().map(Vec::len).sum();

    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let app = App::start(&binary).await;
    let athlete = app.athlete().await;
    import(&app, &athlete, &file).await?;
    let (events, position) = log_of(&app).await?;
    let found = read_history(&athlete, &position).await?;
    let equal = compare(&wanted, &found);
    let in_history: usize = found.values().map(Vec::len).sum();
    import(&app, &athlete, &file).await?;
    let second = log_of(&app).await?.0 - events;

    let good = rows > 0 && equal == rows && in_history == rows && second == 0;
    println!("real-data: rows={rows} equal={equal} second_import_events={second}");
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn import(app: &App, athlete: &Client, file: &Path) -> Result<()> {
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

/// How many events there are, and where the log ends.
async fn log_of(app: &App) -> Result<(i64, Positions)> {
    let pool = PgPool::connect(&app.database.owner_url()).await?;
    let epoch = sqlx::query_scalar("select max(epoch) from log.epochs").fetch_one(&pool).await?;
    let ends: Vec<(i16, i64, i64)> = sqlx::query_as(
        "select partition, max(position), count(*) from log.events group by partition",
    )
    .fetch_all(&pool)
    .await?;
    let at = ends.iter().map(|(partition, position, _)| {
        (events::Partition(*partition), events::Position(*position))
    });
    let positions = Positions { epoch: events::Epoch(epoch), at: at.collect() };
    Ok((ends.iter().map(|(_, _, events)| events).sum(), positions))
}

/// The workouts of a file, by the rules of the format alone.
fn read_file(file: &Path) -> Result<Workouts> {
    let ids = library_ids()?;
    let mut workouts = Workouts::new();
    for row in csv::Reader::from_path(file)?.into_deserialize() {
        let row: Row = row?;
        let workout = Workout {
            started_at: instant(&row.start_time)?,
            completed_at: instant(&row.end_time)?,
            title: row.title.clone(),
            notes: text(&row.description),
        };
        let set = set(&ids, row, workout.started_at)?;
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

/// The library's ids by the names of exercises in Hevy.
fn library_ids() -> Result<HashMap<String, String>> {
    let library: Vec<Value> = serde_json::from_str(LIBRARY)?;
    let mut ids = HashMap::new();
    for exercise in &library {
        let aliases = exercise["aliases"]["hevy"].as_array().into_iter().flatten();
        for name in aliases.chain([&exercise["name"]]).filter_map(Value::as_str) {
            let id = exercise["id"].as_str().context("an id")?;
            ids.insert(name.to_lowercase(), id.to_owned());
        }
    }
    Ok(ids)
}

fn set(ids: &HashMap<String, String>, row: Row, performed_at: DateTime<Utc>) -> Result<Set> {
    let title = row.exercise_title;
    let kind = match row.set_type.as_str() {
        "warmup" => "warm_up",
        "dropset" => "drop",
        other => other,
    };
    let kilometres = decimal(row.distance_km.as_deref())?;
    Ok(Set {
        // An exercise of one's own is known by its name.
        exercise: ids.get(&title.to_lowercase()).cloned().unwrap_or(title),
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
    let local = NaiveDateTime::parse_from_str(text, "%d %b %Y, %H:%M")
        .with_context(|| format!("{text:?}"))?;
    let at = ZONE.from_local_datetime(&local).earliest();
    Ok(at.with_context(|| format!("{text} did not happen"))?.to_utc())
}

/// Everything that history answers, page by page.
async fn read_history(athlete: &Client, position: &Positions) -> Result<Workouts> {
    let own = athlete.get("/v1/exercises").await.expect(200);
    let own: HashMap<&str, &str> = own
        .list()
        .iter()
        .filter(|exercise| exercise["custom"] == true)
        .filter_map(|exercise| Some((exercise["id"].as_str()?, exercise["name"].as_str()?)))
        .collect();
    let mut workouts = Workouts::new();
    let mut query = "limit=5".to_owned();
    loop {
        let page = athlete.history(&query, &position.to_string()).await;
        for shown in page.list() {
            let workout = Workout {
                started_at: field(shown, "started_at")?,
                completed_at: field(shown, "completed_at")?,
                title: field(shown, "title")?,
                notes: field(shown, "notes")?,
            };
            let sets = shown["sets"].as_array().context("the sets")?;
            let noted = shown["exercises"].as_array().context("the exercises")?;
            let sets: Vec<Set> =
                sets.iter().map(|set| shown_set(&own, noted, set)).collect::<Result<_>>()?;
            let twice = workouts.insert(workout, sets);
            ensure!(twice.is_none(), "a workout is in history twice: {shown}");
        }
        match page.meta()["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=5&cursor={cursor}"),
            None => return Ok(workouts),
        }
    }
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
fn compare(wanted: &Workouts, found: &Workouts) -> usize {
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
