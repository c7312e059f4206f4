//! An OpenID Connect issuer that vouches for whom a test says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use log::{Clock, Random};
use p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint, pkcs8::EncodePrivateKey};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// What the product is to the issuer.
const CLIENT: &str = "ironledger-test";
const SECRET: &str = "the secret of a test client";

/// Where people are sent back to.
pub const REDIRECT_URI: &str = "https://app.example.com/signed-in";

/// An issuer on loopback, which goes with this value.
pub struct Issuer {
    url: String,
    state: Arc<Inner>,
    _serving: AbortOnDropHandle<()>,
}

struct Inner {
    url: String,
    key: Mutex<SecretKey>,
    /// What is asked for, by code.
    asked: Mutex<HashMap<String, Asked>>,
}

struct Asked {
    query: HashMap<String, String>,
    claims: Value,
    signs: Signs,
}

/// Who signs an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// The issuer, with the key that it shows.
    Issuer,
    /// Somebody else.
    Stranger,
    /// Nobody.
    Nobody,
}

impl Issuer {
    /// Listens on a port of its own.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (key, asked) = (Mutex::new(fresh_key()), Mutex::default());
        let state = Arc::new(Inner { url: url.clone(), key, asked });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(state.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("an issuer that serves");
        });
        Self { url, state, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the product is told of it: one issuer of the name `test`, and the variable with the
    /// secret.
    pub fn configuration(&self) -> (Value, [(&'static str, &'static str); 1]) {
        let provider = json!([{
            "name": "test", "issuer": self.url, "client_id": CLIENT,
            "client_secret_env": "TEST_ISSUER_SECRET", "redirect_uris": [REDIRECT_URI],
        }]);
        (provider, [("TEST_ISSUER_SECRET", SECRET)])
    }

    /// Begins to sign with another key, and shows that one alone.
    pub fn change_key(&self) {
        *self.state.key.lock().unwrap_or_else(PoisonError::into_inner) = fresh_key();
    }

    /// Somebody signs in where the product sent them, and comes back with a code and the state.
    /// `claims` go over what the token would say.
    pub fn sign_in(
        &self,
        authorization_url: &str,
        claims: Value,
        signs: Signs,
    ) -> (String, String) {
        let url: Url = authorization_url.parse().expect("an address");
        assert_eq!(
            url.as_str().split('?').next(),
            Some(format!("{}/authorize", self.url).as_str())
        );
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["redirect_uri"], REDIRECT_URI);
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let (code, state) = (random(), query["state"].clone());
        let asked = Asked { query, claims, signs };
        self.state.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(code.clone(), asked);
        (code, state)
    }
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(Random::system().bytes::<24>())
}

fn fresh_key() -> SecretKey {
    SecretKey::from_slice(&Random::system().bytes::<32>()).expect("a key")
}

async fn configuration(State(issuer): State<Arc<Inner>>) -> Json<Value> {
    let at = |path: &str| format!("{}/{path}", issuer.url);
    Json(json!({
        "issuer": issuer.url,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "jwks_uri": at("keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn keys(State(issuer): State<Arc<Inner>>) -> Json<Value> {
    let key = issuer.key.lock().unwrap_or_else(PoisonError::into_inner).public_key();
    let point = key.to_encoded_point(false);
    let text = |part: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(part.expect("a point"));
    Json(json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
        "x": text(point.x()), "y": text(point.y()),
    }] }))
}

/// A token for a code: once, for who has the secret and knows what the challenge was made of.
async fn token(
    State(issuer): State<Arc<Inner>>,
    headers: axum::http::HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let form_encoded = SECRET.replace(' ', "+");
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{form_encoded}")));
    let is_known = headers.get(header::AUTHORIZATION).is_some_and(|said| said == basic.as_str());
    let code = field("code");
    let asked = issuer.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(code);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
    let asked = asked.filter(|asked| {
        is_known
            && asked.query["code_challenge"] == challenge
            && field("redirect_uri") == REDIRECT_URI
    });
    let Some(asked) = asked else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })))
            .into_response();
    };
    let now = Clock::system().now().utc().timestamp();
    let mut claims = json!({
        "iss": issuer.url, "aud": CLIENT, "iat": now, "exp": now + 300,
        "nonce": asked.query["nonce"],
    });
    claims
        .as_object_mut()
        .expect("an object")
        .extend(asked.claims.as_object().expect("an object").clone());
    let own = issuer.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let key = if asked.signs == Signs::Stranger { fresh_key() } else { own };
    let der = key.to_pkcs8_der().expect("a key");
    let key = EncodingKey::from_ec_der(der.as_bytes());
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key);
    let mut id_token = signed.expect("a token");
    if asked.signs == Signs::Nobody {
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        id_token = format!("{head}.{}.", id_token.split('.').nth(1).expect("the claims"));
    }
    Json(json!({ "access_token": random(), "token_type": "Bearer", "id_token": id_token }))
        .into_response()
}
