//! The program: one binary with a subcommand for every process of the product.

mod access_log;
mod accounts;
mod announce;
mod app;
mod cli;
mod commands;
mod idempotency;
mod import;
mod metrics;
mod routes;
mod scheduler;
mod settings;
mod shown;
mod telemetry;
mod traces;

use std::{io::Write, process::ExitCode};

use clap::Parser;

/// Appends and answers are many small texts, made on one thread and dropped on another: 3 % more
/// appends a second than with the system's allocator (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The backend of a strength-training app: an event-sourced log of every set.
#[derive(Parser)]
#[command(name = "ironledger", version)]
struct Arguments {
    /// How to write log lines to standard error: by default JSON, and text on a terminal.
    #[arg(long, global = true, value_enum)]
    log_format: Option<telemetry::Format>,

    #[command(subcommand)]
    command: cli::Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let watched = !arguments.command.is_service();
    // The only other choice of TLS would bring a second build of everything.
    let _ = rustls::crypto::ring::default_provider().install_default();
    telemetry::start(arguments.log_format, watched, arguments.command.is_measured());
    let ran = match traces::start(arguments.command.name()) {
        Ok(()) => arguments.command.run().await,
        Err(error) => Err(error),
    };
    traces::end();
    ran.unwrap_or_else(|error| {
        // One line with its causes: a backtrace would tell the person nothing.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
