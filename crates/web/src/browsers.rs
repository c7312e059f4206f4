//! What browsers are told: which pages may call, and what an answer must not be used for.

use std::{str::FromStr, time::Duration};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// What a page may send.
const SENT: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-acting-for"),
    HeaderName::from_static("x-csrf-token"),
    HeaderName::from_static("x-device-id"),
    HeaderName::from_static("x-min-position"),
    HeaderName::from_static("x-request-id"),
];

/// What a page may read of an answer, besides what all may.
const SHOWN: [HeaderName; 9] = [
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("idempotency-replayed"),
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
    HeaderName::from_static("x-position"),
    HeaderName::from_static("x-request-id"),
];

/// Whose pages may call: `https://app.example.com`, or `*` for everybody's, without cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Everybody's.
    Any,
    /// Those of one.
    One(HeaderValue),
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "must be an origin, such as https://app.example.com, or *";
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_origin = host.is_some_and(|host| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
            !host.is_empty() && host.bytes().all(plain)
        });
        let value = HeaderValue::from_str(text).ok().filter(|_| is_origin);
        value.map(Self::One).ok_or(WANTED)
    }
}

/// The layer that lets pages of these origins call; those of others cannot. What it said is good for so
/// long. `None` where no page may.
pub fn cors(origins: &[Origin], max_age: Duration) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let layer = CorsLayer::new()
        .allow_methods(methods)
        .allow_headers(SENT)
        .expose_headers(SHOWN)
        .max_age(max_age);
    if origins.contains(&Origin::Any) {
        return Some(layer.allow_origin(Any));
    }
    let one = |origin: &Origin| match origin {
        Origin::One(value) => Some(value.clone()),
        Origin::Any => None,
    };
    let all: Vec<HeaderValue> = origins.iter().filter_map(one).collect();
    Some(layer.allow_origin(AllowOrigin::list(all)).allow_credentials(true))
}

/// Says of every answer what it must not be used for. Pages have more rights than data.
pub async fn guard(request: Request, next: Next) -> Response {
    let is_page = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let policy = if is_page {
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Browsers heed it where they came by TLS.
        (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn origins_are_scheme_and_host() {
        for good in ["https://app.example.com", "http://localhost:3000", " https://[::1]:8443 "] {
            assert!(matches!(good.parse(), Ok(Origin::One(_))), "{good}");
        }
        assert_eq!("*".parse(), Ok(Origin::Any));
        for bad in ["", "app.example.com", "https://", "https://a/b", "https://a b", "ftp://a"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
