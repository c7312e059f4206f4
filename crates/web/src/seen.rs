//! What happens at the door, as it is written down: who, what, and from where.

use std::net::IpAddr;

use uuid::Uuid;

use crate::Credential;

/// Something that happened at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whose affairs it was about; nobody's in particular where that is not known.
    pub athlete: Option<Uuid>,
    /// Who it was; `None` where that is not known.
    pub actor: Option<Uuid>,
    /// What it was.
    pub what: What,
    /// The session or key that the actor was known by.
    pub credential: Option<Credential>,
    /// Method and path of the route.
    pub route: String,
    /// What the actor was told: the status.
    pub status: Option<u16>,
    /// From where.
    pub address: Option<IpAddr>,
    /// The device, as the client calls it.
    pub device: Option<String>,
    /// The request's id.
    pub request: String,
}

/// What happened at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// A session began.
    SignedIn,
    /// A password, code or token was wrong.
    SignInFailed,
    /// A session or key was over, or the caller may not do this.
    Refused,
    /// An API key was used.
    KeyUsed,
    /// A coach acted for a client.
    CoachActed,
    /// An admin looked at somebody's affairs.
    AdminRead,
    /// An admin changed what an account may do, or ended its sessions.
    AdminActed,
    /// A session was ended, by its athlete.
    SignedOut,
    /// A refresh token was used a second time, so that somebody else may have it; its session is over.
    TokenReused,
    /// A password was changed, by who knew it or by a mail.
    PasswordChanged,
    /// An address was proved.
    EmailVerified,
    /// An API key was made.
    KeyMade,
    /// An API key was deleted.
    KeyDeleted,
    /// An identity was linked.
    IdentityLinked,
    /// An identity was unlinked.
    IdentityUnlinked,
}

impl What {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::SignInFailed => "sign_in_failed",
            Self::Refused => "refused",
            Self::KeyUsed => "key_used",
            Self::CoachActed => "coach_acted",
            Self::AdminRead => "admin_read",
            Self::AdminActed => "admin_acted",
            Self::SignedOut => "signed_out",
            Self::TokenReused => "token_reused",
            Self::PasswordChanged => "password_changed",
            Self::EmailVerified => "email_verified",
            Self::KeyMade => "key_made",
            Self::KeyDeleted => "key_deleted",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityUnlinked => "identity_unlinked",
        }
    }
}
