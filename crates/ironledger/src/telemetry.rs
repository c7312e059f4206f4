//! How the program tells what it does: log lines on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

/// Starts logging. `IRONLEDGER_LOG` says what is logged, as in `info` or `warn,log=debug`; by
/// default every request, but only warnings where a person `watches` on a terminal.
pub(crate) fn start(format: Option<Format>, watched: bool) {
    let on_terminal = stderr().is_terminal();
    let default = if watched && on_terminal { "warn" } else { "info,sqlx=warn" };
    let filter =
        EnvFilter::try_from_env("IRONLEDGER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let format = format.unwrap_or(if on_terminal { Format::Text } else { Format::Json });
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        Format::Json => lines.json().flatten_event(true).with_span_list(false).init(),
        Format::Text => lines.with_ansi(on_terminal).with_target(false).init(),
    }
}
