//! Reports of what does not belong here: as rows, and as the queue of those who look at them.

use chrono::{DateTime, Utc};
use events::{
    AthleteId, ContentId, ContentKind, Event, Personal, PublicId, ReportId, ReportOutcome,
    ReportReason, Timestamp,
};
use projector::row;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::Error;

use super::{
    fold::{json, read},
    posts::said_by,
    profile::Card,
    talk,
};
use crate::{Context, context, page};

row! {
    pub(super) struct ReportRow in "reports" by 2 {
        pub(super) owner: Uuid,
        pub(super) report: Uuid,
        about: Uuid,
        kind: Option<i16>,
        content: Option<Uuid>,
        reason: String,
        said: Option<String>,
        reported_at: DateTime<Utc>,
        outcome: Option<String>,
        resolved_at: Option<DateTime<Utc>>,
    }
}

/// Brings the row of a report to what was said.
pub(super) fn apply(
    mut row: Option<ReportRow>,
    owner: Uuid,
    report: Uuid,
    said: &[(DateTime<Utc>, Event)],
) -> Result<Option<ReportRow>, sqlx::Error> {
    for (at, event) in said {
        match event {
            Event::ContentReported(reported) => {
                row = Some(ReportRow {
                    owner,
                    report,
                    about: reported.athlete.uuid(),
                    kind: reported.content.map(|content| content.kind.code()),
                    content: reported.content.map(|content| content.id),
                    reason: json(&reported.reason)?,
                    said: reported.text.as_ref().map(json).transpose()?,
                    reported_at: *at,
                    outcome: None,
                    resolved_at: None,
                });
            }
            Event::ReportResolved(resolved) => {
                if let Some(row) = &mut row {
                    row.outcome = Some(json(&resolved.outcome)?);
                    row.resolved_at = Some(*at);
                }
            }
            _ => {}
        }
    }
    Ok(row)
}

/// A report, as admins see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub struct QueuedReport {
    /// Which of the reporter's.
    pub id: ReportId,
    /// Who told.
    pub reporter: Card,
    /// Whose doing it is.
    pub athlete: Card,
    /// What of theirs; `null` for the athlete as such.
    pub content: Option<PublicId>,
    /// What the post or comment says now, whoever may see it; `null` where that is nothing, or it is gone.
    pub says: Option<String>,
    /// Whether it is hidden.
    pub hidden: bool,
    /// Whether the athlete is suspended.
    pub suspended: bool,
    /// What is wrong with it.
    pub reason: ReportReason,
    /// What else was said.
    pub text: Option<String>,
    /// When it was told.
    pub reported_at: DateTime<Utc>,
    /// What came of it; `null` while nobody has looked.
    pub outcome: Option<ReportOutcome>,
    /// When somebody said so.
    pub resolved_at: Option<DateTime<Utc>>,
}

impl QueuedReport {
    /// Whose doing it is, and who told.
    pub fn about(&self) -> [AthleteId; 2] {
        [self.athlete.id, self.reporter.id]
    }
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    #[serde(rename = "t")]
    at: Timestamp,
    #[serde(rename = "o")]
    owner: Uuid,
    #[serde(rename = "r")]
    report: Uuid,
}

/// Reports, the oldest first: those that nobody has looked at, or those that somebody has. And where the
/// next page begins.
pub async fn queue(
    context: &Context,
    resolved: bool,
    after: Option<Reported>,
    limit: usize,
) -> Result<(Vec<QueuedReport>, Option<Reported>), Error> {
    let mut rows = sqlx::query!(
        r#"select r.owner, r.report, r.about, r.kind, r.content, r.reason, r.said, r.reported_at,
               r.outcome, r.resolved_at, o.username as "username?", o.name as "name?",
               a.username as "of_username?", a.name as "of_name?",
               p.content as "post?", m.content as "comment?",
               exists (
                   select from social_v1.hidden h
                   where h.owner = r.about and h.kind = r.kind and h.content = r.content
               ) as "hidden!",
               exists (
                   select from social_v1.suspensions s
                   where s.owner = r.about and (s.until is null or s.until > $6)
               ) as "suspended!"
           from social_v1.reports r
           left join social_v1.athletes o on o.owner = r.owner
           left join social_v1.athletes a on a.owner = r.about
           left join social_v1.posts p
               on p.owner = r.about and p.kind = r.kind and p.post = r.content
           left join social_v1.comments m
               on r.kind = 4 and m.owner = r.about and m.comment = r.content
           where (r.outcome is not null) = $1
               and ($2::timestamptz is null
                    or (r.reported_at, r.owner, r.report) > ($2, $3::uuid, $4::uuid))
           order by r.reported_at, r.owner, r.report
           limit $5"#,
        resolved,
        after.map(|after| after.at.utc()) as Option<DateTime<Utc>>,
        after.map(|after| after.owner),
        after.map(|after| after.report),
        page::one_more(limit),
        context.clock.now().utc(),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let next = page::cut(&mut rows, limit, |row| Reported {
        at: Timestamp::new(row.reported_at),
        owner: row.owner,
        report: row.report,
    });
    let mut reports = Vec::with_capacity(rows.len());
    let mut texts: Vec<Personal<String>> = Vec::with_capacity(rows.len());
    for row in rows {
        let person = |id: Uuid, username, name| {
            let id = AthleteId::new(id).map_err(Error::internal)?;
            Ok::<Card, Error>(Card { id, username, name })
        };
        let athlete = person(row.about, row.of_username, row.of_name)?;
        let kind = row.kind.and_then(ContentKind::from_code);
        let content = kind
            .zip(row.content)
            .map(|(kind, id)| PublicId(ContentId { owner: athlete.id, kind, id }));
        let says = match (kind, row.post.or(row.comment)) {
            (Some(kind), Some(content)) => said_by(kind, &content)?,
            _ => None,
        };
        let said = row.said.as_deref().map(read).transpose().map_err(Error::internal)?;
        texts.extend([said, says].map(|text| text.unwrap_or(Personal::Erased)));
        reports.push(QueuedReport {
            id: ReportId::new(row.report).map_err(Error::internal)?,
            reporter: person(row.owner, row.username, row.name)?,
            athlete,
            content,
            says: None,
            hidden: row.hidden,
            suspended: row.suspended,
            reason: read(&row.reason).map_err(Error::internal)?,
            text: None,
            reported_at: row.reported_at,
            outcome: row.outcome.as_deref().map(read).transpose().map_err(Error::internal)?,
            resolved_at: row.resolved_at,
        });
    }
    talk::open(context, &mut texts).await?;
    for (report, texts) in reports.iter_mut().zip(texts.chunks(2)) {
        let [text, says] = texts else { continue };
        report.text = text.clear().cloned();
        report.says = says.clear().cloned();
    }
    Ok((reports, next))
}
