//! What was said since the rows stand where they stand, as far as it takes something away from
//! somebody: privacy, blocks and removals hold at once, however far the projector is.
//!
//! Who reads looks at the log behind the checkpoints first, then at the rows, which have grown no older
//! meanwhile. Whatever was recorded before is in one or the other. What gives something back is
//! waited for: until the rows have it, the reader sees less, and never more.

use std::collections::{BTreeMap, BTreeSet};

use domain::relations::{Openness, Reader};
use events::{
    AthleteId, ContentId, ContentKind, DecodeError, Epoch, Event, Partition, Position, SetId,
    StreamKind, Visibility,
};
use log::Positions;
use uuid::Uuid;
use web::Error;

use super::{
    Social,
    fold::{Place, place},
};
use crate::{Context, context, reading::Reading};

/// A projector that is further behind in a partition is waited for: to look at more would hold the
/// reader up.
const MOST: i64 = 20_000;

/// What takes something away from somebody.
const TAKES: [&str; 15] = [
    "ProfileChanged",
    "AthleteFollowed",
    "AthleteUnfollowed",
    "FollowerRemoved",
    "AthleteBlocked",
    "WorkoutDetailsChanged",
    "WorkoutUnshared",
    "WorkoutDiscarded",
    "SetRemoved",
    "PostEdited",
    "PostDeleted",
    "CommentDeleted",
    "CommentDismissed",
    "ContentHidden",
    "AthleteSuspended",
];

/// What was taken away since, and where the rows stood then.
#[derive(Debug)]
pub struct Fresh {
    /// Where the rows stand, or later.
    pub position: Positions,
    /// Who blocks whom.
    blocked: BTreeSet<(Uuid, Uuid)>,
    /// Who follows whom no longer.
    unfollowed: BTreeSet<(Uuid, Uuid)>,
    private: BTreeSet<Uuid>,
    suspended: BTreeSet<Uuid>,
    /// What its owner took away from everybody, themselves included.
    ended: BTreeSet<Place>,
    /// What only its owner sees.
    withdrawn: BTreeSet<Place>,
    /// Sets, by whose they are.
    removed: BTreeSet<(Uuid, Uuid)>,
    /// Who of those who do not follow sees it no longer.
    narrowed: BTreeSet<Place>,
}

impl Fresh {
    /// Looks at the log behind the rows, once they have reached the position that a reader asks for; 503
    /// where they do not, or are too far behind.
    pub async fn read(context: &Context, reading: &Reading) -> Result<Self, Error> {
        context.wait::<Social>(reading).await?;
        let types = TAKES.map(str::to_owned);
        let rows = sqlx::query!(
            r#"select c.partition, c.epoch, c.position, e.owner as "owner?",
                   e.stream_kind as "stream_kind?", e.stream_id as "stream_id?", e.type as "kind?",
                   e.type_version as "type_version?", e.payload as "payload?",
                   exists (
                       select from log.events f
                       where f.partition = c.partition and f.position = c.position + $2 + 1
                   ) as "is_behind!"
               from social_v1.checkpoints c
               -- Cut, so that it is done for each partition by itself: by its index, of the newest events.
               left join lateral (
                   select e.owner, e.stream_kind, e.stream_id, e.type, e.type_version, e.payload,
                       e.position
                   from log.events e
                   where e.partition = c.partition and e.position > c.position
                       and e.position <= c.position + $2 and e.type = any($1)
                   order by e.position limit $2
               ) e on true
               order by c.partition, e.position"#,
            &types[..],
            MOST,
        )
        .fetch_all(&context.pool)
        .await
        .map_err(context::database)?;
        let Some(epoch) = rows.iter().map(|row| row.epoch).max() else {
            return Err(Error::unavailable("NOT_BUILT", "the read model is not built yet", 5));
        };
        let at: BTreeMap<Partition, Position> =
            rows.iter().map(|row| (Partition(row.partition), Position(row.position))).collect();
        let mut fresh = Self {
            position: Positions { epoch: Epoch(epoch), at },
            blocked: BTreeSet::new(),
            unfollowed: BTreeSet::new(),
            private: BTreeSet::new(),
            suspended: BTreeSet::new(),
            ended: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
            removed: BTreeSet::new(),
            narrowed: BTreeSet::new(),
        };
        for row in rows {
            if row.is_behind {
                let message = "what others show cannot be told just now: the read model is behind";
                return Err(Error::unavailable("MODEL_BEHIND", message, 5));
            }
            let (Some(owner), Some(kind), Some(version)) = (row.owner, row.kind, row.type_version)
            else {
                continue;
            };
            let (Some(stream), Some(payload)) = (row.stream_id, row.payload) else { continue };
            let event = Event::decode(&kind, version, &payload).map_err(|error| match error {
                // Whether it takes something away from the reader, this program cannot know.
                DecodeError::Unknown { .. } => context::newer_events(error),
                malformed => Error::internal(malformed),
            })?;
            let of_workout = row.stream_kind == Some(StreamKind::Workout.code());
            fresh.take(owner, stream, of_workout, &event);
        }
        Ok(fresh)
    }

    fn take(&mut self, owner: Uuid, stream: Uuid, of_workout: bool, event: &Event) {
        let mine = |kind: ContentKind| (owner, kind.code(), stream);
        let shown = if of_workout {
            vec![mine(ContentKind::Workout), mine(ContentKind::Records)]
        } else {
            vec![mine(ContentKind::Text)]
        };
        let mut seen_by = |visibility: Visibility| match visibility {
            Visibility::Public => {}
            Visibility::Followers => self.narrowed.extend(shown.iter().copied()),
            Visibility::Private => self.withdrawn.extend(shown.iter().copied()),
        };
        match event {
            Event::ProfileChanged(changed) if changed.privacy.private_profile => {
                self.private.insert(owner);
            }
            // The one before it is over, and of ended follows the other side's rows know the last alone.
            Event::AthleteFollowed(anew) => {
                self.unfollowed.insert((owner, anew.athlete.uuid()));
            }
            Event::AthleteUnfollowed(over) => {
                self.unfollowed.insert((owner, over.athlete.uuid()));
            }
            Event::FollowerRemoved(over) => {
                self.unfollowed.insert((over.athlete.uuid(), owner));
            }
            Event::AthleteBlocked(blocked) => {
                self.blocked.insert((owner, blocked.athlete.uuid()));
            }
            Event::WorkoutDetailsChanged(changed) => seen_by(changed.details.visibility),
            Event::PostEdited(edited) => seen_by(edited.visibility),
            Event::WorkoutUnshared(unshared) if unshared.records_only => {
                self.ended.insert(mine(ContentKind::Records));
            }
            Event::WorkoutUnshared(_) | Event::WorkoutDiscarded(_) | Event::PostDeleted(_) => {
                self.ended.extend(shown);
            }
            Event::SetRemoved(removed) => {
                self.removed.insert((owner, removed.set_id.uuid()));
            }
            Event::CommentDeleted(_) => {
                self.ended.insert(mine(ContentKind::Comment));
            }
            Event::CommentDismissed(dismissed) => {
                self.withdrawn.insert(place(&dismissed.comment));
            }
            Event::ContentHidden(hidden) => {
                self.withdrawn.insert(place(&hidden.content));
            }
            Event::AthleteSuspended(_) => {
                self.suspended.insert(owner);
            }
            _ => {}
        }
    }

    /// What a reader is to somebody, who was this to them by the rows.
    pub(super) fn reader(&self, reader: AthleteId, of: AthleteId, by_rows: Reader) -> Reader {
        let (one, other) = (reader.uuid(), of.uuid());
        if self.blocked.contains(&(one, other)) || self.blocked.contains(&(other, one)) {
            Reader::Blocked
        } else if by_rows == Reader::Follower && self.unfollowed.contains(&(one, other)) {
            Reader::Stranger
        } else {
            by_rows
        }
    }

    /// How open somebody is, who was so by the rows.
    pub(super) fn openness(&self, of: AthleteId, by_rows: Openness) -> Openness {
        Openness {
            is_private: by_rows.is_private || self.private.contains(&of.uuid()),
            is_suspended: by_rows.is_suspended || self.suspended.contains(&of.uuid()),
        }
    }

    /// Whether something that the rows have is not to be shown to a reader.
    pub(super) fn hides(&self, content: &ContentId, from: Reader) -> bool {
        let place = place(content);
        let is_withdrawn = match from {
            Reader::Oneself => false,
            Reader::Follower => self.withdrawn.contains(&place),
            Reader::Stranger | Reader::Blocked => {
                self.withdrawn.contains(&place) || self.narrowed.contains(&place)
            }
        };
        is_withdrawn || self.ended.contains(&place)
    }

    /// Whether a set of somebody's is gone.
    pub(super) fn is_removed(&self, owner: AthleteId, set: SetId) -> bool {
        self.removed.contains(&(owner.uuid(), set.uuid()))
    }

    /// Whether somebody follows another one no longer.
    pub(super) fn is_unfollowed(&self, follower: AthleteId, followed: AthleteId) -> bool {
        self.unfollowed.contains(&(follower.uuid(), followed.uuid()))
    }

    /// Whether a reader does not know of somebody whom the rows would show.
    pub(super) fn conceals(&self, reader: AthleteId, of: AthleteId) -> bool {
        let knows = self.reader(reader, of, Reader::Stranger);
        reader != of && (knows == Reader::Blocked || self.suspended.contains(&of.uuid()))
    }
}
