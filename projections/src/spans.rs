//! The tree of spans: days with all their sets, and the holders of each month, year and life. Models that
//! need to know whose set is next when a best one is gone each keep one for themselves.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Datelike, Utc};
use domain::records::{Best, Performed, Scope, Session};
use events::{AthleteId, ExerciseId, Timestamp};
use projector::{Tables, row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::lifts::{decode, encode};

row! {
    pub(crate) struct DayRow in "days" by 4 {
        pub(crate) owner: Uuid,
        pub(crate) exercise: String,
        month: i32,
        day: i16,
        pub(crate) done: String,
    }
}

row! {
    pub(crate) struct SpanRow in "spans" by 4 {
        owner: Uuid,
        exercise: String,
        level: i16,
        span: i32,
        best: String,
    }
}

/// Everything of a day.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Day {
    #[serde(rename = "s")]
    pub(crate) sets: Vec<Performed>,
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sessions: Vec<Session>,
}

/// A change of a day.
pub(crate) enum Edit {
    /// The set is no longer there, or no longer so.
    DropSet(Performed),
    /// The session is no longer there, or no longer so.
    DropSession(Session),
    Set(Performed),
    Session(Session),
}

/// Whose records of which exercise.
type Track = (Uuid, String);

/// The changes of days, by track.
#[derive(Default)]
pub(crate) struct Edits(BTreeMap<Track, OfTrack>);

struct OfTrack {
    scope: Scope,
    days: BTreeMap<(i32, i16), Vec<Edit>>,
}

/// What a span lost of what it had, and what it got: what the span around it must know.
#[derive(Default)]
struct Delta {
    lost: Vec<Performed>,
    gained: Vec<Performed>,
    lost_sessions: Vec<Session>,
    sessions: Vec<Session>,
}

/// What became of the spans of a level.
#[derive(Default)]
struct Written {
    /// What the spans around them must know.
    around: BTreeMap<(Track, i32), Delta>,
    /// Who holds the records of those that changed.
    changed: Vec<(Track, Best)>,
}

const MONTHS: i16 = 2;
const YEARS: i16 = 1;
const EVER: i16 = 0;

/// Where a time is among the days.
pub(crate) fn day_of(at: Timestamp) -> (i32, i16) {
    (month_of(at.utc()), i16::try_from(at.utc().day()).unwrap_or(0))
}

/// The month of a time, as in 202601.
pub(crate) fn month_of(at: DateTime<Utc>) -> i32 {
    at.year() * 100 + i32::try_from(at.month()).unwrap_or(0)
}

impl Edits {
    pub(crate) fn put(
        &mut self,
        owner: AthleteId,
        exercise: &ExerciseId,
        scope: impl Into<Scope>,
        edit: Edit,
    ) {
        let track = self
            .0
            .entry((owner.uuid(), exercise.to_string()))
            .or_insert_with(|| OfTrack { scope: scope.into(), days: BTreeMap::new() });
        let when = match &edit {
            Edit::Set(set) | Edit::DropSet(set) => set.performed_at,
            Edit::Session(session) | Edit::DropSession(session) => session.started_at,
        };
        track.days.entry(day_of(when)).or_default().push(edit);
    }

    /// Brings the days up to date, and every span that they are in; answers of which exercises the
    /// records of a life have changed, and to which.
    pub(crate) async fn write(
        mut self,
        tables: &mut Tables<'_>,
    ) -> Result<Vec<(AthleteId, String, Best)>, sqlx::Error> {
        let days = self.write_days(tables).await?;
        let months = self.write_spans(tables, MONTHS, days).await?.around;
        let years = self.write_spans(tables, YEARS, months).await?.around;
        let ever = self.write_spans(tables, EVER, years).await?.changed;
        let changed = ever.into_iter().filter_map(|((owner, exercise), best)| {
            Some((AthleteId::new(owner).ok()?, exercise, best))
        });
        Ok(changed.collect())
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

    /// Brings the spans of a level up to date.
    ///
    /// A span that keeps all its holders has only to be compared with what came; one that lost a
    /// holder is looked at again in full.
    async fn write_spans(
        &self,
        tables: &mut Tables<'_>,
        level: i16,
        deltas: BTreeMap<(Track, i32), Delta>,
    ) -> Result<Written, sqlx::Error> {
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
        for (key, delta) in &deltas {
            let known = there.get(key);
            let Some(track) = self.0.get(&key.0) else { continue };
            let scope = track.scope;
            if known.is_some_and(|known| delta.takes_from(known, scope)) {
                again.push(key.clone());
                continue;
            }
            let kept = known.map(|known| delta.leaves(known)).unwrap_or_default();
            let came = Best::of(scope, delta.gained.clone(), delta.sessions.clone());
            after.insert(key.clone(), kept.with(came, scope));
        }
        after.extend(self.look_again(tables, level, again).await?);

        let mut written = Written::default();
        let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (key, best) in after {
            let known = there.remove(&key);
            if known.as_ref() == Some(&best) {
                continue;
            }
            let is_new = known.is_none();
            let ((owner, exercise), span) = key.clone();
            let outer = if level == MONTHS { span / 100 } else { 0 };
            let told = written.around.entry((key.0.clone(), outer)).or_default();
            if let Some(delta) = deltas.get(&key) {
                told.tell(delta, &known.unwrap_or_default(), &best);
            }
            if best.is_empty() {
                gone.push((owner, exercise, level, span));
            } else {
                let row = SpanRow { owner, exercise, level, span, best: encode(&best)? };
                if is_new { &mut new } else { &mut changed }.push(row);
            }
            written.changed.push((key.0, best));
        }
        tables.insert(new).await?;
        tables.upsert(changed).await?;
        tables.delete::<SpanRow, _>(gone).await?;
        Ok(written)
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
                within(((row.owner, row.exercise), row.span / 100), best.sets, best.sessions);
            }
        } else {
            let mut keys = Vec::with_capacity(spans.len());
            for ((owner, exercise), _) in spans {
                keys.push((owner, exercise, YEARS));
            }
            let rows: Vec<SpanRow> = tables.read(keys).await?;
            for row in rows {
                let best: Best = decode(&row.best)?;
                within(((row.owner, row.exercise), 0), best.sets, best.sessions);
            }
        }
        let best = parts.into_iter().filter_map(|(key, (sets, sessions))| {
            let scope = self.0.get(&key.0)?.scope;
            Some((key, Best::of(scope, sets, sessions)))
        });
        Ok(best.collect())
    }
}

impl Delta {
    /// Changes a day, and notes what the month must know.
    fn edit(&mut self, day: &mut Day, edits: Vec<Edit>) {
        for edit in edits {
            match edit {
                Edit::DropSet(set) => {
                    day.sets.retain(|of_day| of_day.id != set.id);
                    self.lost.push(set);
                }
                Edit::DropSession(session) => {
                    day.sessions.retain(|of_day| of_day.workout != session.workout);
                    self.lost_sessions.push(session);
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

    /// What the span around one must know of it, which had these holders and now has those: who is new
    /// among them, and which of those that it had are gone. Who is only beaten here is beaten there
    /// by the same.
    fn tell(&mut self, within: &Self, before: &Best, after: &Best) {
        let new = after.sets.iter().filter(|set| !before.sets.contains(set));
        self.gained.extend(new.cloned());
        let new = after.sessions.iter().filter(|session| !before.sessions.contains(session));
        self.sessions.extend(new.cloned());
        let held = |lost: &&Performed| before.sets.iter().any(|held| held.id == lost.id);
        self.lost.extend(within.lost.iter().filter(held).cloned());
        let held =
            |lost: &&Session| before.sessions.iter().any(|held| held.workout == lost.workout);
        self.lost_sessions.extend(within.lost_sessions.iter().filter(held).cloned());
    }

    /// Whether a holder is lost, and not only replaced by what is as good: then others may be next.
    fn takes_from(&self, best: &Best, scope: Scope) -> bool {
        let set_is_lost = |lost: &Performed| {
            let replaced = self.gained.iter().find(|gained| gained.id == lost.id);
            best.sets.iter().any(|held| held.id == lost.id)
                && !replaced.is_some_and(|now| now.is_no_worse_than(lost, scope))
        };
        let session_is_lost = |lost: &Session| {
            let replaced = self.sessions.iter().find(|gained| gained.workout == lost.workout);
            best.sessions.iter().any(|held| held.workout == lost.workout)
                && !replaced.is_some_and(|now| now.is_no_worse_than(lost))
        };
        self.lost.iter().any(set_is_lost) || self.lost_sessions.iter().any(session_is_lost)
    }

    /// The holders without those that are replaced.
    fn leaves(&self, best: &Best) -> Best {
        let mut best = best.clone();
        best.sets.retain(|held| !self.lost.iter().any(|lost| lost.id == held.id));
        let is_lost =
            |held: &Session| self.lost_sessions.iter().any(|lost| lost.workout == held.workout);
        best.sessions.retain(|held| !is_lost(held));
        best
    }
}
