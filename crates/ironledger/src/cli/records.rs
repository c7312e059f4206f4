//! `ironledger records`: what operators do with announced records.

use std::process::ExitCode;

use anyhow::Result;
use events::AthleteId;

use super::{emitter::emitter, say};
use crate::settings::Where;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,

    #[command(flatten)]
    place: Where,
}

#[derive(clap::Subcommand)]
enum What {
    /// Hold what was announced of records against the truth, and put on the log what differs, without
    /// a trophy: after a change of rules, and a replay of the records.
    Reconcile {
        /// Only this athlete's.
        #[arg(long)]
        athlete: Option<AthleteId>,
    },
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let What::Reconcile { athlete } = arguments.what;
    let (exercises, events) = emitter(&arguments.place)?.reconcile(athlete).await?;
    say!("records of {exercises} exercises looked at, {events} events appended");
    Ok(ExitCode::SUCCESS)
}
