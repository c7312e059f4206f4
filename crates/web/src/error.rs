//! What went wrong, as the caller is told.

use std::{borrow::Cow, fmt, num::NonZeroU32};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::Left;

/// A failure as the caller is told of it. The envelope's layer gives it its form and logs it.
#[derive(Debug, Clone)]
pub struct Error {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: Cow<'static, str>,
    pub(crate) details: Vec<Detail>,
    pub(crate) retry_after: Option<NonZeroU32>,
    /// What is there now, where that helps the caller to go on.
    pub(crate) current: Option<Box<RawValue>>,
    /// What of limits refused it.
    pub(crate) limit: Option<Box<Left>>,
    /// For the log alone.
    pub(crate) cause: Option<Box<str>>,
}

/// A caller with more bad fields than that learns of the rest later: finding each costs a reading.
pub(crate) const MOST_TOLD: usize = 100;

/// One field that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// The field's name; nested ones with dots.
    pub field: String,
    /// What it must be.
    pub message: String,
}

impl Detail {
    /// A field and what it must be.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl Error {
    /// Any failure: a status, a stable word for programs, a sentence for people.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            details: Vec::new(),
            retry_after: None,
            current: None,
            limit: None,
            cause: None,
        }
    }

    /// 400: some fields are wrong, and here are all of them.
    pub fn validation(details: Vec<Detail>) -> Self {
        let message = "some fields are invalid";
        Self { details, ..Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message) }
    }

    /// 400: the request cannot be read at all.
    pub fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MALFORMED", message)
    }

    /// 401: who is calling is not known.
    pub fn unauthorized(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 403: who is calling may not do this.
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    /// 404: not there, or not for the caller to know.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no such {what}"))
    }

    /// 405: the path takes other methods.
    pub fn method_not_allowed() -> Self {
        let message = "the route does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
    }

    /// 409: it contradicts what is there.
    pub fn conflict(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 412: what the caller believes is not so any more, and here is what is.
    pub fn stale(current: &impl Serialize) -> Self {
        let message = "it has changed since; the current state is in the answer";
        let error = Self::new(StatusCode::PRECONDITION_FAILED, "STALE", message);
        Self { current: serde_json::value::to_raw_value(current).ok(), ..error }
    }

    /// 503: come back in so many seconds.
    pub fn unavailable(code: &'static str, message: &'static str, retry_after: u32) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        Self { retry_after: NonZeroU32::new(retry_after), ..error }
    }

    /// 429: the caller came too often, and may come back in so many seconds.
    pub fn too_many(
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        retry_after: u64,
    ) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, code, message);
        let seconds = u32::try_from(retry_after).unwrap_or(u32::MAX);
        Self { retry_after: NonZeroU32::new(seconds), ..error }
    }

    /// 403 for a reason that a program can tell from others.
    pub fn forbidden_as(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 500: the caller learns nothing; the log gets the cause.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let message = "something went wrong on our side";
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message);
        Self { cause: Some(cause.to_string().into()), ..error }
    }

    /// With its cause, for who runs the place and not for callers.
    pub fn in_full(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// The status that the caller is told.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Whether the request is to blame, and sending it again cannot help.
    pub fn is_of_caller(&self) -> bool {
        self.status.is_client_error()
    }

    /// Refused by a limit, which the answer's headers tell of.
    pub(crate) fn of_limit(self, left: Left) -> Self {
        Self { limit: Some(Box::new(left)), ..self }
    }

    /// With particulars.
    pub fn with_details(self, details: Vec<Detail>) -> Self {
        Self { details, ..self }
    }

    /// Keeps a cause for the log.
    pub fn because(self, cause: impl fmt::Display) -> Self {
        Self { cause: Some(cause.to_string().into()), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (index, detail) in self.details.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{} {}", detail.field, detail.message)?;
        }
        Ok(())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
