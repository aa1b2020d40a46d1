//! JSON of one text, a value at a time, without building a tree.
//!
//! Invariant: what is returned is what `schemas/exact_json.py` would build of the same bytes. What
//! that refuses, and what is merely unusual, is `None`: then Python reads the text, and words what
//! is wrong.

use std::borrow::Cow;

use crate::cells::Cell;
use crate::classes::{BLOCK, Classes, PLAIN, digits, digits_in};

/// Python's own bound for the digits of an integer.
const MOST_DIGITS: usize = 4_300;
/// Deeper arrays and objects are left to Python, whose limits depend on its version.
const MOST_DEPTH: usize = 64;
/// Reserved for what follows a string's first escape.
const MOST_SHORT: usize = 64;
/// A decimal number of so many digits is the shortest of its double, once its last zeros are cut.
const EXACT_DIGITS: usize = 15;

/// The text of a string, and all classes of its bytes together.
#[derive(Clone, Debug, PartialEq)]
pub struct Text<'a> {
    pub text: Cow<'a, str>,
    pub classes: u8,
}

/// A string that is short, and in which nothing was escaped.
#[derive(Clone, Copy)]
pub struct ShortText<'a> {
    pub text: &'a str,
    /// The text, and what follows it in the record.
    pub block: &'a [u8; BLOCK],
    /// All classes of its bytes together.
    pub classes: u8,
}

impl<'a> From<ShortText<'a>> for Cell<'a> {
    fn from(short: ShortText<'a>) -> Self {
        Cell::Text(Text { text: Cow::Borrowed(short.text), classes: short.classes })
    }
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
#[derive(Clone, Copy)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    #[inline(always)]
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// The next byte that is no white space; the place is there then.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        match *self.text.as_bytes().get(self.at)? {
            byte if byte > b' ' => Some(byte),
            _ => self.apart(Self::peek_after_space),
        }
    }

    /// Do what is not part of the caller's loop, whose place stays in a register.
    #[inline(always)]
    pub fn apart<T>(&mut self, work: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut scanner = *self;
        let found = work(&mut scanner);
        *self = scanner;
        found
    }

    #[inline(never)]
    fn peek_after_space(&mut self) -> Option<u8> {
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
        self.value_to(classes, Some)
    }

    /// The same, handed to `take` at once.
    ///
    /// Each kind of value has a call of its own, so what `take` does with other kinds is left out
    /// there, and a cell needn't be built: it is told apart once.
    #[inline(always)]
    pub fn value_to<T>(
        &mut self,
        classes: &Classes,
        take: impl FnOnce(Cell<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.peek()? {
            b'"' => match self.short_text(classes) {
                Some(text) => take(text.into()),
                None => take(Cell::Text(self.apart(|it| it.any_text(classes))?)),
            },
            b'-' | b'0'..=b'9' => match self.short_integer() {
                Some(text) => take(Cell::Integer(text)),
                None => take(self.apart(Self::number)?),
            },
            b'n' if self.skip(b"null") => take(Cell::Null),
            b't' if self.skip(b"true") => take(Cell::Bool(true)),
            b'f' if self.skip(b"false") => take(Cell::Bool(false)),
            b'[' | b'{' => {
                let start = self.at;
                self.apart(|it| it.container(0))?;
                take(Cell::Nested(&self.text[start..self.at]))
            }
            _ => None,
        }
    }

    /// A string if one comes next, without white space, that is as most are.
    #[inline(always)]
    pub fn short_text(&mut self, classes: &Classes) -> Option<ShortText<'a>> {
        // One check of bounds: a block, and the quotes around it.
        let bytes: &[u8; 1 + BLOCK + 1] = self.rest().first_chunk()?;
        let block = bytes[1..].first_chunk()?;
        let (length, seen) = classes.run_in(block);
        if bytes[0] != b'"' || bytes[1 + length] != b'"' {
            return None;
        }
        let start = self.at + 1;
        self.at = start + length + 1;
        Some(ShortText { text: &self.text[start..start + length], block, classes: seen })
    }

    #[inline(never)]
    fn any_text(&mut self, classes: &Classes) -> Option<Text<'a>> {
        self.at += 1;
        let (length, seen) = classes.run(self.rest())?;
        let run = &self.text[self.at..self.at + length];
        self.at += length;
        if self.rest()[0] != b'"' {
            return self.escaped(run, classes);
        }
        self.at += 1;
        Some(Text { text: Cow::Borrowed(run), classes: seen })
    }

    /// The name of a member, and the colon after it.
    pub fn key(&mut self) -> Option<Cow<'a, str>> {
        (self.peek()? == b'"').then_some(())?;
        let Cell::Text(key) = self.value(&PLAIN)? else { return None };
        self.take(b':')?;
        Some(key.text)
    }

    /// A string whose first backslash comes next, if it does, after a run of characters.
    fn escaped(&mut self, before: &str, classes: &Classes) -> Option<Text<'a>> {
        let text = self.unescaped(before)?;
        let classes = classes.of(text.as_bytes());
        Some(Text { text: Cow::Owned(text), classes })
    }

    fn unescaped(&mut self, before: &str) -> Option<String> {
        let mut text = String::with_capacity(before.len() + MOST_SHORT);
        text.push_str(before);
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

    /// An integer of few digits, as most numbers are.
    #[inline(always)]
    fn short_integer(&mut self) -> Option<&'a str> {
        let bytes = self.rest().first_chunk()?;
        let length = digits_in(bytes);
        let is_integer = (1..bytes.len()).contains(&length)
            && bytes[0] != b'0'
            && !matches!(bytes[length], b'.' | b'e' | b'E');
        if !is_integer {
            return None;
        }
        let start = self.at;
        self.at += length;
        Some(&self.text[start..self.at])
    }

    #[inline(never)]
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
