//! Registering: an account, and the step from it to an athlete on the log.

use events::{Actor, AthleteId, AthleteRegistered, Channel, Metadata, Partition, Stream, Version};
use log::{Append, AppendError, Keep, Kept, NewEvent, Positions, Write};
use web::Error;

use super::{Accounts, Arrival, Known, fold_email};
use crate::{
    commands::{self, unavailable},
    idempotency,
};

impl Accounts {
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
    pub(super) async fn make(
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
        let keys = self.commands.log.keys();
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

    pub(super) async fn put_on_log(
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
}
