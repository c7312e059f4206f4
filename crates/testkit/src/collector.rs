//! A collector of traces that takes OTLP as JSON over HTTP.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A span, as the collector was told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What told of it: `service.name`.
    pub service: String,
    /// Its name.
    pub name: String,
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// The span that it belongs to; empty where it is the first.
    pub parent: String,
}

/// A collector on loopback, which goes with this value.
pub struct Collector {
    url: String,
    told: Told,
    _serving: AbortOnDropHandle<()>,
}

type Told = Arc<Mutex<Vec<Span>>>;

impl Collector {
    /// Listens on a port of its own.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let told = Told::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(told.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a collector that serves");
        });
        Self { url, told, _serving: AbortOnDropHandle::new(serving) }
    }

    /// What a process has in its environment that tells this collector, and soon.
    pub fn environment(&self) -> [(&str, &str); 3] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]
    }

    /// Everything that was told up to now.
    pub fn told(&self) -> Vec<Span> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take(State(told): State<Told>, Json(body): Json<Value>) -> Json<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in each(&body["resourceSpans"]) {
        let attributes = each(&resource["resource"]["attributes"]);
        let service = attributes.iter().find(|attribute| attribute["key"] == "service.name");
        let service = service.map(|service| text(&service["value"]["stringValue"]));
        for span in each(&resource["scopeSpans"]).iter().flat_map(|scope| each(&scope["spans"])) {
            told.push(Span {
                service: service.clone().unwrap_or_default(),
                name: text(&span["name"]),
                trace: text(&span["traceId"]),
                id: text(&span["spanId"]),
                parent: text(&span["parentSpanId"]),
            });
        }
    }
    Json(json!({}))
}
