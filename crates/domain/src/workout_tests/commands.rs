//! Whatever commands come in whatever order, events say what the commands said, and rules hold.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use events::{
    CustomMetric, Event, ExerciseId, ExerciseNoted, Feeling, FormScore, Measurement, Metres,
    MetricKind, Personal, Reps, Rpe, Seconds, SetId, SetKind, SetNumber, SetValues, Side,
    SupersetId, Timestamp, Visibility, Weight, WeightUnit, WorkoutDetails,
};
use proptest::{option, prelude::*};
use rust_decimal::Decimal;

use super::{MEASURED, at, id, rating, unmeasured, values, wrong};
use crate::{
    Patch, Rejection,
    usual::Usual,
    workout::{
        Change, Correction, NewSet, Note, Start, Status, Workout, change, complete, correct_set,
        discard, log_set, note_exercise, remove_set, start,
    },
};

/// A command about a started workout.
#[derive(Debug, Clone)]
enum Command {
    Log(SetId, NewSet, Option<Measurement>),
    Correct(SetId, Correction, Option<Measurement>),
    Remove(SetId),
    Note(Note, Option<Measurement>),
    Change(Change),
    Complete(Option<Timestamp>, Option<Feeling>),
    Discard,
}

impl Command {
    fn decide(&self, workout: &Workout, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match self.clone() {
            Self::Log(id, set, measurement) => {
                log_set(workout, id, set, measurement, Usual::default(), now)
            }
            Self::Correct(id, what, measurement) => {
                correct_set(workout, id, what, measurement, Usual::default(), now)
            }
            Self::Remove(id) => remove_set(workout, id),
            Self::Note(note, measurement) => note_exercise(workout, note, measurement),
            Self::Change(what) => change(workout, what, now),
            Self::Complete(end, feeling) => complete(workout, end, feeling, now),
            Self::Discard => Ok(discard(workout)),
        }
    }
}

/// Mostly in the past, now and then too far ahead; and long ago, too.
fn time() -> impl Strategy<Value = Timestamp> {
    let long_ago = Just("1900-06-01T00:00:00Z".parse().unwrap());
    prop_oneof![40 => (-3000..250i64).prop_map(at), 1 => long_ago]
}

fn set_id() -> impl Strategy<Value = SetId> {
    (1..6u128).prop_map(id)
}

fn exercise() -> impl Strategy<Value = ExerciseId> {
    prop_oneof![Just("squat-barbell"), Just("plank"), Just("running")]
        .prop_map(|slug| slug.parse().unwrap())
}

fn measurement() -> impl Strategy<Value = Option<Measurement>> {
    let known = (0..MEASURED.len()).prop_map(|index| Some(MEASURED[index].0));
    prop_oneof![15 => known, 1 => Just(None)]
}

fn kind() -> impl Strategy<Value = SetKind> {
    use SetKind::{Drop, Failure, Normal, WarmUp};
    prop_oneof![Just(Normal), Just(WarmUp), Just(Drop), Just(Failure)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Both), Just(Side::Left), Just(Side::Right)]
}

fn metric() -> impl Strategy<Value = CustomMetric> {
    let kind = prop_oneof![Just(MetricKind::Floors), Just(MetricKind::Steps)];
    (kind, 0..3i64).prop_map(|(kind, value)| CustomMetric::new(kind, value.into()).unwrap())
}

fn weight() -> impl Strategy<Value = Weight> {
    let unit = prop_oneof![Just(WeightUnit::Kg), Just(WeightUnit::Lb)];
    // Up to 1000 of either, with three to six decimals.
    (0..1_000_001i64, 3..7u32, unit)
        .prop_map(|(value, scale, unit)| Weight::new(Decimal::new(value, scale), unit).unwrap())
}

fn seconds() -> impl Strategy<Value = Seconds> {
    (0..3i64).prop_map(|value| Seconds::new(value).unwrap())
}

fn metres() -> impl Strategy<Value = Metres> {
    (0..3i64).prop_map(|value| Metres::new(value.into()).unwrap())
}

fn count() -> impl Strategy<Value = Reps> {
    (0..3i64).prop_map(|value| Reps::new(value).unwrap())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just("one".to_owned()), Just("two".to_owned())]
}

fn new_set() -> impl Strategy<Value = NewSet> {
    let measured = (
        option::of(count()),
        option::of(weight()),
        option::of(metres()),
        option::of(seconds()),
        option::of((2..21u8).prop_map(|halves| Rpe::new(f64::from(halves) / 2.0).unwrap())),
    );
    let rest = (option::of(seconds()), option::of(text()), option::of(time()));
    let superset = option::of((0..3i64).prop_map(|value| SupersetId::new(value).unwrap()));
    let number = (1..101i64).prop_map(|value| SetNumber::new(value).unwrap());
    let with = (kind(), side(), option::of(metric()));
    (exercise(), number, with, measured, superset, rest).prop_map(
        |(exercise, number, with, measured, superset_id, rest)| {
            let (kind, side, custom_metric) = with;
            let (reps, weight, distance_metres, duration_seconds, rpe) = measured;
            let (rest_seconds, notes, performed_at) = rest;
            NewSet {
                exercise,
                number,
                kind,
                side,
                reps,
                weight,
                rpe,
                rest_seconds,
                duration_seconds,
                distance_metres,
                custom_metric,
                superset_id,
                notes,
                performed_at,
            }
        },
    )
}

fn patch<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Patch<T>> {
    (0..6u8, value).prop_map(|(choice, value)| match choice {
        0 => Patch::Clear,
        1 | 2 => Patch::Set(value),
        _ => Patch::Keep,
    })
}

fn correction() -> impl Strategy<Value = Correction> {
    let measured = (patch(count()), patch(weight()), patch(metres()), patch(seconds()));
    let with = (patch(kind()), patch(side()), patch(metric()));
    (patch(exercise()), with, measured, patch(text()), patch(time())).prop_map(
        |(
            exercise,
            (kind, side, custom_metric),
            (reps, weight, distance_metres, duration_seconds),
            notes,
            performed_at,
        )| {
            Correction {
                exercise,
                kind,
                side,
                reps,
                weight,
                distance_metres,
                duration_seconds,
                custom_metric,
                notes,
                performed_at,
                ..Correction::default()
            }
        },
    )
}

fn changes() -> impl Strategy<Value = Change> {
    use Visibility::{Followers, Private, Public};
    let visibility = prop_oneof![Just(Public), Just(Followers), Just(Private)];
    let feeling = (1..6i64).prop_map(rating);
    let times = (patch(time()), patch(time()));
    (times, patch(text()), patch(text()), patch(visibility), patch(feeling)).prop_map(
        |((started_at, completed_at), title, notes, visibility, feeling)| Change {
            started_at,
            completed_at,
            title,
            notes,
            visibility,
            feeling,
        },
    )
}

fn note() -> impl Strategy<Value = Note> {
    let score = (0..3i64).prop_map(|points| FormScore::new(points).unwrap());
    (exercise(), option::of(text()), option::of(score), option::of(text())).prop_map(
        |(exercise, notes, form_score, form_notes)| Note {
            exercise,
            notes,
            form_score,
            form_notes,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let logging = (set_id(), new_set(), measurement());
    let correcting = (set_id(), correction(), measurement());
    let completing = (option::of(time()), option::of((1..6i64).prop_map(rating)));
    prop_oneof![
        9 => logging.prop_map(|(id, set, measurement)| Command::Log(id, set, measurement)),
        6 => correcting.prop_map(|(id, what, measurement)| Command::Correct(id, what, measurement)),
        2 => set_id().prop_map(Command::Remove),
        3 => (note(), measurement()).prop_map(|(note, known)| Command::Note(note, known)),
        5 => changes().prop_map(Command::Change),
        2 => completing.prop_map(|(end, feeling)| Command::Complete(end, feeling)),
        1 => Just(Command::Discard),
    ]
}

fn patched<T: Clone>(patch: &Patch<T>, old: &Option<T>) -> Option<T> {
    match patch {
        Patch::Keep => old.clone(),
        Patch::Clear => None,
        Patch::Set(value) => Some(value.clone()),
    }
}

fn required<T: Clone>(patch: &Patch<T>, old: &T) -> T {
    patched(patch, &Some(old.clone())).unwrap_or_else(|| old.clone())
}

fn personal<T: Clone>(patch: &Patch<T>, old: &Option<Personal<T>>) -> Option<Personal<T>> {
    patched(&patch.clone().map(Personal::Clear), old)
}

/// What a set is after a correction.
fn corrected(what: &Correction, old: &SetValues) -> SetValues {
    SetValues {
        exercise: required(&what.exercise, &old.exercise),
        kind: required(&what.kind, &old.kind),
        side: required(&what.side, &old.side),
        reps: patched(&what.reps, &old.reps),
        weight: patched(&what.weight, &old.weight),
        distance_metres: patched(&what.distance_metres, &old.distance_metres),
        duration_seconds: patched(&what.duration_seconds, &old.duration_seconds),
        custom_metric: patched(&what.custom_metric, &old.custom_metric),
        notes: personal(&what.notes, &old.notes),
        performed_at: required(&what.performed_at, &old.performed_at),
        ..old.clone()
    }
}

/// Every field of a set that is wrong.
fn problems(
    set: &SetValues,
    measurement: Option<Measurement>,
    now: Timestamp,
) -> BTreeSet<&'static str> {
    let mut fields = BTreeSet::new();
    if ahead(set.performed_at, now) {
        fields.insert("performed_at");
    }
    match measurement {
        None => _ = fields.insert("exercise"),
        Some(kind) => {
            let distance = set.distance_metres.is_some();
            let (weight, duration) = (set.weight.is_some(), set.duration_seconds.is_some());
            fields.extend(unmeasured(kind, [set.reps.is_some(), weight, distance, duration]));
        }
    }
    fields
}

fn ahead(time: Timestamp, now: Timestamp) -> bool {
    time.utc() - now.utc() > TimeDelta::minutes(5)
}

/// The whole new truth, as an accepted command said it.
fn expected(command: &Command, before: &Workout, now: Timestamp) -> Workout {
    let mut after = before.clone();
    match command {
        Command::Log(id, set, _) => {
            let by_default = before.completed_at.map_or(now, |end| end.min(now));
            let performed_at = set.performed_at.unwrap_or(by_default);
            let values = values(set.clone(), performed_at);
            after.sets.push(crate::workout::Set { id: *id, values, unusual: false });
        }
        Command::Correct(id, what, _) => {
            let set = after.sets.iter_mut().find(|set| set.id == *id).unwrap();
            set.values = corrected(what, &set.values);
        }
        Command::Remove(id) => {
            after.sets.retain(|set| set.id != *id);
            after.removed.insert(*id);
        }
        Command::Note(note, _) => {
            let noted = ExerciseNoted {
                exercise: note.exercise.clone(),
                notes: note.notes.clone().map(Personal::Clear),
                form_score: note.form_score,
                form_notes: note.form_notes.clone().map(Personal::Clear),
            };
            // What never said anything need not be emptied.
            if !noted.is_empty() || before.noted.contains_key(&noted.exercise) {
                after.noted.insert(noted.exercise.clone(), noted);
            }
        }
        Command::Change(what) => {
            after.details = WorkoutDetails {
                started_at: required(&what.started_at, &before.details.started_at),
                title: personal(&what.title, &before.details.title),
                notes: personal(&what.notes, &before.details.notes),
                visibility: required(&what.visibility, &before.details.visibility),
            };
            if before.status == Status::Completed {
                after.completed_at = patched(&what.completed_at, &before.completed_at);
                after.feeling = personal(&what.feeling, &before.feeling);
                if what.completed_at == Patch::Keep {
                    let moved = after.details.started_at.utc() - before.details.started_at.utc();
                    after.completed_at = before.completed_at.and_then(|end| end.shifted(moved));
                    for set in &mut after.sets {
                        set.values.performed_at = set.values.performed_at.shifted(moved).unwrap();
                    }
                }
            }
        }
        Command::Complete(end, feeling) if before.status == Status::Active => {
            after.status = Status::Completed;
            after.completed_at = Some(end.unwrap_or(now.max(before.details.started_at)));
            after.feeling = feeling.clone().map(Personal::Clear);
            let is_news =
                after.completed_at.is_some_and(|end| end.utc() > now.utc() - TimeDelta::days(7));
            after.shared = is_news && before.details.visibility != Visibility::Private;
        }
        Command::Complete(..) => {}
        Command::Discard => after.status = Status::Discarded,
    }
    after
}

/// What holds of every workout at any time.
fn sound(workout: &Workout, now: Timestamp) -> Result<(), TestCaseError> {
    let ids: BTreeSet<SetId> = workout.sets.iter().map(|set| set.id).collect();
    prop_assert_eq!(ids.len(), workout.sets.len());
    prop_assert!(ids.is_disjoint(&workout.removed));
    prop_assert!(!ahead(workout.details.started_at, now));
    prop_assert!(workout.completed_at.is_none_or(|end| end >= workout.details.started_at));
    prop_assert!(workout.completed_at.is_none_or(|end| !ahead(end, now)));
    for set in &workout.sets {
        prop_assert!(!ahead(set.values.performed_at, now));
        // What is stored must be readable again.
        let text = set.values.performed_at.to_string();
        prop_assert_eq!(text.parse(), Ok(set.values.performed_at));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_say_what_commands_said(commands in prop::collection::vec(command(), 1..60)) {
        let mut events = start(Start::default(), at(0)).unwrap();
        let mut state = events.iter().fold(None, Workout::evolve).unwrap();
        let mut logged = BTreeSet::new();
        for (minute, command) in (0..).zip(&commands) {
            let now = at(minute);
            let Ok(new) = command.decide(&state, now) else { continue };
            prop_assert!(state.status != Status::Discarded || new.is_empty(), "after the end");
            let after = new.iter().fold(Some(state.clone()), Workout::evolve).unwrap();
            if new.is_empty() {
                prop_assert_eq!(&after, &state);
            }
            let mut expected = expected(command, &state, now);
            // What is unusual is told by tests of its own.
            for (set, said) in expected.sets.iter_mut().zip(&after.sets) {
                set.unusual = said.unusual;
            }
            prop_assert_eq!(&after, &expected, "{:?}", command);
            sound(&after, now)?;
            for event in &new {
                if let Event::SetLogged(set) = event {
                    prop_assert!(logged.insert(set.set_id), "{:?} twice", set.set_id);
                }
            }
            match command {
                Command::Log(..) => {}
                // Said again, it is so already.
                repeat => prop_assert_eq!(repeat.decide(&after, now), Ok(vec![])),
            }
            events.extend(new);
            state = after;
        }
        let folded = events.iter().fold(None, Workout::evolve);
        prop_assert_eq!(folded, Some(state));
    }

    #[test]
    fn all_problems_of_a_set_are_named_at_once(
        set in new_set(),
        what in correction(),
        old in measurement(),
        new in measurement(),
    ) {
        let now = at(0);
        let workout = start(Start::default(), now).unwrap().iter().fold(None, Workout::evolve);
        let workout = workout.unwrap();
        let said = values(set.clone(), set.performed_at.unwrap_or(now));
        let outcome = log_set(&workout, id(1), set, old, Usual::default(), now);
        let bad = problems(&said, old, now);
        if !bad.is_empty() {
            prop_assert_eq!(wrong(outcome), Vec::from_iter(bad));
            return Ok(());
        }
        let workout = outcome.unwrap().iter().fold(Some(workout), Workout::evolve).unwrap();
        let mut bad = problems(&corrected(&what, &said), new, now);
        bad.extend((what.exercise == Patch::Clear).then_some("exercise"));
        bad.extend((what.kind == Patch::Clear).then_some("kind"));
        bad.extend((what.side == Patch::Clear).then_some("side"));
        bad.extend((what.performed_at == Patch::Clear).then_some("performed_at"));
        let outcome = correct_set(&workout, id(1), what, new, Usual::default(), now);
        if bad.is_empty() {
            prop_assert!(outcome.is_ok());
        } else {
            let mut named = wrong(outcome);
            named.dedup();
            prop_assert_eq!(named, Vec::from_iter(bad));
        }
    }
}
