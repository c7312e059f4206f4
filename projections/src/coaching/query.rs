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
#[schemars(rename = "CoachingSide")]
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
    coach: Option<Uuid>,
    client: Option<Uuid>,
    invitation: Option<Uuid>,
    invited_at: Option<DateTime<Utc>>,
    accepted_at: Option<DateTime<Utc>>,
}

/// Reads what coaches said, with what clients made of it, of whom a column is: rows and the position
/// they stand at, in one statement.
macro_rules! read {
    ($context:expr, $column:literal is $athlete:expr, $partition:expr) => {
        sqlx::query_as!(
            Row,
            r#"select c.epoch, c.position, s.owner as "coach?", s.other as "client?",
                   s.invitation as "invitation?", s.begun_at as invited_at,
                   o.begun_at as accepted_at
               from coaching_v1.checkpoints c
               left join (
                   coaching_v1.sides s
                   left join coaching_v1.sides o
                       on o.owner = s.other and o.invitation = s.invitation and not o.is_coach
               ) on s."#
                + $column
                + r#" = $1 and s.is_coach and s.ended_at is null and o.ended_at is null
               where c.partition = $2
               order by s.begun_at desc, s.invitation desc"#,
            $athlete.uuid(),
            $partition.0,
        )
        .fetch_all(&$context.pool)
    };
}

/// The clients of a coach.
pub(super) async fn clients(
    context: &Context,
    coach: AthleteId,
    partition: Partition,
) -> Result<(Vec<Other>, Positions), Error> {
    let rows = read!(context, "owner" is coach, partition).await;
    others(rows.map_err(context::database)?, partition, |row| row.client)
}

/// The coaches of a client.
pub(super) async fn coaches(
    context: &Context,
    client: AthleteId,
    partition: Partition,
) -> Result<(Vec<Other>, Positions), Error> {
    let rows = read!(context, "other" is client, partition).await;
    others(rows.map_err(context::database)?, partition, |row| row.coach)
}

fn others(
    rows: Vec<Row>,
    partition: Partition,
    other: impl Fn(&Row) -> Option<Uuid>,
) -> Result<(Vec<Other>, Positions), Error> {
    let Some(first) = rows.first() else {
        return Err(Error::unavailable("NOT_BUILT", "the read model is not built yet", 5));
    };
    let position = Positions::one(Epoch(first.epoch), partition, Position(first.position));
    let others = rows.into_iter().filter_map(|row| {
        Some(Other {
            athlete: other(&row)?,
            invitation: row.invitation?,
            status: if row.accepted_at.is_some() { "active" } else { "invited" },
            invited_at: row.invited_at?,
            accepted_at: row.accepted_at,
        })
    });
    Ok((others.collect(), position))
}
