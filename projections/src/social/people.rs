//! Whom others know by which name: rows of athletes, and the words they are found by.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::library::fold;
use events::{Personal, Privacy, ProfileChanged};
use projector::{Tables, row};
use uuid::Uuid;

row! {
    struct Athlete in "athletes" by 1 {
        owner: Uuid,
        username: Option<String>,
        name: Option<String>,
        is_private: bool,
        show_stats: bool,
        joined_at: DateTime<Utc>,
    }
}

row! {
    struct Word in "words" by 2 {
        owner: Uuid,
        word: String,
    }
}

/// An athlete is found by the first so many words of the name.
const MOST_WORDS: usize = 12;

/// What a batch says of people: when they joined, and what they say of themselves last.
#[derive(Default)]
pub(super) struct People(BTreeMap<Uuid, (Option<DateTime<Utc>>, Option<ProfileChanged>)>);

impl People {
    pub(super) fn register(&mut self, owner: Uuid, at: DateTime<Utc>) {
        self.0.entry(owner).or_default().0 = Some(at);
    }

    pub(super) fn change(&mut self, owner: Uuid, changed: ProfileChanged) {
        self.0.entry(owner).or_default().1 = Some(changed);
    }

    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let known = self.0.iter().filter(|(_, (joined, _))| joined.is_none());
        let known: Vec<(Uuid,)> = known.map(|(owner, _)| (*owner,)).collect();
        let known: Vec<Athlete> = tables.read(known).await?;
        let known: BTreeMap<Uuid, Athlete> =
            known.into_iter().map(|row| (row.owner, row)).collect();
        let (mut rows, mut words, mut renamed) = (Vec::new(), Vec::new(), Vec::new());
        for (owner, (joined_at, changed)) in self.0 {
            let joined_at = joined_at.or_else(|| known.get(&owner).map(|row| row.joined_at));
            let Some(joined_at) = joined_at else { continue };
            let privacy = changed.as_ref().map_or_else(Privacy::default, |said| said.privacy);
            let clear = |field: Option<Personal<String>>| field.and_then(|it| it.clear().cloned());
            let (username, name) =
                changed.map(|said| (clear(said.username), clear(said.name))).unwrap_or_default();
            if known.contains_key(&owner) {
                renamed.push((owner,));
            }
            let found_by = found_by(username.as_deref(), name.as_deref());
            words.extend(found_by.into_iter().map(|word| Word { owner, word }));
            rows.push(Athlete {
                owner,
                username,
                name,
                is_private: privacy.private_profile,
                show_stats: privacy.show_stats,
                joined_at,
            });
        }
        tables.upsert(rows).await?;
        tables.delete::<Word, _>(renamed).await?;
        tables.upsert(words).await
    }
}

/// The words that somebody is found by.
fn found_by(username: Option<&str>, name: Option<&str>) -> BTreeSet<String> {
    let of_name = name.map(words).unwrap_or_default();
    let of_name = of_name.into_iter().take(MOST_WORDS);
    username.map(fold).into_iter().chain(of_name).collect()
}

/// The words of a name or of a search, in small letters.
pub(super) fn words(text: &str) -> Vec<String> {
    fold(text).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
