//! An athlete's own exercises: the state and decisions of `exercises-…` streams.

use std::collections::BTreeMap;

use events::{CustomExerciseCreated, Event, ExerciseTraits, Personal};
use uuid::Uuid;

use crate::{Invalid, Rejection, library};

/// Most exercises of one's own.
const MAX: usize = 1000;

/// The exercises that an athlete made, by id.
#[derive(Debug, Clone, Default)]
pub struct Exercises(BTreeMap<Uuid, Exercise>);

/// An exercise that an athlete made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exercise {
    /// What the athlete calls it; `None` when that was erased.
    pub name: Option<String>,
    /// What it trains, with what, and how it is measured.
    pub traits: ExerciseTraits,
}

impl Exercises {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        if let Event::CustomExerciseCreated(created) = event {
            let name = created.name.clear().cloned();
            let exercise = Exercise { name, traits: created.traits.clone() };
            self.0.insert(created.exercise_id, exercise);
        }
    }

    /// The exercise of an id.
    pub fn get(&self, id: Uuid) -> Option<&Exercise> {
        self.0.get(&id)
    }

    /// The exercise of a name, however it is written in capitals.
    pub fn named(&self, name: &str) -> Option<(Uuid, &Exercise)> {
        let wanted = library::fold(name);
        let same = |e: &Exercise| e.name.as_ref().is_some_and(|name| library::fold(name) == wanted);
        self.0.iter().find(|(_, exercise)| same(exercise)).map(|(id, exercise)| (*id, exercise))
    }

    /// All of them, oldest id first.
    pub fn all(&self) -> impl Iterator<Item = (Uuid, &Exercise)> {
        self.0.iter().map(|(id, exercise)| (*id, exercise))
    }
}

/// Decides on making an exercise. Its name must be neither in the library nor the athlete's own
/// already.
pub fn create(
    state: &Exercises,
    id: Uuid,
    name: &str,
    traits: ExerciseTraits,
) -> Result<Vec<Event>, Rejection> {
    if id.get_version_num() != 7 {
        let message = "must be a UUID of version 7";
        return Err(Rejection::Invalid(vec![Invalid { field: "id", message }]));
    }
    if state.0.contains_key(&id) {
        let message = "the id belongs to another exercise of yours";
        return Err(Rejection::Conflict { code: "ID_TAKEN", message });
    }
    if state.named(name).is_some() || library::Library::system().named(name).is_some() {
        let message = "an exercise of that name exists already";
        return Err(Rejection::Conflict { code: "EXERCISE_NAME_TAKEN", message });
    }
    if state.0.len() >= MAX {
        let message = "an athlete has at most 1000 exercises of their own";
        return Err(Rejection::Conflict { code: "TOO_MANY_EXERCISES", message });
    }
    let name = Personal::Clear(name.to_owned());
    Ok(vec![CustomExerciseCreated { exercise_id: id, name, traits }.into()])
}

#[cfg(test)]
mod tests {
    use events::{Equipment, ExerciseTraits, Measurement, Muscle};
    use uuid::Uuid;

    use super::{Exercises, create};
    use crate::Rejection;

    fn traits() -> ExerciseTraits {
        ExerciseTraits {
            equipment: Equipment::Machine,
            primary_muscles: vec![Muscle::Chest],
            secondary_muscles: vec![],
            kind: Measurement::WeightReps,
        }
    }

    #[test]
    fn names_are_taken_whatever_their_capitals() {
        let mut state = Exercises::default();
        for event in create(&state, Uuid::from_u128(7 << 76), "My Press", traits()).unwrap() {
            state.evolve(&event);
        }
        for taken in ["my  press", "MY PRESS", "bench press (barbell)"] {
            let refused = create(&state, Uuid::from_u128(7 << 76 | 1), taken, traits());
            assert!(
                matches!(refused, Err(Rejection::Conflict { code: "EXERCISE_NAME_TAKEN", .. })),
                "{taken}"
            );
        }
    }
}
