//! `GET /v1/feed`.

use axum::extract::{FromRef, State};
use events::WeightUnit;
use schemars::JsonSchema;
use serde::Deserialize;
use web::{Answer, Cursor, Error, Limit, Query, Routes};

use super::{
    Fresh,
    pages::{Post, Posted, Posts},
};
use crate::{Context, history::History, reading::Reading};

/// The routes of the feed.
pub fn routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    Routes::of(include_str!("feed.rs")).get("/v1/feed", feed)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FeedQuery {
    cursor: Option<Cursor<Posted>>,
    #[serde(default)]
    limit: Limit,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// What those whom the caller follows posted, the last first: workouts that they shared, records
/// that they broke, and texts.
async fn feed(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<FeedQuery>,
) -> Result<Answer<Vec<Post>>, Error> {
    context.wait::<History>(&reading).await?;
    let fresh = Fresh::read(&context, &reading).await?;
    let (reader, partition) = (reading.owner, reading.partition);
    let posts = Posts { context: &context, fresh: &fresh, reader, partition, unit: query.unit };
    let after = query.cursor.map(|cursor| cursor.0);
    let (posts, next) = posts.feed(after, query.limit.0).await?;
    let next = next.map(|place| Cursor(place).encode());
    Ok(Answer::list(&posts, next)?.at(&fresh.position))
}
