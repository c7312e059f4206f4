//! Sessions: signed in on a device, for as long as its refresh tokens follow one another.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use events::AthleteId;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use web::{Error, Revocation, access::What};

use super::{Accounts, Arrival, Known, digest};
use crate::{commands, settings::TokenKeys};

/// A refresh token is good for so long, once.
const LIFETIME: TimeDelta = TimeDelta::days(30);

/// What refresh tokens begin with.
const PREFIX: &str = "ilr_";

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
#[derive(Debug, Serialize)]
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
    /// Begins a session, and writes down that it did.
    pub(crate) async fn begin_session(
        &self,
        known: Known,
        method: &str,
        arrival: &Arrival,
    ) -> Result<Begun, Error> {
        let now = self.commands.clock.now();
        let session = self.commands.random.uuid(now);
        let secret: [u8; 32] = self.commands.random.bytes();
        sqlx::query!(
            "insert into accounts.sessions
                 (id, athlete, secret, begun_at, used_at, expires_at, method, device, user_agent,
                  address)
             values ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9)",
            session,
            known.athlete.uuid(),
            &digest(&secret)[..],
            now.utc(),
            now.utc() + LIFETIME,
            method,
            arrival.device,
            agent(arrival),
            arrival.address.map(|address| address.to_string()),
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        let mut seen = arrival.seen(What::SignedIn, Some(known.athlete.uuid()), None);
        seen.credential = Some(web::Credential::Session(session));
        self.access_log.record(&[seen]).await?;
        Ok(Begun { session, refresh_token: token(session, &secret) })
    }

    /// The next refresh token for one that is good; one that was good before ends the session, since
    /// two have it. Who repeats a refresh under the same idempotency key has the same answer again: only
    /// they can know what the next token was made of.
    pub(crate) async fn refresh(
        &self,
        refresh_token: &str,
        key: Option<&str>,
        arrival: &Arrival,
    ) -> Result<Refreshed, Error> {
        let (session, secret) = parse(refresh_token).ok_or_else(invalid)?;
        let next = match key {
            None => self.commands.random.bytes(),
            Some(key) => following(&secret, key)?,
        };
        let now = self.commands.clock.now().utc();
        let athlete = sqlx::query_scalar!(
            "update accounts.sessions
             set secret = $3, used_at = $4, expires_at = $5,
                 device = coalesce($6, device), user_agent = coalesce($7, user_agent), address = $8
             where id = $1 and secret = $2 and expires_at > $4
             returning athlete",
            session,
            &digest(&secret)[..],
            &digest(&next)[..],
            now,
            now + LIFETIME,
            arrival.device,
            agent(arrival),
            arrival.address.map(|address| address.to_string()),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        let athlete = match athlete {
            Some(athlete) => athlete,
            None => self.again_or_stolen(session, key.map(|_| next), now, arrival).await?,
        };
        let account = self.find_athlete(athlete).await?.ok_or_else(invalid)?;
        let known = self.admit(account, None).await?;
        let begun = Begun { session, refresh_token: token(session, &next) };
        Ok(Refreshed { known, begun })
    }

    /// Whose session it is, when the same refresh was carried out before; else its end.
    async fn again_or_stolen(
        &self,
        session: Uuid,
        next: Option<[u8; 32]>,
        now: DateTime<Utc>,
        arrival: &Arrival,
    ) -> Result<Uuid, Error> {
        let there = sqlx::query!(
            "select athlete, secret from accounts.sessions where id = $1 and expires_at > $2",
            session,
            now,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        let there = there.ok_or_else(invalid)?;
        if next.is_some_and(|next| bool::from(digest(&next)[..].ct_eq(&there.secret))) {
            return Ok(there.athlete);
        }
        let athlete = AthleteId::new(there.athlete).map_err(Error::internal)?;
        self.end_sessions(athlete, SessionEnd::One(session)).await?;
        self.access_log.note(arrival.seen(What::Refused, Some(there.athlete), Some(401)));
        let message = "the refresh token was used before, so the session is over: sign in again";
        Err(Error::unauthorized("REFRESH_TOKEN_REUSED", message))
    }

    /// The session of a refresh token that is good, for who only has that and signs out.
    pub(crate) async fn session_of(
        &self,
        refresh_token: &str,
    ) -> Result<Option<(AthleteId, Uuid)>, Error> {
        let Some((session, secret)) = parse(refresh_token) else { return Ok(None) };
        let athlete = sqlx::query_scalar!(
            "select athlete from accounts.sessions where id = $1 and secret = $2",
            session,
            &digest(&secret)[..],
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        let athlete = athlete.map(AthleteId::new).transpose().map_err(Error::internal)?;
        Ok(athlete.map(|athlete| (athlete, session)))
    }

    /// Ends sessions and all tokens of them, on every process within a second; answers how many.
    pub(crate) async fn end_sessions(
        &self,
        athlete: AthleteId,
        which: SessionEnd,
    ) -> Result<usize, Error> {
        let (only, but) = match which {
            SessionEnd::One(session) => (Some(session), None),
            SessionEnd::AllBut(session) => (None, Some(session)),
            SessionEnd::All => (None, None),
        };
        let ended = sqlx::query_scalar!(
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
        .fetch_all(&self.pool)
        .await
        .map_err(commands::database)?;
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
        let Some(((session, _), said)) = parse(refresh_token).zip(said) else { return false };
        let is_by = |key: &[u8; 32]| mac(key, session.as_bytes()).verify_slice(&said).is_ok();
        self.csrf_keys.iter().any(is_by)
    }
}

/// Keys for what goes along with cookies, one of each token key, so that they change with them.
pub(super) fn csrf_keys(keys: &TokenKeys) -> Vec<[u8; 32]> {
    let all = [&keys.signing].into_iter().chain(&keys.others);
    all.map(|key| mac(key, b"ironledger csrf key").finalize().into_bytes().into()).collect()
}

/// What a refresh makes of a secret under an idempotency key.
fn following(secret: &[u8; 32], key: &str) -> Result<[u8; 32], Error> {
    Ok(mac(secret, key.as_bytes()).finalize().into_bytes().into())
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

fn token(session: Uuid, secret: &[u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([session.as_bytes(), &secret[..]].concat()))
}

fn parse(token: &str) -> Option<(Uuid, [u8; 32])> {
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    let (session, secret) = bytes.split_first_chunk::<16>()?;
    Some((Uuid::from_bytes(*session), secret.try_into().ok()?))
}

fn invalid() -> Error {
    Error::unauthorized("REFRESH_TOKEN_INVALID", "the refresh token is not valid: sign in again")
}
