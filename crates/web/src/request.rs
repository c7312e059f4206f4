//! What a request says about itself, beside its body.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, request::Parts},
};
use uuid::Uuid;

use crate::{Detail, Error};

/// Ids of a request that come from its headers or are made on arrival.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// `X-Request-ID`, made here when the client sent none.
    pub request_id: Arc<str>,
    /// `X-Device-ID`, an opaque id that the client chose for its device.
    pub device: Option<String>,
    /// The trace that it belongs to.
    pub trace: Option<Trace>,
}

/// A request's place in a trace, after W3C Trace Context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace: the caller's (`traceparent`), or one that begins here.
    pub id: u128,
    /// The request.
    pub span: u64,
    /// What the caller was doing, if they said so.
    pub parent: Option<u64>,
}

impl Trace {
    /// Of a request with these headers, which is given ids at random.
    pub(crate) fn of(headers: &HeaderMap, trace: Uuid, request: Uuid) -> Self {
        let span = request.as_u64_pair().1;
        let said = headers.get("traceparent").and_then(|value| parent(value.to_str().ok()?));
        match said {
            Some((id, parent)) => Self { id, span, parent: Some(parent) },
            None => Self { id: trace.as_u128(), span, parent: None },
        }
    }
}

/// Trace and span of a `traceparent`: `00-<32 digits>-<16 digits>-<2 digits>`, and more in versions to
/// come.
fn parent(text: &str) -> Option<(u128, u64)> {
    let mut parts = text.split('-');
    let mut digits = |count: usize| {
        let part = parts.next().filter(|part| part.len() == count)?;
        let known = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        part.bytes().all(known).then_some(part)
    };
    let version = digits(2).filter(|version| *version != "ff")?;
    let (trace, span, _flags) = (digits(32)?, digits(16)?, digits(2)?);
    if version == "00" && parts.next().is_some() {
        return None;
    }
    let (trace, span) = (u128::from_str_radix(trace, 16), u64::from_str_radix(span, 16));
    Some((trace.ok()?, span.ok()?)).filter(|(trace, span)| *trace != 0 && *span != 0)
}

/// A header of which only one can be meant: who sends two is told so, by the name that they are told.
pub fn once<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, Error> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Error::validation(vec![Detail::new(name, "must be given once")]));
    }
    Ok(value)
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

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{once, parent};

    #[test]
    fn of_a_header_that_is_given_twice_neither_is_taken() {
        let mut headers = HeaderMap::new();
        assert!(once(&headers, "If-Match").unwrap().is_none());
        headers.append("if-match", HeaderValue::from_static("*"));
        assert_eq!(once(&headers, "If-Match").unwrap().unwrap(), "*");
        headers.append("if-match", HeaderValue::from_static("*"));
        assert_eq!(once(&headers, "If-Match").unwrap_err().details[0].field, "If-Match");
    }

    #[test]
    fn only_what_the_standard_knows_is_a_parent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let found = Some((0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331));
        assert_eq!(parent(good), found);
        assert_eq!(parent(&good.replacen("00", "01", 1)), found, "versions to come begin alike");
        assert_eq!(parent(&format!("{}-more", good.replacen("00", "cc", 1))), found);
        for bad in [
            "",
            "00",
            &good.to_uppercase(),
            &good[..54],
            &format!("{good}-more"),
            &good.replacen("00", "ff", 1),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        ] {
            assert_eq!(parent(bad), None, "{bad}");
        }
    }
}
