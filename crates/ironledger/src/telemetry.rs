//! How the program tells what it does: log lines on standard error, and durations of statements.

use std::io::{IsTerminal, stderr};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// Where statements are told of by who sends them.
const STATEMENTS: &str = "sqlx::query";

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

/// Starts logging. `IRONLEDGER_LOG` says what is logged, as in `info` or `warn,log=debug`; by
/// default every request and every slow statement, but of commands that a person `watches` no slow
/// statements, and on a terminal only warnings. Statements are `measured` where somebody asks for metrics.
pub(crate) fn start(format: Option<Format>, watched: bool, measured: bool) {
    let on_terminal = stderr().is_terminal();
    let default = match (watched, on_terminal) {
        (true, true) => "warn,sqlx=error",
        (true, false) => "info,sqlx=error",
        (false, _) => "info,sqlx=warn",
    };
    let filter =
        EnvFilter::try_from_env("IRONLEDGER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let format = format.unwrap_or(if on_terminal { Format::Text } else { Format::Json });
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        Format::Text => lines.with_ansi(on_terminal).with_target(false).boxed(),
    };
    let statements = measured.then(|| {
        let told = Targets::new().with_target(STATEMENTS, LevelFilter::DEBUG);
        Statements.with_filter(told)
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(statements).init();
}

/// Measures statements by what is told of them.
struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Took);
    }
}

/// Finds how long a statement took.
struct Took;

impl Visit for Took {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            metrics::histogram!("db_query_duration_seconds").record(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
