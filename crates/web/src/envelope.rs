//! The form of every answer: the outermost layer of the application.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    Detail, Error, RequestInfo, Trace,
    answer::{List, Told},
    query::FIELDS,
    request,
};

/// What the layer needs from outside.
#[derive(Clone)]
pub struct Envelope {
    /// The time.
    pub now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// A fresh id, of a request or of a trace.
    pub new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
    /// Hears of every request that was answered.
    pub served: fn(&Served<'_>),
}

/// A request that was answered.
pub struct Served<'a> {
    /// Its place in a trace.
    pub trace: Trace,
    /// Its id.
    pub request_id: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// The path, with the names of what varies in braces.
    pub route: &'a str,
    /// How it was answered.
    pub status: u16,
    /// When it came.
    pub began: DateTime<Utc>,
}

const PROBLEM: &str = "application/problem+json";

/// Gives the request its id, and the answer its form: the envelope, or RFC 9457 for failures
/// where the client asks for it. Logs each request once, with its failure.
pub async fn wrap(State(envelope): State<Envelope>, mut request: Request, next: Next) -> Response {
    let (started, began) = (Instant::now(), (envelope.now)());
    let headers = request.headers();
    let request_id: Arc<str> = request::header(headers, "x-request-id")
        .unwrap_or_else(|| (envelope.new_id)().to_string())
        .into();
    let device = request::header(headers, "x-device-id");
    let trace = Trace::of(headers, (envelope.new_id)(), (envelope.new_id)());
    let asked = Asked::of(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.as_deref().unwrap_or("unmatched");
    let info = RequestInfo { request_id: request_id.clone(), device, trace: Some(trace) };
    request.extensions_mut().insert(info);

    let trace_id = format_args!("{:032x}", trace.id).to_string();
    let span = tracing::info_span!("request", %request_id, trace_id, %method, route);
    async {
        let response = next.run(request).await;
        let meta = Meta {
            timestamp: (envelope.now)().to_rfc3339_opts(SecondsFormat::Millis, true),
            request_id: &request_id,
        };
        let mut response = render(response, &meta, &asked);
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-request-id", value);
        }
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(status, micros, "answered");
        // By the route and not by the path: there are as many of those as there are ids.
        let labels = [
            ("method", method.as_str().to_owned()),
            ("route", route.to_owned()),
            ("status", status.to_string()),
        ];
        metrics::counter!("http_requests_total", &labels).increment(1);
        metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed);
        (envelope.served)(&Served {
            trace,
            request_id: &request_id,
            method: &method,
            route,
            status,
            began,
        });
        response
    }
    .instrument(span)
    .await
}

struct Meta<'a> {
    timestamp: String,
    request_id: &'a str,
}

/// In which form the answer is wanted.
struct Asked {
    /// Failures as RFC 9457.
    problem: bool,
    /// The tags of what the caller has.
    has: Vec<String>,
    /// Whether something is read, so that tags count.
    is_reading: bool,
    fields: Option<BTreeSet<String>>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let headers = request.headers();
        let has = headers.get_all(header::IF_NONE_MATCH).iter();
        let has = has.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let fields = form_urlencoded::parse(query).filter(|(name, _)| name == FIELDS && is_reading);
        let mut fields = fields.peekable();
        let has_fields = fields.peek().is_some();
        let names = fields.flat_map(|(_, names)| {
            names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        });
        let names: BTreeSet<String> = names.collect();
        Self {
            problem: accepts_problem(headers),
            has: has.map(|tag| tag.trim().trim_start_matches("W/").to_owned()).collect(),
            is_reading,
            fields: has_fields.then_some(names),
        }
    }

    /// Whether the caller has what has this tag.
    fn has(&self, tag: &str) -> bool {
        self.is_reading && self.has.iter().any(|known| known == tag || known == "*")
    }
}

fn accepts_problem(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(PROBLEM))
}

fn render(mut response: Response, meta: &Meta<'_>, asked: &Asked) -> Response {
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        let told = match &asked.fields {
            Some(wanted) => only(told, wanted),
            None => Ok(told),
        };
        match told {
            Ok(told) => return success(response, told, meta, asked),
            Err(error) => return failure(response, &error, meta, asked.problem),
        }
    }
    let error = match response.extensions_mut().remove::<Error>() {
        Some(error) => error,
        None if response.status().is_client_error() || response.status().is_server_error() => {
            of_status(response.status())
        }
        None => return response,
    };
    let cause = error.cause.as_deref();
    if error.status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(code = &*error.code, cause, "failed");
    } else if cause.is_some() {
        tracing::warn!(code = &*error.code, cause, "failed");
    }
    failure(response, &error, meta, asked.problem)
}

/// Of the data, or of each entry of a list, the fields that are wanted.
fn only(mut told: Told, wanted: &BTreeSet<String>) -> Result<Told, Error> {
    let known = told.fields.map(|fields| fields()).unwrap_or_default();
    if let Some(wrong) = known.unknown(&mut wanted.iter().map(String::as_str)) {
        return Err(Error::validation(vec![wrong]));
    }
    let mut data: Value = serde_json::from_str(told.data.get()).map_err(Error::internal)?;
    let entries: &mut [Value] = match &mut data {
        Value::Array(entries) => entries,
        one => std::slice::from_mut(one),
    };
    for fields in entries.iter_mut().filter_map(Value::as_object_mut) {
        fields.retain(|name, _| wanted.contains(name));
    }
    told.data = serde_json::value::to_raw_value(&data).map_err(Error::internal)?;
    Ok(told)
}

/// The entity tag of what is shown, in its quotes.
fn tag(told: &Told) -> String {
    let hash = || {
        let list = told.list.as_ref().and_then(|list| list.next_cursor.as_deref());
        let shown = Sha256::new().chain_update(told.data.get()).chain_update([0]);
        let digest = shown.chain_update(list.unwrap_or_default()).finalize();
        digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    match &told.version {
        // What was kept of an older program has the hash with it.
        Some(version) => {
            format!("\"{}-{}\"", version.split('-').next().unwrap_or_default(), hash())
        }
        None => format!("\"{}\"", hash()),
    }
}

fn success(mut response: Response, told: Told, meta: &Meta<'_>, asked: &Asked) -> Response {
    #[derive(Serialize)]
    struct Success<'a> {
        success: bool,
        data: &'a RawValue,
        meta: SuccessMeta<'a>,
    }
    #[derive(Serialize)]
    struct SuccessMeta<'a> {
        timestamp: &'a str,
        version: &'static str,
        request_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<Option<&'a str>>,
    }
    let headers = response.headers_mut();
    // What is answered is the caller's own and may change with the next command.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(header::VARY, HeaderValue::from_static("authorization, x-acting-for"));
    if asked.is_reading || told.version.is_some() {
        let tag = tag(&told);
        let has = asked.has(&tag);
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        if has {
            // Without a body, where the answer stands has no other place.
            let position = told.position.as_deref().map(HeaderValue::from_str);
            if let Some(Ok(position)) = position {
                headers.insert("x-position", position);
            }
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
    }
    let list = told.list.as_ref();
    let body = Success {
        success: true,
        data: &told.data,
        meta: SuccessMeta {
            timestamp: &meta.timestamp,
            version: "v1",
            request_id: meta.request_id,
            position: told.position.as_deref(),
            count: list.map(|list| list.count),
            next_cursor: list.map(|List { next_cursor, .. }| next_cursor.as_deref()),
        },
    };
    fill(&mut response, "application/json", &body);
    response
}

fn failure(
    mut response: Response,
    error: &Error,
    meta: &Meta<'_>,
    wants_problem: bool,
) -> Response {
    #[derive(Serialize)]
    struct Failure<'a> {
        success: bool,
        error: Inner<'a>,
        meta: FailureMeta<'a>,
    }
    #[derive(Serialize)]
    struct Inner<'a> {
        code: &'a str,
        message: &'a str,
        details: &'a [Detail],
        #[serde(skip_serializing_if = "Option::is_none")]
        current: Option<&'a RawValue>,
    }
    #[derive(Serialize)]
    struct FailureMeta<'a> {
        timestamp: &'a str,
        request_id: &'a str,
    }
    /// RFC 9457, with our code, fields and request id as extension members.
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: String,
        title: &'a str,
        status: u16,
        detail: &'a str,
        code: &'a str,
        #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
        errors: &'a [Detail],
        #[serde(skip_serializing_if = "Option::is_none")]
        current: Option<&'a RawValue>,
        request_id: &'a str,
        timestamp: &'a str,
    }

    *response.status_mut() = error.status;
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.get()));
    }
    if error.status == StatusCode::UNAUTHORIZED {
        // RFC 6750: who brought no token, or failed by something else, is told nothing more.
        let scheme = HeaderValue::from_static(match &*error.code {
            "TOKEN_INVALID" | "TOKEN_EXPIRED" | "TOKEN_REVOKED" | "KEY_INVALID" => {
                "Bearer error=\"invalid_token\""
            }
            _ => "Bearer",
        });
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    if wants_problem {
        let problem = Problem {
            r#type: format!("urn:ironledger:error:{}", error.code),
            title: error.status.canonical_reason().unwrap_or("error"),
            status: error.status.as_u16(),
            detail: &error.message,
            code: &error.code,
            errors: &error.details,
            current: error.current.as_deref(),
            request_id: meta.request_id,
            timestamp: &meta.timestamp,
        };
        fill(&mut response, PROBLEM, &problem);
    } else {
        let failure = Failure {
            success: false,
            error: Inner {
                code: &error.code,
                message: &error.message,
                details: &error.details,
                current: error.current.as_deref(),
            },
            meta: FailureMeta { timestamp: &meta.timestamp, request_id: meta.request_id },
        };
        fill(&mut response, "application/json", &failure);
    }
    response
}

fn fill(response: &mut Response, content_type: &'static str, body: &impl Serialize) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.remove(header::CONTENT_LENGTH);
    match serde_json::to_vec(body) {
        Ok(bytes) => *response.body_mut() = Body::from(bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            *response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    }
}

/// The failure behind a bare status that a layer or the router answered.
fn of_status(status: StatusCode) -> Error {
    match status {
        StatusCode::NOT_FOUND => Error::new(status, "NOT_FOUND", "there is no such route"),
        StatusCode::METHOD_NOT_ALLOWED => Error::method_not_allowed(),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(status, "PAYLOAD_TOO_LARGE", "a request body takes at most 1 MiB")
        }
        StatusCode::REQUEST_TIMEOUT => Error::new(status, "TIMEOUT", "the request took too long"),
        status if status.is_client_error() => {
            Error::new(status, "BAD_REQUEST", "the request cannot be answered")
        }
        status => Error::internal(format!("a layer answered {status}")),
    }
}
