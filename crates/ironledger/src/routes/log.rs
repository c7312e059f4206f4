//! `GET /v1/log`: the log itself, for those who run the place.

use std::borrow::Cow;

use axum::extract::{RawQuery, State};
use events::{AthleteId, Partition, Stream, StreamKind, Timestamp};
use log::{Filter, Found, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use web::{Answer, Caller, Cursor, Detail, Error, Limit, Query, Routes};

use super::admin::looked_at_all;
use crate::{
    access_log::AccessLog,
    accounts::Arrival,
    app::App,
    commands::{Commands, unreadable},
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("log.rs")).get("/v1/log", page).or(|operation| {
        operation.query::<LogQuery>();
        operation.fails(&[400]);
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    /// Only of this partition.
    partition: Option<Number>,
    /// Only of streams of this name, of which each athlete may have one.
    stream: Option<Name>,
    #[serde(default, rename = "type")]
    types: Types,
    /// Only what this athlete owns.
    athlete: Option<AthleteId>,
    /// Recorded then or later.
    from: Option<Instant>,
    /// Recorded earlier.
    to: Option<Instant>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Place>>,
}

/// A page of events by partition and position. It looks at no more than a few thousand of them,
/// and so may have found nothing yet where it goes on.
async fn page(
    State(commands): State<Commands>,
    State(access_log): State<AccessLog>,
    caller: Caller,
    arrival: Arrival,
    RawQuery(text): RawQuery,
) -> Result<Answer<Vec<Found>>, Error> {
    let Query(query) = Query::<LogQuery>::joining("type", text.as_deref().unwrap_or_default())?;
    let filter = Filter {
        partition: query.partition.map(|number| Partition(number.0)),
        stream: query.stream.map(|name| name.0),
        types: query.types.0,
        athlete: query.athlete,
        from: query.from.map(|at| at.0),
        to: query.to.map(|at| at.0),
    };
    if filter.from.zip(filter.to).is_some_and(|(from, to)| from > to) {
        return Err(Error::validation(vec![Detail::new("to", "must not be before from")]));
    }
    let after = query.cursor.map(|cursor| cursor.0);
    let found = commands.log.reader().search(&filter, after, query.limit.0).await;
    let found = found.map_err(unreadable)?;
    let owners = found.events.iter().map(|event| event.owner);
    access_log.record(&looked_at_all(&caller, &arrival, query.athlete, owners)).await?;
    let next = found.next.map(|place| Cursor(place).encode());
    Answer::list(&found.events, next)
}

/// The number of a partition.
#[derive(Debug)]
struct Number(i16);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let number = web::whole(&text);
        number.map(Self).ok_or_else(|| de::Error::custom("must be the number of a partition"))
    }
}

/// The name of a stream.
#[derive(Debug)]
struct Name(Stream);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map(Self).map_err(de::Error::custom)
    }
}

/// A time, as a query string has it.
#[derive(Debug)]
struct Instant(Timestamp);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // An unescaped plus is a space.
        let text = Cow::<'de, str>::deserialize(from)?.replace(' ', "+");
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// Names of event types, with commas between.
#[derive(Debug, Default)]
struct Types(Vec<String>);

impl<'de> Deserialize<'de> for Types {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let names = text.split(',').map(|name| log::known_type(name.trim()));
        names.collect::<Result<_, _>>().map(Self).map_err(de::Error::custom)
    }
}

web::looks_like! { Number: { "type": "integer", "minimum": 0, "maximum": 32767 } }

web::looks_like! { Name: {
    "type": "string", "examples": ["workout-01890a5d-ac96-774b-bcce-b302099a8057"],
    "pattern": format!(
        "^({})-[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}$",
        StreamKind::words().collect::<Vec<_>>().join("|")
    ),
} }

web::looks_like! { Instant: { "type": "string", "format": "date-time" } }

web::looks_like! { Types: {
    "type": "string", "examples": ["SetLogged,SetRemoved"],
    "pattern": format!("^({0})(,({0}))*$", log::known_types().join("|")),
    "description": "Names of event types, with commas between, or the parameter again.",
} }
