//! When do an athlete's days begin and end?
//!
//! Worked out here and not by Postgres, which knows the time zones of the machine it runs on:
//! recent systems leave older names such as `US/Pacific` out.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Utc};
use events::{TimeZone, Timestamp};

/// The first instant of a local day. Where clocks are set forward at midnight, or a whole day is
/// skipped, that is the first instant after the gap.
pub fn begins(day: NaiveDate, zone: TimeZone) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    let quarters = (0..=96).map(|quarter| midnight + TimeDelta::minutes(15 * quarter));
    let found = quarters.filter_map(|local| zone.0.from_local_datetime(&local).earliest()).next();
    found.map_or_else(|| midnight.and_utc(), |at| at.to_utc())
}

/// The first instant after the local day of another instant.
pub fn ends(at: Timestamp, zone: TimeZone) -> DateTime<Utc> {
    let day = at.utc().with_timezone(&zone.0).date_naive();
    begins(day + Days::new(1), zone)
}
