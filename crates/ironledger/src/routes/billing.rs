//! `POST /v1/billing/notices`: what the billing service tells of subscriptions.
//!
//! A notice is signed: `X-Billing-Signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA-256 of `SECONDS`,
//! a point and the body, under the secret that both have. A signature is good for five minutes, so
//! that nobody plays it again; the same notice again within them changes nothing.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode},
};
use chrono::TimeDelta;
use events::{Actor, AthleteId, Channel, Notice, Text, Tier, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use web::{Answer, Detail, Error, Json, Routes};

use crate::{
    app::{App, BillingKey},
    commands::{
        Origin,
        accounts::{Grant, check_grant},
    },
};

/// The header with the signature.
const SIGNATURE: &str = "x-billing-signature";

/// A signature is good for so many seconds, either way.
const GOOD_FOR: u64 = 300;

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("billing.rs")).post("/v1/billing/notices", notice).or(|operation| {
        operation.body::<Told>();
        let text = "`t=SECONDS,v1=HEX`: when it was signed, and the HMAC-SHA-256.";
        operation.header(SIGNATURE, text, &serde_json::json!({ "type": "string" }));
        operation.fails(&[400, 401, 404, 409, 413, 415]);
    })
}

/// A notice of the billing service.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BillingNotice")]
struct Told {
    /// What the service calls it.
    id: Text<100>,
    /// When it was so.
    at: Timestamp,
    /// Whose subscription it is.
    athlete: AthleteId,
    /// What it is good for.
    tier: Tier,
    /// When that ends; never by default.
    until: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BillingTaken")]
struct Taken {
    /// Whether it changed something: not where it was taken before, or another tells of a later time.
    applied: bool,
}

/// Takes a notice in.
async fn notice(
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> Result<Answer<Taken>, Error> {
    let (parts, body) = request.into_parts();
    let bytes = Bytes::from_request(Request::new(body), &()).await;
    let bytes = bytes.map_err(|_| Error::malformed("the body could not be received"))?;
    let now = app.commands.clock.now();
    let is_signed = app
        .billing
        .as_ref()
        .is_some_and(|key| is_signed(key, &headers, &bytes, now.utc().timestamp()));
    if !is_signed {
        let message = "the signature is missing, wrong or too old";
        return Err(Error::new(StatusCode::UNAUTHORIZED, "SIGNATURE_INVALID", message));
    }
    let request = Request::from_parts(parts, bytes.into());
    let told = Json::<Told>::from_request(request, &app).await?.good()?;
    check_grant(told.tier, told.until, None)?;
    let latest = now.shifted(TimeDelta::seconds(GOOD_FOR.cast_signed()));
    if latest.is_some_and(|latest| told.at > latest) {
        // Every notice until then would be told from before.
        let detail = Detail::new("at", "must not lie in the future");
        return Err(Error::validation(vec![detail]));
    }
    let partition = app.accounts.partition_of(told.athlete).await?;
    let partition = partition.ok_or_else(|| Error::not_found("athlete"))?;
    let actor = Actor::System("billing".to_owned());
    let origin = Origin::new(told.athlete, partition, actor, Channel::System);
    let notice = Some(Notice { id: told.id.as_str().to_owned(), at: told.at });
    let grant = Grant::Tier { tier: told.tier, until: told.until, notice };
    let applied = app.accounts.grant(&origin, grant).await?;
    Answer::ok(&Taken { applied })
}

/// Whether the billing service says so, and did just now.
fn is_signed(key: &BillingKey, headers: &HeaderMap, body: &[u8], now: i64) -> bool {
    let said = headers.get(SIGNATURE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let part = |name: &str| {
        said.split(',').find_map(|part| part.trim().split_once('=').filter(|(n, _)| *n == name))
    };
    let (Some((_, at)), Some((_, hex))) = (part("t"), part("v1")) else { return false };
    let is_fresh = at.parse::<i64>().is_ok_and(|at| now.abs_diff(at) <= GOOD_FOR);
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key.0) else { return false };
    mac.update(at.as_bytes());
    mac.update(b".");
    mac.update(body);
    is_fresh && unhex(hex).is_some_and(|said| mac.verify_slice(&said).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    bytes.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
