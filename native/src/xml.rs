//! XML: a row a line, an element for each cell, as `consumer/formats/xml.py` makes them.
//!
//! Invariant: what XML can't hold is replaced and counted, each character once.

use crate::batch::{Batch, Rows, Table, read};
use crate::cells::{Cell, compact_json, repr};
use crate::scan::{Classes, plain_classes};

/// The byte may call for a reference or a replacement; 0xEF begins U+FFFE and U+FFFF, and others.
const SUSPECT: u8 = 1;
const REPLACEMENT: &str = "\u{fffd}";

/// What Python hands over, texts ready to be written.
pub struct XmlOptions {
    /// What begins a file, up to the root's first tag.
    pub head: Vec<u8>,
    /// What begins and ends a row.
    pub row: [Vec<u8>; 2],
    /// Of each column what stands before its text and after it, and what a null is.
    pub elements: Vec<[Vec<u8>; 3]>,
}

/// How one export is written.
pub struct Xml {
    options: XmlOptions,
    classes: Classes,
}

impl Xml {
    pub fn new(options: XmlOptions) -> Self {
        let mut classes = plain_classes();
        for byte in (0..0x20).filter(|&byte| byte != b'\t').chain(*b"&<>\xef") {
            classes[usize::from(byte)] |= SUSPECT;
        }
        Self { options, classes }
    }

    /// The lines of a record's rows, after the file's beginning if it has not `begun`, and how
    /// many characters were replaced.
    ///
    /// `None` as well where they are more than `most_bytes`.
    pub fn encode<'a>(
        &self,
        value: &'a [u8],
        table: &Table,
        begun: bool,
        most_bytes: usize,
    ) -> Option<(Batch<'a>, Vec<u8>, usize)> {
        let out = Vec::with_capacity(value.len().min(most_bytes));
        let mut lines = Lines { xml: self, out, replaced: 0, most_bytes };
        if !begun {
            lines.out.extend_from_slice(&self.options.head);
        }
        let batch = read(value, table, &mut lines)?;
        Some((batch, lines.out, lines.replaced))
    }
}

struct Lines<'x> {
    xml: &'x Xml,
    out: Vec<u8>,
    replaced: usize,
    most_bytes: usize,
}

impl Rows for Lines<'_> {
    fn classes(&self) -> &Classes {
        &self.xml.classes
    }

    fn row(&mut self, cells: &[Cell]) -> Option<()> {
        let options = &self.xml.options;
        self.out.extend_from_slice(&options.row[0]);
        for ([start, end, null], cell) in options.elements.iter().zip(cells) {
            if *cell == Cell::Null {
                self.out.extend_from_slice(null);
                continue;
            }
            self.out.extend_from_slice(start);
            self.content(cell)?;
            self.out.extend_from_slice(end);
        }
        self.out.extend_from_slice(&options.row[1]);
        (self.out.len() <= self.most_bytes).then_some(())
    }
}

impl Lines<'_> {
    fn content(&mut self, cell: &Cell) -> Option<()> {
        let out = &mut self.out;
        match cell {
            Cell::Null => {}
            Cell::Bool(true) => out.extend_from_slice(b"true"),
            Cell::Bool(false) => out.extend_from_slice(b"false"),
            Cell::Integer(text) | Cell::Decimal(text) => out.extend_from_slice(text.as_bytes()),
            Cell::Double(number) => repr(*number, out),
            Cell::Text(text) if text.classes & SUSPECT == 0 => {
                out.extend_from_slice(text.text.as_bytes());
            }
            Cell::Text(text) => self.replaced += escape(&text.text, out),
            Cell::Nested(json) => {
                let mut text = Vec::with_capacity(json.len());
                compact_json(json, &mut text)?;
                self.replaced += escape(&String::from_utf8(text).ok()?, out);
            }
        }
        Some(())
    }
}

/// Returns how many characters were replaced.
fn escape(text: &str, out: &mut Vec<u8>) -> usize {
    let mut replaced = 0;
    let mut bytes = [0; 4];
    for character in text.chars() {
        let written = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            // For the sake of "]]>".
            '>' => "&gt;",
            '\r' => "&#13;",
            '\n' => "&#10;",
            '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                replaced += 1;
                REPLACEMENT
            }
            _ => character.encode_utf8(&mut bytes),
        };
        out.extend_from_slice(written.as_bytes());
    }
    replaced
}
