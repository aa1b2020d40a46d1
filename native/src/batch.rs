//! A record of the records topic: its fields, and its rows in column order, a cell at a time.
//!
//! Invariant: a batch comes out of here only if `schemas/records.py` and
//! `consumer/core/batch_sequence.py` take it as it is, whole.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::cells::Cell;
use crate::classes::{Classes, PLAIN};
use crate::scan::{Expected, Scanner, ShortText};
use crate::types::{ColumnType, fits};

/// Larger records are read in pieces, in Python: `LARGE_BYTES`.
const MOST_BYTES: usize = 1024 * 1024;
/// `MOST_BATCH_CELLS`.
const MOST_CELLS: usize = 1_000_000;
/// Digits of a count that surely fits into 64 bits.
const MOST_COUNT_DIGITS: usize = 18;

/// What a format does with rows.
pub trait Rows {
    /// A row begins; it has a cell for each column. `None`, here and below: Python is to do it.
    fn begin(&mut self) -> Option<()> {
        Some(())
    }

    /// The row's next cell, that of the column at `place`.
    fn cell(&mut self, place: usize, cell: &Cell) -> Option<()>;

    /// The same for one that is a short string, as most are.
    #[inline(always)]
    fn text(&mut self, place: usize, text: ShortText) -> Option<()> {
        self.cell(place, &text.into())
    }

    /// The row has ended.
    fn end(&mut self) -> Option<()> {
        Some(())
    }
}

/// The columns of an export.
pub struct Table {
    /// `"key":` as it mostly stands in a row; `None` for a key that needs escapes.
    usual: Vec<Option<Expected>>,
    places: HashMap<String, usize>,
    /// Of each column; `None` takes any cell.
    types: Vec<Option<ColumnType>>,
}

impl Table {
    /// Types are `None` or the contract's words; there may be fewer of them than keys.
    pub fn new(keys: Vec<String>, types: &[Option<String>]) -> Option<Self> {
        let mut known = vec![None; keys.len()];
        for (known, word) in known.iter_mut().zip(types) {
            if let Some(word) = word {
                *known = Some(ColumnType::named(word)?);
            }
        }
        Some(Self {
            usual: keys.iter().map(|key| usual_form(key)).collect(),
            types: known,
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
///
/// `classes` say what the bytes of strings mean to the rows' format.
pub fn read<'a>(
    value: &'a [u8],
    table: &Table,
    classes: &Classes,
    rows: &mut impl Rows,
) -> Option<Batch<'a>> {
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
                count = Some(RowReader::new(table, classes).read(&mut scanner, rows)?)
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

/// One row at a time. A cell is handed on as soon as it is read, where its turn has come.
struct RowReader<'t, 'a> {
    table: &'t Table,
    classes: &'t Classes,
    /// By column, the cells of an object whose turn has not come.
    waiting: Vec<Option<Cell<'a>>>,
    count: usize,
}

impl<'t, 'a> RowReader<'t, 'a> {
    fn new(table: &'t Table, classes: &'t Classes) -> Self {
        Self { table, classes, waiting: vec![None; table.width()], count: 0 }
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
            rows.begin()?;
            match scanner.peek()? {
                b'[' => self.array(scanner, rows)?,
                b'{' => self.object(scanner, rows)?,
                _ => return None,
            }
            rows.end()?;
            if !scanner.goes_on(b']')? {
                return Some(self.count);
            }
        }
    }

    #[inline(never)] // within `read`, one of the two would take a tenth longer
    fn array(&mut self, scanner: &mut Scanner<'a>, rows: &mut impl Rows) -> Option<()> {
        let mut here = *scanner; // in a register: see `Scanner::apart`
        here.take(b'[')?;
        let width = self.table.width();
        for place in 0..width {
            self.next_cell(&mut here, place, rows)?;
            if !here.goes_on(b']')? {
                *scanner = here;
                return (place + 1 == width).then_some(());
            }
        }
        None // more cells than columns
    }

    #[inline(never)]
    fn object(&mut self, scanner: &mut Scanner<'a>, rows: &mut impl Rows) -> Option<()> {
        let mut here = *scanner;
        here.take(b'{')?;
        // Members mostly come in the order of columns.
        for place in 0..self.table.width() {
            here.peek()?;
            if !self.is_usual(&mut here, place) {
                *scanner = here;
                return self.rest_of_object(scanner, place, rows);
            }
            self.next_cell(&mut here, place, rows)?;
            if !here.goes_on(b'}')? {
                *scanner = here;
                return self.hand_on_waiting(place + 1, rows);
            }
        }
        None // more members than columns
    }

    /// Members in any order, after those of so many columns.
    #[inline(never)]
    fn rest_of_object(
        &mut self,
        scanner: &mut Scanner<'a>,
        done: usize,
        rows: &mut impl Rows,
    ) -> Option<()> {
        if done == 0 && scanner.peek()? == b'}' {
            scanner.take(b'}')?;
            return self.hand_on_waiting(0, rows);
        }
        let mut next = done;
        loop {
            let place = self.place(scanner, next)?;
            if place < done || self.waiting[place].is_some() {
                return None; // twice: the last one counts
            }
            self.waiting[place] = Some(scanner.value(self.classes)?);
            next = place + 1;
            if !scanner.goes_on(b'}')? {
                return self.hand_on_waiting(done, rows);
            }
        }
    }

    /// The column of the next member; mostly that is the next column.
    fn place(&self, scanner: &mut Scanner<'a>, next: usize) -> Option<usize> {
        scanner.peek()?;
        if self.is_usual(scanner, next) {
            return Some(next);
        }
        self.table.places.get(&*scanner.key()?).copied()
    }

    /// Step over a column's key and its colon if they come next, as they mostly stand.
    #[inline]
    fn is_usual(&self, scanner: &mut Scanner<'a>, place: usize) -> bool {
        let usual = self.table.usual.get(place).and_then(Option::as_ref);
        usual.is_some_and(|usual| scanner.skip_expected(usual))
    }

    /// The cells of the columns that are left; null is that of a missing member.
    #[inline(never)]
    fn hand_on_waiting(&mut self, done: usize, rows: &mut impl Rows) -> Option<()> {
        for place in done..self.table.width() {
            let cell = self.waiting[place].take().unwrap_or(Cell::Null);
            self.hand_on(place, &cell, rows)?;
        }
        Some(())
    }

    /// Read a cell whose turn has come.
    #[inline(always)]
    fn next_cell(
        &self,
        scanner: &mut Scanner<'a>,
        place: usize,
        rows: &mut impl Rows,
    ) -> Option<()> {
        if self.table.types[place].is_none()
            && let Some(text) = scanner.short_text(self.classes)
        {
            return rows.text(place, text);
        }
        scanner.value_to(
            self.classes,
            #[inline(always)]
            |cell| self.hand_on(place, &cell, rows),
        )
    }

    #[inline(always)]
    fn hand_on(&self, place: usize, cell: &Cell, rows: &mut impl Rows) -> Option<()> {
        if let Some(column_type) = self.table.types[place] {
            fits(cell, column_type).then_some(())?;
        }
        rows.cell(place, cell)
    }
}
