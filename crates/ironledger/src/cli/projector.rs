//! `ironledger projector <name>…`: read models, kept up to date for as long as it runs.

use std::{process::ExitCode, sync::Arc};

use clap::builder::PossibleValuesParser;
use log::{Clock, Database, Random, Reader};
use projections::{
    MODELS,
    boards::{Boards, Mirror},
    with_model,
};
use projector::{Observer, Projection, Projector};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::say;
use crate::{
    app,
    metrics::MetricsAt,
    settings::{OnKafka, OnRedis, User, Where},
    traces,
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which read models: one process for each lets them fail and grow by themselves.
    #[arg(value_parser = name(), required_unless_present = "all")]
    names: Vec<String>,

    /// Every read model.
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// Large batches are divided among so many transactions at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=32))]
    workers: u8,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    kafka: OnKafka,

    #[command(flatten)]
    redis: OnRedis,

    #[command(flatten)]
    pub(super) metrics: MetricsAt,
}

/// The name of a read model.
pub(super) fn name() -> PossibleValuesParser {
    PossibleValuesParser::new(MODELS.iter().map(|model| model.name))
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let stop = app::stop_signal()?;
    let database = Database::new(&arguments.place.url(User::Projector)?, "ironledger metrics", 1)?;
    let observer = Observer::new(database.pool, MODELS);
    arguments.metrics.serve(Arc::new(observer), stop.clone()).await?;
    let arguments = Arc::new(arguments);
    let mut projecting = JoinSet::new();
    let all = MODELS.iter().map(|model| model.name).filter(|_| arguments.all);
    for name in arguments.names.iter().map(String::as_str).chain(all) {
        with_model!(name, P => {
            projecting.spawn(project::<P>(arguments.clone(), stop.clone()))
        });
    }
    while let Some(ended) = projecting.join_next().await {
        ended??;
    }
    Ok(ExitCode::SUCCESS)
}

/// From Kafka if there is one, else from Postgres, in both cases beside others of the same model.
async fn project<P: Projection>(
    arguments: Arc<Arguments>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let url = arguments.place.url(User::Projector)?;
    let workers = usize::from(arguments.workers);
    let database = Database::new(&url, "ironledger projector", 4 + u32::from(arguments.workers))?;
    let reader = Reader::open(&database);
    let keys = arguments.place.keys_of::<P>(&database)?;
    let projector = Projector::<P>::new(&database, reader)
        .with_keys(keys)
        .with_workers(workers)
        .heard_by(arguments.redis.redis()?.map(projections::forgets))
        .traced_by(traces::are_told().then_some(traces::projected));
    let member = Random::system().uuid(Clock::system().now());
    if P::NAME == Boards::NAME {
        let (redis, clock) = (arguments.redis.redis()?, Clock::system());
        let mirror = Mirror::new(database.clone(), redis, clock, Random::system());
        tokio::spawn(mirror.run(stop.clone()));
    }
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
