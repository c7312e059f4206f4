//! `ironledger status`: how far the read models are.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use log::Database;
use projections::MODELS;
use projector::{ModelStatus, Observer, State};
use tokio::time::sleep;

use super::say;
use crate::{
    app,
    settings::{User, Where},
};

/// Rates are those between two looks.
const BETWEEN: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Look again every second, until interrupted.
    #[arg(long)]
    watch: bool,

    /// One JSON object a look.
    #[arg(long)]
    json: bool,

    /// A line for each partition too.
    #[arg(long)]
    partitions: bool,

    #[command(flatten)]
    place: Where,
}

/// Ends with 1 when a model is missing or stands still.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let url = arguments.place.url(User::Api)?;
    let database = Database::new(&url, "ironledger status", 2)?;
    let observer = Observer::new(database.pool, MODELS);
    let stop = app::stop_signal()?;
    observer.look().await?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
            () = sleep(BETWEEN) => {}
        }
        let models = observer.look().await?;
        if arguments.json {
            say!("{}", serde_json::to_string(&models)?);
        } else {
            if arguments.watch {
                // To the top left, and nothing below.
                say!("\x1b[H\x1b[J");
            }
            say!("{}", table(&models, arguments.partitions));
        }
        if !arguments.watch {
            let is_well =
                models.iter().all(|model| !matches!(model.state, State::Missing | State::Stuck));
            return Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

fn table(models: &[ModelStatus], with_partitions: bool) -> String {
    let mut text = format!(
        "{:<16} {:<9} {:>12} {:>9} {:>11} {:>8} {:>7} {:>8}",
        "MODEL", "STATE", "LAG EVENTS", "LAG", "EVENTS/S", "ETA", "PARKED", "WAITING"
    );
    for model in models {
        text += &format!(
            "\n{:<16} {:<9} {:>12} {:>9} {:>11} {:>8} {:>7} {:>8}",
            model.model,
            model.state.name(),
            model.lag_events,
            seconds(Some(model.lag_seconds)),
            rate(model.events_per_second),
            seconds(model.eta_seconds),
            model.parked_events,
            model.waiting_events,
        );
        if let Some(replay) = &model.replay {
            text += &format!("\n  {}", replay.in_words());
        }
        for trouble in &model.troubles {
            text += &format!("\n  {trouble}");
        }
        let partitions = model.partitions.iter().filter(|_| with_partitions);
        for at in partitions {
            text += &format!(
                "\n  {:<14} {:<9} {:>12} {:>9} {:>11} {:>8}",
                format!("partition {}", at.partition),
                format!("at {}", at.position),
                at.lag_events,
                seconds(Some(at.lag_seconds)),
                rate(at.events_per_second),
                seconds(at.eta_seconds),
            );
        }
    }
    text
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"))
}

fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 600.0 => format!("{seconds:.1} s"),
        Some(seconds) => format!("{:.0} min", seconds / 60.0),
    }
}
