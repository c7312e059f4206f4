//! What Prometheus asks: `/metrics`, on an address of its own, which strangers cannot reach.
//!
//! Counters and durations are recorded where things happen, by the `metrics` crate; how far the
//! read models are is looked up when somebody asks.

use std::sync::Arc;

use anyhow::Context as _;
use axum::{
    Router,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use projector::{ModelStatus, Observer, State};
use tokio_util::sync::CancellationToken;

use crate::{app, cli::say};

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of counts of events.
const EVENTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Where Prometheus may ask.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MetricsAt {
    /// Where to serve `/metrics` for Prometheus; not served without it. It asks for no token, so let
    /// nobody else reach it.
    #[arg(long, env = "IRONLEDGER_METRICS_LISTEN")]
    metrics_listen: Option<String>,
}

impl MetricsAt {
    /// Whether they are served.
    pub(crate) fn are_wanted(&self) -> bool {
        self.address().is_some()
    }

    /// An empty variable, as compose files have, is none.
    fn address(&self) -> Option<&str> {
        self.metrics_listen.as_deref().filter(|address| !address.is_empty())
    }

    /// Serves them until told to stop, if they are wanted; how far models are is the observer's.
    pub(crate) async fn serve(
        &self,
        models: Arc<Observer>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(address) = self.address() else { return Ok(()) };
        let listener = app::listen(address).await?;
        let batches = Matcher::Full("append_batch_size".to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)?
            .set_buckets_for_metric(batches, &EVENTS)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).context("metrics are served once")?;
        describe();
        say!("metrics on http://{}/metrics", listener.local_addr()?);
        let router = Router::new().route("/metrics", get(show)).with_state((handle, models));
        tokio::spawn(async move {
            let serving =
                axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "metrics are not served any more");
            }
        });
        Ok(())
    }
}

async fn show(Shared((handle, models)): Shared<(PrometheusHandle, Arc<Observer>)>) -> Response {
    // Without the database, what is counted here is still worth having.
    match models.look().await {
        Ok(all) => all.iter().for_each(record),
        Err(error) => tracing::warn!(%error, "how far the models are is not known"),
    }
    // Not where the model is not built.
    if let Ok(open) = projections::open::count(models.pool()).await {
        gauge!("active_workouts").set(open as f64);
    }
    let pool = models.pool();
    let busy = usize::try_from(pool.size()).unwrap_or_default().saturating_sub(pool.num_idle());
    gauge!("active_connections").set(busy as f64);
    handle.run_upkeep();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, kind, handle.render()).into_response()
}

fn describe() {
    describe_counter!("http_requests_total", "Requests that were answered.");
    describe_histogram!(
        "http_request_duration_seconds",
        Unit::Seconds,
        "How long a request took, from its head to the head of its answer."
    );
    describe_counter!(
        "cache_requests_total",
        "Readings whose answers are kept, by where they were found."
    );
    describe_histogram!(
        "redis_operation_duration_seconds",
        Unit::Seconds,
        "How long Redis took to answer, or was waited for."
    );
    describe_histogram!(
        "db_query_duration_seconds",
        Unit::Seconds,
        "How long statements took, from their sending to their last row."
    );
    describe_gauge!("active_connections", "Connections to Postgres that are in use.");
    describe_histogram!(
        "append_batch_size",
        "Events that one statement appended, of all commands that came together."
    );
    describe_histogram!(
        "append_duration_seconds",
        Unit::Seconds,
        "How long the statement took that appended them, to the commit."
    );
    describe_gauge!("active_workouts", "Workouts that go on.");
    describe_counter!(
        "ironledger_abandoned_workouts_total",
        "Workouts that were left open and are closed here."
    );
    describe_counter!("ironledger_board_reads_total", "Leaderboards shown, by who told of them.");
    describe_counter!(
        "ironledger_boards_built_total",
        "How often all leaderboards in Redis were made anew."
    );
    describe_gauge!("ironledger_board_streams", "Streams of leaderboards that go on.");
    describe_gauge!("ironledger_projection_lag_events", "Events that a model has not read.");
    describe_gauge!(
        "ironledger_projection_lag_seconds",
        Unit::Seconds,
        "Age of the oldest event that a model has not read."
    );
    describe_gauge!("ironledger_projection_position", "How far a model has read.");
    describe_gauge!("ironledger_log_position", "How long the log is.");
    describe_gauge!("ironledger_projection_drain_rate", "Events that a model reads a second.");
    describe_gauge!(
        "ironledger_projection_eta_seconds",
        Unit::Seconds,
        "How long until a model has read everything; NaN while it does not gain on the log."
    );
    describe_gauge!("ironledger_projection_state", "1 at the state that a model is in.");
    describe_gauge!(
        "ironledger_projection_parked_events",
        "Events set aside: those that failed, and those that wait behind them."
    );
    describe_gauge!("ironledger_replay_done_events", "Events that a replay has read.");
    describe_gauge!("ironledger_replay_total_events", "Events that a replay has to read.");
    describe_counter!("ironledger_projected_events_total", "Events that this process projected.");
    describe_counter!("ironledger_parked_events_total", "Events that this process set aside.");
    describe_counter!("ironledger_projection_failures_total", "Batches that failed here.");
    describe_counter!(
        "ironledger_access_log_lost_total",
        "What happened at the door and is not written down: too much waited."
    );
    describe_histogram!(
        "ironledger_projection_batch_seconds",
        Unit::Seconds,
        "How long a batch takes, from its events to the commit."
    );
}

fn record(status: &ModelStatus) {
    let model = status.model;
    for at in &status.partitions {
        let partition = at.partition.to_string();
        let set = |name: &'static str, value: f64| {
            gauge!(name, "model" => model, "partition" => partition.clone()).set(value);
        };
        set("ironledger_projection_lag_events", at.lag_events as f64);
        set("ironledger_projection_lag_seconds", at.lag_seconds);
        set("ironledger_projection_position", at.position as f64);
        set("ironledger_projection_drain_rate", at.events_per_second.unwrap_or(0.0));
        set("ironledger_projection_eta_seconds", at.eta_seconds.unwrap_or(f64::NAN));
        gauge!("ironledger_log_position", "partition" => partition.clone()).set(at.head as f64);
    }
    for state in State::ALL {
        gauge!("ironledger_projection_state", "model" => model, "state" => state.name())
            .set(f64::from(u8::from(status.state == state)));
    }
    for (kind, count) in [("failed", status.parked_events), ("waiting", status.waiting_events)] {
        gauge!("ironledger_projection_parked_events", "model" => model, "kind" => kind)
            .set(count as f64);
    }
    let replay = status.replay.as_ref();
    let (done, total) = replay.map_or((0, 0), |replay| (replay.done, replay.total));
    gauge!("ironledger_replay_done_events", "model" => model).set(done as f64);
    gauge!("ironledger_replay_total_events", "model" => model).set(total as f64);
}
