//! `GET /v1/coaching/clients` and `GET /v1/coaching/coaches`.

use axum::{
    extract::{FromRef, State},
    http::HeaderMap,
};
use web::{Answer, Caller, Error, Routes};

use super::{Coaching, query};
use crate::{Context, context};

/// The routes of coaching.
pub fn routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    Routes::default().get("/v1/coaching/clients", clients).get("/v1/coaching/coaches", coaches)
}

/// Whom the caller coaches or has asked, the last asked first.
async fn clients(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, Error> {
    let (coach, partition) = context::athlete(&caller)?;
    context.wait::<Coaching>(&headers).await?;
    let (clients, position) = query::clients(&context, coach, partition).await?;
    Ok(Answer::ok(&clients)?.list(clients.len(), None).at(position))
}

/// Who coaches the caller or has asked them, the last to ask first.
async fn coaches(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, Error> {
    let (client, partition) = context::athlete(&caller)?;
    context.wait::<Coaching>(&headers).await?;
    let (coaches, position) = query::coaches(&context, client, partition).await?;
    Ok(Answer::ok(&coaches)?.list(coaches.len(), None).at(position))
}
