//! API keys: for programs that act for an athlete, each with what it is for.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use events::{AthleteId, Text, Timestamp};
use moka::future::Cache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{Detail, Error, KeyHolder, Revocation, Role, Scope, access::KEY_PREFIX};

use super::{Accounts, digest};
use crate::commands;

/// Keys of an athlete.
const MOST: i64 = 50;

/// What a key is for is remembered for so long; that it was deleted is heard of at once.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Holders of keys that were used lately, by a digest of the key.
#[derive(Clone)]
pub(super) struct KnownKeys(Cache<[u8; 32], Arc<KeyHolder>>);

impl Default for KnownKeys {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(100_000).time_to_live(REMEMBERED).build())
    }
}

/// The body of `POST /v1/auth/keys`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewApiKey")]
pub(crate) struct NewKey {
    /// What the athlete calls it.
    pub(crate) name: Text<100>,
    /// What it is for, each once.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(crate) scopes: Vec<Scope>,
    /// When it ends; never by default.
    pub(crate) expires_at: Option<Timestamp>,
}

/// A key as its athlete sees it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(crate) struct Key {
    pub(crate) id: Uuid,
    name: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    /// To about a minute; `null` where it never was.
    used_at: Option<DateTime<Utc>>,
}

impl Accounts {
    /// Makes a key; the text of it is shown now and never again.
    pub(crate) async fn create_key(
        &self,
        athlete: AthleteId,
        new: NewKey,
    ) -> Result<(Key, String), Error> {
        let now = self.commands.clock.now();
        let mut wrong = Vec::new();
        let mut scopes = new.scopes.clone();
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() || scopes.len() < new.scopes.len() {
            wrong.push(Detail::new("scopes", "must name one scope or more, each once"));
        }
        if new.expires_at.is_some_and(|at| at <= now) {
            wrong.push(Detail::new("expires_at", "must be in the future"));
        }
        if !wrong.is_empty() {
            return Err(Error::validation(wrong));
        }
        let id = self.commands.random.uuid(now);
        let secret: [u8; 32] = self.commands.random.bytes();
        let scopes: Vec<String> = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
        let made = sqlx::query!(
            "insert into accounts.keys (id, athlete, name, secret, scopes, created_at, expires_at)
             select $1, $2, $3, $4, $5, $6, $7
             where (select count(*) from accounts.keys where athlete = $2) < $8",
            id,
            athlete.uuid(),
            new.name.as_str(),
            &digest(&secret)[..],
            &scopes,
            now.utc(),
            new.expires_at.map(Timestamp::utc),
            MOST,
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        if made.rows_affected() == 0 {
            return Err(Error::conflict("TOO_MANY_KEYS", "an athlete has at most 50 API keys"));
        }
        let text = [id.as_bytes(), &secret[..]].concat();
        let key = Key {
            id,
            name: new.name.as_str().to_owned(),
            scopes,
            created_at: now.utc(),
            expires_at: new.expires_at.map(Timestamp::utc),
            used_at: None,
        };
        Ok((key, format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(text))))
    }

    /// The keys of an athlete, the newest first.
    pub(crate) async fn api_keys(&self, athlete: AthleteId) -> Result<Vec<Key>, Error> {
        sqlx::query_as!(
            Key,
            "select id, name, scopes, created_at, expires_at, used_at
             from accounts.keys where athlete = $1 order by id desc",
            athlete.uuid(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(commands::database)
    }

    /// Deletes a key, which is dead on every process within a second; `false` when there is none.
    pub(crate) async fn delete_key(&self, athlete: AthleteId, key: Uuid) -> Result<bool, Error> {
        let deleted = sqlx::query_scalar!(
            "with deleted as (
                 delete from accounts.keys where athlete = $1 and id = $2 returning id
             )
             insert into accounts.revocations (subject) select id from deleted
             returning subject",
            athlete.uuid(),
            key,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        self.revoking.tell(deleted.map(Revocation::Over));
        Ok(deleted.is_some())
    }

    /// Who holds a key; `None` where it is none.
    pub(super) async fn key_holder(&self, text: &str) -> Result<Option<KeyHolder>, Error> {
        let known = digest(text.as_bytes());
        if let Some(holder) = self.known_keys.0.get(&known).await {
            if self.revoking.revoked.ends(&holder.access) == Some(false) {
                return Ok(Some(KeyHolder::clone(&holder)));
            }
            self.known_keys.0.invalidate(&known).await;
        }
        let Some((id, secret)) = parse(text) else { return Ok(None) };
        let now = self.commands.clock.now().utc();
        let key = sqlx::query!(
            "update accounts.keys set used_at = $2
             where id = $1 and secret = $3 and (expires_at is null or expires_at > $2)
             returning athlete, scopes, expires_at",
            id,
            now,
            &digest(&secret)[..],
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        let Some(key) = key else { return Ok(None) };
        let Some(account) = self.find_athlete(key.athlete).await? else { return Ok(None) };
        let account = self.admit(account, None).await?;
        let (mut access, ends) = self.access(&account, id).await?;
        // Who runs the place does so themselves: a key of theirs is an athlete's.
        if access.role == Role::Admin {
            access.role = Role::Athlete;
        }
        let scopes = key.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        let holder = KeyHolder { access, scopes };
        // One that ends, or has a tier that ends, within the minute is asked for each time.
        let within = chrono::TimeDelta::from_std(REMEMBERED).map_err(Error::internal)?;
        let ends_soon = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now + within);
        if !ends_soon(key.expires_at) && !ends_soon(ends) {
            self.known_keys.0.insert(known, Arc::new(holder.clone())).await;
        }
        Ok(Some(holder))
    }
}

fn parse(text: &str) -> Option<(Uuid, [u8; 32])> {
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(KEY_PREFIX)?).ok()?;
    let (id, secret) = bytes.split_first_chunk::<16>()?;
    Some((Uuid::from_bytes(*id), secret.try_into().ok()?))
}
