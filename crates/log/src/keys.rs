//! Personal data that can be forgotten: one key per person, wrapped by a master key.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use events::{AthleteId, Event, PersonalField, Timestamp};
use hmac::{Hmac, Mac};
use moka::future::Cache;
use sha2::Sha256;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{Random, kafka::hexadecimal};

/// The key that wraps the keys of persons: 32 bytes from configuration, never stored in Postgres.
#[derive(Clone)]
pub struct MasterKey(Arc<Master>);

struct Master {
    cipher: Aes256Gcm,
    peers: PeerSecret,
}

/// Keyed, for proving to other processes that we have the master key too.
pub(crate) type PeerSecret = Hmac<Sha256>;

impl MasterKey {
    /// Takes the key as base64 (standard alphabet, with or without padding) of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, &'static str> {
        let bytes: [u8; 32] = STANDARD_NO_PAD
            .decode(text.trim().trim_end_matches('='))
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or("the master key must be base64 of 32 bytes")?;
        Ok(Self::of_bytes(bytes))
    }
}

impl MasterKey {
    /// A key that wraps nobody's: for processes that neither seal nor open anything.
    pub fn of_nobody(random: &Random) -> Self {
        Self::of_bytes(random.bytes())
    }

    fn of_bytes(bytes: [u8; 32]) -> Self {
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(bytes));
        Self(Arc::new(Master { cipher, peers: keyed(&mac(&bytes, b"peers")) }))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// What the right master key makes of the verifier.
const VERIFIER: &[u8] = b"ironledger master key";

/// What one person's key does: seal, open, and recognise what a command said.
struct PersonKey {
    person: AthleteId,
    cipher: Aes256Gcm,
    /// Keyed, and then cloned for every message.
    fingerprint: Hmac<Sha256>,
}

impl PersonKey {
    fn new(person: AthleteId, secret: &[u8; 32]) -> Self {
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(mac(secret, b"seal")));
        Self { person, cipher, fingerprint: keyed(&mac(secret, b"fingerprint")) }
    }

    fn seal(&self, random: &Random, text: &str) -> String {
        STANDARD_NO_PAD.encode(encrypt(&self.cipher, self.person, random, text.as_bytes()))
    }

    fn open(&self, sealed: &str) -> Option<String> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        String::from_utf8(decrypt(&self.cipher, self.person, &bytes)?).ok()
    }
}

/// Seals, opens and forgets personal fields.
#[derive(Clone)]
pub struct Keys {
    pool: PgPool,
    master: MasterKey,
    random: Random,
    /// Also remembers that a key is not there. Short-lived, so that a destroyed key is soon
    /// forgotten by every process.
    cache: Cache<AthleteId, Option<Arc<PersonKey>>>,
}

impl Keys {
    /// Keys are fetched from `pool` when needed and kept for half a minute.
    pub fn new(pool: PgPool, master: MasterKey, random: Random) -> Self {
        let cache =
            Cache::builder().max_capacity(100_000).time_to_live(Duration::from_secs(30)).build();
        Self { pool, master, random, cache }
    }

    /// Whether the master key is the one that this database's keys are wrapped with; the first one
    /// that asks becomes it.
    pub async fn master_key_fits(&self) -> Result<bool, sqlx::Error> {
        let verifier = encrypt(&self.master.0.cipher, nobody()?, &self.random, VERIFIER);
        sqlx::query!(
            "insert into log.master_key (verifier) values ($1) on conflict do nothing",
            verifier
        )
        .execute(&self.pool)
        .await?;
        Ok(self.master_key_is_known().await? == Some(true))
    }

    /// The same for those who may write nothing; `None` on a database that has none yet.
    pub async fn master_key_is_known(&self) -> Result<Option<bool>, sqlx::Error> {
        let verifier = sqlx::query_scalar!("select verifier from log.master_key")
            .fetch_optional(&self.pool)
            .await?;
        let nobody = nobody()?;
        Ok(verifier.map(|verifier| {
            decrypt(&self.master.0.cipher, nobody, &verifier).as_deref() == Some(VERIFIER)
        }))
    }

    /// What processes with the same master key share.
    pub(crate) fn peer_secret(&self) -> PeerSecret {
        self.master.0.peers.clone()
    }

    /// Makes the key of a person, within the caller's transaction.
    pub async fn create(
        &self,
        connection: &mut PgConnection,
        person: AthleteId,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let wrapped =
            encrypt(&self.master.0.cipher, person, &self.random, &self.random.bytes::<32>());
        sqlx::query!(
            "insert into log.personal_keys (person, wrapped, created_at) values ($1, $2, $3)",
            person.uuid(),
            wrapped,
            now.utc(),
        )
        .execute(connection)
        .await?;
        self.cache.invalidate(&person).await;
        Ok(())
    }

    /// Destroys the key of a person: what it sealed can never be read again.
    pub async fn destroy(&self, person: AthleteId) -> Result<(), sqlx::Error> {
        sqlx::query!("delete from log.personal_keys where person = $1", person.uuid())
            .execute(&self.pool)
            .await?;
        self.cache.invalidate(&person).await;
        Ok(())
    }

    /// Seals the personal fields of an event with the key of the person they are about. `false`
    /// when that key is gone: then nothing about the person may be stored any more.
    pub async fn seal(&self, about: AthleteId, event: &mut Event) -> Result<bool, sqlx::Error> {
        if event.personal_fields().is_empty() {
            return Ok(true);
        }
        let Some(key) = self.key(about).await? else { return Ok(false) };
        for field in event.personal_fields() {
            field.seal(about, &mut |text| key.seal(&self.random, text));
        }
        Ok(true)
    }

    /// Opens the fields; those whose key is gone become erased. Keys of many people are fetched
    /// together.
    pub async fn open(&self, fields: Vec<&mut dyn PersonalField>) -> Result<(), sqlx::Error> {
        let mut people = HashMap::new();
        for person in fields.iter().filter_map(|field| field.about()) {
            if !self.cache.contains_key(&person) {
                people.insert(person.uuid(), person);
            }
        }
        if people.len() > 1 {
            self.fetch(people).await?;
        }
        for field in fields {
            let Some(about) = field.about() else { continue };
            let key = self.key(about).await?;
            field.open(&mut |_, sealed| key.as_ref()?.open(sealed));
        }
        Ok(())
    }

    /// Seals bytes about a person; `None` when their key is gone.
    pub async fn seal_bytes(
        &self,
        about: AthleteId,
        clear: &[u8],
    ) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let key = self.key(about).await?;
        Ok(key.map(|key| encrypt(&key.cipher, about, &self.random, clear)))
    }

    /// Opens what [`Keys::seal_bytes`] sealed; `None` when the key is gone.
    pub async fn open_bytes(
        &self,
        about: AthleteId,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let key = self.key(about).await?;
        Ok(key.and_then(|key| decrypt(&key.cipher, about, sealed)))
    }

    /// A keyed hash of what a command said, by which a repetition is told from another command
    /// with the same id. Keyed, so that it says nothing once the person is forgotten. `None` when
    /// the key is gone.
    pub async fn fingerprint(
        &self,
        person: AthleteId,
        said: &[u8],
    ) -> Result<Option<[u8; 16]>, sqlx::Error> {
        let key = self.key(person).await?;
        Ok(key.and_then(|key| {
            let mac = key.fingerprint.clone().chain_update(said).finalize().into_bytes();
            mac.first_chunk().copied()
        }))
    }

    /// The names by which public topics know people: 32 hexadecimal digits, 128 bits of a keyed
    /// hash. Nobody whose key is gone is among them, and nobody can tell any more who it was.
    ///
    /// The keys are fetched anew every time, so that one who was forgotten is not named once more.
    pub async fn pseudonyms(
        &self,
        people: impl IntoIterator<Item = AthleteId>,
    ) -> Result<HashMap<AthleteId, String>, sqlx::Error> {
        let people: HashMap<Uuid, AthleteId> =
            people.into_iter().map(|person| (person.uuid(), person)).collect();
        let ids: Vec<Uuid> = people.keys().copied().collect();
        let rows = sqlx::query!(
            "select person, wrapped from log.personal_keys where person = any($1)",
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        let mut pseudonyms = HashMap::with_capacity(rows.len());
        for row in rows {
            let Some(person) = people.get(&row.person).copied() else { continue };
            let hash = mac(&self.unwrap(person, &row.wrapped)?, b"pseudonym");
            pseudonyms.insert(person, hexadecimal(&hash[..16]));
        }
        Ok(pseudonyms)
    }

    fn unwrap(&self, person: AthleteId, wrapped: &[u8]) -> Result<[u8; 32], sqlx::Error> {
        decrypt(&self.master.0.cipher, person, wrapped)
            .and_then(|secret| secret.try_into().ok())
            .ok_or_else(|| {
                sqlx::Error::Decode("a personal key is wrapped by another master key".into())
            })
    }

    /// Brings the keys of people into the cache.
    async fn fetch(&self, people: HashMap<Uuid, AthleteId>) -> Result<(), sqlx::Error> {
        let ids: Vec<Uuid> = people.keys().copied().collect();
        let rows = sqlx::query!(
            "select person, wrapped from log.personal_keys where person = any($1)",
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        let mut wrapped: HashMap<Uuid, Vec<u8>> =
            rows.into_iter().map(|row| (row.person, row.wrapped)).collect();
        for (id, person) in people {
            let key = match wrapped.remove(&id) {
                Some(wrapped) => {
                    Some(Arc::new(PersonKey::new(person, &self.unwrap(person, &wrapped)?)))
                }
                None => None,
            };
            self.cache.insert(person, key).await;
        }
        Ok(())
    }

    async fn key(&self, person: AthleteId) -> Result<Option<Arc<PersonKey>>, sqlx::Error> {
        if let Some(known) = self.cache.get(&person).await {
            return Ok(known);
        }
        let wrapped = sqlx::query_scalar!(
            "select wrapped from log.personal_keys where person = $1",
            person.uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        let key = match wrapped {
            None => None,
            Some(wrapped) => {
                Some(Arc::new(PersonKey::new(person, &self.unwrap(person, &wrapped)?)))
            }
        };
        self.cache.insert(person, key.clone()).await;
        Ok(key)
    }
}

/// Whom the verifier is bound to.
fn nobody() -> Result<AthleteId, sqlx::Error> {
    AthleteId::new(Uuid::from_u128(0x7000_8000_0000_0000_0000))
        .map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    keyed(key).chain_update(message).finalize().into_bytes().into()
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let Ok(mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac
}

/// AES-256-GCM under a random nonce, bound to the person: nonce, then ciphertext and tag.
fn encrypt(cipher: &Aes256Gcm, person: AthleteId, random: &Random, clear: &[u8]) -> Vec<u8> {
    let nonce: [u8; 12] = random.bytes();
    let aad = person.uuid();
    let payload = Payload { msg: clear, aad: aad.as_bytes() };
    // AES-GCM fails only past 64 GiB, and a request is at most a megabyte.
    let sealed = cipher.encrypt(&Nonce::from(nonce), payload).unwrap_or_default();
    [nonce.as_slice(), &sealed].concat()
}

fn decrypt(cipher: &Aes256Gcm, person: AthleteId, bytes: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = bytes.split_first_chunk::<12>()?;
    let aad = person.uuid();
    let payload = Payload { msg: sealed, aad: aad.as_bytes() };
    cipher.decrypt(&Nonce::from(*nonce), payload).ok()
}
