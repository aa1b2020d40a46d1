//! Sluice's encoders in Rust. `README.md` says how they are used and how another one joins.
//!
//! Invariant: for the same bytes the answer is exactly Python's, or `None`.

pub mod batch;
pub mod cells;
pub mod classes;
pub mod csv;
pub mod format;
pub mod formulas;
pub mod json;
pub mod pdf;
pub mod scan;
pub mod types;
pub mod xlsx;
pub mod xml;

#[cfg(feature = "python")]
mod binding;
