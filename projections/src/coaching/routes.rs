//! `GET /v1/coaching/clients` and `GET /v1/coaching/coaches`.

use axum::extract::{FromRef, State};
use web::{Answer, Error, Routes};

use super::{
    Coaching,
    query::{self, Other},
};
use crate::{Context, reading::Reading};

/// The routes of coaching.
pub fn routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    Routes::of(include_str!("routes.rs"))
        .get("/v1/coaching/clients", clients)
        .get("/v1/coaching/coaches", coaches)
}

/// Whom the caller coaches or has asked, the last asked first.
async fn clients(
    State(context): State<Context>,
    reading: Reading,
) -> Result<Answer<Vec<Other>>, Error> {
    let (coach, partition) = (reading.owner, reading.partition);
    context.wait::<Coaching>(&reading).await?;
    let (clients, position) = query::clients(&context, coach, partition).await?;
    Ok(Answer::list(&clients, None)?.at(position))
}

/// Who coaches the caller or has asked them, the last to ask first.
async fn coaches(
    State(context): State<Context>,
    reading: Reading,
) -> Result<Answer<Vec<Other>>, Error> {
    let (client, partition) = (reading.owner, reading.partition);
    context.wait::<Coaching>(&reading).await?;
    let (coaches, position) = query::coaches(&context, client, partition).await?;
    Ok(Answer::list(&coaches, None)?.at(position))
}
