//! Cells of any JSON values: `consumer/formats/xlsx/cells.py` in Rust. A cell is what comes after
//! `<c`.
//!
//! Invariant: a number is one where a double holds it exactly, else its text.

use super::XlsxOptions;
use super::text::{needs_escapes, write_escaped};
use crate::cells::{Cell, compact_json, orjson_double};

/// Up to so many digits the general format shows an integer whole.
const MOST_GENERAL_DIGITS: usize = 11;
/// Up to so many any format does.
const MOST_SHOWN_DIGITS: usize = 15;
/// A double holds every integer up to here.
const ALL_EXACT: u64 = 1 << 53;

pub fn write(options: &XlsxOptions, cell: &Cell, out: &mut Vec<u8>) -> Option<()> {
    match cell {
        Cell::Null => out.extend_from_slice(b"/>"),
        Cell::Bool(true) => out.extend_from_slice(b" t=\"b\"><v>1</v></c>"),
        Cell::Bool(false) => out.extend_from_slice(b" t=\"b\"><v>0</v></c>"),
        Cell::Integer(digits) => integer(options, digits, out)?,
        Cell::Decimal(text) => number(0, text.as_bytes(), out),
        Cell::Double(value) => double(0, *value, out),
        Cell::Text(found) => text(options, &found.text, needs_escapes(found.classes), out)?,
        Cell::Nested(json) => {
            let mut compact = Vec::with_capacity(json.len());
            compact_json(json, &mut compact)?;
            text(options, &String::from_utf8(compact).ok()?, true, out)?;
        }
    }
    Some(())
}

/// A number that is written as it is; 0 is the general style.
pub fn number(style: usize, text: &[u8], out: &mut Vec<u8>) {
    write_style(style, out);
    out.extend_from_slice(b"><v>");
    out.extend_from_slice(text);
    out.extend_from_slice(b"</v></c>");
}

pub fn double(style: usize, value: f64, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    orjson_double(value, &mut text);
    number(style, &text, out);
}

/// An integer of any size, its digits maybe after a `-`.
pub fn integer(options: &XlsxOptions, digits: &str, out: &mut Vec<u8>) -> Option<()> {
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    if unsigned.len() <= MOST_GENERAL_DIGITS {
        number(0, digits.as_bytes(), out);
    } else if unsigned.len() <= MOST_SHOWN_DIGITS {
        number(options.styles.whole, digits.as_bytes(), out);
    } else if unsigned.parse().is_ok_and(|value: u64| value <= ALL_EXACT) {
        number(0, digits.as_bytes(), out);
    } else {
        let value: f64 = digits.parse().ok()?;
        if format!("{value:.0}") == digits {
            double(0, value, out);
        } else {
            text(options, digits, false, out)?;
        }
    }
    Some(())
}

/// `None` where it has more characters than a cell may have.
pub fn text(options: &XlsxOptions, text: &str, is_suspect: bool, out: &mut Vec<u8>) -> Option<()> {
    let most = options.most_cell_characters;
    if text.len() > most && text.encode_utf16().count() > most {
        return None;
    }
    let bytes = text.as_bytes();
    if bytes.first().is_some_and(|byte| options.triggers.contains(byte)) {
        write_style(options.styles.quoted, out);
    }
    // What XML takes for space, once CR is written as a number.
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t' | b'\n'));
    let is_spaced = is_space(bytes.first()) || is_space(bytes.last());
    out.extend_from_slice(b" t=\"inlineStr\"><is><t");
    out.extend_from_slice(if is_spaced { b" xml:space=\"preserve\">" } else { b">" });
    if is_suspect {
        write_escaped(bytes, out);
    } else {
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(b"</t></is></c>");
    Some(())
}

fn write_style(style: usize, out: &mut Vec<u8>) {
    if style != 0 {
        out.extend_from_slice(format!(" s=\"{style}\"").as_bytes());
    }
}
