//! The subcommands.

mod admin;
mod api;
mod audit;
mod contracts;
mod demo;
mod doctor;
mod emitter;
mod import;
mod log;
mod migrate;
mod parked;
mod projector;
mod publisher;
mod records;
mod relay;
mod replay;
mod scheduler;
mod status;
mod up;

use std::process::ExitCode;

/// What to do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, on a private Postgres that it starts and stops itself.
    Up(up::Arguments),
    /// Serve the HTTP interface.
    Api(api::Arguments),
    /// Publish the log on Kafka, for as long as it runs.
    Relay(relay::Arguments),
    /// Publish on Kafka what everybody may see of the log, for as long as it runs.
    Publisher(publisher::Arguments),
    /// Keep read models up to date, for as long as it runs.
    Projector(projector::Arguments),
    /// Announce records on the log, for as long as it runs.
    Emitter(emitter::Arguments),
    /// Close workouts that were left open, for as long as it runs.
    Scheduler(scheduler::Arguments),
    /// What was announced of records, held against the truth.
    Records(records::Arguments),
    /// Build a read model anew beside the live one, and swap it in.
    Replay(replay::Arguments),
    /// Events that a read model could not project: see them, try them again, leave them out.
    Parked(parked::Arguments),
    /// How far the read models are behind the log, and whether they move.
    Status(status::Arguments),
    /// Bring the database to the shape of this version.
    Migrate(migrate::Arguments),
    /// Take in a training history that another app exported.
    Import(import::Arguments),
    /// Things that only who runs the place may do.
    Admin(admin::Arguments),
    /// What the log holds, held against what this version reads.
    Contracts(contracts::Arguments),
    /// Look at the log: the newest events as they come, one of them, or figures.
    Log(log::Arguments),
    /// Show everything that happened to a set or a workout; recorded where its athlete sees it.
    Audit(audit::Arguments),
    /// Print which routes there are, and who may call them.
    #[command(hide = true)]
    Permissions,
    /// Print the interface as OpenAPI describes it.
    #[command(hide = true)]
    Openapi,
    /// Say what is reachable, what is missing, and what to do.
    Doctor(doctor::Arguments),
}

/// Says something to the person at the terminal; one who has gone away misses it.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
pub(crate) use say;

impl Command {
    /// Whether it runs for as long as it is let, and nobody watches it.
    pub(crate) fn is_service(&self) -> bool {
        matches!(
            self,
            Self::Api(_)
                | Self::Relay(_)
                | Self::Publisher(_)
                | Self::Projector(_)
                | Self::Emitter(_)
                | Self::Scheduler(_)
        )
    }

    /// Whether somebody may ask for its metrics.
    pub(crate) fn is_measured(&self) -> bool {
        match self {
            Self::Up(arguments) => arguments.metrics.are_wanted(),
            Self::Api(arguments) => arguments.metrics.are_wanted(),
            Self::Projector(arguments) => arguments.metrics.are_wanted(),
            Self::Scheduler(arguments) => arguments.metrics.are_wanted(),
            _ => false,
        }
    }

    /// What traces call the process.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Up(_) => "up",
            Self::Api(_) => "api",
            Self::Projector(_) => "projector",
            Self::Scheduler(_) => "scheduler",
            _ => "command",
        }
    }

    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Up(arguments) => up::run(arguments).await,
            Self::Api(arguments) => api::run(arguments).await,
            Self::Relay(arguments) => relay::run(arguments).await,
            Self::Publisher(arguments) => publisher::run(arguments).await,
            Self::Projector(arguments) => projector::run(arguments).await,
            Self::Emitter(arguments) => emitter::run(arguments).await,
            Self::Scheduler(arguments) => scheduler::run(arguments).await,
            Self::Records(arguments) => records::run(arguments).await,
            Self::Replay(arguments) => replay::run(arguments).await,
            Self::Parked(arguments) => parked::run(arguments).await,
            Self::Status(arguments) => status::run(arguments).await,
            Self::Migrate(arguments) => migrate::run(arguments).await,
            Self::Import(arguments) => import::run(arguments).await,
            Self::Admin(arguments) => admin::run(arguments).await,
            Self::Contracts(arguments) => contracts::run(arguments).await,
            Self::Log(arguments) => log::run(arguments).await,
            Self::Audit(arguments) => audit::run(arguments).await,
            Self::Permissions => {
                say!("{}", crate::routes::permissions::page().trim_end());
                Ok(ExitCode::SUCCESS)
            }
            Self::Openapi => {
                say!("{}", crate::routes::document::printed()?);
                Ok(ExitCode::SUCCESS)
            }
            Self::Doctor(arguments) => doctor::run(arguments).await,
        }
    }
}
