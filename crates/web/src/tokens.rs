//! Access tokens: who they are for, what they say, and which keys sign them.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Error, Role, Tier};

const ISSUER: &str = "ironledger";
const AUDIENCE: &str = "ironledger-api";

/// What the header of a token calls it (RFC 9068): no other kind of token passes for one.
const KIND: &str = "at+jwt";

/// Clocks of processes may differ by so many seconds.
const LEEWAY: i64 = 5;

/// What an access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Whose it is.
    pub athlete: Uuid,
    /// Their log partition.
    pub partition: i16,
    /// What they may do beyond their own affairs.
    pub role: Role,
    /// What they have paid for.
    pub tier: Tier,
    /// Raised whenever role or tier change: tokens from before say what is no longer true.
    pub generation: i32,
    /// The session it belongs to.
    pub session: Uuid,
}

/// Issues and verifies access tokens: JWT, HMAC-SHA-256, 15 minutes.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    header: Header,
    signing: EncodingKey,
    accepted: HashMap<String, DecodingKey>,
    validation: Validation,
    now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    part: i16,
    role: Role,
    tier: Tier,
    r#gen: i32,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// How long an access token is good for.
    pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

    /// Tokens at the time that `now` tells, signed by the first secret; those that the others
    /// signed are good too, for as long as keys are changed. Secrets have at least 32 bytes.
    pub fn new(
        signing: &[u8],
        others: &[Vec<u8>],
        now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static,
    ) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // By our clock, below: the library would ask the system's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        let header = Header {
            typ: Some(KIND.to_owned()),
            kid: Some(key_id(signing)),
            ..Header::new(Algorithm::HS256)
        };
        let accepted = others.iter().map(Vec::as_slice).chain([signing]);
        Self(Arc::new(Inner {
            header,
            signing: EncodingKey::from_secret(signing),
            accepted: accepted
                .map(|secret| (key_id(secret), DecodingKey::from_secret(secret)))
                .collect(),
            validation,
            now: Box::new(now),
        }))
    }

    /// A token that says so, good from now for [`Tokens::LIFETIME`], or until a time before that.
    pub fn issue(&self, access: Access, until: Option<DateTime<Utc>>) -> Result<String, Error> {
        let now = (self.0.now)().timestamp();
        let lifetime = now + Self::LIFETIME.as_secs().cast_signed();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: access.athlete,
            sid: access.session,
            part: access.partition,
            role: access.role,
            tier: access.tier,
            r#gen: access.generation,
            iat: now,
            nbf: now,
            exp: until.map_or(lifetime, |until| lifetime.min(until.timestamp())),
        };
        jsonwebtoken::encode(&self.0.header, &claims, &self.0.signing).map_err(Error::internal)
    }

    /// What a token says, when it is ours and good now.
    pub fn verify(&self, token: &str) -> Result<Access, Error> {
        let invalid = || Error::unauthorized("TOKEN_INVALID", "the access token is not valid");
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        let key = header.kid.as_ref().and_then(|id| self.0.accepted.get(id));
        let key = key.filter(|_| header.typ.as_deref() == Some(KIND)).ok_or_else(invalid)?;
        let claims: Claims =
            jsonwebtoken::decode(token, key, &self.0.validation).map_err(|_| invalid())?.claims;
        let now = (self.0.now)().timestamp();
        if now >= claims.exp {
            return Err(Error::unauthorized("TOKEN_EXPIRED", "the access token has expired"));
        }
        if now < claims.nbf - LEEWAY {
            return Err(invalid());
        }
        Ok(Access {
            athlete: claims.sub,
            partition: claims.part,
            role: claims.role,
            tier: claims.tier,
            generation: claims.r#gen,
            session: claims.sid,
        })
    }
}

/// The name of a key in tokens: of its bytes, so that every process calls it the same.
fn key_id(secret: &[u8]) -> String {
    let digest = Sha256::new().chain_update(b"ironledger token key\0").chain_update(secret);
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use chrono::{DateTime, Utc};
    use uuid::Uuid;

    use super::{Access, Tokens};
    use crate::{Role, Tier};

    const ACCESS: Access = Access {
        athlete: Uuid::nil(),
        partition: 3,
        role: Role::Athlete,
        tier: Tier::Free,
        generation: 7,
        session: Uuid::max(),
    };

    fn clock(at: i64) -> (Arc<AtomicI64>, impl Fn() -> DateTime<Utc> + Clone) {
        let time = Arc::new(AtomicI64::new(at));
        let clock = time.clone();
        (time, move || DateTime::from_timestamp(clock.load(Ordering::SeqCst), 0).unwrap())
    }

    #[test]
    fn tokens_expire_and_others_keys_do_not_open_them() {
        let (time, now) = clock(1_770_000_000);
        let tokens = Tokens::new(&[1; 32], &[], now.clone());
        let token = tokens.issue(ACCESS, None).unwrap();
        assert_eq!(tokens.verify(&token).unwrap(), ACCESS);

        assert!(Tokens::new(&[2; 32], &[], now).verify(&token).is_err());
        for forged in ["", "a.b.c", &token[..token.len() - 2]] {
            assert_eq!(tokens.verify(forged).unwrap_err().code, "TOKEN_INVALID");
        }
        // {"alg":"none"}, with the claims of a good token and no signature.
        let claims = token.split('.').nth(1).unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
        assert_eq!(tokens.verify(&unsigned).unwrap_err().code, "TOKEN_INVALID");

        time.fetch_add(15 * 60, Ordering::SeqCst);
        assert_eq!(tokens.verify(&token).unwrap_err().code, "TOKEN_EXPIRED");
        time.fetch_sub(16 * 60, Ordering::SeqCst);
        assert_eq!(tokens.verify(&token).unwrap_err().code, "TOKEN_INVALID");
    }

    #[test]
    fn a_token_ends_with_what_it_says() {
        let (time, now) = clock(1_770_000_000);
        let tokens = Tokens::new(&[1; 32], &[], now.clone());
        let paid_until = now() + chrono::TimeDelta::minutes(5);
        let token = tokens.issue(ACCESS, Some(paid_until)).unwrap();
        time.fetch_add(5 * 60 - 1, Ordering::SeqCst);
        assert_eq!(tokens.verify(&token).unwrap(), ACCESS);
        time.fetch_add(1, Ordering::SeqCst);
        assert_eq!(tokens.verify(&token).unwrap_err().code, "TOKEN_EXPIRED");
    }

    #[test]
    fn keys_change_in_three_steps_without_a_token_refused() {
        let (_, now) = clock(1_770_000_000);
        let (old, new) = (vec![1; 32], vec![2; 32]);
        let steps = [
            Tokens::new(&old, &[], now.clone()),
            Tokens::new(&old, std::slice::from_ref(&new), now.clone()),
            Tokens::new(&new, std::slice::from_ref(&old), now.clone()),
            Tokens::new(&new, &[], now),
        ];
        // Processes are one step apart at most while an operator goes from one to the next.
        for pair in steps.windows(2) {
            for (issuer, verifier) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let token = issuer.issue(ACCESS, None).unwrap();
                assert_eq!(verifier.verify(&token).unwrap(), ACCESS);
            }
        }
        let token = steps[0].issue(ACCESS, None).unwrap();
        assert!(steps[3].verify(&token).is_err());
    }
}
