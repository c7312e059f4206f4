//! `ironledger parked`: events that a read model could not project.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use events::{AthleteId, Partition, Position};
use log::{Database, Reader};
use projections::{MODELS, with_model};
use projector::{Projection, Projector};

use super::{projector::name, say};
use crate::settings::{User, Where};

/// Parked events that are shown at once.
const SHOWN: i64 = 1_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,

    #[command(flatten)]
    place: Where,
}

#[derive(clap::Subcommand)]
enum What {
    /// Which events of which models are set aside, why, and how many wait behind them.
    List {
        /// Of this model alone.
        #[arg(value_parser = name())]
        model: Option<String>,
    },
    /// One of them, as the log has it; personal fields stay sealed.
    Show(One),
    /// Try them again, those of each athlete in their order: after a repair, for instance.
    Retry {
        /// Of which model.
        #[arg(value_parser = name())]
        model: String,
        /// Of this athlete alone.
        #[arg(long)]
        athlete: Option<AthleteId>,
    },
    /// Leave one out for good, in every version of the model and in every replay, and go on with
    /// those that wait behind it.
    Skip {
        #[command(flatten)]
        one: One,
        /// Why, for those who read it later.
        #[arg(long)]
        reason: String,
    },
}

#[derive(clap::Args)]
struct One {
    /// Of which model.
    #[arg(value_parser = name())]
    model: String,
    /// Its partition.
    partition: i16,
    /// Its position.
    position: i64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let url = arguments.place.url(User::Projector)?;
    let database = Database::new(&url, "ironledger parked", 3)?;
    match arguments.what {
        What::List { model } => {
            let wanted = |name: &&str| model.as_deref().is_none_or(|model| model == *name);
            let mut count = 0;
            for name in MODELS.iter().map(|model| model.name).filter(wanted) {
                let listed = with_model!(name, P => list::<P>(&database).await);
                count += listed.transpose()?.unwrap_or(0);
            }
            if count == 0 {
                say!("nothing is parked");
            }
        }
        What::Show(one) => {
            let shown = with_model!(one.model.as_str(), P => show::<P>(&database, &one).await);
            shown.transpose()?;
        }
        What::Retry { model, athlete } => {
            let tried = with_model!(model.as_str(), P => {
                projector::<P>(&arguments.place, &database)?.retry(athlete).await
            });
            let tried = tried.ok_or_else(|| anyhow!("there is no model {model}"))??;
            say!("projected {}, still parked for their errors {}", tried.projected, tried.refused);
            if tried.refused > 0 {
                return Ok(ExitCode::FAILURE);
            }
        }
        What::Skip { one, reason } => {
            let (partition, position) = (Partition(one.partition), Position(one.position));
            let skipped = with_model!(one.model.as_str(), P => {
                projector::<P>(&arguments.place, &database)?.skip(partition, position, &reason).await
            });
            let Some(Some(tried)) = skipped.transpose()? else {
                bail!("{} {} is not parked for an error", one.partition, one.position);
            };
            say!("left out; projected {}, still parked {}", tried.projected, tried.refused);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One who only looks.
fn reader<P: Projection>(database: &Database) -> Projector<P> {
    Projector::new(database, Reader::open(database))
}

/// One who projects.
fn projector<P: Projection>(place: &Where, database: &Database) -> Result<Projector<P>> {
    let keys = place.keys_of::<P>(database)?;
    Ok(Projector::new(database, Reader::open(database)).with_keys(keys))
}

async fn list<P: Projection>(database: &Database) -> Result<usize> {
    let parked = reader::<P>(database).parked(None, SHOWN).await?;
    for event in &parked {
        say!(
            "{} {} {} athlete {} since {} attempts {} waiting {}: {}",
            P::NAME,
            event.partition,
            event.position,
            event.owner,
            event.parked_at,
            event.attempts,
            event.waiting,
            event.error,
        );
    }
    Ok(parked.len())
}

async fn show<P: Projection>(database: &Database, one: &One) -> Result<()> {
    let (partition, position) = (Partition(one.partition), Position(one.position));
    let parked = reader::<P>(database).parked(None, i64::MAX).await?;
    let Some(parked) =
        parked.iter().find(|event| (event.partition, event.position) == (partition, position))
    else {
        bail!("{partition} {position} is not parked for an error");
    };
    say!("error     {}", parked.error);
    say!("parked    {}, tried again {} times", parked.parked_at, parked.attempts);
    say!("waiting   {} later events of the athlete", parked.waiting);
    for event in Reader::open(database).at(partition, &[position.0]).await? {
        say!("event     {}", event.id);
        say!("type      {} version {}", event.kind, event.kind_version);
        say!("recorded  {}", event.recorded_at);
        say!("metadata  {}", event.metadata);
        say!("payload   {}", event.payload);
    }
    Ok(())
}
