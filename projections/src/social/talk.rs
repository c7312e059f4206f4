//! What is said about posts, and who likes what: as rows and as answers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::relations::Reader;
use events::{
    AthleteId, ContentId, ContentKind, Event, Partition, Personal, PersonalField, PublicId,
    Timestamp,
};
use projector::{Tables, row};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::Error;

use super::{
    Fresh,
    fold::{Place, json},
    profile::Card,
};
use crate::{Context, context, page};

row! {
    pub(super) struct CommentRow in "comments" by 2 {
        pub(super) owner: Uuid,
        pub(super) comment: Uuid,
        post_owner: Uuid,
        post_kind: i16,
        post: Uuid,
        written_at: DateTime<Utc>,
        edited_at: Option<DateTime<Utc>>,
        pub(super) hidden: bool,
        content: String,
    }
}

row! {
    pub(super) struct Dismissed in "dismissed" by 3 {
        pub(super) owner: Uuid,
        pub(super) author: Uuid,
        pub(super) comment: Uuid,
    }
}

row! {
    struct Like in "likes" by 4 {
        owner: Uuid,
        author: Uuid,
        kind: i16,
        content: Uuid,
        liked_at: DateTime<Utc>,
    }
}

row! {
    struct LikeCount in "like_counts" by 4 {
        partition: i16,
        author: Uuid,
        kind: i16,
        content: Uuid,
        likes: i64,
    }
}

/// Brings the row of a comment to what was said of it.
pub(super) fn apply(
    row: Option<CommentRow>,
    owner: Uuid,
    comment: Uuid,
    at: DateTime<Utc>,
    event: &Event,
) -> Result<Option<CommentRow>, sqlx::Error> {
    Ok(match event {
        Event::CommentWritten(written) => Some(CommentRow {
            owner,
            comment,
            post_owner: written.post.owner.uuid(),
            post_kind: written.post.kind.code(),
            post: written.post.id,
            written_at: at,
            edited_at: None,
            hidden: false,
            content: json(&written.text)?,
        }),
        Event::CommentEdited(edited) => match row {
            Some(row) => {
                Some(CommentRow { edited_at: Some(at), content: json(&edited.text)?, ..row })
            }
            None => None,
        },
        Event::CommentDeleted(_) => None,
        _ => row,
    })
}

/// What a batch says of likes: since when each stands, or that it does not.
#[derive(Default)]
pub(super) struct Likes(BTreeMap<(Uuid, Place), Since>);

/// The partition of who likes, and since when they do.
type Since = (Partition, Option<DateTime<Utc>>);

impl Likes {
    pub(super) fn take(
        &mut self,
        partition: Partition,
        owner: Uuid,
        of: Place,
        since: Option<DateTime<Utc>>,
    ) {
        self.0.insert((owner, of), (partition, since));
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let keys = self.0.keys().map(|(owner, (author, kind, id))| (*owner, *author, *kind, *id));
        let before: Vec<Like> = tables.read(keys.collect::<Vec<_>>()).await?;
        let before: BTreeSet<(Uuid, Place)> = before
            .into_iter()
            .map(|like| (like.owner, (like.author, like.kind, like.content)))
            .collect();
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        let mut moves: BTreeMap<(i16, Uuid, i16, Uuid), i64> = BTreeMap::new();
        for ((owner, of), (partition, since)) in self.0 {
            let (author, kind, content) = of;
            let was = before.contains(&(owner, of));
            let change = i64::from(since.is_some()) - i64::from(was);
            *moves.entry((partition.0, author, kind, content)).or_default() += change;
            match since {
                Some(liked_at) => there.push(Like { owner, author, kind, content, liked_at }),
                None => gone.push((owner, author, kind, content)),
            }
        }
        tables.upsert(there).await?;
        tables.delete::<Like, _>(gone).await?;

        moves.retain(|_, change| *change != 0);
        let counts: Vec<LikeCount> = tables.read(moves.keys().copied()).await?;
        for row in counts {
            let key = (row.partition, row.author, row.kind, row.content);
            *moves.entry(key).or_default() += row.likes;
        }
        let (there, none): (BTreeMap<_, i64>, BTreeMap<_, i64>) =
            moves.into_iter().partition(|(_, likes)| *likes > 0);
        let there = there.into_iter().map(|((partition, author, kind, content), likes)| {
            LikeCount { partition, author, kind, content, likes }
        });
        tables.upsert(there.collect::<Vec<_>>()).await?;
        tables.delete::<LikeCount, _>(none.into_keys()).await
    }
}

/// A comment, as a reader sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comment {
    /// Its id, by which everybody addresses it.
    pub id: PublicId,
    /// The post that it is about.
    pub post: PublicId,
    /// Who wrote it.
    pub author: Card,
    /// What it says; `null` when it was erased.
    pub text: Option<String>,
    /// When it was written.
    pub written_at: DateTime<Utc>,
    /// When it was changed last.
    pub edited_at: Option<DateTime<Utc>>,
    /// How many like it.
    pub likes: i64,
    /// Whether the reader does.
    pub liked: bool,
    /// Whether it is shown to its author alone, since it does not belong here.
    pub hidden: bool,
}

/// Somebody who likes something.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Liker {
    #[serde(flatten)]
    person: Card,
    liked_at: DateTime<Utc>,
}

/// A place in a list of comments or likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    #[serde(rename = "t")]
    at: Timestamp,
    #[serde(rename = "a")]
    athlete: Uuid,
    #[serde(rename = "i")]
    id: Uuid,
}

/// Who reads comments, and on which post.
#[derive(Clone, Copy)]
pub struct Comments<'a> {
    /// What is read with.
    pub context: &'a Context,
    /// What was taken away since.
    pub fresh: &'a Fresh,
    /// Who reads.
    pub reader: AthleteId,
    /// The post.
    pub post: ContentId,
}

impl Comments<'_> {
    /// Comments, the first written first, and where the next page begins.
    pub async fn page(
        self,
        after: Option<At>,
        limit: usize,
    ) -> Result<(Vec<Comment>, Option<At>), Error> {
        read(self, None, after, limit).await
    }

    /// One of them.
    pub async fn one(self, id: &ContentId) -> Result<Option<Comment>, Error> {
        Ok(read(self, Some(id), None, 1).await?.0.pop())
    }
}

async fn read(
    of: Comments<'_>,
    only: Option<&ContentId>,
    after: Option<At>,
    limit: usize,
) -> Result<(Vec<Comment>, Option<At>), Error> {
    let Comments { context, fresh, reader, post } = of;
    let mut rows = sqlx::query!(
        r#"select m.owner, m.comment, m.written_at, m.edited_at, m.hidden, m.content,
               p.username, p.name,
               coalesce((
                   select sum(l.likes) from social_v1.like_counts l
                   where l.author = m.owner and l.kind = 4 and l.content = m.comment
               ), 0)::bigint as "likes!",
               exists (
                   select from social_v1.likes l
                   where l.owner = $1 and l.author = m.owner and l.kind = 4
                       and l.content = m.comment
               ) as "liked!"
           from social_v1.comments m
           join social_v1.athletes p on p.owner = m.owner
           where m.post_owner = $2 and m.post_kind = $3 and m.post = $4
               and (m.owner = $1 or not m.hidden)
               and not exists (
                   select from social_v1.dismissed d
                   where d.owner = $2 and d.author = m.owner and d.comment = m.comment
               )
               and (m.owner = $1 or not exists (
                   select from social_v1.suspensions s
                   where s.owner = m.owner and (s.until is null or s.until > $5)
               ))
               and not exists (
                   select from social_v1.ties b
                   where b.blocked_at is not null and ((b.owner = m.owner and b.other in ($1, $2))
                       or (b.owner in ($1, $2) and b.other = m.owner))
               )
               and ($6::timestamptz is null
                    or (m.written_at, m.owner, m.comment) > ($6, $7::uuid, $8::uuid))
               and ($10::uuid is null or (m.owner = $10 and m.comment = $11::uuid))
           order by m.written_at, m.owner, m.comment
           limit $9"#,
        reader.uuid(),
        post.owner.uuid(),
        post.kind.code(),
        post.id,
        context.clock.now().utc(),
        after.map(|at| at.at.utc()) as Option<DateTime<Utc>>,
        after.map(|at| at.athlete),
        after.map(|at| at.id),
        page::one_more(limit),
        only.map(|id| id.owner.uuid()),
        only.map(|id| id.id),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let next = page::cut(&mut rows, limit, |row| At {
        at: Timestamp::new(row.written_at),
        athlete: row.owner,
        id: row.comment,
    });
    let mut comments = Vec::with_capacity(rows.len());
    let mut texts: Vec<Personal<String>> = Vec::with_capacity(rows.len());
    for row in rows {
        let author = AthleteId::new(row.owner).map_err(Error::internal)?;
        let id = ContentId { owner: author, kind: ContentKind::Comment, id: row.comment };
        let is_own = author == reader;
        let is_concealed = fresh.conceals(reader, author) || fresh.conceals(post.owner, author);
        let from = if is_own { Reader::Oneself } else { Reader::Stranger };
        if (is_concealed && !is_own) || fresh.hides(&id, from) {
            continue;
        }
        texts.push(serde_json::from_str(&row.content).map_err(Error::internal)?);
        comments.push(Comment {
            id: PublicId(id),
            post: PublicId(post),
            author: Card { id: author, username: row.username, name: row.name },
            text: None,
            written_at: row.written_at,
            edited_at: row.edited_at,
            likes: row.likes,
            liked: row.liked,
            hidden: row.hidden,
        });
    }
    open(context, &mut texts).await?;
    for (comment, text) in comments.iter_mut().zip(texts) {
        comment.text = text.clear().cloned();
    }
    Ok((comments, next))
}

/// Opens texts.
pub(super) async fn open(context: &Context, texts: &mut [Personal<String>]) -> Result<(), Error> {
    let fields = texts.iter_mut().map(|text| text as &mut dyn PersonalField).collect();
    context.keys.open(fields).await.map_err(context::database)
}

/// Who likes something, the last first, and where the next page begins. `post` is what it is, or is about.
pub async fn likers(
    context: &Context,
    fresh: &Fresh,
    reader: AthleteId,
    (content, post): (ContentId, ContentId),
    after: Option<At>,
    limit: usize,
) -> Result<(Vec<Liker>, Option<At>), Error> {
    let mut rows = sqlx::query!(
        r#"select l.owner, l.liked_at, p.username, p.name
           from social_v1.likes l
           join social_v1.athletes p on p.owner = l.owner
           where l.author = $2 and l.kind = $3 and l.content = $4
               and (l.owner = $1 or not exists (
                   select from social_v1.suspensions s
                   where s.owner = l.owner and (s.until is null or s.until > $5)
               ))
               and not exists (
                   select from social_v1.ties b
                   where b.blocked_at is not null
                       and ((b.owner = l.owner and b.other in ($1, $2, $9))
                           or (b.owner in ($1, $2, $9) and b.other = l.owner))
               )
               and ($6::timestamptz is null or (l.liked_at, l.owner) < ($6, $7::uuid))
           order by l.liked_at desc, l.owner desc
           limit $8"#,
        reader.uuid(),
        content.owner.uuid(),
        content.kind.code(),
        content.id,
        context.clock.now().utc(),
        after.map(|at| at.at.utc()) as Option<DateTime<Utc>>,
        after.map(|at| at.athlete),
        page::one_more(limit),
        post.owner.uuid(),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let next = page::cut(&mut rows, limit, |row| At {
        at: Timestamp::new(row.liked_at),
        athlete: row.owner,
        id: Uuid::nil(),
    });
    let mut likers = Vec::with_capacity(rows.len());
    for row in rows {
        let id = AthleteId::new(row.owner).map_err(Error::internal)?;
        let from = [reader, content.owner, post.owner];
        if from.iter().all(|from| !fresh.conceals(*from, id)) {
            let person = Card { id, username: row.username, name: row.name };
            likers.push(Liker { person, liked_at: row.liked_at });
        }
    }
    Ok((likers, next))
}
