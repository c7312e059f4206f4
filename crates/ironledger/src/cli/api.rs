//! `ironledger api`: the HTTP interface alone.

use std::process::ExitCode;

use log::Database;

use super::say;
use crate::{
    app::{self, App},
    settings::{User, Where},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,

    /// Where to listen.
    #[arg(long, env = "IRONLEDGER_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let database = Database::new(&arguments.place.url(User::Api)?, "ironledger api", 20)?;
    let app = App::new(&database, &arguments.place.secrets()?)?;
    app.check_master_key().await?;
    let stop = app::stop_signal()?;
    let listener = app::listen(&arguments.listen).await?;
    say!("listening on http://{}", listener.local_addr()?);
    app.serve(listener, stop).await?;
    Ok(ExitCode::SUCCESS)
}
