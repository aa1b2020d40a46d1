//! Text as XML of a spreadsheet: `consumer/formats/xlsx/escaping.py` in Rust.
//!
//! Invariant: what a reader decodes is the text.

use std::borrow::Cow;

use crate::classes::Classes;

/// The byte may call for a reference or an escape.
const SUSPECT: u8 = 1;
/// What XML can't hold of more than a byte, and its escape.
const WIDE_UNFIT: [(&[u8], &str); 2] =
    [("\u{fffe}".as_bytes(), "_xFFFE_"), ("\u{ffff}".as_bytes(), "_xFFFF_")];

pub fn classes() -> Classes {
    let mut classes = Classes::plain();
    for byte in 0..=u8::MAX {
        if is_control(byte) || b"&<>_\xef".contains(&byte) {
            classes.mark(byte, SUSPECT);
        }
    }
    classes
}

pub fn needs_escapes(classes: u8) -> bool {
    classes & SUSPECT != 0
}

/// What XML can't hold of the control characters, and CR, which a reader makes LF of.
fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n')
}

/// Write UTF-8.
pub fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let rest = &bytes[at..];
        let (length, written) = match byte {
            b'&' => (1, Cow::Borrowed("&amp;")),
            b'<' => (1, Cow::Borrowed("&lt;")),
            b'>' => (1, Cow::Borrowed("&gt;")),
            b'_' if looks_escaped(rest) => (1, Cow::Borrowed("_x005F_")),
            0xef => match WIDE_UNFIT.iter().find(|(unfit, _)| rest.starts_with(unfit)) {
                Some((unfit, escape)) => (unfit.len(), Cow::Borrowed(*escape)),
                None => continue,
            },
            _ if is_control(byte) => (1, Cow::Owned(format!("_x{byte:04X}_"))),
            _ => continue,
        };
        out.extend_from_slice(&bytes[done..at]);
        out.extend_from_slice(written.as_bytes());
        done = at + length;
    }
    out.extend_from_slice(&bytes[done..]);
}

/// Whether an underscore begins what a reader would decode, once what follows is written.
fn looks_escaped(text: &[u8]) -> bool {
    let [_, b'x', digits @ ..] = text else { return false };
    let Some((digits, rest)) = digits.split_at_checked(4) else { return false };
    digits.iter().all(u8::is_ascii_hexdigit)
        && (rest.first().is_some_and(|&byte| byte == b'_' || is_control(byte))
            || WIDE_UNFIT.iter().any(|(unfit, _)| rest.starts_with(unfit)))
}
