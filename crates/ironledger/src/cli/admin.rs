//! `ironledger admin`: things that only who runs the place may do.

use std::process::ExitCode;

use anyhow::{Context, bail};
use log::Database;
use sqlx::{Connection, PgConnection};
use web::Role;

use super::say;
use crate::{
    app::App,
    settings::{User, Where},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,

    #[command(flatten)]
    place: Where,
}

#[derive(clap::Subcommand)]
enum What {
    /// Give an account a role; it holds from the next sign-in.
    Grant {
        /// The account's e-mail address.
        #[arg(long)]
        email: String,
        /// athlete, coach or admin.
        #[arg(long)]
        role: Role,
    },
    /// Begin a new line of history: after a restore from a backup, before anything is appended.
    NewEpoch {
        /// What happened, for those who read it later.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.what {
        What::Grant { email, role } => {
            let url = arguments.place.url(User::Api)?;
            let database = Database::new(&url, "ironledger admin", 2)?;
            let app = App::new(&database, &arguments.place.secrets()?)?;
            let granted = app.accounts.grant(&email, role).await;
            if !granted.map_err(|error| anyhow::anyhow!(error.in_full()))? {
                bail!("there is no account with the address {email}");
            }
            say!("{email} is {} from the next sign-in", role.as_str());
        }
        What::NewEpoch { reason } => {
            let url = arguments.place.url(User::Owner)?;
            let mut connection =
                PgConnection::connect(&url).await.context("the database does not answer")?;
            let epoch = sqlx::query_scalar!(
                r#"insert into log.epochs (epoch, reason)
                   select greatest(max(epoch) + 1, extract(epoch from clock_timestamp())::bigint),
                       $1
                   from log.epochs
                   returning epoch"#,
                reason
            )
            .fetch_one(&mut connection)
            .await
            .context("only the owner of the database can begin a new epoch")?;
            say!("the log is in epoch {epoch} from now on; restart what writes to it");
        }
    }
    Ok(ExitCode::SUCCESS)
}
