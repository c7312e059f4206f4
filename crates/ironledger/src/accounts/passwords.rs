//! Passwords: how they are hashed, and what may be one.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use log::Random;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use web::Error;

/// Passwords that wait to be hashed; whoever comes then is told to come back.
const WAITING: usize = 64;

/// A hash that no password has: an unknown address takes as long to refuse as a known one.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password_with_salt(b"nobody's password", b"nobody's salt...");
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

/// Hashes passwords, few at a time: it takes a core for a while, and other work must not wait for it.
#[derive(Clone)]
pub(super) struct Hasher {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    random: Random,
}

/// The right to hash now. It ends with the work at the earliest, and not with a caller who has gone
/// away: else a storm of such callers would start a thread and its memory for each.
pub(super) struct Turn {
    permit: Arc<OwnedSemaphorePermit>,
    random: Random,
}

impl Hasher {
    pub(super) fn new(random: Random) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Made now, lest the first unknown address wait for it.
        LazyLock::force(&NOBODY);
        Self {
            turns: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: Arc::default(),
            random,
        }
    }

    /// Waits for a turn, unless too many do.
    pub(super) async fn turn(&self) -> Result<Turn, Error> {
        let waiting = Waiting(self.waiting.clone());
        if waiting.0.fetch_add(1, Ordering::Relaxed) >= WAITING {
            return Err(Error::unavailable("BUSY", "too many sign in at once; come back soon", 2));
        }
        let permit = self.turns.clone().acquire_owned().await.map_err(Error::internal)?;
        Ok(Turn { permit: Arc::new(permit), random: self.random.clone() })
    }
}

/// Counted for as long as it is there.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// The PHC string of a password.
    pub(super) async fn hash(&self, password: &str) -> Result<String, Error> {
        let password = password.to_owned();
        let salt: [u8; 16] = self.random.bytes();
        on_a_thread(self.permit.clone(), move || {
            let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(format!("{error:?}")))
        })
        .await?
    }

    /// Whether a password is that of a hash; without one it takes as long, and is not.
    pub(super) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, Error> {
        let password = password.to_owned();
        let there = hash.is_some();
        let hash = hash.unwrap_or(NOBODY.as_str()).to_owned();
        on_a_thread(self.permit.clone(), move || {
            let right = PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            });
            right && there
        })
        .await
    }
}

async fn on_a_thread<T: Send + 'static>(
    permit: Arc<OwnedSemaphorePermit>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let hashing = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    hashing.await.map_err(Error::internal)
}

/// An e-mail address as a person typed it.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("format" = "email", "maxLength" = 254))]
pub(crate) struct Email(pub(crate) String);

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // What mail cannot go to is none, and nothing but an address is one.
        let plausible = text.len() <= 254 && text.parse::<lettre::Address>().is_ok();
        if plausible { Ok(Self(text)) } else { Err("must be an e-mail address") }
    }
}

/// A password that somebody chooses.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("minLength" = 8, "maxLength" = 128))]
pub(crate) struct NewPassword(pub(crate) String);

impl TryFrom<String> for NewPassword {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let long_enough = (8..=128).contains(&text.chars().count());
        if long_enough { Ok(Self(text)) } else { Err("must be 8 to 128 characters") }
    }
}
