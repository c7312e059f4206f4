//! `ironledger replay`: a read model built anew beside the live one, and swapped in.

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use log::{Database, Reader};
use projections::{MODELS, with_model};
use projector::{Difference, Options, Phase, Projection, Replay, ReplayError, Replayed, Step};
use serde_json::json;
use tokio::{sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{projector::name, say};
use crate::{
    app,
    settings::{User, Where},
};

/// A line about progress comes so often where there is no terminal.
const PLAIN: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    instead: Option<Instead>,

    /// Which model.
    #[arg(value_parser = name(), required_unless_present = "all")]
    model: Option<String>,

    /// Every model, one after the other.
    #[arg(long, conflicts_with = "model")]
    all: bool,

    /// Compare the new rows with the live ones, row by row, before the swap; nothing is swapped if
    /// they differ.
    #[arg(long)]
    verify: bool,

    /// Swap though they differ, as they do after a repair.
    #[arg(long, requires = "verify")]
    accept_differences: bool,

    /// Swap though the new model sets more events aside than the live one.
    #[arg(long)]
    accept_parked: bool,

    /// Partitions that are loaded at the same time: by default as many as there are cores.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,

    /// Read at most so many events a second.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    throttle: Option<u32>,

    /// One JSON object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Where,
}

#[derive(clap::Subcommand)]
enum Instead {
    /// Put the model back that the last replay replaced, brought up to date.
    Rollback {
        /// Which model.
        #[arg(value_parser = name())]
        model: String,
    },
    /// Throw away what a replay has built that will not be gone on with.
    Abandon {
        /// Which model.
        #[arg(value_parser = name())]
        model: String,
    },
    /// Throw away the model that the last replay replaced.
    Prune {
        /// Which model.
        #[arg(value_parser = name())]
        model: String,
    },
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let url = arguments.place.url(User::Projector)?;
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let workers = arguments.workers.map_or(cores, usize::from);
    let database = Database::new(&url, "ironledger replay", u32::try_from(workers + 4)?)?;
    let options = Options {
        workers,
        throttle: arguments.throttle,
        verify: arguments.verify,
        accept_differences: arguments.accept_differences,
        accept_parked: arguments.accept_parked,
        ..Options::default()
    };
    let stop = app::stop_signal()?;
    match arguments.instead {
        Some(Instead::Rollback { model }) => {
            let done = with_model!(model.as_str(), P => {
                let keys = arguments.place.keys_of::<P>(&database)?;
                let replay = Replay::<P>::new(&database, Reader::open(&database), options, stop);
                replay.with_keys(keys).roll_back().await
            });
            done.transpose().map_err(explained)?;
            say!("{model} is what it was before the last replay");
            return Ok(ExitCode::SUCCESS);
        }
        Some(Instead::Abandon { model }) => {
            let done = with_model!(model.as_str(), P => {
                Replay::<P>::new(&database, Reader::open(&database), options, stop).abandon().await
            });
            match done.transpose().map_err(explained)? {
                Some(true) => say!("what a replay of {model} had built is gone"),
                _ => say!("no replay of {model} was under way"),
            }
            return Ok(ExitCode::SUCCESS);
        }
        Some(Instead::Prune { model }) => {
            let done = with_model!(model.as_str(), P => {
                Replay::<P>::new(&database, Reader::open(&database), options, stop).prune().await
            });
            match done.transpose().map_err(explained)? {
                Some(true) => say!("the earlier {model} is gone"),
                _ => say!("there was no earlier {model}"),
            }
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let wanted: Vec<&str> = match &arguments.model {
        Some(model) => vec![model],
        None => MODELS.iter().map(|model| model.name).collect(),
    };
    let mut is_well = true;
    for model in wanted {
        let replayed = with_model!(model, P => {
            let keys = arguments.place.keys_of::<P>(&database)?;
            let replay =
                Replay::<P>::new(&database, Reader::open(&database), options.clone(), stop.clone());
            self::replay(replay.with_keys(keys), arguments.json).await
        });
        is_well &= replayed.context("a model of that name")??;
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `false` when the new model differs from the live one and so was not swapped in.
async fn replay<P: Projection>(replay: Replay<P>, as_json: bool) -> Result<bool> {
    let showing = AbortOnDropHandle::new(tokio::spawn(show(P::SCHEMA, replay.steps(), as_json)));
    let done = replay.run().await;
    drop(showing);
    let replayed = done.map_err(explained).inspect_err(|error| {
        if as_json {
            let error = format!("{error:#}");
            say!("{}", json!({ "model": P::SCHEMA, "swapped": false, "error": error }));
        }
    })?;
    if as_json {
        say!("{}", summary::<P>(&replayed));
    } else {
        describe::<P>(&replayed);
    }
    Ok(replayed.swapped)
}

/// What the operator can do about it.
fn explained(error: ReplayError) -> anyhow::Error {
    let is_full = matches!(&error, ReplayError::Failed(error) if error.is_full_disk());
    let error = anyhow::Error::from(error);
    if is_full {
        return error.context(
            "the disk is full; the live model is untouched, and the same command goes on from \
             here when there is room",
        );
    }
    error
}

/// Shows progress: a bar on a terminal, lines elsewhere.
async fn show(model: &'static str, mut steps: watch::Receiver<Step>, as_json: bool) {
    let is_plain = as_json || !std::io::stderr().is_terminal();
    let bar = if is_plain { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix} {msg:>11} {wide_bar} {percent}% {human_pos}/{human_len} {per_sec} {eta}",
    ) {
        bar.set_style(style);
    }
    bar.set_prefix(model);
    let mut last: Option<Phase> = None;
    loop {
        let step = *steps.borrow_and_update();
        if as_json {
            say!(
                "{}",
                json!({
                    "model": model,
                    "phase": step.phase.name(),
                    "done": step.done,
                    "total": step.total,
                    "events_per_second": step.events_per_second.round(),
                    "eta_seconds": step.eta().map(|eta| eta.as_secs()),
                })
            );
        } else if is_plain && (last != Some(step.phase) || step.phase == Phase::Loading) {
            let eta = match step.eta() {
                Some(eta) if step.phase == Phase::Loading => format!(", {} s left", eta.as_secs()),
                _ => String::new(),
            };
            say!(
                "{model} {}: {} of {} events, {:.0} a second{eta}",
                step.phase.name(),
                step.done,
                step.total,
                step.events_per_second,
            );
        }
        bar.set_length(step.total);
        bar.set_position(step.done);
        bar.set_message(step.phase.name());
        last = Some(step.phase);
        if is_plain {
            // The next phase is told at once.
            let phase = step.phase;
            tokio::select! {
                () = sleep(PLAIN) => {}
                _ = steps.wait_for(|step| step.phase != phase) => {}
            }
        } else if steps.changed().await.is_err() {
            return;
        }
        if steps.has_changed().is_err() {
            return;
        }
    }
}

fn describe<P: Projection>(replayed: &Replayed) {
    let seconds = replayed.took.as_secs_f64();
    say!(
        "{}: loaded and indexed {} events in {seconds:.1} s, {:.0} a second",
        P::SCHEMA,
        replayed.events,
        replayed.events as f64 / seconds.max(1e-3),
    );
    if let Some(rows) = replayed.compared {
        say!("compared {rows} rows with the live ones: {} differ", replayed.different);
    }
    for difference in &replayed.differences {
        say!("{}", in_words(difference));
    }
    let (parked, live) = (replayed.parked, replayed.parked_live);
    if parked > 0 {
        say!("it sets {parked} events aside, the live model {live}: `ironledger parked list`");
    }
    if replayed.swapped {
        say!("swapped in; `ironledger replay rollback {}` undoes it", P::NAME);
    } else if replayed.different > 0 {
        say!("not swapped in; `--accept-differences` does it, and goes on with what is built");
    } else {
        say!("not swapped in; `--accept-parked` does it");
    }
}

fn in_words(difference: &Difference) -> String {
    let show = |row: &Option<serde_json::Value>| match row {
        None => "no row".to_owned(),
        Some(row) => row.to_string(),
    };
    let cause = match &difference.cause {
        Some((partition, position, id)) => {
            format!("from partition {partition} position {position}, event {id}")
        }
        None => "from no event of its owner".to_owned(),
    };
    format!(
        "{}\n  live    {}\n  rebuilt {}\n  {cause}",
        difference.table,
        show(&difference.live),
        show(&difference.rebuilt)
    )
}

fn summary<P: Projection>(replayed: &Replayed) -> serde_json::Value {
    let differences: Vec<serde_json::Value> = replayed
        .differences
        .iter()
        .map(|difference| {
            json!({
                "table": difference.table,
                "live": difference.live,
                "rebuilt": difference.rebuilt,
                "partition": difference.cause.map(|(partition, ..)| partition.0),
                "position": difference.cause.map(|(_, position, _)| position.0),
                "event": difference.cause.map(|(.., id)| id.to_string()),
            })
        })
        .collect();
    json!({
        "model": P::SCHEMA,
        "events": replayed.events,
        "seconds": replayed.took.as_secs_f64(),
        "compared_rows": replayed.compared,
        "different_rows": replayed.different,
        "differences": differences,
        "parked_events": replayed.parked,
        "parked_events_live": replayed.parked_live,
        "swapped": replayed.swapped,
    })
}
