//! `ironledger migrate`: the database in the shape of this version.

use std::process::ExitCode;

use anyhow::Context;
use sqlx::{Connection, PgConnection};

use super::say;
use crate::settings::{User, Where};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let url = arguments.place.url(User::Owner)?;
    let mut connection =
        PgConnection::connect(&url).await.context("the database does not answer")?;
    migrate(&mut connection).await?;
    say!("the database has the shape of ironledger {}", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn migrate(connection: &mut PgConnection) -> anyhow::Result<()> {
    log::MIGRATIONS.run(connection).await.context("the database could not be migrated")
}
