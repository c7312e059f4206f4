//! What a run of events comes to: what was said of each thing, in order, brought to its row.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use events::{ContentId, ContentKind, Event};
use projector::{Happened, Key, Row, Tables, row};
use uuid::Uuid;

use super::{
    graph::{self, Tie},
    people::People,
    posts::{self, PostRow, Said},
    reports::{self, ReportRow},
    talk::{self, CommentRow, Dismissed, Likes},
};

row! {
    struct Suspended in "suspensions" by 1 {
        owner: Uuid,
        until: Option<DateTime<Utc>>,
    }
}

row! {
    struct Hidden in "hidden" by 3 {
        owner: Uuid,
        kind: i16,
        content: Uuid,
    }
}

/// What was said of one thing, and when, in order.
type Told = Vec<(DateTime<Utc>, Event)>;

/// Something of somebody's: owner, kind and id.
pub(super) type Place = (Uuid, i16, Uuid);

/// Where something is kept.
pub(super) fn place(content: &ContentId) -> Place {
    (content.owner.uuid(), content.kind.code(), content.id)
}

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    people: People,
    suspended: BTreeMap<Uuid, Option<Option<DateTime<Utc>>>>,
    ties: BTreeMap<(Uuid, Uuid), Told>,
    /// By owner, and by the id of the workout or text.
    posts: BTreeMap<(Uuid, Uuid), Vec<Said>>,
    comments: BTreeMap<(Uuid, Uuid), Told>,
    dismissed: BTreeSet<(Uuid, Uuid, Uuid)>,
    likes: Likes,
    hidden: BTreeMap<Place, bool>,
    reports: BTreeMap<(Uuid, Uuid), Told>,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        let owner = happened.owner.uuid();
        let at = happened.recorded_at.utc();
        let id = happened.stream.id;
        match happened.event {
            Event::AthleteRegistered(_) => self.people.register(owner, at),
            Event::ProfileChanged(changed) => self.people.change(owner, changed),
            Event::AthleteSuspended(suspended) => {
                let until = suspended.until.map(|until| until.utc());
                self.suspended.insert(owner, Some(until));
            }
            Event::SuspensionLifted(_) => {
                self.suspended.insert(owner, None);
            }
            event @ (Event::AthleteFollowed(_)
            | Event::AthleteUnfollowed(_)
            | Event::FollowerAccepted(_)
            | Event::FollowerRemoved(_)
            | Event::AthleteBlocked(_)
            | Event::AthleteUnblocked(_)) => {
                self.ties.entry((owner, id)).or_default().push((at, event));
            }
            event @ (Event::CommentWritten(_)
            | Event::CommentEdited(_)
            | Event::CommentDeleted(_)) => {
                self.comments.entry((owner, id)).or_default().push((at, event));
            }
            Event::CommentDismissed(dismissed) => {
                let comment = dismissed.comment;
                self.dismissed.insert((owner, comment.owner.uuid(), comment.id));
            }
            Event::ContentLiked(liked) => {
                self.likes.take(happened.partition, owner, place(&liked.content), Some(at));
            }
            Event::ContentUnliked(unliked) => {
                self.likes.take(happened.partition, owner, place(&unliked.content), None);
            }
            Event::ContentHidden(hidden) => {
                self.hidden.insert(place(&hidden.content), true);
            }
            Event::ContentRestored(restored) => {
                self.hidden.insert(place(&restored.content), false);
            }
            event @ (Event::ContentReported(_) | Event::ReportResolved(_)) => {
                self.reports.entry((owner, id)).or_default().push((at, event));
            }
            event => {
                for (post, said) in posts::said(id, at, event) {
                    self.posts.entry((owner, post)).or_default().push(said);
                }
            }
        }
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        self.people.write(tables).await?;

        let suspended = self
            .suspended
            .into_iter()
            .map(|(owner, said)| ((owner,), said.map(|until| Suspended { owner, until })));
        settle(tables, suspended).await?;

        let ties: Vec<Tie> = tables.read(self.ties.keys().copied()).await?;
        let mut ties: BTreeMap<(Uuid, Uuid), Tie> =
            ties.into_iter().map(|tie| ((tie.owner, tie.other), tie)).collect();
        let ties = self.ties.into_iter().map(|((owner, other), said)| {
            let tie = ties.remove(&(owner, other)).unwrap_or_else(|| Tie::new(owner, other));
            let tie = said.iter().fold(tie, |tie, (at, event)| graph::apply(tie, *at, event));
            ((owner, other), tie.says_something().then_some(tie))
        });
        settle(tables, ties).await?;

        self.likes.write(tables).await?;
        let dismissed = self.dismissed.into_iter();
        let dismissed =
            dismissed.map(|(owner, author, comment)| Dismissed { owner, author, comment });
        tables.upsert(dismissed.collect::<Vec<_>>()).await?;

        let reports: Vec<ReportRow> = tables.read(self.reports.keys().copied()).await?;
        let mut reports: BTreeMap<(Uuid, Uuid), ReportRow> =
            reports.into_iter().map(|row| ((row.owner, row.report), row)).collect();
        let mut told = Vec::new();
        for ((owner, report), said) in self.reports {
            let row = reports.remove(&(owner, report));
            told.extend(reports::apply(row, owner, report, &said)?);
        }
        tables.upsert(told).await?;

        write_shown(self.posts, self.comments, self.hidden, tables).await
    }
}

/// Brings posts and comments up to date, and with them whether they are hidden.
async fn write_shown(
    posts: BTreeMap<(Uuid, Uuid), Vec<Said>>,
    comments: BTreeMap<(Uuid, Uuid), Told>,
    changed: BTreeMap<Place, bool>,
    tables: &mut Tables<'_>,
) -> Result<(), sqlx::Error> {
    // What may be touched: a workout's events are about its records too.
    let mut places: BTreeSet<Place> = changed.keys().copied().collect();
    for (owner, post) in posts.keys() {
        let kinds = [ContentKind::Workout, ContentKind::Records, ContentKind::Text];
        places.extend(kinds.map(|kind| (*owner, kind.code(), *post)));
    }
    let comment = ContentKind::Comment.code();
    places.extend(comments.keys().map(|(owner, id)| (*owner, comment, *id)));

    let hidden: Vec<Hidden> = tables.read(places.iter().copied()).await?;
    let mut hidden: BTreeSet<Place> =
        hidden.into_iter().map(|row| (row.owner, row.kind, row.content)).collect();
    for (place, hides) in &changed {
        if *hides {
            hidden.insert(*place);
        } else {
            hidden.remove(place);
        }
    }
    let of_posts: Vec<Place> =
        places.iter().copied().filter(|(_, kind, _)| *kind != comment).collect();
    let rows: Vec<PostRow> = tables.read(of_posts).await?;
    let mut rows: BTreeMap<Place, PostRow> =
        rows.into_iter().map(|row| ((row.owner, row.kind, row.post), row)).collect();
    let mut gone = Vec::new();
    for ((owner, post), said) in posts {
        gone.extend(posts::apply(&mut rows, owner, post, said)?);
    }
    for (place, row) in &mut rows {
        row.hidden = hidden.contains(place);
    }
    tables.upsert(rows.into_values().collect::<Vec<_>>()).await?;
    tables.delete::<PostRow, _>(gone).await?;

    let of_comments = places.iter().filter(|(_, kind, _)| *kind == comment);
    let of_comments: Vec<(Uuid, Uuid)> = of_comments.map(|(owner, _, id)| (*owner, *id)).collect();
    let rows: Vec<CommentRow> = tables.read(of_comments).await?;
    let mut rows: BTreeMap<(Uuid, Uuid), Option<CommentRow>> =
        rows.into_iter().map(|row| ((row.owner, row.comment), Some(row))).collect();
    for ((owner, id), said) in comments {
        let mut row = rows.remove(&(owner, id)).flatten();
        for (at, event) in &said {
            row = talk::apply(row, owner, id, *at, event)?;
        }
        rows.insert((owner, id), row);
    }
    for ((owner, id), row) in &mut rows {
        if let Some(row) = row {
            row.hidden = hidden.contains(&(*owner, comment, *id));
        }
    }
    settle(tables, rows).await?;

    let changed = changed.into_iter().map(|((owner, kind, content), hides)| {
        ((owner, kind, content), hides.then_some(Hidden { owner, kind, content }))
    });
    settle(tables, changed).await
}

/// Brings rows to what they are now, those that are nothing any more away.
async fn settle<R: Row, K: Key>(
    tables: &mut Tables<'_>,
    rows: impl IntoIterator<Item = (K, Option<R>)>,
) -> Result<(), sqlx::Error> {
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for (key, row) in rows {
        match row {
            Some(row) => there.push(row),
            None => gone.push(key),
        }
    }
    tables.upsert(there).await?;
    tables.delete::<R, _>(gone).await
}

/// A value as rows keep it.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// A value that a row keeps.
pub(super) fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
