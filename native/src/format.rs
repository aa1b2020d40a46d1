//! What all formats of rows share: a record goes in, a part of a file comes out.
//!
//! Invariant: a part is whole, or there is none: of a record that Python has to judge nothing is out.

use crate::batch::{Batch, Rows, Table, read};
use crate::cells::Cell;
use crate::scan::Classes;

/// How one export is written, a row after the other. It holds nothing that changes.
pub trait Format {
    /// So many times a record's bytes are reserved for what is made of it.
    const GROWTH: usize = 1;

    /// What the bytes of strings mean to it.
    fn classes(&self) -> &Classes;

    /// Write one row, which has a cell for each column, at the part's place; `None`: Python is to
    /// do it.
    fn row(&self, cells: &[Cell], part: &mut Part) -> Option<()>;
}

/// What was made of some rows.
#[derive(Debug, Default)]
pub struct Part {
    pub data: Vec<u8>,
    /// Where the next row goes: of a sheet its number there; else nothing of the file is out at 0.
    pub place: usize,
    /// Characters that the format can't hold.
    pub replaced: usize,
}

/// A format, whichever it is.
pub trait Encode: Send + Sync {
    /// The part of a record's rows, the first of which goes to `place`.
    ///
    /// `None` as well where it is more than `most_bytes`.
    fn encode<'a>(
        &self,
        value: &'a [u8],
        table: &Table,
        place: usize,
        most_bytes: usize,
    ) -> Option<(Batch<'a>, Part)>;
}

impl<F: Format + Send + Sync> Encode for F {
    fn encode<'a>(
        &self,
        value: &'a [u8],
        table: &Table,
        place: usize,
        most_bytes: usize,
    ) -> Option<(Batch<'a>, Part)> {
        let data = Vec::with_capacity((Self::GROWTH * value.len()).min(most_bytes));
        let part = Part { data, place, replaced: 0 };
        let mut bounded = Bounded { format: self, part, most_bytes };
        let batch = read(value, table, &mut bounded)?;
        Some((batch, bounded.part))
    }
}

/// Ends where a part becomes too large.
struct Bounded<'f, F> {
    format: &'f F,
    part: Part,
    most_bytes: usize,
}

impl<F: Format> Rows for Bounded<'_, F> {
    fn classes(&self) -> &Classes {
        self.format.classes()
    }

    fn row(&mut self, cells: &[Cell]) -> Option<()> {
        self.format.row(cells, &mut self.part)?;
        self.part.place += 1;
        (self.part.data.len() <= self.most_bytes).then_some(())
    }
}
