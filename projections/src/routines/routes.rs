//! `GET /v1/routines` and `GET /v1/routines/liked`.

use std::borrow::Cow;

use axum::extract::{FromRef, State};
use events::{FolderId, Weekday};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use web::{Answer, Cursor, Error, Limit, Query, Routes};

use super::{
    Routines,
    query::{self, Own, Page, Place, Shared, Wanted},
};
use crate::{Context, reading::Reading, social::Fresh};

/// The routes of routines.
pub fn routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    Routes::of(include_str!("routes.rs")).get("/v1/routines", list).get("/v1/routines/liked", liked)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    folder: Option<InFolder>,
    /// Only what is for this day of the week.
    day: Option<Weekday>,
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
}

/// In a folder, or in none.
#[derive(Debug)]
struct InFolder(Option<FolderId>);

impl<'de> Deserialize<'de> for InFolder {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        if text == "none" {
            return Ok(Self(None));
        }
        let wrong = |_| de::Error::custom("must be the id of a folder, or none");
        text.parse().map(|folder| Self(Some(folder))).map_err(wrong)
    }
}

web::looks_like! { InFolder: {
    "type": "string", "description": "The id of a folder, or none.",
    "pattern": "^(none|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$",
} }

/// The caller's routines, newest first.
async fn list(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Own>>, Error> {
    context.wait::<Routines>(&reading).await?;
    let (owner, partition) = (reading.owner, reading.partition);
    let wanted = Wanted {
        folder: query.folder.map(|folder| folder.0),
        day: query.day,
        after: query.cursor.map(|cursor| cursor.0),
        limit: query.limit.0,
    };
    query::own(&context, owner, partition, &wanted).await?.answer()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LikedQuery {
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
}

/// What the caller likes and may still see, the last liked first.
async fn liked(
    State(context): State<Context>,
    reading: Reading,
    Query(query): Query<LikedQuery>,
) -> Result<Answer<Vec<Shared>>, Error> {
    context.wait::<Routines>(&reading).await?;
    let fresh = Fresh::read(&context, &reading).await?;
    let after = query.cursor.map(|cursor| cursor.0);
    let of = (reading.owner, reading.partition);
    query::liked(&context, &fresh, of, after, query.limit.0).await?.answer()
}

impl<T: Serialize + JsonSchema> Page<T> {
    /// As a list.
    pub fn answer(self) -> Result<Answer<Vec<T>>, Error> {
        let next = self.next.map(|place| Cursor(place).encode());
        Ok(Answer::list(&self.entries, next)?.at(self.position))
    }
}
