//! Which cells are never cut: `consumer/formats/pdf/whole.py` in Rust.

use super::glyphs::Glyph;

const LONGEST_FIGURES: usize = 40;
const WITHIN_FIGURES: &str = " .,:'\u{2019}\u{a0}\u{2009}\u{202f}\u{66b}\u{66c}/+()-";
const SPACES: &str = " \u{a0}\u{2009}\u{202f}";
const LONGEST_PREFIX: usize = 7;
/// `_WORD`, which a full stop may follow.
const WORDS: [&str; 8] = ["Rs", "kr", "Kč", "zł", "Ft", "lei", "лв", "руб"];

/// Of a column without a type.
pub fn looks_whole(text: &[Glyph]) -> bool {
    (text.len() <= LONGEST_FIGURES && is_figures(text)) || is_number(text)
}

/// `_FIGURES`: what may stand in front is optional, so each length of it is tried.
fn is_figures(text: &[Glyph]) -> bool {
    (0..text.len().min(LONGEST_PREFIX + 1))
        .any(|end| is_prefix(&text[..end]) && begins_figures(&text[end..]))
}

/// A sign, a currency's sign or its code, and a space.
fn is_prefix(text: &[Glyph]) -> bool {
    let sign = |glyph: &Glyph| !glyph.is_decimal && !glyph.shown.is_ascii_alphabetic();
    let spaced = |text: &[Glyph]| match text {
        [] => true,
        [one] => sign(one),
        [one, space] => sign(one) && SPACES.contains(space.shown),
        _ => false,
    };
    let signed = |text: &[Glyph]| match text {
        [first, rest @ ..] => "-+(".contains(first.shown) && spaced(rest),
        [] => false,
    };
    let is_space = |glyph: &Glyph| SPACES.contains(glyph.shown);
    let is_sign = |glyph: &Glyph| "-+".contains(glyph.shown);
    let moved = |text: &[Glyph]| match text {
        [one, minus] => sign(one) && is_sign(minus),
        [one, space, minus] => sign(one) && is_space(space) && is_sign(minus),
        _ => false,
    };
    let unsigned = after(text, |shown| "-+(".contains(shown));
    let letters = unsigned.iter().take_while(|glyph| glyph.shown.is_ascii_uppercase()).count();
    let parted = |text: &[Glyph]| {
        (1..=2).contains(&text.len()) && text.iter().all(|one| sign(one) && one.shown != '-')
    };
    let coded =
        (1..=3).contains(&letters) && (parted(&unsigned[letters..]) || moved(&unsigned[letters..]));
    let named = after_word(unsigned).is_some_and(|rest| {
        matches!(rest, [space, rest @ ..] if is_space(space)
            && after(rest, |shown| "-+".contains(shown)).is_empty())
    });
    spaced(text) || signed(text) || moved(text) || coded || named
}

/// What follows the word of a currency.
fn after_word(text: &[Glyph]) -> Option<&[Glyph]> {
    WORDS.iter().find_map(|word| {
        let count = word.chars().count();
        let is_it = text.len() >= count && word.chars().zip(text).all(|(one, it)| one == it.shown);
        is_it.then(|| after(&text[count..], |shown| shown == '.'))
    })
}

fn begins_figures(text: &[Glyph]) -> bool {
    let [first, rest @ ..] = text else { return false };
    let is_capital = |glyph: &Glyph| glyph.shown.is_ascii_uppercase();
    let is_within = |&at: &usize| {
        let glyph = &rest[at];
        let is_of_time = || {
            "TZ".contains(glyph.shown)
                && !matches!(&rest[at + 1..], [one, other, ..] if is_capital(one) && is_capital(other))
        };
        glyph.is_decimal || WITHIN_FIGURES.contains(glyph.shown) || is_of_time()
    };
    let run = (0..rest.len()).take_while(is_within).count();
    let spaced = SPACES.contains(text[run].shown);
    let unit = &rest[run..];
    let is_of_unit =
        |glyph: &Glyph| !glyph.is_decimal && !SPACES.contains(glyph.shown) && glyph.shown != '\n';
    first.is_decimal
        && match unit {
            [] => true,
            [last] => last.shown != '\n',
            _ => spaced && (unit.len() <= 3 && unit.iter().all(is_of_unit) || is_named(unit)),
        }
}

/// The word or code of a currency, maybe before the end of brackets.
fn is_named(unit: &[Glyph]) -> bool {
    let unit = match unit {
        [unit @ .., end] if end.shown == ')' => unit,
        _ => unit,
    };
    after_word(unit).is_some_and(<[Glyph]>::is_empty)
        || (unit.len() == 3 && unit.iter().all(|glyph| glyph.shown.is_ascii_uppercase()))
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
