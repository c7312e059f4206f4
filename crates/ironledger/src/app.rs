//! The HTTP application: its state, its layers, and serving it.

use std::{net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, FromRef},
    http::StatusCode,
    middleware,
    response::IntoResponse,
    serve::ListenerExt,
};
use log::{Clock, Database, Keys, Log, Options, Random};
use projections::{Context, MODELS};
use projector::{Observer, Progress};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower::{ServiceBuilder, util::option_layer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    cors::CorsLayer,
    timeout::TimeoutLayer,
};
use web::{
    Error, Tokens,
    access::{self, Door, Parts},
    browsers,
    envelope::{self, Envelope},
    limits::Limits,
};

use crate::{
    access_log::AccessLog,
    accounts::{Accounts, Revoking, With},
    commands::{Commands, Usuals},
    routes::{self, batch::Application, permissions},
    settings::{Secrets, Surroundings},
    traces,
};

/// Largest body of a request.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;

/// Smaller answers fit into a packet as they are.
const COMPRESSED_ABOVE: u64 = 1024;

/// A request that takes longer is given up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that takes nothing of what is sent to it for so long is given up.
const NOTHING_TAKEN: Duration = Duration::from_secs(60);

/// Answers that are too old to be given again are thrown away so often.
const PRUNE: Duration = Duration::from_secs(600);

/// How the read models are, for those who ask.
pub(crate) type Models = Arc<Observer>;

/// What the billing service signs its notices with.
pub(crate) struct BillingKey(pub(crate) Vec<u8>);

/// What handlers work with. A clone is another handle: every layer makes some for every request.
#[derive(Clone)]
pub(crate) struct App(Arc<Means>);

/// What the application works with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) accounts: Accounts,
    pub(crate) access_log: AccessLog,
    pub(crate) commands: Commands,
    pub(crate) queries: Context,
    pub(crate) models: Models,
    pub(crate) billing: Option<Arc<BillingKey>>,
    door: Door<Accounts>,
    cors: Option<CorsLayer>,
    revoking: Revoking,
    clock: Clock,
    random: Random,
}

impl Deref for App {
    type Target = Means;

    fn deref(&self) -> &Means {
        &self.0
    }
}

/// What handlers may take of it.
macro_rules! parts {
    ($($name:ident: $part:ty,)*) => {$(
        impl FromRef<App> for $part {
            fn from_ref(app: &App) -> Self {
                app.$name.clone()
            }
        }
    )*};
}

parts! {
    accounts: Accounts,
    access_log: AccessLog,
    commands: Commands,
    queries: Context,
    models: Models,
}

impl App {
    /// The application on a database.
    pub(crate) fn new(
        database: &Database,
        secrets: &Secrets,
        around: &Surroundings,
    ) -> anyhow::Result<Self> {
        let (clock, random) = (Clock::system(), Random::system());
        let keys = Keys::new(database.pool.clone(), secrets.master_key()?, random.clone());
        let log = Log::open(database, keys.clone(), clock.clone(), &Options::default());
        let pool = database.pool.clone();
        let commands = Commands::new(log, Usuals::new(database), clock.clone(), random.clone());
        let token_keys = secrets.token_keys()?;
        let token_clock = clock.clone();
        let now = move || token_clock.now().utc();
        let tokens = Tokens::new(&token_keys.signing, &token_keys.others, now);
        let redis = around.redis()?;
        let limits = Arc::new(Limits::new(around.quotas(), redis.clone()));
        let revoking = Revoking::new(database);
        let access_log = AccessLog::new(pool.clone(), clock.clone(), random.clone());
        let accounts = Accounts::new(With {
            pool: pool.clone(),
            commands: commands.clone(),
            tokens: tokens.clone(),
            limits: limits.clone(),
            revoking: revoking.clone(),
            access_log: access_log.clone(),
            mail: around.mail()?,
            issuers: around.issuers()?,
            token_keys,
        });
        let door = Door::new(Parts {
            table: &permissions::TABLE,
            tokens,
            revoked: revoking.revoked.clone(),
            limits,
            directory: accounts.clone(),
            trusted_hops: around.trusted_hops,
            bypass: around.bypass_key()?,
        });
        let billing = around.billing_key()?;
        Ok(Self(Arc::new(Means {
            accounts,
            access_log,
            commands,
            queries: Context::new(database, keys, clock.clone(), redis),
            models: Arc::new(Observer::new(pool, MODELS)),
            billing: billing.map(|key| Arc::new(BillingKey(key.into_bytes()))),
            door,
            cors: browsers::cors(&around.origins()?, Duration::from_secs(around.cors_max_age)),
            revoking,
            clock,
            random,
        })))
    }

    /// The application without anything around it, to look at.
    pub(crate) fn unconnected() -> anyhow::Result<Self> {
        // Nothing is sent to a database before the first question.
        let database = Database::new("postgres://nobody@localhost/nothing", "nobody", 1)?;
        Self::new(&database, &Secrets::of_nobody(&Random::system()), &Surroundings::default())
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
        let means = Arc::make_mut(&mut self.0);
        means.queries = means.queries.clone().with_progress(progress);
        self
    }

    /// All routes under all layers.
    pub(crate) fn router(&self) -> Router {
        let (clock, now_clock, random) =
            (self.clock.clone(), self.clock.clone(), self.random.clone());
        let envelope = Envelope {
            now: Arc::new(move || now_clock.now().utc()),
            new_id: Arc::new(move || random.uuid(clock.now())),
            served: traces::request,
        };
        let (routes, _) = routes::all(self).into_parts();
        // Events are to be seen one by one.
        let compressed = SizeAbove::new(COMPRESSED_ABOVE).and(NotForContentType::SSE);
        // In one, from the outside in: a router puts each layer of its own into a box, and copies
        // all of those for every request.
        let layers = ServiceBuilder::new()
            .layer(CompressionLayer::new().compress_when(compressed))
            .layer(middleware::from_fn(browsers::guard))
            .layer(middleware::from_fn_with_state(envelope, envelope::wrap))
            .layer(option_layer(self.cors.clone()))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(middleware::from_fn_with_state(self.door.clone(), access::check::<Accounts>));
        routes.with_state(self.clone()).layer(layers)
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
            // Who takes nothing of what is sent is not there, even where their system says so.
            let _ = SockRef::from(&*connection).set_tcp_user_timeout(Some(NOTHING_TAKEN));
        });
        let _hearing = self.revoking.hear(stop.clone());
        let _pruning = self.prune();
        let router = self.router();
        let whole = Extension(Application(router.clone()));
        let router = router.layer(whole).into_make_service_with_connect_info::<SocketAddr>();
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let give_up = async {
            stop.cancelled().await;
            self.queries.stop();
            tokio::time::sleep(Duration::from_secs(10)).await;
        };
        let served = tokio::select! {
            served = serving => served.context("serving failed"),
            () = give_up => Ok(()),
        };
        self.access_log.flush().await;
        served
    }

    /// Throws away from time to time what nobody asks for any more.
    fn prune(&self) -> AbortOnDropHandle<()> {
        let app = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                if let Err(error) = app.commands.log.prune_answers().await {
                    tracing::warn!(%error, "old answers are not pruned");
                }
                if let Err(error) = app.accounts.prune().await {
                    tracing::warn!(error = error.in_full(), "old sessions are not pruned");
                }
                if let Err(error) = app.access_log.prune().await {
                    tracing::warn!(%error, "the access log is not pruned");
                }
                tokio::time::sleep(PRUNE).await;
            }
        }))
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
