//! `ironledger admin`: things that only who runs the place may do.

use std::process::ExitCode;

use anyhow::{Context, bail};
use events::{Actor, Channel, Role, Tier, Timestamp};
use log::Database;
use sqlx::{Connection, PgConnection};

use super::say;
use crate::{
    app::App,
    commands::{
        Origin,
        accounts::{Grant, check_grant},
    },
    settings::{Surroundings, User, Where},
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
    /// Give an account a role or a tier; it holds within a second.
    Grant {
        /// The account's e-mail address.
        #[arg(long)]
        email: String,
        /// athlete, coach or admin.
        #[arg(long, required_unless_present = "tier")]
        role: Option<Role>,
        /// free or pro.
        #[arg(long)]
        tier: Option<Tier>,
        /// When the tier ends; never by default.
        #[arg(long, requires = "tier")]
        until: Option<Timestamp>,
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
        What::Grant { email, role, tier, until } => {
            let url = arguments.place.url(User::Api)?;
            let database = Database::new(&url, "ironledger admin", 4)?;
            let app = App::new(&database, &arguments.place.secrets()?, &Surroundings::default())?;
            app.check_master_key().await?;
            let failed = |error: web::Error| anyhow::anyhow!(error.in_full());
            let Some(known) = app.accounts.of_email(&email).await.map_err(failed)? else {
                bail!("there is no account with the address {email}");
            };
            let actor = Actor::System("operator".to_owned());
            let origin = Origin::new(known.athlete, known.partition, actor, Channel::System);
            let mut told = Vec::new();
            if let Some(role) = role {
                app.accounts.grant(&origin, Grant::Role(role)).await.map_err(failed)?;
                told.push(role.to_string());
            }
            if let Some(tier) = tier {
                check_grant(tier, until, Some(app.commands.clock.now())).map_err(failed)?;
                let grant = Grant::Tier { tier, until, notice: None };
                app.accounts.grant(&origin, grant).await.map_err(failed)?;
                told.push(tier.to_string());
            }
            say!("{email} is {} from now on; signed in, they refresh", told.join(" and "));
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
