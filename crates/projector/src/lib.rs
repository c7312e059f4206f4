//! The runtime of projections: reading the log, batching, checkpoints and fencing.
//!
//! A [`Projection`] says what events mean for its rows. A [`Projector`] feeds it batches, from
//! Postgres or from Kafka, and commits rows and checkpoint in one transaction, whose first
//! statement is the checkpoint's compare-and-swap: a second owner, a thawed zombie or a swapped
//! read model fails there, before it has written anything. [`Progress`] lets queries wait for a
//! model.

mod checkpoint;
mod foreign;
mod progress;
mod projection;
mod run;
mod runtime;

pub use progress::{NotReached, Progress};
pub use projection::Projection;
pub use runtime::{Error, Projector};
