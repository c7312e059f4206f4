//! `ironledger relay`: the log on Kafka, as soon as it grows.

use std::process::ExitCode;

use anyhow::Context;
use log::{Clock, Database, Random, kafka::Relay};

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
    let database = Database::new(&arguments.place.url(User::Relay)?, "ironledger relay", 4)?;
    let stop = app::stop_signal()?;
    say!("relaying to {}", kafka.topic());
    let holder = Random::system().uuid(Clock::system().now());
    Relay::new(database, kafka, holder).run(stop).await;
    Ok(ExitCode::SUCCESS)
}
