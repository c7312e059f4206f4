//! An athlete's own exercises: the state and decisions of `exercises-…` streams.

use std::collections::BTreeMap;

use events::{CustomExerciseCreated, Event, ExerciseId, ExerciseTraits, Personal};
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
        return Err(Rejection::Invalid(vec![Invalid { field: "id".into(), message }]));
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

/// Longest name of an exercise, in characters.
const MAX_NAME: usize = 100;

/// Decides on taking over an exercise that somebody else made: the athlete's own of that name where it
/// is measured likewise, or the library's, else a new one of that id, under a name that is free.
pub fn adopt(
    state: &Exercises,
    id: Uuid,
    theirs: &Exercise,
) -> Result<(ExerciseId, Vec<Event>), Rejection> {
    let name = theirs.name.as_deref().unwrap_or("Exercise");
    let of_library = library::Library::system().named(name);
    if let Some((own, known)) = state.named(name)
        && known.traits.kind == theirs.traits.kind
    {
        return Ok((ExerciseId::Custom(own), Vec::new()));
    }
    if let Some(known) = of_library
        && known.kind == theirs.traits.kind
    {
        return Ok((ExerciseId::System((*known.id).into()), Vec::new()));
    }
    let is_free = |name: &str| {
        state.named(name).is_none() && library::Library::system().named(name).is_none()
    };
    let others = (2..=MAX + 2).map(|number| {
        let mark = format!(" ({number})");
        let kept: String = name.chars().take(MAX_NAME - mark.len()).collect();
        kept + &mark
    });
    let free = std::iter::once(name.to_owned()).chain(others).find(|name| is_free(name));
    let events = create(state, id, free.as_deref().unwrap_or(name), theirs.traits.clone())?;
    Ok((ExerciseId::Custom(id), events))
}

#[cfg(test)]
mod tests {
    use events::{Equipment, ExerciseTraits, Measurement, Muscle};
    use uuid::Uuid;

    use super::{Exercise, Exercises, adopt, create};
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

    #[test]
    fn what_somebody_else_made_is_taken_over_once() {
        let mut state = Exercises::default();
        let mut adopted = |name: &str, kind, number: u128| {
            let theirs = Exercise {
                name: Some(name.to_owned()),
                traits: ExerciseTraits { kind, ..traits() },
            };
            let (id, events) = adopt(&state, Uuid::from_u128(7 << 76 | number), &theirs).unwrap();
            events.iter().for_each(|event| state.evolve(event));
            let name = match &id {
                events::ExerciseId::Custom(id) => state.get(*id).unwrap().name.clone().unwrap(),
                events::ExerciseId::System(slug) => slug.to_string(),
            };
            (name, events.len())
        };
        let own = |name: &str, new| (name.to_owned(), new);
        let (reps, time) = (Measurement::WeightReps, Measurement::Duration);
        assert_eq!(adopted("My Press", reps, 1), own("My Press", 1));
        assert_eq!(adopted("MY PRESS", reps, 2), own("My Press", 0), "it is there already");
        assert_eq!(adopted("My Press", time, 3), own("My Press (2)", 1), "measured otherwise");
        assert_eq!(adopted("Bench Press (Barbell)", reps, 4), own("bench-press-barbell", 0));
        let longest = "x".repeat(100);
        assert_eq!(adopted(&longest, reps, 5), (longest.clone(), 1));
        assert_eq!(adopted(&longest, time, 6).0.chars().count(), 100);
    }
}
