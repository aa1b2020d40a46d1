//! A cell as it was scanned, and the texts that formats share: `consumer/formats/cells.py` in Rust.
//!
//! Invariant: one value has one text, Python's.

use crate::classes::PLAIN;
use crate::scan::{Scanner, Text};

/// Any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    /// All digits, however many; `-0` is `0`.
    Integer(&'a str),
    /// A number that isn't written as an integer, in the form of Python's `repr`.
    Decimal(&'a str),
    /// Likewise, but its text is still to be made: see `repr`.
    Double(f64),
    Text(Text<'a>),
    /// An array or object: JSON as it came, known to be right. Keys may be there twice.
    Nested(&'a str),
}

/// More than zmij writes of any double.
const MOST_DOUBLE_CHARACTERS: usize = 32;
/// An object of more members is left to Python: each is compared with those before it.
const MOST_MEMBERS: usize = 32;

/// Python's `repr` of a finite double.
pub fn repr(number: f64, out: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(number);
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    // As it mostly is: without an exponent, where `repr` has none either.
    let whole = unsigned.bytes().position(|byte| !byte.is_ascii_digit());
    let is_plain = whole.is_some_and(|whole| (1..=16).contains(&whole)) && !unsigned.contains('e');
    if is_plain && !unsigned.starts_with("0.0000") {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    if unsigned.len() < text.len() {
        out.push(b'-');
    }
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut buffer = [0; MOST_DOUBLE_CHARACTERS];
    let (before, after) = buffer.split_at_mut(whole.len());
    before.copy_from_slice(whole.as_bytes());
    after[..fraction.len()].copy_from_slice(fraction.as_bytes());
    let all = &buffer[..whole.len() + fraction.len()];
    let zeros = all.iter().take_while(|&&digit| digit == b'0').count();
    let last = all.iter().rposition(|&digit| digit != b'0').map_or(zeros, |place| place + 1);
    // 0.DIGITS times ten to the power of `point`.
    let point = whole.len() as i32 + exponent - zeros as i32;
    write_digits(&all[zeros..last], point, out);
}

fn write_digits(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let count = digits.len() as i32;
    match point {
        _ if count == 0 => out.extend(b"0.0"),
        -3..=0 => {
            out.extend(b"0.");
            out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
            out.extend(digits);
        }
        1..=16 if count > point => {
            out.extend(&digits[..point as usize]);
            out.push(b'.');
            out.extend(&digits[point as usize..]);
        }
        1..=16 => {
            out.extend(digits);
            out.extend(std::iter::repeat_n(b'0', (point - count) as usize));
            out.extend(b".0");
        }
        _ => {
            out.push(digits[0]);
            if count > 1 {
                out.push(b'.');
                out.extend(&digits[1..]);
            }
            let exponent = point - 1;
            out.extend(if exponent < 0 { b"e-" } else { b"e+" });
            let exponent = exponent.unsigned_abs();
            // Two digits at least, and of a double three at most.
            let digits = [exponent / 100, exponent / 10 % 10, exponent % 10];
            let shown = &digits[usize::from(exponent < 100)..];
            out.extend(shown.iter().map(|&digit| b'0' + digit as u8));
        }
    }
}

/// A finite double as orjson writes it: where `repr` has `1e-05` and `1e-07`, `0.00001` and `1e-7`.
pub fn orjson_double(number: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
}

/// How a double is written.
type WriteDouble = fn(f64, &mut Vec<u8>);

/// Compact JSON of an array or object, as Python's `json` writes it.
pub fn compact_json(nested: &str, out: &mut Vec<u8>) -> Option<()> {
    write_value(&mut Scanner::new(nested), repr, out)
}

/// Compact JSON of an array or object, as orjson writes it.
pub fn orjson(nested: &str, out: &mut Vec<u8>) -> Option<()> {
    write_value(&mut Scanner::new(nested), orjson_double, out)
}

fn write_value(scanner: &mut Scanner, double: WriteDouble, out: &mut Vec<u8>) -> Option<()> {
    match scanner.peek()? {
        open @ (b'[' | b'{') => write_container(scanner, open, double, out),
        _ => {
            match scanner.value(&PLAIN)? {
                Cell::Null => out.extend(b"null"),
                Cell::Bool(is_true) => out.extend(if is_true { "true" } else { "false" }.bytes()),
                Cell::Integer(text) | Cell::Decimal(text) => out.extend(text.bytes()),
                Cell::Double(number) => double(number, out),
                Cell::Text(text) => write_string(&text.text, out),
                Cell::Nested(_) => return None,
            }
            Some(())
        }
    }
}

fn write_container(
    scanner: &mut Scanner,
    open: u8,
    double: WriteDouble,
    out: &mut Vec<u8>,
) -> Option<()> {
    let close = if open == b'[' { b']' } else { b'}' };
    let mut keys = Vec::new();
    scanner.take(open)?;
    out.push(open);
    let mut goes_on = scanner.peek()? != close;
    if !goes_on {
        scanner.take(close)?;
    }
    while goes_on {
        if open == b'{' {
            let key = scanner.key()?;
            // Of two members with one name the last counts, in the place of the first.
            if keys.contains(&key) || keys.len() == MOST_MEMBERS {
                return None;
            }
            write_string(&key, out);
            out.push(b':');
            keys.push(key);
        }
        write_value(scanner, double, out)?;
        goes_on = scanner.goes_on(close)?;
        if goes_on {
            out.push(b',');
        }
    }
    out.push(close);
    Some(())
}

/// A JSON string, characters beyond ASCII as they are.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend(b"\\\""),
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x8 => out.extend(b"\\b"),
            0xc => out.extend(b"\\f"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
