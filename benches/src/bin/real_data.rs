//! Is every row of a real Hevy export in history after its import, and only once? And do the
//! records that come of it, and of a real export of Strong, equal those of a recomputation?
//!
//! The files are read by the `csv` crate alone, so that the importer's own reading is not believed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

#[path = "real_data/exercises.rs"]
mod exercises;
#[path = "real_data/hevy.rs"]
mod hevy;
#[path = "real_data/records.rs"]
mod records;
#[path = "real_data/strong.rs"]
mod strong;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{Europe::Paris, Tz};
use clap::Parser;
use testkit::process::App;

use crate::records::Outcome;

/// Where the athletes of the exports were.
const ZONE: Tz = Paris;

#[derive(Parser)]
struct Arguments {
    /// The folder with the real exports.
    folder: PathBuf,
}

impl Arguments {
    /// An export that every folder of real data has.
    fn file(&self, name: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        file.canonicalize().with_context(|| format!("{} is not there", file.display()))
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let file = arguments.file("hevy-export-kg.csv")?;
    let wanted = hevy::read(&file)?;
    let rows: usize = wanted.values().map(Vec::len).sum();
    let strong = strong::read(&arguments.file("strong-export.csv")?)?;

    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let app = App::start(&binary).await;
    let athlete = app.pro_athlete().await;
    hevy::import(&app, &athlete, &file).await?;
    let (events, position) = app.database.log_and_end().await;
    let found = hevy::history(&athlete, &position.to_string()).await?;
    let equal = hevy::compare(&wanted, &found.workouts);
    let in_history: usize = found.workouts.values().map(Vec::len).sum();
    hevy::import(&app, &athlete, &file).await?;
    let second = app.database.log_and_end().await.0 - events;

    let mut outcome = Outcome::default();
    let done = hevy::done(&wanted, &found)?;
    outcome.compare(&athlete, &position.to_string(), &done).await;
    let athlete = app.pro_athlete().await;
    let (done, position) = strong::log(&athlete, &strong).await?;
    outcome.compare(&athlete, &position, &done).await;
    outcome.differences().for_each(|difference| eprintln!("{difference}"));

    let Outcome { records, progressions, .. } = &outcome;
    let is_imported = rows > 0 && equal == rows && in_history == rows && second == 0;
    let good = is_imported && records.is_good() && progressions.is_good();
    println!(
        "real-data: rows={rows} equal={equal} second_import_events={second} records={} \
         records_equal={} progressions={} progressions_equal={}",
        records.all, records.equal, progressions.all, progressions.equal
    );
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A time on the clocks of the zone.
fn local(text: &str, format: &str) -> Result<DateTime<Utc>> {
    let local = NaiveDateTime::parse_from_str(text, format).with_context(|| format!("{text:?}"))?;
    let at = ZONE.from_local_datetime(&local).earliest();
    Ok(at.with_context(|| format!("{text} did not happen"))?.to_utc())
}
