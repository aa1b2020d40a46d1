//! XML: a row a line, an element for each cell, as `consumer/formats/xml.py` makes them.
//!
//! Invariant: what XML can't hold is replaced and counted, each character once.

use crate::cells::{Cell, compact_json, repr};
use crate::classes::Classes;
use crate::format::{Constant, Format, Part};

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
    head: Vec<u8>,
    row: [Constant; 2],
    elements: Vec<[Constant; 3]>,
    classes: Classes,
}

impl Xml {
    pub fn new(options: XmlOptions) -> Self {
        let mut classes = Classes::plain();
        for byte in (0..0x20).filter(|&byte| byte != b'\t').chain(*b"&<>\xef") {
            classes.mark(byte, SUSPECT);
        }
        let constants = |texts: [Vec<u8>; 3]| texts.map(|text| Constant::new(&text));
        Self {
            head: options.head,
            row: options.row.map(|text| Constant::new(&text)),
            elements: options.elements.into_iter().map(constants).collect(),
            classes,
        }
    }
}

impl Format for Xml {
    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn begin(&self, part: &mut Part) -> Option<()> {
        if part.place == 0 {
            part.data.extend_from_slice(&self.head);
        }
        part.write_constant(&self.row[0]);
        Some(())
    }

    #[inline(always)]
    fn cell(&self, place: usize, cell: &Cell, part: &mut Part) -> Option<()> {
        let [start, end, null] = &self.elements[place];
        if matches!(cell, Cell::Null) {
            part.write_constant(null);
            return Some(());
        }
        part.write_constant(start);
        content(cell, part)?;
        part.write_constant(end);
        Some(())
    }

    fn end(&self, part: &mut Part) {
        part.write_constant(&self.row[1]);
    }
}

#[inline(always)]
fn content(cell: &Cell, part: &mut Part) -> Option<()> {
    let out = &mut part.data;
    match cell {
        Cell::Null => {}
        Cell::Bool(true) => out.extend_from_slice(b"true"),
        Cell::Bool(false) => out.extend_from_slice(b"false"),
        Cell::Integer(text) | Cell::Decimal(text) => part.write(text),
        Cell::Double(number) => repr(*number, out),
        Cell::Text(text) if text.classes & SUSPECT == 0 => part.write(&text.text),
        Cell::Text(text) => part.replaced += escape(&text.text, out),
        Cell::Nested(json) => {
            let mut text = Vec::with_capacity(json.len());
            compact_json(json, &mut text)?;
            part.replaced += escape(&String::from_utf8(text).ok()?, out);
        }
    }
    Some(())
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
