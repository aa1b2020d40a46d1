//! XLSX: rows to the XML of a sheet, as `consumer/formats/xlsx/rows.py` makes them.
//!
//! Python packs them, and begins sheets. Invariant: a cell is what `xlsx/cells.py` or
//! `xlsx/typed_cells.py` makes of it.

mod cells;
mod text;
mod typed;

use crate::batch::{Batch, Rows, Table, read};
use crate::cells::Cell;
use crate::scan::Classes;
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

    /// The XML of a record's rows, the first of which is row `number` of its sheet.
    ///
    /// `None` as well where it is more than `most_bytes`, or a sheet can't hold all rows.
    pub fn encode<'a>(
        &self,
        value: &'a [u8],
        table: &Table,
        number: usize,
        most_bytes: usize,
    ) -> Option<(Batch<'a>, Vec<u8>)> {
        let out = Vec::with_capacity((4 * value.len()).min(most_bytes));
        let mut sheet = Sheet { xlsx: self, out, number, most_bytes };
        let batch = read(value, table, &mut sheet)?;
        Some((batch, sheet.out))
    }
}

struct Sheet<'x> {
    xlsx: &'x Xlsx,
    out: Vec<u8>,
    /// Of the next row.
    number: usize,
    most_bytes: usize,
}

impl Rows for Sheet<'_> {
    fn classes(&self) -> &Classes {
        &self.xlsx.classes
    }

    fn row(&mut self, row: &[Cell]) -> Option<()> {
        let Xlsx { options, types, .. } = self.xlsx;
        if self.number > options.most_sheet_rows {
            return None;
        }
        let number = self.number.to_string();
        for part in ["<row r=\"", &number, "\"><c r=\"A", &number, "\""] {
            self.out.extend_from_slice(part.as_bytes());
        }
        for (place, (cell, column_type)) in row.iter().zip(types).enumerate() {
            if place > 0 {
                self.out.extend_from_slice(b"<c");
            }
            match (cell, column_type) {
                (Cell::Text(text), Some(ColumnType::Date)) => {
                    typed::date(options, &text.text, &mut self.out)?;
                }
                (Cell::Text(text), Some(ColumnType::Timestamp)) => {
                    typed::timestamp(options, &text.text, &mut self.out)?;
                }
                (Cell::Text(text), Some(ColumnType::Decimal)) => {
                    typed::decimal(options, &text.text, &mut self.out)?;
                }
                _ => cells::write(options, cell, &mut self.out)?,
            }
        }
        self.out.extend_from_slice(b"</row>");
        self.number += 1;
        (self.out.len() <= self.most_bytes).then_some(())
    }
}
