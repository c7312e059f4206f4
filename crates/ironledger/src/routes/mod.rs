//! The routes of commands, sign-in and health; those of read models live beside the models.

mod access;
mod admin;
mod athletes;
mod audit;
mod auth;
mod billing;
mod coaching;
mod exercises;
mod folders;
mod health;
mod keys;
mod log;
mod models;
mod oidc;
mod others;
pub(crate) mod permissions;
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
use serde::Serialize;
use sha2::{Digest, Sha256};
use web::{
    Answer, Caller, Detail, Error, RequestInfo, Routes,
    access::{CameFrom, Lifted},
};

use crate::{accounts::Arrival, app::App, commands::Origin, idempotency};

/// Every route of the product.
pub(crate) fn all(app: &App) -> Routes<App> {
    let commands = Routes::default()
        .merge(workouts::routes())
        .merge(exercises::routes())
        .merge(routines::routes())
        .merge(folders::routes())
        .merge(others::routes())
        .merge(athletes::routes())
        .merge(coaching::routes())
        .merge(auth::of_account())
        .merge(sessions::routes())
        .merge(keys::routes());
    let once = middleware::from_fn_with_state(app.clone(), idempotency::once);
    commands
        .map(|router| router.route_layer(once))
        .merge(auth::routes())
        .merge(oidc::routes())
        .merge(billing::routes())
        .merge(admin::routes())
        .merge(access::routes())
        .merge(health::routes())
        .merge(log::routes())
        .merge(audit::routes())
        .merge(models::routes())
        .merge(projections::coaching::routes())
        .merge(projections::history::routes())
        .merge(projections::records::routes())
        .merge(projections::routines::routes())
        .merge(projections::stats::routes())
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

/// An answer with the tag of the stream that it shows.
fn tagged(version: Version, shown: &impl Serialize) -> Result<Answer, Error> {
    Ok(Answer::ok(shown)?.etag(etag(version, shown)?))
}

/// `version-hash`: the version is what `If-Match` compares, the hash tells representations apart.
fn etag(version: Version, shown: &impl Serialize) -> Result<String, Error> {
    let bytes = serde_json::to_vec(shown).map_err(Error::internal)?;
    let digest = Sha256::digest(&bytes);
    let hash = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(format!("{version}-{hash}"))
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
        })
    }
}

/// The version in an `If-Match` header: tags are `"version-hash"`, and the version is what
/// counts.
fn if_match(headers: &HeaderMap) -> Result<Option<Version>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let version = tag.split('-').next().and_then(|version| version.parse().ok());
    version.map(|version| Some(Version(version))).ok_or_else(|| {
        Error::validation(vec![Detail::new("If-Match", "must be an ETag as an answer gave it")])
    })
}
