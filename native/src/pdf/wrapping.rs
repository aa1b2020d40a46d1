//! Where a text is divided into lines: `consumer/formats/pdf/wrapping.py` in Rust.

use super::glyphs::Glyph;

/// Where lines begin and end. If `is_cut`, the last one goes on to the end of its paragraph.
pub struct Lines {
    pub spans: Vec<(usize, usize)>,
    pub is_cut: bool,
}

fn is_ideograph(glyph: &Glyph) -> bool {
    ('\u{2e80}'..='\u{faff}').contains(&glyph.shown)
}

/// At most `most` lines, none wider than `room` but one that is to be cut.
pub fn divided(text: &[Glyph], room: u32, most: usize) -> Lines {
    let mut reached = Vec::with_capacity(text.len() + 1);
    reached.push(0u32);
    for glyph in text {
        reached.push(reached[reached.len() - 1] + glyph.advance);
    }
    let blanks = text.iter().rev().take_while(|glyph| "\n ".contains(glyph.shown)).count();
    let text = &text[..text.len() - blanks];
    let mut spans = Vec::new();
    let (mut start, mut stop) = (0, None);
    while start <= text.len() {
        let stop = match stop {
            Some(stop) if stop >= start => stop,
            _ => {
                let length = text[start..].iter().position(|glyph| glyph.shown == '\n');
                let found = length.map_or(text.len(), |length| start + length);
                stop = Some(found);
                found
            }
        };
        let limit = reached[start] + room;
        let end = start + reached[start..=stop].partition_point(|&width| width <= limit) - 1;
        let goes_on = end < stop;
        let is_last = spans.len() + 1 == most && (goes_on || stop < text.len());
        // Or not even one character has room.
        if is_last || (goes_on && end == start) {
            spans.push((start, stop));
            return Lines { spans, is_cut: true };
        }
        let (end, following) =
            if goes_on { broken(text, start, end, stop) } else { (stop, stop + 1) };
        spans.push((start, end));
        start = following;
    }
    Lines { spans, is_cut: false }
}

/// Where a line that could end at `end` does, and where the next one begins.
fn broken(text: &[Glyph], start: usize, end: usize, stop: usize) -> (usize, usize) {
    if is_ideograph(&text[end]) || is_ideograph(&text[end - 1]) {
        return (end, end);
    }
    let last = |range: &[Glyph], signs: &str| {
        range.iter().rposition(|glyph| signs.contains(glyph.shown)).filter(|&length| length > 0)
    };
    if let Some(length) = last(&text[start..=end], " ") {
        let mut following = start + length + 1;
        while following < stop && text[following].shown == ' ' {
            following += 1;
        }
        return (start + length, following);
    }
    match last(&text[start..end], "-/") {
        Some(length) => (start + length + 1, start + length + 1),
        None => (end, end),
    }
}
