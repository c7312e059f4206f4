//! `ironledger scheduler`: does what is due because time passes, for as long as it runs.

use std::process::ExitCode;

use anyhow::Result;
use log::{Clock, Database, Keys, Log, MasterKey, Options, Random};
use projections::MODELS;
use projector::Observer;

use super::say;
use crate::{
    app,
    metrics::MetricsAt,
    scheduler::{LeftOpen, Scheduler},
    settings::{User, Where},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    left_open: LeftOpen,

    #[command(flatten)]
    pub(super) metrics: MetricsAt,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let stop = app::stop_signal()?;
    let url = arguments.place.url(User::Emitter)?;
    let database = Database::new(&url, "ironledger scheduler", 4)?;
    let (clock, random) = (Clock::system(), Random::system());
    // Nothing of what it appends is personal.
    let keys = Keys::new(database.pool.clone(), MasterKey::of_nobody(&random), random.clone());
    let log = Log::open(&database, keys, clock.clone(), &Options::default());
    let observer = Observer::new(database.pool.clone(), MODELS);
    arguments.metrics.serve(observer.into(), stop.clone()).await?;
    say!("closing workouts that are left open");
    Scheduler::new(database, log, clock, random, &arguments.left_open).run(stop).await;
    Ok(ExitCode::SUCCESS)
}
