//! What an athlete weighed: the state and decisions of `body-…` streams, and which weighing counts
//! on a day.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use events::{
    BodyweightCorrected, BodyweightId, BodyweightMeasured, BodyweightRemoved, Event, Personal,
    TimeZone, Timestamp, Weighing, Weight,
};
use rust_decimal::{Decimal, dec};

use crate::{Patch, Rejection, days, rejection::Problems};

/// Most weighings of an athlete: one a day for a long life.
const MAX: usize = 30_000;

/// How far a device's clock may be ahead of ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What an athlete weighed.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// In the order in which they were noted.
    weighings: Vec<(BodyweightId, Weighing)>,
    removed: BTreeSet<BodyweightId>,
}

impl Body {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::BodyweightMeasured(measured) => {
                self.weighings.push((measured.bodyweight_id, measured.weighing.clone()));
            }
            Event::BodyweightCorrected(corrected) => {
                let id = corrected.bodyweight_id;
                if let Some((_, weighing)) = self.weighings.iter_mut().find(|(of, _)| *of == id) {
                    *weighing = corrected.weighing.clone();
                }
            }
            Event::BodyweightRemoved(removed) => {
                self.weighings.retain(|(id, _)| *id != removed.bodyweight_id);
                self.removed.insert(removed.bodyweight_id);
            }
            _ => {}
        }
    }

    /// A weighing, unless it was removed.
    pub fn get(&self, id: BodyweightId) -> Option<&Weighing> {
        self.weighings.iter().find(|(of, _)| *of == id).map(|(_, weighing)| weighing)
    }

    /// All of them, in the order in which they were noted.
    pub fn all(&self) -> impl Iterator<Item = (BodyweightId, &Weighing)> {
        self.weighings.iter().map(|(id, weighing)| (*id, weighing))
    }

    /// What counts on which day; what was erased counts nowhere.
    pub fn bodyweights(&self) -> Bodyweights {
        let known = self.weighings.iter().filter_map(|(_, weighing)| {
            Some((weighing.measured_at, weighing.weight.clear()?.kg()))
        });
        Bodyweights::new(known)
    }
}

/// Which bodyweight counts on which day.
#[derive(Debug, Clone, Default)]
pub struct Bodyweights(Vec<(Timestamp, Decimal)>);

impl Bodyweights {
    /// Of weighings in the order in which they were noted, each with what the scales said in kg.
    pub fn new(weighings: impl IntoIterator<Item = (Timestamp, Decimal)>) -> Self {
        let mut all: Vec<_> = weighings.into_iter().collect();
        // Of two of the same instant, the one that was noted later comes later.
        all.sort_by_key(|(at, _)| *at);
        Self(all)
    }

    /// The bodyweight, in kg, that counts for what is done at an instant: of the last weighing up to
    /// the end of that local day. There is none for what was done before the first.
    pub fn on(&self, at: Timestamp, zone: TimeZone) -> Option<Decimal> {
        if self.0.is_empty() {
            return None;
        }
        let end = days::ends(at, zone);
        let later = self.0.partition_point(|(measured_at, _)| measured_at.utc() < end);
        later.checked_sub(1).map(|last| self.0[last].1)
    }
}

/// Decides on noting a weighing.
pub fn measure(
    body: &Body,
    id: BodyweightId,
    weight: Weight,
    measured_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    if body.get(id).is_some() || body.removed.contains(&id) {
        let message = "the id belongs to another weighing of yours";
        return Err(Rejection::Conflict { code: "ID_TAKEN", message });
    }
    if body.weighings.len() >= MAX {
        let message = "an athlete has at most 30000 weighings";
        return Err(Rejection::Conflict { code: "TOO_MANY_WEIGHINGS", message });
    }
    let measured_at = measured_at.unwrap_or(now);
    let mut problems = Problems::default();
    check(weight, measured_at, now, &mut problems);
    problems.into_result()?;
    let weighing = Weighing { measured_at, weight: Personal::Clear(weight) };
    Ok(vec![BodyweightMeasured { bodyweight_id: id, weighing }.into()])
}

/// Decides on correcting a weighing; no events when it is so already.
pub fn correct(
    body: &Body,
    id: BodyweightId,
    weight: Patch<Weight>,
    measured_at: Patch<Timestamp>,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let known = body.get(id).ok_or(Rejection::NotFound("measurement"))?;
    let mut problems = Problems::default();
    let mut weighing = known.clone();
    measured_at.apply_required(&mut weighing.measured_at, "measured_at", &mut problems);
    weight.map(Personal::Clear).apply_required(&mut weighing.weight, "bodyweight", &mut problems);
    if let Some(weight) = weighing.weight.clear() {
        check(*weight, weighing.measured_at, now, &mut problems);
    }
    problems.into_result()?;
    if weighing == *known {
        return Ok(Vec::new());
    }
    Ok(vec![BodyweightCorrected { bodyweight_id: id, weighing }.into()])
}

/// Decides on removing a weighing; no events when it was removed already.
pub fn remove(body: &Body, id: BodyweightId) -> Result<Vec<Event>, Rejection> {
    if body.removed.contains(&id) {
        return Ok(Vec::new());
    }
    body.get(id).ok_or(Rejection::NotFound("measurement"))?;
    Ok(vec![BodyweightRemoved { bodyweight_id: id }.into()])
}

fn check(weight: Weight, measured_at: Timestamp, now: Timestamp, problems: &mut Problems) {
    problems.add_if(
        !(dec!(10)..=dec!(500)).contains(&weight.kg()),
        "bodyweight",
        "must be from 10 to 500 kg",
    );
    problems.add_if(
        now.shifted(SKEW).is_some_and(|latest| measured_at > latest),
        "measured_at",
        "must not lie in the future",
    );
}

#[cfg(test)]
mod tests {
    use events::{BodyweightId, Event, TimeZone, Timestamp, Weight, WeightUnit};
    use rust_decimal::{Decimal, dec};

    use super::{Body, Bodyweights, correct, measure, remove};
    use crate::{Invalid, Patch, Rejection};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn id(number: u128) -> BodyweightId {
        BodyweightId::new(uuid::Uuid::from_u128(7 << 76 | number)).unwrap()
    }

    fn kg(value: Decimal) -> Weight {
        Weight::new(value, WeightUnit::Kg).unwrap()
    }

    fn given(events: impl IntoIterator<Item = Event>) -> Body {
        let mut body = Body::default();
        events.into_iter().for_each(|event| body.evolve(&event));
        body
    }

    fn now() -> Timestamp {
        at("2026-03-01T12:00:00Z")
    }

    #[test]
    fn the_last_weighing_of_the_local_day_counts_and_then_that_of_days_before() {
        let paris: TimeZone = "Europe/Paris".parse().unwrap();
        let bodyweights = Bodyweights::new([
            (at("2026-01-02T19:00:00Z"), dec!(81)),
            (at("2026-01-02T06:00:00Z"), dec!(80)),
            (at("2026-01-05T06:00:00Z"), dec!(79)),
            (at("2026-01-05T06:00:00Z"), dec!(79.5)),
        ]);
        let on = |when| bodyweights.on(at(when), paris);
        assert_eq!(on("2026-01-01T22:59:00Z"), None, "before the first day");
        assert_eq!(on("2026-01-01T23:00:00Z"), Some(dec!(81)), "that day had begun in Paris");
        assert_eq!(on("2026-01-02T06:30:00Z"), Some(dec!(81)), "the last one of the day");
        assert_eq!(on("2026-01-04T22:59:00Z"), Some(dec!(81)));
        assert_eq!(on("2026-01-04T23:00:00Z"), Some(dec!(79.5)), "noted later");
        let tokyo: TimeZone = "Asia/Tokyo".parse().unwrap();
        assert_eq!(bodyweights.on(at("2026-01-02T16:00:00Z"), tokyo), Some(dec!(81)));
        assert_eq!(bodyweights.on(at("2026-01-02T14:00:00Z"), tokyo), Some(dec!(80)));
    }

    #[test]
    fn weighings_are_noted_corrected_and_removed() {
        let body = given(measure(&Body::default(), id(1), kg(dec!(80)), None, now()).unwrap());
        assert_eq!(body.get(id(1)).unwrap().measured_at, now());
        let taken = measure(&body, id(1), kg(dec!(80)), None, now());
        assert!(matches!(taken, Err(Rejection::Conflict { code: "ID_TAKEN", .. })));

        let same = correct(&body, id(1), Patch::Set(kg(dec!(80))), Patch::Keep, now());
        assert_eq!(same, Ok(Vec::new()));
        let events = correct(&body, id(1), Patch::Set(kg(dec!(79))), Patch::Keep, now()).unwrap();
        let mut body = body;
        events.iter().for_each(|event| body.evolve(event));
        assert_eq!(body.bodyweights().on(now(), TimeZone("UTC".parse().unwrap())), Some(dec!(79)));

        remove(&body, id(1)).unwrap().iter().for_each(|event| body.evolve(event));
        assert_eq!(remove(&body, id(1)), Ok(Vec::new()), "once is enough");
        assert!(body.get(id(1)).is_none());
        assert_eq!(remove(&body, id(2)), Err(Rejection::NotFound("measurement")));
        let again = measure(&body, id(1), kg(dec!(80)), None, now());
        assert!(matches!(again, Err(Rejection::Conflict { code: "ID_TAKEN", .. })));
    }

    #[test]
    fn what_cannot_be_is_refused_and_all_of_it_is_told() {
        let tomorrow = Some(at("2026-03-02T12:00:00Z"));
        let Err(Rejection::Invalid(invalid)) =
            measure(&Body::default(), id(1), kg(dec!(9)), tomorrow, now())
        else {
            panic!("it is taken")
        };
        let fields: Vec<_> = invalid.iter().map(|Invalid { field, .. }| field.as_ref()).collect();
        assert_eq!(fields, ["bodyweight", "measured_at"]);
        let body = given(measure(&Body::default(), id(1), kg(dec!(80)), None, now()).unwrap());
        assert!(correct(&body, id(1), Patch::Clear, Patch::Clear, now()).is_err());
    }
}
