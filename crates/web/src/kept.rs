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
    query::Fields,
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

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Success {
    data: Box<RawValue>,
    position: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<List>,
    etag: Option<String>,
    location: Option<String>,
    /// Not known of what another process has kept.
    #[serde(skip)]
    fields: Option<fn() -> Fields>,
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
            (Some(success), _) => {
                let told = success.told();
                let position = position.or(told.position);
                // Which fields were wanted was another request's wish.
                Told { status, position, fields: None, ..told }.into_response()
            }
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

/// What a reading was answered, to be answered again for as long as nothing has changed.
impl KeptAnswer {
    /// What a handler answered, if it went well.
    pub fn of_reading(response: &Response) -> Option<Self> {
        let told = response.extensions().get::<Told>()?;
        (told.status == StatusCode::OK).then(|| told.into())
    }

    /// The answer to a reading once more, as of a position.
    pub fn read_again(&self, position: Option<String>) -> Response {
        let Some(success) = self.success.clone() else {
            return Error::internal("a kept answer says nothing").into_response();
        };
        let told = success.told();
        Told { position: position.or(told.position), ..told }.into_response()
    }

    /// Where in the log it stands.
    pub fn position(&self) -> Option<&str> {
        self.success.as_ref()?.position.as_deref()
    }

    /// Whether it is known by which names `fields=` asks for a part of it.
    pub fn knows_fields(&self) -> bool {
        self.success.as_ref().is_some_and(|success| success.fields.is_some())
    }

    /// How many bytes it takes, about.
    pub fn weight(&self) -> usize {
        self.success.as_ref().map_or(0, |success| success.data.get().len() + 256)
    }
}

impl Success {
    fn told(self) -> Told {
        Told {
            position: self.position,
            list: self.list,
            version: self.etag,
            location: self.location,
            fields: self.fields,
            ..Told::ok(self.data)
        }
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
            fields: told.fields,
        };
        Self { status: told.status.as_u16(), success: Some(success), failure: None }
    }
}

impl<T> From<&Answer<T>> for KeptAnswer {
    fn from(answer: &Answer<T>) -> Self {
        Self::from(&answer.told)
    }
}
