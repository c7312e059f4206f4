//! What went well, as the caller is told.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::Error;

/// A success. The envelope's layer gives it its form.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) data: Box<RawValue>,
    pub(crate) position: Option<String>,
    pub(crate) list: Option<List>,
    pub(crate) etag: Option<String>,
    pub(crate) location: Option<String>,
}

/// How a list goes on.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) count: usize,
    pub(crate) next_cursor: Option<String>,
}

impl Answer {
    /// 200 with data.
    pub fn ok(data: &impl Serialize) -> Result<Self, Error> {
        let data = serde_json::value::to_raw_value(data).map_err(Error::internal)?;
        let status = StatusCode::OK;
        Ok(Self { status, data, position: None, list: None, etag: None, location: None })
    }

    /// 201: something was made, and there it is.
    pub fn created(self, location: impl Into<String>) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location.into()), ..self }
    }

    /// 202: it is taken, and will be done.
    pub fn accepted(self) -> Self {
        Self { status: StatusCode::ACCEPTED, ..self }
    }

    /// The position of the log at which the answer stands.
    pub fn at(self, position: impl ToString) -> Self {
        Self { position: Some(position.to_string()), ..self }
    }

    /// The data is a list of so many entries that goes on at a cursor.
    pub fn list(self, count: usize, next_cursor: Option<String>) -> Self {
        Self { list: Some(List { count, next_cursor }), ..self }
    }

    /// The entity tag of what is answered, without its quotes.
    pub fn etag(self, tag: impl Into<String>) -> Self {
        Self { etag: Some(tag.into()), ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        let etag = self.etag.as_ref().map(|tag| format!("\"{tag}\""));
        for (name, value) in
            [(header::ETAG, etag.as_deref()), (header::LOCATION, self.location.as_deref())]
        {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        response.extensions_mut().insert(self);
        response
    }
}
