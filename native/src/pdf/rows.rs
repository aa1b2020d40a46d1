//! Rows as the texts of their cells, in column order.
//!
//! Invariant: a cell's text is `cell_text` of it, shortened as `Typesetter.shortened` does.

use crate::batch::{Batch, Rows, Table, read};
use crate::cells::{Cell, compact_json, repr};
use crate::classes::PLAIN;

const ELLIPSIS: char = '…';

/// Cells in a row, row after row; with `is_text` what was a string or nested, and no number or word.
#[derive(Clone, Debug, Default)]
pub struct TextRows {
    width: usize,
    most_text: usize,
    text: String,
    ends: Vec<u32>,
    is_text: Vec<bool>,
}

impl TextRows {
    /// `most_text` characters of a text are kept.
    pub fn new(width: usize, most_text: usize) -> Self {
        Self { width, most_text, ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.ends.len() / self.width.max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn cell(&self, row: usize, column: usize) -> &str {
        let place = row * self.width + column;
        &self.text[self.start(place)..self.ends[place] as usize]
    }

    fn start(&self, place: usize) -> usize {
        if place == 0 { 0 } else { self.ends[place - 1] as usize }
    }

    /// Characters of the cells that were texts.
    pub fn characters(&self, rows: std::ops::Range<usize>) -> usize {
        let places = rows.start * self.width..rows.end * self.width;
        let texts = places.filter(|&place| self.is_text[place]);
        texts.map(|place| self.cell(0, place).chars().count()).sum()
    }

    pub fn push(&mut self, text: &str, is_text: bool) -> Option<()> {
        let start = self.text.len();
        self.text.push_str(text);
        self.close(start, is_text)
    }

    /// End a cell whose text was appended.
    fn close(&mut self, start: usize, is_text: bool) -> Option<()> {
        if self.text.len() - start > self.most_text {
            let mut places = self.text[start..].char_indices();
            if let Some((length, _)) = places.nth(self.most_text) {
                self.text.truncate(start + length);
                self.text.push(ELLIPSIS);
            }
        }
        self.ends.push(u32::try_from(self.text.len()).ok()?);
        self.is_text.push(is_text);
        Some(())
    }

    /// Append some rows of others.
    pub fn extend(&mut self, others: &Self, rows: std::ops::Range<usize>) -> Option<()> {
        let (first, end) = (rows.start * self.width, rows.end * self.width);
        if first == end {
            return Some(());
        }
        let (start, offset) = (others.start(first), self.text.len());
        self.text.push_str(&others.text[start..others.ends[end - 1] as usize]);
        u32::try_from(self.text.len()).ok()?;
        let moved = |&place: &u32| (place as usize - start + offset) as u32;
        self.ends.extend(others.ends[first..end].iter().map(moved));
        self.is_text.extend_from_slice(&others.is_text[first..end]);
        Some(())
    }

    /// Drop the first rows.
    pub fn drop_first(&mut self, rows: usize) {
        let places = rows * self.width;
        if places == 0 {
            return;
        }
        let start = self.ends[places - 1];
        self.text.drain(..start as usize);
        self.ends.drain(..places);
        self.is_text.drain(..places);
        for end in &mut self.ends {
            *end -= start;
        }
    }

    /// Read a record.
    pub fn read<'a>(value: &'a [u8], table: &Table, most_text: usize) -> Option<(Batch<'a>, Self)> {
        let mut rows = Self::new(table.width(), most_text);
        rows.text.reserve(value.len());
        let batch = read(value, table, &PLAIN, &mut rows)?;
        Some((batch, rows))
    }
}

impl Rows for TextRows {
    fn cell(&mut self, _: usize, cell: &Cell) -> Option<()> {
        match cell {
            Cell::Null => self.push("", false),
            Cell::Bool(true) => self.push("true", false),
            Cell::Bool(false) => self.push("false", false),
            Cell::Integer(text) | Cell::Decimal(text) => self.push(text, false),
            Cell::Text(text) => self.push(&text.text, true),
            Cell::Double(number) => {
                let mut text = Vec::new();
                repr(*number, &mut text);
                self.push(std::str::from_utf8(&text).ok()?, false)
            }
            Cell::Nested(json) => {
                let mut text = Vec::with_capacity(json.len());
                compact_json(json, &mut text)?;
                self.push(std::str::from_utf8(&text).ok()?, true)
            }
        }
    }
}
