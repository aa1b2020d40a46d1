//! A cell's text, cut or wrapped to its room, as it stands in a content stream.
//!
//! Invariant: no line is wider than its room.

use super::glyphs::{Code, Glyph, Glyphs, width};
use super::layout::{Align, Column, Layout, Whole, write_number, write_points};
use super::whole::looks_whole;
use super::wrapping::divided;
use super::{UNITS_PER_EM, Undecided};

const ELLIPSIS: char = '…';
const NOT_SHOWN: (char, u32) = ('#', 3);
const LONGEST_NEED: u32 = 120 * UNITS_PER_EM;
const LEAST_WRAPPED: u32 = 2 * UNITS_PER_EM;
const THOUSANDTHS_PER_UNIT: u32 = 1000 / UNITS_PER_EM;

/// What became of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Set {
    pub lines: usize,
    pub is_cut: bool,
    pub replaced: u32,
}

/// Sets cells by one layout; `line` is used for each again.
pub struct Setter<'l> {
    layout: &'l Layout,
    glyphs: &'l Glyphs,
    line: Vec<Glyph>,
}

impl<'l> Setter<'l> {
    pub fn new(layout: &'l Layout, glyphs: &'l Glyphs) -> Self {
        Self { layout, glyphs, line: Vec::new() }
    }

    /// Append what stands for a cell, from within a string to within one.
    pub fn cell(
        &mut self,
        text: &str,
        column: &Column,
        out: &mut Vec<u8>,
    ) -> Result<Set, Undecided> {
        if let Some(width) = self.glyphs.plain_width(text)
            && width <= column.room
        {
            moved(column, width, out);
            out.extend_from_slice(text.as_bytes());
            return Ok(Set { lines: 1, ..Set::default() });
        }
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let set = self.shown(text, column, &mut line, out);
        self.line = line;
        set
    }

    fn shown(
        &self,
        text: &str,
        column: &Column,
        line: &mut Vec<Glyph>,
        out: &mut Vec<u8>,
    ) -> Result<Set, Undecided> {
        let replaced = self.glyphs.show(text, line)?;
        let width = width(line);
        let is_wide = width > column.room;
        let has_breaks = self.layout.wraps && line.iter().any(|glyph| glyph.shown == '\n');
        if !is_wide && !has_breaks {
            moved(column, width, out);
            self.encode(line, out);
            return Ok(Set { lines: 1, is_cut: false, replaced });
        }
        if is_wide {
            let is_whole = match column.whole {
                Whole::All => true,
                Whole::None => false,
                Whole::ByText => looks_whole(line),
            };
            if needs_more(column, width, is_whole) {
                return Err(Undecided);
            }
            if is_whole {
                self.not_shown(column, out)?;
                return Ok(Set { lines: 1, is_cut: true, replaced });
            }
        }
        if self.layout.wraps {
            let (lines, is_cut) = self.wrapped(line, column, out)?;
            return Ok(Set { lines, is_cut, replaced });
        }
        let width = self.cut(line, column.room)?;
        moved(column, width, out);
        self.encode(line, out);
        Ok(Set { lines: 1, is_cut: true, replaced })
    }

    /// What stands for a number that has no room.
    fn not_shown(&self, column: &Column, out: &mut Vec<u8>) -> Result<(), Undecided> {
        let glyph = self.known(NOT_SHOWN.0)?;
        let signs = NOT_SHOWN.1.min(column.room / glyph.advance);
        moved(column, signs * glyph.advance, out);
        self.encode(&vec![*glyph; signs as usize], out);
        Ok(())
    }

    fn known(&self, character: char) -> Result<&Glyph, Undecided> {
        let glyph = self.glyphs.get(character);
        if glyph.code == Code::Unknown { Err(Undecided) } else { Ok(glyph) }
    }

    /// End a line in an ellipsis; its width then.
    fn cut(&self, line: &mut Vec<Glyph>, room: u32) -> Result<u32, Undecided> {
        let ellipsis = *self.known(ELLIPSIS)?;
        let Some(limit) = room.checked_sub(ellipsis.advance) else {
            line.clear();
            return Ok(0);
        };
        let mut reached = 0;
        let fits = |glyph: &&Glyph| {
            reached += glyph.advance;
            reached <= limit
        };
        let kept = line.iter().take_while(fits).count();
        let blanks = line[..kept].iter().rev().take_while(|glyph| glyph.shown == ' ').count();
        line.truncate(kept - blanks);
        line.push(ellipsis);
        Ok(width(line))
    }

    /// Lines below each other, and the way back up; how many, and whether they are not all.
    fn wrapped(
        &self,
        text: &[Glyph],
        column: &Column,
        out: &mut Vec<u8>,
    ) -> Result<(usize, bool), Undecided> {
        let heights = &self.layout.heights;
        let most = if column.room >= LEAST_WRAPPED { heights.most_lines } else { 1 };
        let found = divided(text, column.room, most);
        let count = found.spans.len();
        for (number, &(start, end)) in found.spans.iter().enumerate() {
            if number > 0 {
                let begin: &[u8] = if column.align == Align::Left { b"(" } else { b"[-" };
                down(-heights.line, out);
                out.extend_from_slice(begin);
            }
            let mut line = text[start..end].to_vec();
            if found.is_cut && number + 1 == count {
                self.cut(&mut line, column.room)?;
            }
            moved(column, width(&line), out);
            self.encode(&line, out);
        }
        if count > 1 {
            down((count - 1) as f64 * heights.line, out);
            out.push(b'(');
        }
        Ok((count, found.is_cut))
    }

    /// Codes in the base font, interrupted by strings in others.
    pub fn encode(&self, line: &[Glyph], out: &mut Vec<u8>) {
        let mut current = None;
        for glyph in line {
            match glyph.code {
                Code::Base(code) => {
                    if current.take().is_some() {
                        self.switch(&self.layout.base_font, out);
                    }
                    out.push(code);
                }
                Code::Composite(font, code) => {
                    if current != Some(font) {
                        if current.is_some() {
                            self.switch(&self.layout.base_font, out);
                        }
                        self.switch(&self.glyphs.composites[usize::from(font)], out);
                        current = Some(font);
                    }
                    out.extend_from_slice(&code);
                }
                Code::Left | Code::Unknown => {}
            }
        }
        if current.is_some() {
            self.switch(&self.layout.base_font, out);
        }
    }

    /// Show the string so far, and begin one in another font.
    fn switch(&self, font: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b")Tj /");
        out.extend_from_slice(font);
        out.push(b' ');
        out.extend_from_slice(&self.layout.size);
        out.extend_from_slice(b" Tf (");
    }
}

/// By how much a line that isn't left-aligned is moved; its string begins then.
fn moved(column: &Column, width: u32, out: &mut Vec<u8>) {
    let units = match column.align {
        Align::Left => return,
        Align::Right => column.room - width,
        Align::Center => (column.room - width) / 2,
    };
    write_number((units * THOUSANDTHS_PER_UNIT) as usize, out);
    out.extend_from_slice(b"]TJ (");
}

fn down(by: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(b")Tj\n0 ");
    write_points(by, out);
    out.extend_from_slice(b" Td ");
}

/// Whether a column is to grow for a cell that has no room: `PageTable._grow`.
fn needs_more(column: &Column, width: u32, is_whole: bool) -> bool {
    if is_whole && width > column.widest_whole {
        return true;
    }
    width > column.widest_text && width.min(LONGEST_NEED) != column.widest_text
}
