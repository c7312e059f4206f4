//! Reading routines: rows and the position they stand at, in one statement.

use chrono::{DateTime, Utc};
use events::{
    AthleteId, Epoch, FolderId, Partition, Personal, PersonalField, Position, Timestamp,
    Visibility, Weekday,
};
use log::Positions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;
use web::Error;

use super::fold::bit;
use crate::{
    Context, context, page,
    social::{self, Fresh},
};

/// Which of one's own routines are wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Only those in this folder, or in none.
    pub(super) folder: Option<Option<FolderId>>,
    /// Only those for this day.
    pub(super) day: Option<Weekday>,
    pub(super) after: Option<Place>,
    pub(super) limit: usize,
}

/// A place in a list: newest first, ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When it was made, or liked.
    #[serde(rename = "a")]
    at: Timestamp,
    /// Which.
    #[serde(rename = "r")]
    routine: Uuid,
    /// Whose.
    #[serde(rename = "o")]
    owner: Uuid,
}

/// One's own routine in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RoutineInList")]
pub(super) struct Own {
    id: Uuid,
    /// `null` when it was erased.
    name: Option<String>,
    folder: Option<Uuid>,
    schedule: Vec<Weekday>,
    public: bool,
    exercise_count: i16,
    likes: i64,
    created_at: Timestamp,
}

/// Somebody's routine in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SharedRoutineInList")]
pub struct Shared {
    id: Uuid,
    owner: Uuid,
    /// `null` when it was erased.
    name: Option<String>,
    exercise_count: i16,
    likes: i64,
}

/// A page of a list.
pub struct Page<T> {
    /// Where in the log it stands.
    pub position: Positions,
    /// What is on it.
    pub entries: Vec<T>,
    /// Where the next page begins, when there is one.
    pub next: Option<Place>,
}

/// How many routines an athlete has.
pub async fn count(pool: &PgPool, owner: AthleteId) -> Result<usize, sqlx::Error> {
    let many = sqlx::query_scalar!(
        r#"select count(*) as "count!" from routines_v1.routines where owner = $1"#,
        owner.uuid()
    )
    .fetch_one(pool)
    .await?;
    Ok(usize::try_from(many).unwrap_or_default())
}

/// The routines of an athlete.
pub(super) async fn own(
    context: &Context,
    owner: AthleteId,
    partition: Partition,
    wanted: &Wanted,
) -> Result<Page<Own>, Error> {
    let rows = sqlx::query!(
        r#"select c.epoch, c.position, r.routine as "routine?", r.created_at as "created_at?",
               r.there as "folder?", r.days as "days?", r.is_public as "is_public?",
               r.exercises as "exercises?", r.name as "name?",
               (select count(*) from routines_v1.likes l
                where l.liked = $1 and l.routine = r.routine) as "likes!"
           from routines_v1.checkpoints c
           left join lateral (
               select r.*, f.folder as there
               from routines_v1.routines r
               left join routines_v1.folders f on f.owner = r.owner and f.folder = r.folder
               where r.owner = $1
                   and ($3::timestamptz is null or (r.created_at, r.routine) < ($3, $4::uuid))
                   and (not $5::boolean or f.folder is not distinct from $6::uuid)
                   and ($7::smallint is null or r.days & $7 <> 0)
               order by r.created_at desc, r.routine desc
               limit $8
           ) r on true
           where c.partition = $2
           order by r.created_at desc, r.routine desc"#,
        owner.uuid(),
        partition.0,
        wanted.after.map(|place| place.at.utc()) as Option<DateTime<Utc>>,
        wanted.after.map(|place| place.routine),
        wanted.folder.is_some(),
        wanted.folder.flatten().map(|folder| folder.uuid()),
        wanted.day.map(bit),
        page::one_more(wanted.limit),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let first = rows.first().map(|row| (row.epoch, row.position));
    let position = position(first, partition)?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let (Some(routine), Some(created_at), Some(name)) = (row.routine, row.created_at, row.name)
        else {
            continue;
        };
        let days = row.days.unwrap_or_default();
        entries.push((
            Place { at: Timestamp::new(created_at), routine, owner: owner.uuid() },
            name,
            Own {
                id: routine,
                name: None,
                folder: row.folder,
                schedule: WEEK.into_iter().filter(|day| days & bit(*day) != 0).collect(),
                public: row.is_public.unwrap_or_default(),
                exercise_count: row.exercises.unwrap_or_default(),
                likes: row.likes,
                created_at: Timestamp::new(created_at),
            },
        ));
    }
    named(context, position, entries, wanted.limit, |own, name| own.name = name).await
}

/// The public routines of an athlete. Whether their profile is private is not asked here.
pub async fn public(
    context: &Context,
    owner: AthleteId,
    partition: Partition,
    after: Option<Place>,
    limit: usize,
) -> Result<Page<Shared>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.epoch, c.position, $1::uuid as owner, r.routine as "routine?",
               r.created_at as "at?", r.exercises as "exercises?", r.name as "name?",
               (select count(*) from routines_v1.likes l
                where l.liked = $1 and l.routine = r.routine) as "likes!"
           from routines_v1.checkpoints c
           left join lateral (
               select * from routines_v1.routines r
               where r.owner = $1 and r.is_public
                   and ($3::timestamptz is null or (r.created_at, r.routine) < ($3, $4::uuid))
               order by r.created_at desc, r.routine desc
               limit $5
           ) r on true
           where c.partition = $2
           order by r.created_at desc, r.routine desc"#,
        owner.uuid(),
        partition.0,
        after.map(|place| place.at.utc()) as Option<DateTime<Utc>>,
        after.map(|place| place.routine),
        page::one_more(limit),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    shared(context, rows, partition, limit).await
}

/// What an athlete likes and may still see, the last liked first: of athletes whom they see, as the model of
/// people and what was said since have it.
pub(super) async fn liked(
    context: &Context,
    fresh: &Fresh,
    (athlete, partition): (AthleteId, Partition),
    after: Option<Place>,
    limit: usize,
) -> Result<Page<Shared>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.epoch, c.position, l.liked as "owner?", l.routine as "routine?",
               l.liked_at as "at?", l.exercises as "exercises?", l.name as "name?",
               (select count(*) from routines_v1.likes o
                where o.liked = l.liked and o.routine = l.routine) as "likes!"
           from routines_v1.checkpoints c
           left join lateral (
               select l.liked, l.routine, l.liked_at, r.exercises, r.name
               from routines_v1.likes l
               join routines_v1.routines r on r.owner = l.liked and r.routine = l.routine
               where l.owner = $1
                   and (l.liked = $1 or r.is_public)
                   and ($3::timestamptz is null
                        or (l.liked_at, l.routine, l.liked) < ($3, $4::uuid, $5::uuid))
               order by l.liked_at desc, l.routine desc, l.liked desc
               limit $6
           ) l on true
           where c.partition = $2
           order by l.liked_at desc, l.routine desc, l.liked desc"#,
        athlete.uuid(),
        partition.0,
        after.map(|place| place.at.utc()) as Option<DateTime<Utc>>,
        after.map(|place| place.routine),
        after.map(|place| place.owner),
        page::one_more(limit),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let mut page = shared(context, rows, partition, limit).await?;
    let owners: Vec<Uuid> = page.entries.iter().map(|shared| shared.owner).collect();
    let readers = social::readers(context, fresh, athlete, &owners).await?;
    page.entries.retain(|shared| {
        let reader = readers.get(&shared.owner);
        reader.is_some_and(|(reader, openness)| reader.sees(*openness, Visibility::Public))
    });
    Ok(page)
}

const WEEK: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

/// A row of a list of shared routines, where there is one.
struct Row {
    epoch: i64,
    position: i64,
    owner: Option<Uuid>,
    routine: Option<Uuid>,
    at: Option<DateTime<Utc>>,
    exercises: Option<i16>,
    name: Option<String>,
    likes: i64,
}

async fn shared(
    context: &Context,
    rows: Vec<Row>,
    partition: Partition,
    limit: usize,
) -> Result<Page<Shared>, Error> {
    let first = rows.first().map(|row| (row.epoch, row.position));
    let position = position(first, partition)?;
    let entries = rows.into_iter().filter_map(|row| {
        let (routine, owner, likes) = (row.routine?, row.owner?, row.likes);
        let place = Place { at: Timestamp::new(row.at?), routine, owner };
        let exercise_count = row.exercises?;
        Some((place, row.name?, Shared { id: routine, owner, name: None, exercise_count, likes }))
    });
    let entries = entries.collect();
    named(context, position, entries, limit, |shared, name| shared.name = name).await
}

fn position(first: Option<(i64, i64)>, partition: Partition) -> Result<Positions, Error> {
    let not_built = || Error::unavailable("NOT_BUILT", "the read model is not built yet", 5);
    let (epoch, position) = first.ok_or_else(not_built)?;
    Ok(Positions::one(Epoch(epoch), partition, Position(position)))
}

/// A page of entries with their names, which are opened.
async fn named<T>(
    context: &Context,
    position: Positions,
    mut entries: Vec<(Place, String, T)>,
    limit: usize,
    name_it: impl Fn(&mut T, Option<String>),
) -> Result<Page<T>, Error> {
    let next = page::cut(&mut entries, limit, |(place, ..)| *place);
    let names = entries.iter().map(|(_, name, _)| serde_json::from_str(name));
    let mut names: Vec<Personal<String>> =
        names.collect::<Result<_, _>>().map_err(Error::internal)?;
    let sealed = names.iter_mut().map(|name| name as &mut dyn PersonalField).collect();
    context.keys.open(sealed).await.map_err(context::database)?;
    let named = entries.into_iter().zip(names).map(|((.., mut entry), name)| {
        name_it(&mut entry, name.clear().cloned());
        entry
    });
    Ok(Page { position, entries: named.collect(), next })
}
