//! The rules of training: what a command may do, and what follows from what happened.
//!
//! Pure: a decider takes the state, the command and the time, and gives events or a [`Rejection`];
//! nothing here reads a clock, draws a random number or does input or output.

pub mod exercises;
pub mod library;
mod rejection;
mod totals;
pub mod workout;

pub use rejection::{Invalid, Patch, Rejection};
pub use totals::{Totals, totals, volume_kg};
