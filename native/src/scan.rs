//! JSON of one text, a value at a time, without building a tree.
//!
//! Invariant: what is returned is what `schemas/exact_json.py` would build of the same bytes. What
//! that refuses, and what is merely unusual, is `None`: then Python reads the text, and words what
//! is wrong.

use std::borrow::Cow;

use crate::cells::Cell;
use crate::classes::{Classes, PLAIN, digits};

/// Python's own bound for the digits of an integer.
const MOST_DIGITS: usize = 4_300;
/// Deeper arrays and objects are left to Python, whose limits depend on its version.
const MOST_DEPTH: usize = 64;
/// A decimal number of so many digits is the shortest of its double, once its last zeros are cut.
const EXACT_DIGITS: usize = 15;

/// The text of a string, and all classes of its bytes together.
#[derive(Clone, Debug, PartialEq)]
pub struct Text<'a> {
    pub text: Cow<'a, str>,
    pub classes: u8,
}

/// Bytes that are compared at once.
const BEGINNING: usize = size_of::<u128>();

/// A text that mostly comes next at some place.
pub struct Expected {
    text: Vec<u8>,
    beginning: u128,
    /// Which of its bytes are of the text.
    mask: u128,
}

impl Expected {
    pub fn new(text: Vec<u8>) -> Self {
        let (mut beginning, mut mask) = ([0; BEGINNING], [0; BEGINNING]);
        for (place, &byte) in text.iter().take(BEGINNING).enumerate() {
            (beginning[place], mask[place]) = (byte, u8::MAX);
        }
        let [beginning, mask] = [beginning, mask].map(u128::from_le_bytes);
        Self { text, beginning, mask }
    }
}

/// A place in a text that is known to be UTF-8.
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// The next byte that is no white space; the place is there then.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match *bytes.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Step over a byte that has to come next, after white space.
    #[inline]
    pub fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Step over a text if it comes next; no white space is passed over.
    #[inline]
    pub fn skip(&mut self, text: &[u8]) -> bool {
        let follows = self.rest().starts_with(text);
        if follows {
            self.at += text.len();
        }
        follows
    }

    /// Step over what is expected if it comes next; no white space is passed over.
    #[inline]
    pub fn skip_expected(&mut self, expected: &Expected) -> bool {
        let rest = self.rest();
        let begins = rest.first_chunk().is_none_or(|beginning| {
            (u128::from_le_bytes(*beginning) ^ expected.beginning) & expected.mask == 0
        });
        let is_whole = expected.text.len() <= BEGINNING && rest.len() >= BEGINNING;
        let follows = begins && (is_whole || rest.starts_with(&expected.text));
        if follows {
            self.at += expected.text.len();
        }
        follows
    }

    /// Whether a comma follows; if not, it has to be the closing bracket.
    #[inline]
    pub fn goes_on(&mut self, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            _ => (byte == close).then_some(false),
        }
    }

    /// Nothing but white space follows.
    pub fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Any value.
    pub fn value(&mut self, classes: &Classes) -> Option<Cell<'a>> {
        let mut cell = Cell::Null;
        self.value_to(&mut cell, classes)?;
        Some(cell)
    }

    /// The same, where it is wanted: to hand a cell on from memory to memory takes as long as to
    /// find a string's end.
    #[inline]
    pub fn value_to(&mut self, cell: &mut Cell<'a>, classes: &Classes) -> Option<()> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let (length, seen) = classes.run(self.rest())?;
                let run = &self.text[self.at..self.at + length];
                self.at += length;
                *cell = if self.rest()[0] == b'"' {
                    self.at += 1;
                    Cell::Text(Text { text: Cow::Borrowed(run), classes: seen })
                } else {
                    Cell::Text(self.escaped(run, classes)?)
                };
            }
            b'-' | b'0'..=b'9' => *cell = self.number()?,
            b'n' => *cell = self.word(b"null", Cell::Null)?,
            b't' => *cell = self.word(b"true", Cell::Bool(true))?,
            b'f' => *cell = self.word(b"false", Cell::Bool(false))?,
            b'[' | b'{' => {
                let start = self.at;
                self.container(0)?;
                *cell = Cell::Nested(&self.text[start..self.at]);
            }
            _ => return None,
        }
        Some(())
    }

    #[inline]
    fn word(&mut self, word: &[u8], cell: Cell<'a>) -> Option<Cell<'a>> {
        self.skip(word).then_some(cell)
    }

    /// The name of a member, and the colon after it.
    pub fn key(&mut self) -> Option<Cow<'a, str>> {
        (self.peek()? == b'"').then_some(())?;
        let Cell::Text(key) = self.value(&PLAIN)? else { return None };
        self.take(b':')?;
        Some(key.text)
    }

    /// A string whose first backslash comes next, if it does, after a run of characters.
    #[inline(never)]
    fn escaped(&mut self, before: &str, classes: &Classes) -> Option<Text<'a>> {
        let text = self.unescaped(before)?;
        let classes = classes.of(text.as_bytes());
        Some(Text { text: Cow::Owned(text), classes })
    }

    fn unescaped(&mut self, before: &str) -> Option<String> {
        let mut text = String::from(before);
        loop {
            let rest = self.rest();
            let (length, _) = PLAIN.run(rest)?;
            text.push_str(&self.text[self.at..self.at + length]);
            self.at += length + 1;
            match rest[length] {
                b'"' => return Some(text),
                b'\\' => text.push(self.escape()?),
                _ => return None,
            }
        }
    }

    /// The character of an escape whose backslash was passed.
    fn escape(&mut self) -> Option<char> {
        let byte = *self.rest().first()?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' => Some(char::from(byte)),
            b'b' => Some('\u{8}'),
            b'f' => Some('\u{c}'),
            b'n' => Some('\n'),
            b'r' => Some('\r'),
            b't' => Some('\t'),
            b'u' => self.code_point(),
            _ => None,
        }
    }

    /// One unit of UTF-16 or a pair of them; half a pair is no character.
    fn code_point(&mut self) -> Option<char> {
        let unit = self.hex()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit);
        }
        if !self.skip(b"\\u") {
            return None;
        }
        let low = self.hex()?.checked_sub(0xdc00).filter(|&low| low < 0x400)?;
        char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
    }

    fn number(&mut self) -> Option<Cell<'a>> {
        let (start, bytes) = (self.at, self.rest());
        let sign = usize::from(bytes[0] == b'-');
        let whole = digits(&bytes[sign..]);
        if whole == 0 || (whole > 1 && bytes[sign] == b'0') {
            return None;
        }
        let point = sign + whole;
        let (mut length, mut fraction) = (point, 0);
        if bytes.get(point) == Some(&b'.') {
            fraction = digits(&bytes[point + 1..]);
            if fraction == 0 {
                return None;
            }
            length += 1 + fraction;
        }
        let exponent = exponent(&bytes[length..])?;
        length += exponent;
        self.at += length;
        let raw = &self.text[start..start + length];
        if exponent > 0 {
            return double(raw);
        }
        if fraction == 0 {
            return match raw {
                "-0" => Some(Cell::Integer("0")),
                _ => (whole <= MOST_DIGITS).then_some(Cell::Integer(raw)),
            };
        }
        match shortest(raw, point) {
            Some(text) => Some(Cell::Decimal(text)),
            None => double(raw),
        }
    }

    /// Step over an array or object.
    fn container(&mut self, depth: usize) -> Option<()> {
        let open = self.peek()?;
        let close = if open == b'[' { b']' } else { b'}' };
        self.at += 1;
        if depth == MOST_DEPTH {
            return None;
        }
        if self.peek()? == close {
            self.at += 1;
            return Some(());
        }
        loop {
            if open == b'{' {
                self.key()?;
            }
            match self.peek()? {
                b'[' | b'{' => self.container(depth + 1)?,
                _ => drop(self.value(&PLAIN)?),
            }
            if !self.goes_on(close)? {
                return Some(());
            }
        }
    }
}

/// How long the exponent is, if there is one.
fn exponent(bytes: &[u8]) -> Option<usize> {
    if !matches!(bytes.first(), Some(b'e' | b'E')) {
        return Some(0);
    }
    let sign = usize::from(matches!(bytes.get(1), Some(b'+' | b'-')));
    match digits(&bytes[1 + sign..]) {
        0 => None,
        count => Some(1 + sign + count),
    }
}

/// The text itself, without its last zeros, where Python's `repr` of its double is surely that.
///
/// No two decimals of up to 15 digits are one double, so none is shorter; below 0.0001 `repr` has
/// an exponent. `point` is where the point stands.
fn shortest(raw: &str, point: usize) -> Option<&str> {
    let bytes = raw.as_bytes();
    let mut end = bytes.len();
    while end > point + 2 && bytes[end - 1] == b'0' {
        end -= 1;
    }
    if end - 1 > EXACT_DIGITS + usize::from(bytes[0] == b'-') {
        return None;
    }
    let fraction = &bytes[point + 1..end];
    let is_tiny = matches!(&raw[..point], "0" | "-0") && fraction.starts_with(b"0000");
    (!is_tiny).then_some(&raw[..end])
}

fn double(raw: &str) -> Option<Cell<'_>> {
    let number: f64 = raw.parse().ok()?;
    number.is_finite().then_some(Cell::Double(number))
}
