//! Sessions: signed in on a device, for as long as its refresh tokens follow one another.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use events::AthleteId;
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::Sha256;
use sqlx::PgConnection;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use web::{Error, Revocation, What};

use super::{Accounts, Arrival, Known, digest};
use crate::{commands, settings::TokenKeys};

/// A refresh token is good for so long, once.
const LIFETIME: TimeDelta = TimeDelta::days(30);

/// What refresh tokens begin with.
const PREFIX: &str = "ilr_";

/// A refresh can be repeated under its key for so long.
const REPEATED: TimeDelta = TimeDelta::minutes(1);

/// Sessions of an athlete; those that were used longest ago end.
const MOST: i64 = 100;

/// As much as is kept of what a browser calls itself.
const LONGEST_AGENT: usize = 200;

/// A session that has begun.
pub(crate) struct Begun {
    pub(crate) session: Uuid,
    pub(crate) refresh_token: String,
}

/// A session that goes on.
pub(crate) struct Refreshed {
    pub(crate) known: Known,
    pub(crate) begun: Begun,
}

/// Which sessions of an athlete are over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SessionEnd {
    One(Uuid),
    AllBut(Uuid),
    All,
}

/// A session as its athlete sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Session {
    id: Uuid,
    /// Whether it is the one that asks.
    current: bool,
    begun_at: DateTime<Utc>,
    used_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    method: String,
    device: Option<String>,
    user_agent: Option<String>,
    address: Option<String>,
}

impl Accounts {
    /// Begins a session, and writes down that it did. Nobody begins one by a password that is no longer
    /// the account's: the row of the account is held, so that a change of the password comes before it and
    /// refuses it, or after it and ends it.
    pub(crate) async fn begin_session(
        &self,
        known: &Known,
        method: &str,
        arrival: &Arrival,
    ) -> Result<Begun, Error> {
        let now = self.commands.clock.now();
        let session = self.commands.random.uuid(now);
        let (family, secret) = (self.commands.random.bytes(), self.commands.random.bytes());
        let token = RefreshToken { session, family, secret };
        let begun = sqlx::query!(
            "insert into accounts.sessions
                 (id, athlete, family, secret, begun_at, used_at, expires_at, method, device,
                  user_agent, address)
             select $1, athlete, $3, $4, $5, $5, $6, $7, $8, $9, $10
             from accounts.accounts
             where athlete = $2 and ($11::text is null or password_hash = $11)
             for share",
            session,
            known.athlete.uuid(),
            &token.family[..],
            &digest(&token.secret)[..],
            now.utc(),
            now.utc() + LIFETIME,
            method,
            arrival.device,
            agent(arrival),
            arrival.address.map(|address| address.to_string()),
            known.proof,
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        if begun.rows_affected() == 0 {
            return Err(super::guessing::wrong());
        }
        self.end_surplus(known.athlete).await?;
        let mut seen = arrival.seen(What::SignedIn, Some(known.athlete.uuid()), None);
        seen.credential = Some(web::Credential::Session(session));
        self.access_log.record(&[seen]).await?;
        Ok(Begun { session, refresh_token: token.to_string() })
    }

    /// Ends the sessions that an athlete has too many of.
    async fn end_surplus(&self, athlete: AthleteId) -> Result<(), Error> {
        let surplus = sqlx::query_scalar!(
            "select id from accounts.sessions where athlete = $1
             order by used_at desc, id desc offset $2",
            athlete.uuid(),
            MOST,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(commands::database)?;
        for session in surplus {
            self.end_sessions(athlete, SessionEnd::One(session)).await?;
        }
        Ok(())
    }

    /// The next refresh token for one that is good; one that was good before ends the session, since
    /// two have it. Who repeats a refresh under the same idempotency key within a minute has the same
    /// answer again: the next token is made of the last one, the key, and a secret of ours.
    pub(crate) async fn refresh(
        &self,
        refresh_token: &str,
        key: Option<&str>,
        arrival: &Arrival,
    ) -> Result<Refreshed, Error> {
        let token = RefreshToken::parse(refresh_token).ok_or_else(invalid)?;
        let now = self.commands.clock.now().utc();
        let there = sqlx::query!(
            "select athlete, family, secret, used_at from accounts.sessions
             where id = $1 and expires_at > $2",
            token.session,
            now,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        // Who does not know the family never had a token of it, and ends nothing.
        let there = there.filter(|there| bool::from(there.family[..].ct_eq(&token.family)));
        let there = there.ok_or_else(invalid)?;
        let account = self.find_athlete(there.athlete).await?.ok_or_else(invalid)?;
        let known = self.admit(account, None).await?;
        let made = |next: [u8; 32]| {
            let next = RefreshToken { secret: next, ..token };
            let begun = Begun { session: token.session, refresh_token: next.to_string() };
            Ok(Refreshed { known: known.clone(), begun })
        };
        // What the token says is found out before it is spent: a failure until here changes nothing.
        self.access(&known, token.session).await?;
        let candidates: Vec<[u8; 32]> = match key {
            None => vec![self.commands.random.bytes()],
            Some(key) => self.csrf_keys.iter().map(|own| following(own, &token, key)).collect(),
        };
        let Some(next) = candidates.first().copied() else { return Err(invalid()) };
        let spent = sqlx::query!(
            "update accounts.sessions
             set secret = $3, used_at = $4, expires_at = $5,
                 device = coalesce($6, device), user_agent = coalesce($7, user_agent), address = $8
             where id = $1 and secret = $2",
            token.session,
            &digest(&token.secret)[..],
            &digest(&next)[..],
            now,
            now + LIFETIME,
            arrival.device,
            agent(arrival),
            arrival.address.map(|address| address.to_string()),
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        if spent.rows_affected() == 1 {
            return made(next);
        }
        let there = sqlx::query!(
            "select secret, used_at from accounts.sessions where id = $1",
            token.session,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?
        .ok_or_else(invalid)?;
        let is_next = |next: &&[u8; 32]| bool::from(digest(&next[..])[..].ct_eq(&there.secret));
        if let Some(next) = candidates.iter().find(is_next)
            && key.is_some()
            && now - there.used_at <= REPEATED
        {
            return made(*next);
        }
        self.end_sessions(known.athlete, SessionEnd::One(token.session)).await?;
        let whose = Some(known.athlete.uuid());
        let mut seen = arrival.seen(What::TokenReused, whose, Some(401));
        seen.credential = Some(web::Credential::Session(token.session));
        self.access_log.note(seen);
        let message = "the refresh token was used before, so the session is over: sign in again";
        Err(Error::unauthorized("REFRESH_TOKEN_REUSED", message))
    }

    /// The session of a refresh token that is good, for who only has that and signs out.
    pub(crate) async fn session_of(
        &self,
        refresh_token: &str,
    ) -> Result<Option<(AthleteId, Uuid)>, Error> {
        let Some(token) = RefreshToken::parse(refresh_token) else { return Ok(None) };
        let athlete = sqlx::query_scalar!(
            "select athlete from accounts.sessions where id = $1 and secret = $2",
            token.session,
            &digest(&token.secret)[..],
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        let athlete = athlete.map(AthleteId::new).transpose().map_err(Error::internal)?;
        Ok(athlete.map(|athlete| (athlete, token.session)))
    }

    /// Ends sessions and all tokens of them, on every process within a second; answers how many.
    pub(crate) async fn end_sessions(
        &self,
        athlete: AthleteId,
        which: SessionEnd,
    ) -> Result<usize, Error> {
        let mut connection = self.pool.acquire().await.map_err(commands::database)?;
        let ended = end(&mut connection, athlete, which).await?;
        self.revoking.tell(ended.iter().copied().map(Revocation::Over));
        Ok(ended.len())
    }

    /// The sessions of an athlete, the last used first.
    pub(crate) async fn sessions(
        &self,
        athlete: AthleteId,
        current: Option<Uuid>,
    ) -> Result<Vec<Session>, Error> {
        sqlx::query_as!(
            Session,
            r#"select id, id is not distinct from $2 as "current!", begun_at, used_at, expires_at,
                   method, device, user_agent, address
               from accounts.sessions where athlete = $1 and expires_at > $3
               order by used_at desc, id desc limit 1000"#,
            athlete.uuid(),
            current,
            self.commands.clock.now().utc(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(commands::database)
    }

    /// What a browser must send along with its cookie, which other pages' scripts cannot know.
    pub(crate) fn csrf_token(&self, session: Uuid) -> String {
        let key = self.csrf_keys.first().map_or(&[][..], |key| &key[..]);
        URL_SAFE_NO_PAD.encode(mac(key, session.as_bytes()).finalize().into_bytes())
    }

    /// Whether that was sent along.
    pub(crate) fn has_csrf_token(&self, refresh_token: &str, said: Option<&str>) -> bool {
        let said = said.and_then(|said| URL_SAFE_NO_PAD.decode(said).ok());
        let Some((token, said)) = RefreshToken::parse(refresh_token).zip(said) else {
            return false;
        };
        let is_by = |key: &[u8; 32]| mac(key, token.session.as_bytes()).verify_slice(&said).is_ok();
        self.csrf_keys.iter().any(is_by)
    }
}

/// Keys for what goes along with cookies, one of each token key, so that they change with them.
pub(super) fn csrf_keys(keys: &TokenKeys) -> Vec<[u8; 32]> {
    let all = [&keys.signing].into_iter().chain(&keys.others);
    all.map(|key| mac(key, b"ironledger csrf key").finalize().into_bytes().into()).collect()
}

/// Ends sessions, and puts down that they are over; answers which.
pub(super) async fn end(
    connection: &mut PgConnection,
    athlete: AthleteId,
    which: SessionEnd,
) -> Result<Vec<Uuid>, Error> {
    let (only, but) = match which {
        SessionEnd::One(session) => (Some(session), None),
        SessionEnd::AllBut(session) => (None, Some(session)),
        SessionEnd::All => (None, None),
    };
    sqlx::query_scalar!(
        "with ended as (
             delete from accounts.sessions
             where athlete = $1 and ($2::uuid is null or id = $2) and id is distinct from $3
             returning id
         )
         insert into accounts.revocations (subject) select id from ended
         returning subject",
        athlete.uuid(),
        only,
        but,
    )
    .fetch_all(connection)
    .await
    .map_err(commands::database)
}

/// What a refresh makes of a token under an idempotency key.
fn following(own: &[u8; 32], token: &RefreshToken, key: &str) -> [u8; 32] {
    let of = [b"refresh\0", &token.secret[..], key.as_bytes()].concat();
    mac(own, &of).finalize().into_bytes().into()
}

fn mac(key: &[u8], of: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(of);
    mac
}

fn agent(arrival: &Arrival) -> Option<String> {
    arrival.user_agent.as_ref().map(|agent| agent.chars().take(LONGEST_AGENT).collect())
}

/// A refresh token: of which session, what all tokens of it share, and what this one alone has.
struct RefreshToken {
    session: Uuid,
    family: [u8; 16],
    secret: [u8; 32],
}

impl RefreshToken {
    fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (family, secret) = rest.split_first_chunk::<16>()?;
        let session = Uuid::from_bytes(*session);
        Some(Self { session, family: *family, secret: secret.try_into().ok()? })
    }
}

impl fmt::Display for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.session.as_bytes(), &self.family[..], &self.secret[..]].concat();
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn invalid() -> Error {
    Error::unauthorized("REFRESH_TOKEN_INVALID", "the refresh token is not valid: sign in again")
}
