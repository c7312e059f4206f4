//! `GET /v1/audit/…`: what happened to a set or a workout, and who read that of another.

use axum::extract::State;
use events::{AthleteId, AuditRead, AuditSubject, Partition, SetId, Version, WorkoutId};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use web::{Answer, Caller, Cursor, Error, Limit, Path, Query, Role, Routes};

use crate::{
    accounts::Accounts,
    app::App,
    commands::{
        Commands, Origin,
        audit::{Audit, Auditor, Reading},
    },
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("audit.rs"))
        .get("/v1/audit/sets/{id}", set)
        .get("/v1/audit/workouts/{id}", workout)
        .get("/v1/audit/reads", reads)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// Whose it is; the caller's own by default.
    athlete: Option<AthleteId>,
}

/// Everything that happened to a set.
async fn set(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<SetId>,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<Audit>, Error> {
    let asked = Asked { commands, accounts, caller, origin, athlete: query.athlete };
    asked.answer(AuditSubject::Set, id.uuid(), "set").await
}

/// Everything that happened to a workout and its sets.
async fn workout(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<Audit>, Error> {
    let asked = Asked { commands, accounts, caller, origin, athlete: query.athlete };
    asked.answer(AuditSubject::Workout, id.uuid(), "workout").await
}

/// Who asks for an audit, and whose.
struct Asked {
    commands: Commands,
    accounts: Accounts,
    caller: Caller,
    origin: Origin,
    athlete: Option<AthleteId>,
}

impl Asked {
    async fn answer(
        &self,
        subject: AuditSubject,
        id: Uuid,
        what: &str,
    ) -> Result<Answer<Audit>, Error> {
        let Self { commands, origin, .. } = self;
        let Some((owner, partition)) = self.whose().await? else {
            return Err(Error::not_found(what));
        };
        let audit = commands.audit(owner, partition, subject, id).await?;
        let audit = audit.ok_or_else(|| Error::not_found(what))?;
        if owner != origin.athlete {
            let (read, auditor) = (AuditRead { subject, id }, Auditor::from(origin));
            commands.record_audit_read(owner, partition, read, &auditor).await?;
        }
        Ok(Answer::ok(&audit)?.at(&audit.position))
    }

    /// The athlete whose audit it is; `None` when that is nobody the caller may ask about.
    async fn whose(&self) -> Result<Option<(AthleteId, Partition)>, Error> {
        let own = (self.origin.athlete, self.origin.partition);
        match self.athlete.filter(|athlete| *athlete != own.0) {
            None => Ok(Some(own)),
            Some(other) if self.caller.role == Role::Admin => {
                let partition = self.accounts.partition_of(other).await?;
                Ok(partition.map(|partition| (other, partition)))
            }
            Some(_) => Ok(None),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadsQuery {
    cursor: Option<Cursor<Version>>,
    #[serde(default)]
    limit: Limit,
}

/// Who read the caller's audits, newest first.
async fn reads(
    State(commands): State<Commands>,
    origin: Origin,
    Query(query): Query<ReadsQuery>,
) -> Result<Answer<Vec<Reading>>, Error> {
    let before = query.cursor.map(|cursor| cursor.0);
    let (owner, partition) = (origin.athlete, origin.partition);
    let (reads, next) = commands.audit_reads(owner, partition, before, query.limit.0).await?;
    let next = next.map(|version| Cursor(version).encode());
    Answer::list(&reads, next)
}
