//! What all formats of rows share: a record goes in, a part of a file comes out.
//!
//! Invariant: a part is whole, or there is none: of a record that Python has to judge nothing is out.

use crate::batch::{Batch, Rows, Table, read};
use crate::cells::Cell;
use crate::classes::{BLOCK, Classes};
use crate::scan::ShortText;

/// How one export is written, a row after the other. It holds nothing that changes.
pub trait Format {
    /// So many times a record's bytes are reserved for what is made of it.
    const GROWTH: usize = 1;

    /// What the bytes of strings mean to it.
    fn classes(&self) -> &Classes;

    /// Write what begins a row at the part's place; `None`, here and below: Python is to do it.
    fn begin(&self, part: &mut Part<'_>) -> Option<()>;

    /// Write the row's next cell, that of the column at `place`.
    fn cell(&self, place: usize, cell: &Cell, part: &mut Part<'_>) -> Option<()>;

    /// The same of one that is a short string, as most are.
    #[inline(always)]
    fn text(&self, place: usize, text: ShortText, part: &mut Part<'_>) -> Option<()> {
        self.cell(place, &text.into(), part)
    }

    /// Write what ends a row.
    fn end(&self, part: &mut Part<'_>);
}

/// What was made of some rows of a record.
#[derive(Debug)]
pub struct Part<'a> {
    record: &'a [u8],
    pub data: Vec<u8>,
    /// Where the next row goes: of a sheet its number there; else nothing of the file is out at 0.
    pub place: usize,
    /// Characters that the format can't hold.
    pub replaced: usize,
}

impl Part<'_> {
    /// Write a text.
    ///
    /// A short one of the record is copied with what follows it there, and that is cut off again: to
    /// copy as many bytes each time is no call, and its length is nothing to branch on.
    #[inline]
    pub fn write(&mut self, text: &str) {
        // Of a text that stands elsewhere this leads out of the record.
        let start = (text.as_ptr().addr()).wrapping_sub(self.record.as_ptr().addr());
        let block = self.record.get(start..).and_then(<[u8]>::first_chunk);
        match block {
            Some(block) if text.len() <= BLOCK => self.write_block(block, text.len()),
            _ => self.data.extend_from_slice(text.as_bytes()),
        }
    }

    #[inline(always)]
    pub fn write_short(&mut self, text: ShortText) {
        self.write_block(text.block, text.text.len());
    }

    #[inline(always)]
    pub fn write_constant(&mut self, constant: &Constant) {
        self.write_block(&constant.beginning, constant.length);
        if !constant.rest.is_empty() {
            self.data.extend_from_slice(&constant.rest);
        }
    }

    #[inline(always)]
    fn write_block(&mut self, block: &[u8; BLOCK], length: usize) {
        let end = self.data.len() + length;
        self.data.extend_from_slice(block);
        self.data.truncate(end);
    }
}

/// Bytes that are written for many rows.
pub struct Constant {
    beginning: [u8; BLOCK],
    /// Of what counts of the beginning.
    length: usize,
    rest: Vec<u8>,
}

impl Constant {
    pub fn new(bytes: &[u8]) -> Self {
        let length = bytes.len().min(BLOCK);
        let mut beginning = [0; BLOCK];
        beginning[..length].copy_from_slice(&bytes[..length]);
        Self { beginning, length, rest: bytes[length..].to_vec() }
    }
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
    ) -> Option<(Batch<'a>, Part<'a>)>;
}

impl<F: Format + Send + Sync> Encode for F {
    fn encode<'a>(
        &self,
        value: &'a [u8],
        table: &Table,
        place: usize,
        most_bytes: usize,
    ) -> Option<(Batch<'a>, Part<'a>)> {
        let data = Vec::with_capacity((Self::GROWTH * value.len()).min(most_bytes) + BLOCK);
        let part = Part { record: value, data, place, replaced: 0 };
        let mut bounded = Bounded { format: self, part, most_bytes };
        let batch = read(value, table, self.classes(), &mut bounded)?;
        Some((batch, bounded.part))
    }
}

/// Ends where a part becomes too large.
struct Bounded<'f, 'a, F> {
    format: &'f F,
    part: Part<'a>,
    most_bytes: usize,
}

impl<F: Format> Rows for Bounded<'_, '_, F> {
    fn begin(&mut self) -> Option<()> {
        self.format.begin(&mut self.part)
    }

    #[inline(always)]
    fn cell(&mut self, place: usize, cell: &Cell) -> Option<()> {
        self.format.cell(place, cell, &mut self.part)
    }

    #[inline(always)]
    fn text(&mut self, place: usize, text: ShortText) -> Option<()> {
        self.format.text(place, text, &mut self.part)
    }

    fn end(&mut self) -> Option<()> {
        self.format.end(&mut self.part);
        self.part.place += 1;
        (self.part.data.len() <= self.most_bytes).then_some(())
    }
}
