//! What is shown of each character: `Repertoire`, as far as Python has filled it.
//!
//! Invariant: a character that is not here has no answer yet.

use super::Undecided;

const PAGE: usize = 128;
/// More than any text of plain characters is wide.
const UNKNOWN_WIDTH: u32 = 1 << 24;

/// How a character is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Code {
    #[default]
    Unknown,
    /// Nothing is shown.
    Left,
    /// In the base font.
    Base(u8),
    /// By number among the composite fonts, and its code there.
    Composite(u16, [u8; 2]),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Glyph {
    pub code: Code,
    pub advance: u32,
    /// The character that is shown, which may stand in for another one.
    pub shown: char,
    pub is_decimal: bool,
    /// No font has the character.
    pub is_replaced: bool,
}

static UNKNOWN: Glyph =
    Glyph { code: Code::Unknown, advance: 0, shown: '\0', is_decimal: false, is_replaced: false };

#[derive(Default)]
pub struct Glyphs {
    /// The names of the composite fonts.
    pub composites: Vec<Vec<u8>>,
    pages: Vec<Option<Box<[Glyph; PAGE]>>>,
    /// The advances of characters whose code is their own byte; `UNKNOWN_WIDTH` of any other byte.
    plain: Option<Box<[u32; 256]>>,
}

impl Glyphs {
    pub fn add(&mut self, character: char, glyph: Glyph) {
        let plain = self.plain.get_or_insert_with(|| Box::new([UNKNOWN_WIDTH; 256]));
        if character.is_ascii()
            && glyph.code == Code::Base(character as u8)
            && glyph.shown == character
            && character != '\n'
        {
            plain[character as usize] = glyph.advance;
        }
        let (page, place) = (character as usize / PAGE, character as usize % PAGE);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        self.pages[page].get_or_insert_with(|| Box::new([UNKNOWN; PAGE]))[place] = glyph;
    }

    pub fn get(&self, character: char) -> &Glyph {
        let (page, place) = (character as usize / PAGE, character as usize % PAGE);
        match self.pages.get(page) {
            Some(Some(glyphs)) => &glyphs[place],
            _ => &UNKNOWN,
        }
    }

    /// The width of a text that is its own code in the base font.
    pub fn plain_width(&self, text: &str) -> Option<u32> {
        let plain = self.plain.as_deref()?;
        // As `u32` the sum of 256 unknown bytes, such as 128 Cyrillic letters, would be 0.
        let width: u64 = text.bytes().map(|byte| u64::from(plain[usize::from(byte)])).sum();
        u32::try_from(width).ok().filter(|&width| width < UNKNOWN_WIDTH)
    }

    /// What is shown of a text, after what is in `line`; how many of its characters are replaced.
    pub fn show(&self, text: &str, line: &mut Vec<Glyph>) -> Result<u32, Undecided> {
        let mut replaced = 0;
        for character in text.chars() {
            let glyph = self.get(character);
            match glyph.code {
                Code::Unknown => return Err(Undecided),
                Code::Left => {}
                _ => {
                    replaced += u32::from(glyph.is_replaced);
                    line.push(*glyph);
                }
            }
        }
        Ok(replaced)
    }
}

pub fn width(line: &[Glyph]) -> u32 {
    line.iter().map(|glyph| glyph.advance).sum()
}
