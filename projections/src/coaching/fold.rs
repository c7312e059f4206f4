//! What a run of events comes to: what a side said of an invitation.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{CoachingSide, Event};
use projector::{Happened, Tables, row};
use uuid::Uuid;

row! {
    struct SideRow in "sides" by 2 {
        owner: Uuid,
        invitation: Uuid,
        is_coach: bool,
        other: Uuid,
        begun_at: Option<DateTime<Utc>>,
        ended_at: Option<DateTime<Utc>>,
    }
}

/// The changes of a batch, by owner and invitation.
#[derive(Default)]
pub struct Batch(BTreeMap<(Uuid, Uuid), SideRow>);

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        let owner = happened.owner.uuid();
        let (invitation, is_coach, other, ends) = match happened.event {
            Event::CoachInvited(invited) => (invited.invitation, true, invited.client, false),
            Event::CoachAccepted(accepted) => (accepted.invitation, false, accepted.coach, false),
            Event::CoachingEnded(ended) => {
                (ended.invitation, ended.by == CoachingSide::Coach, ended.with, true)
            }
            _ => return,
        };
        let at = Some(happened.recorded_at.utc());
        let row = self.0.entry((owner, invitation)).or_insert(SideRow {
            owner,
            invitation,
            is_coach,
            other: other.uuid(),
            begun_at: None,
            ended_at: None,
        });
        if ends {
            row.ended_at = at;
        } else {
            row.begun_at = at;
        }
    }

    pub(super) async fn write(mut self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        // What ends now may have begun before the batch.
        let ends_alone = self.0.values().filter(|row| row.begun_at.is_none());
        let keys: Vec<(Uuid, Uuid)> = ends_alone.map(|row| (row.owner, row.invitation)).collect();
        let before: Vec<SideRow> = tables.read(keys).await?;
        for known in before {
            if let Some(row) = self.0.get_mut(&(known.owner, known.invitation)) {
                row.begun_at = known.begun_at;
            }
        }
        tables.upsert(self.0.into_values().collect::<Vec<SideRow>>()).await
    }
}
