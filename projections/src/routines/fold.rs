//! What a run of events comes to: the last truth of every routine, folder and like it touches.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{Event, Privacy, RoutineDetails, Weekday};
use projector::{Happened, Tables, row};
use uuid::Uuid;

row! {
    struct AthleteRow in "athletes" by 1 {
        owner: Uuid,
        is_private: bool,
    }
}

row! {
    struct FolderRow in "folders" by 2 {
        owner: Uuid,
        folder: Uuid,
    }
}

row! {
    struct RoutineRow in "routines" by 2 {
        owner: Uuid,
        routine: Uuid,
        created_at: DateTime<Utc>,
        folder: Option<Uuid>,
        days: i16,
        is_public: bool,
        exercises: i16,
        name: String,
    }
}

row! {
    struct LikeRow in "likes" by 3 {
        owner: Uuid,
        liked: Uuid,
        routine: Uuid,
        liked_at: DateTime<Utc>,
    }
}

/// The changes of a batch.
#[derive(Default)]
pub struct Batch {
    /// Whether they are private.
    athletes: BTreeMap<Uuid, bool>,
    /// Whether they are there.
    folders: BTreeMap<(Uuid, Uuid), bool>,
    routines: BTreeMap<(Uuid, Uuid), Routine>,
    /// Since when, where it stands.
    likes: BTreeMap<(Uuid, Uuid, Uuid), Option<DateTime<Utc>>>,
}

/// What becomes of a routine's row.
enum Routine {
    /// It is new in this batch, made at that time.
    New(DateTime<Utc>, RoutineDetails),
    /// It is there, and now says this.
    Changed(RoutineDetails),
    /// It is there, and goes.
    Gone,
}

impl Batch {
    pub(super) fn fold(&mut self, happened: Happened) {
        let owner = happened.owner.uuid();
        let routine = (owner, happened.stream.id);
        let at = happened.recorded_at.utc();
        match happened.event {
            Event::AthleteRegistered(_) => {
                self.athletes.insert(owner, Privacy::default().private_profile);
            }
            Event::ProfileChanged(changed) => {
                self.athletes.insert(owner, changed.privacy.private_profile);
            }
            Event::RoutineFolderCreated(created) => {
                self.folders.insert((owner, created.folder.uuid()), true);
            }
            Event::RoutineFolderDeleted(deleted) => {
                self.folders.insert((owner, deleted.folder.uuid()), false);
            }
            Event::RoutineCreated(created) => {
                self.routines.insert(routine, Routine::New(at, created.routine));
            }
            Event::RoutineChanged(changed) => match self.routines.get_mut(&routine) {
                Some(Routine::New(_, said) | Routine::Changed(said)) => *said = changed.routine,
                // What is deleted takes nothing more.
                Some(Routine::Gone) => {}
                None => {
                    self.routines.insert(routine, Routine::Changed(changed.routine));
                }
            },
            Event::RoutineDeleted(_) => {
                let known = self.routines.remove(&routine);
                // Of one that came and went within the batch, nothing is there that would go.
                let is_there = !matches!(known, Some(Routine::New(..)));
                if is_there {
                    self.routines.insert(routine, Routine::Gone);
                }
            }
            Event::RoutineLiked(liked) => {
                self.likes.insert((owner, liked.owner.uuid(), liked.routine.uuid()), Some(at));
            }
            Event::RoutineUnliked(unliked) => {
                self.likes.insert((owner, unliked.owner.uuid(), unliked.routine.uuid()), None);
            }
            _ => {}
        }
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let athletes = self.athletes.into_iter();
        let athletes = athletes.map(|(owner, is_private)| AthleteRow { owner, is_private });
        tables.upsert(athletes.collect::<Vec<_>>()).await?;

        let (there, gone): (Vec<_>, Vec<_>) = self.folders.into_iter().partition(|(_, is)| *is);
        let there = there.into_iter().map(|((owner, folder), _)| FolderRow { owner, folder });
        tables.upsert(there.collect::<Vec<_>>()).await?;
        tables.delete::<FolderRow, _>(gone.into_iter().map(|(key, _)| key)).await?;

        let (mut new, mut changed, mut gone) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (key, routine) in self.routines {
            match routine {
                Routine::New(created_at, said) => new.push(row(key, created_at, &said)?),
                Routine::Changed(said) => {
                    changed.insert(key, said);
                }
                Routine::Gone => gone.push(key),
            }
        }
        tables.insert(new).await?;
        let before: Vec<RoutineRow> = tables.read(changed.keys().copied()).await?;
        let mut after = Vec::with_capacity(before.len());
        for known in before {
            let key = (known.owner, known.routine);
            if let Some(said) = changed.get(&key) {
                after.push(row(key, known.created_at, said)?);
            }
        }
        tables.upsert(after).await?;
        tables.delete::<RoutineRow, _>(gone).await?;

        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for ((owner, liked, routine), since) in self.likes {
            match since {
                Some(liked_at) => there.push(LikeRow { owner, liked, routine, liked_at }),
                None => gone.push((owner, liked, routine)),
            }
        }
        tables.upsert(there).await?;
        tables.delete::<LikeRow, _>(gone).await
    }
}

fn row(
    (owner, routine): (Uuid, Uuid),
    created_at: DateTime<Utc>,
    said: &RoutineDetails,
) -> Result<RoutineRow, sqlx::Error> {
    Ok(RoutineRow {
        owner,
        routine,
        created_at,
        folder: said.folder.map(|folder| folder.uuid()),
        days: said.schedule.iter().map(|day| bit(*day)).sum(),
        is_public: said.public,
        exercises: i16::try_from(said.exercises.len()).unwrap_or(i16::MAX),
        name: serde_json::to_string(&said.name)
            .map_err(|error| sqlx::Error::Encode(Box::new(error)))?,
    })
}

/// The bit of a day of the week.
pub(super) fn bit(day: Weekday) -> i16 {
    match day {
        Weekday::Monday => 1,
        Weekday::Tuesday => 2,
        Weekday::Wednesday => 4,
        Weekday::Thursday => 8,
        Weekday::Friday => 16,
        Weekday::Saturday => 32,
        Weekday::Sunday => 64,
    }
}
