//! Reading records: holders and the position they stand at, in one statement.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
use domain::records::{Best, Kind, Performed, Session};
use events::{AthleteId, Epoch, ExerciseId, Measurement, Partition, Position, TimeZone, Timestamp};
use log::Positions;
use rust_decimal::Decimal;
use sqlx::PgPool;
use web::Error;

use super::Records;
use crate::{
    Context,
    athlete::Exercises,
    context,
    lifts::decode,
    represent::Known,
    spans::{Day, day_of, month_of},
};

/// How often a progression is read again because rows changed in between.
const ATTEMPTS: usize = 5;

/// Whose records, and where they are.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) context: &'a Context,
    pub(super) owner: AthleteId,
    pub(super) partition: Partition,
}

/// Records of exercises.
pub(super) struct Tracks {
    /// Where in the log they stand.
    pub(super) position: Positions,
    /// By exercise.
    pub(super) best: ByExercise,
}

type ByExercise = BTreeMap<ExerciseId, Best>;

/// What was done of an exercise.
type Done = (Vec<Performed>, Vec<Session>);

/// A span of time, from its first instant to the first after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: DateTime<Utc>,
    pub(super) after: DateTime<Utc>,
}

/// One record after the other: what was done, and the figure.
pub(super) struct Progression {
    pub(super) position: Positions,
    pub(super) sets: BTreeMap<Kind, Vec<(Performed, Decimal)>>,
    pub(super) sessions: Vec<Session>,
}

impl Window {
    /// The one before it, as long.
    pub(super) fn before(self) -> Option<Self> {
        let from = self.from.checked_sub_signed(self.after - self.from)?;
        Some(Self { from, after: self.from })
    }

    fn has(&self, at: Timestamp) -> bool {
        (self.from..self.after).contains(&at.utc())
    }

    /// The months that lie wholly within it: the first, and the one after the last.
    fn months(&self) -> (i32, i32) {
        let first = self.from.date_naive();
        let start = first.with_day(1).unwrap_or(first);
        let is_whole = start.and_time(NaiveTime::MIN).and_utc() >= self.from;
        let start = if is_whole { Some(start) } else { start.checked_add_months(Months::new(1)) };
        let month = |date: NaiveDate| day_of_date(date).0;
        let (start, end) = (start.map_or(i32::MAX, month), month(self.after.date_naive()));
        if start < end { (start, end) } else { (0, 0) }
    }
}

fn day_of_date(date: NaiveDate) -> (i32, i16) {
    day_of(Timestamp::new(date.and_time(NaiveTime::MIN).and_utc()))
}

fn not_built() -> Error {
    Error::unavailable("NOT_BUILT", "the read model is not built yet", 5)
}

/// Who holds the records of an exercise, for those who decide: an index probe, however stale it is.
pub async fn holders(
    pool: &PgPool,
    owner: AthleteId,
    exercise: &ExerciseId,
) -> Result<Best, sqlx::Error> {
    let best = sqlx::query_scalar!(
        "select best from records_v3.spans
         where owner = $1 and exercise = $2 and level = 0 and span = 0",
        owner.uuid(),
        exercise.to_string(),
    )
    .fetch_optional(pool)
    .await?;
    best.as_deref().map(decode).transpose().map(Option::unwrap_or_default)
}

/// The most that the sets of an exercise come to without one of them: those that hold records of
/// months, and all of the month of the one that is left out.
pub async fn sets_without(
    pool: &PgPool,
    owner: AthleteId,
    exercise: &ExerciseId,
    set: &Performed,
) -> Result<Vec<Performed>, sqlx::Error> {
    let at = set.performed_at.utc();
    let (month, id) = (month_of(at), exercise.to_string());
    let months = sqlx::query_scalar!(
        "select best from records_v3.spans
         where owner = $1 and exercise = $2 and level = 2 and span <> $3",
        owner.uuid(),
        id,
        month,
    )
    .fetch_all(pool)
    .await?;
    let days = sqlx::query_scalar!(
        "select done from records_v3.days where owner = $1 and exercise = $2 and month = $3",
        owner.uuid(),
        id,
        month,
    )
    .fetch_all(pool)
    .await?;
    let mut sets = Vec::new();
    for best in months {
        sets.extend(decode::<Best>(&best)?.sets);
    }
    for done in days {
        sets.extend(decode::<Day>(&done)?.sets);
    }
    sets.retain(|other| other.id != set.id);
    Ok(sets)
}

/// The records of an athlete that stand, for others to see: of exercises of the library, those who hold
/// anything.
pub(crate) async fn best(
    context: &Context,
    owner: AthleteId,
) -> Result<Vec<(ExerciseId, Known, Best)>, Error> {
    let rows = sqlx::query!(
        "select exercise, best from records_v3.spans
         where owner = $1 and level = 0 and span = 0 order by exercise",
        owner.uuid(),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let exercise = row.exercise.parse().map_err(Error::internal)?;
        if let Some(known) = Known::find(&exercise, |_| None) {
            all.push((exercise, known, decode(&row.best).map_err(context::database)?));
        }
    }
    Ok(all)
}

impl Of<'_> {
    /// The athlete's own exercises, beside the library.
    pub(super) async fn exercises(self) -> Result<Exercises, Error> {
        Exercises::of::<Records>(self.context, self.owner).await
    }

    /// Where the athlete's days begin and end.
    pub(super) async fn zone(self) -> Result<TimeZone, Error> {
        let zone = sqlx::query_scalar!(
            "select time_zone from records_v3.athletes where owner = $1",
            self.owner.uuid()
        )
        .fetch_optional(&self.context.pool)
        .await
        .map_err(context::database)?;
        zone.as_deref().unwrap_or("UTC").parse().map_err(Error::internal)
    }

    /// The records that stand now, of all exercises or of one: an index probe each.
    pub(super) async fn now(self, exercise: Option<&ExerciseId>) -> Result<Tracks, Error> {
        let rows = sqlx::query!(
            r#"select c.epoch, c.position, s.exercise as "exercise?", s.best as "best?"
               from records_v3.checkpoints c
               left join records_v3.spans s on s.owner = $1 and s.level = 0 and s.span = 0
                   and ($3::text is null or s.exercise = $3)
               where c.partition = $2"#,
            self.owner.uuid(),
            self.partition.0,
            exercise.map(ToString::to_string),
        )
        .fetch_all(&self.context.pool)
        .await
        .map_err(context::database)?;
        let first = rows.first().ok_or_else(not_built)?;
        let position = self.stands(first.epoch, first.position);
        let mut best = BTreeMap::new();
        for row in rows {
            if let (Some(exercise), Some(held)) = (row.exercise, row.best) {
                let exercise = exercise.parse().map_err(Error::internal)?;
                best.insert(exercise, decode(&held).map_err(context::database)?);
            }
        }
        Ok(Tracks { position, best })
    }

    /// The best of some windows of time: of whole months as they are kept, and at the edges day by
    /// day.
    pub(super) async fn within(
        self,
        exercise: Option<&ExerciseId>,
        windows: &[Window],
        exercises: &Exercises,
    ) -> Result<(Positions, Vec<ByExercise>), Error> {
        let first: Vec<i32> = windows.iter().map(|window| day_number(window.from)).collect();
        let last: Vec<i32> = windows.iter().map(|window| day_number(window.after)).collect();
        let (whole, after): (Vec<i32>, Vec<i32>) = windows.iter().map(Window::months).unzip();
        let rows = sqlx::query!(
            r#"select c.epoch, c.position, w.window as "window?", t.exercise as "exercise?",
                   part.done as "done?", part.is_whole as "is_whole?"
               from records_v3.checkpoints c
               left join records_v3.spans t on t.owner = $1 and t.level = 0 and t.span = 0
                   and ($3::text is null or t.exercise = $3)
               left join unnest($4::int[], $5::int[], $6::int[], $7::int[]) with ordinality
                   as w (first, last, whole, after, "window") on true
               left join lateral (
                   select s.best as done, true as is_whole
                   from records_v3.spans s
                   where s.owner = $1 and s.exercise = t.exercise and s.level = 2
                       and s.span >= w.whole and s.span < w.after
                   union all
                   select d.done, false
                   from records_v3.days d
                   where d.owner = $1 and d.exercise = t.exercise
                       and d.month >= w.first / 100 and d.month <= w.last / 100
                       and d.month * 100 + d.day between w.first and w.last
                       and not (d.month >= w.whole and d.month < w.after)
               ) part on true
               where c.partition = $2"#,
            self.owner.uuid(),
            self.partition.0,
            exercise.map(ToString::to_string),
            &first,
            &last,
            &whole,
            &after,
        )
        .fetch_all(&self.context.pool)
        .await
        .map_err(context::database)?;
        let first = rows.first().ok_or_else(not_built)?;
        let position = self.stands(first.epoch, first.position);
        let mut parts: Vec<BTreeMap<ExerciseId, Done>> =
            windows.iter().map(|_| BTreeMap::new()).collect();
        for row in rows {
            let (Some(number), Some(exercise), Some(done)) = (row.window, row.exercise, row.done)
            else {
                continue;
            };
            let index = usize::try_from(number - 1).unwrap_or(0);
            let exercise: ExerciseId = exercise.parse().map_err(Error::internal)?;
            let (sets, sessions) = parts[index].entry(exercise).or_default();
            if row.is_whole == Some(true) {
                let best: Best = decode(&done).map_err(context::database)?;
                sets.extend(best.sets);
                sessions.extend(best.sessions);
            } else {
                let (day, window): (Day, _) =
                    (decode(&done).map_err(context::database)?, &windows[index]);
                sets.extend(day.sets.into_iter().filter(|set| window.has(set.performed_at)));
                let begun = |session: &Session| window.has(session.started_at);
                sessions.extend(day.sessions.into_iter().filter(begun));
            }
        }
        let best = parts.into_iter().map(|parts| {
            let best = parts.into_iter().filter_map(|(exercise, (sets, sessions))| {
                let measurement = exercises.get(&exercise)?.measurement;
                let best = Best::of(measurement, sets, sessions);
                (!best.is_empty()).then_some((exercise, best))
            });
            best.collect()
        });
        Ok((position, best.collect()))
    }

    /// Every time that one of some records of an exercise was broken, in the order of performing.
    ///
    /// A month whose best is no better than what was before it has nothing to tell, so only the
    /// days of the others are read.
    pub(super) async fn progression(
        self,
        exercise: &ExerciseId,
        measurement: Measurement,
        kinds: &[Kind],
    ) -> Result<Progression, Error> {
        for _ in 0..ATTEMPTS {
            let rows = sqlx::query!(
                r#"select c.epoch, c.position, s.span as "span?", s.best as "best?"
                   from records_v3.checkpoints c
                   left join records_v3.spans s on s.owner = $1 and s.exercise = $3 and s.level = 2
                   where c.partition = $2
                   order by s.span"#,
                self.owner.uuid(),
                self.partition.0,
                exercise.to_string(),
            )
            .fetch_all(&self.context.pool)
            .await
            .map_err(context::database)?;
            let first = rows.first().ok_or_else(not_built)?;
            let stands = (first.epoch, first.position);
            let mut told = Telling::new(measurement, kinds);
            let mut months = Vec::new();
            for row in &rows {
                let (Some(span), Some(best)) = (row.span, &row.best) else { continue };
                let best: Best = decode(best).map_err(context::database)?;
                if told.take(best.sets, best.sessions) {
                    months.push(span);
                }
            }
            let rows = sqlx::query!(
                r#"select c.epoch, c.position, d.done as "done?"
                   from records_v3.checkpoints c
                   left join records_v3.days d on d.owner = $1 and d.exercise = $3
                       and d.month = any($4)
                   where c.partition = $2
                   order by d.month, d.day"#,
                self.owner.uuid(),
                self.partition.0,
                exercise.to_string(),
                &months,
            )
            .fetch_all(&self.context.pool)
            .await
            .map_err(context::database)?;
            let first = rows.first().ok_or_else(not_built)?;
            if (first.epoch, first.position) != stands {
                continue;
            }
            let mut told = Telling::new(measurement, kinds);
            for row in rows {
                let Some(done) = row.done else { continue };
                let day: Day = decode(&done).map_err(context::database)?;
                told.take(day.sets, day.sessions);
            }
            let position = self.stands(stands.0, stands.1);
            return Ok(Progression { position, sets: told.sets, sessions: told.sessions });
        }
        Err(Error::unavailable("BUSY", "the records change faster than they can be read", 1))
    }

    fn stands(self, epoch: i64, position: i64) -> Positions {
        Positions::one(Epoch(epoch), self.partition, Position(position))
    }
}

fn day_number(at: DateTime<Utc>) -> i32 {
    let (month, day) = day_of(Timestamp::new(at));
    month * 100 + i32::from(day)
}

/// Records one after the other, from spans in the order of time.
struct Telling<'a> {
    measurement: Measurement,
    kinds: &'a [Kind],
    sets: BTreeMap<Kind, Vec<(Performed, Decimal)>>,
    sessions: Vec<Session>,
}

impl<'a> Telling<'a> {
    fn new(measurement: Measurement, kinds: &'a [Kind]) -> Self {
        Self { measurement, kinds, sets: BTreeMap::new(), sessions: Vec::new() }
    }

    /// Takes what lies after all that it has; whether that broke a record.
    fn take(&mut self, mut sets: Vec<Performed>, mut sessions: Vec<Session>) -> bool {
        let mut broke = false;
        sets.sort_by_key(|set| (set.performed_at, set.logged));
        for set in &sets {
            for kind in self.kinds {
                let Some(figure) = kind.figure(set, self.measurement) else { continue };
                let told = self.sets.entry(*kind).or_default();
                let score = |figure| kind.score(figure, self.measurement);
                if told.last().is_none_or(|(_, last)| score(figure) > score(*last)) {
                    told.push((set.clone(), figure));
                    broke = true;
                }
            }
        }
        if self.kinds.contains(&Kind::BestSessionVolume) {
            sessions.sort_by_key(|session| (session.started_at, session.logged));
            for session in sessions {
                let last = self.sessions.last();
                if last.is_none_or(|last| session.volume_kg > last.volume_kg) {
                    self.sessions.push(session);
                    broke = true;
                }
            }
        }
        broke
    }
}
