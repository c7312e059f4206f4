//! The HTTP application: its state, its layers, and serving it.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    http::StatusCode,
    middleware,
    response::IntoResponse,
    serve::ListenerExt,
};
use log::{Clock, Database, Keys, Log, Options, Random};
use projections::{Context, MODELS};
use projector::{Observer, Progress};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use web::{
    Error, Tokens,
    envelope::{self, Envelope},
};

use crate::{
    accounts::Accounts,
    commands::{Commands, Usuals},
    routes,
    settings::Secrets,
};

/// Largest body of a request.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;

/// A request that takes longer is given up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers that are too old to be given again are thrown away so often.
const PRUNE: Duration = Duration::from_secs(600);

/// How the read models are, for those who ask.
pub(crate) type Models = Arc<Observer>;

/// What handlers work with.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub(crate) accounts: Accounts,
    pub(crate) commands: Commands,
    pub(crate) queries: Context,
    pub(crate) tokens: Tokens,
    pub(crate) models: Models,
    #[from_ref(skip)]
    clock: Clock,
    #[from_ref(skip)]
    random: Random,
}

impl App {
    /// The application on a database.
    pub(crate) fn new(database: &Database, secrets: &Secrets) -> anyhow::Result<Self> {
        let (clock, random) = (Clock::system(), Random::system());
        let keys = Keys::new(database.pool.clone(), secrets.master_key()?, random.clone());
        let log = Log::open(database, keys.clone(), clock.clone(), &Options::default());
        let pool = database.pool.clone();
        let token_clock = clock.clone();
        Ok(Self {
            accounts: Accounts::new(pool.clone(), log.clone(), clock.clone(), random.clone()),
            commands: Commands::new(log, Usuals::new(database), clock.clone(), random.clone()),
            queries: Context::new(database, keys, clock.clone()),
            tokens: Tokens::new(&secrets.token_key()?, move || token_clock.now().utc()),
            models: Arc::new(Observer::new(database.pool.clone(), MODELS)),
            clock,
            random,
        })
    }

    /// Refuses to work with a master key that is not this database's: it would make personal data
    /// that nobody with the right key can read. A database that is away is asked at readiness.
    pub(crate) async fn check_master_key(&self) -> anyhow::Result<()> {
        if let Ok(false) = self.queries.keys.master_key_fits().await {
            anyhow::bail!("the master key is not the one that this database was made with");
        }
        Ok(())
    }

    /// The same with projectors in this process, whose progress queries can wait for.
    pub(crate) fn with_progress(mut self, progress: Vec<(&'static str, Progress)>) -> Self {
        self.queries = self.queries.with_progress(progress);
        self
    }

    /// All routes under all layers.
    pub(crate) fn router(&self) -> Router {
        let (clock, now_clock, random) =
            (self.clock.clone(), self.clock.clone(), self.random.clone());
        let envelope = Envelope {
            now: Arc::new(move || now_clock.now().utc()),
            request_id: Arc::new(move || random.uuid(clock.now()).to_string()),
        };
        routes::all(self)
            .with_state(self.clone())
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(middleware::from_fn_with_state(envelope, envelope::wrap))
    }

    /// Serves until told to stop, then finishes what was taken.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let listener = listener.tap_io(|connection| {
            // Answers are small: waiting to fill a packet would only delay them.
            let _ = connection.set_nodelay(true);
        });
        let log = self.commands.log.clone();
        let _pruning = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                if let Err(error) = log.prune_answers().await {
                    tracing::warn!(%error, "old answers are not pruned");
                }
                tokio::time::sleep(PRUNE).await;
            }
        }));
        let serving = axum::serve(listener, self.router())
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let give_up = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(10)).await;
        };
        tokio::select! {
            served = serving => served.context("serving failed"),
            () = give_up => Ok(()),
        }
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Error::internal(format!("a handler panicked: {text}")).into_response()
}

/// Listens, or says clearly why not.
pub(crate) async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Is cancelled by the first signal to stop.
pub(crate) fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let mut signals = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    let cancel = stop.clone();
    tokio::spawn(async move {
        let [interrupt, terminate, hangup] = &mut signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        tracing::info!("stopping");
        cancel.cancel();
    });
    Ok(stop)
}
