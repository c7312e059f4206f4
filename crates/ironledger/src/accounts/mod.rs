//! Who may sign in: accounts, and the step from an account to an athlete on the log.
//!
//! E-mail addresses, passwords, sessions and keys live here and nowhere else. What an account may do
//! and has paid for, the log tells.

mod door;
mod keys;
mod mail;
mod oidc;
mod passwords;
mod revoking;
mod sessions;
mod usernames;

use std::{net::IpAddr, sync::Arc};

use domain::account::Standing;
use events::{Actor, AthleteId, AthleteRegistered, Channel, Metadata, Partition, Stream, Version};
use log::{Append, AppendError, Keep, Kept, Keys, NewEvent, Positions, Write};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::{OnceCell, Semaphore};
use uuid::Uuid;
use web::{
    Access, Error, Revocation, Role, Tier, Tokens,
    access::{Seen, What},
    limits::{Budget, Limits},
};

use crate::{
    access_log::AccessLog,
    commands::{self, Commands, unavailable},
    idempotency,
    settings::TokenKeys,
};
pub(crate) use keys::{Key, NewKey};
pub(crate) use mail::{Mail, Mailer};
pub(crate) use oidc::{Issuers, Outcome, Provider};
pub(crate) use passwords::{Email, NewPassword};
pub(crate) use revoking::Revoking;
pub(crate) use sessions::{Begun, SessionEnd};

use keys::KnownKeys;
use passwords::Hasher;
use sessions::end;

/// Forgotten passwords that are looked for at the same time.
const FORGETTING: usize = 64;

/// Accounts, their passwords, sessions and keys.
#[derive(Clone)]
pub(crate) struct Accounts {
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
    csrf_keys: Arc<Vec<[u8; 32]>>,
    partitions: Arc<OnceCell<Vec<Partition>>>,
}

/// What accounts work with.
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

impl Accounts {
    pub(crate) fn new(with: With) -> Self {
        Self {
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
            csrf_keys: Arc::new(sessions::csrf_keys(&with.token_keys)),
            partitions: Arc::default(),
        }
    }

    /// Makes an account, and an athlete on the log; answers where on it, too. Under an idempotency
    /// key, who knows the password may do so again.
    pub(crate) async fn register(
        &self,
        email: &str,
        password: &str,
        registered: AthleteRegistered,
        key: Option<String>,
        arrival: &Arrival,
    ) -> Result<(Known, Positions), Error> {
        let hash = self.hasher.turn().await?.hash(password).await?;
        let said = serde_json::to_string(&registered).map_err(Error::internal)?;
        let made = self.make(email, Some(&hash), false, &said).await?;
        let Some(known) = made else {
            if let Some(key) = key
                && let Some(again) =
                    self.registered_before(email, password, &said, &key, arrival).await?
            {
                return Ok(again);
            }
            let message = "an account with this e-mail address exists already";
            return Err(Error::conflict("EMAIL_TAKEN", message));
        };
        let keep = match key {
            None => None,
            // Which athlete it was is all there is to remember: the rest is in the account.
            Some(key) => Some(Keep {
                key: self.hashed(known.athlete, &key, said.as_bytes()).await?,
                answer: Vec::new(),
            }),
        };
        let position = self.put_on_log(&known, registered, keep).await?;
        Ok((known, position))
    }

    /// The row of a new account; `None` when there is one of that address.
    async fn make(
        &self,
        email: &str,
        password_hash: Option<&str>,
        is_verified: bool,
        said: &str,
    ) -> Result<Option<Known>, Error> {
        let now = self.commands.clock.now();
        let id = self.commands.random.uuid(now);
        let athlete = AthleteId::new(id).map_err(Error::internal)?;
        let partition = self.some_partition().await?;
        let mut transaction = self.pool.begin().await.map_err(commands::database)?;
        let made = sqlx::query!(
            "insert into accounts.accounts
                 (athlete, email, password_hash, partition, created_at, unregistered,
                  email_verified_at)
             values ($1, $2, $3, $4, $5, $6, case when $7 then $5::timestamptz end)
             on conflict (email) do nothing",
            id,
            fold_email(email),
            password_hash,
            partition.0,
            now.utc(),
            said,
            is_verified,
        )
        .execute(&mut *transaction)
        .await
        .map_err(commands::database)?
        .rows_affected();
        if made == 0 {
            return Ok(None);
        }
        let keys = self.keys();
        keys.create(&mut transaction, athlete, now).await.map_err(commands::database)?;
        transaction.commit().await.map_err(commands::database)?;
        Ok(Some(Known { athlete, partition, generation: 0, proof: None }))
    }

    /// Whom an earlier registration under the same key made, if it said the same.
    async fn registered_before(
        &self,
        email: &str,
        password: &str,
        said: &str,
        key: &str,
        arrival: &Arrival,
    ) -> Result<Option<(Known, Positions)>, Error> {
        let (right, account) = self.guess(email, password, arrival).await?;
        let Some(account) = account.filter(|_| right) else { return Ok(None) };
        let athlete = AthleteId::new(account.athlete).map_err(Error::internal)?;
        let key = self.hashed(athlete, key, said.as_bytes()).await?;
        // One that was cut off before the log had it goes on under the key, and is this one then.
        let known = self.admit(account, Some(Keep { key, answer: Vec::new() })).await?;
        let kept = self.commands.log.kept(athlete, &key).await.map_err(commands::database)?;
        match kept {
            Some(kept) if !kept.same => Err(idempotency::reused()),
            Some(Kept { appended: Some(at), .. }) => {
                Ok(Some((known, Positions::one(at.epoch, at.partition, at.position))))
            }
            _ => Ok(None),
        }
    }

    async fn hashed(
        &self,
        athlete: AthleteId,
        key: &str,
        said: &[u8],
    ) -> Result<log::IdempotencyKey, Error> {
        idempotency::hashed(&self.commands.log, athlete, athlete.uuid(), key, said).await
    }

    /// Whose e-mail address and password these are.
    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: &str,
        arrival: &Arrival,
    ) -> Result<Known, Error> {
        let (right, account) = self.guess(email, password, arrival).await?;
        match account.filter(|_| right) {
            Some(account) => {
                let proof = account.password_hash.clone();
                Ok(Known { proof, ..self.admit(account, None).await? })
            }
            None => Err(wrong()),
        }
    }

    /// Whether a password is right, as often as one may guess. The limits are looked at when it is
    /// this one's turn, which lasts until it is counted: many guesses at once are no more than one after
    /// the other.
    async fn guess(
        &self,
        email: &str,
        password: &str,
        arrival: &Arrival,
    ) -> Result<(bool, Option<Account>), Error> {
        let account = self.find(email).await?;
        let subjects = [account_subject(email), address_subject(arrival)];
        let right = self.verify(account.as_ref(), password, &subjects, arrival).await?;
        Ok((right, account))
    }

    async fn verify(
        &self,
        account: Option<&Account>,
        password: &str,
        subjects: &[String],
        arrival: &Arrival,
    ) -> Result<bool, Error> {
        let turn = self.hasher.turn().await?;
        let athlete = account.map(|account| account.athlete);
        self.may_guess(athlete, subjects, arrival).await?;
        let hash = account.and_then(|account| account.password_hash.as_deref());
        let right = turn.verify(password, hash).await?;
        if !right {
            self.access_log.note(arrival.seen(What::SignInFailed, athlete, Some(401)));
            self.count_failure(subjects, arrival).await;
        }
        Ok(right)
    }

    /// Whether there is a try left.
    async fn may_guess(
        &self,
        athlete: Option<Uuid>,
        subjects: &[String],
        arrival: &Arrival,
    ) -> Result<(), Error> {
        if !arrival.lifted {
            for subject in subjects {
                let left = self.limits.look(subject, Budget::SignIn).await;
                if !left.granted {
                    self.access_log.note(arrival.seen(What::SignInFailed, athlete, Some(429)));
                    return Err(left.refusal());
                }
            }
        }
        Ok(())
    }

    /// One try less.
    async fn count_failure(&self, subjects: &[String], arrival: &Arrival) {
        if !arrival.lifted {
            for subject in subjects {
                self.limits.take(subject, &[Budget::SignIn], 1).await;
            }
        }
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

    /// Changes a password that is known; other sessions are over.
    pub(crate) async fn change_password(
        &self,
        athlete: AthleteId,
        session: Uuid,
        current: &str,
        new: &str,
        arrival: &Arrival,
    ) -> Result<(), Error> {
        let account = self.find_athlete(athlete.uuid()).await?;
        let account = account.ok_or_else(|| Error::not_found("account"))?;
        // Of the account alone: who has signed in to it is not somebody who tries many.
        let subjects = [account_subject(&account.email)];
        if !self.verify(Some(&account), current, &subjects, arrival).await? {
            let detail = web::Detail::new("current_password", "is not the password");
            return Err(Error::validation(vec![detail]));
        }
        let hash = self.hasher.turn().await?.hash(new).await?;
        let mut transaction = self.pool.begin().await.map_err(commands::database)?;
        let changed = sqlx::query!(
            "update accounts.accounts set password_hash = $2
             where athlete = $1 and password_hash is not distinct from $3",
            athlete.uuid(),
            hash,
            account.password_hash,
        )
        .execute(&mut *transaction)
        .await
        .map_err(commands::database)?;
        if changed.rows_affected() == 0 {
            return Err(Error::conflict("STALE", "the password was changed at this moment"));
        }
        // After the account: who signs in by the old password waits for it, or is seen here.
        let ended = end(&mut transaction, athlete, SessionEnd::AllBut(session)).await?;
        transaction.commit().await.map_err(commands::database)?;
        self.revoking.tell(ended.into_iter().map(Revocation::Over));
        self.access_log.note(arrival.by(athlete, What::PasswordChanged));
        Ok(())
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

    /// Tokens of an account say what is no longer true.
    pub(crate) async fn outdate_tokens(&self, athlete: AthleteId) -> Result<(), Error> {
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

    async fn put_on_log(
        &self,
        known: &Known,
        registered: AthleteRegistered,
        keep: Option<Keep>,
    ) -> Result<Positions, Error> {
        let Known { athlete, partition, .. } = *known;
        let log = &self.commands.log;
        let now = self.commands.clock.now();
        let run = self.commands.random.uuid(now);
        let metadata = Metadata {
            occurred_at: now,
            actor: Actor::Athlete(athlete),
            on_behalf_of: None,
            channel: Channel::Api,
            device: None,
            request: None,
            correlation: run,
            causation: run,
        };
        let event = NewEvent { event: registered.into(), metadata, client: None };
        let stream = Stream::athlete(athlete);
        let writes = vec![Write { stream, expected: Version(0), events: vec![event] }];
        let append = Append { owner: athlete, partition, writes };
        let position = match log.append_and_keep(append, keep).await {
            Ok(appended) => Positions::one(appended.epoch, partition, appended.position),
            // An earlier try got through.
            Err(AppendError::Conflict { .. } | AppendError::KeyUsed) => {
                let events = log.reader().read_stream(partition, athlete, stream, Version(0)).await;
                let first = events.map_err(commands::unreadable)?.into_iter().next();
                let first = first.ok_or_else(|| Error::internal("a registration is not there"))?;
                Positions::one(first.epoch, partition, first.position)
            }
            Err(error) => return Err(unavailable(error)),
        };
        sqlx::query!(
            "update accounts.accounts set unregistered = null where athlete = $1",
            athlete.uuid()
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        Ok(position)
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

    /// Athletes are spread by chance: no partition is known to be the emptiest without counting.
    async fn some_partition(&self) -> Result<Partition, Error> {
        let all = self
            .partitions
            .get_or_try_init(|| async {
                let heads =
                    self.commands.log.reader().heads().await.map_err(commands::unreadable)?;
                Ok::<_, Error>(heads.into_keys().collect())
            })
            .await?;
        let chance = u64::from_be_bytes(self.commands.random.bytes());
        let count = u64::try_from(all.len()).unwrap_or(1).max(1);
        let chosen = usize::try_from(chance % count).unwrap_or_default();
        all.get(chosen).copied().ok_or_else(|| Error::internal("the log has no partitions"))
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

    fn keys(&self) -> &Keys {
        self.commands.log.keys()
    }
}

/// What whoever fails to sign in is told, whatever it failed by.
fn wrong() -> Error {
    Error::unauthorized("CREDENTIALS_WRONG", "e-mail address or password is wrong")
}

/// When what an access token says ends of itself.
type Until = Option<chrono::DateTime<chrono::Utc>>;

/// What the owner of an account is told of it.
#[derive(Debug, serde::Serialize)]
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

/// By what failed sign-ins of an account are counted, whether there is such an account or not.
fn account_subject(email: &str) -> String {
    let digest = Sha256::digest(fold_email(email));
    format!("account:{}", digest.iter().take(16).map(|b| format!("{b:02x}")).collect::<String>())
}

/// By what failed sign-ins from an address are counted.
fn address_subject(arrival: &Arrival) -> String {
    format!("address:{}", web::address::subject(arrival.address))
}

fn fold_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// What is kept of a secret that its holder shows.
fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}
