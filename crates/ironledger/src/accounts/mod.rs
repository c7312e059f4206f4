//! Who may sign in: accounts, and the step from an account to an athlete on the log.
//!
//! E-mail addresses, passwords, sessions and keys live here and nowhere else. What an account may do
//! and has paid for, the log tells.

mod door;
mod guessing;
mod keys;
mod mail;
mod oidc;
mod passwords;
mod registering;
mod revoking;
mod sessions;
mod usernames;

use std::{net::IpAddr, ops::Deref, sync::Arc};

use domain::account::Standing;
use events::{AthleteId, Partition};
use log::Keep;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::{OnceCell, Semaphore};
use uuid::Uuid;
use web::{Access, Error, Revocation, Role, Seen, Tier, Tokens, What, limits::Limits};

use crate::{
    access_log::AccessLog,
    commands::{self, Commands, Origin, accounts::Grant, coaching::Side},
    settings::TokenKeys,
};
pub(crate) use keys::{Key, NewKey};
pub(crate) use mail::{Mail, Mailer};
pub(crate) use oidc::{Attempt, Identity, Issuers, Outcome, Provider};
pub(crate) use passwords::{Email, NewPassword};
pub(crate) use revoking::Revoking;
pub(crate) use sessions::{Begun, Session, SessionEnd};

use keys::KnownKeys;
use passwords::Hasher;

/// Forgotten passwords that are looked for at the same time.
const FORGETTING: usize = 64;

/// Accounts, their passwords, sessions and keys. A clone is another handle: every request has some.
#[derive(Clone)]
pub(crate) struct Accounts(Arc<Means>);

/// What accounts work with.
pub(crate) struct Means {
    pool: PgPool,
    commands: Commands,
    tokens: Tokens,
    limits: Arc<Limits>,
    revoking: Revoking,
    access_log: AccessLog,
    mail: Mail,
    issuers: Issuers,
    hasher: Hasher,
    known_keys: KnownKeys,
    /// Forgotten passwords that are looked for at the same time.
    forgetting: Arc<Semaphore>,
    csrf_keys: Vec<[u8; 32]>,
    partitions: OnceCell<Vec<Partition>>,
}

/// What accounts are made with.
pub(crate) struct With {
    pub(crate) pool: PgPool,
    pub(crate) commands: Commands,
    pub(crate) tokens: Tokens,
    pub(crate) limits: Arc<Limits>,
    pub(crate) revoking: Revoking,
    pub(crate) access_log: AccessLog,
    pub(crate) mail: Mail,
    pub(crate) issuers: Issuers,
    pub(crate) token_keys: TokenKeys,
}

/// An account as it is stored.
#[derive(Debug)]
struct Account {
    athlete: Uuid,
    email: String,
    password_hash: Option<String>,
    partition: i16,
    generation: i32,
    is_verified: bool,
    unregistered: Option<String>,
}

/// An account that somebody has proved to be theirs.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) athlete: AthleteId,
    pub(crate) partition: Partition,
    generation: i32,
    /// The hash of the password that proved it: a session begins only while it is the account's.
    proof: Option<String>,
}

/// How a request came that wants to sign in, or the like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival {
    pub(crate) address: Option<IpAddr>,
    pub(crate) device: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request: String,
    pub(crate) route: String,
    /// Whether limits do not hold for it.
    pub(crate) lifted: bool,
}

impl Arrival {
    /// What an athlete did about their own account.
    pub(crate) fn by(&self, athlete: AthleteId, what: What) -> Seen {
        Seen { actor: Some(athlete.uuid()), ..self.seen(what, Some(athlete.uuid()), None) }
    }

    fn seen(&self, what: What, athlete: Option<Uuid>, status: Option<u16>) -> Seen {
        Seen {
            athlete,
            actor: athlete.filter(|_| what == What::SignedIn),
            what,
            credential: None,
            route: self.route.clone(),
            status,
            address: self.address,
            device: self.device.clone(),
            request: self.request.clone(),
        }
    }
}

impl Deref for Accounts {
    type Target = Means;

    fn deref(&self) -> &Means {
        &self.0
    }
}

impl Accounts {
    pub(crate) fn new(with: With) -> Self {
        Self(Arc::new(Means {
            pool: with.pool,
            hasher: Hasher::new(with.commands.random.clone()),
            commands: with.commands,
            tokens: with.tokens,
            limits: with.limits,
            revoking: with.revoking,
            access_log: with.access_log,
            mail: with.mail,
            issuers: with.issuers,
            known_keys: KnownKeys::default(),
            forgetting: Arc::new(Semaphore::new(FORGETTING)),
            csrf_keys: sessions::csrf_keys(&with.token_keys),
            partitions: OnceCell::new(),
        }))
    }

    /// The account of an address, without a password: for who runs the place.
    pub(crate) async fn of_email(&self, email: &str) -> Result<Option<Known>, Error> {
        match self.find(email).await? {
            Some(account) => self.admit(account, None).await.map(Some),
            None => Ok(None),
        }
    }

    /// The account of an athlete.
    pub(crate) async fn of_athlete(&self, athlete: AthleteId) -> Result<Option<Known>, Error> {
        match self.find_athlete(athlete.uuid()).await? {
            Some(account) => self.admit(account, None).await.map(Some),
            None => Ok(None),
        }
    }

    /// The log partition of an athlete; `None` when there is no such account.
    pub(crate) async fn partition_of(
        &self,
        athlete: AthleteId,
    ) -> Result<Option<Partition>, Error> {
        let partition = sqlx::query_scalar!(
            "select partition from accounts.accounts where athlete = $1",
            athlete.uuid()
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        Ok(partition.map(Partition))
    }

    /// An athlete, and where they are on the log; 404 for something of theirs where there is none such.
    pub(crate) async fn side(&self, athlete: AthleteId, what: &str) -> Result<Side, Error> {
        let partition = self.partition_of(athlete).await?;
        partition.map(|partition| (athlete, partition)).ok_or_else(|| Error::not_found(what))
    }

    /// What the owner of an account is told of it.
    pub(crate) async fn about(&self, athlete: AthleteId) -> Result<About, Error> {
        let account = self.find_athlete(athlete.uuid()).await?;
        let account = account.ok_or_else(|| Error::not_found("account"))?;
        let now = self.commands.clock.now();
        let standing = self.commands.standing(athlete, Partition(account.partition)).await?;
        Ok(About {
            athlete,
            email: account.email,
            email_verified: account.is_verified,
            has_password: account.password_hash.is_some(),
            role: role(&standing),
            tier: tier(standing.tier(now)),
            tier_until: standing.ends(now),
        })
    }

    /// What an access token of an account says now. The generation comes from before what the log
    /// tells, so that what changes in between ends the token.
    async fn access(&self, known: &Known, session: Uuid) -> Result<(Access, Until), Error> {
        let now = self.commands.clock.now();
        let standing = self.commands.standing(known.athlete, known.partition).await?;
        let access = Access {
            athlete: known.athlete.uuid(),
            partition: known.partition.0,
            role: role(&standing),
            tier: tier(standing.tier(now)),
            generation: known.generation,
            session,
        };
        Ok((access, standing.ends(now).map(|until| until.utc())))
    }

    /// An access token of a session, what it says, and for how many seconds.
    pub(crate) async fn token(
        &self,
        known: &Known,
        session: Uuid,
    ) -> Result<(String, Access, u64), Error> {
        let (access, until) = self.access(known, session).await?;
        let now = self.commands.clock.now().utc();
        let left = until.and_then(|until| u64::try_from((until - now).num_seconds()).ok());
        let lifetime = Tokens::LIFETIME.as_secs();
        let seconds = left.map_or(lifetime, |left| left.min(lifetime));
        Ok((self.tokens.issue(access, until)?, access, seconds))
    }

    /// Grants an account something and ends the tokens that say otherwise; `false` where it was so. What
    /// was so may have been cut off before the tokens were ended, so that they are ended again, but for
    /// notices: anybody who saw one could play it again.
    pub(crate) async fn grant(&self, origin: &Origin, grant: Grant) -> Result<bool, Error> {
        let is_notice = matches!(grant, Grant::Tier { notice: Some(_), .. });
        let applied = self.commands.grant(origin, grant).await?;
        if applied || !is_notice {
            self.outdate_tokens(origin.athlete).await?;
        }
        Ok(applied)
    }

    /// Tokens of an account say what is no longer true.
    async fn outdate_tokens(&self, athlete: AthleteId) -> Result<(), Error> {
        let generation = sqlx::query_scalar!(
            r#"with raised as (
                   update accounts.accounts set generation = generation + 1 where athlete = $1
                   returning athlete, generation
               )
               insert into accounts.revocations (subject, generation)
               select athlete, generation from raised
               returning generation as "generation!""#,
            athlete.uuid(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        if let Some(generation) = generation {
            self.revoking.tell([Revocation::Below(athlete.uuid(), generation)]);
        }
        Ok(())
    }

    async fn admit(&self, account: Account, keep: Option<Keep>) -> Result<Known, Error> {
        let athlete = AthleteId::new(account.athlete).map_err(Error::internal)?;
        let partition = Partition(account.partition);
        let known = Known { athlete, partition, generation: account.generation, proof: None };
        if let Some(said) = account.unregistered {
            // Registration was cut off between account and log: it goes on here.
            let registered = serde_json::from_str(&said).map_err(Error::internal)?;
            self.put_on_log(&known, registered, keep).await?;
        }
        Ok(known)
    }

    async fn find(&self, email: &str) -> Result<Option<Account>, Error> {
        sqlx::query_as!(
            Account,
            r#"select athlete, email, password_hash, partition, generation,
                   email_verified_at is not null as "is_verified!", unregistered
               from accounts.accounts where email = $1"#,
            fold_email(email)
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)
    }

    async fn find_athlete(&self, athlete: Uuid) -> Result<Option<Account>, Error> {
        sqlx::query_as!(
            Account,
            r#"select athlete, email, password_hash, partition, generation,
                   email_verified_at is not null as "is_verified!", unregistered
               from accounts.accounts where athlete = $1"#,
            athlete
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)
    }

    /// Throws away what is over.
    pub(crate) async fn prune(&self) -> Result<(), Error> {
        let now = self.commands.clock.now().utc();
        for pruning in [
            sqlx::query!("delete from accounts.sessions where expires_at < $1", now),
            sqlx::query!("delete from accounts.mailed where expires_at < $1", now),
            sqlx::query!(
                "delete from accounts.revocations where revoked_at < $1::timestamptz - interval '20 minutes'",
                now
            ),
        ] {
            pruning.execute(&self.pool).await.map_err(commands::database)?;
        }
        Ok(())
    }
}

/// When what an access token says ends of itself.
type Until = Option<chrono::DateTime<chrono::Utc>>;

/// What the owner of an account is told of it.
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "Account")]
pub(crate) struct About {
    athlete: AthleteId,
    email: String,
    email_verified: bool,
    /// Whether one can sign in with a password.
    has_password: bool,
    role: Role,
    tier: Tier,
    /// When the tier ends; `null` is never.
    tier_until: Option<events::Timestamp>,
}

/// The role of a standing, as tokens say it.
pub(crate) fn role(standing: &Standing) -> Role {
    match standing.role {
        events::Role::Athlete => Role::Athlete,
        events::Role::Coach => Role::Coach,
        events::Role::Admin => Role::Admin,
    }
}

/// A tier, as tokens say it.
pub(crate) fn tier(tier: events::Tier) -> Tier {
    match tier {
        events::Tier::Free => Tier::Free,
        events::Tier::Pro => Tier::Pro,
    }
}

fn fold_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// What is kept of a secret that its holder shows.
fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}
