//! Answers that are put away to be given again.

use std::borrow::Cow;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Answer, Detail, Error,
    answer::{List, Told},
};

/// Tells the client that it has had this answer before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a command was answered, but for what is of one request alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptAnswer {
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    success: Option<Success>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Success {
    data: Box<RawValue>,
    position: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<List>,
    etag: Option<String>,
    location: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    current: Option<Box<RawValue>>,
}

impl KeptAnswer {
    /// What a handler answered, if that is final: a repetition may end otherwise where the caller
    /// came too often, who it was is not known, or we failed.
    pub fn of(response: &Response) -> Option<Self> {
        if let Some(told) = response.extensions().get::<Told>() {
            return Some(told.into());
        }
        let error = response.extensions().get::<Error>()?;
        // What is no JSON may be said again as JSON: the kind of a body is no part of what is said.
        let passing = [
            StatusCode::UNAUTHORIZED,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        if !error.status.is_client_error() || passing.contains(&error.status) {
            return None;
        }
        let failure = Failure {
            code: error.code.clone(),
            message: error.message.clone(),
            details: error.details.clone(),
            current: error.current.clone(),
        };
        Some(Self { status: error.status.as_u16(), success: None, failure: Some(failure) })
    }

    /// The answer once more; `position` where the log knows better than the answer did.
    pub fn again(self, position: Option<String>) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = match (self.success, self.failure) {
            (Some(success), _) => Told {
                status,
                position: position.or(success.position),
                list: success.list,
                version: success.etag,
                location: success.location,
                ..Told::ok(success.data)
            }
            .into_response(),
            (None, Some(failure)) => Error {
                details: failure.details,
                current: failure.current,
                ..Error::new(status, failure.code, failure.message)
            }
            .into_response(),
            (None, None) => Error::internal("a kept answer says nothing").into_response(),
        };
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

impl From<&Told> for KeptAnswer {
    fn from(told: &Told) -> Self {
        let success = Success {
            data: told.data.clone(),
            position: told.position.clone(),
            list: told.list.clone(),
            etag: told.version.clone(),
            location: told.location.clone(),
        };
        Self { status: told.status.as_u16(), success: Some(success), failure: None }
    }
}

impl<T> From<&Answer<T>> for KeptAnswer {
    fn from(answer: &Answer<T>) -> Self {
        Self::from(&answer.told)
    }
}
