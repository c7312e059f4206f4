//! Who may sign in: accounts, passwords, and the step from an account to an athlete on the log.

use std::sync::{Arc, LazyLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use chrono::TimeDelta;
use domain::profile::Username;
use events::{
    Actor, AthleteId, AthleteRegistered, Channel, Metadata, Partition, Stream, Timestamp, Version,
};
use log::{Append, AppendError, Clock, Keep, Kept, Keys, Log, NewEvent, Positions, Random, Write};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::PgPool;
use tokio::sync::{OnceCell, Semaphore};
use web::{Caller, Error, Role};

use crate::{
    commands::{self, unavailable},
    idempotency,
};

/// A command that claimed a username is over after so long, one way or another.
const CLAIMED_LATELY: TimeDelta = TimeDelta::minutes(10);

/// Usernames that an athlete holds at the same time, counting those claimed lately: nobody hoards them.
const USERNAMES: i64 = 4;

/// Accounts and their passwords.
#[derive(Clone)]
pub(crate) struct Accounts {
    pool: PgPool,
    log: Log,
    keys: Keys,
    clock: Clock,
    random: Random,
    /// Passwords hashed at the same time; hashing must not take the cores from logging sets.
    hashing: Arc<Semaphore>,
    partitions: Arc<OnceCell<Vec<Partition>>>,
}

/// An account as it is stored.
struct Account {
    athlete: uuid::Uuid,
    password_hash: String,
    partition: i16,
    role: String,
    unregistered: Option<String>,
}

/// A hash that no password has: an unknown address takes as long to refuse as a known one.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password_with_salt(b"nobody's password", b"nobody's salt...");
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

impl Accounts {
    pub(crate) fn new(pool: PgPool, log: Log, clock: Clock, random: Random) -> Self {
        let hashing = Arc::new(Semaphore::new(2));
        let keys = log.keys().clone();
        Self { pool, log, keys, clock, random, hashing, partitions: Arc::default() }
    }

    /// Makes an account, and an athlete on the log; answers where on it, too. Under an idempotency
    /// key, who knows the password may do so again.
    pub(crate) async fn register(
        &self,
        email: &str,
        password: &str,
        registered: AthleteRegistered,
        key: Option<String>,
    ) -> Result<(Caller, Positions), Error> {
        let email = fold_email(email);
        let password_hash = self.hash(password).await?;
        let now = self.clock.now();
        let athlete = AthleteId::new(self.random.uuid(now)).map_err(Error::internal)?;
        let partition = self.some_partition().await?;
        let said = serde_json::to_string(&registered).map_err(Error::internal)?;

        let mut transaction = self.pool.begin().await.map_err(commands::database)?;
        let made = sqlx::query!(
            "insert into accounts.accounts
                 (athlete, email, password_hash, partition, created_at, unregistered)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (email) do nothing",
            athlete.uuid(),
            email,
            password_hash,
            partition.0,
            now.utc(),
            said,
        )
        .execute(&mut *transaction)
        .await
        .map_err(commands::database)?
        .rows_affected();
        if made == 0 {
            drop(transaction);
            if let Some(key) = key
                && let Some(again) = self.registered_before(&email, password, &said, &key).await?
            {
                return Ok(again);
            }
            let message = "an account with this e-mail address exists already";
            return Err(Error::conflict("EMAIL_TAKEN", message));
        }
        self.keys.create(&mut transaction, athlete, now).await.map_err(commands::database)?;
        transaction.commit().await.map_err(commands::database)?;

        let keep = match key {
            None => None,
            // Which athlete it was is all there is to remember: the rest is in the account.
            Some(key) => Some(Keep {
                key: idempotency::hashed(&self.log, athlete, &key, said.as_bytes()).await?,
                answer: Vec::new(),
            }),
        };
        let position = self.put_on_log(athlete, partition, registered, keep).await?;
        let caller =
            Caller { athlete: athlete.uuid(), partition: partition.0, role: Role::Athlete };
        Ok((caller, position))
    }

    /// Whom an earlier registration under the same key made, if it said the same.
    async fn registered_before(
        &self,
        email: &str,
        password: &str,
        said: &str,
        key: &str,
    ) -> Result<Option<(Caller, Positions)>, Error> {
        let Some(account) = self.find(email).await? else { return Ok(None) };
        if !self.verify(password, &account.password_hash).await? {
            return Ok(None);
        }
        let athlete = AthleteId::new(account.athlete).map_err(Error::internal)?;
        let key = idempotency::hashed(&self.log, athlete, key, said.as_bytes()).await?;
        // One that was cut off before the log had it goes on under the key, and is this one then.
        let caller = self.admit(account, Some(Keep { key, answer: Vec::new() })).await?;
        let kept = self.log.kept(athlete, &key).await.map_err(commands::database)?;
        match kept {
            Some(kept) if !kept.same => Err(idempotency::reused()),
            Some(Kept { appended: Some(at), .. }) => {
                Ok(Some((caller, Positions::one(at.epoch, at.partition, at.position))))
            }
            _ => Ok(None),
        }
    }

    /// Whose e-mail address and password these are.
    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Result<Caller, Error> {
        let account = self.find(email).await?;
        let hash = account.as_ref().map_or(NOBODY.as_str(), |account| &account.password_hash);
        let right = self.verify(password, hash).await?;
        let Some(account) = account.filter(|_| right) else {
            let message = "e-mail address or password is wrong";
            return Err(Error::unauthorized("CREDENTIALS_WRONG", message));
        };
        self.admit(account, None).await
    }

    /// The account of an address, without a password: for who runs the place.
    pub(crate) async fn of_email(&self, email: &str) -> Result<Option<Caller>, Error> {
        match self.find(email).await? {
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

    /// Gives an account a role; `false` when there is no such account.
    pub(crate) async fn grant(&self, email: &str, role: Role) -> Result<bool, Error> {
        let changed = sqlx::query!(
            "update accounts.accounts set role = $2 where email = $1",
            fold_email(email),
            role.as_str(),
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        Ok(changed.rows_affected() == 1)
    }

    /// Makes a username an athlete's, before the log tells of it; refused when it is another's.
    pub(crate) async fn claim(&self, athlete: AthleteId, username: &Username) -> Result<(), Error> {
        let claimed = sqlx::query!(
            "insert into accounts.usernames as there (username, athlete, claimed_at)
             select $1, $2, $3
             where (select count(*) from accounts.usernames where athlete = $2 and username <> $1) < $4
             on conflict (username) do update set claimed_at = excluded.claimed_at
             where there.athlete = excluded.athlete",
            username.folded(),
            athlete.uuid(),
            self.clock.now().utc(),
            USERNAMES,
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        if claimed.rows_affected() == 1 {
            return Ok(());
        }
        let is_taken = sqlx::query_scalar!(
            r#"select exists (select from accounts.usernames where username = $1) as "is_taken!""#,
            username.folded(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(commands::database)?;
        Err(if is_taken {
            Error::conflict("USERNAME_TAKEN", "somebody else has this username")
        } else {
            Error::conflict(
                "USERNAME_CHANGED_OFTEN",
                "the username was changed too often: try again in ten minutes",
            )
        })
    }

    /// Lets usernames go that an athlete has no longer. What was claimed a while ago at most may be
    /// about to be told to the log, and stays until they change it again.
    pub(crate) async fn let_go(
        &self,
        athlete: AthleteId,
        username: Option<&str>,
    ) -> Result<(), Error> {
        let since = self.clock.now().shifted(-CLAIMED_LATELY).map(Timestamp::utc);
        sqlx::query!(
            "delete from accounts.usernames
             where athlete = $1 and username is distinct from $2 and claimed_at < $3",
            athlete.uuid(),
            username.map(str::to_ascii_lowercase),
            since,
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        Ok(())
    }

    async fn admit(&self, account: Account, keep: Option<Keep>) -> Result<Caller, Error> {
        let athlete = AthleteId::new(account.athlete).map_err(Error::internal)?;
        if let Some(said) = account.unregistered {
            // Registration was cut off between account and log: it goes on here.
            let registered = serde_json::from_str(&said).map_err(Error::internal)?;
            self.put_on_log(athlete, Partition(account.partition), registered, keep).await?;
        }
        let role = account.role.parse().map_err(Error::internal)?;
        Ok(Caller { athlete: account.athlete, partition: account.partition, role })
    }

    async fn put_on_log(
        &self,
        athlete: AthleteId,
        partition: Partition,
        registered: AthleteRegistered,
        keep: Option<Keep>,
    ) -> Result<Positions, Error> {
        let now = self.clock.now();
        let run = self.random.uuid(now);
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
        let position = match self.log.append_and_keep(append, keep).await {
            Ok(appended) => Positions::one(appended.epoch, partition, appended.position),
            // An earlier try got through.
            Err(AppendError::Conflict { .. } | AppendError::KeyUsed) => {
                let events =
                    self.log.reader().read_stream(partition, athlete, stream, Version(0)).await;
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
            "select athlete, password_hash, partition, role, unregistered
             from accounts.accounts where email = $1",
            fold_email(email)
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
                let heads = self.log.reader().heads().await.map_err(commands::unreadable)?;
                Ok::<_, Error>(heads.into_keys().collect())
            })
            .await?;
        let chance = u64::from_be_bytes(self.random.bytes());
        let count = u64::try_from(all.len()).unwrap_or(1).max(1);
        let chosen = usize::try_from(chance % count).unwrap_or_default();
        all.get(chosen).copied().ok_or_else(|| Error::internal("the log has no partitions"))
    }

    async fn hash(&self, password: &str) -> Result<String, Error> {
        let password = password.to_owned();
        let salt: [u8; 16] = self.random.bytes();
        self.on_hashing_thread(move || {
            let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(format!("{error:?}")))
        })
        .await?
    }

    async fn verify(&self, password: &str, hash: &str) -> Result<bool, Error> {
        let (password, hash) = (password.to_owned(), hash.to_owned());
        self.on_hashing_thread(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
        })
        .await
    }

    async fn on_hashing_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.hashing.clone().acquire_owned().await.map_err(Error::internal)?;
        // The turn ends with the work, and not with a caller who has gone away: else a storm of
        // such callers would start a thread and its memory for each.
        let hashing = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        hashing.await.map_err(Error::internal)
    }
}

/// An e-mail address as a person typed it.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub(crate) struct Email(pub(crate) String);

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plausible = text.len() <= 254
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            });
        if plausible { Ok(Self(text)) } else { Err("must be an e-mail address") }
    }
}

/// A password that somebody chooses.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub(crate) struct NewPassword(pub(crate) String);

impl TryFrom<String> for NewPassword {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let long_enough = (8..=128).contains(&text.chars().count());
        if long_enough { Ok(Self(text)) } else { Err("must be 8 to 128 characters") }
    }
}

fn fold_email(email: &str) -> String {
    email.trim().to_lowercase()
}
