//! JSON and NDJSON: rows to objects, one a line, as `consumer/formats/json.py` makes them.
//!
//! Invariant: a cell has the text that orjson gives it.

use std::borrow::Cow;

use crate::cells::{Cell, orjson, orjson_double, write_string};
use crate::classes::{Classes, PLAIN};
use crate::format::{Constant, Format, Part};
use crate::scan::ShortText;

/// How one export is written.
pub struct Json {
    /// What stands before each cell: `{"a":`, `,"b":`.
    befores: Vec<Constant>,
    first: Constant,
    between: Constant,
}

impl Json {
    /// `first` begins a file that has rows, `between` divides two rows.
    pub fn new(keys: &[String], first: Vec<u8>, between: Vec<u8>) -> Self {
        let befores = keys.iter().enumerate().map(|(place, key)| before(place, key)).collect();
        Self { befores, first: Constant::new(&first), between: Constant::new(&between) }
    }
}

fn before(place: usize, key: &str) -> Constant {
    let mut text = vec![if place == 0 { b'{' } else { b',' }];
    write_string(key, &mut text);
    text.push(b':');
    Constant::new(&text)
}

/// A part has no end: the next one divides its last row from what follows.
impl Format for Json {
    fn classes(&self) -> &Classes {
        &PLAIN
    }

    fn begin(&self, part: &mut Part) -> Option<()> {
        part.write_constant(if part.place == 0 { &self.first } else { &self.between });
        Some(())
    }

    #[inline(always)]
    fn cell(&self, place: usize, cell: &Cell, part: &mut Part) -> Option<()> {
        part.write_constant(&self.befores[place]);
        write_cell(cell, part)
    }

    #[inline(always)]
    fn text(&self, place: usize, text: ShortText, part: &mut Part) -> Option<()> {
        part.write_constant(&self.befores[place]);
        part.data.push(b'"');
        part.write_short(text);
        part.data.push(b'"');
        Some(())
    }

    fn end(&self, part: &mut Part) {
        part.data.push(b'}');
    }
}

#[inline(always)]
fn write_cell(cell: &Cell, part: &mut Part) -> Option<()> {
    let out = &mut part.data;
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Bool(true) => out.extend_from_slice(b"true"),
        Cell::Bool(false) => out.extend_from_slice(b"false"),
        Cell::Integer(text) | Cell::Decimal(text) => part.write(text),
        Cell::Double(number) => orjson_double(*number, out),
        Cell::Text(text) => match text.text {
            // As it came, there is nothing in it to be escaped.
            Cow::Borrowed(text) => {
                out.push(b'"');
                part.write(text);
                part.data.push(b'"');
            }
            Cow::Owned(ref text) => write_string(text, out),
        },
        Cell::Nested(json) => orjson(json, out)?,
    }
    Some(())
}
