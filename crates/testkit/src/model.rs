//! Random stories, told through the product's own interface and to a plain recomputation of what comes of
//! them; whatever a reader is shown must be equal.

pub mod social;
