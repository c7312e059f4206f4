//! Whom others know by which name: rows of athletes, and the words they are found by.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use events::{Personal, Privacy, ProfileChanged};
use projector::{Tables, row};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
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

/// The words that somebody is found by: the username, each word of the name, and its parts where it has
/// hyphens and the like in it.
fn found_by(username: Option<&str>, name: Option<&str>) -> BTreeSet<String> {
    let name = name.map(bare).unwrap_or_default();
    let of_name = name.split_whitespace().take(MOST_WORDS).flat_map(|word| {
        let parts = word.split(|c: char| !c.is_alphanumeric()).map(str::to_owned);
        parts.chain([joined(word)])
    });
    let all = username.map(bare).into_iter().chain(of_name);
    all.filter(|word| !word.is_empty()).collect()
}

/// The words of a search, each the beginning of a word that somebody is found by.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = bare(text);
    // Points and underscores are parts of usernames.
    let is_name = |word: &str| word.contains(['.', '_']);
    let words = text.split_whitespace();
    let words = words.map(|word| if is_name(word) { word.to_owned() } else { joined(word) });
    words.filter(|word| !word.is_empty()).collect()
}

/// In small letters, without accents, however they are written.
fn bare(text: &str) -> String {
    text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

/// The letters and digits of a word.
fn joined(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::{found_by, words};

    #[test]
    fn people_are_found_however_their_names_are_written() {
        let known = found_by(Some("Ada.L_9"), Some("José Ñandú-Ortiz  O'Neil ÅNGSTRÖM"));
        let finds = |wanted: &str| {
            let words = words(wanted);
            let found = |word: &String| known.iter().any(|known| known.starts_with(word));
            !words.is_empty() && words.iter().all(found)
        };
        for good in [
            "jose",
            "JOSÉ",
            "Jose\u{301}",
            "nandu",
            "ortiz",
            "ñandú-ortiz",
            "oneil",
            "o'neil",
            "neil",
            "angstrom jos",
            "ada.l",
            "ADA.L_9",
            "  ada ",
        ] {
            assert!(finds(good), "{good}");
        }
        for bad in ["", " ", "-", "rtiz", "jose maria", "ada.x"] {
            assert!(!finds(bad), "{bad}");
        }
    }
}
