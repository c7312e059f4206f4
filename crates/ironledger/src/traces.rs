//! Traces: what a request led to, told to a collector by OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` names one.
//!
//! Spans are made of what the log has anyway: the trace of a request is the correlation of its
//! events, and the append of a command is a span of the last eight bytes of their causation. So
//! whoever reads an event knows what to say where it came from, in any process and at any later time.

use std::{sync::OnceLock, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use events::Metadata;
use log::Clock;
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor},
};
use web::envelope::Served;

/// The standard's own name for where the collector is.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Which part of all traces is told: 1 by default, 0.01 for one in a hundred. The same everywhere, or
/// traces have holes.
const RATIO: &str = "IRONLEDGER_TRACES_RATIO";

/// At its end, a process tells what it still has for so long.
const LAST: Duration = Duration::from_secs(2);

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    /// Traces whose last 62 bits are less are told.
    below: u64,
}

/// Ids of before 62 bits are those of the version and variant of a UUID.
const BITS: u32 = 62;

/// A span whose ids are known.
struct Span {
    trace: u128,
    id: u64,
    parent: Option<u64>,
    kind: SpanKind,
    name: String,
    began: DateTime<Utc>,
    failed: bool,
    attributes: Vec<KeyValue>,
}

/// Begins to tell a collector, if there is one. Fails when what is configured makes no sense.
pub(crate) fn start(process: &'static str) -> anyhow::Result<()> {
    if std::env::var_os(ENDPOINT).is_none_or(|endpoint| endpoint.is_empty()) {
        return Ok(());
    }
    let ratio = match std::env::var(RATIO) {
        Ok(text) => text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)),
        Err(_) => Some(1.0),
    };
    let ratio: f64 = ratio.with_context(|| format!("{RATIO} must be a number from 0 to 1"))?;
    let exporter = SpanExporter::builder().with_http().build();
    let exporter = exporter.with_context(|| format!("{ENDPOINT} names no collector"))?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let name = format!("ironledger-{process}");
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name(name).with_attribute(version);
    processor.set_resource(&resource.build());
    let scope = InstrumentationScope::builder("ironledger").build();
    let below = (ratio * (1_u64 << BITS) as f64) as u64;
    TRACES.set(Traces { processor, scope, below }).ok();
    Ok(())
}

/// Tells what is left.
pub(crate) fn end() {
    if let Some(traces) = TRACES.get()
        && let Err(error) = traces.processor.shutdown_with_timeout(LAST)
    {
        tracing::warn!(%error, "the last traces are not told");
    }
}

/// Whether anybody hears.
pub(crate) fn are_told() -> bool {
    TRACES.get().is_some()
}

/// A request that was answered.
pub(crate) fn request(served: &Served<'_>) {
    let Some(traces) = TRACES.get() else { return };
    traces.tell(served.trace.id, || Span {
        trace: served.trace.id,
        id: served.trace.span,
        parent: served.trace.parent,
        kind: SpanKind::Server,
        name: format!("{} {}", served.method, served.route),
        began: served.began,
        failed: served.status >= 500,
        attributes: vec![
            KeyValue::new("http.request.method", served.method.to_string()),
            KeyValue::new("http.route", served.route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(served.status)),
            KeyValue::new("ironledger.request_id", served.request_id.to_owned()),
        ],
    });
}

/// The append of a command's events, the first of which has this metadata.
pub(crate) fn append(
    first: &Metadata,
    request: Option<u64>,
    events: usize,
    began: DateTime<Utc>,
    failed: bool,
) {
    let Some(traces) = TRACES.get() else { return };
    let trace = first.correlation.as_u128();
    traces.tell(trace, || Span {
        trace,
        id: span_of(first),
        parent: request,
        kind: SpanKind::Internal,
        name: "append".to_owned(),
        began,
        failed,
        attributes: vec![KeyValue::new("ironledger.events", i64::try_from(events).unwrap_or(-1))],
    });
}

/// An event that a read model has taken in.
pub(crate) fn projected(model: &'static str, event: &projector::Taken<'_>, began: DateTime<Utc>) {
    let Some(traces) = TRACES.get() else { return };
    let trace = event.metadata.correlation.as_u128();
    traces.tell(trace, || Span {
        trace,
        // Of this event in this model alone, and the same when it is told twice.
        id: span_of(&event.metadata) ^ hash(&(model, event.partition, event.position)),
        parent: Some(span_of(&event.metadata)),
        kind: SpanKind::Consumer,
        name: format!("project {model}"),
        began,
        failed: false,
        attributes: vec![
            KeyValue::new("ironledger.event", event.kind.to_owned()),
            KeyValue::new("ironledger.partition", i64::from(event.partition)),
            KeyValue::new("ironledger.position", event.position),
        ],
    });
}

/// The span of the append that an event came with.
fn span_of(metadata: &Metadata) -> u64 {
    metadata.causation.as_u64_pair().1
}

fn hash(of: &impl std::hash::Hash) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Traces {
    fn tell(&self, trace: u128, span: impl FnOnce() -> Span) {
        let low = u64::try_from(trace & ((1 << BITS) - 1)).unwrap_or(u64::MAX);
        if low >= self.below {
            return;
        }
        let span = span();
        let trace_id = TraceId::from(span.trace);
        let state = TraceState::default();
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                trace_id,
                SpanId::from(span.id),
                TraceFlags::SAMPLED,
                false,
                state,
            ),
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: span.parent.is_some(),
            span_kind: span.kind,
            name: span.name.into(),
            start_time: span.began.into(),
            end_time: Clock::system().now().utc().into(),
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if span.failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
    }
}
