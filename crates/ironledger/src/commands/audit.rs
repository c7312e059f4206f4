//! Audits: everything that happened to a set or a workout, and who looked at it.

use domain::{body::Bodyweights, exercises::Exercises, workout::Workout};
use events::{
    Actor, AthleteId, AuditRead, AuditSubject, Channel, Event, Metadata, Partition, Position,
    Recorded, SetId, Stream, StreamKind, TimeZone, Timestamp, Version, WorkoutId,
};
use log::{Append, AppendError, NewEvent, Positions, Write};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use web::Error;

use super::{ATTEMPTS, Commands, Origin, State, database, unreadable};
use crate::shown;

/// Everything that happened to a set or a workout.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Audit {
    /// Whose it is.
    pub(crate) athlete: AthleteId,
    /// The workout, or that of the set.
    pub(crate) workout: WorkoutId,
    /// In order.
    pub(crate) events: Vec<Entry>,
    /// Where on the log it stands.
    #[serde(skip)]
    pub(crate) position: Positions,
}

/// One event of an audit: what, who, when, from where, and what became of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEvent")]
pub(crate) struct Entry {
    pub(crate) partition: Partition,
    pub(crate) position: Position,
    /// Which event of the workout's stream it is.
    pub(crate) version: Version,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) actor: Actor,
    /// For whom the actor did it, when that is somebody else.
    pub(crate) on_behalf_of: Option<AthleteId>,
    pub(crate) channel: Channel,
    pub(crate) device: Option<String>,
    pub(crate) request: Option<String>,
    pub(crate) occurred_at: Timestamp,
    pub(crate) recorded_at: Timestamp,
    /// What one intention led to shares it.
    pub(crate) correlation: Uuid,
    /// The set that it is about; else it is about the workout as a whole.
    pub(crate) set: Option<SetId>,
    /// The set, or the workout without its sets, as answers show it; `null` where there was none.
    pub(crate) before: Value,
    /// The same afterwards.
    pub(crate) after: Value,
}

/// Who reads an audit of somebody else, and how they came.
#[derive(Debug, Clone)]
pub(crate) struct Auditor {
    pub(crate) actor: Actor,
    pub(crate) channel: Channel,
    pub(crate) device: Option<String>,
    pub(crate) request: Option<String>,
}

impl From<&Origin> for Auditor {
    fn from(origin: &Origin) -> Self {
        Self {
            actor: origin.actor.clone(),
            channel: origin.channel,
            device: origin.device.clone(),
            request: origin.request.clone(),
        }
    }
}

/// That somebody read an audit.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditReading")]
pub(crate) struct Reading {
    actor: Actor,
    channel: Channel,
    read_at: Timestamp,
    subject: AuditSubject,
    id: Uuid,
}

impl Commands {
    /// Everything that happened to a set or a workout of an athlete; `None` when there never was
    /// one of that id.
    pub(crate) async fn audit(
        &self,
        owner: AthleteId,
        partition: Partition,
        subject: AuditSubject,
        id: Uuid,
    ) -> Result<Option<Audit>, Error> {
        let reader = self.log.reader();
        let (stream, set) = match subject {
            AuditSubject::Workout => (Stream { kind: StreamKind::Workout, id }, None),
            AuditSubject::Set => {
                let logged = reader.recorded_as(partition, owner, id).await.map_err(unreadable)?;
                let stream = logged.map(|logged| logged.id.stream);
                let Some(stream) = stream.filter(|stream| stream.kind == StreamKind::Workout)
                else {
                    return Ok(None);
                };
                (stream, Some(SetId::new(id).map_err(Error::internal)?))
            }
        };
        let stored = reader.read_stream(partition, owner, stream, Version(0)).await;
        let mut recorded = Vec::new();
        for stored in stored.map_err(unreadable)? {
            let mut event = stored.decode().map_err(unreadable)?;
            self.log.keys().open(event.event.personal_fields()).await.map_err(database)?;
            recorded.push(event);
        }
        let Some(last) = recorded.last() else { return Ok(None) };
        let position = Positions::one(last.epoch, partition, last.position);
        let own = self.exercises.read(owner, partition, Stream::exercises(owner)).await?;
        let workout = WorkoutId::new(stream.id).map_err(Error::internal)?;
        let weighed = self.bodyweights_of(owner, partition).await?;
        let events = told(workout, recorded, set, own.state.as_ref(), &weighed)?;
        Ok(Some(Audit { athlete: owner, workout, events, position }))
    }

    /// Puts on the log that somebody reads the audit of another's set or workout: durable before
    /// they see it.
    pub(crate) async fn record_audit_read(
        &self,
        owner: AthleteId,
        partition: Partition,
        read: AuditRead,
        auditor: &Auditor,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let run = self.random.uuid(now);
        let metadata = Metadata {
            occurred_at: now,
            actor: auditor.actor.clone(),
            on_behalf_of: None,
            channel: auditor.channel,
            device: auditor.device.clone(),
            request: auditor.request.clone(),
            correlation: run,
            causation: run,
        };
        let stream = Stream::audit(owner);
        let newest = self.log.reader().read_stream_back(partition, owner, stream, None, 1).await;
        let newest = newest.map_err(unreadable)?;
        let mut expected = newest.first().map_or(Version(0), |newest| newest.id.version);
        for _ in 0..ATTEMPTS {
            let (event, metadata) = (read.clone().into(), metadata.clone());
            let events = vec![NewEvent { event, metadata, client: None }];
            let writes = vec![Write { stream, expected, events }];
            match self.log.append(Append { owner, partition, writes }).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Conflict { actual, .. }) => expected = actual,
                Err(error) => return Err(unrecorded(error)),
            }
        }
        Err(unrecorded(AppendError::Busy))
    }

    /// Who read an athlete's audits, newest first; where the list goes on, if it does.
    pub(crate) async fn audit_reads(
        &self,
        owner: AthleteId,
        partition: Partition,
        before: Option<Version>,
        limit: usize,
    ) -> Result<(Vec<Reading>, Option<Version>), Error> {
        let (reader, stream) = (self.log.reader(), Stream::audit(owner));
        let stored = reader.read_stream_back(partition, owner, stream, before, limit + 1).await;
        let mut stored = stored.map_err(unreadable)?;
        let more = stored.len() > limit;
        stored.truncate(limit);
        let next = stored.last().filter(|_| more).map(|last| last.id.version);
        let mut readings = Vec::with_capacity(stored.len());
        for stored in stored {
            let recorded = stored.decode().map_err(unreadable)?;
            let Event::AuditRead(AuditRead { subject, id }) = recorded.event else { continue };
            readings.push(Reading {
                actor: recorded.metadata.actor,
                channel: recorded.metadata.channel,
                read_at: recorded.recorded_at,
                subject,
                id,
            });
        }
        Ok((readings, next))
    }
}

/// The story of a workout, or of one of its sets. That a workout is discarded is told of the sets
/// that go with it.
fn told(
    id: WorkoutId,
    recorded: Vec<Recorded>,
    only: Option<SetId>,
    own: Option<&Exercises>,
    weighed: &(Bodyweights, TimeZone),
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let mut state: Option<Workout> = None;
    for recorded in recorded {
        let event = &recorded.event;
        let gone = matches!(event, Event::WorkoutDiscarded(_));
        let there = |set: &SetId| state.as_ref().is_some_and(|state| state.set(*set).is_some());
        let about = match (only, set_of(event)) {
            (Some(only), None) => Some(only).filter(|set| gone && there(set)),
            (_, set) => set,
        };
        if only.is_some() && about != only {
            state = State::evolve(state, event);
            continue;
        }
        let before = seen(id, state.as_ref(), about, own, weighed)?;
        state = State::evolve(state, event);
        let went = gone && about.is_some();
        let after = if went { Value::Null } else { seen(id, state.as_ref(), about, own, weighed)? };
        let metadata = recorded.metadata;
        entries.push(Entry {
            partition: recorded.partition,
            position: recorded.position,
            version: recorded.id.version,
            kind: recorded.event.type_and_version().0,
            actor: metadata.actor,
            on_behalf_of: metadata.on_behalf_of,
            channel: metadata.channel,
            device: metadata.device,
            request: metadata.request,
            occurred_at: metadata.occurred_at,
            recorded_at: recorded.recorded_at,
            correlation: metadata.correlation,
            set: about,
            before,
            after,
        });
    }
    Ok(entries)
}

/// The set that an event is about, where it is about one.
fn set_of(event: &Event) -> Option<SetId> {
    match event {
        Event::SetLogged(logged) => Some(logged.set_id),
        Event::SetCorrected(corrected) => Some(corrected.set_id),
        Event::SetConfirmed(confirmed) => Some(confirmed.set_id),
        Event::SetRemoved(removed) => Some(removed.set_id),
        _ => None,
    }
}

/// A set or, without one, the workout. Its sets are left out: they have events of their own, and
/// with each change of a title they would fill the answer.
fn seen(
    id: WorkoutId,
    state: Option<&Workout>,
    set: Option<SetId>,
    own: Option<&Exercises>,
    weighed: &(Bodyweights, TimeZone),
) -> Result<Value, Error> {
    let Some(state) = state else { return Ok(Value::Null) };
    let seen = match set {
        Some(set) => {
            let set = state.set(set).cloned().map(|set| shown::set(set, own));
            serde_json::to_value(set)
        }
        None => {
            let parts = shown::parts(id, state.clone(), own, weighed.clone());
            serde_json::to_value(parts.show(None, |_| true))
        }
    };
    let mut seen = seen.map_err(Error::internal)?;
    if set.is_none()
        && let Value::Object(fields) = &mut seen
    {
        fields.remove("sets");
    }
    Ok(seen)
}

/// Whatever the reason, nothing is shown that is not on the log.
fn unrecorded(error: AppendError) -> Error {
    let message = "the reading could not be recorded, so that nothing is shown";
    Error::unavailable("AUDIT_UNRECORDED", message, 1).because(error)
}
