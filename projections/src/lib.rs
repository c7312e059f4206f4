//! The read models, one folder each: tables, fold, queries, routes and tests.

mod athlete;
pub mod boards;
pub mod coaching;
mod context;
mod days;
pub mod history;
mod lifts;
pub mod open;
mod page;
pub mod plans;
mod reading;
pub mod records;
pub mod represent;
pub mod routines;
pub mod social;
mod spans;
pub mod stats;
pub mod strength;
mod training;
mod weighings;

use boards::Boards;
use coaching::Coaching;
use history::History;
use open::Open;
use projector::{Model, Projection};
use records::Records;
use routines::Routines;
use social::Social;
use stats::Stats;
use strength::Strength;

pub use context::{Context, database, newer_events};
pub use reading::{Reading, forgets};

/// Every read model.
pub const MODELS: &[Model] = &[
    model::<History>(),
    model::<Stats>(),
    model::<Records>(),
    model::<Strength>(),
    model::<Coaching>(),
    model::<Routines>(),
    model::<Open>(),
    model::<Social>(),
    model::<Boards>(),
];

const fn model<P: Projection>() -> Model {
    Model { name: P::NAME, schema: P::SCHEMA }
}

/// Runs code for the read model of a name: `with_model!(name, P => code)` is an `Option`, without
/// a value where there is no such model.
#[macro_export]
macro_rules! with_model {
    ($name:expr, $projection:ident => $code:expr) => {
        match $name {
            "history" => {
                type $projection = $crate::history::History;
                Some($code)
            }
            "stats" => {
                type $projection = $crate::stats::Stats;
                Some($code)
            }
            "records" => {
                type $projection = $crate::records::Records;
                Some($code)
            }
            "strength" => {
                type $projection = $crate::strength::Strength;
                Some($code)
            }
            "coaching" => {
                type $projection = $crate::coaching::Coaching;
                Some($code)
            }
            "routines" => {
                type $projection = $crate::routines::Routines;
                Some($code)
            }
            "open" => {
                type $projection = $crate::open::Open;
                Some($code)
            }
            "social" => {
                type $projection = $crate::social::Social;
                Some($code)
            }
            "boards" => {
                type $projection = $crate::boards::Boards;
                Some($code)
            }
            _ => None,
        }
    };
}

#[cfg(test)]
mod tests {
    use projector::Projection as _;

    use super::MODELS;

    #[test]
    fn every_model_is_found_by_its_name() {
        for model in MODELS {
            let found = with_model!(model.name, P => P::SCHEMA);
            assert_eq!(found, Some(model.schema));
        }
        assert_eq!(with_model!("no model", P => P::SCHEMA), None);
    }
}
