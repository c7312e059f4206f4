//! `ironledger projector <name>`: one read model, kept up to date for as long as it runs.

use std::process::ExitCode;

use log::{Clock, Database, Keys, Log, Options, Random};
use projections::history::History;
use projector::{Projection, Projector};

use super::say;
use crate::{
    app,
    settings::{User, Where},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which read model.
    #[arg(value_enum)]
    name: Name,

    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    /// Workouts and sets, newest first.
    History,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let url = arguments.place.url(User::Projector)?;
    let database = Database::new(&url, "ironledger projector", 5)?;
    let (random, master) = (Random::system(), arguments.place.secrets()?.master_key()?);
    let keys = Keys::new(database.pool.clone(), master, random);
    let log = Log::open(&database, keys, Clock::system(), &Options::default());
    let stop = app::stop_signal()?;
    match arguments.name {
        Name::History => {
            say!("projecting {}", History::SCHEMA);
            Projector::<History>::new(database, log).run(stop).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}
