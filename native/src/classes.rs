//! What the bytes of strings mean to a format, and how far a run of them goes.
//!
//! Invariant: a run found in blocks is the one that is found byte by byte.

use wide::u8x16;

/// Ends a run of characters: `"`, a backslash, and what JSON has no room for in a string.
const STOP: u8 = 0x80;
/// A byte that stops, so that none of a run is it.
const UNUSED: u8x16 = u8x16::new([b'"'; 16]);
/// Bytes that are looked at together.
pub const BLOCK: usize = 32;

/// Classes of all bytes. `STOP` is the scanner's; a format has the others.
pub struct Classes {
    table: [u8; 256],
    /// The first two bytes that a run may hold and a format looks for, each sixteen times: CSV has
    /// no more of them, and their number is nothing to loop over. `UNUSED` where there are fewer.
    marks: [u8x16; 2],
    more_marks: Vec<u8x16>,
    /// The classes of every mark, if those of all are the same.
    common: Option<u8>,
}

/// Those of strings in which nothing else is looked for.
pub static PLAIN: Classes = Classes::plain();

impl Classes {
    /// Classes that mark nothing but where a run stops.
    pub const fn plain() -> Self {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 0x20 {
            table[byte] = STOP;
            byte += 1;
        }
        table[b'"' as usize] = STOP;
        table[b'\\' as usize] = STOP;
        Self { table, marks: [UNUSED; 2], more_marks: Vec::new(), common: Some(0) }
    }

    /// Add a byte to classes of a format, of which there are seven: 1, 2, 4 and so on.
    pub fn mark(&mut self, byte: u8, classes: u8) {
        let known = &mut self.table[usize::from(byte)];
        let is_new = *known == 0;
        *known |= classes;
        if is_new {
            let mark = u8x16::splat(byte);
            match self.marks.iter_mut().find(|mark| **mark == UNUSED) {
                Some(unused) => *unused = mark,
                None => self.more_marks.push(mark),
            }
        }
        // What stops a run is no mark of it.
        let mut all = self.table.iter().filter(|&&classes| classes != 0 && classes & STOP == 0);
        let &one = all.next().unwrap_or(&0);
        self.common = all.all(|&other| other == one).then_some(one);
    }

    fn stops(&self, byte: u8) -> bool {
        self.table[usize::from(byte)] & STOP != 0
    }

    /// All classes of some bytes, one of which is marked and none of which stops.
    #[inline(always)]
    fn of_marked(&self, bytes: &[u8]) -> u8 {
        self.common.unwrap_or_else(|| self.of(bytes))
    }

    /// All classes of some bytes.
    #[inline(never)]
    pub fn of(&self, bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |all, &byte| all | self.table[usize::from(byte)])
    }

    /// How many bytes come before the first that stops, and all classes of theirs; `None` if none
    /// stops.
    #[inline]
    pub fn run(&self, bytes: &[u8]) -> Option<(usize, u8)> {
        let (mut length, mut marked) = (0, 0);
        while let Some(block) = bytes[length..].first_chunk() {
            let (stops, marks) = (stops(block), self.marks(block));
            if stops != 0 {
                let run = stops.trailing_zeros();
                marked |= marks & !(u32::MAX << run);
                length += run as usize;
                let seen = if marked == 0 { 0 } else { self.of_marked(&bytes[..length]) };
                return Some((length, seen));
            }
            marked |= marks;
            length += BLOCK;
        }
        self.last_run(bytes, length)
    }

    /// The same of one block: all of it, if none stops.
    #[inline(always)]
    pub fn run_in(&self, block: &[u8; BLOCK]) -> (usize, u8) {
        let (stops, marks) = (stops(block), self.marks(block));
        // The bits before the first stop.
        let before = stops.wrapping_sub(1) & !stops;
        let length = stops.trailing_zeros() as usize;
        let seen = if marks & before == 0 { 0 } else { self.of_marked(&block[..length]) };
        (length, seen)
    }

    /// A run that goes on after the last whole block.
    #[cold]
    fn last_run(&self, bytes: &[u8], before: usize) -> Option<(usize, u8)> {
        let rest = bytes[before..].iter().position(|&byte| self.stops(byte))?;
        Some((before + rest, self.of(&bytes[..before + rest])))
    }

    /// Which bytes of a block have a class.
    #[inline]
    fn marks(&self, block: &[u8; BLOCK]) -> u32 {
        let mut found =
            halves(block).map(|half| half.cmp_eq(self.marks[0]) | half.cmp_eq(self.marks[1]));
        for &mark in &self.more_marks {
            for (found, half) in found.iter_mut().zip(halves(block)) {
                *found |= half.cmp_eq(mark);
            }
        }
        bits(found)
    }
}

/// How many digits come first.
pub fn digits(bytes: &[u8]) -> usize {
    match bytes.first_chunk().map(digits_in) {
        Some(count) if count < 16 => count,
        _ => bytes.iter().take_while(|byte| byte.is_ascii_digit()).count(),
    }
}

/// The same of so many bytes.
#[inline(always)]
pub fn digits_in(bytes: &[u8; 16]) -> usize {
    // Digits become their values, and all else more than 9.
    let values = u8x16::new(*bytes) ^ u8x16::splat(b'0');
    let are_digits = values.min(u8x16::splat(9)).cmp_eq(values).move_mask() as u32;
    are_digits.trailing_ones() as usize
}

/// Both halves of a block.
fn halves(block: &[u8; BLOCK]) -> [u8x16; 2] {
    let (halves, _) = block.as_chunks();
    [u8x16::new(halves[0]), u8x16::new(halves[1])]
}

/// A bit for each byte, that of the first one lowest.
fn bits(halves: [u8x16; 2]) -> u32 {
    let [low, high] = halves.map(|half| half.move_mask() as u32);
    low | high << 16
}

/// `STOP` of each byte of a block.
fn stops(block: &[u8; BLOCK]) -> u32 {
    let [control, quote, backslash] = [0x1f, b'"', b'\\'].map(u8x16::splat);
    bits(
        halves(block).map(|half| {
            half.min(control).cmp_eq(half) | half.cmp_eq(quote) | half.cmp_eq(backslash)
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::{Classes, digits};

    /// Byte by byte.
    fn plain_run(classes: &Classes, bytes: &[u8]) -> Option<(usize, u8)> {
        let length = bytes.iter().position(|&byte| classes.stops(byte))?;
        Some((length, classes.of(&bytes[..length])))
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        let mut classes = Classes::plain();
        for (byte, class) in [(b',', 1), (0xef, 2), (b'"', 4), (b';', 1), (b'\t', 1)] {
            classes.mark(byte, class);
        }
        for length in [0, 1, 15, 16, 31, 32, 33, 64, 70] {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    for stop in [place, place + 1, length - 1] {
                        let mut bytes = vec![b'x'; length];
                        bytes[stop.min(length - 1)] = b'\\';
                        bytes[place] = byte;
                        let expected = plain_run(&classes, &bytes);
                        assert_eq!(classes.run(&bytes), expected, "{byte} at {place} of {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_byte_after_the_run_has_no_class_in_it() {
        let mut classes = Classes::plain();
        classes.mark(b',', 1);
        assert_eq!(classes.run(format!("a\",{}", "x".repeat(40)).as_bytes()), Some((1, 0)));
    }

    #[test]
    fn digits_are_counted_up_to_anything_else() {
        for length in [0, 1, 15, 16, 17, 40] {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'7'; length];
                    bytes[place] = byte;
                    let expected = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    assert_eq!(digits(&bytes), expected);
                }
            }
        }
    }
}
