//! What is done about what does not belong here: the state and decisions of `moderation-…` and
//! `report-…` streams.

use std::collections::BTreeSet;

use events::{
    AthleteSuspended, ContentHidden, ContentId, ContentKind, ContentReported, ContentRestored,
    Event, ReportOutcome, ReportResolved, SuspensionLifted, Timestamp,
};

use crate::{Rejection, rejection::Problems};

/// What was done about an athlete and what they show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moderation {
    hidden: BTreeSet<ContentId>,
    /// Whether they are suspended, and until when if not for good.
    suspended: Option<Option<Timestamp>>,
}

impl Moderation {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::ContentHidden(hidden) => {
                self.hidden.insert(hidden.content);
            }
            Event::ContentRestored(restored) => {
                self.hidden.remove(&restored.content);
            }
            Event::AthleteSuspended(suspended) => self.suspended = Some(suspended.until),
            Event::SuspensionLifted(_) => self.suspended = None,
            _ => {}
        }
    }

    /// Whether something is shown to nobody else.
    pub fn hides(&self, content: &ContentId) -> bool {
        self.hidden.contains(content)
    }

    /// Whether the athlete is suspended at a time.
    pub fn is_suspended(&self, now: Timestamp) -> bool {
        self.suspended.is_some_and(|until| until.is_none_or(|until| until > now))
    }

    /// Until when they are suspended, if they are at a time.
    pub fn suspended_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.suspended.flatten().filter(|until| *until > now)
    }

    /// Decides on hiding something, or on showing it again; no events when that is so already. With a
    /// workout go the records that it broke.
    pub fn hide(&self, content: ContentId, hides: bool) -> Vec<Event> {
        let of_workout = content.kind == ContentKind::Workout;
        let records = ContentId { kind: ContentKind::Records, ..content };
        let both = [Some(content), of_workout.then_some(records)];
        let changed = both.into_iter().flatten().filter(|one| self.hides(one) != hides);
        let event = |content| {
            if hides {
                ContentHidden { content }.into()
            } else {
                ContentRestored { content }.into()
            }
        };
        changed.map(event).collect()
    }

    /// Decides on suspending the athlete; no events when that is so already.
    pub fn suspend(
        &self,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let mut problems = Problems::default();
        let is_over = until.is_some_and(|until| until <= now);
        problems.add_if(is_over, "until", "must lie in the future");
        problems.into_result()?;
        if self.suspended == Some(until) {
            return Ok(Vec::new());
        }
        Ok(vec![AthleteSuspended { until }.into()])
    }

    /// Decides on letting the athlete be; no events when nobody suspended them.
    pub fn lift(&self) -> Vec<Event> {
        self.suspended.map(|_| SuspensionLifted {}.into()).into_iter().collect()
    }
}

/// A report of something that does not belong here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was said.
    pub said: ContentReported,
    /// What came of it.
    pub outcome: Option<ReportOutcome>,
}

impl Report {
    /// Takes in what happened; the first event makes the report.
    pub fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        match event {
            Event::ContentReported(said) => Some(Self { said: said.clone(), outcome: None }),
            Event::ReportResolved(resolved) => {
                Some(Self { outcome: Some(resolved.outcome), ..state? })
            }
            _ => state,
        }
    }

    /// Decides on what came of it; no events when somebody said so already.
    pub fn resolve(&self, outcome: ReportOutcome) -> Result<Vec<Event>, Rejection> {
        match self.outcome {
            None => Ok(vec![ReportResolved { outcome }.into()]),
            Some(known) if known == outcome => Ok(Vec::new()),
            Some(_) => {
                let message = "somebody resolved the report otherwise";
                Err(Rejection::Conflict { code: "REPORT_RESOLVED", message })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use events::{AthleteId, ContentId, ContentKind};
    use uuid::Uuid;

    use super::Moderation;

    #[test]
    fn what_is_hidden_is_so_until_it_is_shown_again() {
        let owner = AthleteId::new(Uuid::from_u128(7 << 76)).unwrap();
        let content = ContentId { owner, kind: ContentKind::Records, id: Uuid::from_u128(1) };
        let mut moderation = Moderation::default();
        for hides in [true, false] {
            let events = moderation.hide(content, hides);
            assert_eq!(events.len(), 1);
            events.iter().for_each(|event| moderation.evolve(event));
            assert!(moderation.hides(&content) == hides);
            assert!(moderation.hide(content, hides).is_empty());
        }
        let workout = ContentId { kind: ContentKind::Workout, ..content };
        assert_eq!(moderation.hide(workout, true).len(), 2, "with the records that it broke");
    }

    #[test]
    fn a_suspension_ends_at_its_time_or_when_it_is_lifted() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let later = "2026-03-02T12:00:00Z".parse().unwrap();
        let mut moderation = Moderation::default();
        assert!(moderation.suspend(Some(now), now).is_err());
        let events = moderation.suspend(Some(later), now).unwrap();
        events.iter().for_each(|event| moderation.evolve(event));
        assert!(moderation.is_suspended(now) && !moderation.is_suspended(later));
        assert_eq!(moderation.suspended_until(now), Some(later));
        assert!(moderation.suspend(Some(later), now).unwrap().is_empty());
        let events = moderation.suspend(None, now).unwrap();
        events.iter().for_each(|event| moderation.evolve(event));
        assert!(moderation.is_suspended(later));
        moderation.lift().iter().for_each(|event| moderation.evolve(event));
        assert!(!moderation.is_suspended(now) && moderation.lift().is_empty());
    }
}
