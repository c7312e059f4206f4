//! Who is calling, and for whom.

use axum::{extract::FromRequestParts, http::request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;

/// Declares an enum of words: the same in JSON, in tokens and in the database.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $wanted:literal { $($(#[$word_doc:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[schemars(inline)]
        pub enum $name {
            $($(#[$word_doc])* #[serde(rename = $text)] $word,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$word),*];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or($wanted)
            }
        }
    };
}

words! {
    /// What an account may do beyond its own affairs.
    Role, "must be athlete, coach or admin" {
        /// Trains.
        Athlete = "athlete",
        /// Trains others.
        Coach = "coach",
        /// Runs the place.
        Admin = "admin",
    }
}

words! {
    /// What an account has paid for.
    Tier, "must be free or pro" {
        /// Nothing.
        Free = "free",
        /// Custom exercises, and twice the requests.
        Pro = "pro",
    }
}

words! {
    /// What an API key may be used for.
    Scope, "must be training:read, training:write, profile:read, profile:write or coaching" {
        /// Workouts, history, records, stats and exercises.
        TrainingRead = "training:read",
        /// Workouts, sets and exercises of one's own.
        TrainingWrite = "training:write",
        /// The profile and bodyweights.
        ProfileRead = "profile:read",
        /// Changing them.
        ProfileWrite = "profile:write",
        /// Acting for clients, as far as the other scopes go.
        Coaching = "coaching",
    }
}

/// By what a caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A session, by its access token.
    Session(Uuid),
    /// An API key.
    Key(Uuid),
}

impl Credential {
    /// The id of the session or key.
    pub fn id(self) -> Uuid {
        match self {
            Self::Session(id) | Self::Key(id) => id,
        }
    }
}

/// Who is calling, and for whom: what [`crate::access`] found out about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Whose affairs these are: the caller's own, or those of a client.
    pub athlete: Uuid,
    /// That athlete's log partition.
    pub partition: i16,
    /// What that athlete has paid for.
    pub tier: Tier,
    /// Who asks: the athlete, or a coach of theirs.
    pub actor: Uuid,
    /// What the actor may do beyond their own affairs.
    pub role: Role,
    /// By what the actor is known.
    pub credential: Credential,
}

impl Caller {
    /// Whether a coach acts for a client.
    pub fn is_acting(&self) -> bool {
        self.actor != self.athlete
    }

    /// The session that the caller is known by; keys are refused where one is needed.
    pub fn session(&self) -> Result<Uuid, Error> {
        match self.credential {
            Credential::Session(id) => Ok(id),
            Credential::Key(_) => {
                Err(Error::forbidden_as("KEY_REFUSED", "an API key cannot do this"))
            }
        }
    }
}

/// The caller of a route that lets nobody in whom it does not know.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get().copied().ok_or_else(|| {
            let message = "the request needs an Authorization header with a bearer token";
            Error::unauthorized("TOKEN_MISSING", message)
        })
    }
}

/// The caller of a route that is open to everybody, where they are known.
#[derive(Debug, Clone, Copy)]
pub struct MaybeCaller(pub Option<Caller>);

impl<S: Sync> FromRequestParts<S> for MaybeCaller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get().copied()))
    }
}
