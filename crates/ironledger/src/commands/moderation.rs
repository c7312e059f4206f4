//! Commands about what does not belong here: reports by athletes, and what admins do.

use std::sync::Arc;

use domain::{
    Rejection,
    moderation::{Moderation, Report},
};
use events::{
    AthleteId, ContentId, ContentReported, Event, Personal, PublicId, ReportId, ReportOutcome,
    ReportReason, Stream, Text, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Error};

use super::{Commands, Failure, Loaded, Origin, State};

impl State for Moderation {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

impl State for Report {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        Self::evolve(state, event)
    }
}

/// The body of `POST /v1/reports`: one of `content` and `athlete`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TellOf {
    /// A UUID of version 7 that makes the command safe to send twice.
    id: Option<ReportId>,
    /// The post or comment …
    pub(crate) content: Option<PublicId>,
    /// … or the athlete as such.
    pub(crate) athlete: Option<AthleteId>,
    /// What is wrong with it.
    reason: ReportReason,
    /// What else there is to say.
    text: Option<Text<1000>>,
}

/// A report that was made.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReportMade")]
pub(crate) struct Told {
    id: ReportId,
    athlete: AthleteId,
    content: Option<PublicId>,
    reason: ReportReason,
    /// `null` while nobody has looked at it.
    outcome: Option<ReportOutcome>,
}

/// Whether something is hidden.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContentHidden")]
pub(crate) struct Hidden {
    id: PublicId,
    hidden: bool,
}

/// Whether somebody is suspended.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Suspension")]
pub(crate) struct Suspension {
    athlete: AthleteId,
    suspended: bool,
    /// When it ends; never where it is absent.
    until: Option<Timestamp>,
}

impl Commands {
    /// Tells of something that the caller sees. `about` is whose doing it is.
    pub(crate) async fn report(
        &self,
        origin: &Origin,
        about: AthleteId,
        command: TellOf,
    ) -> Result<Answer<Told>, Error> {
        let id = match command.id {
            Some(id) => id,
            None => ReportId::new(self.random.uuid(self.clock.now())).map_err(Error::internal)?,
        };
        let client = match command.id {
            Some(_) => Some(self.client_id(origin.athlete, None, &("report", &command)).await?),
            None => None,
        };
        let said = ContentReported {
            athlete: about,
            content: command.content.map(|content| content.0),
            reason: command.reason,
            text: command.text.map(|text| Personal::Clear(text.into_string())),
        };
        let decide = |loaded: &Loaded<Report>, _| {
            if loaded.state.is_some() {
                let message = "the id belongs to another report of yours";
                return Err(Rejection::Conflict { code: "ID_TAKEN", message });
            }
            Ok(vec![said.clone().into()])
        };
        let show =
            async |loaded: Arc<Loaded<Report>>| Ok(Answer::ok(&told(id, &loaded)?)?.accepted());
        let stream = Stream::report(id);
        let done = self.execute(&self.reports, origin, stream, client, decide, show).await;
        done.map_err(Failure::of_new)
    }

    /// A report of somebody's, as the log has it now.
    pub(crate) async fn report_of(
        &self,
        origin: &Origin,
        id: ReportId,
    ) -> Result<Arc<Loaded<Report>>, Error> {
        self.reports.read(origin.athlete, origin.partition, Stream::report(id)).await
    }

    /// Says what came of a report; `origin` is about who made it.
    pub(crate) async fn resolve_report(
        &self,
        origin: &Origin,
        id: ReportId,
        outcome: ReportOutcome,
    ) -> Result<Answer<Told>, Error> {
        let decide = |loaded: &Loaded<Report>, _| {
            let report = loaded.state.as_ref().ok_or(Rejection::NotFound("report"))?;
            report.resolve(outcome)
        };
        let show = async |loaded: Arc<Loaded<Report>>| Answer::ok(&told(id, &loaded)?);
        let stream = Stream::report(id);
        let done = self.execute(&self.reports, origin, stream, None, decide, show).await;
        done.map_err(Failure::of_new)
    }

    /// Hides something, or shows it again; `origin` is about whose it is.
    pub(crate) async fn hide(
        &self,
        origin: &Origin,
        content: ContentId,
        hides: bool,
    ) -> Result<Answer<Hidden>, Error> {
        let decide = |moderation: &Moderation, _| Ok(moderation.hide(content, hides));
        let show = |moderation: &Moderation| Hidden {
            id: PublicId(content),
            hidden: moderation.hides(&content),
        };
        self.moderate(origin, decide, show).await
    }

    /// Suspends an athlete; `origin` is about them.
    pub(crate) async fn suspend(
        &self,
        origin: &Origin,
        until: Option<Timestamp>,
    ) -> Result<Answer<Suspension>, Error> {
        let decide = |moderation: &Moderation, now| moderation.suspend(until, now);
        self.moderate(origin, decide, |moderation| self.suspension(origin, moderation)).await
    }

    /// Lets an athlete be; `origin` is about them.
    pub(crate) async fn lift_suspension(
        &self,
        origin: &Origin,
    ) -> Result<Answer<Suspension>, Error> {
        let decide = |moderation: &Moderation, _| Ok(moderation.lift());
        self.moderate(origin, decide, |moderation| self.suspension(origin, moderation)).await
    }

    /// Whether an athlete is suspended; `origin` is about them.
    pub(crate) async fn suspension_of(&self, origin: &Origin) -> Result<Answer<Suspension>, Error> {
        let moderation = self.moderation((origin.athlete, origin.partition)).await?;
        Answer::ok(&self.suspension(origin, &moderation))
    }

    fn suspension(&self, origin: &Origin, moderation: &Moderation) -> Suspension {
        let now = self.clock.now();
        Suspension {
            athlete: origin.athlete,
            suspended: moderation.is_suspended(now),
            until: moderation.suspended_until(now),
        }
    }

    async fn moderate<T: Serialize + JsonSchema>(
        &self,
        origin: &Origin,
        decide: impl Fn(&Moderation, Timestamp) -> Result<Vec<Event>, Rejection>,
        show: impl Fn(&Moderation) -> T,
    ) -> Result<Answer<T>, Error> {
        let nothing = Moderation::default();
        let decide = |loaded: &Loaded<Moderation>, now| {
            decide(loaded.state.as_ref().unwrap_or(&nothing), now)
        };
        let show = async |loaded: Arc<Loaded<Moderation>>| {
            Answer::ok(&show(loaded.state.as_ref().unwrap_or(&nothing)))
        };
        let stream = Stream::moderation(origin.athlete);
        let done = self.execute(&self.moderations, origin, stream, None, decide, show).await;
        done.map_err(Failure::of_new)
    }
}

fn told(id: ReportId, loaded: &Loaded<Report>) -> Result<Told, Error> {
    let report = loaded.state.as_ref().ok_or_else(|| Error::not_found("report"))?;
    Ok(Told {
        id,
        athlete: report.said.athlete,
        content: report.said.content.map(PublicId),
        reason: report.said.reason,
        outcome: report.outcome,
    })
}
