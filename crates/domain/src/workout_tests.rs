//! Given what happened, when a command comes, then these events or this rejection.

#[path = "workout_tests/commands.rs"]
mod commands;
#[path = "workout_tests/notes.rs"]
mod notes;

use std::borrow::Cow;

use chrono::TimeDelta;
use events::{
    Event, Feeling, ImportFormat, Measurement, Metres, Personal, PlannedExercise, Rating, Reps,
    RoutineId, Seconds, SetCorrected, SetId, SetKind, SetLogged, SetNumber, SetRemoved, SetValues,
    Side, Timestamp, Version, Visibility, Weight, WeightUnit, WorkoutCompleted, WorkoutDetails,
    WorkoutDetailsChanged, WorkoutDiscarded, WorkoutRoutine, WorkoutStarted,
};
use rust_decimal::{Decimal, dec};
use uuid::Uuid;

use super::{
    Change, Correction, Follows, MAX_SETS, NewSet, Start, Status, Workout, change, complete,
    confirm_set, correct_set, discard, log_set, remove_set, start,
};
use crate::{Patch, Rejection, usual::Usual};

/// So many minutes after the start of the workout of these tests.
fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
    start.shifted(TimeDelta::minutes(minutes)).unwrap()
}

/// When the commands of these tests are given.
fn now() -> Timestamp {
    at(100)
}

fn id(number: u128) -> SetId {
    SetId::new(Uuid::from_u128(7 << 76 | 2 << 62 | number)).unwrap()
}

fn kg(value: Decimal) -> Option<Weight> {
    Weight::new(value, WeightUnit::Kg).ok()
}

fn rating(stars: i64) -> Feeling {
    Feeling { rating: Rating::new(stars).ok(), ..Feeling::default() }
}

/// A set of repetitions that every kind of measurement with repetitions takes.
fn reps(count: i64) -> NewSet {
    NewSet {
        exercise: "bench-press-barbell".parse().unwrap(),
        number: SetNumber::new(1).unwrap(),
        kind: SetKind::Normal,
        side: Side::Both,
        reps: Reps::new(count).ok(),
        weight: None,
        rpe: None,
        rest_seconds: None,
        duration_seconds: None,
        distance_metres: None,
        custom_metric: None,
        superset_id: None,
        notes: None,
        performed_at: None,
    }
}

fn values(set: NewSet, performed_at: Timestamp) -> SetValues {
    SetValues {
        exercise: set.exercise,
        number: set.number,
        kind: set.kind,
        side: set.side,
        reps: set.reps,
        weight: set.weight,
        rpe: set.rpe,
        rest_seconds: set.rest_seconds,
        duration_seconds: set.duration_seconds,
        distance_metres: set.distance_metres,
        custom_metric: set.custom_metric,
        superset_id: set.superset_id,
        notes: set.notes.map(Personal::Clear),
        performed_at,
    }
}

fn details() -> WorkoutDetails {
    let title = Some(Personal::Clear("Push".to_owned()));
    WorkoutDetails { started_at: at(0), title, notes: None, visibility: Visibility::Followers }
}

fn started() -> Event {
    let (imported_from, routine, plan) = (None, None, Vec::new());
    WorkoutStarted { details: details(), imported_from, routine, plan }.into()
}

fn logged(number: u128, minutes: i64) -> Event {
    SetLogged { set_id: id(number), set: values(reps(8), at(minutes)), unusual: false }.into()
}

fn completed(minutes: i64) -> Event {
    WorkoutCompleted { completed_at: at(minutes), feeling: None, abandoned: false }.into()
}

fn given(events: &[Event]) -> Workout {
    events.iter().fold(None, Workout::evolve).expect("a workout")
}

/// A workout with two sets that goes on.
fn active() -> Workout {
    given(&[started(), logged(1, 10), logged(2, 20)])
}

/// The same after an hour.
fn over() -> Workout {
    given(&[started(), logged(1, 10), logged(2, 20), completed(60)])
}

fn discarded() -> Workout {
    given(&[started(), logged(1, 10), WorkoutDiscarded {}.into()])
}

fn bench(workout: &Workout, number: u128, set: NewSet) -> Result<Vec<Event>, Rejection> {
    log_set(workout, id(number), set, Some(Measurement::WeightReps), Usual::default(), now())
}

fn correct(workout: &Workout, number: u128, what: Correction) -> Result<Vec<Event>, Rejection> {
    correct_set(workout, id(number), what, Some(Measurement::WeightReps), Usual::default(), now())
}

fn code(outcome: Result<Vec<Event>, Rejection>) -> &'static str {
    match outcome {
        Err(Rejection::Conflict { code, .. }) => code,
        other => panic!("no conflict: {other:?}"),
    }
}

/// The fields that are wrong, in the order of the alphabet.
fn wrong(outcome: Result<Vec<Event>, Rejection>) -> Vec<Cow<'static, str>> {
    let Err(Rejection::Invalid(invalid)) = outcome else { panic!("valid: {outcome:?}") };
    let mut fields: Vec<_> = invalid.into_iter().map(|invalid| invalid.field).collect();
    fields.sort_unstable();
    fields
}

#[test]
fn a_workout_starts_now_or_when_it_is_said() {
    let details = WorkoutDetails {
        started_at: now(),
        title: None,
        notes: None,
        visibility: Visibility::Followers,
    };
    let (imported_from, routine, plan) = (None, None, Vec::new());
    let event = WorkoutStarted { details, imported_from, routine, plan }.into();
    assert_eq!(start(Start::default(), now()), Ok(vec![event]));

    let said = Start {
        started_at: Some(at(0)),
        title: Some("Push".to_owned()),
        notes: Some("early".to_owned()),
        visibility: Visibility::Private,
        imported_from: Some(ImportFormat::Hevy),
        follows: Follows::Nothing,
    };
    let workout = given(&start(said, now()).unwrap());
    assert_eq!((workout.status, workout.imported_from), (Status::Active, Some(ImportFormat::Hevy)));
    let notes = Some(Personal::Clear("early".to_owned()));
    let visibility = Visibility::Private;
    assert_eq!(workout.details, WorkoutDetails { notes, visibility, ..self::details() });
    assert_eq!((workout.completed_at, workout.sets), (None, vec![]));
}

#[test]
fn a_workout_keeps_what_was_planned_and_is_called_so() {
    let routine = WorkoutRoutine {
        id: RoutineId::new(Uuid::from_u128(7 << 76)).unwrap(),
        version: Version(3),
    };
    let planned = PlannedExercise {
        exercise: "squat-barbell".parse().unwrap(),
        sets: Vec::new(),
        rest_seconds: Seconds::new(90).unwrap(),
        superset_id: None,
        notes: None,
    };
    let starting = |title: Option<&str>| {
        let name = Some("Legs".to_owned());
        let follows = Follows::Routine { routine, name, plan: vec![planned.clone()] };
        let title = title.map(str::to_owned);
        given(&start(Start { title, follows, ..Start::default() }, now()).unwrap())
    };
    let workout = starting(None);
    assert_eq!((workout.routine, workout.plan), (Some(routine), vec![planned.clone()]));
    assert_eq!(workout.details.title, Some(Personal::Clear("Legs".to_owned())));
    let title = starting(Some("Today")).details.title;
    assert_eq!(title, Some(Personal::Clear("Today".to_owned())));

    let started_at = Some(at(200));
    let unknown = Start { started_at, follows: Follows::Unknown, ..Start::default() };
    assert_eq!(wrong(start(unknown, now())), ["routine", "started_at"]);
}

#[test]
fn a_start_may_be_five_minutes_ahead_and_no_more() {
    let starting = |at| start(Start { started_at: Some(at), ..Start::default() }, now());
    assert!(starting(at(105)).is_ok());
    assert_eq!(wrong(starting(at(106))), ["started_at"]);
}

#[test]
fn a_stream_begins_with_its_start() {
    assert_eq!(Workout::evolve(None, &logged(1, 0)), None);
    let again = Workout::evolve(Some(active()), &started());
    assert_eq!(again, Some(active()), "a second start changes nothing");
}

/// What a set may have (`+`), must have (`!`), or must not (`-`), in the order reps, weight,
/// distance, duration; `?` is one of the two.
const MEASURED: [(Measurement, &str); 8] = [
    (Measurement::WeightReps, "!+-+"),
    (Measurement::RepsOnly, "!--+"),
    (Measurement::WeightedBodyweight, "!+-+"),
    (Measurement::AssistedBodyweight, "!+-+"),
    (Measurement::Duration, "---!"),
    (Measurement::WeightDuration, "-+-!"),
    (Measurement::DistanceDuration, "--??"),
    (Measurement::WeightDistance, "-+??"),
];

/// The fields that a set of a kind of measurement must not lack or must not have.
fn unmeasured(kind: Measurement, given: [bool; 4]) -> Vec<&'static str> {
    const FIELDS: [&str; 4] = ["reps", "weight", "distance_metres", "duration_seconds"];
    let rules = MEASURED.iter().find(|(known, _)| *known == kind).unwrap().1;
    let [.., distance, duration] = given;
    let mut fields: Vec<_> = FIELDS
        .into_iter()
        .zip(rules.chars().zip(given))
        .filter(|(field, (rule, given))| match rule {
            '!' => !given,
            '-' => *given,
            '?' => !distance && !duration && *field == "distance_metres",
            _ => false,
        })
        .map(|(field, _)| field)
        .collect();
    fields.sort_unstable();
    fields
}

#[test]
fn a_set_has_what_its_exercise_is_measured_by() {
    for (kind, _) in MEASURED {
        for bits in 0..16 {
            let given = [bits & 1 > 0, bits & 2 > 0, bits & 4 > 0, bits & 8 > 0];
            let set = NewSet {
                reps: Reps::new(8).ok().filter(|_| given[0]),
                weight: kg(dec!(60)).filter(|_| given[1]),
                distance_metres: Metres::new(dec!(400)).ok().filter(|_| given[2]),
                duration_seconds: Seconds::new(90).ok().filter(|_| given[3]),
                ..reps(1)
            };
            let outcome =
                log_set(&active(), id(3), set.clone(), Some(kind), Usual::default(), now());
            let unmeasured = unmeasured(kind, given);
            if unmeasured.is_empty() {
                let event =
                    SetLogged { set_id: id(3), set: values(set, now()), unusual: false }.into();
                assert_eq!(outcome, Ok(vec![event]), "{kind:?} {given:?}");
            } else {
                assert_eq!(wrong(outcome), unmeasured, "{kind:?} {given:?}");
            }
        }
    }
}

#[test]
fn every_problem_of_a_set_is_named_at_once() {
    let bad = NewSet {
        reps: Reps::new(8).ok(),
        weight: kg(dec!(60)),
        distance_metres: Metres::new(dec!(400)).ok(),
        performed_at: Some(at(106)),
        ..reps(1)
    };
    let outcome = log_set(
        &active(),
        id(3),
        bad.clone(),
        Some(Measurement::Duration),
        Usual::default(),
        now(),
    );
    let all = ["distance_metres", "duration_seconds", "performed_at", "reps", "weight"];
    assert_eq!(wrong(outcome), all);
    let unknown = log_set(&active(), id(3), bad, None, Usual::default(), now());
    assert_eq!(wrong(unknown), ["exercise", "performed_at"]);
}

#[test]
fn a_set_is_of_now_and_in_a_completed_workout_of_its_end() {
    fn when(workout: &Workout, now: Timestamp) -> Timestamp {
        let events =
            log_set(workout, id(3), reps(8), Some(Measurement::RepsOnly), Usual::default(), now)
                .unwrap();
        let [Event::SetLogged(logged)] = &events[..] else { panic!("{events:?}") };
        logged.set.performed_at
    }
    assert_eq!(when(&active(), now()), now());
    assert_eq!(when(&over(), now()), at(60));
    assert_eq!(when(&over(), at(58)), at(58), "by a clock that is behind");
    let said = NewSet { performed_at: Some(at(105)), ..reps(8) };
    assert!(bench(&over(), 3, said).is_ok());
}

#[test]
fn a_set_id_serves_once() {
    assert_eq!(code(bench(&active(), 2, reps(8))), "ID_TAKEN");
    let removed = given(&[started(), logged(1, 10), SetRemoved { set_id: id(1) }.into()]);
    assert_eq!(code(bench(&removed, 1, reps(8))), "ID_TAKEN");
}

#[test]
fn a_workout_has_at_most_500_sets() {
    let sets = (1..MAX_SETS as u128).map(|number| logged(number, 1));
    let mut events: Vec<Event> = [started()].into_iter().chain(sets).collect();
    events.extend(bench(&given(&events), 900, reps(8)).unwrap());
    assert_eq!(code(bench(&given(&events), 901, reps(8))), "TOO_MANY_SETS");
    events.extend(remove_set(&given(&events), id(7)).unwrap());
    assert!(bench(&given(&events), 901, reps(8)).is_ok());
}

#[test]
fn a_set_is_corrected_field_by_field() {
    let weight = Correction { weight: Patch::Set(kg(dec!(62.5)).unwrap()), ..Default::default() };
    let set = values(NewSet { weight: kg(dec!(62.5)), ..reps(8) }, at(20));
    let event: Event = SetCorrected { set_id: id(2), set, unusual: false }.into();
    assert_eq!(correct(&active(), 2, weight.clone()), Ok(vec![event.clone()]));

    let heavier = given(&[started(), logged(1, 10), logged(2, 20), event]);
    assert_eq!(correct(&heavier, 2, weight), Ok(vec![]), "it is so already");
    let without = Correction { weight: Patch::Clear, ..Default::default() };
    let back = SetCorrected { set_id: id(2), set: values(reps(8), at(20)), unusual: false }.into();
    assert_eq!(correct(&heavier, 2, without), Ok(vec![back]));
    assert_eq!(correct(&active(), 2, Correction::default()), Ok(vec![]));
    assert!(
        correct(&over(), 1, Correction { notes: Patch::Set("x".into()), ..Default::default() })
            .is_ok()
    );
}

#[test]
fn a_correction_is_held_to_what_a_set_is() {
    let nothing = Correction {
        exercise: Patch::Clear,
        number: Patch::Clear,
        kind: Patch::Clear,
        reps: Patch::Clear,
        performed_at: Patch::Clear,
        ..Default::default()
    };
    let all = ["exercise", "kind", "number", "performed_at", "reps"];
    assert_eq!(wrong(correct(&active(), 1, nothing)), all);
    let ahead = Correction { performed_at: Patch::Set(at(106)), ..Default::default() };
    assert_eq!(wrong(correct(&active(), 1, ahead)), ["performed_at"]);
    // Another exercise has another measure.
    let plank = Correction { exercise: Patch::Set("plank".parse().unwrap()), ..Default::default() };
    let outcome = correct_set(
        &active(),
        id(1),
        plank.clone(),
        Some(Measurement::Duration),
        Usual::default(),
        now(),
    );
    assert_eq!(wrong(outcome), ["duration_seconds", "reps"]);
    let timed = Correction {
        reps: Patch::Clear,
        duration_seconds: Patch::Set(Seconds::new(60).unwrap()),
        ..plank.clone()
    };
    assert!(
        correct_set(&active(), id(1), timed, Some(Measurement::Duration), Usual::default(), now())
            .is_ok()
    );
    assert_eq!(
        wrong(correct_set(&active(), id(1), plank, None, Usual::default(), now())),
        ["exercise"]
    );
    let unknown = correct(&active(), 3, Correction::default());
    assert_eq!(unknown, Err(Rejection::NotFound("set")));
}

#[test]
fn a_set_is_removed_once() {
    let event: Event = SetRemoved { set_id: id(1) }.into();
    assert_eq!(remove_set(&active(), id(1)), Ok(vec![event.clone()]));
    assert_eq!(remove_set(&over(), id(1)), Ok(vec![event.clone()]));
    let removed = given(&[started(), logged(1, 10), logged(2, 20), event]);
    assert_eq!(removed.sets.iter().map(|set| set.id).collect::<Vec<_>>(), [id(2)]);
    assert_eq!(remove_set(&removed, id(1)), Ok(vec![]));
    assert_eq!(correct(&removed, 1, Correction::default()), Err(Rejection::NotFound("set")));
    assert_eq!(remove_set(&active(), id(3)), Err(Rejection::NotFound("set")));
}

#[test]
fn what_is_said_of_a_workout_changes_as_a_whole() {
    let said = Change {
        title: Patch::Clear,
        notes: Patch::Set("hot".to_owned()),
        visibility: Patch::Set(Visibility::Public),
        ..Default::default()
    };
    let details = WorkoutDetails {
        started_at: at(0),
        title: None,
        notes: Some(Personal::Clear("hot".to_owned())),
        visibility: Visibility::Public,
    };
    let event: Event = WorkoutDetailsChanged { details, completed_at: None, feeling: None }.into();
    assert_eq!(change(&active(), said.clone(), now()), Ok(vec![event.clone()]));
    let changed = given(&[started(), logged(1, 10), event]);
    assert_eq!(change(&changed, said, now()), Ok(vec![]), "it says so already");
    assert_eq!(change(&active(), Change::default(), now()), Ok(vec![]));
}

#[test]
fn an_end_and_a_feeling_belong_to_a_completed_workout() {
    let end = Change {
        completed_at: Patch::Set(at(50)),
        feeling: Patch::Set(rating(4)),
        ..Default::default()
    };
    assert_eq!(wrong(change(&active(), end.clone(), now())), ["completed_at", "feeling"]);
    let event = WorkoutDetailsChanged {
        details: details(),
        completed_at: Some(at(50)),
        feeling: Some(Personal::Clear(rating(4))),
    };
    assert_eq!(change(&over(), end, now()), Ok(vec![event.into()]));
    let bad = Change {
        started_at: Patch::Clear,
        completed_at: Patch::Clear,
        visibility: Patch::Clear,
        ..Default::default()
    };
    assert_eq!(wrong(change(&over(), bad, now())), ["completed_at", "started_at", "visibility"]);
    let times = |start, end| Change {
        started_at: Patch::Set(start),
        completed_at: Patch::Set(end),
        ..Default::default()
    };
    assert_eq!(wrong(change(&over(), times(at(30), at(29)), now())), ["completed_at"]);
    let ahead = wrong(change(&over(), times(at(106), at(107)), now()));
    assert_eq!(ahead, ["completed_at", "started_at"]);
}

#[test]
fn a_completed_workout_with_a_new_start_alone_is_re_dated() {
    let to = |start| Change { started_at: Patch::Set(start), ..Default::default() };
    let moved = |number, minutes| -> Event {
        SetCorrected { set_id: id(number), set: values(reps(8), at(minutes)), unusual: false }
            .into()
    };
    let changed = |start, end: Option<i64>| -> Event {
        let details = WorkoutDetails { started_at: at(start), ..details() };
        WorkoutDetailsChanged { details, completed_at: end.map(at), feeling: None }.into()
    };
    let day_before = change(&over(), to(at(-1440)), now()).unwrap();
    let all = [changed(-1440, Some(-1380)), moved(1, -1430), moved(2, -1420)];
    assert_eq!(day_before, all);
    let after = day_before.iter().fold(Some(over()), Workout::evolve).unwrap();
    assert_eq!(change(&after, to(at(-1440)), now()), Ok(vec![]), "it is there already");

    let both = Change { completed_at: Patch::Set(at(60)), ..to(at(5)) };
    assert_eq!(change(&over(), both, now()), Ok(vec![changed(5, Some(60))]), "both times");
    assert_eq!(change(&active(), to(at(5)), now()), Ok(vec![changed(5, None)]), "still active");
    assert_eq!(wrong(change(&over(), to(at(50)), now())), ["completed_at"], "an end to come");
}

#[test]
fn re_dating_takes_no_set_out_of_time() {
    let to = |start| Change { started_at: Patch::Set(start), ..Default::default() };
    // A set logged after the end would be performed in the future.
    let late = given(&[started(), logged(1, 90), completed(60)]);
    assert!(change(&late, to(at(10)), now()).is_ok());
    assert_eq!(wrong(change(&late, to(at(20)), now())), ["started_at"]);
    // And one of long ago before the times that an event can hold.
    let long_ago = "1901-01-01T00:00:00Z".parse().unwrap();
    let set = SetLogged { set_id: id(1), set: values(reps(8), long_ago), unusual: false }.into();
    let early = given(&[started(), set, completed(60)]);
    assert_eq!(
        wrong(change(&early, to("2020-01-01T00:00:00Z".parse().unwrap()), now())),
        ["started_at"]
    );
}

#[test]
fn a_workout_is_completed_once() {
    let ended = |minutes, feeling: Option<Feeling>| -> Event {
        let feeling = feeling.map(Personal::Clear);
        WorkoutCompleted { completed_at: at(minutes), feeling, abandoned: false }.into()
    };
    let good = Some(rating(5));
    assert_eq!(complete(&active(), None, None, now()), Ok(vec![ended(100, None)]));
    let event = ended(60, good.clone());
    assert_eq!(complete(&active(), Some(at(60)), good.clone(), now()), Ok(vec![event.clone()]));
    let over = given(&[started(), logged(1, 10), event]);
    for (end, feeling) in
        [(None, None), (Some(at(60)), None), (None, good.clone()), (Some(at(60)), good)]
    {
        assert_eq!(complete(&over, end, feeling, now()), Ok(vec![]), "it is so already");
    }
    assert_eq!(code(complete(&over, Some(at(61)), None, now())), "WORKOUT_COMPLETED");
    assert_eq!(code(complete(&over, None, Some(rating(1)), now())), "WORKOUT_COMPLETED");
    assert_eq!(code(complete(&given(&[started()]), None, None, now())), "WORKOUT_EMPTY");
    assert_eq!(wrong(complete(&active(), Some(at(-1)), None, now())), ["completed_at"]);
    assert_eq!(wrong(complete(&active(), Some(at(106)), None, now())), ["completed_at"]);
    // Started by a clock that is ahead of ours.
    assert_eq!(complete(&active(), None, None, at(-3)), Ok(vec![ended(0, None)]));
}

#[test]
fn a_discarded_workout_takes_nothing_more() {
    for workout in [active(), over(), given(&[started()])] {
        assert_eq!(discard(&workout), vec![WorkoutDiscarded {}.into()]);
    }
    assert_eq!(discard(&discarded()), vec![]);
    let outcomes = [
        bench(&discarded(), 3, reps(8)),
        correct(&discarded(), 1, Correction::default()),
        remove_set(&discarded(), id(1)),
        change(&discarded(), Change::default(), now()),
        complete(&discarded(), None, None, now()),
    ];
    for outcome in outcomes {
        assert_eq!(code(outcome), "WORKOUT_DISCARDED");
    }
}

#[test]
fn what_is_unusual_is_taken_asked_about_and_confirmed() {
    let weighed =
        |kg: i64| NewSet { weight: Weight::new(Decimal::from(kg), WeightUnit::Kg).ok(), ..reps(5) };
    let kind = Some(Measurement::WeightReps);
    let log = |workout: &Workout, number, kg| {
        log_set(workout, id(number), weighed(kg), kind, Usual::default(), now()).unwrap()
    };
    let mut workout = given(&[started()]);
    for (number, kg, unusual) in [(1, 100, false), (2, 1000, true), (3, 1000, true)] {
        for event in log(&workout, number, kg) {
            workout = Workout::evolve(Some(workout), &event).unwrap();
        }
        // What is unusual itself makes nothing usual.
        assert_eq!(workout.set(id(number)).unwrap().unusual, unusual, "{number}");
    }
    let events = confirm_set(&workout, id(3)).unwrap();
    let confirmed = events.iter().fold(Some(workout.clone()), Workout::evolve).unwrap();
    assert!(!confirmed.set(id(3)).unwrap().unusual);
    assert_eq!(confirm_set(&confirmed, id(3)), Ok(Vec::new()), "once is enough");
    assert_eq!(confirm_set(&workout, id(1)), Ok(Vec::new()), "nobody asked");
    assert_eq!(confirm_set(&workout, id(9)), Err(Rejection::NotFound("set")));

    let correct = |workout: &Workout, number, what| {
        let events = correct_set(workout, id(number), what, kind, Usual::default(), now()).unwrap();
        let after = events.iter().fold(Some(workout.clone()), Workout::evolve).unwrap();
        after.set(id(number)).unwrap().unusual
    };
    let noted = Correction { notes: Patch::Set("heavy".to_owned()), ..Correction::default() };
    assert!(correct(&workout, 2, noted.clone()), "still asked about");
    assert!(!correct(&confirmed, 3, noted), "still confirmed");
    let weight = Patch::Set(Weight::new(Decimal::from(99), WeightUnit::Kg).unwrap());
    assert!(!correct(&workout, 2, Correction { weight, ..Correction::default() }));
}
