//! `POST /v1/batch`: several requests in one, carried out in their order.
//!
//! Each goes through the whole application as if it had come alone: it has a rule, limits and an answer
//! of its own, and one that fails stops none of the others. Who calls, for whom and from where, the
//! batch says for all.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use tokio::time::Instant;
use tower::ServiceExt;
use web::{Answer, Detail, Error, Json, RequestInfo, Routes};

use crate::{
    app::App,
    commands::Commands,
    idempotency::{self, key},
};

/// Requests of a batch.
const MOST: usize = 50;

/// So long after its beginning no more requests are carried out: those that were are to be told.
const PATIENCE: Duration = Duration::from_secs(20);

/// One that still goes on so long after that is given up, a little before the batch itself would be.
const GRACE: Duration = Duration::from_secs(7);

/// The whole application, as it takes requests.
#[derive(Clone)]
pub(crate) struct Application(pub(crate) Router);

/// What each request takes over from the batch.
const OF_ALL: [&str; 7] = [
    "accept",
    "authorization",
    "user-agent",
    "x-acting-for",
    "x-device-id",
    "x-forwarded-for",
    "x-internal-bypass",
];

/// What is told of the headers of an answer.
const TOLD: [&str; 9] = [
    "etag",
    "idempotency-replayed",
    "location",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "x-position",
    "x-request-id",
];

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("batch.rs")).post("/v1/batch", batch).or(|operation| {
        idempotency::describe(operation);
        operation.may_be_known();
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// 1 to 50, carried out in this order.
    #[schemars(length(min = 1, max = 50))]
    requests: Vec<One>,
}

/// One of the requests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BatchRequest")]
struct One {
    method: Verb,
    /// Path and query, such as `/v1/history?limit=5`.
    #[schemars(extend("pattern" = "^/v1/(?!auth/|batch|billing/)[A-Za-z0-9/_.~:?&=,+%-]*$"))]
    path: String,
    /// What it says, if it says something.
    #[schemars(with = "Option<serde_json::Value>")]
    body: Option<Box<RawValue>>,
    /// Of a command; by default that of the batch, with the place of the request.
    #[schemars(extend("minLength" = 1, "maxLength" = 255, "pattern" = "^[!-~]{1,255}$"))]
    idempotency_key: Option<String>,
    /// As the header of that name.
    #[schemars(extend("pattern" = "^[ -~]*$"))]
    if_match: Option<String>,
    /// As the header of that name.
    #[schemars(extend("pattern" = "^[ -~]*$"))]
    if_none_match: Option<String>,
    /// As `X-Min-Position`.
    #[schemars(extend("pattern" = "^[ -~]*$"))]
    min_position: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// What came of one of the requests.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchResult")]
struct Outcome {
    status: u16,
    headers: BTreeMap<&'static str, String>,
    /// The whole answer, as it would have come alone.
    #[schemars(with = "serde_json::Value")]
    body: Box<RawValue>,
}

/// Carries out several requests.
async fn batch(
    State(commands): State<Commands>,
    Extension(Application(router)): Extension<Application>,
    info: RequestInfo,
    headers: HeaderMap,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    body: Json<Batch>,
) -> Result<Answer<Vec<Outcome>>, Error> {
    let requests = body.good()?.requests;
    let mut wrong = Vec::new();
    if !(1..=MOST).contains(&requests.len()) {
        wrong.push(Detail::new("requests", "must be 1 to 50 requests"));
    }
    let peer = peer.map(|Extension(peer)| peer);
    let all = Common { headers: &headers, peer, id: &info.request_id, key: key(&headers)? };
    let mut made = Vec::with_capacity(requests.len());
    for (index, one) in requests.into_iter().enumerate() {
        match all.request(index, one) {
            Ok(request) => made.push(request),
            Err(details) => wrong.extend(details),
        }
    }
    // All of them are read before the first is carried out.
    if !wrong.is_empty() {
        return Err(Error::validation(wrong));
    }
    let until = Instant::now() + PATIENCE;
    let mut outcomes = Vec::with_capacity(made.len());
    for request in made {
        let carried_out = async {
            if Instant::now() >= until {
                return None;
            }
            let carrying_out = carry_out(router.clone(), request);
            tokio::time::timeout_at(until + GRACE, carrying_out).await.ok()
        };
        outcomes.push(match carried_out.await {
            Some(outcome) => outcome?,
            None => too_long(&commands, &info)?,
        });
    }
    Answer::list(&outcomes, None)
}

/// What the batch says for all of its requests.
struct Common<'a> {
    headers: &'a HeaderMap,
    peer: Option<ConnectInfo<SocketAddr>>,
    id: &'a str,
    key: Option<String>,
}

impl Common<'_> {
    /// One of the requests as it would have come alone, or everything that is wrong with it.
    fn request(&self, index: usize, one: One) -> Result<Request<Body>, Vec<Detail>> {
        let field = |name: &str| format!("requests[{index}].{name}");
        let mut wrong = Vec::new();
        // What signs in or out, batches, and what never ends, come alone.
        let is_of_others = ["/v1/auth/", "/v1/batch", "/v1/billing/"];
        let is_path = one.path.starts_with("/v1/")
            && !is_of_others.iter().any(|prefix| one.path.starts_with(prefix))
            && !one.path.split('?').next().is_some_and(|path| path.ends_with("/live"))
            && one.path.parse::<axum::http::Uri>().is_ok();
        if !is_path {
            let message = "must be a path below /v1/, and not of auth, billing, batch or a stream";
            wrong.push(Detail::new(field("path"), message));
        }
        let mut headers = HeaderMap::new();
        for name in OF_ALL {
            for value in self.headers.get_all(name) {
                headers.append(HeaderName::from_static(name), value.clone());
            }
        }
        let own_key = one.idempotency_key.or_else(|| {
            let key = self.key.as_ref().filter(|_| !matches!(one.method, Verb::Get))?;
            Some(format!("{key}/{}", index + 1))
        });
        if own_key.as_deref().is_some_and(|key| !idempotency::is_key(key)) {
            let message =
                "must be 1 to 255 visible ASCII characters, with the place of the request";
            wrong.push(Detail::new(field("idempotency_key"), message));
        }
        let own = [
            ("idempotency-key", "idempotency_key", own_key),
            ("if-match", "if_match", one.if_match),
            ("if-none-match", "if_none_match", one.if_none_match),
            ("x-min-position", "min_position", one.min_position),
            ("x-request-id", "", Some(format!("{:.60}.{}", self.id, index + 1))),
        ];
        for (header, name, value) in own {
            let Some(value) = value else { continue };
            // A header could hold more.
            let is_printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            match HeaderValue::try_from(value).ok().filter(|_| is_printable) {
                Some(value) => {
                    headers.insert(HeaderName::from_static(header), value);
                }
                None if name == "idempotency_key" => {}
                None => wrong.push(Detail::new(field(name), "must be printable ASCII characters")),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let body = match one.body {
            None => Body::empty(),
            Some(body) => {
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
                Body::from(body.get().to_owned())
            }
        };
        let mut request = Request::new(body);
        *request.method_mut() = one.method.method();
        *request.uri_mut() = one.path.parse().unwrap_or_default();
        *request.headers_mut() = headers;
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        Ok(request)
    }
}

/// What comes of a request that goes through the whole application.
async fn carry_out(router: Router, request: Request<Body>) -> Result<Outcome, Error> {
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map_err(Error::internal)?;
    let told = TOLD.iter().filter_map(|name| {
        let value = parts.headers.get(*name)?.to_str().ok()?;
        Some((*name, value.to_owned()))
    });
    let headers = told.collect();
    let text = String::from_utf8(bytes.into()).map_err(Error::internal)?;
    let text = if text.is_empty() { "null".to_owned() } else { text };
    let body = RawValue::from_string(text).map_err(Error::internal)?;
    Ok(Outcome { status: parts.status.as_u16(), headers, body })
}

/// What is told of a request that the batch had no time for.
fn too_long(commands: &Commands, info: &RequestInfo) -> Result<Outcome, Error> {
    let body = json!({
        "success": false,
        "error": {
            "code": "BATCH_TOO_LONG",
            "message": "the requests before took too long; send this one again",
            "details": [],
        },
        "meta": { "timestamp": commands.clock.now(), "request_id": &*info.request_id },
    });
    let body = serde_json::value::to_raw_value(&body).map_err(Error::internal)?;
    Ok(Outcome { status: 503, headers: BTreeMap::from([("retry-after", "1".to_owned())]), body })
}
