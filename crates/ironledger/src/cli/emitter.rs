//! `ironledger emitter`: announces records on the log, for as long as it runs.

use std::process::ExitCode;

use anyhow::Result;
use log::{Clock, Database, Keys, Log, MasterKey, Options, Random};

use super::say;
use crate::{
    announce::Emitter,
    app,
    settings::{User, Where},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let stop = app::stop_signal()?;
    let emitter = emitter(&arguments.place)?;
    say!("announcing records");
    emitter.run(stop).await;
    Ok(ExitCode::SUCCESS)
}

/// An emitter with connections of its own.
pub(super) fn emitter(place: &Where) -> Result<Emitter> {
    let database = Database::new(&place.url(User::Emitter)?, "ironledger emitter", 6)?;
    let (clock, random) = (Clock::system(), Random::system());
    // Nothing of what it appends is personal.
    let keys = Keys::new(database.pool.clone(), MasterKey::of_nobody(&random), random.clone());
    let log = Log::open(&database, keys, clock.clone(), &Options::default());
    Ok(Emitter::new(database, log, clock, random))
}
