//! What athletes say of themselves, and how they want things: the state and decisions of `athlete-…`
//! streams.

use std::borrow::Cow;

use chrono::Datelike;
use events::{
    BirthYear, Event, Experience, Goal, Height, Notifications, Personal, Privacy, ProfileChanged,
    Sex, Theme, TimeZone, Timestamp, Units,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{Patch, Rejection, rejection::Problems};

/// A profile, as its last event says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(pub ProfileChanged);

impl Profile {
    /// Takes in what happened; that somebody registered makes the profile.
    pub fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        match event {
            Event::AthleteRegistered(registered) => Some(Self(ProfileChanged {
                username: None,
                name: None,
                birth_year: None,
                sex: None,
                height_cm: None,
                experience: None,
                goal: None,
                time_zone: registered.time_zone,
                units: registered.units,
                theme: Theme::default(),
                language: None,
                notifications: Notifications::default(),
                privacy: Privacy::default(),
            })),
            Event::ProfileChanged(changed) => Some(Self(changed.clone())),
            _ => state,
        }
    }

    /// The name that nobody else has.
    pub fn username(&self) -> Option<&str> {
        self.0.username.as_ref()?.clear().map(String::as_str)
    }
}

/// What to change of a profile.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the event")]
pub struct Change {
    pub username: Patch<Username>,
    pub name: Patch<String>,
    pub birth_year: Patch<BirthYear>,
    pub sex: Patch<Sex>,
    pub height_cm: Patch<Height>,
    pub experience: Patch<Experience>,
    pub goal: Patch<Goal>,
    pub time_zone: Patch<TimeZone>,
    pub units: Patch<Units>,
    pub theme: Patch<Theme>,
    pub language: Patch<Language>,
    pub notifications: Patch<Notifications>,
    pub privacy: Patch<Privacy>,
}

/// Decides on changing a profile; no events when it says so already. That nobody else has the
/// username is not known here.
pub fn change(profile: &Profile, change: Change, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let mut problems = Problems::default();
    let mut next = profile.0.clone();
    let this_year = u16::try_from(now.utc().year()).unwrap_or(u16::MAX);
    let unborn = matches!(change.birth_year, Patch::Set(year) if year.get() > this_year);
    problems.add_if(unborn, "birth_year", "must not lie in the future");
    change.username.map(|name| Personal::Clear(name.0)).apply(&mut next.username);
    change.name.map(Personal::Clear).apply(&mut next.name);
    change.birth_year.map(Personal::Clear).apply(&mut next.birth_year);
    change.sex.map(Personal::Clear).apply(&mut next.sex);
    change.height_cm.map(Personal::Clear).apply(&mut next.height_cm);
    change.experience.apply(&mut next.experience);
    change.goal.apply(&mut next.goal);
    change.language.map(|language| language.0).apply(&mut next.language);
    change.time_zone.apply_required(&mut next.time_zone, "time_zone", &mut problems);
    change.units.apply_required(&mut next.units, "units", &mut problems);
    change.theme.apply_required(&mut next.theme, "theme", &mut problems);
    change.notifications.apply_required(&mut next.notifications, "notifications", &mut problems);
    change.privacy.apply_required(&mut next.privacy, "privacy", &mut problems);
    problems.into_result()?;
    if next == profile.0 {
        return Ok(Vec::new());
    }
    Ok(vec![next.into()])
}

/// A name that nobody else has: 3 to 30 letters of the Latin alphabet, digits, points and
/// underscores, beginning and ending with a letter or digit; capitals are kept, and tell nobody
/// apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Username(String);

impl Username {
    /// Names that would pass for the house's own.
    const RESERVED: [&str; 8] =
        ["admin", "api", "ironledger", "me", "moderator", "root", "support", "system"];

    /// Takes a text that can be a name.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let is_well_formed = (3..=30).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
            && ends(text.chars().next())
            && ends(text.chars().last());
        if !is_well_formed {
            return Err("must be 3 to 30 letters (a to z), digits, points and underscores, and \
                        begin and end with a letter or digit");
        }
        if Self::RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
            return Err("must not be a name of the house");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names that differ only in capitals are the same.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// A language, as in BCP 47.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Language(String);

impl Language {
    /// Takes a tag such as `en` or `pt-BR`.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split('-');
        let primary = parts.next().unwrap_or_default();
        let is_tag = (2..=3).contains(&primary.len())
            && primary.chars().all(|c| c.is_ascii_alphabetic())
            && text.len() <= 35
            && parts.all(|part| {
                (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric())
            });
        if is_tag {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a language tag of BCP 47, such as en or pt-BR")
        }
    }
}

/// Reads a text through a rule, with its own word of what is wanted.
macro_rules! text {
    ($name:ident, $min:literal to $max:literal, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::new(&Cow::<'de, str>::deserialize(from)?).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "minLength": $min, "maxLength": $max, "pattern": $pattern,
                })
            }
        }
    };
}

text!(Username, 3 to 30, "^[A-Za-z0-9][A-Za-z0-9._]{1,28}[A-Za-z0-9]$");
text!(Language, 2 to 35, "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$");

#[cfg(test)]
mod tests {
    use events::{AthleteRegistered, BirthYear, Event, Units};

    use super::{Change, Language, Profile, Username, change};
    use crate::{Invalid, Patch, Rejection};

    fn registered() -> Profile {
        let time_zone = "Europe/Paris".parse().unwrap();
        let registered = AthleteRegistered { time_zone, units: Units::default() };
        Profile::evolve(None, &registered.into()).unwrap()
    }

    #[test]
    fn a_profile_begins_with_registration_and_says_what_was_said_last() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let username = Patch::Set(Username::new("Ada.L").unwrap());
        let wish = Change { username, ..Change::default() };
        let events = change(&registered(), wish.clone(), now).unwrap();
        let [Event::ProfileChanged(_)] = &events[..] else { panic!("{events:?}") };
        let profile = events.iter().fold(Some(registered()), Profile::evolve).unwrap();
        assert_eq!(profile.username(), Some("Ada.L"));
        assert_eq!(change(&profile, wish, now), Ok(Vec::new()), "it says so already");

        let wrong = Change {
            birth_year: Patch::Set(BirthYear::new(2027).unwrap()),
            time_zone: Patch::Clear,
            privacy: Patch::Clear,
            ..Change::default()
        };
        let Err(Rejection::Invalid(invalid)) = change(&profile, wrong, now) else { panic!() };
        let fields: Vec<_> = invalid.iter().map(|Invalid { field, .. }| field.as_ref()).collect();
        assert_eq!(fields, ["birth_year", "time_zone", "privacy"]);
    }

    #[test]
    fn names_and_languages_have_a_form() {
        for good in ["abc", "A.b_c", "x0x", "a23456789012345678901234567890"] {
            assert!(Username::new(good).is_ok(), "{good}");
        }
        for bad in ["ab", ".abc", "abc_", "a b", "é́é", "Admin", "a234567890123456789012345678901"]
        {
            assert!(Username::new(bad).is_err(), "{bad}");
        }
        assert!(Language::new("pt-BR").is_ok() && Language::new("zh-Hant-TW").is_ok());
        for bad in ["", "e", "english", "en_GB", "en-"] {
            assert!(Language::new(bad).is_err(), "{bad}");
        }
    }
}
