//! `ironledger api`: the HTTP interface alone.

use std::{process::ExitCode, sync::Arc};

use log::{Database, Random};
use projections::MODELS;
use projector::Observer;
use tokio_util::sync::CancellationToken;

use super::say;
use crate::{
    app::{self, App},
    metrics::MetricsAt,
    settings::{Surroundings, User, Where},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,

    /// Where to listen.
    #[arg(long, env = "IRONLEDGER_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,

    /// Where to take appends that other API processes send here; reachable by them alone.
    #[arg(long, env = "IRONLEDGER_PEER_LISTEN", default_value = "127.0.0.1:0")]
    peer_listen: String,

    /// Where other API processes find that, if it is not the same.
    #[arg(long, env = "IRONLEDGER_PEER_ADDRESS")]
    peer_address: Option<String>,

    #[command(flatten)]
    around: Surroundings,

    #[command(flatten)]
    pub(super) metrics: MetricsAt,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let database = Database::new(&arguments.place.url(User::Api)?, "ironledger api", 20)?;
    let app = App::new(&database, &arguments.place.secrets()?, &arguments.around)?;
    app.check_master_key().await?;
    let stop = app::stop_signal()?;
    let observer = Observer::new(database.pool.clone(), MODELS);
    arguments.metrics.serve(Arc::new(observer), stop.clone()).await?;
    let listener = app::listen(&arguments.listen).await?;
    say!("listening on http://{}", listener.local_addr()?);
    let peers = app::listen(&arguments.peer_listen).await?;
    let address = match arguments.peer_address {
        Some(address) => address,
        None => peers.local_addr()?.to_string(),
    };
    let (log, sharing) = (app.commands.log.clone(), CancellationToken::new());
    let shared = sharing.clone();
    let sharing_ends =
        tokio::spawn(async move { log.share(peers, address, &Random::system(), shared).await });
    app.serve(listener, stop).await?;
    // Last, so that what was taken is appended where it belongs.
    sharing.cancel();
    sharing_ends.await?;
    Ok(ExitCode::SUCCESS)
}
