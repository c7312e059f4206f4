//! What does it cost to know who calls, does a refused sign-in tell whether there is such an account, and
//! does a storm of sign-ins hold up the logging of sets?
//!
//! The first is measured in this process: the same route behind the door and without it, with limits of
//! the process and with limits in Redis. The others are asked of the product over HTTP.

#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use axum::{Router, body::Body, http::Request, middleware, routing::get};
use benches::{mean, percentile};
use clap::Parser;
use serde_json::json;
use testkit::{Client, Database, PASSWORD, Process, SECRETS, email};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;
use web::{
    Access, Caller, Directory, Error, KeyHolder, Redis, Revocation, Revoked, Role, Scope, Seen,
    Tier, Tokens,
    access::{self, Door, Parts},
    limits::Limits,
    permissions::Rule,
};

#[derive(Parser)]
struct Arguments {
    /// Requests for each way through the door.
    #[arg(long, default_value_t = 100_000)]
    requests: usize,

    /// Refused sign-ins of each kind.
    #[arg(long, default_value_t = 1_000)]
    tries: usize,

    /// Seconds of logging sets, without the storm and with it.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Knows one athlete.
struct One;

impl Directory for One {
    async fn partition(&self, _: Uuid) -> Result<Option<i16>, Error> {
        Ok(Some(3))
    }

    async fn lives(&self, _: &Access) -> Result<bool, Error> {
        Ok(true)
    }

    async fn key(&self, _: &str) -> Result<Option<KeyHolder>, Error> {
        Ok(None)
    }

    async fn client(&self, _: &Caller, _: Uuid) -> Result<Option<web::Client>, Error> {
        Ok(None)
    }

    fn note(&self, _: Seen) {}

    async fn record(&self, _: Seen) -> Result<(), Error> {
        Ok(())
    }
}

async fn route() -> &'static str {
    "answer"
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let redis = std::env::var("REDIS_URL").context("REDIS_URL; use `cargo xtask bench auth`")?;
    let requests = arguments.requests;
    let lifted = door(None, "anonymous=1/1s", true)?;
    let local = door(None, "free=4000000000/1s", false)?;
    let shared = door(Some(&redis), "free=4000000000/1m", false)?;
    let bare = Router::new().route("/v1/history", get(route));
    let behind = |door: &Door<One>| {
        bare.clone().layer(middleware::from_fn_with_state(door.clone(), access::check::<One>))
    };
    // Each way several times in turn, for the machine is not always the same.
    let ways = [
        (bare.clone(), requests),
        (behind(&lifted), requests),
        (behind(&local), requests),
        (behind(&shared), requests / 10),
    ];
    let mut figures: [Vec<f64>; 4] = Default::default();
    for _ in 0..5 {
        for ((router, requests), figures) in ways.iter().zip(&mut figures) {
            figures.push(microseconds(router, *requests / 5).await?);
        }
    }
    let [bare_us, known_us, local_us, shared_us] = figures.map(|figures| mean(&figures));
    println!(
        "door: bare_us={bare_us:.2} known_us={known_us:.2} local_limit_us={local_us:.2} \
         redis_limit_us={shared_us:.2}"
    );

    let product = std::env::current_exe()?.with_file_name("ironledger");
    let world = World::start(&product, &redis).await?;
    let (known, unknown) = world.refused(arguments.tries).await?;
    let auc = higher(&known, &unknown);
    let (known_ms, unknown_ms) =
        (percentile(&sorted(&known), 50), percentile(&sorted(&unknown), 50));
    println!(
        "sign-in: tries={} known_p50_ms={known_ms:.3} unknown_p50_ms={unknown_ms:.3} \
         known_slower={auc:.3}",
        arguments.tries
    );
    let quiet = world.train(Duration::from_secs(arguments.seconds)).await?;
    let storm = world.storm();
    let stormy = world.train(Duration::from_secs(arguments.seconds)).await?;
    let (signed, busy) = storm.end().await;
    let (quiet_p99, storm_p99) =
        (percentile(&sorted(&quiet), 99), percentile(&sorted(&stormy), 99));
    println!(
        "storm: sign_ins={signed} told_to_come_back={busy} sets_quiet={} sets_in_storm={}",
        quiet.len(),
        stormy.len()
    );
    println!(
        "bench auth: check_us={:.2} local_limit_us={:.2} redis_limit_us={:.2} bare_us={bare_us:.2} \
         known_p50_ms={known_ms:.3} unknown_p50_ms={unknown_ms:.3} known_slower={auc:.3} \
         set_p99_ms={quiet_p99:.2} set_p99_in_storm_ms={storm_p99:.2}",
        known_us - bare_us,
        local_us - known_us,
        shared_us - known_us,
    );
    Ok(())
}

/// What the door lets through who has paid for nothing.
fn door(redis: Option<&str>, quotas: &str, lifted: bool) -> Result<Door<One>> {
    static TABLE: std::sync::LazyLock<Vec<Rule>> = std::sync::LazyLock::new(|| {
        let get = axum::http::Method::GET;
        vec![Rule::athlete(get, "/v1/history").scope(Scope::TrainingRead).for_clients()]
    });
    let revoked = Revoked::default();
    // As many as may be about after a busy quarter of an hour.
    revoked.take((0..10_000).map(|n| Revocation::Over(Uuid::from_u128(n))));
    let quotas = quotas.parse().map_err(anyhow::Error::msg)?;
    let redis = redis.map(|url| Redis::new(url, "bench-auth")).transpose()?;
    let limits = Limits::new(quotas, redis);
    let hearing = revoked.clone();
    tokio::spawn(async move {
        loop {
            hearing.heard(Instant::now());
            sleep(Duration::from_millis(200)).await;
        }
    });
    Ok(Door::new(Parts {
        table: &TABLE,
        tokens: tokens(),
        revoked,
        limits: Arc::new(limits),
        directory: One,
        trusted_hops: 0,
        bypass: lifted.then(|| BYPASS.to_owned()),
    }))
}

const BYPASS: &str = "the bypass of a measurement, so long";

fn tokens() -> Tokens {
    Tokens::new(&[7; 32], &[], || log::Clock::system().now().utc())
}

/// Microseconds a request, on average.
async fn microseconds(router: &Router, requests: usize) -> Result<f64> {
    let access = Access {
        athlete: Uuid::from_u128(1 << 80),
        partition: 3,
        role: Role::Athlete,
        tier: Tier::Free,
        generation: 0,
        session: Uuid::from_u128(1 << 90),
    };
    let token = tokens().issue(access, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    let began = Instant::now();
    for _ in 0..requests {
        let request = Request::get("/v1/history")
            .header("authorization", format!("Bearer {token}"))
            .header("x-internal-bypass", BYPASS);
        let answer = router.clone().oneshot(request.body(Body::empty())?).await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        black_box(answer);
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / requests as f64)
}

/// The product on a database of its own.
struct World {
    client: Client,
    athlete: Client,
    _api: Process,
    _database: Database,
}

impl World {
    async fn start(product: &Path, redis: &str) -> Result<Self> {
        let database = Database::fresh().await;
        let url = database.api_url();
        let own = [("DATABASE_URL", url.as_str()), ("REDIS_URL", redis)];
        let environment = [&own[..], &SECRETS[..]].concat();
        let mut api = Process::start(product, &["api", "--listen", "127.0.0.1:0"], &environment);
        let client = Client::anonymous(&api.listening().await);
        let athlete = client.register(&email(), "Europe/Paris").await;
        Ok(Self { client, athlete, _api: api, _database: database })
    }

    /// How long refused sign-ins take, of an account that there is, and of ones that there are not, by
    /// turns.
    async fn refused(&self, tries: usize) -> Result<(Vec<Duration>, Vec<Duration>)> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        let address = self.athlete.email.clone().context("an athlete with an address")?;
        for n in 0..tries * 2 {
            let is_known = n % 2 == 0;
            let email = if is_known { address.clone() } else { email() };
            let began = Instant::now();
            let body = json!({ "email": email, "password": "not the password" });
            self.client.post("/v1/auth/login", body).await.refused(401, "CREDENTIALS_WRONG");
            if is_known { &mut known } else { &mut unknown }.push(began.elapsed());
        }
        Ok((known, unknown))
    }

    /// How long each set took of those that one athlete logs one after another.
    async fn train(&self, time: Duration) -> Result<Vec<Duration>> {
        let athlete = self.client.register(&email(), "Europe/Paris").await;
        let (began, mut took) = (Instant::now(), Vec::new());
        while began.elapsed() < time {
            let workout = athlete.start_workout(json!({})).await;
            for _ in 0..50 {
                let one = Instant::now();
                athlete.log_bench(&workout, 5, 100).await;
                took.push(one.elapsed());
            }
        }
        Ok(took)
    }

    /// Many who sign in without end.
    fn storm(&self) -> Storm {
        let stop = CancellationToken::new();
        let mut callers = JoinSet::new();
        for _ in 0..128 {
            let (client, stop) = (self.client.clone(), stop.clone());
            let body = json!({ "email": self.athlete.email, "password": PASSWORD });
            callers.spawn(async move {
                let (mut signed, mut busy) = (0_u64, 0_u64);
                while !stop.is_cancelled() {
                    if client.post("/v1/auth/login", body.clone()).await.status == 200 {
                        signed += 1;
                    } else {
                        busy += 1;
                        sleep(Duration::from_millis(100)).await;
                    }
                }
                (signed, busy)
            });
        }
        Storm { stop, callers }
    }
}

struct Storm {
    stop: CancellationToken,
    callers: JoinSet<(u64, u64)>,
}

impl Storm {
    /// Ends it, and answers how many signed in and how many were told to come back.
    async fn end(self) -> (u64, u64) {
        self.stop.cancel();
        let all = self.callers.join_all().await;
        all.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

fn sorted(times: &[Duration]) -> Vec<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    times
}

/// How often one of the first takes longer than one of the second, of all pairs: a half where nobody
/// can tell them apart (Mann and Whitney's U over the number of pairs).
fn higher(first: &[Duration], second: &[Duration]) -> f64 {
    let second = sorted(second);
    let below = |time: &Duration| {
        let less = second.partition_point(|other| other < time);
        let equal = second.partition_point(|other| other <= time) - less;
        less as f64 + equal as f64 / 2.0
    };
    first.iter().map(below).sum::<f64>() / (first.len() * second.len()) as f64
}
