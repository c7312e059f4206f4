//! What a route asks of who calls it: the words of the table of permissions.

use std::collections::HashMap;

use axum::http::Method;

use crate::Scope;

/// One route, and who may call it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The method.
    pub method: Method,
    /// The path, as routes name it.
    pub path: &'static str,
    /// Who at least.
    pub who: Who,
    /// What an API key must be for; `None` where keys are refused.
    pub scope: Option<Scope>,
    /// Whether a coach may call it for a client, where the client's data is what it is about.
    pub for_clients: bool,
    /// Whether the athlete whose data it is must have paid.
    pub pro: bool,
    /// What of limits it takes.
    pub takes: Takes,
    /// Whether a token that is not good is refused where none is needed.
    pub heeds_token: bool,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everybody; who is known is told to the route all the same.
    Anyone,
    /// An athlete, about their own affairs.
    Athlete,
    /// A coach.
    Coach,
    /// Who runs the place.
    Admin,
}

/// What of limits a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: what probes ask.
    Nothing,
    /// One request.
    One,
    /// One request and one of the stats.
    Stats,
    /// One request, and one of the mails and accounts of an address.
    Mail,
}

impl Rule {
    fn new(method: Method, path: &'static str, who: Who) -> Self {
        let (scope, for_clients, pro, takes) = (None, false, false, Takes::One);
        Self { method, path, who, scope, for_clients, pro, takes, heeds_token: false }
    }

    /// For everybody.
    pub fn anyone(method: Method, path: &'static str) -> Self {
        Self::new(method, path, Who::Anyone)
    }

    /// For an athlete who has signed in.
    pub fn athlete(method: Method, path: &'static str) -> Self {
        Self::new(method, path, Who::Athlete)
    }

    /// For coaches.
    pub fn coach(method: Method, path: &'static str) -> Self {
        Self::new(method, path, Who::Coach)
    }

    /// For who runs the place.
    pub fn admin(method: Method, path: &'static str) -> Self {
        Self::new(method, path, Who::Admin)
    }

    /// Also for API keys with a scope.
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// Also for coaches who act for a client.
    pub fn for_clients(self) -> Self {
        Self { for_clients: true, ..self }
    }

    /// For those alone who have paid.
    pub fn pro(self) -> Self {
        Self { pro: true, ..self }
    }

    /// Refuses a token that is not good, though none is needed: with one it does something else.
    pub fn heeds_token(self) -> Self {
        Self { heeds_token: true, ..self }
    }

    /// Takes this of limits.
    pub fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }
}

/// The table, by path and method.
#[derive(Debug)]
pub struct Table(HashMap<&'static str, Vec<&'static Rule>>);

impl Table {
    /// Of these rules.
    pub fn new(rules: &'static [Rule]) -> Self {
        let mut table: HashMap<_, Vec<_>> = HashMap::new();
        for rule in rules {
            table.entry(rule.path).or_default().push(rule);
        }
        Self(table)
    }

    /// The rules of a path, by method.
    pub(crate) fn of(&self, path: &str) -> &[&'static Rule] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }
}
