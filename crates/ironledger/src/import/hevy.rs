//! What does a CSV export of Hevy say?
//!
//! Pure: from bytes to workouts, with nothing looked up and nothing stored. What cannot be taken is
//! refused row by row with its line and every reason; what had to be altered is a warning.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
};

use chrono_tz::Tz;
use csv::StringRecord;
use events::{Metres, Reps, Rpe, Seconds, SetKind, SupersetId, Timestamp, Weight, WeightUnit};
use rust_decimal::{Decimal, dec, prelude::ToPrimitive};

use super::{
    local_time::Local,
    records::{Broken, Records},
};

/// Longest title of a workout and longest name of an exercise, in characters.
const TITLE_MAX: usize = 100;
/// Longest notes of a workout and of an exercise in it, in characters.
pub(super) const NOTES_MAX: usize = 1000;

/// Metres in a mile: exact by the international agreement of 1959.
const METRES_PER_MILE: Decimal = dec!(1609.344);

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Export {
    /// Oldest first.
    pub(crate) workouts: Vec<Workout>,
    /// Rows not taken, in the order of the file.
    pub(crate) refused: Vec<Refusal>,
    /// What of the taken rows was left out, in the order of the file.
    pub(crate) warnings: Vec<Refusal>,
    /// Rows of data: those taken, each a set, and those refused.
    pub(crate) rows: usize,
}

/// The rows with the same title, start and end.
#[derive(Debug)]
pub(crate) struct Workout {
    /// 1 to 100 characters.
    pub(crate) title: String,
    /// The description, of 1 to 1000 characters.
    pub(crate) notes: Option<String>,
    /// To the minute, as the file has it.
    pub(crate) started_at: Timestamp,
    /// To the minute, and not before the start.
    pub(crate) completed_at: Timestamp,
    /// Line of its first row.
    pub(crate) line: u64,
    /// In the order of the file.
    pub(crate) sets: Vec<Set>,
}

/// One row. A weight, distance or duration of 0 says nothing, so it is read as none; 0 reps are a
/// failed attempt and stay.
#[derive(Debug)]
pub(crate) struct Set {
    /// Line of the row; the header is line 1.
    pub(crate) line: u64,
    /// Title of the exercise as in the file, 1 to 100 characters.
    pub(crate) exercise: String,
    /// 1 to 1000 characters; Hevy repeats them on every set of the exercise.
    pub(crate) exercise_notes: Option<String>,
    /// Exercises of one superset share it.
    pub(crate) superset: Option<SupersetId>,
    /// `set_index` as in the file: from 0, and again from 0 when an exercise comes twice.
    pub(crate) index: u32,
    /// Which row of that exercise and index in its workout it is, from 1; rows that were refused
    /// count, so that it stays the same when they are repaired.
    pub(crate) occurrence: u32,
    /// What the set was for.
    pub(crate) kind: SetKind,
    /// In the unit of the file, without float noise.
    pub(crate) weight: Option<Weight>,
    /// Repetitions.
    pub(crate) reps: Option<Reps>,
    /// How far.
    pub(crate) distance: Option<Metres>,
    /// How long.
    pub(crate) duration: Option<Seconds>,
    /// How hard.
    pub(crate) rpe: Option<Rpe>,
}

/// What was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// First line of the row; the header is line 1.
    pub(crate) line: u64,
    /// Every reason, joined by `; `.
    pub(crate) reason: String,
}

/// Why nothing of a file can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It holds other characters than UTF-8.
    #[error("the file is not UTF-8 but {0}: save it as UTF-8, or export it from Hevy again")]
    Encoding(&'static str),
    /// It holds no characters.
    #[error("the file is no CSV but a ZIP archive, such as a spreadsheet: unpack or export it")]
    Archive,
    /// A spreadsheet wrote it, which may have changed more than the separator.
    #[error("Hevy's columns, but not separated by commas: export it from Hevy again")]
    Separator,
    /// Another app's export.
    #[error("not a Hevy export: this looks like an export of {0}")]
    Other(&'static str),
    /// The header lacks what every row needs.
    #[error("not a Hevy export: the first line has no column {}", .0.join(", no column "))]
    Missing(Vec<&'static str>),
    /// Two columns say the same.
    #[error("the first line has the columns {0} and {1}, where only one can count")]
    Ambiguous(String, String),
}

/// Reads an export, whose local times are of `zone`.
///
/// A local time that the zone skipped counts from before the gap, so 02:30 becomes 03:30; of one
/// that came twice it was the first, unless the workout would then end before it began.
pub(crate) fn read(bytes: &[u8], zone: Tz) -> Result<Export, Unreadable> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    is_text(bytes)?;

    let mut records = Records::new(bytes);
    let header = match records.next() {
        None => return Err(Unreadable::Empty),
        Some((_, Err(Broken::NotUtf8))) => return Err(Unreadable::Encoding("another encoding")),
        // Cut off, so none of the columns is there.
        Some((_, Err(_))) => Header::new(&StringRecord::new())?,
        Some((_, Ok(header))) => Header::new(&header)?,
    };
    records.columns = header.count;

    let mut building = Building::default();
    let mut rows = 0;
    let mut undecodable = 0;
    let mut occurrences: HashMap<String, u32> = HashMap::new();
    for (line, record) in records {
        rows += 1;
        let row = match record {
            Ok(record) => {
                let row = Row::new(&header, &record);
                let occurrence = occurrences.entry(row.identity()).or_default();
                *occurrence += 1;
                row.read(line, *occurrence, zone)
            }
            Err(broken) => {
                undecodable += usize::from(matches!(broken, Broken::NotUtf8));
                Err(broken.to_string())
            }
        };
        match row {
            Ok(row) => building.add(row),
            Err(reason) => building.refused.push(Refusal { line, reason }),
        }
    }
    if rows > 0 && undecodable == rows {
        return Err(Unreadable::Encoding("another encoding"));
    }

    let Building { mut workouts, refused, warnings, .. } = building;
    workouts.sort_by_key(|workout| (workout.started_at, workout.completed_at, workout.line));
    Ok(Export { workouts, refused, warnings, rows })
}

/// Tells what is no UTF-8 text at first sight.
fn is_text(bytes: &[u8]) -> Result<(), Unreadable> {
    let utf16 = |start: &[u8]| start.starts_with(b"\xFF\xFE") || start.starts_with(b"\xFE\xFF");
    // Without its mark UTF-16 still gives itself away: half of its bytes are zero.
    if utf16(bytes) || bytes.iter().take(4).any(|byte| *byte == 0) {
        Err(Unreadable::Encoding("UTF-16"))
    } else if bytes.starts_with(b"PK\x03\x04") {
        Err(Unreadable::Archive)
    } else if bytes.iter().all(u8::is_ascii_whitespace) {
        Err(Unreadable::Empty)
    } else {
        Ok(())
    }
}

/// Where each column is, and in which units.
struct Header {
    at: BTreeMap<String, usize>,
    count: usize,
    weight: (&'static str, WeightUnit),
    /// With the metres that 1 stands for.
    distance: (&'static str, Decimal),
}

impl Header {
    /// Finds the columns by name, in any order, among others that are passed over.
    fn new(record: &StringRecord) -> Result<Self, Unreadable> {
        let mut at = BTreeMap::new();
        for (index, name) in record.iter().enumerate() {
            let name = name.trim().to_ascii_lowercase();
            if !name.is_empty() && at.insert(name.clone(), index).is_some() {
                return Err(Unreadable::Ambiguous(name.clone(), name));
            }
        }
        let either = |one: &'static str, other: &'static str| match (
            at.contains_key(one),
            at.contains_key(other),
        ) {
            (true, true) => Err(Unreadable::Ambiguous(one.to_owned(), other.to_owned())),
            (_, found) => Ok(if found { other } else { one }),
        };
        let weight = match either("weight_kg", "weight_lbs")? {
            "weight_lbs" => ("weight_lbs", WeightUnit::Lb),
            kg => (kg, WeightUnit::Kg),
        };
        let distance = match either("distance_km", "distance_miles")? {
            "distance_miles" => ("distance_miles", METRES_PER_MILE),
            km => (km, dec!(1000)),
        };

        // The rest may be missing: no row needs it.
        let mut needed =
            vec!["title", "start_time", "end_time", "exercise_title", "set_index", "set_type"];
        needed.extend([weight.0, "reps"]);
        needed.retain(|name| !at.contains_key(*name));
        if needed.is_empty() {
            Ok(Self { count: record.len(), at, weight, distance })
        } else {
            Err(recognised(record).unwrap_or(Unreadable::Missing(needed)))
        }
    }
}

/// What a header that is not Hevy's looks like.
fn recognised(header: &StringRecord) -> Option<Unreadable> {
    let words: Vec<String> = header
        .iter()
        .flat_map(|field| field.split([',', ';', '\t']))
        .map(|word| word.trim().trim_matches('"').to_ascii_lowercase())
        .collect();
    let has = |all: &[&str]| all.iter().all(|name| words.iter().any(|word| word == name));
    if has(&["exercise_title", "set_index"]) && words.len() > header.len() {
        Some(Unreadable::Separator)
    } else if has(&["workout name", "exercise name", "set order"]) {
        Some(Unreadable::Other("Strong"))
    } else if has(&["date", "exercise", "category"]) {
        Some(Unreadable::Other("FitNotes"))
    } else {
        None
    }
}

/// A row that can be taken: a set, and what it says about its workout.
struct Taken {
    title: String,
    description: String,
    started_at: Timestamp,
    completed_at: Timestamp,
    exercise_notes: String,
    set: Set,
}

/// A row being read, with everything that was found wrong in it so far.
struct Row<'a> {
    header: &'a Header,
    record: &'a StringRecord,
    problems: Vec<String>,
}

impl<'a> Row<'a> {
    fn new(header: &'a Header, record: &'a StringRecord) -> Self {
        Self { header, record, problems: Vec::new() }
    }

    /// The text of a column; empty when the file has no such column.
    /// Workout, exercise and index as they stand in the row, whatever else is wrong with it.
    fn identity(&self) -> String {
        ["title", "start_time", "end_time", "exercise_title", "set_index"]
            .map(|column| self.cell(column))
            .join("\u{1f}")
    }

    fn cell(&self, column: &str) -> &'a str {
        let index = self.header.at.get(column);
        index.and_then(|index| self.record.get(*index)).unwrap_or_default().trim()
    }

    /// Reads a column that may be empty.
    fn take<T>(&mut self, column: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.cell(column);
        if text.is_empty() {
            return None;
        }
        let value = read(text);
        if let Err(wanted) = &value {
            let shown: String = text.chars().take(40).collect();
            self.problems.push(format!("{column} {wanted}, and is {shown:?}"));
        }
        value.ok()
    }

    /// Reads a column that must not be empty.
    fn need<T>(&mut self, column: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if self.cell(column).is_empty() {
            self.problems.push(format!("{column} must not be empty"));
        }
        self.take(column, read)
    }

    /// Looks at every column, and takes the row when none of them objects.
    fn read(mut self, line: u64, occurrence: u32, zone: Tz) -> Result<Taken, String> {
        let (weight_column, unit) = self.header.weight;
        let (distance_column, metres) = self.header.distance;

        let start = self.need("start_time", |text| Local::read(text, zone));
        let end = self.need("end_time", |text| Local::read(text, zone));
        let exercise = self.need("exercise_title", |text| match clean(text) {
            title if title.is_empty() => Err("must hold more than control characters".to_owned()),
            title => Ok(title),
        });
        let superset = self.take("superset_id", |text| SupersetId::new(whole(text)?).map_err(must));
        let index = self.need("set_index", |text| {
            u32::try_from(whole(text)?).map_err(|_| "must be a whole number from 0".to_owned())
        });
        let kind = self.need("set_type", kind);
        let weight = self
            .take(weight_column, |text| {
                Weight::new(without_noise(number(text)?), unit).map_err(must)
            })
            .filter(|weight| !weight.value().is_zero());
        let reps = self.take("reps", |text| Reps::new(whole(text)?).map_err(must));
        let distance = self
            .take(distance_column, |text| {
                // More than fits a decimal is more than fits a distance.
                let exact = number(text)?.checked_mul(metres).unwrap_or(Decimal::MAX);
                Metres::new(exact.round_dp(3)).map_err(must)
            })
            .filter(|distance| !distance.get().is_zero());
        let duration = self
            .take("duration_seconds", |text| Seconds::new(whole(text)?).map_err(must))
            .filter(|duration| duration.get() > 0);
        let rpe = self.take("rpe", |text| {
            Rpe::new(text.parse().map_err(|_| "must be a number".to_owned())?).map_err(must)
        });

        if let (Some(start), Some(end)) = (start, end)
            && end.latest < start.earliest
        {
            self.problems.push("end_time must not be before start_time".to_owned());
        }
        // What could not be read has its own reason.
        let measured = ["reps", distance_column, "duration_seconds"];
        let unread = |problem: &String| measured.iter().any(|column| problem.starts_with(column));
        if reps.is_none()
            && distance.is_none()
            && duration.is_none()
            && !self.problems.iter().any(unread)
        {
            self.problems.push("has no reps, distance or duration".to_owned());
        }

        match (start, end, exercise, index, kind) {
            (Some(start), Some(end), Some(exercise), Some(index), Some(kind))
                if self.problems.is_empty() =>
            {
                Ok(Taken {
                    title: clean(self.cell("title")),
                    description: clean(self.cell("description")),
                    started_at: start.earliest,
                    completed_at: end.not_before(start.earliest),
                    exercise_notes: clean(self.cell("exercise_notes")),
                    set: Set {
                        line,
                        exercise,
                        exercise_notes: None,
                        superset,
                        index,
                        occurrence,
                        kind,
                        weight,
                        reps,
                        distance,
                        duration,
                        rpe,
                    },
                })
            }
            _ => Err(self.problems.join("; ")),
        }
    }
}

fn must(error: events::OutOfRange) -> String {
    error.to_string()
}

fn number(text: &str) -> Result<Decimal, String> {
    Decimal::from_str(text)
        .or_else(|_| Decimal::from_scientific(text))
        .map_err(|_| "must be a number such as 62.5".to_owned())
}

/// A whole number, also one written `6.0`.
fn whole(text: &str) -> Result<i64, String> {
    let wanted = || "must be a whole number".to_owned();
    let value = number(text).map_err(|_| wanted())?;
    value.to_i64().filter(|_| value.is_integer()).ok_or_else(wanted)
}

/// Takes away what binary floats added: 149.99999999999997 is 150, and 61.23492 stays.
fn without_noise(value: Decimal) -> Decimal {
    let fine = value.round_dp(6);
    let coarse = fine.round_dp(3);
    if (fine - coarse).abs() <= dec!(0.000001) { coarse } else { fine }
}

fn kind(text: &str) -> Result<SetKind, String> {
    match text {
        "normal" => Ok(SetKind::Normal),
        "warmup" => Ok(SetKind::WarmUp),
        "failure" => Ok(SetKind::Failure),
        "dropset" => Ok(SetKind::Drop),
        _ => Err("must be normal, warmup, failure or dropset".to_owned()),
    }
}

/// A text without control characters but tabs and line breaks, which become `\n`.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String =
        text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    kept.trim().to_owned()
}

/// Workouts as they come together, row by row.
#[derive(Default)]
struct Building {
    workouts: Vec<Workout>,
    /// What the rows of each workout share, before anything was cut off it.
    shared: Vec<Shared>,
    of: HashMap<(String, Timestamp, Timestamp), usize>,
    refused: Vec<Refusal>,
    warnings: Vec<Refusal>,
}

#[derive(Default)]
struct Shared {
    description: String,
    /// Of the last set, so that what was cut is told once an exercise and not once a set.
    exercise: String,
    exercise_notes: String,
}

impl Building {
    fn add(&mut self, row: Taken) {
        let Taken { title, description, started_at, completed_at, exercise_notes, mut set } = row;
        let line = set.line;
        let key = (title, started_at, completed_at);
        let at = match self.of.get(&key) {
            Some(at) => *at,
            None => {
                let title = if key.0.is_empty() { "Workout" } else { &key.0 };
                let title = cut(title, TITLE_MAX, "title", line, &mut self.warnings);
                self.workouts.push(Workout {
                    title,
                    notes: None,
                    started_at,
                    completed_at,
                    line,
                    sets: Vec::new(),
                });
                self.shared.push(Shared::default());
                self.of.insert(key, self.workouts.len() - 1);
                self.workouts.len() - 1
            }
        };
        let (Some(workout), Some(shared)) = (self.workouts.get_mut(at), self.shared.get_mut(at))
        else {
            return;
        };

        if shared.description.is_empty() && !description.is_empty() {
            workout.notes =
                Some(cut(&description, NOTES_MAX, "description", line, &mut self.warnings));
            shared.description = description;
        } else if !description.is_empty() && description != shared.description {
            let reason = "description is another than on the rows before, and is left out";
            self.warnings.push(Refusal { line, reason: reason.to_owned() });
        }

        let mut told = Vec::new();
        let exercise = cut(&set.exercise, TITLE_MAX, "exercise_title", line, &mut told);
        if !exercise_notes.is_empty() {
            let notes = cut(&exercise_notes, NOTES_MAX, "exercise_notes", line, &mut told);
            set.exercise_notes = Some(notes);
        }
        if shared.exercise != set.exercise || shared.exercise_notes != exercise_notes {
            self.warnings.append(&mut told);
        }
        shared.exercise = std::mem::replace(&mut set.exercise, exercise);
        shared.exercise_notes = exercise_notes;
        workout.sets.push(set);
    }
}

/// The first `max` characters of a text, and a warning when it had more.
pub(super) fn cut(
    text: &str,
    max: usize,
    what: &str,
    line: u64,
    warnings: &mut Vec<Refusal>,
) -> String {
    let length = text.chars().count();
    if length > max {
        let reason = format!("{what} is cut to {max} characters from {length}");
        warnings.push(Refusal { line, reason });
    }
    text.chars().take(max).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
#[path = "hevy_tests.rs"]
mod tests;
