//! People as others see them: cards, the search for them, and what a profile says.

use std::collections::{HashMap, HashSet};

use domain::{
    one_rep_max::Formula,
    records::Kind,
    relations::{Openness, Reader},
};
use events::{AthleteId, Number, Visibility, WeightUnit};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use web::Error;

use super::{Fresh, people::words, posts::visibility};
use crate::{
    Context, context,
    represent::{Exercise, show_figure},
};

/// The name of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Card {
    /// Who.
    pub id: AthleteId,
    /// The name that nobody else has; `null` where there is none.
    pub username: Option<String>,
    /// What they are called; `null` where they do not say, or it was erased.
    pub name: Option<String>,
}

/// What a reader is to several athletes, and how open those are, by the rows and what was said since.
pub(crate) async fn readers(
    context: &Context,
    fresh: &Fresh,
    reader: AthleteId,
    of: &[Uuid],
) -> Result<HashMap<Uuid, (Reader, Openness)>, Error> {
    let rows = sqlx::query!(
        r#"select a.owner, a.is_private,
               exists (
                   select from social_v1.suspensions s
                   where s.owner = a.owner and (s.until is null or s.until > $3)
               ) as "is_suspended!",
               (mine.blocked_at is not null or theirs.blocked_at is not null) as "is_blocked!",
               coalesce(
                   mine.follow is not null and theirs.removed is distinct from mine.follow
                       and (not mine.requested or theirs.accepted = mine.follow),
                   false
               ) as "follows!"
           from social_v1.athletes a
           left join social_v1.ties mine on mine.owner = $1 and mine.other = a.owner
           left join social_v1.ties theirs on theirs.owner = a.owner and theirs.other = $1
           where a.owner = any($2)"#,
        reader.uuid(),
        of,
        context.clock.now().utc(),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let mut readers = HashMap::with_capacity(rows.len());
    for row in rows {
        let athlete = AthleteId::new(row.owner).map_err(Error::internal)?;
        let by_rows = if athlete == reader {
            Reader::Oneself
        } else if row.is_blocked {
            Reader::Blocked
        } else if row.follows {
            Reader::Follower
        } else {
            Reader::Stranger
        };
        let openness = Openness { is_private: row.is_private, is_suspended: row.is_suspended };
        let is = (fresh.reader(reader, athlete, by_rows), fresh.openness(athlete, openness));
        readers.insert(row.owner, is);
    }
    Ok(readers)
}

/// Who is who to whom: what several readers may know of several athletes.
#[derive(Debug, Default)]
pub(crate) struct Names {
    people: HashMap<Uuid, (Card, Openness)>,
    /// Where a reader is no stranger, by reader and athlete.
    readers: HashMap<(Uuid, Uuid), Reader>,
}

impl Names {
    /// By the rows and what was said since.
    pub(crate) async fn read(
        context: &Context,
        fresh: &Fresh,
        readers: &[Uuid],
        of: &[Uuid],
    ) -> Result<Self, Error> {
        let people = sqlx::query!(
            r#"select a.owner, a.username, a.name, a.is_private,
                   exists (
                       select from social_v1.suspensions s
                       where s.owner = a.owner and (s.until is null or s.until > $2)
                   ) as "is_suspended!"
               from social_v1.athletes a where a.owner = any($1)"#,
            of,
            context.clock.now().utc(),
        )
        .fetch_all(&context.pool);
        let ties = sqlx::query!(
            r#"select k.reader as "reader!", a.athlete as "athlete!",
                   (mine.blocked_at is not null or theirs.blocked_at is not null) as "is_blocked!",
                   coalesce(
                       mine.follow is not null and theirs.removed is distinct from mine.follow
                           and (not mine.requested or theirs.accepted = mine.follow),
                       false
                   ) as "follows!"
               from unnest($1::uuid[]) as k (reader)
               cross join unnest($2::uuid[]) as a (athlete)
               left join social_v1.ties mine on mine.owner = k.reader and mine.other = a.athlete
               left join social_v1.ties theirs on theirs.owner = a.athlete and theirs.other = k.reader
               where mine.owner is not null or theirs.blocked_at is not null"#,
            readers,
            of,
        )
        .fetch_all(&context.pool);
        let (people, ties) = tokio::try_join!(people, ties).map_err(context::database)?;
        let mut names = Self::default();
        for row in people {
            let id = AthleteId::new(row.owner).map_err(Error::internal)?;
            let by_rows = Openness { is_private: row.is_private, is_suspended: row.is_suspended };
            let openness = fresh.openness(id, by_rows);
            let card = Card { id, username: row.username, name: row.name };
            names.people.insert(row.owner, (card, openness));
        }
        let mut known: HashMap<(Uuid, Uuid), Reader> = HashMap::with_capacity(ties.len());
        for row in ties {
            let is = match (row.is_blocked, row.follows) {
                (true, _) => Reader::Blocked,
                (false, true) => Reader::Follower,
                (false, false) => Reader::Stranger,
            };
            known.insert((row.reader, row.athlete), is);
        }
        for reader in readers {
            for athlete in of {
                let by_rows = known.get(&(*reader, *athlete)).copied().unwrap_or(Reader::Stranger);
                let (Ok(one), Ok(other)) = (AthleteId::new(*reader), AthleteId::new(*athlete))
                else {
                    continue;
                };
                let is =
                    if one == other { Reader::Oneself } else { fresh.reader(one, other, by_rows) };
                if is != Reader::Stranger {
                    names.readers.insert((*reader, *athlete), is);
                }
            }
        }
        Ok(names)
    }

    /// The name of an athlete, where a reader sees what they show everybody.
    pub(crate) fn of(&self, reader: Uuid, athlete: Uuid) -> Option<&Card> {
        let (card, openness) = self.people.get(&athlete)?;
        let is = self.readers.get(&(reader, athlete)).copied().unwrap_or(Reader::Stranger);
        is.sees(*openness, Visibility::Public).then_some(card)
    }
}

/// Most words of a search that are looked for.
const MOST_WORDS: usize = 5;

/// Whom a search finds among those whom a reader knows of: each of its words begins the username or a
/// word of the name. Those of whom the first word is the whole come first.
pub async fn find(
    context: &Context,
    fresh: &Fresh,
    reader: AthleteId,
    wanted: &str,
    limit: usize,
) -> Result<Vec<Card>, Error> {
    let mut words = words(wanted);
    words.truncate(MOST_WORDS);
    // The longest word has the fewest matches.
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    let Some((first, others)) = words.split_first() else { return Ok(Vec::new()) };
    let (from, to): (Vec<String>, Vec<String>) =
        others.iter().map(|word| (word.clone(), after(word))).unzip();
    let rows = sqlx::query!(
        r#"select a.owner, a.username, a.name
           from (
               select w.owner, min(w.word collate "C") as word
               from (
                   select w.owner, w.word from social_v1.words w
                   where w.word collate "C" >= $1 and w.word collate "C" < $2
                       and (w.owner = $7 or not exists (
                           select from social_v1.suspensions s
                           where s.owner = w.owner and (s.until is null or s.until > $6)
                       ))
                       and not exists (
                           select from social_v1.ties b
                           where b.blocked_at is not null
                               and ((b.owner = w.owner and b.other = $7)
                                   or (b.owner = $7 and b.other = w.owner))
                       )
                       and not exists (
                           select from unnest($3::text[], $4::text[]) as o (low, high)
                           where not exists (
                               select from social_v1.words x
                               where x.owner = w.owner and x.word collate "C" >= o.low
                                   and x.word collate "C" < o.high
                           )
                       )
                   order by w.word collate "C", w.owner
                   limit $5::bigint * 16
               ) w
               group by w.owner
           ) w
           join social_v1.athletes a on a.owner = w.owner
           order by w.word collate "C", a.owner
           limit $5"#,
        first,
        after(first),
        &from,
        &to,
        i64::try_from(limit).unwrap_or(i64::MAX),
        context.clock.now().utc(),
        reader.uuid(),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let mut cards = Vec::with_capacity(rows.len());
    for row in rows {
        let id = AthleteId::new(row.owner).map_err(Error::internal)?;
        if !fresh.conceals(reader, id) {
            cards.push(Card { id, username: row.username, name: row.name });
        }
    }
    Ok(cards)
}

/// The first text after all that begin with a word.
fn after(word: &str) -> String {
    format!("{word}\u{10ffff}")
}

/// How many an athlete has to do with, and what they show a reader.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ProfileCounts")]
pub struct Counts {
    /// Those who follow them.
    pub followers: i64,
    /// Those whom they follow.
    pub following: i64,
    /// Their posts that the reader sees.
    pub posts: i64,
}

/// Counts ties whose one side is an athlete that are no requests, and not ended.
macro_rules! count {
    ($context:expr, $side:literal, $of:expr) => {
        sqlx::query_scalar!(
            r#"select count(*) as "count!"
               from social_v1.ties f
               left join social_v1.ties a on a.owner = f.other and a.other = f.owner
               where f."#
                + $side
                + r#" = $1 and f.follow is not null and f.blocked_at is null
                   and a.blocked_at is null and a.removed is distinct from f.follow
                   and (not f.requested or a.accepted = f.follow)
                   and not exists (
                       select from social_v1.suspensions s
                       where s.owner in (f.owner, f.other) and s.owner <> $1
                           and (s.until is null or s.until > $2)
                   )"#,
            $of.uuid(),
            $context.clock.now().utc(),
        )
        .fetch_one(&$context.pool)
    };
}

impl Counts {
    /// Of an athlete, for a reader.
    pub async fn of(
        context: &Context,
        athlete: AthleteId,
        from: Reader,
        openness: Openness,
    ) -> Result<Self, Error> {
        let most_private = match from {
            Reader::Oneself => 3,
            Reader::Follower => 2,
            Reader::Stranger if !openness.is_private => 1,
            Reader::Stranger | Reader::Blocked => 0,
        };
        let posts = sqlx::query_scalar!(
            r#"select count(*) as "count!" from social_v1.posts p
               where p.owner = $1 and p.posted_at is not null and p.visibility <= $2
                   and not p.hidden"#,
            athlete.uuid(),
            most_private,
        )
        .fetch_one(&context.pool);
        let counted = tokio::try_join!(
            count!(context, "other", athlete),
            count!(context, "owner", athlete),
            posts
        );
        let (followers, following, posts) = counted.map_err(context::database)?;
        Ok(Self { followers, following, posts })
    }
}

/// An estimated maximum that somebody shows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Showcased {
    /// Of which exercise.
    pub exercise: Exercise,
    /// The best estimate of a one-repetition maximum.
    pub one_rep_max: Number,
    /// `kg` or `lb`.
    pub unit: &'static str,
}

/// Most exercises that a profile shows.
const SHOWCASE: usize = 5;

/// An athlete's best estimated maxima, the greatest first, of exercises of the library: those that were done
/// in workouts that a reader may see.
pub async fn showcase(
    context: &Context,
    athlete: AthleteId,
    (from, openness): (Reader, Openness),
    unit: Option<WeightUnit>,
) -> Result<Vec<Showcased>, Error> {
    let best = crate::records::best(context, athlete).await?;
    let mut maxima = Vec::new();
    for (exercise, known, best) in &best {
        let kind = Kind::OneRepMax(Formula::Standard);
        if !Kind::of(known.measurement).any(|of| of == kind) || known.measurement.has_bodyweight() {
            continue;
        }
        if let Some((set, figure)) = best.usual_holder(kind, known.measurement) {
            maxima.push((figure, exercise, known, set.workout.uuid()));
        }
    }
    let workouts: Vec<Uuid> = maxima.iter().map(|(.., workout)| *workout).collect();
    let rows = sqlx::query!(
        "select post, visibility from social_v1.posts
         where owner = $1 and kind = 1 and post = any($2) and not hidden",
        athlete.uuid(),
        &workouts,
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let seen: HashSet<Uuid> = rows
        .into_iter()
        .filter(|row| from.sees(openness, visibility(row.visibility)))
        .map(|row| row.post)
        .collect();
    maxima.retain(|(.., workout)| seen.contains(workout));
    maxima.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    let shown = maxima.into_iter().take(SHOWCASE).map(|(figure, exercise, known, _)| {
        let kind = Kind::OneRepMax(Formula::Standard);
        let (one_rep_max, unit) = show_figure(kind.unit(), figure, unit);
        let exercise = Exercise { id: exercise.to_string(), name: known.name.clone() };
        Showcased { exercise, one_rep_max, unit }
    });
    Ok(shown.collect())
}
