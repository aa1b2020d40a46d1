//! Rows of a PDF to the content of its pages, where `consumer/formats/pdf` has laid them out.
//!
//! Python decides: which glyph stands for a character, how wide columns are, what stands around the
//! rows. Invariant: a page that comes out of here is Python's, byte for byte; one that needs a
//! decision is left to Python.

#[cfg(feature = "python")]
pub mod binding;
pub mod glyphs;
pub mod layout;
pub mod pages;
pub mod rows;
pub mod setting;
pub mod whole;
pub mod wrapping;

/// A decision is due, which is Python's.
#[derive(Debug, PartialEq)]
pub struct Undecided;

/// Widths are in units, `UNITS_PER_EM` at any size.
pub const UNITS_PER_EM: u32 = 200;
