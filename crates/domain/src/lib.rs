//! The rules of training: what a command may do, and what follows from what happened.
//!
//! Pure: a decider takes the state, the command and the time, and gives events or a [`Rejection`];
//! nothing here reads a clock, draws a random number or does input or output.

pub mod account;
pub mod announcements;
pub mod body;
pub mod coaching;
pub mod days;
pub mod exercises;
pub mod folders;
pub mod library;
pub mod likes;
pub mod moderation;
pub mod one_rep_max;
pub mod points;
pub mod posts;
pub mod profile;
pub mod records;
mod rejection;
pub mod relations;
pub mod routines;
pub mod search;
pub mod standards;
mod streaks;
pub mod strength;
mod totals;
pub mod usual;
pub mod workout;

pub use rejection::{Invalid, Patch, Rejection};
pub use streaks::{Streak, streak_of_days, streak_of_weeks, week_of};
pub use totals::{Totals, totals, volume_kg, volume_of};
