//! Which cells are never cut: `consumer/formats/pdf/whole.py` in Rust.

use super::glyphs::Glyph;

const LONGEST_FIGURES: usize = 40;
const WITHIN_FIGURES: &str = " .,:'\u{2019}\u{a0}\u{2009}\u{202f}\u{66b}\u{66c}/+()TZ-";

/// Of a column without a type.
pub fn looks_whole(text: &[Glyph]) -> bool {
    (text.len() <= LONGEST_FIGURES && is_figures(text)) || is_number(text)
}

/// `_FIGURES`: what may stand in front is optional, so each way is tried.
fn is_figures(text: &[Glyph]) -> bool {
    let starts_signed = text.first().is_some_and(|glyph| "-+(".contains(glyph.shown));
    [true, false].into_iter().filter(|&signed| !signed || starts_signed).any(|signed| {
        let rest = &text[usize::from(signed)..];
        let has_currency = rest
            .first()
            .is_some_and(|glyph| !glyph.is_decimal && !glyph.shown.is_ascii_alphabetic());
        (has_currency && begins_figures(&rest[1..])) || begins_figures(rest)
    })
}

fn begins_figures(text: &[Glyph]) -> bool {
    let [first, rest @ ..] = text else { return false };
    let is_within = |glyph: &&Glyph| glyph.is_decimal || WITHIN_FIGURES.contains(glyph.shown);
    let run = rest.iter().take_while(is_within).count();
    first.is_decimal
        && match &rest[run..] {
            [] => true,
            [last] => last.shown != '\n',
            _ => false,
        }
}

/// `_NUMBER`: a number as JSON has it.
fn is_number(text: &[Glyph]) -> bool {
    let text = after(text, |shown| shown == '-');
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0].shown == '0') {
        return false;
    }
    let mut rest = &text[whole..];
    if rest.first().is_some_and(|glyph| glyph.shown == '.') && digits(&rest[1..]) > 0 {
        rest = &rest[1 + digits(&rest[1..])..];
    }
    if rest.first().is_some_and(|glyph| glyph.shown == 'e') {
        let exponent = after(&rest[1..], |shown| "+-".contains(shown));
        if digits(exponent) > 0 {
            rest = &exponent[digits(exponent)..];
        }
    }
    rest.is_empty()
}

fn after(text: &[Glyph], is_sign: impl Fn(char) -> bool) -> &[Glyph] {
    match text {
        [first, rest @ ..] if is_sign(first.shown) => rest,
        _ => text,
    }
}

fn digits(text: &[Glyph]) -> usize {
    text.iter().take_while(|glyph| glyph.shown.is_ascii_digit()).count()
}
