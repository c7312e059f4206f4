//! What does a CSV export of Hevy say?
//!
//! Pure: from bytes to workouts, with nothing looked up and nothing stored. What cannot be taken is
//! refused row by row with its line and every reason; what had to be altered is a warning.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::Cursor,
    str::FromStr,
};

use chrono::{
    DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;
use csv::{ByteRecord, Position, StringRecord};
use events::{Metres, Reps, Rpe, Seconds, SetKind, SupersetId, Timestamp, Weight, WeightUnit};
use rust_decimal::{Decimal, dec, prelude::ToPrimitive};

use super::months::month;

/// Longest title of a workout and longest name of an exercise, in characters.
const TITLE_MAX: usize = 100;
/// Longest notes of a workout, in characters.
const NOTES_MAX: usize = 1000;
/// Longest notes of a set, in characters.
const SET_NOTES_MAX: usize = 500;

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
    /// 1 to 500 characters; Hevy repeats them on every set of the exercise.
    pub(crate) exercise_notes: Option<String>,
    /// Exercises of one superset share it.
    pub(crate) superset: Option<SupersetId>,
    /// `set_index` as in the file: from 0, and again from 0 when an exercise comes twice.
    pub(crate) index: u32,
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
    for (line, record) in records {
        rows += 1;
        let row = match record {
            Ok(record) => Row::new(&header, &record).read(line, zone),
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

/// The records of a file with their first lines.
///
/// A quote that is never closed makes the rest of a file one field. So when a record turns out
/// broken, only its first line is given up, and reading resumes on the next.
struct Records<'a> {
    bytes: &'a [u8],
    reader: csv::Reader<Cursor<&'a [u8]>>,
    /// How many every record must have; 0 for any.
    columns: usize,
    /// Up to where lines have been counted, and the number of the line there.
    counted: usize,
    line: u64,
}

/// Why a record is not even looked at.
enum Broken {
    OpenQuote,
    StrayQuote,
    Columns { found: usize, wanted: usize, at_end: bool },
    NotUtf8,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenQuote => f.write_str("is cut off: a quote is opened and never closed"),
            Self::StrayQuote => {
                f.write_str("has a quote that is not closed before the next column, or not doubled")
            }
            Self::Columns { found, wanted, at_end } => {
                let cut = if *at_end { "is cut off: " } else { "" };
                write!(f, "{cut}has {found} columns, where the first line has {wanted}")
            }
            Self::NotUtf8 => f.write_str("is not UTF-8 text"),
        }
    }
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(Cursor::new(bytes));
        Self { bytes, reader, columns: 0, counted: 0, line: 1 }
    }

    /// The number of the line that starts at `at`, which must not lie before the last one asked.
    fn line_at(&mut self, at: usize) -> u64 {
        for here in self.counted..at {
            let last_of_break = self.bytes.get(here + 1) != Some(&b'\n');
            match self.bytes.get(here) {
                Some(b'\n') => self.line += 1,
                Some(b'\r') if last_of_break => self.line += 1,
                _ => {}
            }
        }
        self.counted = at;
        self.line
    }

    /// What is wrong with the record of these bytes before its fields are read.
    fn broken(&self, raw: &[u8], found: usize, at_end: bool) -> Option<Broken> {
        let columns = self.columns > 0 && found != self.columns;
        let at_end = at_end && !raw.ends_with(b"\n");
        let columns = columns.then_some(Broken::Columns { found, wanted: self.columns, at_end });
        misquoted(raw).or(columns)
    }
}

/// Whether a record breaks the rules of quoting. The reader would bear with it, and could take the
/// row after a missing quote for a part of the row before.
fn misquoted(raw: &[u8]) -> Option<Broken> {
    enum At {
        Start,
        Plain,
        Quoted,
        Closed,
    }
    let mut at = At::Start;
    for byte in raw {
        at = match (at, byte) {
            (At::Start | At::Closed, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            (At::Start | At::Plain | At::Closed, b',' | b'\r' | b'\n') => At::Start,
            (At::Plain, b'"') | (At::Closed, _) => return Some(Broken::StrayQuote),
            (At::Start | At::Plain, _) => At::Plain,
        };
    }
    matches!(at, At::Quoted).then_some(Broken::OpenQuote)
}

impl Iterator for Records<'_> {
    type Item = (u64, Result<StringRecord, Broken>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = ByteRecord::new();
        // Bytes in memory fail to be read in no way, and `flexible` takes any number of fields.
        if !self.reader.read_byte_record(&mut record).unwrap_or(false) {
            return None;
        }
        let end = offset(self.reader.position());
        let start = record.position().map_or(0, offset);
        // The break before a record counts as its own when it is CRLF or a blank line.
        let raw = self.bytes.get(start..end).unwrap_or_default();
        let blank = raw.iter().take_while(|byte| is_break(byte)).count();
        let (start, raw) = (start + blank, raw.get(blank..).unwrap_or_default());
        let line = self.line_at(start);

        if let Some(broken) = self.broken(raw, record.len(), end == self.bytes.len()) {
            if let Some(length) = raw.iter().position(is_break) {
                let mut next = Position::new();
                next.set_byte((start + length + 1) as u64);
                // A cursor seeks to wherever it is told.
                self.reader.seek(next).ok()?;
            }
            return Some((line, Err(broken)));
        }
        Some((line, StringRecord::from_byte_record(record).map_err(|_| Broken::NotUtf8)))
    }
}

fn offset(position: &Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}

fn is_break(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
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
    fn read(mut self, line: u64, zone: Tz) -> Result<Taken, String> {
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

/// When a local time was: two instants where the clock was put back, else one.
#[derive(Debug, Clone, Copy)]
struct Local {
    earliest: Timestamp,
    latest: Timestamp,
}

impl Local {
    fn read(text: &str, zone: Tz) -> Result<Self, String> {
        let local = local_time(text)?;
        let (earliest, latest) = match zone.from_local_datetime(&local) {
            MappedLocalTime::Single(at) => (at.to_utc(), at.to_utc()),
            MappedLocalTime::Ambiguous(one, other) => {
                (one.min(other).to_utc(), one.max(other).to_utc())
            }
            MappedLocalTime::None => {
                // No zone is more than 14 hours from UTC, so a day earlier is before the gap.
                let before = zone.offset_from_utc_datetime(&(local - TimeDelta::days(1))).fix();
                let at = (local - before).and_utc();
                (at, at)
            }
        };
        let known = |at: DateTime<Utc>| (1900..=9999).contains(&at.year());
        if known(earliest) && known(latest) {
            Ok(Self { earliest: Timestamp::new(earliest), latest: Timestamp::new(latest) })
        } else {
            Err("must lie between 1900 and 9999".to_owned())
        }
    }

    fn not_before(self, start: Timestamp) -> Timestamp {
        if self.earliest < start { self.latest } else { self.earliest }
    }
}

/// Reads `5 Jan 2025, 08:00` with the month in any language, `Jan 5, 2025, 8:00 AM` or
/// `2025-01-05 08:00:00`.
fn local_time(text: &str) -> Result<NaiveDateTime, String> {
    let wanted = || "must be a time such as 5 Jan 2025, 08:00".to_owned();
    let iso = text.replacen('T', " ", 1);
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
    let words = || -> Result<NaiveDateTime, String> {
        let words: Vec<&str> = text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("de"))
            .collect();
        let clock_at = words.iter().position(|word| word.contains(':')).ok_or_else(wanted)?;
        let (date, clock) = words.split_at(clock_at);
        let &[first, second, year] = date else { return Err(wanted()) };
        // German and others write `5. Januar`.
        let day = |word: &str| word.trim_end_matches('.').parse::<u32>().ok();
        let (day, name) = match (day(first), day(second)) {
            (Some(day), _) => (day, second),
            (None, Some(day)) => (day, first),
            (None, None) => return Err(wanted()),
        };
        let month = month(name)
            .ok_or_else(|| format!("names the month {name:?}, which no known language has"))?;
        let (hour, minute, second) = clock_time(&clock.concat()).ok_or_else(wanted)?;
        year.parse()
            .ok()
            .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
            .and_then(|date| date.and_hms_opt(hour, minute, second))
            .ok_or_else(wanted)
    };
    let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(&iso, format).ok());
    // Far years would overflow where zones are reckoned with.
    let known = |time: &NaiveDateTime| (1899..=10_000).contains(&time.year());
    time.map_or_else(words, Ok).and_then(|time| Some(time).filter(known).ok_or_else(wanted))
}

/// Reads `08:00`, `08:00:30`, `8:00AM` or `8:00p.m.`.
fn clock_time(text: &str) -> Option<(u32, u32, u32)> {
    let text = text.to_lowercase().replace('.', "");
    let (digits, afternoon) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(digits), _) => (digits, Some(false)),
        (_, Some(digits)) => (digits, Some(true)),
        (None, None) => (text.as_str(), None),
    };
    let parts: Vec<u32> = digits.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (hour, minute, second) = match parts[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let hour = match afternoon {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(afternoon) => hour % 12 + 12 * u32::from(afternoon),
    };
    Some((hour, minute, second))
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
            let notes = cut(&exercise_notes, SET_NOTES_MAX, "exercise_notes", line, &mut told);
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
fn cut(text: &str, max: usize, what: &str, line: u64, warnings: &mut Vec<Refusal>) -> String {
    let length = text.chars().count();
    if length > max {
        let reason = format!("{what} is cut to {max} characters from {length}");
        warnings.push(Refusal { line, reason });
    }
    text.chars().take(max).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Europe::Paris, Pacific::Apia, UTC};

    use super::*;

    const HEADER: &str = "title,start_time,end_time,description,exercise_title,superset_id,\
                          exercise_notes,set_index,set_type,weight_kg,reps,distance_km,\
                          duration_seconds,rpe";

    /// A row with some cells changed.
    fn row(changed: &[(&str, &str)]) -> String {
        let usual = [
            "Push",
            "5 Jan 2025, 08:00",
            "5 Jan 2025, 09:00",
            "",
            "Bench Press (Barbell)",
            "",
            "",
            "0",
            "normal",
            "60",
            "8",
            "",
            "",
            "",
        ];
        let cells = HEADER.split(',').zip(usual).map(|(column, usual)| {
            let cell = changed.iter().find(|(name, _)| *name == column);
            format!("\"{}\"", cell.map_or(usual, |(_, cell)| cell).replace('"', "\"\""))
        });
        cells.collect::<Vec<_>>().join(",")
    }

    fn file(rows: &[String]) -> String {
        format!("{HEADER}\n{}\n", rows.join("\n"))
    }

    fn read_text(text: &str) -> Export {
        let export = read(text.as_bytes(), Paris).unwrap();
        let taken: usize = export.workouts.iter().map(|workout| workout.sets.len()).sum();
        assert_eq!(export.rows, taken + export.refused.len(), "every row is accounted for");
        export
    }

    /// The set of a file of one row.
    fn one(changed: &[(&str, &str)]) -> Set {
        let mut export = read_text(&file(&[row(changed)]));
        assert_eq!(export.refused, []);
        export.workouts.remove(0).sets.remove(0)
    }

    /// The reason why a row is refused.
    fn refused(changed: &[(&str, &str)]) -> String {
        let export = read_text(&file(&[row(changed)]));
        assert!(export.workouts.is_empty());
        export.refused.into_iter().map(|refusal| refusal.reason).collect()
    }

    fn lines(refusals: &[Refusal]) -> Vec<u64> {
        refusals.iter().map(|refusal| refusal.line).collect()
    }

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn start(text: &str, zone: Tz) -> String {
        let text = file(&[row(&[("start_time", text), ("end_time", "1 Jan 2030, 00:00")])]);
        let export = read(text.as_bytes(), zone).unwrap();
        export.workouts.first().unwrap().started_at.to_string()
    }

    #[test]
    fn a_row_is_a_set() {
        let set = one(&[
            ("superset_id", "2"),
            ("exercise_notes", "slow"),
            ("set_index", "3"),
            ("set_type", "dropset"),
            ("distance_km", "0.4"),
            ("duration_seconds", "90"),
            ("rpe", "8.5"),
        ]);
        assert_eq!((set.line, set.index, set.kind), (2, 3, SetKind::Drop));
        assert_eq!(set.exercise, "Bench Press (Barbell)");
        assert_eq!(set.exercise_notes.as_deref(), Some("slow"));
        assert_eq!(set.superset.unwrap().get(), 2);
        assert_eq!(set.weight, Weight::new(dec!(60), WeightUnit::Kg).ok());
        assert_eq!(set.reps.unwrap().get(), 8);
        assert_eq!(set.distance.unwrap().get(), dec!(400));
        assert_eq!(set.duration.unwrap().get(), 90);
        assert_eq!(set.rpe.unwrap().get(), 8.5);
        for (text, kind) in [("warmup", SetKind::WarmUp), ("failure", SetKind::Failure)] {
            assert_eq!(one(&[("set_type", text)]).kind, kind);
        }
    }

    #[test]
    fn empty_and_zero() {
        let set = one(&[("weight_kg", ""), ("reps", "0")]);
        assert_eq!((set.weight, set.reps.unwrap().get()), (None, 0));
        let set = one(&[("weight_kg", "0"), ("distance_km", "0.0"), ("duration_seconds", "0")]);
        assert_eq!((set.weight, set.distance, set.duration, set.rpe), (None, None, None, None));
        let nothing = "has no reps, distance or duration";
        assert_eq!(refused(&[("reps", "")]), nothing);
        assert_eq!(refused(&[("reps", ""), ("duration_seconds", "0")]), nothing);
    }

    #[test]
    fn workouts_are_gathered_and_oldest_first() {
        let later = [("start_time", "6 Jan 2025, 08:00"), ("end_time", "6 Jan 2025, 09:00")];
        let export = read_text(&file(&[
            row(&[later[0], later[1], ("reps", "5")]),
            row(&[("reps", "4")]),
            row(&[later[0], later[1], ("reps", "3"), ("description", "good")]),
            row(&[("title", "Second of the day"), ("reps", "2")]),
            row(&[("reps", "1")]),
        ]));
        let reps = |workout: &Workout| {
            workout.sets.iter().filter_map(|set| set.reps).map(Reps::get).collect::<Vec<_>>()
        };
        let found: Vec<_> = export
            .workouts
            .iter()
            .map(|workout| (workout.title.as_str(), workout.line, reps(workout)))
            .collect();
        let wanted =
            [("Push", 3, vec![4, 1]), ("Second of the day", 5, vec![2]), ("Push", 2, vec![5, 3])];
        assert_eq!(found, wanted);
        assert_eq!(export.workouts.last().unwrap().notes.as_deref(), Some("good"));
        assert_eq!(export.workouts.first().unwrap().notes, None);
    }

    #[test]
    fn any_line_ends_quotes_and_order_of_columns() {
        let plain = file(&[
            row(&[("title", "Legs 🦵, \"heavy\""), ("description", "two\nlines")]),
            row(&[("reps", "nine")]),
        ]);
        let quoted = format!("\"{}\"", HEADER.replace(',', "\",\""));
        for text in [
            plain.clone(),
            format!("\u{feff}{plain}"),
            plain.replace('\n', "\r\n"),
            plain.replacen(HEADER, &quoted, 1),
            plain.replacen(HEADER, &format!("\u{feff}{}", quoted.to_uppercase()), 1),
            plain.trim_end().to_owned(),
        ] {
            let export = read_text(&text);
            let workout = export.workouts.first().unwrap();
            assert_eq!(workout.title, "Legs 🦵, \"heavy\"");
            assert_eq!(workout.notes.as_deref(), Some("two\nlines"));
            assert_eq!(lines(&export.refused), [4], "{text:?}");
        }
        let export = read_text(
            "reps,colour,set_type,weight_lbs,end_time,start_time,set_index,title,exercise_title\n\
             \n\
             5,red,normal,225,\"5 Jan 2025, 09:00\",\"5 Jan 2025, 08:00\",0,,Squat (Barbell)\n",
        );
        let workout = export.workouts.first().unwrap();
        assert_eq!((workout.title.as_str(), workout.line), ("Workout", 3));
        let weight = Weight::new(dec!(225), WeightUnit::Lb).ok();
        assert_eq!(workout.sets.first().unwrap().weight, weight);
    }

    #[test]
    fn pounds_and_miles_come_independently() {
        let header = HEADER.replace("distance_km", "distance_miles");
        let text = file(&[row(&[("distance_km", "3.107")])]).replacen(HEADER, &header, 1);
        let export = read_text(&text);
        let set = export.workouts.first().unwrap().sets.first().unwrap();
        assert_eq!(set.weight.unwrap().unit(), WeightUnit::Kg);
        assert_eq!(set.distance.unwrap().get(), decimal("5000.232"));
        // 0.0000025 km is 2.5 mm, and halves go to the even side.
        assert_eq!(one(&[("distance_km", "0.0000025")]).distance.unwrap().get(), dec!(0.002));
    }

    #[test]
    fn weights_lose_float_noise_and_nothing_else() {
        for (text, value) in [
            ("149.99999999999997", "150"),
            ("61.23492", "61.23492"),
            ("61.234969999999997", "61.23497"),
            ("22.679618500000003", "22.679619"),
            ("62.5", "62.5"),
            ("1e2", "100"),
        ] {
            let weight = one(&[("weight_kg", text)]).weight.unwrap();
            assert_eq!(weight.value(), decimal(value), "{text}");
        }
    }

    #[test]
    fn times_of_many_languages_and_forms() {
        for text in [
            "5 Apr 2025, 20:05",
            "5 Nis 2025, 20:05",
            "5 avr. 2025, 20:05",
            "5. April 2025 20:05",
            "05 апр. 2025, 20:05",
            "5 4月 2025, 20:05",
            "5 de abr. de 2025, 20:05",
            "5 Apr 2025, 8:05 PM",
            "Apr 5, 2025, 8:05\u{202f}p.m.",
            "2025-04-05 20:05:00",
            "2025-04-05T20:05",
        ] {
            assert_eq!(start(text, Paris), "2025-04-05T18:05:00Z", "{text}");
        }
        assert_eq!(start("5 Jan 2025, 12:30 AM", UTC), "2025-01-05T00:30:00Z");
        assert_eq!(start("5 Jan 2025, 12:30 pm", UTC), "2025-01-05T12:30:00Z");
        for bad in [
            "30 Feb 2025, 08:00",
            "5 Jan 2025, 24:00",
            "5 Jan 2025, 13:00 PM",
            "5 Jan 2025",
            "5 Jan, 08:00",
            "5 Jan 25, 08:00",
            "5 Jan 99999, 08:00",
            "5/1/2025 08:00",
            "soon",
        ] {
            let reason = refused(&[("start_time", bad)]);
            assert!(reason.starts_with("start_time must be a time such as"), "{bad}: {reason}");
        }
        let reason = refused(&[("start_time", "5 Foo 2025, 08:00")]);
        assert!(reason.contains("names the month \"Foo\""), "{reason}");
        let reason = refused(&[("start_time", "31 Dec 1899, 08:00")]);
        assert!(reason.contains("between 1900 and 9999"), "{reason}");
    }

    #[test]
    fn clocks_put_forward_and_back() {
        // 02:30 was skipped: 03:30 summer time. And came twice: the first is summer time.
        assert_eq!(start("30 Mar 2025, 02:30", Paris), "2025-03-30T01:30:00Z");
        assert_eq!(start("26 Oct 2025, 02:30", Paris), "2025-10-26T00:30:00Z");
        // Samoa skipped the whole 30 December 2011.
        assert_eq!(start("30 Dec 2011, 12:00", Apia), "2011-12-30T22:00:00Z");

        let night = [("start_time", "26 Oct 2025, 02:50"), ("end_time", "26 Oct 2025, 02:10")];
        let export = read_text(&file(&[row(&night)]));
        let workout = export.workouts.first().unwrap();
        assert_eq!(workout.started_at.to_string(), "2025-10-26T00:50:00Z");
        assert_eq!(workout.completed_at.to_string(), "2025-10-26T01:10:00Z");
    }

    #[test]
    fn every_problem_of_a_row_is_named() {
        let bad = [
            ("start_time", "yesterday"),
            ("end_time", ""),
            ("exercise_title", " "),
            ("superset_id", "1000"),
            ("set_index", "-1"),
            ("set_type", "hard"),
            ("weight_kg", "62,5"),
            ("reps", "6.5"),
            ("distance_km", "99999999999999999999999999999"),
            ("duration_seconds", "86401"),
            ("rpe", "8.3"),
        ];
        let reason = refused(&bad);
        assert_eq!(reason.split("; ").count(), bad.len(), "{reason}");
        for (column, _) in bad {
            assert!(reason.contains(&format!("{column} must")), "{column}: {reason}");
        }
        for weight in ["-5", "1000.1", "79228162514264337593543950335", "NaN", "heavy"] {
            assert!(refused(&[("weight_kg", weight)]).contains("weight_kg must"), "{weight}");
        }
        let before = refused(&[("end_time", "5 Jan 2025, 07:59")]);
        assert_eq!(before, "end_time must not be before start_time");
        assert!(one(&[("end_time", "5 Jan 2025, 08:00"), ("reps", "6.0")]).reps.is_some());
    }

    #[test]
    fn long_texts_are_cut_and_said_so_once() {
        let (title, notes) = ("é".repeat(101), "n".repeat(1001));
        let sets = "s".repeat(501);
        let texts = [("title", &*title), ("description", &*notes), ("exercise_notes", &*sets)];
        let export = read_text(&file(&[row(&texts), row(&texts)]));
        let workout = export.workouts.first().unwrap();
        assert_eq!(workout.title, "é".repeat(100));
        assert_eq!(workout.notes.as_deref().map(str::len), Some(1000));
        assert_eq!(workout.sets.len(), 2);
        for set in &workout.sets {
            assert_eq!(set.exercise_notes.as_deref().map(str::len), Some(500));
        }
        assert_eq!(lines(&export.warnings), [2, 2, 2]);
        assert_eq!(
            export.warnings.first().unwrap().reason,
            "title is cut to 100 characters from 101"
        );

        let export = read_text(&file(&[
            row(&[("description", "one")]),
            row(&[("description", "")]),
            row(&[("description", "two")]),
        ]));
        assert_eq!(export.workouts.first().unwrap().notes.as_deref(), Some("one"));
        assert_eq!(lines(&export.warnings), [4]);
    }

    #[test]
    fn control_characters_are_dropped() {
        let texts = [("title", "Le\u{0}gs\u{7}"), ("description", "a\tb\u{1b}\r\nc\rd")];
        let export = read_text(&file(&[row(&texts)]));
        let workout = export.workouts.first().unwrap();
        assert_eq!(workout.title, "Legs");
        assert_eq!(workout.notes.as_deref(), Some("a\tb\nc\nd"));
    }

    #[test]
    fn a_file_cut_off_anywhere_keeps_the_rows_before() {
        let text = file(&[row(&[]), row(&[]), row(&[("title", "Beine 🦵\nschwer")])]);
        let rows: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        for end in rows[2] + 2..text.len() - 4 {
            // Even in the middle of a character.
            let export = read(&text.as_bytes()[..end], Paris).unwrap();
            assert_eq!(export.workouts.first().unwrap().sets.len(), 2, "{end}");
            assert_eq!(export.workouts.len(), 1, "{end}");
            assert_eq!(export.refused.first().unwrap().line, 4, "{end}");
        }
    }

    #[test]
    fn a_broken_row_takes_no_good_one_with_it() {
        let good = row(&[]);
        for broken in [
            "Push,\"5 Jan 2025, 08:00",
            "\"Push",
            "Push\"",
            "\"Pu\"sh\"",
            "a,b",
            "\u{fffd}",
            &format!("{good},\"more"),
            &format!("{good},more"),
            &good.replacen("Bench Press (Barbell)\"", "Bench Press", 1),
            &good.replacen("Push\"", "Push", 1),
        ] {
            let export =
                read_text(&file(&[good.clone(), broken.to_owned(), good.clone(), good.clone()]));
            assert_eq!(lines(&export.refused), [3], "{broken}");
            assert_eq!(export.rows, 4, "{broken}");
        }
        let mut bytes = file(&[good.clone(), row(&[("title", "Push?")]), good]).into_bytes();
        let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
        bytes[at] = 0xE9;
        let export = read(&bytes, Paris).unwrap();
        assert_eq!(export.refused, [Refusal { line: 3, reason: "is not UTF-8 text".to_owned() }]);
        assert_eq!(export.rows, 3);
    }

    #[test]
    fn files_of_which_nothing_can_be_read_say_why() {
        let utf16: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [b"\xFF\xFE", &utf16[..]].concat();
        let latin = file(&[row(&[("title", "?")])]).replace('?', "\u{1}").into_bytes();
        let latin: Vec<u8> = latin.into_iter().map(|b| if b == 1 { 0xE9 } else { b }).collect();
        let strong = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps";
        let android = "Date;Workout Name;Exercise Name;Set Order;Weight;Weight Unit;Reps";
        let fit_notes = "Date,Exercise,Category,Weight (kgs),Reps,Distance,Distance Unit,Time";
        let both = format!("{HEADER},weight_lbs");
        let twice = format!("{HEADER},reps");
        let cases: [(&[u8], &str); 15] = [
            (b"", "empty"),
            (b"\xEF\xBB\xBF \r\n", "empty"),
            (&marked, "UTF-16"),
            (&utf16, "UTF-16"),
            (&latin, "not UTF-8 but another encoding"),
            (b"\xE9t\xE9,b\n", "not UTF-8 but another encoding"),
            (b"PK\x03\x04\x14\x00", "ZIP"),
            (strong.as_bytes(), "export of Strong"),
            (android.as_bytes(), "export of Strong"),
            (fit_notes.as_bytes(), "export of FitNotes"),
            (&HEADER.replace(',', ";").into_bytes(), "not separated by commas"),
            (b"title,start_time,reps\n", "no column end_time, no column exercise_title"),
            (&HEADER.as_bytes()[..60], "no column set_index"),
            (both.as_bytes(), "weight_kg and weight_lbs"),
            (twice.as_bytes(), "reps and reps"),
        ];
        for (bytes, says) in cases {
            let error = read(bytes, Paris).unwrap_err().to_string();
            assert!(error.contains(says), "{error} should say {says}");
        }
        assert_eq!(read_text(HEADER).rows, 0);
        assert!(read(b"\"title,start_time", Paris).is_err());
    }
}
