//! What went well, as the caller is told.

use std::marker::PhantomData;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Error, document::fields_of, query::Fields};

/// A success with data of a type, which is what the document says of the route. The envelope's layer
/// gives it its form.
#[derive(Debug)]
pub struct Answer<T> {
    pub(crate) told: Told,
    of: PhantomData<fn() -> T>,
}

/// The same, whatever the type of its data.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) data: Box<RawValue>,
    pub(crate) position: Option<String>,
    pub(crate) list: Option<List>,
    /// Of a single resource, what `If-Match` compares.
    pub(crate) version: Option<String>,
    pub(crate) location: Option<String>,
    /// The fields that `fields=` may name; none of an answer that was kept.
    pub(crate) fields: Option<fn() -> Fields>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// How a list goes on.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub(crate) struct List {
    pub(crate) count: usize,
    pub(crate) next_cursor: Option<String>,
}

impl Told {
    /// 200 with data.
    pub(crate) fn ok(data: Box<RawValue>) -> Self {
        Self {
            status: StatusCode::OK,
            data,
            position: None,
            list: None,
            version: None,
            location: None,
            fields: None,
            headers: Vec::new(),
        }
    }
}

impl<T: Serialize + JsonSchema> Answer<T> {
    /// 200 with data.
    pub fn ok(data: &T) -> Result<Self, Error> {
        let data = serde_json::value::to_raw_value(data).map_err(Error::internal)?;
        Ok(Self::of_raw(data))
    }
}

impl<T: Serialize + JsonSchema> Answer<Vec<T>> {
    /// 200 with a list that goes on at a cursor.
    pub fn list(entries: &[T], next_cursor: Option<String>) -> Result<Self, Error> {
        let data = serde_json::value::to_raw_value(entries).map_err(Error::internal)?;
        let mut answer = Self::of_raw(data);
        answer.told.list = Some(List { count: entries.len(), next_cursor });
        Ok(answer)
    }
}

impl<T: JsonSchema> Answer<T> {
    fn of_raw(data: Box<RawValue>) -> Self {
        let fields = Some(names::<T> as fn() -> Fields);
        Self { told: Told { fields, ..Told::ok(data) }, of: PhantomData }
    }
}

/// The names of the fields of a type, or of the entries of a list.
pub(crate) fn names<T: JsonSchema>() -> Fields {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let schema = generator.into_root_schema_for::<T>();
    Fields(fields_of(schema.as_value(), schema.as_value()))
}

impl<T> Answer<T> {
    /// 201: something was made, and there it is.
    pub fn created(mut self, location: impl Into<String>) -> Self {
        self.told.status = StatusCode::CREATED;
        self.told.location = Some(location.into());
        self
    }

    /// 202: it is taken, and will be done.
    pub fn accepted(mut self) -> Self {
        self.told.status = StatusCode::ACCEPTED;
        self
    }

    /// The position of the log at which the answer stands.
    pub fn at(mut self, position: impl ToString) -> Self {
        self.told.position = Some(position.to_string());
        self
    }

    /// The version of the single resource that is shown, which `If-Match` compares.
    pub fn version(mut self, version: impl ToString) -> Self {
        self.told.version = Some(version.to_string());
        self
    }

    /// With one header more.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.told.headers.push((name, value));
        self
    }
}

impl<T> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        self.told.into_response()
    }
}

impl IntoResponse for Told {
    fn into_response(mut self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        if let Some(Ok(location)) = self.location.as_deref().map(HeaderValue::from_str) {
            headers.insert(header::LOCATION, location);
        }
        for (name, value) in self.headers.drain(..) {
            headers.append(name, value);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// An answer of 201, as the document says it.
#[derive(Debug)]
pub struct Created<T>(pub Answer<T>);

/// An answer of 202, as the document says it.
#[derive(Debug)]
pub struct Accepted<T>(pub Answer<T>);

impl<T> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl<T> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
