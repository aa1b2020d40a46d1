//! Whether a cell is of its column's type: `schemas/column_types.py` in Rust. Null is of every type.

use crate::cells::Cell;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColumnType {
    String,
    Integer,
    Number,
    Decimal,
    Boolean,
    Date,
    Timestamp,
}

impl ColumnType {
    /// By the contract's word.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "decimal" => Self::Decimal,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            _ => return None,
        })
    }
}

pub fn fits(cell: &Cell, column_type: ColumnType) -> bool {
    use ColumnType as Type;
    match cell {
        Cell::Null => true,
        Cell::Bool(_) => column_type == Type::Boolean,
        Cell::Integer(_) => {
            matches!(column_type, Type::Integer | Type::Number | Type::Decimal)
        }
        Cell::Decimal(_) | Cell::Double(_) => matches!(column_type, Type::Number | Type::Decimal),
        Cell::Text(text) => match column_type {
            Type::String => true,
            Type::Decimal => is_decimal(text.text.as_bytes()),
            Type::Date => is_date(text.text.as_bytes()),
            Type::Timestamp => is_timestamp(text.text.as_bytes()),
            Type::Integer | Type::Number | Type::Boolean => false,
        },
        Cell::Nested(_) => false,
    }
}

/// How many digits come first.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// What is left after a decimal number, a sign in front or not; `None` if none comes first.
pub fn after_number(text: &[u8]) -> Option<&[u8]> {
    let text = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    let whole = digits(text);
    let mut rest = &text[whole..];
    if let [b'.', fraction @ ..] = rest {
        let count = digits(fraction);
        if whole + count == 0 {
            return None;
        }
        rest = &fraction[count..];
    } else if whole == 0 {
        return None;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let sign = usize::from(matches!(exponent, [b'+' | b'-', ..]));
        match digits(&exponent[sign..]) {
            0 => {}
            count => rest = &exponent[sign + count..],
        }
    }
    Some(rest)
}

fn is_decimal(text: &[u8]) -> bool {
    after_number(text).is_some_and(<[u8]>::is_empty)
}

/// The number in two or four digits.
fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
    })
}

/// `2026-11-21`, a day that there is.
fn is_date(text: &[u8]) -> bool {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = text else { return false };
    let parts = (number(&[a, b, c, d]), number(&[e, f]), number(&[g, h]));
    let (Some(year), Some(month), Some(day)) = parts else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        _ => 0,
    };
    year >= 1 && (1..=days).contains(&day)
}

/// A date, `T` or a space, a time with up to nine digits of a second, and a zone or none.
fn is_timestamp(text: &[u8]) -> bool {
    let Some((date, [b'T' | b' ', clock @ ..])) = text.split_at_checked(10) else { return false };
    let Some((clock, rest)) = clock.split_at_checked(8) else { return false };
    is_date(date) && is_clock(clock) && after_fraction(rest).is_some_and(is_zone)
}

fn is_clock(text: &[u8]) -> bool {
    let &[a, b, b':', c, d, b':', e, f] = text else { return false };
    is_below(&[a, b], 24) && is_below(&[c, d], 60) && is_below(&[e, f], 60)
}

fn is_below(text: &[u8], bound: u32) -> bool {
    number(text).is_some_and(|number| number < bound)
}

fn after_fraction(text: &[u8]) -> Option<&[u8]> {
    let [b'.', fraction @ ..] = text else { return Some(text) };
    let count = digits(fraction);
    (1..=9).contains(&count).then(|| &fraction[count..])
}

fn is_zone(text: &[u8]) -> bool {
    match *text {
        [] | [b'Z'] => true,
        [b'+' | b'-', a, b, b':', c, d] => is_below(&[a, b], 24) && is_below(&[c, d], 60),
        _ => false,
    }
}
