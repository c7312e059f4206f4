//! Where the database is and which secrets there are: from the environment, or from the folder of
//! the one-process mode.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use log::{Database, Keys, MasterKey, Random, kafka::Kafka};
use projector::Projection;
use serde::{Deserialize, Serialize};
use servers::{Account, Postgres};
use web::{Redis, browsers::Origin, limits::Quotas};

use crate::accounts::{Issuers, Mail, Mailer, Provider};

/// The database within the private Postgres.
pub(crate) const DATABASE: &str = "ironledger";

/// Which database a command works on.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Where {
    /// Address of the database; without it, that of the `ironledger up` of the data folder.
    #[arg(
        long,
        visible_alias = "database",
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true
    )]
    pub(crate) database_url: Option<String>,

    /// The folder of `ironledger up`: by default `.ironledger` here.
    #[arg(long, global = true)]
    pub(crate) data: Option<PathBuf>,
}

/// A user of the database, by what it may do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum User {
    /// Owns the schema: for migrations.
    Owner,
    /// Appends and reads.
    Api,
    /// Reads the log and writes read models.
    Projector,
    /// Reads the log and notes what is on Kafka.
    Relay,
    /// The same for the public topics, and reads the keys that pseudonyms are made of.
    Publisher,
    /// Reads read models, and appends what follows from them.
    Emitter,
}

impl User {
    /// The login role within the private Postgres.
    pub(crate) fn login(self) -> &'static str {
        match self {
            Self::Owner => "postgres",
            Self::Api => "api",
            Self::Projector => "projector",
            Self::Relay => "relay",
            Self::Publisher => "publisher",
            Self::Emitter => "emitter",
        }
    }
}

impl Where {
    /// The address of the database. A folder named on the command line goes before the
    /// environment.
    pub(crate) fn url(&self, user: User) -> Result<String> {
        match (&self.data, &self.database_url) {
            (None, Some(url)) => Ok(url.clone()),
            (data, _) => {
                let folder = data_folder(data.as_deref())?;
                Postgres::running(&folder, user.login(), DATABASE).with_context(|| {
                    format!(
                        "no `ironledger up` runs on {}: start it, or set DATABASE_URL",
                        folder.display()
                    )
                })
            }
        }
    }

    /// The secrets that belong to the database.
    pub(crate) fn secrets(&self) -> Result<Secrets> {
        if self.is_given() {
            return Secrets::from_environment();
        }
        Secrets::of_folder(&data_folder(self.data.as_deref())?)
    }

    /// The master key alone, for processes that sign nothing.
    pub(crate) fn master_key(&self) -> Result<MasterKey> {
        if self.is_given() {
            let key = variable("IRONLEDGER_MASTER_KEY")?;
            return MasterKey::from_base64(&key).map_err(anyhow::Error::msg);
        }
        self.secrets()?.master_key()
    }

    /// What a projector opens personal fields with, if its model opens any.
    pub(crate) fn keys_of<P: Projection>(&self, database: &Database) -> Result<Option<Keys>> {
        if P::OPENS.is_empty() {
            return Ok(None);
        }
        let master = self
            .master_key()
            .with_context(|| format!("{} opens what is personal in events", P::NAME))?;
        Ok(Some(Keys::new(database.pool.clone(), master, Random::system())))
    }

    /// Whether the database is one that the environment names, and its secrets are there too.
    fn is_given(&self) -> bool {
        self.data.is_none() && self.database_url.is_some()
    }
}

/// The folder of the one-process mode: the one given, else `.ironledger` here. Root cannot run
/// Postgres, so where the unprivileged user in its place cannot come here, it is
/// `/var/lib/ironledger`.
pub(crate) fn data_folder(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = given {
        return Ok(folder.to_owned());
    }
    let here = std::env::current_dir()?;
    if Account::unprivileged()?.can_enter(&here) {
        Ok(here.join(".ironledger"))
    } else {
        Ok(PathBuf::from("/var/lib/ironledger"))
    }
}

/// How Kafka is reached.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OnKafka {
    /// The brokers, `host:port` with commas between them.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: Option<String>,

    /// Before the names of topics and groups, as in `ironledger.log`.
    #[arg(long, env = "KAFKA_PREFIX", default_value = "ironledger")]
    kafka_prefix: String,

    /// A file of client properties (librdkafka's), `name=value` on each line: for TLS and SASL.
    #[arg(long, env = "KAFKA_PROPERTIES")]
    kafka_properties: Option<PathBuf>,
}

impl OnKafka {
    /// Kafka, if there is one.
    pub(crate) fn kafka(&self) -> Result<Option<Kafka>> {
        let brokers = self.kafka_brokers.as_deref().unwrap_or_default().trim();
        if brokers.is_empty() {
            return Ok(None);
        }
        let kafka = Kafka::new(brokers, &self.kafka_prefix);
        let file = self.kafka_properties.as_ref().filter(|file| !file.as_os_str().is_empty());
        let Some(file) = file else { return Ok(Some(kafka)) };
        let text = fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        kafka.with_properties(&text).map(Some).with_context(|| file.display().to_string())
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| {
        format!("{name} is not set: base64 of 32 random bytes (`openssl rand -base64 32`)")
    })
}

/// What nobody else may know.
#[derive(Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// Wraps the keys of personal data: base64 of 32 bytes.
    master_key: String,
    /// Signs access tokens: base64 of at least 32 bytes. While keys are changed there are several, with
    /// commas between: the first signs, all are good.
    token_key: String,
}

impl Secrets {
    fn from_environment() -> Result<Self> {
        let secrets = Self {
            master_key: variable("IRONLEDGER_MASTER_KEY")?,
            token_key: variable("IRONLEDGER_TOKEN_KEY")?,
        };
        secrets.master_key()?;
        secrets.token_keys()?;
        Ok(secrets)
    }

    /// Of a program that asks nobody anything.
    pub(crate) fn of_nobody(random: &Random) -> Self {
        let key = || STANDARD.encode(random.bytes::<32>());
        Self { master_key: key(), token_key: key() }
    }

    fn of_folder(folder: &Path) -> Result<Self> {
        let file = folder.join("secrets.json");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
    }

    /// The secrets of a folder, made on its first use; nobody else can read the file.
    pub(crate) fn of_folder_or_new(folder: &Path, random: &Random) -> Result<Self> {
        let file = folder.join("secrets.json");
        if file.exists() {
            return Self::of_folder(folder);
        }
        let secrets = Self::of_nobody(random);
        // Whole or not at all: what it encrypts is lost with it.
        let partial = folder.join("secrets.json.new");
        let mut options = fs::OpenOptions::new();
        let mut writer =
            options.write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        writer.write_all(&serde_json::to_vec_pretty(&secrets)?)?;
        writer.sync_all()?;
        fs::rename(&partial, &file)?;
        fs::File::open(folder)?.sync_all()?;
        Ok(secrets)
    }

    /// The key that wraps the keys of personal data.
    pub(crate) fn master_key(&self) -> Result<MasterKey> {
        MasterKey::from_base64(&self.master_key).map_err(anyhow::Error::msg)
    }

    /// The keys of access tokens: the first signs, all are good.
    pub(crate) fn token_keys(&self) -> Result<TokenKeys> {
        let mut keys = Vec::new();
        for text in self.token_key.split(',') {
            let key = STANDARD.decode(text.trim()).context("token keys must be base64")?;
            if key.len() < 32 {
                bail!("token keys must be base64 of at least 32 bytes");
            }
            keys.push(key);
        }
        let others = keys.split_off(1);
        let signing = keys.pop().context("there is no token key")?;
        Ok(TokenKeys { signing, others })
    }
}

/// The keys of access tokens.
pub(crate) struct TokenKeys {
    pub(crate) signing: Vec<u8>,
    /// Good too, while keys are changed.
    pub(crate) others: Vec<Vec<u8>>,
}

/// How Redis is reached.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct OnRedis {
    /// Address of the Redis in which processes share limits and caches; without it each has its own.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,

    /// Before the names of keys in Redis.
    #[arg(long, env = "REDIS_PREFIX", default_value = "ironledger")]
    redis_prefix: String,
}

impl OnRedis {
    /// Redis, if there is one.
    pub(crate) fn redis(&self) -> Result<Option<Redis>> {
        let url = self.redis_url.as_deref().map(str::trim).filter(|url| !url.is_empty());
        let redis = url.map(|url| Redis::new(url, &self.redis_prefix)).transpose();
        // What the address is made of may be a password.
        redis.map_err(|_| anyhow::anyhow!("REDIS_URL is no address of Redis"))
    }
}

/// What stands around the HTTP interface: limits and where they are shared, mail, others who vouch
/// for athletes, the billing service.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Surroundings {
    #[command(flatten)]
    redis: OnRedis,

    /// Limits that differ from the defaults, such as free=60/1m,stats=100/1h.
    #[arg(long, env = "IRONLEDGER_LIMITS")]
    limits: Option<Quotas>,

    /// How many proxies of your own stand in front: so many entries of X-Forwarded-For are believed.
    #[arg(long, env = "IRONLEDGER_TRUSTED_HOPS", default_value = "0", value_parser = hops)]
    pub(crate) trusted_hops: usize,

    /// What programs of your own say in X-Internal-Bypass to have no limits.
    #[arg(long, env = "IRONLEDGER_BYPASS_KEY", hide_env_values = true)]
    bypass_key: Option<String>,

    /// Whose pages may call, with commas between: https://app.example.com, or * for everybody's,
    /// without cookies.
    #[arg(long, env = "IRONLEDGER_CORS_ORIGINS")]
    cors_origins: Option<String>,

    /// For how many seconds browsers remember that.
    #[arg(long, env = "IRONLEDGER_CORS_MAX_AGE", default_value = "3600", value_parser = seconds)]
    pub(crate) cors_max_age: u64,

    /// What the billing service signs its notices with.
    #[arg(long, env = "IRONLEDGER_BILLING_KEY", hide_env_values = true)]
    billing_key: Option<String>,

    /// The mail server: smtp:// or smtps://, with user and password.
    #[arg(long, env = "IRONLEDGER_SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,

    /// A folder that mail goes into in place of a server: for who develops.
    #[arg(long, env = "IRONLEDGER_MAIL_FOLDER", conflicts_with = "smtp_url")]
    mail_folder: Option<PathBuf>,

    /// Who mail is from.
    #[arg(long, env = "IRONLEDGER_MAIL_FROM", default_value = "Ironledger <no-reply@localhost>")]
    mail_from: String,

    /// Address of the app, for links in mails.
    #[arg(long, env = "IRONLEDGER_APP_URL")]
    app_url: Option<String>,

    /// A JSON file of the issuers that athletes can sign in by (docs/security.md).
    #[arg(long, env = "IRONLEDGER_OIDC")]
    oidc: Option<PathBuf>,
}

/// A shorter secret can be guessed.
const SHORTEST_SECRET: usize = 32;

impl Surroundings {
    /// Redis, if there is one.
    pub(crate) fn redis(&self) -> Result<Option<Redis>> {
        self.redis.redis()
    }

    /// How much anybody may ask for.
    pub(crate) fn quotas(&self) -> Quotas {
        self.limits.clone().unwrap_or_default()
    }

    /// Whose pages may call.
    pub(crate) fn origins(&self) -> Result<Vec<Origin>> {
        let all = self.cors_origins.as_deref().unwrap_or_default().split(',').map(str::trim);
        let all = all.filter(|origin| !origin.is_empty()).map(|origin| {
            let read = origin.parse::<Origin>();
            read.map_err(|error| anyhow::anyhow!("IRONLEDGER_CORS_ORIGINS: {origin} {error}"))
        });
        all.collect()
    }

    /// The secret that lifts limits.
    pub(crate) fn bypass_key(&self) -> Result<Option<String>> {
        long_enough("IRONLEDGER_BYPASS_KEY", self.bypass_key.as_ref())
    }

    /// The secret of the billing service.
    pub(crate) fn billing_key(&self) -> Result<Option<String>> {
        long_enough("IRONLEDGER_BILLING_KEY", self.billing_key.as_ref())
    }

    /// Puts mail into a folder, where nothing else is said.
    pub(crate) fn mail_into(&mut self, folder: PathBuf) {
        if self.smtp_url.is_none() && self.mail_folder.is_none() {
            self.mail_folder = Some(folder);
        }
    }

    /// How mail is sent.
    pub(crate) fn mail(&self) -> Result<Mail> {
        let server = self.smtp_url.as_deref().filter(|url| !url.is_empty());
        let mailer = match (server, &self.mail_folder) {
            (Some(url), _) => Mailer::smtp(url)?,
            (None, Some(folder)) => Mailer::folder(folder.clone())?,
            (None, None) => return Ok(Mail::none()),
        };
        let app = self.app_url.clone().filter(|url| !url.is_empty());
        Mail::new(mailer, &self.mail_from, app)
    }

    /// Who vouches for athletes.
    pub(crate) fn issuers(&self) -> Result<Issuers> {
        let file = self.oidc.as_ref().filter(|file| !file.as_os_str().is_empty());
        let Some(file) = file else { return Ok(Issuers::none()) };
        let text = fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let providers: Vec<Provider> = serde_json::from_str(&text)
            .with_context(|| format!("{} is no list of issuers", file.display()))?;
        Issuers::new(providers)
    }
}

/// A number; what is empty, as in a file of variables that was not filled in, is none.
fn hops(text: &str) -> Result<usize, String> {
    let text = text.trim();
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| "must be a number".to_owned()) }
}

/// The same of seconds, an hour by default.
fn seconds(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() { Ok(3600) } else { text.parse().map_err(|_| "must be a number".to_owned()) }
}

fn long_enough(name: &str, secret: Option<&String>) -> Result<Option<String>> {
    let secret = secret.filter(|secret| !secret.is_empty());
    if secret.is_some_and(|secret| secret.len() < SHORTEST_SECRET) {
        bail!("{name} must have at least {SHORTEST_SECRET} characters");
    }
    Ok(secret.cloned())
}
