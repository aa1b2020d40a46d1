//! JSON and NDJSON: rows to objects, one a line, as `consumer/formats/json.py` makes them.
//!
//! Invariant: a cell has the text that orjson gives it.

use std::borrow::Cow;

use crate::batch::{Batch, Rows, Table, read};
use crate::cells::{Cell, orjson, orjson_double, write_string};
use crate::scan::{Classes, plain_classes};

/// How one export is written.
pub struct Json {
    classes: Classes,
    /// What stands before each cell: `{"a":`, `,"b":`.
    befores: Vec<Vec<u8>>,
    first: Vec<u8>,
    between: Vec<u8>,
}

impl Json {
    /// `first` begins a file that has rows, `between` divides two rows.
    pub fn new(keys: &[String], first: Vec<u8>, between: Vec<u8>) -> Self {
        let befores = keys.iter().enumerate().map(|(place, key)| before(place, key)).collect();
        Self { classes: plain_classes(), befores, first, between }
    }

    /// The lines of a record's rows, without what ends the last one.
    ///
    /// `None` as well where they are more than `most_bytes`.
    pub fn encode<'a>(
        &self,
        value: &'a [u8],
        table: &Table,
        begun: bool,
        most_bytes: usize,
    ) -> Option<(Batch<'a>, Vec<u8>)> {
        let out = Vec::with_capacity(value.len().min(most_bytes));
        let next = if begun { &self.between } else { &self.first };
        let mut lines = Lines { json: self, out, next, most_bytes };
        let batch = read(value, table, &mut lines)?;
        Some((batch, lines.out))
    }
}

fn before(place: usize, key: &str) -> Vec<u8> {
    let mut text = vec![if place == 0 { b'{' } else { b',' }];
    write_string(key, &mut text);
    text.push(b':');
    text
}

struct Lines<'j> {
    json: &'j Json,
    out: Vec<u8>,
    next: &'j [u8],
    most_bytes: usize,
}

impl Rows for Lines<'_> {
    fn classes(&self) -> &Classes {
        &self.json.classes
    }

    fn row(&mut self, cells: &[Cell]) -> Option<()> {
        let out = &mut self.out;
        out.extend_from_slice(self.next);
        self.next = &self.json.between;
        for (before, cell) in self.json.befores.iter().zip(cells) {
            out.extend_from_slice(before);
            write_cell(cell, out)?;
        }
        out.push(b'}');
        (out.len() <= self.most_bytes).then_some(())
    }
}

fn write_cell(cell: &Cell, out: &mut Vec<u8>) -> Option<()> {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Bool(true) => out.extend_from_slice(b"true"),
        Cell::Bool(false) => out.extend_from_slice(b"false"),
        Cell::Integer(text) | Cell::Decimal(text) => out.extend_from_slice(text.as_bytes()),
        Cell::Double(number) => orjson_double(*number, out),
        Cell::Text(text) => match text.text {
            // As it came, there is nothing in it to be escaped.
            Cow::Borrowed(text) => {
                out.push(b'"');
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
            Cow::Owned(ref text) => write_string(text, out),
        },
        Cell::Nested(json) => orjson(json, out)?,
    }
    Some(())
}
