//! The tree of spans: days with all their sets, and the holders of each month, year and life.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::Datelike;
use domain::records::{Best, Performed, Session};
use events::{ExerciseId, Measurement, Timestamp};
use projector::{Tables, row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{decode, encode};

row! {
    pub(super) struct DayRow in "days" by 4 {
        owner: Uuid,
        exercise: String,
        month: i32,
        day: i16,
        done: String,
    }
}

row! {
    pub(super) struct SpanRow in "spans" by 4 {
        owner: Uuid,
        exercise: String,
        level: i16,
        span: i32,
        best: String,
    }
}

/// Everything of a day.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Day {
    #[serde(rename = "s")]
    pub(super) sets: Vec<Performed>,
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sessions: Vec<Session>,
}

/// A change of a day.
pub(super) enum Edit {
    /// The set, or the session of the workout, of this id is no longer there.
    Drop(Timestamp, Uuid),
    Set(Performed),
    Session(Session),
}

/// Whose records of which exercise.
type Track = (Uuid, String);

/// The changes of days, by track.
#[derive(Default)]
pub(super) struct Edits(BTreeMap<Track, OfTrack>);

struct OfTrack {
    measurement: Measurement,
    days: BTreeMap<(i32, i16), Vec<Edit>>,
}

/// What a span lost of what it had, and what it got: what the span around it must know.
#[derive(Default)]
struct Delta {
    lost: HashSet<Uuid>,
    gained: Vec<Performed>,
    sessions: Vec<Session>,
}

const MONTHS: i16 = 2;
const YEARS: i16 = 1;
const EVER: i16 = 0;

/// Where a time is among the days.
pub(super) fn day_of(at: Timestamp) -> (i32, i16) {
    let date = at.utc().date_naive();
    let month = date.year() * 100 + i32::try_from(date.month()).unwrap_or(0);
    (month, i16::try_from(date.day()).unwrap_or(0))
}

impl Edits {
    pub(super) fn put(
        &mut self,
        owner: Uuid,
        exercise: &ExerciseId,
        measurement: Measurement,
        edit: Edit,
    ) {
        let track = self
            .0
            .entry((owner, exercise.to_string()))
            .or_insert_with(|| OfTrack { measurement, days: BTreeMap::new() });
        let when = match &edit {
            Edit::Drop(when, _) => *when,
            Edit::Set(set) => set.performed_at,
            Edit::Session(session) => session.started_at,
        };
        track.days.entry(day_of(when)).or_default().push(edit);
    }

    /// Brings the days up to date, and every span that they are in.
    pub(super) async fn write(mut self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let days = self.write_days(tables).await?;
        let months = self.write_spans(tables, MONTHS, days).await?;
        let years = self.write_spans(tables, YEARS, months).await?;
        self.write_spans(tables, EVER, years).await?;
        Ok(())
    }

    /// Answers what the months must know.
    async fn write_days(
        &mut self,
        tables: &mut Tables<'_>,
    ) -> Result<BTreeMap<(Track, i32), Delta>, sqlx::Error> {
        let mut keys = Vec::new();
        for ((owner, exercise), track) in &self.0 {
            for (month, day) in track.days.keys() {
                keys.push((*owner, exercise.clone(), *month, *day));
            }
        }
        let mut there: HashMap<(Track, i32, i16), Day> = HashMap::new();
        let rows: Vec<DayRow> = tables.read(keys).await?;
        for row in rows {
            let day = decode(&row.done)?;
            there.insert(((row.owner, row.exercise), row.month, row.day), day);
        }
        let mut deltas: BTreeMap<(Track, i32), Delta> = BTreeMap::new();
        let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (track, of_track) in &mut self.0 {
            for ((month, day), edits) in std::mem::take(&mut of_track.days) {
                let known = there.remove(&(track.clone(), month, day));
                let is_new = known.is_none();
                let mut done = known.unwrap_or_default();
                let delta = deltas.entry((track.clone(), month)).or_default();
                delta.edit(&mut done, edits);
                let (owner, exercise) = track.clone();
                if done.sets.is_empty() && done.sessions.is_empty() {
                    gone.push((owner, exercise, month, day));
                    continue;
                }
                let row = DayRow { owner, exercise, month, day, done: encode(&done)? };
                if is_new { &mut new } else { &mut changed }.push(row);
            }
        }
        tables.insert(new).await?;
        tables.upsert(changed).await?;
        tables.delete::<DayRow, _>(gone).await?;
        Ok(deltas)
    }

    /// Brings the spans of a level up to date, and answers what the spans around them must know.
    ///
    /// A span that keeps all its holders has only to be compared with what came; one that lost a
    /// holder is looked at again in full.
    async fn write_spans(
        &self,
        tables: &mut Tables<'_>,
        level: i16,
        deltas: BTreeMap<(Track, i32), Delta>,
    ) -> Result<BTreeMap<(Track, i32), Delta>, sqlx::Error> {
        let mut keys = Vec::with_capacity(deltas.len());
        for ((owner, exercise), span) in deltas.keys() {
            keys.push((*owner, exercise.clone(), level, *span));
        }
        let rows: Vec<SpanRow> = tables.read(keys).await?;
        let mut there: HashMap<(Track, i32), Best> = HashMap::with_capacity(rows.len());
        for row in rows {
            there.insert(((row.owner, row.exercise), row.span), decode(&row.best)?);
        }
        let mut after: BTreeMap<(Track, i32), Best> = BTreeMap::new();
        let mut again = Vec::new();
        for (key, delta) in deltas {
            let known = there.get(&key);
            let Some(track) = self.0.get(&key.0) else { continue };
            if known.is_some_and(|known| delta.takes_from(known)) {
                again.push(key);
                continue;
            }
            let came = Best::of(track.measurement, delta.gained, delta.sessions);
            let best = match known {
                Some(known) => known.clone().with(came, track.measurement),
                None => came,
            };
            after.insert(key, best);
        }
        after.extend(self.look_again(tables, level, again).await?);

        let mut deltas: BTreeMap<(Track, i32), Delta> = BTreeMap::new();
        let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for ((track, span), best) in after {
            let known = there.remove(&(track.clone(), span));
            if known.as_ref() == Some(&best) {
                continue;
            }
            let around = match level {
                MONTHS => span / 100,
                _ => 0,
            };
            let is_new = known.is_none();
            let delta = deltas.entry((track.clone(), around)).or_default();
            delta.between(known.unwrap_or_default(), &best);
            let (owner, exercise) = track.clone();
            if best.is_empty() {
                gone.push((owner, exercise, level, span));
                continue;
            }
            let row = SpanRow { owner, exercise, level, span, best: encode(&best)? };
            if is_new { &mut new } else { &mut changed }.push(row);
        }
        tables.insert(new).await?;
        tables.upsert(changed).await?;
        tables.delete::<SpanRow, _>(gone).await?;
        Ok(deltas)
    }

    /// The holders of spans from all that is within them.
    async fn look_again(
        &self,
        tables: &mut Tables<'_>,
        level: i16,
        spans: Vec<(Track, i32)>,
    ) -> Result<BTreeMap<(Track, i32), Best>, sqlx::Error> {
        let mut parts: BTreeMap<(Track, i32), (Vec<Performed>, Vec<Session>)> =
            spans.iter().map(|span| (span.clone(), Default::default())).collect();
        let mut within = |key: (Track, i32), sets: Vec<Performed>, sessions: Vec<Session>| {
            let part = parts.entry(key).or_default();
            part.0.extend(sets);
            part.1.extend(sessions);
        };
        if level == MONTHS {
            let mut keys = Vec::with_capacity(spans.len());
            for ((owner, exercise), span) in spans {
                keys.push((owner, exercise, span));
            }
            let rows: Vec<DayRow> = tables.read(keys).await?;
            for row in rows {
                let day: Day = decode(&row.done)?;
                within(((row.owner, row.exercise), row.month), day.sets, day.sessions);
            }
        } else if level == YEARS {
            let mut keys = Vec::with_capacity(spans.len() * 12);
            for ((owner, exercise), span) in spans {
                for month in 1..=12 {
                    keys.push((owner, exercise.clone(), MONTHS, span * 100 + month));
                }
            }
            let rows: Vec<SpanRow> = tables.read(keys).await?;
            for row in rows {
                let best: Best = decode(&row.best)?;
                let sessions = best.session.into_iter().collect();
                within(((row.owner, row.exercise), row.span / 100), best.sets, sessions);
            }
        } else {
            let mut keys = Vec::with_capacity(spans.len());
            for ((owner, exercise), _) in spans {
                keys.push((owner, exercise, YEARS));
            }
            let rows: Vec<SpanRow> = tables.read(keys).await?;
            for row in rows {
                let best: Best = decode(&row.best)?;
                let sessions = best.session.into_iter().collect();
                within(((row.owner, row.exercise), 0), best.sets, sessions);
            }
        }
        let best = parts.into_iter().filter_map(|(key, (sets, sessions))| {
            let measurement = self.0.get(&key.0)?.measurement;
            Some((key, Best::of(measurement, sets, sessions)))
        });
        Ok(best.collect())
    }
}

impl Delta {
    /// Changes a day, and notes what the month must know.
    fn edit(&mut self, day: &mut Day, edits: Vec<Edit>) {
        for edit in edits {
            match edit {
                Edit::Drop(_, id) => {
                    day.sets.retain(|set| set.id.uuid() != id);
                    day.sessions.retain(|session| session.workout.uuid() != id);
                    self.lost.insert(id);
                }
                Edit::Set(set) => {
                    day.sets.push(set.clone());
                    self.gained.push(set);
                }
                Edit::Session(session) => {
                    day.sessions.push(session.clone());
                    self.sessions.push(session);
                }
            }
        }
        // The same however the edits came.
        day.sets.sort_by_key(|set| set.logged);
        day.sessions.sort_by_key(|session| session.logged);
    }

    /// From the holders before and after.
    fn between(&mut self, before: Best, after: &Best) {
        let kept = |set: &Performed| after.sets.contains(set);
        let (kept, lost): (Vec<_>, Vec<_>) = before.sets.into_iter().partition(kept);
        self.lost.extend(lost.iter().map(|set| set.id.uuid()));
        self.gained.extend(after.sets.iter().filter(|set| !kept.contains(set)).cloned());
        if before.session != after.session {
            self.lost.extend(before.session.map(|session| session.workout.uuid()));
            self.sessions.extend(after.session.clone());
        }
    }

    fn takes_from(&self, best: &Best) -> bool {
        let session = best.session.iter().map(|session| session.workout.uuid());
        let mut holders = best.sets.iter().map(|set| set.id.uuid()).chain(session);
        holders.any(|id| self.lost.contains(&id))
    }
}
