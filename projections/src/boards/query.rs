//! Reading boards out of the tables: places, ranks and neighbours, and the position they stand at.
//!
//! A rank costs one pass over the counts of the board, some hundred rows in each partition, and an index
//! range within one step of the score, however many athletes stand on it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use events::{AthleteId, Epoch, Partition, Position};
use log::Positions;
use projector::Projection;
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use uuid::Uuid;
use web::Error;

use super::{
    Boards,
    board::{Among, Board, number},
    places::among,
};
use crate::{Context, context::database};

/// So many others are shown above somebody and below.
pub(super) const AROUND: usize = 5;

/// Places that are shown at most.
pub(super) const MOST: usize = 100;

/// A day that is over is told as far down as this.
const MOST_PAST: usize = 1000;

/// Which places of a board.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) board: Board,
    /// By its last day.
    pub(super) period: i32,
    pub(super) among: Among,
}

/// Somebody's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) rank: i64,
    pub(super) owner: Uuid,
    pub(super) score: i64,
}

/// A board, for somebody.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// How many athletes have a place; where that is known.
    pub(super) athletes: Option<i64>,
    pub(super) top: Vec<Place>,
    /// The reader's.
    pub(super) mine: Option<Mine>,
    /// Who is around the reader, with them.
    pub(super) around: Vec<Place>,
}

/// The reader's own score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mine {
    /// Where it is known.
    pub(super) rank: Option<i64>,
    pub(super) score: i64,
}

/// The reader's own row, and where the model stands.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Own {
    epoch: i64,
    position: i64,
    of_log: i64,
    generation: i32,
    pub(super) score: Option<i64>,
    sex: Option<String>,
    class: Option<String>,
    pub(super) achieved_at: Option<DateTime<Utc>>,
    pub(super) set_id: Option<Uuid>,
    pub(super) workout: Option<Uuid>,
}

impl Own {
    /// Whom the place is held against.
    pub(super) fn among(&self) -> Among {
        among(self.sex.as_deref(), self.class.as_deref())
    }

    /// Of which rows copies must be.
    pub(super) fn identity(&self) -> String {
        identity(self.of_log, self.generation)
    }

    /// Where the rows stand, or a copy of them.
    pub(super) fn at(&self, partition: Partition, copy: Option<i64>) -> Positions {
        let position = Position(copy.unwrap_or(self.position));
        Positions::one(Epoch(self.epoch), partition, position)
    }
}

/// What tells the rows of one model from those of another.
pub(super) fn identity(epoch: i64, generation: i32) -> String {
    format!("{}.{epoch}.{generation}", Boards::SCHEMA)
}

fn not_built() -> Error {
    Error::unavailable("NOT_BUILT", "the read model is not built yet", 5)
}

/// The reader's own row.
pub(super) async fn own(
    context: &Context,
    reader: AthleteId,
    partition: Partition,
    board: &Board,
    period: i32,
) -> Result<Own, Error> {
    let sql = "select c.epoch, c.position, (select max(epoch) from log.epochs) as of_log,
            (select max(generation) from boards_v1.checkpoints) as generation, o.score, o.sex, o.class, o.achieved_at,
            o.set_id, o.workout
        from boards_v1.checkpoints c
        left join boards_v1.places o on o.owner = $1 and o.board = $2 and o.period = $3
        where c.partition = $4";
    let own: Option<Own> = sqlx::query_as(sql)
        .bind(reader.uuid())
        .bind(board.name())
        .bind(period)
        .bind(partition.0)
        .fetch_optional(&context.pool)
        .await
        .map_err(database)?;
    own.ok_or_else(not_built)
}

/// What of places belongs to those among whom a board is shown.
fn division(among: Among, alias: &str) -> String {
    match among {
        Among::Everyone => "true".to_owned(),
        Among::Sex(_) => format!("{alias}.sex = $4"),
        Among::Class(..) => format!("{alias}.sex = $4 and {alias}.class = $5"),
    }
}

fn sex_and_class(among: Among) -> (Option<String>, Option<&'static str>) {
    match among {
        Among::Everyone => (None, None),
        Among::Sex(_) => (Some(among.name()), None),
        Among::Class(sex, class) => (Some(Among::Sex(sex).name()), Some(class)),
    }
}

/// The step of a score, and the first score above it, as `step` and `above` in `board.rs` have them.
fn step_of(score: &str) -> String {
    let doublings = format!("greatest(0, length(ltrim({score}::bit(64)::text, '0')) - 6)");
    format!("(({doublings}) * 32 + ({score} >> ({doublings})))::int")
}

#[derive(FromRow)]
struct Row {
    position: i64,
    epoch: i64,
    score: Option<i64>,
    athletes: i64,
    above: i64,
    above_first: i64,
    above_next: i64,
    top: Option<Vec<Uuid>>,
    top_scores: Option<Vec<i64>>,
    up: Option<Vec<Uuid>>,
    up_scores: Option<Vec<i64>>,
    down: Option<Vec<Uuid>>,
    down_scores: Option<Vec<i64>>,
}

/// A board as the tables have it, and the position that they stand at.
pub(super) async fn by_tables(
    context: &Context,
    wanted: &Wanted,
    reader: AthleteId,
    partition: Partition,
    limit: usize,
) -> Result<(Standing, Positions), Error> {
    let of = |alias: &str| {
        let division = division(wanted.among, alias);
        format!("{alias}.board = $2 and {alias}.period = $3 and {division}")
    };
    let (of_own, of_places) = (of("o"), of("s"));
    // Of a score: those in the same step that have more.
    let within = |score: &str| {
        let step = step_of(score);
        format!(
            "(select count(*) from boards_v1.places s where {of_places} and s.score > {score}
              and s.score < (case when {step} < 63 then {step} + 1
                  else (({step} + 1) % 32 + 32)::bigint << (({step} + 1) / 32 - 1) end))"
        )
    };
    let sql = format!(
        "select c.epoch, c.position, o.score, t.athletes,
             t.above + {within_own} as above, t.above_first + {within_first} as above_first,
             t.above_next + {within_next} as above_next,
             top.owners as top, top.scores as top_scores, up.owners as up, up.scores as up_scores,
             down.owners as down, down.scores as down_scores
         from boards_v1.checkpoints c
         left join boards_v1.places o on o.owner = $1 and {of_own}
         left join lateral (
             select array_agg(s.owner order by s.score desc, s.owner) as owners,
                 array_agg(s.score order by s.score desc, s.owner) as scores
             from (select s.owner, s.score from boards_v1.places s where {of_places}
                   order by s.score desc, s.owner limit $7) s
         ) top on true
         left join lateral (
             select array_agg(s.owner order by s.score desc, s.owner) as owners,
                 array_agg(s.score order by s.score desc, s.owner) as scores
             from (
                 (select s.owner, s.score from boards_v1.places s
                  where {of_places} and s.score = o.score and s.owner < o.owner
                  order by s.owner desc limit $8)
                 union all
                 (select s.owner, s.score from boards_v1.places s
                  where {of_places} and s.score > o.score
                  order by s.score, s.owner desc limit $8)
                 order by score, owner desc limit $8
             ) s
         ) up on o.owner is not null
         left join lateral (
             select array_agg(s.owner order by s.score desc, s.owner) as owners,
                 array_agg(s.score order by s.score desc, s.owner) as scores
             from (
                 (select s.owner, s.score from boards_v1.places s
                  where {of_places} and s.score = o.score and s.owner > o.owner
                  order by s.owner limit $8)
                 union all
                 (select s.owner, s.score from boards_v1.places s
                  where {of_places} and s.score < o.score
                  order by s.score desc, s.owner limit $8)
                 order by score desc, owner limit $8
             ) s
         ) down on o.owner is not null
         left join lateral (
             select max(u.score) as first from unnest(up.scores) as u (score)
         ) f on true
         left join lateral (
             select max(d.score) as next from unnest(down.scores) as d (score)
             where d.score < o.score
         ) n on true
         cross join lateral (
             select coalesce(sum(k.athletes), 0)::bigint as athletes,
                 coalesce(sum(k.above), 0)::bigint as above,
                 coalesce(sum(k.above_first), 0)::bigint as above_first,
                 coalesce(sum(k.above_next), 0)::bigint as above_next
             from boards_v1.checkpoints p
             cross join lateral (
                 select sum(k.athletes) as athletes,
                     sum(k.athletes) filter (where k.step > {step_own}) as above,
                     sum(k.athletes) filter (where k.step > {step_first}) as above_first,
                     sum(k.athletes) filter (where k.step > {step_next}) as above_next
                 from boards_v1.counts k
                 where k.partition = p.partition and k.board = $2 and k.period = $3
                     and k.among = $9
             ) k
         ) t
         where c.partition = $6 and ($4::text is null or true) and ($5::text is null or true)",
        within_own = within("o.score"),
        within_first = within("f.first"),
        within_next = within("n.next"),
        step_own = step_of("o.score"),
        step_first = step_of("f.first"),
        step_next = step_of("n.next"),
    );
    let (sex, class) = sex_and_class(wanted.among);
    let row: Option<Row> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(reader.uuid())
        .bind(wanted.board.name())
        .bind(wanted.period)
        .bind(sex)
        .bind(class)
        .bind(partition.0)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(i64::try_from(AROUND).unwrap_or(i64::MAX))
        .bind(wanted.among.name())
        .fetch_optional(&context.pool)
        .await
        .map_err(database)?;
    let row = row.ok_or_else(not_built)?;
    let position = Positions::one(Epoch(row.epoch), partition, Position(row.position));
    let listed = |owners: Option<Vec<Uuid>>, scores: Option<Vec<i64>>| {
        owners.unwrap_or_default().into_iter().zip(scores.unwrap_or_default())
    };
    let top = ranked(0, listed(row.top, row.top_scores));
    let mut standing = Standing { athletes: Some(row.athletes), top, ..Standing::default() };
    if let Some(score) = row.score {
        let rank = row.above + 1;
        standing.mine = Some(Mine { rank: Some(rank), score });
        let up: Vec<(Uuid, i64)> = listed(row.up, row.up_scores).collect();
        standing.around = up
            .iter()
            .map(|&(owner, of)| {
                // Of the highest, some may be out of sight; of all others, none between is.
                let between = up.iter().filter(|(_, other)| score < *other && *other <= of).count();
                let above = match up.first() {
                    Some((_, first)) if *first == of && of != score => row.above_first,
                    _ => row.above - i64::try_from(between).unwrap_or(0),
                };
                Place { rank: above + 1, owner, score: of }
            })
            .collect();
        standing.around.push(Place { rank, owner: reader.uuid(), score });
        let (equal, lower): (Vec<_>, Vec<_>) =
            listed(row.down, row.down_scores).partition(|(_, of)| *of == score);
        let equal = equal.into_iter().map(|(owner, score)| Place { rank, owner, score });
        standing.around.extend(equal);
        standing.around.extend(ranked(row.above_next, lower.into_iter()));
    }
    Ok((standing, position))
}

/// Ranks of places that follow one another, of which the first has so many with a higher score: equals
/// share one.
pub(super) fn ranked(above: i64, places: impl Iterator<Item = (Uuid, i64)>) -> Vec<Place> {
    let mut all: Vec<Place> = Vec::new();
    for ((owner, score), number) in places.zip(above + 1..) {
        let rank = all.last().filter(|last| last.score == score).map_or(number, |last| last.rank);
        all.push(Place { rank, owner, score });
    }
    all
}

/// A whole board, cut to what somebody is shown of it.
fn cut(all: Vec<(Uuid, i64)>, reader: AthleteId, limit: usize) -> Standing {
    let places = ranked(0, all.into_iter());
    let mut standing = Standing::default();
    if let Some(index) = places.iter().position(|place| place.owner == reader.uuid()) {
        let mine = places[index];
        standing.mine = Some(Mine { rank: Some(mine.rank), score: mine.score });
        let (from, to) = (index.saturating_sub(AROUND), places.len().min(index + AROUND + 1));
        standing.around = places[from..to].to_vec();
    }
    standing.top = places.into_iter().take(limit).collect();
    standing
}

fn in_order(mut all: Vec<(Uuid, i64)>) -> Vec<(Uuid, i64)> {
    all.sort_by_key(|(owner, score)| (-score, *owner));
    all
}

/// The board of some athletes alone.
pub(super) async fn of_some(
    context: &Context,
    wanted: &Wanted,
    reader: AthleteId,
    some: &[Uuid],
    limit: usize,
) -> Result<Standing, Error> {
    let sql = format!(
        "select s.owner, s.score from boards_v1.places s
         where s.owner = any($1) and s.board = $2 and s.period = $3 and {}
             and ($4::text is null or true) and ($5::text is null or true)",
        division(wanted.among, "s")
    );
    let (sex, class) = sex_and_class(wanted.among);
    let all: Vec<(Uuid, i64)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(some)
        .bind(wanted.board.name())
        .bind(wanted.period)
        .bind(sex)
        .bind(class)
        .fetch_all(&context.pool)
        .await
        .map_err(database)?;
    let count = i64::try_from(all.len()).ok();
    Ok(Standing { athletes: count, ..cut(in_order(all), reader, limit) })
}

/// A board as it stood at the end of a day.
pub(super) async fn on(
    context: &Context,
    wanted: &Wanted,
    day: NaiveDate,
    reader: AthleteId,
    some: Option<&[Uuid]>,
    limit: usize,
) -> Result<Standing, Error> {
    let parts: Vec<String> = wanted.among.parts().map(Among::name).collect();
    if let Some(some) = some {
        let all = then_of(&context.pool, wanted, &parts, day, some).await?;
        let count = i64::try_from(all.len()).ok();
        return Ok(Standing { athletes: count, ..cut(in_order(all), reader, limit) });
    }
    let all = then(&context.pool, wanted, &parts, day).await?;
    let mut standing = cut(all, reader, limit);
    if standing.mine.is_none() {
        let mine = then_of(&context.pool, wanted, &parts, day, &[reader.uuid()]).await?;
        standing.mine = mine.first().map(|(_, score)| Mine { rank: None, score: *score });
    }
    Ok(standing)
}

/// What some athletes had at the end of a day.
async fn then_of(
    pool: &PgPool,
    wanted: &Wanted,
    parts: &[String],
    day: NaiveDate,
    some: &[Uuid],
) -> Result<Vec<(Uuid, i64)>, Error> {
    let sql = "select p.owner, p.score
        from unnest($1::uuid[]) as k (owner)
        cross join lateral (
            select p.owner, p.score, p.among from boards_v1.past p
            where p.owner = k.owner and p.board = $2 and p.period = $3 and p.day <= $4
            order by p.day desc limit 1
        ) p
        where p.score is not null and p.among = any($5)";
    sqlx::query_as(sql)
        .bind(some)
        .bind(wanted.board.name())
        .bind(wanted.period)
        .bind(number(day))
        .bind(parts)
        .fetch_all(pool)
        .await
        .map_err(database)
}

/// The best at the end of a day, of everyone in these parts.
///
/// Rows are found by the month in which they came to be. The month of the day gives a bar, which
/// earlier months have to reach: of those, few rows are looked at.
async fn then(
    pool: &PgPool,
    wanted: &Wanted,
    parts: &[String],
    day: NaiveDate,
) -> Result<Vec<(Uuid, i64)>, Error> {
    let last = number(day) / 100;
    let sql = "select min(m.month) from unnest($1::text[]) as a (among)
        cross join lateral (
            select p.month from boards_v1.past p
            where p.board = $2 and p.period = $3 and p.among = a.among
            order by p.month limit 1
        ) m";
    let first: Option<i32> = sqlx::query_scalar(sql)
        .bind(parts)
        .bind(wanted.board.name())
        .bind(wanted.period)
        .fetch_one(pool)
        .await
        .map_err(database)?;
    let Some(first) = first else { return Ok(Vec::new()) };
    let earlier: Vec<i32> =
        (first..last).filter(|month| (1..=12).contains(&(month % 100))).collect();
    let mut all: BTreeMap<(i64, Uuid), ()> = BTreeMap::new();
    for months in [vec![last], earlier] {
        let bar = all.keys().nth(MOST_PAST - 1).map_or(1, |(score, _)| -score);
        let sql = "select p.owner, p.score
            from unnest($1::text[]) as a (among)
            cross join unnest($2::int[]) as m (month)
            cross join lateral (
                select p.owner, p.score from boards_v1.past p
                where p.board = $3 and p.period = $4 and p.among = a.among and p.month = m.month
                    and p.score >= $6 and p.day <= $5
                    and not exists (
                        select from boards_v1.past q
                        where q.owner = p.owner and q.board = $3 and q.period = $4
                            and q.day > p.day and q.day <= $5
                    )
                order by p.score desc, p.owner limit $7
            ) p";
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(sql)
            .bind(parts)
            .bind(&months)
            .bind(wanted.board.name())
            .bind(wanted.period)
            .bind(number(day))
            .bind(bar)
            .bind(i64::try_from(MOST_PAST).unwrap_or(i64::MAX))
            .fetch_all(pool)
            .await
            .map_err(database)?;
        all.extend(rows.into_iter().map(|(owner, score)| ((-score, owner), ())));
    }
    Ok(all.into_keys().take(MOST_PAST).map(|(score, owner)| (owner, -score)).collect())
}

/// The first places.
pub(super) async fn first(
    context: &Context,
    wanted: &Wanted,
    limit: usize,
) -> Result<Vec<Place>, Error> {
    let sql = format!(
        "select s.owner, s.score from boards_v1.places s
         where $1::bigint > 0 and s.board = $2 and s.period = $3 and {}
             and ($4::text is null or true) and ($5::text is null or true)
         order by s.score desc, s.owner limit $1",
        division(wanted.among, "s")
    );
    let (sex, class) = sex_and_class(wanted.among);
    let all: Vec<(Uuid, i64)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(wanted.board.name())
        .bind(wanted.period)
        .bind(sex)
        .bind(class)
        .fetch_all(&context.pool)
        .await
        .map_err(database)?;
    Ok(ranked(0, all.into_iter()))
}

/// Of which rows copies must be.
pub(super) async fn rows(context: &Context) -> Result<String, Error> {
    let sql = "select (select max(epoch) from log.epochs),
            (select max(generation) from boards_v1.checkpoints)";
    let (epoch, generation): (Option<i64>, Option<i32>) =
        sqlx::query_as(sql).fetch_one(&context.pool).await.map_err(database)?;
    epoch
        .zip(generation)
        .map(|(epoch, generation)| identity(epoch, generation))
        .ok_or_else(not_built)
}
