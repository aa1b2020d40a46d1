//! What Python decides of pages: their parts as bytes, and where rows stand.
//!
//! Invariant: numbers are written as Python's `points` writes them.

use super::UNITS_PER_EM;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Align {
    Left,
    Right,
    Center,
}

/// Which cells of a column are never cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Whole {
    All,
    None,
    /// Those that look like a number or a date.
    ByText,
}

/// A column: its room, and the widest number and text that it was laid out for.
#[derive(Clone, Debug)]
pub struct Column {
    pub room: u32,
    pub align: Align,
    pub whole: Whole,
    pub widest_whole: u32,
    pub widest_text: u32,
}

/// Heights of rows in points, and where they stand.
#[derive(Clone, Debug)]
pub struct Heights {
    pub top: f64,
    pub room: f64,
    pub row: f64,
    pub line: f64,
    pub most_lines: usize,
}

impl Heights {
    pub fn of(&self, lines: usize) -> f64 {
        self.row + (lines - 1) as f64 * self.line
    }
}

/// The bytes of a page in the order in which they stand there; rows come after `begin`.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The title and the shade of bands.
    pub top: Vec<u8>,
    /// From the bands to where the rows' text begins; its baseline follows.
    pub after_bands: Vec<u8>,
    pub before_number: Vec<u8>,
    pub after_number: Vec<u8>,
    pub after_end: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Layout {
    pub columns: Vec<Column>,
    pub heights: Heights,
    pub wraps: bool,
    /// Rows of a page, at most.
    pub records: usize,
    pub parts: Parts,
    /// Left edge and width of a band.
    pub band: (Vec<u8>, Vec<u8>),
    /// From the middle of a row to its text's baseline.
    pub drop: f64,
    /// The way to the next cell of each column; of the first one what is before and after the
    /// number by which it moves down.
    pub first: (Vec<u8>, Vec<u8>),
    pub others: Vec<Vec<u8>>,
    /// Size of the type, and the name of the base font.
    pub size: Vec<u8>,
    pub base_font: Vec<u8>,
    /// The left margin, and the size of the footer's type.
    pub margin: f64,
    pub footer_size: f64,
}

impl Layout {
    /// Where the text ends that begins at the margin, in points.
    pub fn end_of_number(&self, width: u32) -> f64 {
        self.margin + f64::from(width) * self.footer_size / f64::from(UNITS_PER_EM)
    }
}

/// A number as a PDF has it: at most three decimals, no exponent.
pub fn write_points(value: f64, out: &mut Vec<u8>) {
    let text = format!("{value:.3}");
    out.extend(text.trim_end_matches('0').trim_end_matches('.').bytes());
}

/// A number in decimal digits.
pub fn write_number(number: usize, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let (mut place, mut rest) = (digits.len(), number);
    loop {
        place -= 1;
        digits[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[place..]);
}
