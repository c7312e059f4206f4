//! What was announced of records, as the `records-…` streams say it.

use std::collections::{BTreeMap, HashMap};

use domain::announcements::Holders;
use events::{AthleteId, Event, RecordMoved};
use projector::{Happened, Tables, row};
use uuid::Uuid;

use crate::lifts::{decode, encode};

row! {
    struct AnnouncedRow in "announced" by 2 {
        owner: Uuid,
        exercise: String,
        holders: String,
    }
}

row! {
    struct VersionRow in "announcements" by 1 {
        owner: Uuid,
        version: i32,
    }
}

/// What a batch says was announced.
#[derive(Default)]
pub(super) struct Announced {
    moved: BTreeMap<(AthleteId, String), Vec<RecordMoved>>,
    versions: BTreeMap<AthleteId, i32>,
}

impl Announced {
    /// Takes an announcement; other events it passes over.
    pub(super) fn take(&mut self, happened: &Happened) {
        let (exercise, records) = match &happened.event {
            Event::PRAchieved(achieved) => (&achieved.exercise, &achieved.records),
            Event::PRRevoked(revoked) => (&revoked.exercise, &revoked.records),
            Event::RecordsRestated(restated) => (&restated.exercise, &restated.records),
            _ => return,
        };
        let key = (happened.owner, exercise.to_string());
        self.moved.entry(key).or_default().extend(records.iter().cloned());
        self.versions.insert(happened.owner, happened.version.0);
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let key = |(owner, exercise): &(AthleteId, String)| (owner.uuid(), exercise.clone());
        let rows: Vec<AnnouncedRow> = tables.read(self.moved.keys().map(key)).await?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in rows {
            let holders: Holders = decode(&row.holders)?;
            known.insert((row.owner, row.exercise), holders);
        }
        let mut rows = Vec::with_capacity(self.moved.len());
        for (key, moved) in self.moved {
            let (owner, exercise) = (key.0.uuid(), key.1);
            let mut holders = known.remove(&(owner, exercise.clone())).unwrap_or_default();
            moved.into_iter().for_each(|moved| holders.take(moved));
            rows.push(AnnouncedRow { owner, exercise, holders: encode(&holders)? });
        }
        // Also of an exercise of which nothing is held any more: it was known once.
        tables.upsert(rows).await?;
        let versions = self.versions.into_iter();
        let versions = versions.map(|(owner, version)| VersionRow { owner: owner.uuid(), version });
        tables.upsert(versions).await
    }
}
