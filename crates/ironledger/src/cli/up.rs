//! `ironledger up`: everything in one process, on a private Postgres.

use std::{
    fs::{self, File},
    io::{Read, Seek, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use log::{Database, Random};
use projections::{MODELS, boards::Mirror, with_model};
use projector::{Observer, Projector};
use servers::{Account, Postgres, Settings};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{demo, migrate, say};
use crate::{
    announce::Emitter,
    app::{self, App},
    metrics::MetricsAt,
    scheduler::{LeftOpen, Scheduler},
    settings::{DATABASE, Secrets, Surroundings, User, data_folder},
    traces,
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder of everything that is kept: by default `.ironledger` here.
    #[arg(long)]
    data: Option<PathBuf>,

    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "IRONLEDGER_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,

    /// Make a demo athlete with a sample history, and show what to try.
    #[arg(long)]
    demo: bool,

    #[command(flatten)]
    around: Surroundings,

    #[command(flatten)]
    left_open: LeftOpen,

    #[command(flatten)]
    pub(super) metrics: MetricsAt,
}

pub(crate) async fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let folder = data_folder(arguments.data.as_deref())?;
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    // Before anything is started: two servers on one folder would be one too many.
    let _lock = lock(&folder)?;
    // The port too, so that a taken one is told before the database starts.
    let listener = app::listen(&arguments.listen).await?;
    let secrets = Secrets::of_folder_or_new(&folder, &Random::system())?;
    arguments.around.mail_into(folder.join("mail"));
    let stop = app::stop_signal()?;

    say!("starting Postgres as {} in {}", Account::unprivileged()?.name(), folder.display());
    let starting = folder.clone();
    let postgres =
        tokio::task::spawn_blocking(move || Postgres::start(&starting, Settings::Durable));
    let postgres = postgres.await??;
    let served = serve(&postgres, &secrets, listener, &arguments, stop).await;
    tokio::task::spawn_blocking(move || postgres.stop()).await??;
    served?;
    say!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    postgres: &Postgres,
    secrets: &Secrets,
    listener: tokio::net::TcpListener,
    arguments: &Arguments,
    stop: CancellationToken,
) -> Result<()> {
    set_up(postgres).await?;
    let url = |user: User| postgres.url(user.login(), DATABASE);
    let database = Database::new(&url(User::Api), "ironledger api", 20)?;
    let for_projector = Database::new(&url(User::Projector), "ironledger projector", 5)?;
    let for_emitter = Database::new(&url(User::Emitter), "ironledger emitter", 3)?;

    // The projectors read the log of the application, and so hear of appends without a detour.
    let app = App::new(&database, secrets, &arguments.around)?;
    app.check_master_key().await?;
    let projecting = CancellationToken::new();
    let mut projections = JoinSet::new();
    let mut progress = Vec::new();
    let keys = app.queries.keys.clone();
    let redis = arguments.around.redis()?;
    for model in MODELS {
        let log = app.commands.log.reader().clone();
        let told = with_model!(model.name, P => {
            let projector = Projector::<P>::new(&for_projector, log)
                .with_keys(Some(keys.clone()))
                .heard_by(redis.clone().map(projections::forgets))
                .traced_by(traces::are_told().then_some(traces::projected));
            projector.prepare().await?;
            let progress = projector.progress();
            projections.spawn(projector.run(projecting.clone()));
            progress
        });
        progress.extend(told.map(|told| (model.schema, told)));
    }
    let (clock, random) = (app.commands.clock.clone(), Random::system());
    let mirror = Mirror::new(for_projector.clone(), redis.clone(), clock, random);
    projections.spawn(mirror.run(projecting.clone()));
    // By the log of the application too, so that nobody competes for its partitions.
    let (log, clock) = (app.commands.log.clone(), app.commands.clock.clone());
    let emitter = Emitter::new(for_emitter.clone(), log.clone(), clock.clone(), Random::system());
    projections.spawn(emitter.run(projecting.clone()));
    let left_open = &arguments.left_open;
    let scheduler = Scheduler::new(for_emitter, log, clock, Random::system(), left_open);
    projections.spawn(scheduler.run(projecting.clone()));
    let app = app.with_progress(progress);

    let observer = Observer::new(database.pool.clone(), MODELS);
    arguments.metrics.serve(Arc::new(observer), stop.clone()).await?;
    let address = listener.local_addr()?;
    say!("listening on http://{address}");
    let showing = async {
        if arguments.demo
            && let Err(error) = demo::show(&app, address).await
        {
            tracing::error!(error = format!("{error:#}"), "the demo failed");
        }
    };
    let (served, ()) = tokio::join!(app.clone().serve(listener, stop), showing);
    // Last of all, so that what was answered is also projected if time allows.
    projecting.cancel();
    projections.join_all().await;
    served
}

/// The database, its shape, and the users of our processes.
async fn set_up(postgres: &Postgres) -> Result<()> {
    let owner = User::Owner.login();
    let mut server = PgConnection::connect(&postgres.url(owner, "postgres")).await?;
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut server)
            .await?;
    if !exists {
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {DATABASE}")))
            .execute(&mut server)
            .await?;
    }
    server.close().await?;
    let mut database = PgConnection::connect(&postgres.url(owner, DATABASE)).await?;
    migrate::migrate(&mut database).await?;
    let users = [
        (User::Api, "ironledger_api"),
        (User::Projector, "ironledger_projector"),
        (User::Relay, "ironledger_relay"),
        (User::Publisher, "ironledger_publisher"),
        (User::Emitter, "ironledger_emitter"),
    ];
    for (user, role) in users {
        let login = user.login();
        let make = format!(
            "do $$ begin
                if not exists (select from pg_roles where rolname = '{login}') then
                    create role {login} login in role {role};
                end if;
            end $$"
        );
        sqlx::query(sqlx::AssertSqlSafe(make)).execute(&mut database).await?;
    }
    database.close().await?;
    Ok(())
}

/// Holds the folder for this process, or says who has it.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        let holder = holder.trim();
        bail!("another `ironledger up` (process {holder}) is running on {}", folder.display());
    }
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())?;
    Ok(file)
}
