//! Sign-in by others who vouch for an athlete: OpenID Connect, authorization code with PKCE.
//!
//! Whoever begins gets two secrets: the state, which goes by way of the issuer, and a ticket, which does
//! not; both are needed to end it, so that nobody can be made to sign in as somebody else.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use events::{AthleteId, AthleteRegistered};
use openidconnect::{
    AsyncHttpClient, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
    core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Detail, Error, What};

use super::{Accounts, Arrival, Known, digest, fold_email};
use crate::commands;

/// Between beginning and end of a sign-in there may be so long.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// An issuer answers within this time.
const ISSUER_PATIENCE: Duration = Duration::from_secs(10);

/// What an issuer says of itself, its keys above all, is asked for anew after so long.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// A larger answer of an issuer is none.
const LARGEST: usize = 1024 * 1024;

/// An issuer, as configuration has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// The word for it in routes.
    name: String,
    /// Its address, as it stands in its tokens.
    issuer: IssuerUrl,
    client_id: String,
    /// The environment variable that has the secret; none for public clients.
    client_secret_env: Option<String>,
    /// Where it may send people back to.
    redirect_uris: Vec<String>,
    /// What is asked for besides `openid`.
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
}

fn usual_scopes() -> Vec<String> {
    vec!["email".to_owned()]
}

/// All issuers.
#[derive(Clone)]
pub(crate) struct Issuers(Arc<BTreeMap<String, Issuer>>);

struct Issuer {
    provider: Provider,
    secret: Option<ClientSecret>,
    http: Http,
    /// What it says of itself.
    metadata: moka::future::Cache<(), CoreProviderMetadata>,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl Issuers {
    /// None.
    pub(crate) fn none() -> Self {
        Self(Arc::default())
    }

    /// Those of a configuration.
    pub(crate) fn new(providers: Vec<Provider>) -> anyhow::Result<Self> {
        let mut issuers = BTreeMap::new();
        for provider in providers {
            let name = provider.name.clone();
            let is_word = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            ensure!(is_word, "the name of an issuer is made of small letters, digits and dashes");
            let secret = provider.client_secret_env.as_ref().map(|variable| {
                let secret = std::env::var(variable);
                secret.with_context(|| format!("{variable} is not set: the secret for {name}"))
            });
            let issuer = Issuer {
                secret: secret.transpose()?.map(ClientSecret::new),
                provider,
                http: Http::new()?,
                metadata: moka::future::Cache::builder().time_to_live(KNOWN_FOR).build(),
            };
            ensure!(issuers.insert(name, issuer).is_none(), "two issuers have the same name");
        }
        Ok(Self(Arc::new(issuers)))
    }

    /// The words for them.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn of(&self, name: &str) -> Result<&Issuer, Error> {
        self.0.get(name).ok_or_else(|| Error::not_found("issuer"))
    }
}

impl Issuer {
    async fn client(&self, redirect_uri: &str) -> Result<Client, Error> {
        let address = self.provider.issuer.clone();
        let discovering = async {
            let metadata = CoreProviderMetadata::discover_async(address, &self.http).await;
            metadata.map_err(|error| error.to_string())
        };
        let metadata = self.metadata.try_get_with((), discovering).await.map_err(away)?;
        let id = ClientId::new(self.provider.client_id.clone());
        let client = CoreClient::from_provider_metadata(metadata, id, self.secret.clone());
        let redirect = RedirectUrl::new(redirect_uri.to_owned()).map_err(Error::internal)?;
        Ok(client.set_redirect_uri(redirect))
    }
}

/// What a client needs to begin.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OidcAttempt")]
pub(crate) struct Attempt {
    /// Where to send the athlete.
    authorization_url: String,
    /// What the issuer sends back with the code.
    state: String,
    /// To be kept by who begins, and shown at the end.
    ticket: String,
    /// Seconds until it is too late.
    expires_in: i64,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: String,
    pub(crate) state: String,
    pub(crate) ticket: String,
}

/// An identity as its athlete sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Identity {
    issuer: String,
    subject: String,
    linked_at: chrono::DateTime<chrono::Utc>,
}

impl Accounts {
    /// The issuers that there are.
    pub(crate) fn issuers(&self) -> Vec<&str> {
        self.issuers.names()
    }

    /// Begins a sign-in; for an athlete who has signed in, the linking of an identity.
    pub(crate) async fn begin_oidc(
        &self,
        name: &str,
        redirect_uri: &str,
        athlete: Option<AthleteId>,
    ) -> Result<Attempt, Error> {
        let issuer = self.issuers.of(name)?;
        if !issuer.provider.redirect_uris.iter().any(|known| known == redirect_uri) {
            let detail = Detail::new("redirect_uri", "must be one that is configured");
            return Err(Error::validation(vec![detail]));
        }
        let client = issuer.client(redirect_uri).await?;
        let fresh = || URL_SAFE_NO_PAD.encode(self.commands.random.bytes::<32>());
        let (state, ticket, nonce) = (fresh(), fresh(), fresh());
        let verifier = PkceCodeVerifier::new(fresh());
        let mut request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            {
                let state = state.clone();
                || CsrfToken::new(state)
            },
            {
                let nonce = nonce.clone();
                || Nonce::new(nonce)
            },
        );
        for scope in &issuer.provider.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let (url, ..) = request.set_pkce_challenge(challenge).url();
        let now = self.commands.clock.now().utc();
        sqlx::query!(
            "with gone as (delete from accounts.oidc_attempts where expires_at < $8)
             insert into accounts.oidc_attempts
                 (state, ticket, provider, nonce, verifier, redirect_uri, athlete, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $9)",
            &digest(state.as_bytes())[..],
            &digest(ticket.as_bytes())[..],
            name,
            nonce,
            verifier.secret(),
            redirect_uri,
            athlete.map(AthleteId::uuid),
            now,
            now + PATIENCE,
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        let expires_in = PATIENCE.num_seconds();
        Ok(Attempt { authorization_url: url.to_string(), state, ticket, expires_in })
    }

    /// Ends a sign-in: whose account it is, made if there was none. `registered` is what a new
    /// athlete begins with; `athlete` is who has signed in and links.
    pub(crate) async fn end_oidc(
        &self,
        name: &str,
        outcome: &Outcome,
        registered: AthleteRegistered,
        athlete: Option<AthleteId>,
        arrival: &Arrival,
    ) -> Result<Known, Error> {
        let ended = self.vouched(name, outcome, athlete).await;
        let vouched = ended.inspect_err(|error| {
            self.access_log.note(arrival.seen(What::SignInFailed, None, Some(error.status())));
        })?;
        let known = sqlx::query_scalar!(
            "select athlete from accounts.identities where issuer = $1 and subject = $2",
            vouched.issuer,
            vouched.subject,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        let whose = match (known, vouched.links) {
            (Some(known), Some(athlete)) if known != athlete.uuid() => {
                let message = "this identity belongs to another account";
                return Err(Error::conflict("IDENTITY_TAKEN", message));
            }
            (Some(known), _) => AthleteId::new(known).map_err(Error::internal)?,
            (None, Some(athlete)) => {
                self.link(&vouched, athlete).await?;
                self.access_log.note(arrival.by(athlete, What::IdentityLinked));
                athlete
            }
            (None, None) => self.make_or_link(&vouched, registered).await?,
        };
        let account = self.of_athlete(whose).await?;
        account.ok_or_else(|| Error::internal("an identity of no account"))
    }

    /// The account of somebody who comes for the first time: theirs by a proven address, or a new one.
    async fn make_or_link(
        &self,
        vouched: &Vouched,
        registered: AthleteRegistered,
    ) -> Result<AthleteId, Error> {
        let Some(email) = vouched.email.as_deref() else {
            let message = "the issuer does not vouch for an e-mail address: register with a password, \
                           and link it from there";
            return Err(Error::conflict("EMAIL_NOT_VOUCHED", message));
        };
        if let Some(account) = self.find(email).await? {
            // Whoever registered with an address that is not theirs must not get its owner.
            if !account.is_verified {
                let message = "an account with this address exists, which nobody has proved to be \
                               theirs: sign in to it, or reset its password, and link from there";
                return Err(Error::conflict("EMAIL_NOT_VERIFIED", message));
            }
            let athlete = AthleteId::new(account.athlete).map_err(Error::internal)?;
            self.link(vouched, athlete).await?;
            return Ok(athlete);
        }
        let said = serde_json::to_string(&registered).map_err(Error::internal)?;
        let Some(known) = self.make(email, None, true, &said).await? else {
            let message =
                "an account with this address is being made at this moment: sign in again";
            return Err(Error::conflict("EMAIL_TAKEN", message));
        };
        self.link(vouched, known.athlete).await?;
        self.put_on_log(&known, registered, None).await?;
        Ok(known.athlete)
    }

    async fn link(&self, vouched: &Vouched, athlete: AthleteId) -> Result<(), Error> {
        sqlx::query!(
            "insert into accounts.identities (issuer, subject, athlete, linked_at)
             values ($1, $2, $3, $4) on conflict do nothing",
            vouched.issuer,
            vouched.subject,
            athlete.uuid(),
            self.commands.clock.now().utc(),
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        Ok(())
    }

    /// Whom the issuer vouches for.
    async fn vouched(
        &self,
        name: &str,
        outcome: &Outcome,
        athlete: Option<AthleteId>,
    ) -> Result<Vouched, Error> {
        let issuer = self.issuers.of(name)?;
        let attempt = sqlx::query!(
            "delete from accounts.oidc_attempts
             where state = $1 and ticket = $2 and provider = $3 and expires_at > $4
                 and athlete is not distinct from $5
             returning nonce, verifier, redirect_uri",
            &digest(outcome.state.as_bytes())[..],
            &digest(outcome.ticket.as_bytes())[..],
            name,
            self.commands.clock.now().utc(),
            athlete.map(AthleteId::uuid),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        let attempt = attempt.ok_or_else(|| {
            let message = "this sign-in did not begin here, was ended, or took too long";
            Error::new(StatusCode::BAD_REQUEST, "SIGN_IN_UNKNOWN", message)
        })?;
        let client = issuer.client(&attempt.redirect_uri).await?;
        let asking = client
            .exchange_code(AuthorizationCode::new(outcome.code.clone()))
            .map_err(away)?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier))
            .request_async(&issuer.http);
        let token = asking.await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(_) => refused(error),
            error => away(error),
        })?;
        let id_token = token.id_token().ok_or_else(|| refused("no ID token"))?;
        let now = self.commands.clock.clone();
        let verifier = client.id_token_verifier().set_time_fn(move || now.now().utc());
        let claims = id_token.claims(&verifier, &Nonce::new(attempt.nonce));
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => {
                // Keys may have been changed since they were asked for.
                issuer.metadata.invalidate(&()).await;
                return Err(refused(error));
            }
        };
        let email = claims.email().filter(|_| claims.email_verified() == Some(true));
        Ok(Vouched {
            issuer: claims.issuer().to_string(),
            subject: claims.subject().to_string(),
            email: email.map(|email| fold_email(email)),
            links: athlete,
        })
    }

    /// The identities of an athlete.
    pub(crate) async fn identities(&self, athlete: AthleteId) -> Result<Vec<Identity>, Error> {
        sqlx::query_as!(
            Identity,
            "select issuer, subject, linked_at from accounts.identities
             where athlete = $1 order by linked_at",
            athlete.uuid(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(commands::database)
    }

    /// Takes an identity from an account, unless nobody could sign in to it any more.
    pub(crate) async fn unlink(
        &self,
        athlete: AthleteId,
        issuer: &str,
        subject: &str,
        arrival: &Arrival,
    ) -> Result<(), Error> {
        let unlinked = sqlx::query_scalar!(
            r#"with mine as (
                   select count(*) as others from accounts.identities
                   where athlete = $1 and (issuer, subject) <> ($2, $3)
               )
               delete from accounts.identities i using accounts.accounts a, mine
               where i.athlete = $1 and i.issuer = $2 and i.subject = $3 and a.athlete = i.athlete
                   and (a.password_hash is not null or mine.others > 0)
               returning i.athlete"#,
            athlete.uuid(),
            issuer,
            subject,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        if unlinked.is_some() {
            self.access_log.note(arrival.by(athlete, What::IdentityUnlinked));
            return Ok(());
        }
        let all = self.identities(athlete).await?;
        if all.iter().any(|identity| identity.issuer == issuer && identity.subject == subject) {
            let message = "it is the only way to sign in: set a password first";
            return Err(Error::conflict("LAST_SIGN_IN", message));
        }
        Err(Error::not_found("identity"))
    }
}

/// Whom an issuer vouches for.
struct Vouched {
    issuer: String,
    subject: String,
    /// An address of which the issuer says that it is theirs.
    email: Option<String>,
    /// Who has signed in and links it.
    links: Option<AthleteId>,
}

fn away(cause: impl std::fmt::Display) -> Error {
    let message = "the issuer does not answer as it should";
    Error::unavailable("ISSUER_UNAVAILABLE", message, 10).because(cause)
}

fn refused(cause: impl std::fmt::Display) -> Error {
    Error::unauthorized("SIGN_IN_REFUSED", "the issuer does not vouch for this sign-in")
        .because(cause)
}

/// How issuers are asked: no redirects, which could lead into our own network, and no long answers.
struct Http(reqwest::Client);

/// Why an issuer could not be asked.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error(transparent)]
    Request(#[from] reqwest::Error),
    #[error(transparent)]
    Answer(#[from] axum::http::Error),
    #[error("the answer is too long")]
    TooLong,
}

impl Http {
    fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ISSUER_PATIENCE)
            .build();
        Ok(Self(client.context("TLS is not to be had")?))
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut answer = self.0.execute(request.try_into()?).await?;
        let mut response = axum::http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            if body.len() + piece.len() > LARGEST {
                return Err(HttpError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        Ok(response.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}
