//! `ironledger publisher`: what everybody may see of the log, on the public topics.

use std::process::ExitCode;

use anyhow::Context;
use events::Family;
use log::{Clock, Database, Keys, Random, kafka::Relay};

use super::say;
use crate::{
    app,
    settings::{OnKafka, User, Where},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    kafka: OnKafka,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let kafka = arguments.kafka.kafka()?.context("KAFKA_BROKERS is not set")?;
    let url = arguments.place.url(User::Publisher)?;
    let database = Database::new(&url, "ironledger publisher", 4)?;
    let random = Random::system();
    let holder = random.uuid(Clock::system().now());
    let keys = Keys::new(database.pool.clone(), arguments.place.master_key()?, random);
    let stop = app::stop_signal()?;
    say!("publishing to {}", Family::ALL.map(|family| kafka.public_topic(family)).join(", "));
    Relay::public(database, keys, kafka, holder).run(stop).await;
    Ok(ExitCode::SUCCESS)
}
