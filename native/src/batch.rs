//! A record of the records topic: its fields, and its rows in column order, one at a time.
//!
//! Invariant: a batch comes out of here only if `schemas/records.py` and
//! `consumer/core/batch_sequence.py` take it as it is, whole.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::cells::Cell;
use crate::classes::{Classes, PLAIN};
use crate::scan::{Expected, Scanner};
use crate::types::{ColumnType, fits};

/// Larger records are read in pieces, in Python: `LARGE_BYTES`.
const MOST_BYTES: usize = 1024 * 1024;
/// `MOST_BATCH_CELLS`.
const MOST_CELLS: usize = 1_000_000;
/// Digits of a count that surely fits into 64 bits.
const MOST_COUNT_DIGITS: usize = 18;

/// What a format does with rows.
pub trait Rows {
    /// What the bytes of strings mean to it.
    fn classes(&self) -> &Classes;

    /// Encode one row, which has a cell for each column; `None`: Python is to do it.
    fn row(&mut self, cells: &[Cell]) -> Option<()>;
}

/// The columns of an export.
pub struct Table {
    /// `"key":` as it mostly stands in a row; `None` for a key that needs escapes.
    usual: Vec<Option<Expected>>,
    places: HashMap<String, usize>,
    types: Vec<(usize, ColumnType)>,
}

impl Table {
    /// Types are `None` or the contract's words; there may be fewer of them than keys.
    pub fn new(keys: Vec<String>, types: &[Option<String>]) -> Option<Self> {
        let typed = types.iter().enumerate();
        let types = typed.filter_map(|(place, word)| Some((place, word.as_ref()?)));
        Some(Self {
            usual: keys.iter().map(|key| usual_form(key)).collect(),
            types: types
                .map(|(place, word)| Some((place, ColumnType::named(word)?)))
                .collect::<Option<_>>()?,
            places: keys.into_iter().enumerate().map(|(place, key)| (key, place)).collect(),
        })
    }

    pub fn width(&self) -> usize {
        self.usual.len()
    }
}

fn usual_form(key: &str) -> Option<Expected> {
    // Compared as bytes: of a key that needs escapes this would not be JSON.
    let is_plain = key.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    is_plain.then(|| Expected::new(format!("\"{key}\":").into_bytes()))
}

/// What stands beside the rows.
#[derive(Debug, PartialEq)]
pub struct Batch<'a> {
    pub export_id: &'a str,
    pub seq: u64,
    pub last: bool,
    pub total_rows: Option<u64>,
    pub rows: usize,
}

/// Read a record and hand its rows on.
pub fn read<'a>(value: &'a [u8], table: &Table, rows: &mut impl Rows) -> Option<Batch<'a>> {
    if value.len() > MOST_BYTES {
        return None;
    }
    let mut scanner = Scanner::new(simdutf8::basic::from_utf8(value).ok()?);
    let (mut export_id, mut seq, mut last, mut total_rows, mut count) =
        (None, None, None, None, None);
    scanner.take(b'{')?;
    loop {
        match &*scanner.key()? {
            "export_id" if export_id.is_none() => export_id = Some(id(&mut scanner)?),
            "seq" if seq.is_none() => seq = Some(natural(&mut scanner)?),
            "last" if last.is_none() => last = Some(flag(&mut scanner)?),
            "total_rows" if total_rows.is_none() => total_rows = Some(natural(&mut scanner)?),
            "rows" if count.is_none() => {
                count = Some(RowReader::new(table).read(&mut scanner, rows)?)
            }
            _ => return None,
        }
        if !scanner.goes_on(b'}')? {
            break;
        }
    }
    scanner.end()?;
    let last = last.unwrap_or(false);
    if total_rows.is_some() && !last {
        return None;
    }
    Some(Batch { export_id: export_id?, seq: seq?, last, total_rows, rows: count? })
}

fn id<'a>(scanner: &mut Scanner<'a>) -> Option<&'a str> {
    let Cell::Text(text) = scanner.value(&PLAIN)? else { return None };
    let Cow::Borrowed(id) = text.text else { return None };
    let bytes = id.as_bytes();
    let is_id = (1..=128).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_id.then_some(id)
}

fn natural(scanner: &mut Scanner) -> Option<u64> {
    match scanner.value(&PLAIN)? {
        Cell::Integer(digits) if digits.len() <= MOST_COUNT_DIGITS => digits.parse().ok(),
        _ => None,
    }
}

fn flag(scanner: &mut Scanner) -> Option<bool> {
    match scanner.value(&PLAIN)? {
        Cell::Bool(is_set) => Some(is_set),
        _ => None,
    }
}

/// One row at a time; what it holds is used for each again.
struct RowReader<'t, 'a> {
    table: &'t Table,
    cells: Vec<Cell<'a>>,
    /// The number of the last row in which a column was there, from 1.
    seen: Vec<usize>,
    count: usize,
}

impl<'t, 'a> RowReader<'t, 'a> {
    fn new(table: &'t Table) -> Self {
        let width = table.width();
        Self { table, cells: vec![Cell::Null; width], seen: vec![0; width], count: 0 }
    }

    /// Read the array of rows; returns how many there are.
    fn read(mut self, scanner: &mut Scanner<'a>, rows: &mut impl Rows) -> Option<usize> {
        scanner.take(b'[')?;
        if scanner.peek()? == b']' {
            // Nothing to encode: what it means for the file's beginning is Python's business.
            return None;
        }
        loop {
            self.count += 1;
            if self.count * self.table.width() > MOST_CELLS {
                return None;
            }
            match scanner.peek()? {
                b'[' => self.array(scanner, rows.classes())?,
                b'{' => self.object(scanner, rows.classes())?,
                _ => return None,
            }
            self.check_types()?;
            rows.row(&self.cells)?;
            if !scanner.goes_on(b']')? {
                return Some(self.count);
            }
        }
    }

    fn array(&mut self, scanner: &mut Scanner<'a>, classes: &Classes) -> Option<()> {
        scanner.take(b'[')?;
        let final_place = self.cells.len() - 1;
        for (place, cell) in self.cells.iter_mut().enumerate() {
            scanner.value_to(cell, classes)?;
            if scanner.goes_on(b']')? != (place < final_place) {
                return None;
            }
        }
        Some(())
    }

    fn object(&mut self, scanner: &mut Scanner<'a>, classes: &Classes) -> Option<()> {
        scanner.take(b'{')?;
        let (mut next, mut found) = (0, 0);
        if scanner.peek()? == b'}' {
            scanner.take(b'}')?;
        } else {
            loop {
                let place = self.place(scanner, next)?;
                if self.seen[place] == self.count {
                    return None; // twice: the last one counts
                }
                self.seen[place] = self.count;
                scanner.value_to(&mut self.cells[place], classes)?;
                found += 1;
                next = place + 1;
                if !scanner.goes_on(b'}')? {
                    break;
                }
            }
        }
        if found < self.cells.len() {
            for (cell, &seen) in self.cells.iter_mut().zip(&self.seen) {
                if seen != self.count {
                    *cell = Cell::Null;
                }
            }
        }
        Some(())
    }

    /// The column of the next member; mostly that is the next column.
    fn place(&self, scanner: &mut Scanner<'a>, next: usize) -> Option<usize> {
        scanner.peek()?;
        if let Some(Some(usual)) = self.table.usual.get(next)
            && scanner.skip_expected(usual)
        {
            return Some(next);
        }
        self.table.places.get(&*scanner.key()?).copied()
    }

    fn check_types(&self) -> Option<()> {
        let mut typed = self.table.types.iter();
        typed.all(|&(place, column_type)| fits(&self.cells[place], column_type)).then_some(())
    }
}
