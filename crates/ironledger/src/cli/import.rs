//! `ironledger import`: a training history that another app exported.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, anyhow, bail};
use events::{Actor, Channel, ImportFormat, TimeZone};
use indicatif::{ProgressBar, ProgressStyle};
use log::Database;

use super::say;
use crate::{
    app::App,
    commands::Origin,
    import::{self, hevy},
    settings::{Surroundings, User, Where},
};

/// The exit code when some rows were not taken.
const SOME_REFUSED: u8 = 2;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The app that exported the file.
    #[arg(long, value_enum)]
    format: Format,

    /// The file.
    file: PathBuf,

    /// E-mail address of the athlete whose history it is.
    #[arg(long)]
    athlete: String,

    /// Where the athlete was: the file's times have no zone of their own.
    #[arg(long)]
    time_zone: TimeZone,

    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Hevy,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let file = &arguments.file;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (format, export) = match arguments.format {
        Format::Hevy => (ImportFormat::Hevy, hevy::read(&bytes, arguments.time_zone.0)),
    };
    let export = export.with_context(|| format!("cannot import {}", file.display()))?;

    let database = Database::new(&arguments.place.url(User::Api)?, "ironledger import", 8)?;
    let app = App::new(&database, &arguments.place.secrets()?, &Surroundings::default())?;
    app.check_master_key().await?;
    let account = app.accounts.of_email(&arguments.athlete).await;
    let Some(account) = account.map_err(|error| anyhow!(error.in_full()))? else {
        bail!("there is no account with the address {}", arguments.athlete);
    };
    let actor = Actor::Athlete(account.athlete);
    let origin = Origin::new(account.athlete, account.partition, actor, Channel::Import);
    // Shown on a terminal only.
    let bar = ProgressBar::new(u64::try_from(export.rows)?);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {per_sec}, {eta} left")?;
    bar.set_style(style);
    let outcome = import::take(&app.commands, &origin, format, export, |rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    match outcome {
        Ok(report) => {
            tell(&report);
            let clean = report.refused.is_empty();
            Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) })
        }
        Err(import::Interrupted { report, why }) => {
            tell(&report);
            bail!("the import was cut off and can be repeated: {why}");
        }
    }
}

fn tell(report: &import::Report) {
    for warning in &report.warnings {
        say!("line {}: {}", warning.line, warning.reason);
    }
    for refusal in &report.refused {
        say!("line {}: not taken: {}", refusal.line, refusal.reason);
    }
    say!(
        "{} rows: {} sets imported in {} workouts, {} already there, {} not taken; {} exercises \
         made",
        report.rows,
        report.sets_new,
        report.workouts_new,
        report.sets_known,
        report.refused.len(),
        report.exercises_made,
    );
}
