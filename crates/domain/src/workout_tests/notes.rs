//! What is noted of the exercises of a workout.

use events::{Event, ExerciseNoted, FormScore, Measurement, Personal};

use super::{active, code, discarded, given, logged, over, started};
use crate::{
    Rejection,
    workout::{Note, Workout, note_exercise},
};

fn note(notes: Option<&str>, form_score: Option<i64>, form_notes: Option<&str>) -> Note {
    Note {
        exercise: "bench-press-barbell".parse().unwrap(),
        notes: notes.map(str::to_owned),
        form_score: form_score.map(|points| FormScore::new(points).unwrap()),
        form_notes: form_notes.map(str::to_owned),
    }
}

fn noted(note: &Note) -> Event {
    let note = note.clone();
    ExerciseNoted {
        exercise: note.exercise,
        notes: note.notes.map(Personal::Clear),
        form_score: note.form_score,
        form_notes: note.form_notes.map(Personal::Clear),
    }
    .into()
}

fn decide(workout: &Workout, note: &Note) -> Result<Vec<Event>, Rejection> {
    note_exercise(workout, note.clone(), Some(Measurement::WeightReps))
}

#[test]
fn notes_hold_the_whole_truth_of_an_exercise() {
    let full = note(Some("slow"), Some(85), Some("elbows in"));
    for workout in [active(), over()] {
        assert_eq!(decide(&workout, &full), Ok(vec![noted(&full)]));
    }
    let workout = given(&[started(), logged(1, 10), noted(&full)]);
    assert_eq!(decide(&workout, &full), Ok(vec![]), "it says so already");
    let less = note(None, Some(85), None);
    assert_eq!(decide(&workout, &less), Ok(vec![noted(&less)]), "what is absent is emptied");
}

#[test]
fn nothing_is_noted_where_nothing_was() {
    let nothing = note(None, None, None);
    assert_eq!(decide(&active(), &nothing), Ok(vec![]));
    let emptied = given(&[started(), noted(&note(Some("slow"), None, None)), noted(&nothing)]);
    assert_eq!(decide(&emptied, &nothing), Ok(vec![]));
    // That it once said something is remembered: an import must not bring it back.
    assert!(emptied.noted.contains_key(&nothing.exercise));
}

#[test]
fn neither_a_discarded_workout_nor_an_unknown_exercise_is_noted() {
    let note = note(Some("slow"), None, None);
    assert_eq!(code(decide(&discarded(), &note)), "WORKOUT_DISCARDED");
    assert_eq!(note_exercise(&active(), note, None), Err(Rejection::NotFound("exercise")));
}
