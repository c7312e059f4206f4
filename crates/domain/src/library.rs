//! The system library of exercises: reviewed data with stable ids.

use std::{collections::HashMap, sync::LazyLock};

use events::{Equipment, ExerciseId, ImportFormat, Measurement, Muscle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::search::Index;

/// An exercise of the system library.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The slug; never changes and is never used again.
    pub id: Box<str>,
    /// The name it is shown by.
    pub name: String,
    /// Names of the same exercise in other apps' exports.
    pub aliases: Aliases,
    /// What it takes.
    pub equipment: Equipment,
    /// The muscles that do the work.
    pub primary_muscles: Vec<Muscle>,
    /// The muscles that help.
    pub secondary_muscles: Vec<Muscle>,
    /// How its sets are measured; never changes, since records depend on it.
    pub kind: Measurement,
    /// What it takes to do it well.
    pub difficulty: Difficulty,
    /// What it is, in a sentence or two.
    pub description: String,
    /// What to think of while doing it.
    pub cues: Vec<String>,
    /// What people often do wrong.
    pub mistakes: Vec<String>,
    /// Addresses of pictures and films.
    #[serde(default)]
    pub media: Vec<String>,
}

/// What it takes to do an exercise well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Difficulty {
    /// Can be learnt alone within a session.
    Beginner,
    /// Takes practice or some strength.
    Intermediate,
    /// Takes much practice, strength or mobility.
    Advanced,
}

/// Names of an exercise in other apps' exports.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aliases {
    /// In Hevy's.
    pub hevy: Vec<String>,
    /// In Strong's.
    pub strong: Vec<String>,
    /// In FitNotes'.
    pub fitnotes: Vec<String>,
}

impl Aliases {
    /// The names in one app's exports.
    pub fn of(&self, format: ImportFormat) -> &[String] {
        match format {
            ImportFormat::Hevy => &self.hevy,
            ImportFormat::Strong => &self.strong,
            ImportFormat::Fitnotes => &self.fitnotes,
        }
    }
}

/// The library, indexed.
pub struct Library {
    exercises: Vec<Exercise>,
    by_id: HashMap<Box<str>, usize>,
    by_name: HashMap<String, usize>,
    by_alias: HashMap<(ImportFormat, String), usize>,
    index: Index,
}

const DATA: &str = include_str!("../library/exercises.json");

static SYSTEM: LazyLock<Library> = LazyLock::new(|| {
    // The data is part of the program and tested with it.
    Library::new(serde_json::from_str(DATA).unwrap_or_default())
});

impl Library {
    /// The library of this version of the program.
    pub fn system() -> &'static Self {
        &SYSTEM
    }

    fn new(exercises: Vec<Exercise>) -> Self {
        let index = |key: fn(&Exercise) -> String| {
            exercises.iter().enumerate().map(move |(at, e)| (key(e), at))
        };
        let by_id = index(|e| e.id.to_string()).map(|(id, at)| (id.into(), at)).collect();
        let by_name = index(|e| fold(&e.name)).collect();
        let formats = [ImportFormat::Hevy, ImportFormat::Strong, ImportFormat::Fitnotes];
        let mut by_alias = HashMap::new();
        for (at, exercise) in exercises.iter().enumerate() {
            for format in formats {
                for alias in exercise.aliases.of(format) {
                    by_alias.insert((format, fold(alias)), at);
                }
            }
        }
        let mut index = Index::default();
        for exercise in &exercises {
            let aliases = formats.iter().flat_map(|format| exercise.aliases.of(*format));
            let texts = aliases.map(|alias| (alias.as_str(), 0.95));
            let texts = texts.chain([(exercise.description.as_str(), 0.5)]);
            index.add(texts.chain([(exercise.name.as_str(), 1.0)]));
        }
        Self { exercises, by_id, by_name, by_alias, index }
    }

    /// The exercises that a person may mean, by name, alias or description: the best first, each
    /// with how good it is.
    pub fn search(&self, wanted: &str) -> Vec<(&Exercise, f64)> {
        let found = self.index.search(wanted).into_iter();
        let mut found: Vec<(&Exercise, f64)> =
            found.map(|(at, score)| (&self.exercises[at], score)).collect();
        // Who says no more than "squat" means the one with the barbell.
        let usual = |exercise: &Exercise| exercise.equipment == Equipment::Barbell;
        found.sort_by(|(one, score), (other, than)| {
            than.total_cmp(score).then(usual(other).cmp(&usual(one)))
        });
        found
    }

    /// All exercises, in the order of their ids.
    pub fn all(&self) -> &[Exercise] {
        &self.exercises
    }

    /// The exercise of an id; custom ones are not in the library.
    pub fn get(&self, id: &ExerciseId) -> Option<&Exercise> {
        match id {
            ExerciseId::System(slug) => self.by_id.get(&**slug).map(|at| &self.exercises[*at]),
            ExerciseId::Custom(_) => None,
        }
    }

    /// The exercise shown by a name, however it is written in capitals.
    pub fn named(&self, name: &str) -> Option<&Exercise> {
        self.by_name.get(&fold(name)).map(|at| &self.exercises[*at])
    }

    /// The exercise that an app's export calls by a name. Aliases come before our own names: some
    /// apps say "Pull Up" for what we know as the weighted one.
    pub fn exported_as(&self, format: ImportFormat, name: &str) -> Option<&Exercise> {
        let alias = self.by_alias.get(&(format, fold(name)));
        alias.map(|at| &self.exercises[*at]).or_else(|| self.named(name))
    }
}

/// The form of a name in which two that differ only in capitals or in white space are the same.
pub fn fold(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use events::ImportFormat;

    use super::{DATA, Exercise, Library, fold};

    #[test]
    fn the_data_is_sound() {
        let exercises: Vec<Exercise> = serde_json::from_str(DATA).unwrap();
        assert!(exercises.len() >= 300, "{}", exercises.len());
        assert!(exercises.is_sorted_by(|a, b| a.id < b.id), "ids are sorted and unique");
        let (mut names, mut descriptions) = (HashSet::new(), HashSet::new());
        let mut aliases: HashMap<(ImportFormat, String), &str> = HashMap::new();
        for exercise in &exercises {
            let id: &str = &exercise.id;
            assert!(id.parse::<events::ExerciseId>().is_ok(), "{id}");
            assert!(names.insert(fold(&exercise.name)), "{id}: name");
            assert!(!exercise.primary_muscles.is_empty(), "{id}: muscles");
            let length = exercise.description.len();
            assert!((80..=260).contains(&length), "{id}: description");
            assert!(descriptions.insert(&exercise.description), "{id}: description of another");
            assert!((2..=4).contains(&exercise.cues.len()), "{id}: cues");
            assert!((2..=3).contains(&exercise.mistakes.len()), "{id}: mistakes");
            for muscle in &exercise.secondary_muscles {
                assert!(!exercise.primary_muscles.contains(muscle), "{id}: {muscle:?} twice");
            }
            for format in [ImportFormat::Hevy, ImportFormat::Strong, ImportFormat::Fitnotes] {
                for alias in exercise.aliases.of(format) {
                    let other = aliases.insert((format, fold(alias)), id);
                    assert_eq!(other, None, "{alias} of {format:?}");
                }
            }
        }
    }

    #[test]
    fn a_search_finds_what_a_person_means() {
        let first = |wanted| Library::system().search(wanted)[0].0.id.to_string();
        assert_eq!(first("barbell bench press"), "bench-press-barbell");
        assert_eq!(first("dedlift barbel"), "deadlift-barbell");
        assert!(first("lat pulldwn").starts_with("lat-pulldown"));
        assert_eq!(first("farmers"), "farmers-walk-dumbbell");
    }

    #[test]
    fn exports_names_are_found_by_alias_before_name() {
        let library = Library::system();
        let found = |name| library.exported_as(ImportFormat::Hevy, name).map(|e| e.id.to_string());
        assert_eq!(found("bench press (BARBELL)").as_deref(), Some("bench-press-barbell"));
        assert_eq!(found("Something of my own"), None);
        let strong = library.exported_as(ImportFormat::Strong, "Pull Up").unwrap();
        assert_eq!(&*strong.id, "pull-up-weighted");
    }
}
