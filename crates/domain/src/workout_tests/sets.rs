//! Logging, correcting, confirming and removing sets.

use super::*;

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
