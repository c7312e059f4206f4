//! The runtime of projections: reading the log, batching, checkpoints, fencing, parking, replay.
//!
//! A [`Projection`] says what events mean for its rows. A [`Projector`] feeds it batches, from
//! Postgres or from Kafka, and commits rows and checkpoint in one transaction, whose first
//! statement is the checkpoint's compare-and-swap: a second owner, a thawed zombie or a swapped
//! read model fails there, before it has written anything. A [`Replay`] builds the rows anew beside
//! the live ones and swaps them in. [`Progress`] lets queries wait for a model, and an [`Observer`]
//! says how far all of them are.

mod batch;
mod checkpoint;
mod foreign;
mod observe;
mod parking;
mod progress;
mod projection;
mod replay;
mod revisions;
mod run;
mod runtime;
mod schema;
mod tables;
mod trouble;

pub use observe::{Model, ModelStatus, Observer, PartitionStatus, ReplayStatus, State};
pub use parking::{ParkedEvent, Retried};
pub use progress::{NotReached, Progress};
pub use projection::{Happened, Poison, Projection, Refused};
pub use replay::{Difference, Options, Phase, Replay, ReplayError, Replayed, Step, program};
pub use revisions::Hears;
pub use runtime::{Error, Projector, Taken, Traces};
pub use tables::{Column, Field, Fields, Key, Kind, Mark, Row, Tables};
