//! What a request says about itself, beside its body.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

/// Ids of a request that come from its headers or are made on arrival.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// `X-Request-ID`, made here when the client sent none.
    pub request_id: Arc<str>,
    /// `X-Device-ID`, an opaque id that the client chose for its device.
    pub device: Option<String>,
}

/// A header's value when it is a plain id: 1 to 64 letters, digits, dots, dashes, underscores.
pub fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    let plain = (1..=64).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    plain.then(|| value.to_owned())
}

impl<S: Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
