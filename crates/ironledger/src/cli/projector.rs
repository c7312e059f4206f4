//! `ironledger projector <name>`: one read model, kept up to date for as long as it runs.

use std::process::ExitCode;

use log::{Clock, Database, Random, Reader};
use projections::history::History;
use projector::{Projection, Projector};
use tokio_util::sync::CancellationToken;

use super::say;
use crate::{
    app,
    settings::{OnKafka, User, Where},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which read model.
    #[arg(value_enum)]
    name: Name,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    kafka: OnKafka,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    /// Workouts and sets, newest first.
    History,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let stop = app::stop_signal()?;
    match arguments.name {
        Name::History => project::<History>(&arguments, stop).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// From Kafka if there is one, else from Postgres, in both cases beside others of the same model.
async fn project<P: Projection>(
    arguments: &Arguments,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let url = arguments.place.url(User::Projector)?;
    let database = Database::new(&url, "ironledger projector", 5)?;
    let reader = Reader::open(&database);
    let projector = Projector::<P>::new(database, reader);
    let member = Random::system().uuid(Clock::system().now());
    match arguments.kafka.kafka()? {
        Some(kafka) => {
            say!("projecting {} from {}", P::SCHEMA, kafka.topic());
            projector.run_on_kafka(&kafka, member, stop).await?;
        }
        None => {
            say!("projecting {} from Postgres", P::SCHEMA);
            projector.run_shared(member, stop).await;
        }
    }
    Ok(())
}
