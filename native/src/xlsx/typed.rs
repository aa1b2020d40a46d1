//! Dates, timestamps and exact decimals: `consumer/formats/xlsx/typed_cells.py` in Rust.
//!
//! Invariant: a text comes here only if it is of its column's type, as `types.rs` checks.

use super::XlsxOptions;
use super::cells::{double, integer, number, text};
use crate::cells::repr;

/// 1899-12-30, in days from 1970.
const DAY_0: i64 = -25_569;
const DAY_MICROS: i64 = 86_400_000_000;
/// Digits that a double keeps, whatever they are.
const ALWAYS_KEPT: usize = 15;
/// Of a text that a double may be; to read more takes long.
const MOST_CHARACTERS: usize = 400;
/// An exponent of more is left to Python.
const MOST_EXPONENT_DIGITS: usize = 9;

pub fn date(options: &XlsxOptions, date: &str, out: &mut Vec<u8>) -> Option<()> {
    let days = day(date)?;
    if !is_shown(options, days) {
        return text(options, date, false, out);
    }
    number(options.styles.date, days.to_string().as_bytes(), out);
    Some(())
}

pub fn timestamp(options: &XlsxOptions, time: &str, out: &mut Vec<u8>) -> Option<()> {
    let micros = micros(time)?;
    // A later moment of the last day is rounded to the next one.
    let last = options.days.1 * DAY_MICROS - 1_000;
    if !is_shown(options, micros.div_euclid(DAY_MICROS)) || micros > last {
        return text(options, time, false, out);
    }
    let styles = &options.styles;
    let has_fraction = micros % 1_000_000 != 0;
    let style = if has_fraction { styles.timestamp_millis } else { styles.timestamp };
    double(style, quotient(micros.try_into().ok()?), out);
    Some(())
}

pub fn decimal(options: &XlsxOptions, decimal: &str, out: &mut Vec<u8>) -> Option<()> {
    if decimal.len() > MOST_CHARACTERS {
        return text(options, decimal, false, out);
    }
    let value: f64 = decimal.parse().ok()?;
    let has_exponent = decimal.contains(['e', 'E']);
    if (has_exponent || decimal.len() > ALWAYS_KEPT) && !is_kept(decimal, value)? {
        return text(options, decimal, false, out);
    }
    let decimals =
        if has_exponent { 0 } else { decimal.split_once('.').map_or(0, |it| it.1.len()) };
    if (1..=options.styles.most_decimals).contains(&decimals) {
        double(options.styles.fraction + decimals - 1, value, out);
    } else if value.fract() == 0.0 {
        // All digits of a double are those of its integer; without a sign where it is zero.
        let digits = format!("{:.0}", if value == 0.0 { 0.0 } else { value });
        integer(options, &digits, out)?;
    } else {
        double(0, value, out);
    }
    Some(())
}

fn is_shown(options: &XlsxOptions, days: i64) -> bool {
    (options.days.0..options.days.1).contains(&days)
}

fn part(text: &str, start: usize, end: usize) -> Option<i64> {
    text.get(start..end)?.parse().ok()
}

/// Days since Excel's day 0 of `2026-11-21`, which begins a text.
fn day(text: &str) -> Option<i64> {
    let (year, month, day) = (part(text, 0, 4)?, part(text, 5, 7)?, part(text, 8, 10)?);
    // Years that begin in March, so that a leap day is the last one.
    let year = if month > 2 { year } else { year - 1 };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let since_year_0 = 365 * year + year / 4 - year / 100 + year / 400 + of_year;
    Some(since_year_0 - 719_468 - DAY_0)
}

/// Microseconds since Excel's day 0, in UTC; digits past them are cut off.
fn micros(text: &str) -> Option<i64> {
    let seconds = 3_600 * part(text, 11, 13)? + 60 * part(text, 14, 16)? + part(text, 17, 19)?;
    let mut rest = text.get(19..)?;
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let digits = &fraction[..count.min(6)];
        micros = digits.parse::<i64>().ok()? * 10_i64.pow(6 - digits.len() as u32);
        rest = &fraction[count..];
    }
    let offset = match rest.as_bytes().first() {
        Some(sign @ (b'+' | b'-')) => {
            let minutes = 60 * part(rest, 1, 3)? + part(rest, 4, 6)?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => 0,
    };
    Some(day(text)? * DAY_MICROS + (seconds - 60 * offset) * 1_000_000 + micros)
}

/// Days of microseconds: the double that is nearest to the exact quotient, as Python divides.
fn quotient(micros: u64) -> f64 {
    const SHIFT: u32 = 64;
    let (dividend, divisor) = (u128::from(micros) << SHIFT, DAY_MICROS as u128);
    // More bits than a double has; the last one says whether anything is left, for ties.
    let bits = (dividend / divisor) | u128::from(dividend % divisor != 0);
    bits as f64 / 2_f64.powi(SHIFT as i32)
}

/// Whether a double that was made of a decimal reads back as it; `None`: Python is to say.
fn is_kept(text: &str, value: f64) -> Option<bool> {
    if !value.is_finite() {
        return Some(false);
    }
    let mut shortest = Vec::new();
    repr(value, &mut shortest);
    let shortest = String::from_utf8(shortest).ok()?;
    Some(normal(text)? == normal(&shortest)?)
}

/// A sign, digits without zeros at their ends, and the exponent of the last one.
fn normal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    if exponent.len() > MOST_EXPONENT_DIGITS {
        return None;
    }
    let unsigned = mantissa.trim_start_matches(['+', '-']);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0');
    let cut = (all.len() - digits.len()) as i64;
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some((false, String::new(), 0));
    }
    let exponent = exponent.parse::<i64>().ok()? - fraction.len() as i64 + cut;
    Some((mantissa.starts_with('-'), digits.to_owned(), exponent))
}
