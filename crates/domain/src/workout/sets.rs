//! The sets of a workout: decisions on logging, correcting, confirming and removing one.

use events::{
    CustomMetric, Event, ExerciseId, Measurement, Metres, Personal, Reps, Rpe, Seconds,
    SetConfirmed, SetCorrected, SetId, SetKind, SetLogged, SetNumber, SetRemoved, SetValues, Side,
    SupersetId, Timestamp, Weight,
};

use super::{FUTURE, MAX_SETS, Workout, future};
use crate::{Patch, Rejection, rejection::Problems, usual::Usual};

/// What a set was, as a command says it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the events")]
pub struct NewSet {
    pub exercise: ExerciseId,
    pub number: SetNumber,
    pub kind: SetKind,
    pub side: Side,
    pub reps: Option<Reps>,
    pub weight: Option<Weight>,
    pub rpe: Option<Rpe>,
    pub rest_seconds: Option<Seconds>,
    pub duration_seconds: Option<Seconds>,
    pub distance_metres: Option<Metres>,
    pub custom_metric: Option<CustomMetric>,
    pub superset_id: Option<SupersetId>,
    pub notes: Option<String>,
    /// By default now, or in a completed workout its end.
    pub performed_at: Option<Timestamp>,
}

/// Decides on logging a set. `measurement` is that of the set's exercise, `None` when there is no
/// such exercise for this athlete; `usual` is what is known of them in other workouts.
pub fn log_set(
    workout: &Workout,
    id: SetId,
    set: NewSet,
    measurement: Option<Measurement>,
    usual: Usual,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    workout.still_open()?;
    if workout.set(id).is_some() || workout.removed.contains(&id) {
        let message = "the id belongs to another set of this workout";
        return Err(Rejection::Conflict { code: "ID_TAKEN", message });
    }
    if workout.sets.len() >= MAX_SETS {
        let message = "a workout has at most 500 sets";
        return Err(Rejection::Conflict { code: "TOO_MANY_SETS", message });
    }
    let by_default = workout.completed_at.map_or(now, |end| end.min(now));
    let values = SetValues {
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
        performed_at: set.performed_at.unwrap_or(by_default),
    };
    let mut problems = Problems::default();
    check(&values, measurement, now, &mut problems);
    problems.into_result()?;
    let unusual = workout.is_unusual(id, &values, measurement, usual);
    Ok(vec![SetLogged { set_id: id, set: values, unusual }.into()])
}

/// What to change of a set.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the events")]
pub struct Correction {
    pub exercise: Patch<ExerciseId>,
    pub number: Patch<SetNumber>,
    pub kind: Patch<SetKind>,
    pub side: Patch<Side>,
    pub reps: Patch<Reps>,
    pub weight: Patch<Weight>,
    pub rpe: Patch<Rpe>,
    pub rest_seconds: Patch<Seconds>,
    pub duration_seconds: Patch<Seconds>,
    pub distance_metres: Patch<Metres>,
    pub custom_metric: Patch<CustomMetric>,
    pub superset_id: Patch<SupersetId>,
    pub notes: Patch<String>,
    pub performed_at: Patch<Timestamp>,
}

/// Decides on correcting a set; no events when it is so already. `measurement` is that of the
/// exercise which the set has then; `usual` is what is known of the athlete but for this set.
pub fn correct_set(
    workout: &Workout,
    id: SetId,
    correction: Correction,
    measurement: Option<Measurement>,
    usual: Usual,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    workout.still_open()?;
    let set = workout.set(id).ok_or(Rejection::NotFound("set"))?;
    let mut values = set.values.clone();
    let mut problems = Problems::default();
    correction.exercise.apply_required(&mut values.exercise, "exercise", &mut problems);
    correction.number.apply_required(&mut values.number, "number", &mut problems);
    correction.kind.apply_required(&mut values.kind, "kind", &mut problems);
    correction.side.apply_required(&mut values.side, "side", &mut problems);
    correction.reps.apply(&mut values.reps);
    correction.weight.apply(&mut values.weight);
    correction.rpe.apply(&mut values.rpe);
    correction.rest_seconds.apply(&mut values.rest_seconds);
    correction.duration_seconds.apply(&mut values.duration_seconds);
    correction.distance_metres.apply(&mut values.distance_metres);
    correction.custom_metric.apply(&mut values.custom_metric);
    correction.superset_id.apply(&mut values.superset_id);
    correction.notes.map(Personal::Clear).apply(&mut values.notes);
    correction.performed_at.apply_required(&mut values.performed_at, "performed_at", &mut problems);
    check(&values, measurement, now, &mut problems);
    problems.into_result()?;
    if values == set.values {
        return Ok(Vec::new());
    }
    // What is said of other things than the effort leaves it as usual, or as confirmed, as it was.
    let effort = |set: &SetValues| {
        let (reps, weight, exercise) = (set.reps, set.weight, set.exercise.clone());
        (exercise, set.kind, reps, weight, set.duration_seconds, set.distance_metres)
    };
    let unusual = if effort(&values) == effort(&set.values) {
        set.unusual
    } else {
        workout.is_unusual(id, &values, measurement, usual)
    };
    Ok(vec![SetCorrected { set_id: id, set: values, unusual }.into()])
}

/// Decides on confirming a set that was found unusual; no events when nobody asks.
pub fn confirm_set(workout: &Workout, id: SetId) -> Result<Vec<Event>, Rejection> {
    workout.still_open()?;
    let set = workout.set(id).ok_or(Rejection::NotFound("set"))?;
    if !set.unusual {
        return Ok(Vec::new());
    }
    Ok(vec![SetConfirmed { set_id: id }.into()])
}

/// Decides on removing a set; no events when it was removed already.
pub fn remove_set(workout: &Workout, id: SetId) -> Result<Vec<Event>, Rejection> {
    workout.still_open()?;
    if workout.removed.contains(&id) {
        return Ok(Vec::new());
    }
    workout.set(id).ok_or(Rejection::NotFound("set"))?;
    Ok(vec![SetRemoved { set_id: id }.into()])
}

impl Workout {
    /// Whether a set is far beyond what is known of the athlete, the other sets of this workout
    /// included.
    fn is_unusual(
        &self,
        id: SetId,
        values: &SetValues,
        measurement: Option<Measurement>,
        mut usual: Usual,
    ) -> bool {
        let Some(measurement) = measurement else { return false };
        let others = self.sets.iter().filter(|set| set.id != id && !set.unusual);
        // The sets before are mostly like this one: few of a long workout need to be looked at.
        for other in others.rev().filter(|set| set.values.exercise == values.exercise) {
            if usual.covers(values, measurement) {
                return false;
            }
            usual.take(&other.values, measurement);
        }
        usual.is_exceeded(values, measurement)
    }
}

/// What must hold of a set whoever logged it.
fn check(
    set: &SetValues,
    measurement: Option<Measurement>,
    now: Timestamp,
    problems: &mut Problems,
) {
    problems.add_if(future(set.performed_at, now), "performed_at", FUTURE);
    let Some(measurement) = measurement else {
        problems.add("exercise", "must be an exercise of the library or one of your own");
        return;
    };
    problems.add_if(
        set.weight.is_some() && !measurement.has_weight(),
        "weight",
        "must be absent: the exercise is not measured by weight",
    );
    problems.add_if(
        set.distance_metres.is_some() && !measurement.has_distance(),
        "distance_metres",
        "must be absent: the exercise is not measured by distance",
    );
    if measurement.has_reps() {
        problems.add_if(set.reps.is_none(), "reps", "must be given for this exercise");
    } else {
        problems.add_if(
            set.reps.is_some(),
            "reps",
            "must be absent: the exercise is not measured by repetitions",
        );
        let (field, missing) = if measurement.has_distance() {
            ("distance_metres", set.distance_metres.is_none() && set.duration_seconds.is_none())
        } else {
            ("duration_seconds", set.duration_seconds.is_none())
        };
        problems.add_if(missing, field, "must be given for this exercise");
    }
}
