//! What all routes share: how requests are read, who is calling, and how answers look.
//!
//! No routes live here. [`envelope::wrap`] is the outermost layer of the application; handlers
//! return an [`Answer`] or an [`Error`], and the layer gives both their final form.

mod answer;
mod auth;
mod body;
mod cursor;
pub mod envelope;
mod error;
mod kept;
mod query;
mod request;
mod shape;

pub use answer::Answer;
pub use auth::{Admin, Caller, Role, Tokens};
pub use body::Json;
pub use cursor::Cursor;
pub use error::{Detail, Error};
pub use kept::KeptAnswer;
pub use query::{Limit, Path, Query};
pub use request::{RequestInfo, header};
