//! `Idempotency-Key`: a command with one is carried out once, however often it is sent.
//!
//! The answer is kept in the statement that appends the events, by [`crate::commands`]; what
//! appended nothing, a refusal above all, is kept here. Who sends the same again, at the same moment
//! or a day later, has that answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use events::{AthleteId, Partition};
use log::{IdempotencyKey, Keep, Kept, Log, Positions};
use serde_json::json;
use uuid::Uuid;
use web::{Caller, Detail, Error, KeptAnswer, document::Operation};

use crate::{
    app::{App, BODY_LIMIT},
    commands::{database, unavailable},
};

/// The name of the header.
const HEADER: &str = "idempotency-key";

/// A longer key is none.
const LONGEST: usize = 255;

/// The key of the command that is being carried out.
#[derive(Debug, Clone)]
pub(crate) struct KeyInUse {
    pub(crate) key: IdempotencyKey,
    kept: Arc<AtomicBool>,
}

impl KeyInUse {
    /// The answer is on the log, beside the events.
    pub(crate) fn is_kept(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

/// What the document says of commands.
pub(crate) fn describe(operation: &mut Operation<'_>) {
    if operation.is_command() {
        let text = "Makes the command safe to send twice: the same key and request have the first \
                    answer again, for a day or longer; another request is `422`.";
        let key = json!({ "type": "string", "pattern": format!("^[!-~]{{1,{LONGEST}}}$") });
        operation.header("Idempotency-Key", text, &key);
        operation.fails(&[400, 409, 422]);
    }
}

/// Carries a command with a key out once; others pass.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    match carry_out(&app, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn carry_out(app: &App, request: Request, next: Next) -> Result<Response, Error> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(next.run(request).await);
    }
    let Some(key) = key(request.headers())? else { return Ok(next.run(request).await) };
    let (mut parts, body) = request.into_parts();
    let Ok(caller) = Caller::from_request_parts(&mut parts, app).await else {
        // The handler says so, as it does without a key.
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let Ok(bytes) = to_bytes(body, BODY_LIMIT).await else {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    };
    let log = app.commands.log.clone();
    let owner = AthleteId::new(caller.athlete).map_err(Error::internal)?;
    let key = hashed(&log, owner, caller.actor, &key, &said(&parts, &bytes)).await?;
    let key = KeyInUse { key, kept: Arc::default() };
    if let Some(kept) = log.kept(owner, &key.key).await.map_err(database)? {
        return again(kept);
    }
    parts.extensions.insert(key.clone());
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if key.kept.load(Ordering::Relaxed) {
        return Ok(response);
    }
    let Some(answer) = KeptAnswer::of(&response) else { return Ok(response) };
    let answer = serde_json::to_vec(&answer).map_err(Error::internal)?;
    let keep = Keep { key: key.key, answer };
    if log.keep(owner, Partition(caller.partition), &keep).await.map_err(unavailable)? {
        return Ok(response);
    }
    // The same command came at the same moment, and was faster.
    match log.kept(owner, &key.key).await.map_err(database)? {
        Some(kept) => again(kept),
        None => Ok(response),
    }
}

/// The key of a request, when it has one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if !is_key(text) || values.next().is_some() {
        let message = "must be given once, and be 1 to 255 visible ASCII characters";
        return Err(Error::validation(vec![Detail::new("Idempotency-Key", message)]));
    }
    Ok(Some(text.to_owned()))
}

/// Whether a text can be a key.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// What a request says: everything by which it could lead to something else.
fn said(parts: &Parts, body: &[u8]) -> Vec<u8> {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let conditions: Vec<&[u8]> =
        parts.headers.get_all(header::IF_MATCH).iter().map(|value| value.as_bytes()).collect();
    let conditions = conditions.join(&b", "[..]);
    [parts.method.as_str().as_bytes(), target.as_bytes(), &conditions, body].join(&0)
}

/// What is known of a key that an actor uses for commands about an athlete's affairs.
pub(crate) async fn hashed(
    log: &Log,
    owner: AthleteId,
    actor: Uuid,
    key: &str,
    said: &[u8],
) -> Result<IdempotencyKey, Error> {
    let hash = async |what: &[u8]| {
        let hash = log.keys().fingerprint(owner, what).await.map_err(database)?;
        hash.ok_or_else(|| unavailable(log::AppendError::Erased))
    };
    Ok(IdempotencyKey {
        actor,
        key: hash(&[b"idempotency key\0", key.as_bytes()].concat()).await?,
        said: hash(&[b"idempotent request\0", said].concat()).await?,
    })
}

fn again(kept: Kept) -> Result<Response, Error> {
    if !kept.same {
        return Err(reused());
    }
    let answer = kept.answer.ok_or_else(|| unavailable(log::AppendError::Erased))?;
    let answer: KeptAnswer = serde_json::from_slice(&answer).map_err(Error::internal)?;
    let position = kept.appended.map(|at| Positions::one(at.epoch, at.partition, at.position));
    Ok(answer.again(position.map(|position| position.to_string())))
}

/// The caller said something else under the key before.
pub(crate) fn reused() -> Error {
    let message = "the idempotency key was used for another request";
    Error::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", message)
}
