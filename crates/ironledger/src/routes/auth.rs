//! `/v1/auth/…`: registering, signing in and out, passwords, and proving an address.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
};
use cookie::{Cookie, SameSite};
use events::{AthleteId, AthleteRegistered, TimeZone, Units};
use log::Positions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{
    Accepted, Answer, Caller, Created, Detail, Error, Json, MaybeCaller, Role, Routes, Tier, What,
};

use crate::{
    access_log::AccessLog,
    accounts::{About, Accounts, Arrival, Begun, Email, Known, NewPassword, SessionEnd},
    app::App,
    idempotency,
};

/// The cookie that a refresh token may live in.
const COOKIE: &str = "ironledger_refresh";

/// A key that makes a refresh safe to repeat is not guessed.
const SHORTEST_KEY: usize = 16;

/// The header that a browser sends along with it.
const CSRF: &str = "x-csrf-token";

/// What is open to everybody.
pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("auth.rs"))
        .post("/v1/auth/register", register)
        .or(|operation| operation.fails(&[409, 422]))
        .post("/v1/auth/login", login)
        .or(|operation| operation.fails(&[401]))
        .post("/v1/auth/refresh", refresh)
        .or(|operation| operation.fails(&[401, 403]))
        .post("/v1/auth/logout", logout)
        .or(|operation| operation.fails(&[401, 403]))
        .post("/v1/auth/password/forgot", forgot_password)
        .post("/v1/auth/password/reset", reset_password)
}

/// What is of one's own account.
pub(super) fn of_account() -> Routes<App> {
    Routes::of(include_str!("auth.rs"))
        .get("/v1/auth/account", account)
        .post("/v1/auth/password", change_password)
        .post("/v1/auth/email/verification", send_verification)
        .post("/v1/auth/email/verify", verify_email)
}

/// Where the refresh token is to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RefreshIn {
    /// In the answer: for apps, which keep it where nobody else comes.
    #[default]
    Body,
    /// In a cookie that scripts cannot read: for browsers.
    Cookie,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Register {
    /// Where the account is reached; it is no part of the log.
    email: Email,
    /// 8 to 128 characters.
    password: NewPassword,
    /// Where the athlete's days begin and end, such as Europe/Paris.
    time_zone: TimeZone,
    /// In which units the athlete reads figures; kg and km by default.
    #[serde(default)]
    units: Units,
    /// Where the refresh token is to be.
    #[serde(default)]
    refresh_in: RefreshIn,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The address that the account was made with.
    email: Email,
    /// Its password.
    password: String,
    /// Where the refresh token is to be.
    #[serde(default)]
    refresh_in: RefreshIn,
}

/// What signing in answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct SignedIn {
    athlete: Uuid,
    role: Role,
    tier: Tier,
    session: Uuid,
    access_token: String,
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: u64,
    /// Good once, for 30 days; not here where it is in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// What `X-CSRF-Token` must say where the cookie is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

/// Makes an account and signs in.
async fn register(
    State(accounts): State<Accounts>,
    arrival: Arrival,
    headers: HeaderMap,
    body: Json<Register>,
) -> Result<Created<SignedIn>, Error> {
    let body = body.good()?;
    let key = idempotency::key(&headers)?;
    let registered = AthleteRegistered { time_zone: body.time_zone, units: body.units };
    let (email, password) = (&body.email.0, &body.password.0);
    let (known, position) = accounts.register(email, password, registered, key, &arrival).await?;
    accounts.welcome(email).await?;
    let begun = accounts.begin_session(&known, "registration", &arrival).await?;
    let entered = Entered { known, begun, refresh_in: body.refresh_in };
    entered.answer(&accounts, Some(position)).await.map(Created)
}

/// Signs in with e-mail address and password.
async fn login(
    State(accounts): State<Accounts>,
    arrival: Arrival,
    body: Json<Login>,
) -> Result<Answer<SignedIn>, Error> {
    let body = body.good()?;
    let known = accounts.sign_in(&body.email.0, &body.password, &arrival).await?;
    let begun = accounts.begin_session(&known, "password", &arrival).await?;
    Entered { known, begun, refresh_in: body.refresh_in }.answer(&accounts, None).await
}

/// Somebody who has signed in, and is told so.
pub(super) struct Entered {
    pub(super) known: Known,
    pub(super) begun: Begun,
    pub(super) refresh_in: RefreshIn,
}

impl Entered {
    /// The answer; `registered` is where on the log an athlete began just now.
    pub(super) async fn answer(
        self,
        accounts: &Accounts,
        registered: Option<Positions>,
    ) -> Result<Answer<SignedIn>, Error> {
        let Self { known, begun: Begun { session, refresh_token }, refresh_in } = self;
        let (access_token, access, expires_in) = accounts.token(&known, session).await?;
        let in_cookie = refresh_in == RefreshIn::Cookie;
        let cookie = in_cookie.then(|| cookie(refresh_token.clone()));
        let answer = Answer::ok(&SignedIn {
            athlete: access.athlete,
            role: access.role,
            tier: access.tier,
            session,
            access_token,
            token_type: "Bearer",
            expires_in,
            csrf_token: in_cookie.then(|| accounts.csrf_token(session)),
            refresh_token: (!in_cookie).then_some(refresh_token),
        })?;
        let answer = match registered {
            Some(position) => answer.created("/v1/athletes/me").at(position),
            None => answer,
        };
        Ok(match cookie {
            Some(cookie) => with(answer, &cookie),
            None => answer,
        })
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Refresh {
    /// The token, where it is not in the cookie.
    refresh_token: Option<String>,
}

/// A refresh token for one of before, and an access token with it.
async fn refresh(
    State(accounts): State<Accounts>,
    arrival: Arrival,
    headers: HeaderMap,
    body: Json<Refresh>,
) -> Result<Answer<SignedIn>, Error> {
    let body = body.good()?;
    let key = idempotency::key(&headers)?;
    if key.as_ref().is_some_and(|key| key.len() < SHORTEST_KEY) {
        let message = "must have 16 characters or more, for who guesses it has the next token";
        return Err(Error::validation(vec![Detail::new("Idempotency-Key", message)]));
    }
    let (token, refresh_in) = presented(&accounts, &headers, body)?.ok_or_else(|| {
        let detail = Detail::new("refresh_token", "must be given, here or in the cookie");
        Error::validation(vec![detail])
    })?;
    let refreshed = accounts.refresh(&token, key.as_deref(), &arrival).await?;
    let entered = Entered { known: refreshed.known, begun: refreshed.begun, refresh_in };
    entered.answer(&accounts, None).await
}

/// The refresh token of a request. One in the cookie counts only where the page knows the CSRF token.
fn presented(
    accounts: &Accounts,
    headers: &HeaderMap,
    body: Refresh,
) -> Result<Option<(String, RefreshIn)>, Error> {
    if let Some(token) = body.refresh_token {
        return Ok(Some((token, RefreshIn::Body)));
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(Cookie::split_parse).filter_map(Result::ok);
    let Some(cookie) = cookies.find(|cookie| cookie.name() == COOKIE) else { return Ok(None) };
    let said = headers.get(CSRF).and_then(|said| said.to_str().ok());
    if !accounts.has_csrf_token(cookie.value(), said) {
        let message = "with the cookie, X-CSRF-Token must say what signing in answered";
        return Err(Error::forbidden_as("CSRF_TOKEN_WRONG", message));
    }
    Ok(Some((cookie.value().to_owned(), RefreshIn::Cookie)))
}

#[derive(Serialize, JsonSchema)]
struct SignedOut {
    signed_out: bool,
}

/// Ends the session of the access token or of the refresh token.
async fn logout(
    State(accounts): State<Accounts>,
    State(access_log): State<AccessLog>,
    arrival: Arrival,
    MaybeCaller(caller): MaybeCaller,
    headers: HeaderMap,
    body: Json<Refresh>,
) -> Result<Answer<SignedOut>, Error> {
    let body = body.good()?;
    let session = match caller {
        Some(caller) => Some((athlete(&caller)?, caller.session()?)),
        None => match presented(&accounts, &headers, body)? {
            Some((token, _)) => accounts.session_of(&token).await?,
            None => {
                let message = "the request needs an access token or a refresh token";
                return Err(Error::unauthorized("TOKEN_MISSING", message));
            }
        },
    };
    if let Some((athlete, session)) = session {
        accounts.end_sessions(athlete, SessionEnd::One(session)).await?;
        access_log.note(arrival.by(athlete, What::SignedOut));
    }
    // Who is signed out already is, too.
    let mut gone = cookie(String::new());
    gone.make_removal();
    Ok(with(Answer::ok(&SignedOut { signed_out: true })?, &gone))
}

/// The athlete of a caller.
pub(super) fn athlete(caller: &Caller) -> Result<AthleteId, Error> {
    AthleteId::new(caller.athlete).map_err(Error::internal)
}

fn cookie(token: String) -> Cookie<'static> {
    let cookie = Cookie::build((COOKIE, token)).path("/v1/auth").http_only(true).secure(true);
    cookie.same_site(SameSite::Strict).max_age(cookie::time::Duration::days(30)).build()
}

fn with<T>(answer: Answer<T>, cookie: &Cookie<'_>) -> Answer<T> {
    match HeaderValue::from_str(&cookie.to_string()) {
        Ok(value) => answer.header(header::SET_COOKIE, value),
        Err(_) => answer,
    }
}

/// What the account is.
async fn account(State(accounts): State<Accounts>, caller: Caller) -> Result<Answer<About>, Error> {
    Answer::ok(&accounts.about(athlete(&caller)?).await?)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    current_password: String,
    /// 8 to 128 characters.
    new_password: NewPassword,
}

/// What was done.
#[derive(Serialize, JsonSchema)]
struct Done {
    done: bool,
}

fn done() -> Result<Answer<Done>, Error> {
    Answer::ok(&Done { done: true })
}

/// Changes the password; all other sessions are over.
async fn change_password(
    State(accounts): State<Accounts>,
    caller: Caller,
    arrival: Arrival,
    body: Json<ChangePassword>,
) -> Result<Answer<Done>, Error> {
    let body = body.good()?;
    let (athlete, session) = (athlete(&caller)?, caller.session()?);
    let (current, new) = (&body.current_password, &body.new_password.0);
    accounts.change_password(athlete, session, current, new, &arrival).await?;
    done()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForgotPassword {
    email: Email,
}

/// Sends what sets a new password, if there is such an account.
async fn forgot_password(
    State(accounts): State<Accounts>,
    arrival: Arrival,
    body: Json<ForgotPassword>,
) -> Result<Accepted<Done>, Error> {
    let body = body.good()?;
    accounts.forgot_password(&body.email.0, &arrival).await?;
    Ok(Accepted(done()?.accepted()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResetPassword {
    /// What the mail brought.
    token: String,
    /// 8 to 128 characters.
    new_password: NewPassword,
}

/// Sets a new password; all sessions are over.
async fn reset_password(
    State(accounts): State<Accounts>,
    arrival: Arrival,
    body: Json<ResetPassword>,
) -> Result<Answer<Done>, Error> {
    let body = body.good()?;
    accounts.reset_password(&body.token, &body.new_password.0, &arrival).await?;
    done()
}

/// Sends once more what proves the address.
async fn send_verification(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Accepted<Done>, Error> {
    accounts.send_verification(athlete(&caller)?).await?;
    Ok(Accepted(done()?.accepted()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VerifyEmail {
    /// What the mail brought.
    token: String,
}

/// Takes in that the address is the athlete's.
async fn verify_email(
    State(accounts): State<Accounts>,
    caller: Caller,
    arrival: Arrival,
    body: Json<VerifyEmail>,
) -> Result<Answer<Done>, Error> {
    accounts.verify_email(athlete(&caller)?, &body.good()?.token, &arrival).await?;
    done()
}
