//! What the door asks others about: accounts, keys, and who coaches whom.

use uuid::Uuid;

use crate::{Access, Caller, Error, Scope, Seen, Tier};

/// What the door asks others about.
pub trait Directory: Send + Sync + 'static {
    /// The log partition of an athlete; `None` when there is no such account.
    fn partition(&self, athlete: Uuid) -> impl Future<Output = Result<Option<i16>, Error>> + Send;

    /// Whether a session lives and its token says what is so, by the database.
    fn lives(&self, access: &Access) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Whose an API key is, and what it is for; `None` when it is nobody's.
    fn key(&self, key: &str) -> impl Future<Output = Result<Option<KeyHolder>, Error>> + Send;

    /// A client of a coach, as it is at this moment; `None` for everybody else.
    fn client(
        &self,
        coach: &Caller,
        client: Uuid,
    ) -> impl Future<Output = Result<Option<Client>, Error>> + Send;

    /// Writes down that somebody used a key or was refused, soon.
    fn note(&self, seen: Seen);

    /// Writes down that somebody looks at what is another's, before they see it.
    fn record(&self, seen: Seen) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Who holds an API key.
#[derive(Debug, Clone)]
pub struct KeyHolder {
    /// What a token of theirs would say; the session is the key.
    pub access: Access,
    /// What the key is for.
    pub scopes: Vec<Scope>,
}

/// For whom a coach may act.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The client's log partition.
    pub partition: i16,
    /// What the client has paid for.
    pub tier: Tier,
}
