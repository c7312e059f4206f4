//! The rules of training: what a command may do, and what follows from what happened.
//!
//! Pure: a decider takes the state, the command and the time, and gives events or a [`Rejection`];
//! nothing here reads a clock, draws a random number or does input or output.

pub mod exercises;
pub mod library;
pub mod one_rep_max;
pub mod records;
mod rejection;
pub mod search;
mod streaks;
mod totals;
pub mod workout;

pub use rejection::{Invalid, Patch, Rejection};
pub use streaks::{Streak, streak_of_days, streak_of_weeks, week_of};
pub use totals::{Totals, totals, volume_kg, volume_of};
