//! Reading who coaches whom: both sides of it, joined when they are read.

use chrono::{DateTime, Utc};
use events::{AthleteId, Epoch, Partition, Position};
use log::Positions;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use web::Error;

use crate::{Context, context};

/// Somebody on the other side.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Other {
    athlete: Uuid,
    invitation: Uuid,
    /// `invited`, or `active` once it is accepted.
    status: &'static str,
    invited_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
}

/// A row of the list, where there is one.
struct Row {
    epoch: i64,
    position: i64,
    athlete: Option<Uuid>,
    invitation: Option<Uuid>,
    invited_at: Option<DateTime<Utc>>,
    accepted_at: Option<DateTime<Utc>>,
}

/// The clients of a coach: what the coach said, with what the clients made of it.
pub(super) async fn clients(
    context: &Context,
    coach: AthleteId,
    partition: Partition,
) -> Result<(Vec<Other>, Positions), Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.epoch, c.position, s.other as "athlete?", s.invitation as "invitation?",
               s.begun_at as invited_at, o.begun_at as accepted_at
           from coaching_v1.checkpoints c
           left join (
               coaching_v1.sides s
               left join coaching_v1.sides o
                   on o.owner = s.other and o.invitation = s.invitation and not o.is_coach
           ) on s.owner = $1 and s.is_coach and s.ended_at is null and o.ended_at is null
           where c.partition = $2
           order by s.begun_at desc, s.invitation desc"#,
        coach.uuid(),
        partition.0,
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    others(rows, partition)
}

/// The coaches of a client: what others said of them, with what they made of it.
pub(super) async fn coaches(
    context: &Context,
    client: AthleteId,
    partition: Partition,
) -> Result<(Vec<Other>, Positions), Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.epoch, c.position, s.owner as "athlete?", s.invitation as "invitation?",
               s.begun_at as invited_at, o.begun_at as accepted_at
           from coaching_v1.checkpoints c
           left join (
               coaching_v1.sides s
               left join coaching_v1.sides o
                   on o.owner = s.other and o.invitation = s.invitation and not o.is_coach
           ) on s.other = $1 and s.is_coach and s.ended_at is null and o.ended_at is null
           where c.partition = $2
           order by s.begun_at desc, s.invitation desc"#,
        client.uuid(),
        partition.0,
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    others(rows, partition)
}

fn others(rows: Vec<Row>, partition: Partition) -> Result<(Vec<Other>, Positions), Error> {
    let Some(first) = rows.first() else {
        return Err(Error::unavailable("NOT_BUILT", "the read model is not built yet", 5));
    };
    let position = Positions::one(Epoch(first.epoch), partition, Position(first.position));
    let others = rows.into_iter().filter_map(|row| {
        Some(Other {
            athlete: row.athlete?,
            invitation: row.invitation?,
            status: if row.accepted_at.is_some() { "active" } else { "invited" },
            invited_at: row.invited_at?,
            accepted_at: row.accepted_at,
        })
    });
    Ok((others.collect(), position))
}
