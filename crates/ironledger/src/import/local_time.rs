//! When was a local time of an export, whose months are in any language?

use chrono::{
    DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;
use events::Timestamp;

use super::months::month;

/// When a local time was: two instants where the clock was put back, else one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local {
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
}

impl Local {
    pub(super) fn read(text: &str, zone: Tz) -> Result<Self, String> {
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

    pub(super) fn not_before(self, start: Timestamp) -> Timestamp {
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
