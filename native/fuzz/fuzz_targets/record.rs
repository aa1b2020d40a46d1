//! Any bytes as a JSON text, as rows and as a record. Invariant: the reader never panics or hangs,
//! takes what is JSON, if it is nothing unusual, and reads of it what serde_json reads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sluice_native::batch::{Rows, Table, read};
use sluice_native::cells::{Cell, compact_json, repr};
use sluice_native::classes::PLAIN;
use sluice_native::scan::Scanner;

const KEYS: [&str; 2] = ["a", "\"b"];
/// Python reads what is deeper, and longer integers.
const MOST_DEPTH: usize = 64;
const MOST_DIGITS: usize = 4_300;
/// An object that has such a member is a number to serde_json.
const PRIVATE: &str = "$serde_json";

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(read(bytes, &table(), &PLAIN, &mut Compared::with(&[])).is_none());
        return;
    };
    if !text.contains(PRIVATE) {
        check_value(text);
        check_record(text);
        check_record(&format!(r#"{{"export_id":"a","seq":0,"rows":[{text}]}}"#));
    }
});

fn table() -> Table {
    Table::new(KEYS.map(String::from).to_vec(), &[]).expect("there are no types")
}

fn check_value(text: &str) {
    let mut scanner = Scanner::new(text);
    let cell = scanner.value(&PLAIN).filter(|_| scanner.end().is_some());
    match (cell, serde_json::from_str::<Value>(text)) {
        (Some(cell), Ok(value)) => assert!(is_same(&cell, &value), "{cell:?} of {value}"),
        (Some(cell), Err(error)) => panic!("{cell:?} of what is no JSON: {error}"),
        (None, Ok(value)) => {
            // What a second member of its name hides from serde_json may be unusual.
            let hides = members_of(&value) < members_in(text);
            assert!(hides || !is_usual(&value, 0), "{value} is not taken");
        }
        (None, Err(_)) => {}
    }
}

fn members_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members_of).sum(),
        Value::Object(members) => members.len() + members.values().map(members_of).sum::<usize>(),
        _ => 0,
    }
}

/// How many members there are in a JSON text: each has a colon that stands in no string.
fn members_in(text: &str) -> usize {
    let (mut count, mut is_string, mut is_escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            b':' if !is_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Whether the reader has to take a value.
fn is_usual(value: &Value, depth: usize) -> bool {
    match value {
        Value::Number(number) => {
            number.to_string().len() <= MOST_DIGITS && double(number).is_finite()
        }
        Value::Array(items) => {
            depth < MOST_DEPTH && items.iter().all(|item| is_usual(item, depth + 1))
        }
        Value::Object(members) => {
            depth < MOST_DEPTH && members.values().all(|member| is_usual(member, depth + 1))
        }
        _ => true,
    }
}

fn is_same(cell: &Cell, value: &Value) -> bool {
    match (cell, value) {
        (Cell::Null, Value::Null) => true,
        (Cell::Bool(one), Value::Bool(other)) => one == other,
        (Cell::Text(text), Value::String(other)) => text.text == *other,
        (Cell::Integer(digits), Value::Number(number)) => {
            *digits == if number.to_string() == "-0" { "0" } else { number.as_str() }
        }
        (Cell::Decimal(text), Value::Number(number)) => {
            let mut made = Vec::new();
            repr(double(number), &mut made);
            text.as_bytes() == made
        }
        (Cell::Double(one), Value::Number(number)) => one.to_bits() == double(number).to_bits(),
        (Cell::Nested(json), Value::Array(_) | Value::Object(_)) => {
            let mut compact = Vec::new();
            let is_written = compact_json(json, &mut compact).is_some();
            serde_json::from_str::<Value>(json).is_ok_and(|again| again == *value)
                && (!is_written
                    || serde_json::from_slice(&compact).is_ok_and(|made| are_one(&made, value)))
        }
        _ => false,
    }
}

fn double(number: &serde_json::Number) -> f64 {
    number.as_str().parse().expect("a number")
}

/// Whether two values are one, however their numbers are written.
fn are_one(made: &Value, value: &Value) -> bool {
    match (made, value) {
        (Value::Number(made), Value::Number(number)) => match number.as_str() {
            "-0" => made.as_str() == "0",
            text => made.as_str() == text || double(made).to_bits() == double(number).to_bits(),
        },
        (Value::Array(made), Value::Array(items)) => {
            made.len() == items.len()
                && made.iter().zip(items).all(|(one, other)| are_one(one, other))
        }
        (Value::Object(made), Value::Object(members)) => {
            let mut pairs = made.iter().zip(members);
            made.len() == members.len()
                && pairs
                    .all(|((key, one), (other_key, other))| key == other_key && are_one(one, other))
        }
        _ => made == value,
    }
}

/// Holds the rows that come against those of serde_json.
struct Compared<'v> {
    rows: std::slice::Iter<'v, Value>,
    row: Option<&'v Value>,
    /// Cells of this row that came.
    cells: usize,
    are_same: bool,
}

impl<'v> Compared<'v> {
    fn with(rows: &'v [Value]) -> Self {
        Self { rows: rows.iter(), row: None, cells: 0, are_same: true }
    }
}

impl Rows for Compared<'_> {
    fn begin(&mut self) -> Option<()> {
        (self.row, self.cells) = (self.rows.next(), 0);
        Some(())
    }

    fn cell(&mut self, place: usize, cell: &Cell) -> Option<()> {
        self.are_same &= place == self.cells
            && match self.row {
                Some(Value::Array(items)) => items.get(place).is_some_and(|it| is_same(cell, it)),
                Some(Value::Object(items)) => {
                    is_same(cell, items.get(KEYS[place]).unwrap_or(&Value::Null))
                }
                _ => false,
            };
        self.cells += 1;
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        self.are_same &= self.cells == KEYS.len();
        Some(())
    }
}

fn check_record(record: &str) {
    let parsed = serde_json::from_str::<Value>(record).unwrap_or_default();
    let rows = parsed.get("rows").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut compared = Compared::with(rows);
    // Only of a whole batch: where a field is there twice, say, rows were handed on before it shows.
    let Some(batch) = read(record.as_bytes(), &table(), &PLAIN, &mut compared) else { return };
    assert!(compared.are_same && compared.rows.next().is_none(), "the rows of {parsed}");
    assert_eq!(batch.rows, rows.len());
    assert_eq!(parsed["export_id"], batch.export_id);
    assert_eq!(parsed["seq"].as_u64(), Some(batch.seq));
    assert_eq!(parsed.get("last").is_some_and(|last| *last == true), batch.last);
    assert_eq!(parsed.get("total_rows").and_then(Value::as_u64), batch.total_rows);
}
