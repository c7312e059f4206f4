//! A typed client of the HTTP interface, as tests use it.

pub use reqwest::Method;
use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::document;

/// The password of every test athlete.
pub const PASSWORD: &str = "correct horse battery";

/// A fresh id, as a client makes them.
pub fn new_id() -> Uuid {
    log::Random::system().uuid(log::Clock::system().now())
}

/// An e-mail address that nobody has.
pub fn email() -> String {
    format!("{}@example.com", new_id().simple())
}

/// What sends requests. TLS is that of the product, which installs it likewise.
pub fn http() -> reqwest::ClientBuilder {
    // A second time it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// Somebody who sends requests: nobody known, or an athlete with a token.
///
/// It belongs to the runtime of the test that made it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    /// Whether limits hold for it.
    pub is_limited: bool,
    /// More headers, for every request.
    pub headers: Vec<(&'static str, String)>,
    /// The access token.
    pub token: Option<String>,
    /// The refresh token, once signed in.
    pub refresh_token: Option<String>,
    /// The athlete's id, once registered.
    pub athlete: Option<Uuid>,
    /// The address it registered with.
    pub email: Option<String>,
}

impl Client {
    /// Somebody who has not signed in.
    pub fn anonymous(url: &str) -> Self {
        Self {
            http: http().build().expect("a client"),
            url: url.to_owned(),
            is_limited: false,
            headers: Vec::new(),
            token: None,
            refresh_token: None,
            athlete: None,
            email: None,
        }
    }

    /// Registers an athlete, who is the caller from then on.
    pub async fn register(&self, email: &str, time_zone: &str) -> Self {
        let body = json!({ "email": email, "password": PASSWORD, "time_zone": time_zone });
        let answer = self.post("/v1/auth/register", body).await.expect(201);
        let athlete = answer.data()["athlete"].as_str().expect("an athlete's id");
        Self {
            athlete: Some(athlete.parse().expect("a UUID")),
            email: Some(email.to_owned()),
            ..self.with_tokens(answer.data())
        }
    }

    /// The same athlete with a new token, since tokens are good for a while only.
    pub async fn signed_in_again(&self) -> Self {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let answer = self.anonymously().post("/v1/auth/login", body).await.expect(200);
        self.with_tokens(answer.data())
    }

    /// Somebody at the same address who has not signed in.
    pub fn anonymously(&self) -> Self {
        let headers = Vec::new();
        Self {
            headers,
            token: None,
            refresh_token: None,
            athlete: None,
            email: None,
            ..self.clone()
        }
    }

    /// The same with the tokens of an answer to signing in.
    pub fn with_tokens(&self, data: &Value) -> Self {
        Self {
            refresh_token: data["refresh_token"].as_str().map(str::to_owned),
            ..self.with_token(data["access_token"].as_str().expect("a token"))
        }
    }

    /// The same with limits.
    pub fn limited(&self) -> Self {
        Self { is_limited: true, ..self.clone() }
    }

    /// The same with one more header on every request.
    pub fn with(&self, name: &'static str, value: impl ToString) -> Self {
        let mut headers = self.headers.clone();
        headers.push((name, value.to_string()));
        Self { headers, ..self.clone() }
    }

    /// The same as a coach who acts for somebody.
    pub fn acting_for(&self, client: &Self) -> Self {
        self.with("x-acting-for", client.athlete.expect("an athlete who has registered"))
    }

    /// The same athlete, at another address.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// The same, with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A request to a path, with the token if there is one.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !self.is_limited {
            request = request.header("x-internal-bypass", crate::BYPASS_KEY);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// `GET`, once the model stands at a position.
    pub async fn get_at(&self, path: &str, position: &str) -> Answer {
        Answer::to(self.request(Method::GET, path).header("x-min-position", position)).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    /// `POST` of any bytes, said to be JSON.
    pub async fn post_bytes(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        Answer::to(request.body(body.into())).await
    }

    /// `PATCH` of JSON.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::PATCH, path).json(&body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// A command with an `Idempotency-Key`; no body where it is `null`.
    pub async fn keyed(&self, key: &str, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, path).header("idempotency-key", key);
        Answer::to(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// Starts a workout; answers its path.
    pub async fn start_workout(&self, body: Value) -> String {
        let answer = self.post("/v1/workouts", body).await.expect(201);
        answer.header("location").to_owned()
    }

    /// Logs a set in the workout of a path.
    pub async fn log_set(&self, workout: &str, body: Value) -> Answer {
        self.post(&format!("{workout}/sets"), body).await
    }

    /// Logs one set of bench press in the workout of a path; answers the set's path.
    pub async fn log_bench(&self, workout: &str, reps: u32, kg: u32) -> String {
        let answer = self.log_set(workout, bench(reps, kg)).await.expect(201);
        answer.header("location").to_owned()
    }

    /// Completes the workout of a path.
    pub async fn complete(&self, workout: &str, body: Value) -> Answer {
        self.post(&format!("{workout}/complete"), body).await
    }

    /// History with a query string, as it is once everything up to a position is in it.
    pub async fn history(&self, query: &str, position: &str) -> Answer {
        self.get_at(&format!("/v1/history?{query}"), position).await.expect(200)
    }
}

/// The body of a set of bench press.
pub fn bench(reps: u32, kg: u32) -> Value {
    json!({
        "exercise": "bench-press-barbell",
        "number": 1,
        "reps": reps,
        "weight": { "value": kg, "unit": "kg" },
    })
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `null` when it is no JSON.
    pub body: Value,
}

impl Answer {
    /// Sends a request. A 500 fails the test at once: no request may lead to one. So does an answer
    /// that the OpenAPI document does not describe.
    pub async fn to(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let (method, url) = (request.method().clone(), request.url().clone());
        let response = client.execute(request).await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
        // A stream has no end to wait for.
        let text = match content_type {
            Some("text/event-stream") => "\"\"".to_owned(),
            _ => response.text().await.expect("the body of an answer"),
        };
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
        let body = serde_json::from_str(&text).unwrap_or_default();
        document::hold(&method, &url, status.as_u16(), content_type.unwrap_or_default(), &body);
        Self { status: status.as_u16(), headers, body }
    }

    /// Holds the answer to a status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Holds the answer to a status and the code of its failure.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.error_code()), (status, code), "{}", self.body);
        self
    }

    /// What was asked for.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// The entries of a list.
    pub fn list(&self) -> &[Value] {
        self.data().as_array().map(Vec::as_slice).expect("a list")
    }

    /// A field of every entry of a list.
    pub fn each(&self, field: &str) -> Vec<&Value> {
        self.list().iter().map(|entry| &entry[field]).collect()
    }

    /// What is said about the answer.
    pub fn meta(&self) -> &Value {
        &self.body["meta"]
    }

    /// Where in the log the answer stands.
    #[track_caller]
    pub fn position(&self) -> &str {
        self.meta()["position"].as_str().expect("a position")
    }

    /// The word for what went wrong.
    pub fn error_code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The fields that were wrong, by name.
    pub fn error_fields(&self) -> Vec<&str> {
        let details = self.body["error"]["details"].as_array().into_iter().flatten();
        let mut fields: Vec<&str> = details.filter_map(|detail| detail["field"].as_str()).collect();
        fields.sort_unstable();
        fields
    }

    /// A header that must be there.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.to_str().expect("a plain header")
    }
}
