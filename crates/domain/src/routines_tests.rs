//! Given what happened, when a command about a routine comes, then these events or this rejection.

use std::collections::BTreeSet;

use events::{
    CopiedFrom, Event, ExerciseId, FolderId, Measurement, Metres, Personal, PlannedExercise,
    PlannedSet, RepRange, Reps, RoutineId, Seconds, SetKind, Weekday, Weight, WeightUnit,
};
use rust_decimal::dec;
use uuid::Uuid;

use super::{Around, Change, Draft, MAX, Routine, change, copy, create, delete};
use crate::{Patch, Rejection, folders::Folders};

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(7 << 76 | number)
}

fn reps(min: i64, max: i64) -> PlannedSet {
    let range = RepRange { min: Reps::new(min).unwrap(), max: Reps::new(max).unwrap() };
    PlannedSet { reps: Some(range), ..nothing() }
}

fn nothing() -> PlannedSet {
    PlannedSet {
        kind: SetKind::Normal,
        reps: None,
        weight: None,
        duration_seconds: None,
        distance_metres: None,
        rpe: None,
    }
}

fn planned(exercise: &str, sets: Vec<PlannedSet>) -> PlannedExercise {
    PlannedExercise {
        exercise: exercise.parse().unwrap(),
        sets,
        rest_seconds: Seconds::new(90).unwrap(),
        superset_id: None,
        notes: None,
    }
}

fn draft(exercises: Vec<PlannedExercise>) -> Draft {
    Draft {
        name: "Push".to_owned(),
        notes: None,
        folder: None,
        exercises,
        schedule: BTreeSet::from([Weekday::Monday]),
        public: true,
    }
}

fn measurement(exercise: &ExerciseId) -> Option<Measurement> {
    match exercise.to_string().as_str() {
        "running" => Some(Measurement::DistanceDuration),
        "unknown" => None,
        _ => Some(Measurement::WeightReps),
    }
}

fn folders() -> Folders {
    let mut folders = Folders::default();
    let made = crate::folders::create(&folders, FolderId::new(uuid(1)).unwrap(), "A".to_owned());
    made.unwrap().iter().for_each(|event| folders.evolve(event));
    folders
}

fn around(folders: &Folders) -> Around<'_> {
    Around { measurement: &measurement, folders }
}

fn made() -> Routine {
    let draft = draft(vec![planned("squat-barbell", vec![reps(5, 8)])]);
    let events = create(draft, around(&folders()), 0).unwrap();
    events.iter().fold(None, Routine::evolve).unwrap()
}

fn fields(refused: Result<Vec<Event>, Rejection>) -> Vec<String> {
    let Err(Rejection::Invalid(invalid)) = refused else { panic!("{refused:?}") };
    invalid.into_iter().map(|invalid| invalid.field.into_owned()).collect()
}

fn conflict(refused: Result<Vec<Event>, Rejection>) -> &'static str {
    let Err(Rejection::Conflict { code, .. }) = refused else { panic!("{refused:?}") };
    code
}

#[test]
fn everything_wrong_with_a_plan_is_told_at_once() {
    let run = PlannedSet {
        weight: Weight::new(dec!(10), WeightUnit::Kg).ok(),
        distance_metres: Metres::new(dec!(5000)).ok(),
        ..reps(8, 5)
    };
    let far = PlannedSet { distance_metres: Metres::new(dec!(1)).ok(), ..reps(5, 5) };
    let wrong = Draft {
        folder: FolderId::new(uuid(2)).ok(),
        ..draft(vec![
            planned("squat-barbell", vec![reps(5, 5), far]),
            planned("running", vec![run]),
            planned("unknown", vec![reps(9, 1)]),
            planned("squat-barbell", vec![]),
            planned("squat-barbell", vec![nothing(); 31]),
        ])
    };
    let told = fields(create(wrong, around(&folders()), 0));
    let expected = [
        "folder",
        "exercises[0].sets[1].distance_metres",
        "exercises[1].sets[0].reps.max",
        "exercises[1].sets[0].reps",
        "exercises[1].sets[0].weight",
        "exercises[2].exercise",
        "exercises[2].sets[0].reps.max",
        "exercises[3].sets",
        "exercises[4].sets",
    ];
    assert_eq!(told, expected);

    let many = vec![planned("squat-barbell", vec![reps(5, 5)]); 51];
    assert_eq!(fields(create(draft(many), around(&folders()), 0)), ["exercises"]);
    let long = vec![planned("squat-barbell", vec![reps(5, 5); 30]); 17];
    assert_eq!(fields(create(draft(long), around(&folders()), 0)), ["exercises"]);
    let none = draft(vec![planned("unknown", vec![reps(2, 1); 30]); 50]);
    assert!(fields(create(none, around(&folders()), 0)).len() < 150, "no endless list");
}

#[test]
fn an_athlete_has_only_so_many() {
    let folders = folders();
    assert!(create(draft(vec![]), around(&folders), MAX - 1).is_ok(), "and one may be empty");
    assert_eq!(conflict(create(draft(vec![]), around(&folders), MAX)), "TOO_MANY_ROUTINES");
}

#[test]
fn a_change_holds_the_whole_new_truth() {
    let (routine, folders) = (made(), folders());
    let folder = FolderId::new(uuid(1)).unwrap();
    let wish = Change {
        name: Patch::Set("Legs".to_owned()),
        folder: Patch::Set(folder),
        schedule: Patch::Clear,
        ..Change::default()
    };
    let events = change(&routine, wish.clone(), around(&folders)).unwrap();
    let [Event::RoutineChanged(changed)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(changed.routine.exercises, routine.details.exercises, "what is absent stays");
    assert_eq!(changed.routine.folder, Some(folder));
    assert!(changed.routine.schedule.is_empty() && changed.routine.public);
    let after = events.iter().fold(Some(routine), Routine::evolve).unwrap();
    assert_eq!(change(&after, wish, around(&folders)), Ok(Vec::new()), "it says so already");

    // A folder that is gone since is nobody's fault.
    let renamed = Change { name: Patch::Set("x".to_owned()), ..Change::default() };
    assert!(change(&after, renamed, around(&Folders::default())).is_ok());
    let wrong = Change {
        name: Patch::Clear,
        public: Patch::Clear,
        folder: FolderId::new(uuid(3)).map_or(Patch::Keep, Patch::Set),
        exercises: Patch::Set(vec![planned("unknown", vec![])]),
        ..Change::default()
    };
    let told = fields(change(&after, wrong, around(&folders)));
    let expected = ["folder", "exercises[0].sets", "exercises[0].exercise", "name", "public"];
    assert_eq!(told, expected);
}

#[test]
fn what_is_deleted_is_not_there() {
    let routine = made();
    let gone = delete(&routine).iter().fold(Some(routine), Routine::evolve).unwrap();
    assert!(gone.there().is_none() && !gone.is_public());
    assert_eq!(delete(&gone), Vec::new(), "gone already");
    let refused = change(&gone, Change::default(), around(&folders()));
    assert_eq!(refused, Err(Rejection::NotFound("routine")));
}

#[test]
fn a_copy_is_the_plan_alone() {
    let theirs = ExerciseId::Custom(uuid(5));
    let mut source = made().details;
    source.exercises.push(planned(&theirs.to_string(), vec![nothing()]));
    source.folder = FolderId::new(uuid(1)).ok();
    let from = CopiedFrom {
        owner: events::AthleteId::new(uuid(8)).unwrap(),
        routine: RoutineId::new(uuid(9)).unwrap(),
    };
    let own =
        |id: &ExerciseId| if *id == theirs { ExerciseId::Custom(uuid(6)) } else { id.clone() };
    let events = copy(from, &source, own, 0).unwrap();
    let copied = events.iter().fold(None, Routine::evolve).unwrap();
    assert_eq!(copied.copied_from, Some(Personal::Clear(from)));
    let details = copied.details;
    assert!(!details.public && details.schedule.is_empty() && details.folder.is_none());
    assert_eq!(details.name, source.name);
    let exercises: Vec<_> = details.exercises.iter().map(|p| p.exercise.clone()).collect();
    assert_eq!(exercises, ["squat-barbell".parse().unwrap(), ExerciseId::Custom(uuid(6))]);
    assert_eq!(conflict(copy(from, &source, own, MAX)), "TOO_MANY_ROUTINES");
}
