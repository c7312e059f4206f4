//! Posts as readers see them: the feed, what one athlete shows, and single ones.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{
    Totals,
    records::Unit,
    relations::{Openness, Reader},
};
use events::{
    AthleteId, ContentId, ContentKind, ExerciseId, Number, Partition, Personal, PublicId,
    RecordKind, SetId, Timestamp, Visibility, WeightUnit, WorkoutId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::Error;

use super::{
    Fresh,
    fold::read,
    posts::{Broken, OfRecords, OfWorkout, visibility},
    profile::Card,
    talk,
};
use crate::{
    Context,
    athlete::custom_exercises,
    context,
    history::{self, History},
    page,
    represent::{Exercise, Known, Parts, show_figure},
};

/// A post, as a reader sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Post {
    /// Its id, by which everybody addresses it.
    pub id: PublicId,
    /// What it is.
    pub kind: ContentKind,
    /// Whose it is.
    pub author: Card,
    /// When it was posted.
    pub posted_at: DateTime<Utc>,
    /// When what is said with it was changed last.
    pub edited_at: Option<DateTime<Utc>>,
    /// Who may see it.
    pub visibility: Visibility,
    /// What its author says; `null` where that is nothing, or was erased.
    pub text: Option<String>,
    /// Of a workout, what was done; `null` where that is not known yet.
    pub workout: Option<Done>,
    /// Of a workout's records, which it broke.
    pub records: Option<Vec<RecordBroken>>,
    /// How many like it.
    pub likes: i64,
    /// Whether the reader does.
    pub liked: bool,
    /// How many comments there are.
    pub comments: i64,
    /// Whether it is shown to its author alone, since it does not belong here.
    pub hidden: bool,
}

/// What was done in a workout, in short.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WorkoutDone")]
pub struct Done {
    /// The workout.
    pub id: WorkoutId,
    /// What it is called.
    pub title: Option<String>,
    /// What was noted.
    pub notes: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What the sets add up to, without anybody's bodyweight.
    pub totals: Totals,
    /// What was done, in the order of doing.
    pub exercises: Vec<ExerciseDone>,
}

/// What was done of an exercise.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExerciseDone {
    /// Of which.
    pub exercise: Exercise,
    /// How many sets, warm-ups included.
    pub sets: usize,
}

/// A record that a workout broke.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordBroken {
    /// Of which exercise.
    pub exercise: Exercise,
    /// What is best.
    pub kind: RecordKind,
    /// In the rep table: for how many repetitions.
    pub reps: Option<u16>,
    /// The figure.
    pub value: Number,
    /// `kg`, `lb`, `reps`, `s` or `m`.
    pub unit: &'static str,
    /// The set; `null` where the whole workout broke it.
    pub set: Option<SetId>,
}

/// A row of a post that a reader may see.
pub(super) struct Found {
    pub(super) owner: Uuid,
    pub(super) kind: i16,
    pub(super) post: Uuid,
    pub(super) visibility: i16,
    pub(super) posted_at: DateTime<Utc>,
    pub(super) edited_at: Option<DateTime<Utc>>,
    pub(super) hidden: bool,
    pub(super) content: String,
}

impl Found {
    /// What everybody addresses it by.
    pub(super) fn id(&self) -> Result<ContentId, Error> {
        let owner = AthleteId::new(self.owner).map_err(Error::internal)?;
        let kind = ContentKind::from_code(self.kind).ok_or_else(|| Error::internal("a kind"))?;
        Ok(ContentId { owner, kind, id: self.post })
    }

    /// Who may see it, by the row.
    pub(super) fn visibility(&self) -> Visibility {
        visibility(self.visibility)
    }
}

/// Who reads posts, and how they want them.
#[derive(Clone, Copy)]
pub struct Posts<'a> {
    /// What is read with.
    pub context: &'a Context,
    /// What was taken away since.
    pub fresh: &'a Fresh,
    /// Who reads.
    pub reader: AthleteId,
    /// Where the reader is on the log.
    pub partition: Partition,
    /// In which unit weights are shown.
    pub unit: Option<WeightUnit>,
}

/// A place in a list of posts, the last posted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    #[serde(rename = "t")]
    pub(super) at: Timestamp,
    #[serde(rename = "o")]
    pub(super) owner: Uuid,
    #[serde(rename = "k")]
    pub(super) kind: i16,
    #[serde(rename = "p")]
    pub(super) post: Uuid,
}

/// A page of posts, and where the next begins.
pub type Page = (Vec<Post>, Option<Posted>);

/// Reads the posts of one athlete of which a condition holds.
macro_rules! of_author {
    ($self:expr, $author:expr, $condition:literal, $after:expr, $limit:expr) => {
        sqlx::query_as!(
            Found,
            r#"select p.owner, p.kind, p.post, p.visibility, p.posted_at as "posted_at!",
                   p.edited_at, p.hidden, p.content
               from social_v1.posts p
               where p.owner = $1 and p.posted_at is not null and "#
                + $condition
                + r#" and ($2::timestamptz is null
                        or (p.posted_at, p.kind, p.post) < ($2, $3::smallint, $4::uuid))
               order by p.posted_at desc, p.kind desc, p.post desc
               limit $5"#,
            $author.uuid(),
            $after.map(|after: Posted| after.at.utc()) as Option<DateTime<Utc>>,
            $after.map(|after: Posted| after.kind),
            $after.map(|after: Posted| after.post),
            page::one_more($limit),
        )
        .fetch_all(&$self.context.pool)
        .await
    };
}

impl Posts<'_> {
    /// What those whom the reader follows posted, the last first.
    ///
    /// Of everybody the newest post is looked at first, an index probe each: as many of the newest as
    /// there are places on the page say how far back the page can reach, and only those who
    /// posted since are looked at again.
    pub async fn feed(self, after: Option<Posted>, limit: usize) -> Result<Page, Error> {
        let mut found = sqlx::query_as!(
            Found,
            r#"with followed as materialized (
                   select f.other
                   from social_v1.ties f
                   left join social_v1.ties a on a.owner = f.other and a.other = f.owner
                   where f.owner = $1 and f.follow is not null and f.blocked_at is null
                       and a.blocked_at is null and a.removed is distinct from f.follow
                       and (not f.requested or a.accepted = f.follow)
                       and not exists (
                           select from social_v1.suspensions s
                           where s.owner = f.other and (s.until is null or s.until > $2)
                       )
               ), newest as materialized (
                   select f.other, n.posted_at
                   from followed f
                   cross join lateral (
                       select p.posted_at from social_v1.posts p
                       where p.owner = f.other and p.posted_at is not null and p.visibility < 3
                           and not p.hidden
                           and ($3::timestamptz is null or (p.posted_at <= $3
                               and (p.posted_at, p.owner, p.kind, p.post)
                                   < ($3, $4::uuid, $5::smallint, $6::uuid)))
                       order by p.posted_at desc
                       limit 1
                   ) n
               ), reach as (
                   select coalesce(
                       (select posted_at from newest order by posted_at desc offset $7::bigint - 1 limit 1),
                       '-infinity'
                   ) as since
               )
               select p.owner as "owner!", p.kind as "kind!", p.post as "post!",
                   p.visibility as "visibility!", p.posted_at as "posted_at!", p.edited_at,
                   p.hidden as "hidden!", p.content as "content!"
               from newest n
               cross join reach r
               cross join lateral (
                   select * from social_v1.posts p
                   where p.owner = n.other and p.posted_at is not null and p.visibility < 3
                       and not p.hidden and p.posted_at >= r.since
                       and ($3::timestamptz is null or (p.posted_at <= $3
                           and (p.posted_at, p.owner, p.kind, p.post)
                               < ($3, $4::uuid, $5::smallint, $6::uuid)))
                   order by p.posted_at desc, p.kind desc, p.post desc
                   limit $7
               ) p
               where n.posted_at >= r.since
               order by p.posted_at desc, p.owner desc, p.kind desc, p.post desc
               limit $7"#,
            self.reader.uuid(),
            self.context.clock.now().utc(),
            after.map(|after| after.at.utc()) as Option<DateTime<Utc>>,
            after.map(|after| after.owner),
            after.map(|after| after.kind),
            after.map(|after| after.post),
            page::one_more(limit),
        )
        .fetch_all(&self.context.pool)
        .await
        .map_err(context::database)?;
        let next = page::cut(&mut found, limit, place);
        let mut seen = Vec::with_capacity(found.len());
        for post in found {
            let id = post.id()?;
            let from = self.fresh.reader(self.reader, id.owner, Reader::Follower);
            let openness = self.fresh.openness(id.owner, Openness::default());
            let follows = from == Reader::Follower && from.knows(openness);
            if follows && !self.fresh.hides(&id, from) {
                seen.push(post);
            }
        }
        Ok((self.show(seen).await?, next))
    }

    /// What an athlete posted, the last first, as far as a reader sees it.
    pub async fn of_author(
        self,
        (author, from): (AthleteId, Reader),
        after: Option<Posted>,
        limit: usize,
    ) -> Result<Page, Error> {
        let found = match from {
            Reader::Oneself => of_author!(self, author, "true", after, limit),
            Reader::Follower => {
                of_author!(self, author, "p.visibility < 3 and not p.hidden", after, limit)
            }
            Reader::Stranger => {
                of_author!(self, author, "p.visibility = 1 and not p.hidden", after, limit)
            }
            Reader::Blocked => return Ok((Vec::new(), None)),
        };
        let mut found = found.map_err(context::database)?;
        let next = page::cut(&mut found, limit, place);
        let mut seen = Vec::with_capacity(found.len());
        for post in found {
            if !self.fresh.hides(&post.id()?, from) {
                seen.push(post);
            }
        }
        Ok((self.show(seen).await?, next))
    }

    /// A post, if there is one and the rows have it. Who may see it is not asked here, but for what is
    /// hidden: that only its author sees.
    pub async fn one(self, id: &ContentId) -> Result<Option<Post>, Error> {
        let found = sqlx::query_as!(
            Found,
            r#"select p.owner, p.kind, p.post, p.visibility, p.posted_at as "posted_at!",
                   p.edited_at, p.hidden, p.content
               from social_v1.posts p
               where p.owner = $1 and p.kind = $2 and p.post = $3 and p.posted_at is not null
                   and (p.owner = $4 or not p.hidden)"#,
            id.owner.uuid(),
            id.kind.code(),
            id.id,
            self.reader.uuid(),
        )
        .fetch_optional(&self.context.pool)
        .await
        .map_err(context::database)?;
        Ok(self.show(found.into_iter().collect()).await?.pop())
    }

    /// Shows posts with what is known of them.
    async fn show(self, found: Vec<Found>) -> Result<Vec<Post>, Error> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let owners: Vec<Uuid> = found.iter().map(|post| post.owner).collect();
        let kinds: Vec<i16> = found.iter().map(|post| post.kind).collect();
        let ids: Vec<Uuid> = found.iter().map(|post| post.post).collect();
        let around = sqlx::query!(
            r#"select a.username as "username?", a.name as "name?",
                   coalesce((
                       select sum(l.likes) from social_v1.like_counts l
                       where l.author = k.owner and l.kind = k.kind and l.content = k.post
                   ), 0)::bigint as "likes!",
                   exists (
                       select from social_v1.likes l
                       where l.owner = $1 and l.author = k.owner and l.kind = k.kind
                           and l.content = k.post
                   ) as "liked!",
                   (select count(*) from social_v1.comments m
                    where m.post_owner = k.owner and m.post_kind = k.kind and m.post = k.post
                        and (m.owner = $1 or not m.hidden)
                        and not exists (
                            select from social_v1.dismissed d
                            where d.owner = k.owner and d.author = m.owner
                                and d.comment = m.comment
                        )
                        and (m.owner = $1 or not exists (
                            select from social_v1.suspensions s
                            where s.owner = m.owner and (s.until is null or s.until > $5)
                        ))
                        and not exists (
                            select from social_v1.ties b
                            where b.blocked_at is not null
                                and ((b.owner = m.owner and b.other in ($1, k.owner))
                                    or (b.owner in ($1, k.owner) and b.other = m.owner))
                        )) as "comments!"
               from unnest($2::uuid[], $3::smallint[], $4::uuid[])
                   with ordinality as k (owner, kind, post, place)
               left join social_v1.athletes a on a.owner = k.owner
               order by k.place"#,
            self.reader.uuid(),
            &owners,
            &kinds,
            &ids,
            self.context.clock.now().utc(),
        )
        .fetch_all(&self.context.pool)
        .await
        .map_err(context::database)?;

        let of_workouts = found.iter().filter(|post| post.kind == ContentKind::Workout.code());
        let of_workouts: Vec<(Uuid, Uuid)> =
            of_workouts.map(|post| (post.owner, post.post)).collect();
        let mut workouts = if of_workouts.is_empty() {
            HashMap::new()
        } else {
            history::some(self.context, self.partition, &of_workouts).await?
        };
        let mut posts = Vec::with_capacity(found.len());
        let mut texts = Vec::with_capacity(found.len());
        for (post, around) in found.into_iter().zip(around) {
            let id = post.id()?;
            let (mut records, mut workout) = (None, None);
            let text: Option<Personal<String>> = match id.kind {
                ContentKind::Workout => {
                    let content: OfWorkout = read(&post.content).map_err(Error::internal)?;
                    workout = workouts.remove(&(post.owner, post.post)).map(done);
                    content.text
                }
                ContentKind::Records => {
                    let mut content: OfRecords = read(&post.content).map_err(Error::internal)?;
                    content.broken.retain(|broken| {
                        let set = broken.holder.set_id;
                        let removed = set.is_some_and(|set| self.fresh.is_removed(id.owner, set));
                        !broken.is_gone && !removed
                    });
                    if content.broken.is_empty() {
                        continue;
                    }
                    records = Some(self.broken(id.owner, content.broken).await?);
                    None
                }
                _ => Some(read(&post.content).map_err(Error::internal)?),
            };
            texts.push(text.unwrap_or(Personal::Erased));
            posts.push(Post {
                id: PublicId(id),
                kind: id.kind,
                author: Card { id: id.owner, username: around.username, name: around.name },
                posted_at: post.posted_at,
                edited_at: post.edited_at,
                visibility: post.visibility(),
                text: None,
                workout,
                records,
                likes: around.likes,
                liked: around.liked,
                comments: around.comments,
                hidden: post.hidden,
            });
        }
        talk::open(self.context, &mut texts).await?;
        for (post, text) in posts.iter_mut().zip(texts) {
            post.text = text.clear().cloned();
        }
        Ok(posts)
    }

    /// Records, with the names of their exercises.
    async fn broken(
        self,
        owner: AthleteId,
        broken: Vec<Broken>,
    ) -> Result<Vec<RecordBroken>, Error> {
        let is_own = |broken: &Broken| matches!(broken.which.exercise, ExerciseId::Custom(_));
        let own = if broken.iter().any(is_own) {
            custom_exercises::<History>(self.context, owner).await?
        } else {
            HashMap::new()
        };
        let shown = broken.into_iter().map(|Broken { which, holder, .. }| {
            let known = Known::find(&which.exercise, |id| Some(own.get(&id)?.known.clone()));
            let (value, unit) = show_figure(unit_of(which.kind), holder.figure, self.unit);
            RecordBroken {
                exercise: Exercise {
                    id: which.exercise.to_string(),
                    name: known.and_then(|known| known.name),
                },
                kind: which.kind,
                reps: which.reps,
                value,
                unit,
                set: holder.set_id,
            }
        });
        Ok(shown.collect())
    }
}

/// Whether something is a post, by the rows.
pub async fn is_posted(context: &Context, id: &ContentId) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"select exists (
               select from social_v1.posts
               where owner = $1 and kind = $2 and post = $3 and posted_at is not null
           ) as "is_posted!""#,
        id.owner.uuid(),
        id.kind.code(),
        id.id,
    )
    .fetch_one(&context.pool)
    .await
    .map_err(context::database)
}

fn place(post: &Found) -> Posted {
    let at = Timestamp::new(post.posted_at);
    Posted { at, owner: post.owner, kind: post.kind, post: post.post }
}

fn done(workout: Parts) -> Done {
    let shown = workout.show(None, |_| true);
    let mut exercises: Vec<ExerciseDone> = Vec::new();
    for set in shown.sets {
        match exercises.iter_mut().find(|done| done.exercise.id == set.exercise.id) {
            Some(done) => done.sets += 1,
            None => exercises.push(ExerciseDone { exercise: set.exercise, sets: 1 }),
        }
    }
    Done {
        id: shown.id,
        title: shown.title,
        notes: shown.notes,
        started_at: shown.started_at,
        completed_at: shown.completed_at,
        totals: shown.totals,
        exercises,
    }
}

fn unit_of(kind: RecordKind) -> Unit {
    match kind {
        RecordKind::MostReps => Unit::Reps,
        RecordKind::LongestDuration => Unit::Seconds,
        RecordKind::LongestDistance => Unit::Metres,
        RecordKind::HeaviestWeight
        | RecordKind::LeastAssistance
        | RecordKind::OneRepMax
        | RecordKind::HeaviestForThree
        | RecordKind::HeaviestForFive
        | RecordKind::SetVolume
        | RecordKind::SessionVolume
        | RecordKind::AtReps => Unit::Kg,
    }
}
