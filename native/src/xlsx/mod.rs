//! XLSX: rows to the XML of a sheet, as `consumer/formats/xlsx/rows.py` makes them.
//!
//! Python packs them, and begins sheets. Invariant: a cell is what `xlsx/cells.py` or
//! `xlsx/typed_cells.py` makes of it.

mod cells;
mod text;
mod typed;

use crate::cells::Cell;
use crate::classes::Classes;
use crate::format::{Format, Part};
use crate::types::ColumnType;

/// What Python hands over: the numbers of styles, and the bounds of Excel.
pub struct XlsxOptions {
    pub styles: Styles,
    /// What text begins with that spreadsheets take for a formula when it is edited.
    pub triggers: Vec<u8>,
    pub most_cell_characters: usize,
    pub most_sheet_rows: usize,
    /// The days that Excel shows as dates: the first, and the one after the last.
    pub days: (i64, i64),
}

/// Places in `cellXfs`.
pub struct Styles {
    pub quoted: usize,
    pub whole: usize,
    pub date: usize,
    pub timestamp: usize,
    pub timestamp_millis: usize,
    /// Of a number with one decimal; those of more follow it.
    pub fraction: usize,
    pub most_decimals: usize,
}

/// How one export is written.
pub struct Xlsx {
    options: XlsxOptions,
    types: Vec<Option<ColumnType>>,
    classes: Classes,
}

impl Xlsx {
    /// Types are those of all columns, `None` or the contract's words.
    pub fn new(options: XlsxOptions, types: &[Option<String>]) -> Self {
        let types = types.iter().map(|word| ColumnType::named(word.as_ref()?)).collect();
        Self { options, types, classes: text::classes() }
    }
}

/// The place is the row's number in its sheet; `None` where that can't hold it.
impl Format for Xlsx {
    /// Of what stands around cells.
    const GROWTH: usize = 4;

    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn begin(&self, part: &mut Part) -> Option<()> {
        if part.place > self.options.most_sheet_rows {
            return None;
        }
        let (number, out) = (part.place.to_string(), &mut part.data);
        for part in ["<row r=\"", &number, "\"><c r=\"A", &number, "\""] {
            out.extend_from_slice(part.as_bytes());
        }
        Some(())
    }

    fn cell(&self, place: usize, cell: &Cell, part: &mut Part) -> Option<()> {
        let (options, out) = (&self.options, &mut part.data);
        if place > 0 {
            out.extend_from_slice(b"<c");
        }
        match (cell, self.types[place]) {
            (Cell::Text(text), Some(ColumnType::Date)) => typed::date(options, &text.text, out),
            (Cell::Text(text), Some(ColumnType::Timestamp)) => {
                typed::timestamp(options, &text.text, out)
            }
            (Cell::Text(text), Some(ColumnType::Decimal)) => {
                typed::decimal(options, &text.text, out)
            }
            _ => cells::write(options, cell, out),
        }
    }

    fn end(&self, part: &mut Part) {
        part.data.extend_from_slice(b"</row>");
    }
}
