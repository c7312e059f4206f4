//! Given what happened, when a command comes, then these events or this rejection.

#[path = "workout_tests/commands.rs"]
mod commands;
#[path = "workout_tests/notes.rs"]
mod notes;
#[path = "workout_tests/sets.rs"]
mod sets;

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
    Change, Correction, Follows, MAX_SETS, NewSet, Start, Status, Workout, change, close_abandoned,
    complete, confirm_set, correct_set, discard, log_set, remove_set, share, start, unshare,
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
    WorkoutCompleted { completed_at: at(minutes), feeling: None, abandoned: false, shared: false }
        .into()
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
        WorkoutCompleted { completed_at: at(minutes), feeling, abandoned: false, shared: true }
            .into()
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
fn a_workout_is_news_unless_it_is_private_imported_or_long_over() {
    let is_shared = |visibility, imported_from, days| {
        let start = Start { visibility, imported_from, ..Start::default() };
        let started = super::start(start, at(0)).unwrap();
        let workout = given(&[started, vec![logged(1, 10)]].concat());
        let now = at(60).shifted(TimeDelta::days(days)).unwrap();
        let events = complete(&workout, Some(at(60)), None, now).unwrap();
        let [Event::WorkoutCompleted(completed)] = &events[..] else { panic!("{events:?}") };
        completed.shared
    };
    assert!(is_shared(Visibility::Public, None, 0) && is_shared(Visibility::Followers, None, 6));
    assert!(!is_shared(Visibility::Private, None, 0));
    assert!(!is_shared(Visibility::Public, Some(ImportFormat::Hevy), 0));
    assert!(!is_shared(Visibility::Public, None, 7));
}

#[test]
fn a_completed_workout_is_shared_with_words_or_not() {
    let said = |text: &str| Some(text.to_owned());
    let after = |workout: &Workout, events: Vec<Event>| {
        events.iter().fold(Some(workout.clone()), Workout::evolve).unwrap()
    };
    assert_eq!(code(share(&active(), None)), "WORKOUT_ACTIVE");
    assert_eq!(code(share(&discarded(), None)), "WORKOUT_DISCARDED");
    let private = Patch::Set(Visibility::Private);
    let change = Change { visibility: private, ..Change::default() };
    let private = after(&over(), super::change(&over(), change, now()).unwrap());
    assert_eq!(code(share(&private, None)), "WORKOUT_PRIVATE");

    let shared = after(&over(), share(&over(), said("Look")).unwrap());
    assert!(shared.shared && share(&shared, said("Look")) == Ok(vec![]), "it is so already");
    assert_eq!(share(&shared, None).unwrap().len(), 1, "other words");
    let withheld = after(&shared, unshare(&shared, true));
    assert!(withheld.shared && withheld.records_withheld);
    assert_eq!(unshare(&withheld, true), vec![]);
    let recaptioned = after(&withheld, share(&withheld, None).unwrap());
    assert!(recaptioned.records_withheld, "other words do not bring them back");
    let unshared = after(&withheld, unshare(&withheld, false));
    assert!(!unshared.shared && unshared.caption.is_none());
    let again = after(&unshared, share(&unshared, None).unwrap());
    assert!(again.shared && !again.records_withheld, "anew, with its records");
    assert_eq!((unshare(&unshared, false), unshare(&unshared, true)), (vec![], vec![]));
    assert_eq!(unshare(&discarded(), false), vec![]);
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
fn one_that_was_left_open_ends_with_its_last_set_or_never_was() {
    assert_eq!(close_abandoned(&given(&[started()])), [WorkoutDiscarded {}.into()]);
    let of_sets = |minutes: &[i64]| {
        let logged = minutes.iter().zip(1..).map(|(at, number)| logged(number, *at));
        given(&[vec![started()], logged.collect()].concat())
    };
    let closed = |minutes| WorkoutCompleted {
        completed_at: at(minutes),
        feeling: None,
        abandoned: true,
        shared: false,
    };
    assert_eq!(close_abandoned(&of_sets(&[5, 40, 20])), [closed(40).into()]);
    // Never before it began.
    assert_eq!(close_abandoned(&of_sets(&[-60])), [closed(0).into()]);
    for closed in [over(), discarded()] {
        assert_eq!(close_abandoned(&closed), []);
    }
    let closed = given(&[started(), logged(1, 5), closed(5).into()]);
    assert!(closed.abandoned && closed.status == Status::Completed);
}
