//! Who may do what: the layer in front of every route.
//!
//! It finds the route's rule in the table of permissions, finds out who calls and for whom, takes from
//! the limits, and lets through who may pass. A route that the table does not have is closed. What it
//! asks others about, accounts above all, is behind [`crate::Directory`].

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{
    Access, Caller, Credential, Detail, Directory, Error, RequestInfo, Revoked, Role, Scope, Seen,
    Tier, Tokens, What, address,
    limits::{Budget, Left, Limits, tightest},
    once,
    permissions::{Rule, Table, Takes, Who},
};

/// For whom a coach acts: the id of the client.
pub const ACTING_FOR: &str = "X-Acting-For";

/// The secret that lifts limits, for programs of the operator's own.
const BYPASS: &str = "x-internal-bypass";

/// What API keys begin with.
pub const KEY_PREFIX: &str = "ilk_";

/// Athletes whose partition is remembered; it never changes.
const PARTITIONS: u64 = 1_000_000;

/// From where a request comes.
#[derive(Debug, Clone, Copy)]
pub struct CameFrom(pub Option<IpAddr>);

/// Whether the limits are lifted for a request.
#[derive(Debug, Clone, Copy)]
pub struct Lifted(pub bool);

/// The door.
pub struct Door<D>(Arc<Inner<D>>);

impl<D> Clone for Door<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<D> {
    table: Table,
    tokens: Tokens,
    revoked: Revoked,
    limits: Arc<Limits>,
    directory: D,
    hops: usize,
    bypass: Option<[u8; 32]>,
    partitions: Cache<Uuid, i16>,
}

/// What a door is made of.
pub struct Parts<D> {
    /// Who may call which route.
    pub table: &'static [Rule],
    /// Verifies access tokens.
    pub tokens: Tokens,
    /// What was revoked.
    pub revoked: Revoked,
    /// How much anybody may ask for.
    pub limits: Arc<Limits>,
    /// Accounts.
    pub directory: D,
    /// How many proxies of ours stand in front.
    pub trusted_hops: usize,
    /// The secret that lifts limits.
    pub bypass: Option<String>,
}

impl<D: Directory> Door<D> {
    /// A door for these routes.
    pub fn new(parts: Parts<D>) -> Self {
        Self(Arc::new(Inner {
            table: Table::new(parts.table),
            tokens: parts.tokens,
            revoked: parts.revoked,
            limits: parts.limits,
            directory: parts.directory,
            hops: parts.trusted_hops,
            bypass: parts.bypass.map(|secret| Sha256::digest(secret).into()),
            partitions: Cache::new(PARTITIONS),
        }))
    }
}

/// Lets through who may pass; to be put in front of all routes.
pub async fn check<D: Directory>(
    State(door): State<Door<D>>,
    mut request: Request,
    next: Next,
) -> Response {
    let door = &door.0;
    let visit = Visit::of(door, &request);
    request.extensions_mut().insert(CameFrom(visit.address));
    request.extensions_mut().insert(Lifted(visit.lifted));
    let mut left = None;
    let admitted = door.admit(&visit, request.headers(), &mut left).await;
    let mut response = match admitted {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    // What a handler was refused by tells more than what let the request in.
    let of_handler = response.extensions().get::<Error>().and_then(|error| error.limit.as_deref());
    if let Some(left) = of_handler.copied().or(left) {
        left.tell(response.headers_mut());
    }
    if response.status() != StatusCode::BAD_REQUEST {
        door.take_mail(&visit).await;
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allowed: Vec<&str> = visit.allowed.iter().map(Method::as_str).collect();
        if let Ok(allowed) = HeaderValue::from_str(&allowed.join(",")) {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
    }
    response
}

/// What is known of a request before who sent it is.
struct Visit {
    rule: Option<&'static Rule>,
    /// The methods of the path, where it is none of them.
    allowed: Vec<Method>,
    method: Method,
    path: Option<MatchedPath>,
    address: Option<IpAddr>,
    /// The athlete whose affairs an admin asks about.
    about: Option<Uuid>,
    lifted: bool,
    info: RequestInfo,
    is_reading: bool,
}

impl Visit {
    fn of<D>(door: &Inner<D>, request: &Request) -> Self {
        let path = request.extensions().get::<MatchedPath>();
        let rules = path.map_or(&[][..], |path| door.table.of(path.as_str()));
        let method = request.method();
        let asked = if *method == Method::HEAD { &Method::GET } else { method };
        let rule = rules.iter().copied().find(|rule| rule.method == *asked);
        let bypass = request.headers().get(BYPASS);
        let lifted = door.bypass.as_ref().zip(bypass).is_some_and(|(secret, said)| {
            let said: [u8; 32] = Sha256::digest(said.as_bytes()).into();
            bool::from(secret.ct_eq(&said))
        });
        let about = request.uri().query().and_then(|query| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == "athlete").and_then(|(_, id)| id.parse().ok())
        });
        Self {
            rule,
            allowed: match rule {
                Some(_) => Vec::new(),
                None => rules.iter().map(|rule| rule.method.clone()).collect(),
            },
            method: method.clone(),
            path: path.cloned(),
            address: address::client(request.headers(), request.extensions(), door.hops),
            about,
            lifted,
            info: request.extensions().get().cloned().unwrap_or_default(),
            is_reading: *asked == Method::GET,
        }
    }

    fn route(&self) -> String {
        format!("{} {}", self.method, self.path.as_ref().map_or("unmatched", MatchedPath::as_str))
    }

    fn seen(&self, what: What, caller: Option<&Caller>, error: Option<&Error>) -> Seen {
        Seen {
            athlete: caller.map(|caller| caller.athlete),
            actor: caller.map(|caller| caller.actor),
            what,
            credential: caller.map(|caller| caller.credential),
            route: self.route(),
            status: error.map(|error| error.status.as_u16()),
            address: self.address,
            device: self.info.device.clone(),
            request: self.info.request_id.to_string(),
        }
    }
}

/// What the limits of somebody who is not known go by.
fn of_address(address: Option<IpAddr>) -> String {
    format!("address:{}", address::subject(address))
}

impl<D: Directory> Inner<D> {
    /// Who calls, if they may.
    async fn admit(
        &self,
        visit: &Visit,
        headers: &HeaderMap,
        left: &mut Option<Left>,
    ) -> Result<Option<Caller>, Error> {
        let Some(rule) = visit.rule else {
            self.take_anonymous(visit, left).await?;
            return match (visit.path.is_some(), visit.allowed.is_empty()) {
                // What is no route answers as such.
                (false, _) => Ok(None),
                (true, false) => Err(Error::method_not_allowed()),
                (true, true) => {
                    Err(Error::internal(format!("{} is in no table of permissions", visit.route())))
                }
            };
        };
        if rule.takes == Takes::Nothing {
            return Ok(None);
        }
        let known = match self.authenticate(visit, headers).await {
            // What is open to everybody knows people: no key signs in, or links an identity.
            Ok(Some((_, Some(_)))) if rule.who == Who::Anyone => None,
            Ok(known) => known,
            // Who comes to sign in may have an old token with them.
            Err(_) if rule.who == Who::Anyone && !rule.heeds_token => None,
            Err(Stranger { error, caller }) => {
                self.take_anonymous(visit, left).await?;
                if let Some(caller) = caller {
                    self.directory.note(visit.seen(What::Refused, Some(&caller), Some(&error)));
                }
                return Err(error);
            }
        };
        if rule.takes == Takes::Mail && !visit.lifted {
            // Of the address, whoever it is: accounts are easily made. It is taken when it is clear
            // that something was asked for, so that slips of the finger cost nothing.
            let there = self.limits.look(&of_address(visit.address), Budget::Mail).await;
            if !there.granted {
                return Err(there.refusal());
            }
        }
        if rule.who == Who::Anyone || known.is_none() {
            self.take_anonymous(visit, left).await?;
        }
        let Some((caller, scopes)) = known else {
            return if rule.who == Who::Anyone { Ok(None) } else { Err(missing()) };
        };
        if rule.who != Who::Anyone
            && let Err(error) = self.take_known(&caller, rule, visit, left).await
        {
            self.directory.note(visit.seen(What::Refused, Some(&caller), Some(&error)));
            return Err(error);
        }
        let judged = self.judge(rule, caller, scopes.as_deref(), visit, headers).await;
        match judged {
            Ok(caller) => Ok(Some(caller)),
            Err(error) => {
                if error.status == StatusCode::FORBIDDEN {
                    let client = self.somebody(acting_for(headers).ok().flatten()).await;
                    let seen = visit.seen(What::Refused, Some(&caller), Some(&error));
                    self.directory.note(Seen { athlete: client.or(seen.athlete), ..seen });
                }
                Err(error)
            }
        }
    }

    /// The athlete of an id, if there is one.
    async fn somebody(&self, id: Option<Uuid>) -> Option<Uuid> {
        let id = id?;
        self.partition(id).await.ok().flatten().map(|_| id)
    }

    /// The partition of an athlete, which is asked for once.
    async fn partition(&self, athlete: Uuid) -> Result<Option<i16>, Error> {
        if let Some(partition) = self.partitions.get(&athlete) {
            return Ok(Some(partition));
        }
        let partition = self.directory.partition(athlete).await?;
        if let Some(partition) = partition {
            self.partitions.insert(athlete, partition);
        }
        Ok(partition)
    }

    /// Whom a request says it is from; `None` when it says nothing.
    async fn authenticate(
        &self,
        visit: &Visit,
        headers: &HeaderMap,
    ) -> Result<Option<(Caller, Option<Vec<Scope>>)>, Stranger> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
        let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else { return Err(missing().into()) };
        let token = token.trim();
        if token.starts_with(KEY_PREFIX) {
            // Who has none left to guess with does not get as far as the database.
            let address = of_address(visit.address);
            let left = self.limits.look(&address, Budget::Anonymous).await;
            if !visit.lifted && !left.granted {
                return Err(left.refusal().into());
            }
            let invalid = || Error::unauthorized("KEY_INVALID", "the API key is not valid");
            let holder = self.directory.key(token).await?.ok_or_else(invalid)?;
            let caller = caller(&holder.access, Credential::Key(holder.access.session));
            return Ok(Some((caller, Some(holder.scopes))));
        }
        let access = self.tokens.verify(token)?;
        let caller = caller(&access, Credential::Session(access.session));
        let ended = match self.revoked.ends(&access) {
            Some(ended) => ended,
            None => !self.directory.lives(&access).await?,
        };
        if ended {
            let message = "the session is over, or the rights of the account have changed: \
                           refresh, or sign in";
            let error = Error::unauthorized("TOKEN_REVOKED", message);
            return Err(Stranger { error, caller: Some(caller) });
        }
        // Whoever can sign could name another's partition, and write there.
        let partition = self.partition(access.athlete).await?;
        if partition != Some(access.partition) {
            return Err(
                Error::unauthorized("TOKEN_INVALID", "the access token is not valid").into()
            );
        }
        Ok(Some((caller, None)))
    }

    /// The caller, for whom they act, if they may do this.
    async fn judge(
        &self,
        rule: &Rule,
        mut caller: Caller,
        scopes: Option<&[Scope]>,
        visit: &Visit,
        headers: &HeaderMap,
    ) -> Result<Caller, Error> {
        let has = |scope| scopes.is_none_or(|scopes| scopes.contains(&scope));
        match rule.scope {
            None if scopes.is_some() => {
                return Err(Error::forbidden_as("KEY_REFUSED", "an API key cannot do this"));
            }
            Some(scope) if !has(scope) => {
                let message = format!("the API key is not for {}", scope.as_str());
                return Err(Error::forbidden_as("SCOPE_MISSING", message));
            }
            _ => {}
        }
        match rule.who {
            Who::Coach if caller.role != Role::Coach => {
                return Err(Error::forbidden("only a coach may do this"));
            }
            Who::Admin if caller.role != Role::Admin => {
                return Err(Error::forbidden("only an admin may do this"));
            }
            _ => {}
        }
        let client = acting_for(headers)?.filter(|client| *client != caller.athlete);
        if let Some(client) = client {
            caller = self.acting(rule, caller, client, has(Scope::Coaching)).await?;
        }
        if rule.pro && caller.tier != Tier::Pro {
            let message = "this is for athletes with the tier pro";
            return Err(Error::forbidden_as("PRO_REQUIRED", message));
        }
        self.write_down(rule, &caller, visit).await?;
        Ok(caller)
    }

    /// The caller as one who acts for a client.
    async fn acting(
        &self,
        rule: &Rule,
        caller: Caller,
        client: Uuid,
        in_scope: bool,
    ) -> Result<Caller, Error> {
        if !rule.for_clients {
            return Err(Error::forbidden_as("NOT_FOR_CLIENTS", "nobody does this for another"));
        }
        if !in_scope {
            return Err(Error::forbidden_as("SCOPE_MISSING", "the API key is not for coaching"));
        }
        let found = match caller.role {
            Role::Coach => self.directory.client(&caller, client).await?,
            Role::Athlete | Role::Admin => None,
        };
        // Whether there is such an athlete, strangers are not told.
        let Some(found) = found else {
            return Err(Error::forbidden_as("NOT_A_CLIENT", "you do not coach this athlete"));
        };
        Ok(Caller { athlete: client, partition: found.partition, tier: found.tier, ..caller })
    }

    /// Use of keys, acting for others and looking at others is written down.
    async fn write_down(&self, rule: &Rule, caller: &Caller, visit: &Visit) -> Result<(), Error> {
        if let Credential::Key(_) = caller.credential {
            self.directory.note(visit.seen(What::KeyUsed, Some(caller), None));
        }
        if caller.is_acting() {
            let seen = visit.seen(What::CoachActed, Some(caller), None);
            if visit.is_reading {
                self.directory.record(seen).await?;
            } else {
                // Events of theirs say who acted.
                self.directory.note(seen);
            }
        }
        let others = visit.about.filter(|about| *about != caller.athlete);
        if caller.role == Role::Admin
            && let Some(about) = others
            && rule.who != Who::Anyone
        {
            let seen = visit.seen(What::AdminRead, Some(caller), None);
            self.directory.record(Seen { athlete: Some(about), ..seen }).await?;
        }
        Ok(())
    }

    async fn take_known(
        &self,
        caller: &Caller,
        rule: &Rule,
        visit: &Visit,
        left: &mut Option<Left>,
    ) -> Result<(), Error> {
        let budget = match (caller.credential, caller.role, caller.tier) {
            (Credential::Key(_), ..) => Budget::Key,
            (_, Role::Admin, _) => Budget::Admin,
            (_, Role::Coach, _) => Budget::Coach,
            (_, Role::Athlete, Tier::Pro) => Budget::Pro,
            (_, Role::Athlete, Tier::Free) => Budget::Free,
        };
        // All keys of an athlete share what is theirs.
        let subject = format!("athlete:{}", caller.actor);
        let budgets: &[Budget] = match rule.takes {
            Takes::Stats => &[budget, Budget::Stats],
            Takes::One | Takes::Mail | Takes::Nothing => &[budget],
        };
        self.take(&subject, budgets, visit, left).await
    }

    /// Takes a mail, where the route does.
    async fn take_mail(&self, visit: &Visit) {
        let takes = visit.rule.is_some_and(|rule| rule.takes == Takes::Mail);
        if takes && !visit.lifted {
            self.limits.take(&of_address(visit.address), &[Budget::Mail], 1).await;
        }
    }

    async fn take_anonymous(&self, visit: &Visit, left: &mut Option<Left>) -> Result<(), Error> {
        self.take(&of_address(visit.address), &[Budget::Anonymous], visit, left).await
    }

    async fn take(
        &self,
        subject: &str,
        budgets: &[Budget],
        visit: &Visit,
        left: &mut Option<Left>,
    ) -> Result<(), Error> {
        if visit.lifted {
            return Ok(());
        }
        let Some(taken) = self.limits.take(subject, budgets, 1).await else { return Ok(()) };
        *left = tightest(left.take().into_iter().chain([taken]));
        if taken.granted { Ok(()) } else { Err(taken.refusal()) }
    }
}

/// Somebody who is not let in; who they would be, where that is known.
struct Stranger {
    error: Error,
    caller: Option<Caller>,
}

impl From<Error> for Stranger {
    fn from(error: Error) -> Self {
        Self { error, caller: None }
    }
}

/// The client that a request names.
fn acting_for(headers: &HeaderMap) -> Result<Option<Uuid>, Error> {
    let Some(said) = once(headers, ACTING_FOR)? else { return Ok(None) };
    // As an answer gave it: of the forms that a UUID can be written in, one.
    let said = said.to_str().ok().filter(|said| said.len() == 36);
    let client = said.and_then(|said| said.parse::<Uuid>().ok());
    let client = client.filter(|client| client.get_version_num() == 7);
    client.map(Some).ok_or_else(|| {
        Error::validation(vec![Detail::new(ACTING_FOR, "must be the id of an athlete")])
    })
}

fn missing() -> Error {
    let message = "the request needs an Authorization header with a bearer token";
    Error::unauthorized("TOKEN_MISSING", message)
}

fn caller(access: &Access, credential: Credential) -> Caller {
    Caller {
        athlete: access.athlete,
        partition: access.partition,
        tier: access.tier,
        actor: access.athlete,
        role: access.role,
        credential,
    }
}
