//! What all routes share: how requests are read, who is calling, and how answers look.
//!
//! No routes live here. [`envelope::wrap`] is the outermost layer of the application; handlers
//! return an [`Answer`] or an [`Error`], and the layer gives both their final form. Within it,
//! [`access::check`] stands in front of every route.

pub mod access;
pub mod address;
mod answer;
mod body;
pub mod browsers;
mod caller;
mod cursor;
mod directory;
pub mod document;
pub mod envelope;
mod error;
mod kept;
pub mod limits;
pub mod permissions;
mod query;
mod remote;
mod request;
mod revoked;
mod routes;
mod seen;
mod shape;
mod tokens;

pub use answer::{Accepted, Answer, Created};
pub use body::Json;
pub use caller::{Caller, Credential, MaybeCaller, Role, Scope, Tier};
pub use cursor::Cursor;
pub use directory::{Client, Directory, KeyHolder};
pub use error::{Detail, Error};
pub use kept::KeptAnswer;
pub use query::{Limit, Path, Query, whole};
pub use remote::Redis;
pub use request::{RequestInfo, Trace, header, once};
pub use revoked::{Revocation, Revoked};
pub use routes::{Route, Routes};
pub use seen::{Seen, What};
pub use tokens::{Access, Tokens};
