//! The routes of commands, sign-in and health; those of read models live beside the models.

mod access;
mod admin;
mod athletes;
mod audit;
mod auth;
pub(crate) mod batch;
mod billing;
mod coaching;
pub(crate) mod document;
mod exercises;
mod folders;
mod health;
mod keys;
mod log;
mod models;
mod moderation;
mod oidc;
mod others;
mod people;
pub(crate) mod permissions;
mod posts;
mod routines;
mod sessions;
mod workouts;

use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{HeaderMap, header, request::Parts},
    middleware,
};
use events::{Actor, AthleteId, Channel, Partition, Version};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use web::{
    Answer, Caller, Detail, Error, RequestInfo, Routes,
    access::{CameFrom, Lifted},
    document::{Input, Operation},
};

use crate::{accounts::Arrival, app::App, commands::Origin, idempotency};

/// The header by which a command says what it believes to change.
const IF_MATCH: &str = "If-Match";

/// What the document says of it.
const IF_MATCH_PATTERN: &str = "^(\\*|(W/)?\"(0|[1-9][0-9]{0,8})-[0-9a-f]{24}\")$";

/// Every route of the product.
pub(crate) fn all(app: &App) -> Routes<App> {
    let commands = workouts::routes()
        .merge(exercises::routes())
        .merge(routines::routes())
        .merge(folders::routes())
        .merge(others::routes())
        .merge(athletes::routes())
        .merge(coaching::routes())
        .merge(people::routes())
        .merge(posts::routes())
        .merge(moderation::of_athletes())
        .merge(auth::of_account())
        .merge(sessions::routes())
        .merge(keys::routes());
    let once = middleware::from_fn_with_state(app.clone(), idempotency::once);
    commands
        .layer(|router| router.route_layer(once), idempotency::describe)
        .merge(auth::routes())
        .merge(batch::routes())
        .merge(oidc::routes())
        .merge(billing::routes())
        .merge(admin::routes())
        .merge(moderation::routes())
        .merge(access::routes())
        .merge(health::routes())
        .merge(document::routes())
        .merge(log::routes())
        .merge(audit::routes())
        .merge(models::routes())
        .merge(projections::boards::routes())
        .merge(projections::coaching::routes())
        .merge(projections::history::routes(&app.queries))
        .merge(projections::records::routes(&app.queries))
        .merge(projections::routines::routes())
        .merge(projections::social::routes())
        .merge(projections::stats::routes(&app.queries))
        .merge(projections::strength::routes())
}

/// How a request came that wants to sign in, or the like.
impl FromRequestParts<App> for Arrival {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let info = RequestInfo::from_request_parts(parts, app).await?;
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Ok(Self {
            address: parts.extensions.get::<CameFrom>().and_then(|from| from.0),
            device: info.device,
            user_agent: agent.map(str::to_owned),
            request: info.request_id.to_string(),
            route: format!("{} {path}", parts.method),
            lifted: parts.extensions.get::<Lifted>().is_some_and(|lifted| lifted.0),
        })
    }
}

/// An answer with the version of the stream that it shows.
fn tagged<T: Serialize + JsonSchema>(version: Version, shown: &T) -> Result<Answer<T>, Error> {
    Ok(Answer::ok(shown)?.version(version))
}

/// The document says of it what the headers of commands do.
impl Input for Origin {
    fn describe(operation: &mut Operation<'_>) {
        if operation.is_command() {
            let text = "The `ETag` of what the caller believes to change, one, as an answer gave it; \
                        `412` with the current state where it has changed since. `*` is any.";
            let tag = json!({ "type": "string", "pattern": IF_MATCH_PATTERN });
            operation.header(IF_MATCH, text, &tag);
            operation.fails(&[400, 404, 409, 412]);
        }
    }
}

impl Input for Arrival {
    fn describe(_: &mut Operation<'_>) {}
}

/// Who gives the command of a request, and how it came.
impl FromRequestParts<App> for Origin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let Ok(info) = RequestInfo::from_request_parts(parts, app).await;
        let actor = AthleteId::new(caller.actor).map_err(Error::internal)?;
        Ok(Self {
            athlete: AthleteId::new(caller.athlete).map_err(Error::internal)?,
            partition: Partition(caller.partition),
            actor: Actor::Athlete(actor),
            on_behalf: caller.is_acting(),
            channel: Channel::Api,
            device: info.device,
            request: Some(info.request_id.to_string()),
            if_match: if_match(&parts.headers)?,
            key: parts.extensions.get().cloned(),
            trace: info.trace,
        })
    }
}

/// The version in an `If-Match` header: tags are `"version-hash"`, and the version is what
/// counts.
fn if_match(headers: &HeaderMap) -> Result<Option<Version>, Error> {
    let Some(value) = web::once(headers, IF_MATCH)? else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text == "*" {
        return Ok(None);
    }
    version_of(text).map(Some).ok_or_else(|| {
        let message = "must be * or one ETag as an answer gave it";
        Error::validation(vec![Detail::new(IF_MATCH, message)])
    })
}

/// The version in a tag, which is weak where the answer was compressed.
fn version_of(tag: &str) -> Option<Version> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?;
    let (version, hash) = tag.split_once('-')?;
    let is_hash = hash.len() == 24 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    web::whole(version).filter(|_| is_hash && version.len() < 10).map(Version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_one_as_an_answer_gave_it() {
        let hash = "0123456789abcdef01234567";
        for (text, version) in [
            (format!("\"3-{hash}\""), 3),
            (format!("W/\"0-{hash}\""), 0),
            (format!("\"999999999-{hash}\""), 999_999_999),
        ] {
            assert_eq!(version_of(&text), Some(Version(version)), "{text}");
        }
        for text in [
            format!("3-{hash}"),
            format!("\"03-{hash}\""),
            format!("\"+3-{hash}\""),
            format!("\"1000000000-{hash}\""),
            format!("\"\"3-{hash}\"\""),
            format!("\"3-{hash}\",\"4-{hash}\""),
            format!("w/\"3-{hash}\""),
            format!("\"3-{}\"", hash.to_uppercase()),
            format!("\"3-{hash}0\""),
            "\"3-\"".to_owned(),
            "\"3\"".to_owned(),
            String::new(),
        ] {
            assert_eq!(version_of(&text), None, "{text}");
        }
    }
}
