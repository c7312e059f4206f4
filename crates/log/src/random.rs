//! The one place where chance enters.

use std::sync::{Arc, Mutex, PoisonError};

use events::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// A source of random bytes: the system's, or a repeatable one for tests.
#[derive(Clone, Default)]
pub struct Random(Option<Arc<Mutex<StdRng>>>);

impl Random {
    /// The cryptographic generator of the process, seeded by the operating system.
    pub fn system() -> Self {
        Self(None)
    }

    /// The same bytes again for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// Fresh random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        match &self.0 {
            None => rand::rng().fill_bytes(&mut bytes),
            Some(rng) => {
                rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
            }
        }
        bytes
    }

    /// A fresh UUID of version 7 that carries the time given.
    pub fn uuid(&self, at: Timestamp) -> Uuid {
        let millis = u64::try_from(at.utc().timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }
}
