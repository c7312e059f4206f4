//! A real export of Strong, read by the `csv` crate and told to the product workout by workout.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use events::Measurement;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use testkit::Client;

use crate::{
    exercises::{self, Exercise, fold, measured_by},
    local,
    records::{Done, Figures},
};

/// A row as it stands in the file; weights in kg and distances in km, since no column says so.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    date: String,
    #[serde(rename = "Workout Name")]
    workout: String,
    duration: String,
    #[serde(rename = "Exercise Name")]
    exercise: String,
    #[serde(rename = "Set Order")]
    order: String,
    weight: String,
    reps: String,
    distance: String,
    seconds: String,
}

/// The rows with the same date and name.
pub(crate) struct Workout {
    started_at: DateTime<Utc>,
    completed_at: DateTime<Utc>,
    title: String,
    sets: Vec<Set>,
}

struct Set {
    /// As the file calls it.
    exercise: String,
    kind: &'static str,
    figures: Figures,
}

/// The workouts of a file, in its order.
pub(crate) fn read(file: &Path) -> Result<Vec<Workout>> {
    let mut workouts: Vec<Workout> = Vec::new();
    for row in csv::Reader::from_path(file)?.into_deserialize() {
        let row: Row = row?;
        let Some(set) = set(&row).with_context(|| format!("{row:?}"))? else { continue };
        let started_at = local(&row.date, "%Y-%m-%d %H:%M:%S")?;
        let known = workouts
            .iter_mut()
            .find(|workout| workout.started_at == started_at && workout.title == row.workout);
        match known {
            Some(workout) => workout.sets.push(set),
            None => workouts.push(Workout {
                started_at,
                completed_at: started_at + duration(&row.duration)?,
                title: row.workout,
                sets: vec![set],
            }),
        }
    }
    Ok(workouts)
}

/// What a row says of a set, unless it is of a rest.
fn set(row: &Row) -> Result<Option<Set>> {
    let kind = match row.order.as_str() {
        "Rest Timer" => return Ok(None),
        "W" => "warm_up",
        "D" => "drop",
        "F" => "failure",
        order if order.parse::<u32>().is_ok() => "normal",
        order => bail!("{order:?} is no set order"),
    };
    let whole = |text: &str| -> Result<Option<u32>> {
        let whole = number(text)?.map(|number| number.to_u32().filter(|_| number.is_integer()));
        whole.map(|whole| whole.with_context(|| format!("{text:?} is not whole"))).transpose()
    };
    // An app without empty cells: a zero says nothing, but of repetitions that an attempt failed.
    let not_zero = |number: &Decimal| !number.is_zero();
    let kilometres = number(&row.distance)?.filter(not_zero);
    let figures = Figures {
        warm_up: kind == "warm_up",
        reps: whole(&row.reps)?,
        kg: number(&row.weight)?.filter(not_zero),
        seconds: whole(&row.seconds)?.filter(|seconds| *seconds > 0),
        metres: kilometres.map(|kilometres| kilometres * Decimal::ONE_THOUSAND),
    };
    Ok(Some(Set { exercise: row.exercise.clone(), kind, figures }))
}

/// A number without the noise of having been converted: `149.99999999999997` is 150.
fn number(text: &str) -> Result<Option<Decimal>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let number: Decimal = text.trim().parse().with_context(|| format!("{text:?}"))?;
    Ok(Some(number.round_dp(6).normalize()))
}

/// `2h 18m`.
fn duration(text: &str) -> Result<TimeDelta> {
    let mut sum = TimeDelta::zero();
    for part in text.split_whitespace() {
        let at = part.find(|char: char| !char.is_ascii_digit()).unwrap_or(part.len());
        let (count, unit) = part.split_at(at);
        let count: i64 = count.parse().with_context(|| format!("{text:?}"))?;
        sum += match unit {
            "h" => TimeDelta::hours(count),
            "m" | "min" => TimeDelta::minutes(count),
            "s" => TimeDelta::seconds(count),
            _ => bail!("{text:?} is no duration"),
        };
    }
    Ok(sum)
}

/// Tells the product of everything; answers what it was told, and where the log stands then.
pub(crate) async fn log(athlete: &Client, workouts: &[Workout]) -> Result<(Done, String)> {
    let exercises = exercises(athlete, workouts).await?;
    let (mut done, mut position) = (Done::default(), String::new());
    for workout in workouts {
        let body = json!({ "started_at": workout.started_at, "title": workout.title });
        let path = athlete.start_workout(body).await;
        let mut counts: HashMap<&str, u32> = HashMap::new();
        let mut sets = Vec::new();
        for set in &workout.sets {
            let exercise = exercises[&fold(&set.exercise)].clone();
            let figures = only(exercise.kind, set.figures);
            let count = counts.entry(&set.exercise).or_default();
            *count += 1;
            let mut body = shown(&figures)?;
            body.insert("exercise".to_owned(), exercise.id.clone().into());
            body.insert("number".to_owned(), (*count).into());
            body.insert("kind".to_owned(), set.kind.into());
            body.insert("performed_at".to_owned(), json!(workout.started_at));
            let answer = athlete.log_set(&path, body.into()).await.expect(201);
            let id = answer.data()["set"]["id"].as_str().context("a set's id")?;
            sets.push((id.to_owned(), exercise, figures));
        }
        let body = json!({ "completed_at": workout.completed_at });
        let answer = athlete.complete(&path, body).await.expect(200);
        answer.position().clone_into(&mut position);
        let id = path.rsplit('/').next().context("a workout's path")?;
        done.add(id, workout.started_at, sets);
    }
    Ok((done, position))
}

/// The exercises of a file by folded name; those that the library does not have are made.
async fn exercises(athlete: &Client, workouts: &[Workout]) -> Result<HashMap<String, Exercise>> {
    let mut exercises = exercises::library("strong")?;
    let mut unknown: HashMap<String, Vec<&Set>> = HashMap::new();
    for set in workouts.iter().flat_map(|workout| &workout.sets) {
        let name = fold(&set.exercise);
        if !exercises.contains_key(&name) {
            unknown.entry(name).or_default().push(set);
        }
    }
    for (name, sets) in unknown {
        let kind = measured_by(sets.iter().map(|set| set.figures));
        let body = json!({
            "name": sets[0].exercise, "equipment": "other", "primary_muscles": [], "kind": kind,
        });
        let answer = athlete.post("/v1/exercises", body).await.expect(201);
        let id = answer.data()["id"].as_str().context("an exercise's id")?.to_owned();
        exercises.insert(name, Exercise { id, kind });
    }
    Ok(exercises)
}

/// The figures that a set of an exercise of a kind has: the product refuses others.
fn only(kind: Measurement, figures: Figures) -> Figures {
    Figures {
        reps: figures.reps.filter(|_| kind.has_reps()),
        kg: figures.kg.filter(|_| kind.has_weight()),
        metres: figures.metres.filter(|_| kind.has_distance()),
        ..figures
    }
}

/// The figures as a request says them.
fn shown(figures: &Figures) -> Result<Map<String, Value>> {
    // As the JSON number that it is, and no float.
    let number = |number: Decimal| serde_json::from_str::<Value>(&number.to_string());
    let mut body = Map::new();
    if let Some(reps) = figures.reps {
        body.insert("reps".to_owned(), reps.into());
    }
    if let Some(kg) = figures.kg {
        body.insert("weight".to_owned(), json!({ "value": number(kg)?, "unit": "kg" }));
    }
    if let Some(seconds) = figures.seconds {
        body.insert("duration_seconds".to_owned(), seconds.into());
    }
    if let Some(metres) = figures.metres {
        body.insert("distance_metres".to_owned(), number(metres)?);
    }
    Ok(body)
}
