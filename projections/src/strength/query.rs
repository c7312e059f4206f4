//! Reading strength: what an athlete can do, how many can do less, and the position and time that this
//! stands at, in one statement.

use chrono::{DateTime, Utc};
use domain::records::Performed;
use events::{AthleteId, Epoch, ExerciseId, Partition, Position, Sex};
use log::Positions;
use rust_decimal::Decimal;
use web::Error;

use super::histogram;
use crate::{Context, athlete, context, lifts::decode};

/// What an athlete can do.
pub(super) struct Standing {
    pub(super) position: Positions,
    /// The time at which it stands.
    pub(super) as_of: DateTime<Utc>,
    pub(super) sex: Option<Sex>,
    /// The last that is known, in kg.
    pub(super) bodyweight: Option<Decimal>,
    pub(super) maxima: Vec<Maximum>,
}

/// What an athlete can do in an exercise.
pub(super) struct Maximum {
    pub(super) exercise: ExerciseId,
    /// The sets that were looked at.
    pub(super) sets: usize,
    /// None where a bodyweight is part of what was lifted, and is not known.
    pub(super) best: Option<Best>,
}

/// A working maximum, and who has less.
pub(super) struct Best {
    pub(super) kg: Decimal,
    pub(super) set: Performed,
    /// In kg, on the day of the set.
    pub(super) bodyweight: Option<Decimal>,
    /// The weight class of that day.
    pub(super) class: Option<String>,
    /// None of an exercise of one's own.
    pub(super) all: Option<Among>,
    pub(super) of_sex: Option<Among>,
    pub(super) of_class: Option<Among>,
}

/// An athlete among others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Among {
    /// Those with a lower working maximum.
    pub(super) below: u64,
    /// All that have one, the athlete included.
    pub(super) athletes: u64,
}

pub(super) async fn standing(
    context: &Context,
    owner: AthleteId,
    partition: Partition,
    exercise: Option<&ExerciseId>,
) -> Result<Standing, Error> {
    let rows = sqlx::query!(
        r#"select c.epoch, c.position, c.as_of, a.sex,
               (select w.weight from strength_v1.weighings w
                where w.owner = $1 order by w.measured_at desc, w.noted desc limit 1) as bodyweight_now,
               l.exercise as "exercise?", l.sets as "sets?", l.grams, l.best, l.bodyweight, l.class,
               counted.all_below, counted.all_athletes, counted.sex_below, counted.sex_athletes,
               counted.class_below, counted.class_athletes
           from strength_v1.checkpoints c
           left join strength_v1.athletes a on a.owner = $1
           left join strength_v1.lately l on l.owner = $1
               and ($3::text is null or l.exercise = $3)
           left join lateral (
               select
                   sum(s.below) filter (where g.among = 'all')::bigint as all_below,
                   sum(s.athletes) filter (where g.among = 'all')::bigint as all_athletes,
                   sum(s.below) filter (where g.among = l.sex)::bigint as sex_below,
                   sum(s.athletes) filter (where g.among = l.sex)::bigint as sex_athletes,
                   sum(s.below) filter (where g.among = l.sex || ' ' || l.class)::bigint
                       as class_below,
                   sum(s.athletes) filter (where g.among = l.sex || ' ' || l.class)::bigint
                       as class_athletes
               from unnest(array['all', l.sex, l.sex || ' ' || l.class]) as g (among)
               cross join strength_v1.checkpoints p
               cross join lateral (
                   select
                       (select coalesce(sum(h.athletes), 0) from strength_v1.coarse h
                        where h.partition = p.partition and h.exercise = l.exercise
                            and h.among = g.among) as athletes,
                       (select coalesce(sum(h.athletes), 0) from strength_v1.coarse h
                        where h.partition = p.partition and h.exercise = l.exercise
                            and h.among = g.among and h.step < l.grams / $4)
                       + (select coalesce(sum(f.athletes), 0) from strength_v1.fine f
                          where f.partition = p.partition and f.exercise = l.exercise
                              and f.among = g.among and f.grams >= l.grams / $4 * $4
                              and f.grams < l.grams) as below
               ) s
               where g.among is not null
           ) counted on l.grams is not null
           where c.partition = $2
           order by l.exercise"#,
        owner.uuid(),
        partition.0,
        exercise.map(ToString::to_string),
        histogram::STEP,
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let Some(first) = rows.first() else {
        return Err(Error::unavailable("NOT_BUILT", "the read model is not built yet", 5));
    };
    let kg = |text: &str| text.parse::<Decimal>().map_err(Error::internal);
    let mut standing = Standing {
        position: Positions::one(Epoch(first.epoch), partition, Position(first.position)),
        as_of: first.as_of,
        sex: first.sex.as_deref().and_then(athlete::sex),
        bodyweight: first.bodyweight_now.as_deref().map(kg).transpose()?,
        maxima: Vec::with_capacity(rows.len()),
    };
    for row in rows {
        let (Some(exercise), Some(sets)) = (row.exercise, row.sets) else { continue };
        let sets: Vec<Performed> = decode(&sets).map_err(context::database)?;
        let best = match (row.grams, &row.best) {
            (Some(grams), Some(best)) => Some(Best {
                kg: Decimal::new(grams, 3).normalize(),
                set: decode(best).map_err(context::database)?,
                bodyweight: row.bodyweight.as_deref().map(kg).transpose()?,
                class: row.class,
                all: among(row.all_below, row.all_athletes),
                of_sex: among(row.sex_below, row.sex_athletes),
                of_class: among(row.class_below, row.class_athletes),
            }),
            _ => None,
        };
        let exercise = exercise.parse().map_err(Error::internal)?;
        standing.maxima.push(Maximum { exercise, sets: sets.len(), best });
    }
    Ok(standing)
}

fn among(below: Option<i64>, athletes: Option<i64>) -> Option<Among> {
    let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    let athletes = count(athletes).filter(|athletes| *athletes > 0)?;
    Some(Among { below: count(below)?, athletes })
}
