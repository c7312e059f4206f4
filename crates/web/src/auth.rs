//! Who is calling: access tokens.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;

const ISSUER: &str = "ironledger";
const AUDIENCE: &str = "ironledger-api";

/// What an account may do beyond its own affairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Trains.
    Athlete,
    /// Trains others.
    Coach,
    /// Runs the place.
    Admin,
}

impl Role {
    /// The word for it, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Athlete => "athlete",
            Self::Coach => "coach",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Athlete, Self::Coach, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or("must be athlete, coach or admin")
    }
}

/// Who is calling, from a valid access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The athlete's id.
    pub athlete: Uuid,
    /// The athlete's log partition.
    pub partition: i16,
    /// What the account may do beyond its own affairs.
    pub role: Role,
}

/// Issues and verifies access tokens: JWT, HMAC-SHA-256, 15 minutes.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    part: i16,
    role: Role,
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

    /// Tokens under a secret of at least 32 bytes, at the time that `now` tells.
    pub fn new(secret: &[u8], now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // By our clock, below: the library would ask the system's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        Self(Arc::new(Inner {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            now: Box::new(now),
        }))
    }

    /// A token for a caller, good from now.
    pub fn issue(&self, caller: Caller) -> Result<String, Error> {
        let now = (self.0.now)().timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: caller.athlete,
            part: caller.partition,
            role: caller.role,
            iat: now,
            nbf: now,
            exp: now + Self::LIFETIME.as_secs().cast_signed(),
        };
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, &claims, &self.0.encoding).map_err(Error::internal)
    }

    /// Who a token is for, when it is ours and good now.
    pub fn verify(&self, token: &str) -> Result<Caller, Error> {
        let invalid = || Error::unauthorized("TOKEN_INVALID", "the access token is not valid");
        let claims: Claims = jsonwebtoken::decode(token, &self.0.decoding, &self.0.validation)
            .map_err(|_| invalid())?
            .claims;
        let now = (self.0.now)().timestamp();
        if now >= claims.exp {
            return Err(Error::unauthorized("TOKEN_EXPIRED", "the access token has expired"));
        }
        if now < claims.nbf {
            return Err(invalid());
        }
        Ok(Caller { athlete: claims.sub, partition: claims.part, role: claims.role })
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Tokens: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let missing = || {
            let message = "the request needs an Authorization header with a bearer token";
            Error::unauthorized("TOKEN_MISSING", message)
        };
        let value = parts.headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
        let (scheme, token) =
            value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing());
        }
        Tokens::from_ref(state).verify(token.trim())
    }
}

/// A caller who runs the place; anybody else is told that this is not for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin(pub Caller);

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    Tokens: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        match caller.role {
            Role::Admin => Ok(Self(caller)),
            Role::Athlete | Role::Coach => Err(Error::forbidden("only an admin may do this")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use chrono::DateTime;
    use uuid::Uuid;

    use super::{Caller, Role, Tokens};

    #[test]
    fn tokens_expire_and_others_keys_do_not_open_them() {
        let time = Arc::new(AtomicI64::new(1_770_000_000));
        let clock = time.clone();
        let now = move || DateTime::from_timestamp(clock.load(Ordering::SeqCst), 0).unwrap();
        let tokens = Tokens::new(&[1; 32], now.clone());
        let caller = Caller { athlete: Uuid::nil(), partition: 3, role: Role::Athlete };
        let token = tokens.issue(caller).unwrap();
        assert_eq!(tokens.verify(&token).unwrap(), caller);

        assert!(Tokens::new(&[2; 32], now).verify(&token).is_err());
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
}
