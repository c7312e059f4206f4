//! Who follows whom, who asked to, and who blocks whom: as rows and as lists of people.

use chrono::{DateTime, Utc};
use domain::relations::Reader;
use events::{AthleteId, Event, FollowId, Timestamp};
use projector::row;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::Error;

use super::{Fresh, profile::Card};
use crate::{Context, context, page};

row! {
    pub(super) struct Tie in "ties" by 2 {
        pub(super) owner: Uuid,
        pub(super) other: Uuid,
        follow: Option<Uuid>,
        requested: bool,
        followed_at: Option<DateTime<Utc>>,
        accepted: Option<Uuid>,
        removed: Option<Uuid>,
        blocked_at: Option<DateTime<Utc>>,
    }
}

impl Tie {
    pub(super) fn new(owner: Uuid, other: Uuid) -> Self {
        let (follow, followed_at, accepted, removed, blocked_at) = (None, None, None, None, None);
        let requested = false;
        Self { owner, other, follow, requested, followed_at, accepted, removed, blocked_at }
    }

    /// Whether there is anything to keep.
    pub(super) fn says_something(&self) -> bool {
        let ids = [self.follow, self.accepted, self.removed];
        ids.iter().any(Option::is_some) || self.blocked_at.is_some()
    }
}

/// Brings a row to what was said.
pub(super) fn apply(mut tie: Tie, at: DateTime<Utc>, event: &Event) -> Tie {
    match event {
        Event::AthleteFollowed(followed) => {
            tie.follow = Some(followed.follow);
            tie.requested = followed.requested;
            tie.followed_at = Some(at);
        }
        Event::AthleteUnfollowed(_) => {
            (tie.follow, tie.requested, tie.followed_at) = (None, false, None);
        }
        Event::FollowerAccepted(accepted) => tie.accepted = Some(accepted.follow),
        Event::FollowerRemoved(removed) => tie.removed = Some(removed.follow),
        Event::AthleteBlocked(_) => tie.blocked_at = Some(at),
        Event::AthleteUnblocked(_) => tie.blocked_at = None,
        _ => {}
    }
    tie
}

/// Somebody in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Connection {
    #[serde(flatten)]
    person: Card,
    /// Since when: they follow, asked to, or are blocked.
    since: DateTime<Utc>,
    /// Of a request, the follow that is asked for, which an answer names.
    follow: Option<FollowId>,
}

/// A place in a list: the last first, ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    #[serde(rename = "t")]
    at: Timestamp,
    #[serde(rename = "p")]
    person: Uuid,
}

/// Whose list of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Those who follow an athlete.
    Followers(AthleteId),
    /// Those whom an athlete follows.
    Following(AthleteId),
    /// Those who asked an athlete.
    Asking(AthleteId),
    /// Those whom an athlete asked.
    Asked(AthleteId),
    /// Those whom an athlete blocks.
    Blocks(AthleteId),
}

/// A page of people.
#[derive(Debug)]
pub struct People {
    /// Who.
    pub people: Vec<Connection>,
    /// Where the next page begins, when there is one.
    pub next: Option<Place>,
}

struct Row {
    person: Uuid,
    at: DateTime<Utc>,
    follow: Option<Uuid>,
    username: Option<String>,
    name: Option<String>,
}

/// Reads a page of ties whose one side is an athlete, of the other side: `is_pending` is whether
/// they wait to be accepted.
macro_rules! ties {
    ($context:expr, $person:literal of $athlete:literal, $reader:expr, $of:expr, $is_pending:expr, $after:expr, $limit:expr) => {
        sqlx::query_as!(
            Row,
            r#"select f."#
                + $person
                + r#" as person, f.followed_at as "at!", f.follow as "follow?", p.username, p.name
               from social_v1.ties f
               left join social_v1.ties a on a.owner = f.other and a.other = f.owner
               join social_v1.athletes p on p.owner = f."#
                + $person
                + r#"
               where f."#
                + $athlete
                + r#" = $1 and f.follow is not null
                   and a.removed is distinct from f.follow
                   and f.blocked_at is null and a.blocked_at is null
                   and (f.requested and a.accepted is distinct from f.follow) = $2
                   and not exists (
                       select from social_v1.suspensions s
                       where s.owner = p.owner and (s.until is null or s.until > $3)
                   )
                   and not exists (
                       select from social_v1.ties b
                       where b.blocked_at is not null and ((b.owner = p.owner and b.other = $4)
                           or (b.owner = $4 and b.other = p.owner))
                   )
                   and ($5::timestamptz is null or (f.followed_at, f."#
                + $person
                + r#") < ($5, $6::uuid))
               order by f.followed_at desc, f."#
                + $person
                + r#" desc
               limit $7"#,
            $of.uuid(),
            $is_pending,
            $context.clock.now().utc(),
            $reader.uuid(),
            $after.map(|place: Place| place.at.utc()) as Option<DateTime<Utc>>,
            $after.map(|place: Place| place.person),
            $limit,
        )
        .fetch_all(&$context.pool)
        .await
    };
}

impl List {
    /// A page of it, for a reader.
    pub async fn page(
        self,
        context: &Context,
        fresh: &Fresh,
        reader: AthleteId,
        after: Option<Place>,
        limit: usize,
    ) -> Result<People, Error> {
        let most = page::one_more(limit);
        let rows = match self {
            Self::Followers(of) => {
                ties!(context, "owner" of "other", reader, of, false, after, most)
            }
            Self::Following(of) => {
                ties!(context, "other" of "owner", reader, of, false, after, most)
            }
            Self::Asking(of) => ties!(context, "owner" of "other", reader, of, true, after, most),
            Self::Asked(of) => ties!(context, "other" of "owner", reader, of, true, after, most),
            Self::Blocks(of) => blocks(context, of, after, most).await,
        };
        let mut rows = rows.map_err(context::database)?;
        let place = |row: &Row| Place { at: Timestamp::new(row.at), person: row.person };
        let next = page::cut(&mut rows, limit, place);
        let mut people = Vec::with_capacity(rows.len());
        let is_pending = matches!(self, Self::Asking(_) | Self::Asked(_));
        for row in rows {
            let person = AthleteId::new(row.person).map_err(Error::internal)?;
            let is_block = matches!(self, Self::Blocks(_));
            if !is_block && (fresh.conceals(reader, person) || self.is_over(fresh, person)) {
                continue;
            }
            let follow = row.follow.filter(|_| is_pending).map(FollowId::new).transpose();
            people.push(Connection {
                person: Card { id: person, username: row.username, name: row.name },
                since: row.at,
                follow: follow.map_err(Error::internal)?,
            });
        }
        Ok(People { people, next })
    }

    fn is_over(self, fresh: &Fresh, person: AthleteId) -> bool {
        match self {
            Self::Followers(of) | Self::Asking(of) => fresh.is_unfollowed(person, of),
            Self::Following(of) | Self::Asked(of) => fresh.is_unfollowed(of, person),
            Self::Blocks(_) => false,
        }
    }
}

async fn blocks(
    context: &Context,
    of: AthleteId,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select b.other as person, b.blocked_at as "at!", null::uuid as follow, p.username, p.name
           from social_v1.ties b
           join social_v1.athletes p on p.owner = b.other
           where b.owner = $1 and b.blocked_at is not null
               and ($2::timestamptz is null or (b.blocked_at, b.other) < ($2, $3::uuid))
           order by b.blocked_at desc, b.other desc
           limit $4"#,
        of.uuid(),
        after.map(|place| place.at.utc()) as Option<DateTime<Utc>>,
        after.map(|place| place.person),
        limit,
    )
    .fetch_all(&context.pool)
    .await
}

/// How many an athlete follows or asked to, by the rows.
pub async fn followed_count(context: &Context, athlete: AthleteId) -> Result<i64, Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from social_v1.ties f
           left join social_v1.ties a on a.owner = f.other and a.other = f.owner
           where f.owner = $1 and f.follow is not null and a.removed is distinct from f.follow"#,
        athlete.uuid(),
    )
    .fetch_one(&context.pool)
    .await
    .map_err(context::database)
}

/// Whom an athlete follows, by the rows and what was said since.
pub(crate) async fn followed(
    context: &Context,
    fresh: &Fresh,
    athlete: AthleteId,
) -> Result<Vec<Uuid>, Error> {
    let rows = sqlx::query_scalar!(
        "select f.other
         from social_v1.ties f
         left join social_v1.ties a on a.owner = f.other and a.other = f.owner
         where f.owner = $1 and f.follow is not null and f.blocked_at is null
             and a.blocked_at is null and a.removed is distinct from f.follow
             and (not f.requested or a.accepted = f.follow)",
        athlete.uuid(),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let still = rows.into_iter().filter(|other| {
        let by_rows = |other| fresh.reader(athlete, other, Reader::Follower);
        AthleteId::new(*other).is_ok_and(|other| by_rows(other) == Reader::Follower)
    });
    Ok(still.collect())
}
