//! Which texts a spreadsheet might run: `schemas/formulas.py` in Rust.
//!
//! The two sets of characters come from there.

use crate::types::after_number;

/// What formulas begin with, and what readers pass over before that.
pub struct Formulas {
    starts: Vec<char>,
    passed_over: Vec<char>,
    suspects: [bool; 256],
}

impl Formulas {
    pub fn new(starts: &str, passed_over: &str) -> Self {
        let mut suspects = [false; 256];
        for character in starts.chars().chain(passed_over.chars()) {
            let mut bytes = [0; 4];
            character.encode_utf8(&mut bytes);
            suspects[usize::from(bytes[0])] = true;
        }
        let (starts, passed_over) = (starts.chars().collect(), passed_over.chars().collect());
        Self { starts, passed_over, suspects }
    }

    /// Whether a text may be one, by its first byte alone.
    pub fn is_suspect(&self, text: &str) -> bool {
        text.bytes().next().is_some_and(|byte| self.suspects[usize::from(byte)])
    }

    /// Whether a spreadsheet might run a text.
    pub fn is_formula(&self, text: &str) -> bool {
        let text = text.trim_start_matches(&self.passed_over[..]);
        text.starts_with(&self.starts[..]) && !is_harmless(text)
    }

    /// Whether nothing is left of a text for a reader that drops and trims.
    pub fn is_blank(&self, text: &str) -> bool {
        text.chars().all(|character| self.passed_over.contains(&character))
    }
}

/// A sign and a number, however it is grouped, maybe of a percentage; or a `-` alone.
fn is_harmless(text: &str) -> bool {
    if text == "-" {
        return true;
    }
    let Some(number) = text.strip_prefix(['+', '-']) else { return false };
    let number = number.strip_suffix('%').map_or(number, |before| {
        before.strip_suffix([' ', '\u{a0}', '\u{2009}', '\u{202f}']).unwrap_or(before)
    });
    is_number(number) || is_grouped(number)
}

fn is_number(text: &str) -> bool {
    !text.starts_with(['+', '-']) && after_number(text.as_bytes()).is_some_and(<[u8]>::is_empty)
}

/// Runs of digits with one character between two of them.
fn is_grouped(text: &str) -> bool {
    let separators = ['.', ',', '\'', '\u{2019}', ' ', '\u{a0}', '\u{2009}', '\u{202f}'];
    let mut groups = text.split(separators);
    groups.all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()))
}
