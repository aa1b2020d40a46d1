//! Pages of one export: rows wait until they fill one, and come out as compressed content streams.
//!
//! Invariant: rows are drawn in order, each once, and none of a block that is left to Python.

use libdeflater::{CompressionLvl, Compressor};

use super::Undecided;
use super::glyphs::{Code, Glyphs, width};
use super::layout::{Layout, write_points};
use super::rows::TextRows;
use super::setting::{Set, Setter};

/// What became of rows.
#[derive(Default)]
pub struct Drawn {
    /// Content streams, compressed.
    pub pages: Vec<Vec<u8>>,
    pub replaced: u64,
    pub truncated: u64,
    /// The next block needs a decision.
    pub is_undecided: bool,
}

pub struct Pages {
    pub glyphs: Glyphs,
    pub layout: Option<Layout>,
    pub waiting: TextRows,
    /// Rows that are set at a time.
    block: usize,
    /// Those at the beginning of `waiting` that were drawn.
    done: usize,
}

impl Pages {
    pub fn new(width: usize, most_text: usize, block: usize) -> Self {
        Self {
            glyphs: Glyphs::default(),
            layout: None,
            waiting: TextRows::new(width, most_text),
            block,
            done: 0,
        }
    }

    pub fn waiting_rows(&self) -> usize {
        self.waiting.len() - self.done
    }

    /// The texts of the first waiting rows.
    pub fn texts(&self, count: usize) -> Vec<Vec<&str>> {
        let rows = self.done..self.waiting.len().min(self.done + count);
        let width = self.waiting.width();
        rows.map(|row| (0..width).map(|column| self.waiting.cell(row, column)).collect()).collect()
    }

    /// Python has drawn some.
    pub fn pass_over(&mut self, rows: usize) {
        self.done += rows;
        self.drop_done();
    }

    /// Let go of what was drawn, unless more of it is about to be.
    fn drop_done(&mut self) {
        if self.waiting_rows() < self.block {
            self.waiting.drop_first(self.done);
            self.done = 0;
        }
    }

    /// The rows that were drawn and not dropped yet: where `go_back` goes to.
    pub fn done(&self) -> usize {
        self.done
    }

    pub fn go_back(&mut self, done: usize) {
        self.done = done;
    }

    /// Draw blocks of waiting rows; the next page has a number. Fewer than a block stay.
    pub fn draw(&mut self, number: usize, level: i32) -> Drawn {
        let mut drawn = Drawn::default();
        let level = CompressionLvl::new(level).unwrap_or_default();
        let mut compressor = Compressor::new(level);
        let (mut page, mut packed, mut head) = (Vec::new(), Vec::new(), Vec::new());
        while self.waiting_rows() >= self.block {
            let Some(layout) = &self.layout else {
                drawn.is_undecided = true;
                break;
            };
            let first = number + drawn.pages.len();
            let mut block = Block {
                setter: Setter::new(layout, &self.glyphs),
                glyphs: &self.glyphs,
                layout,
                rows: &self.waiting,
                start: self.done,
                end: self.done + self.block,
                head: &mut head,
            };
            let before = drawn.pages.len();
            let mut keep = |content: &[u8]| {
                packed.resize(compressor.zlib_compress_bound(content.len()), 0);
                let length = compressor.zlib_compress(content, &mut packed).ok()?;
                drawn.pages.push(packed[..length].to_vec());
                Some(())
            };
            match block.draw(first, &mut page, &mut keep) {
                Ok(found) => {
                    self.done += found.rows;
                    drawn.replaced += found.replaced;
                    drawn.truncated += found.truncated;
                }
                Err(Undecided) => {
                    drawn.pages.truncate(before);
                    drawn.is_undecided = true;
                    break;
                }
            }
        }
        self.drop_done();
        drawn
    }
}

#[derive(Default)]
struct Found {
    rows: usize,
    replaced: u64,
    truncated: u64,
}

/// Some rows that are set at once.
struct Block<'l> {
    setter: Setter<'l>,
    glyphs: &'l Glyphs,
    layout: &'l Layout,
    rows: &'l TextRows,
    start: usize,
    end: usize,
    /// What stands before the rows of each page, if they have one line each.
    head: &'l mut Vec<u8>,
}

/// A row that is set: its cells' bytes in an arena.
#[derive(Default)]
struct SetRow {
    cells: Vec<(usize, usize)>,
    lines: usize,
    cut: u64,
    replaced: u64,
}

type Keep<'k> = &'k mut dyn FnMut(&[u8]) -> Option<()>;

impl Block<'_> {
    fn draw(&mut self, number: usize, page: &mut Vec<u8>, keep: Keep) -> Result<Found, Undecided> {
        if self.layout.wraps {
            self.draw_wrapped(number, page, keep)
        } else {
            self.draw_cut(number, page, keep)
        }
    }

    /// One page, whose rows have one line each.
    fn draw_cut(
        &mut self,
        number: usize,
        page: &mut Vec<u8>,
        keep: Keep,
    ) -> Result<Found, Undecided> {
        let layout = self.layout;
        let mut found = Found { rows: self.end - self.start, ..Found::default() };
        if self.head.is_empty() {
            let mut head = Vec::new();
            self.begin(&mut head, &vec![1; found.rows]);
            *self.head = head;
        }
        page.clear();
        page.extend_from_slice(self.head);
        let mut way = Vec::new();
        self.first_way(1, &mut way);
        for row in self.start..self.end {
            let is_first = row == self.start;
            page.extend_from_slice(if is_first { &way[b")Tj".len()..] } else { &way });
            for (place, column) in layout.columns.iter().enumerate() {
                if place > 0 {
                    page.extend_from_slice(&layout.others[place - 1]);
                }
                let set = self.setter.cell(self.rows.cell(row, place), column, page)?;
                found.truncated += u64::from(set.is_cut);
                found.replaced += u64::from(set.replaced);
            }
        }
        self.finish(page, number)?;
        keep(page).ok_or(Undecided)?;
        Ok(found)
    }

    /// As many pages as the rows fill.
    fn draw_wrapped(
        &mut self,
        number: usize,
        page: &mut Vec<u8>,
        keep: Keep,
    ) -> Result<Found, Undecided> {
        let (layout, mut arena, mut found) = (self.layout, Vec::new(), Found::default());
        let rows = self.set_rows(&mut arena)?;
        let (mut start, mut number) = (0, number);
        while start < rows.len() {
            let (end, is_full) = self.page_end(&rows, start);
            if !is_full {
                break;
            }
            if end == start {
                return Err(Undecided);
            }
            let lines: Vec<usize> = rows[start..end].iter().map(|row| row.lines).collect();
            page.clear();
            self.begin(page, &lines);
            let mut way = Vec::new();
            for (place, row) in rows[start..end].iter().enumerate() {
                way.clear();
                self.first_way(lines[place.saturating_sub(1)], &mut way);
                page.extend_from_slice(if place == 0 { &way[b")Tj".len()..] } else { &way });
                for (column, &(from, to)) in row.cells.iter().enumerate() {
                    if column > 0 {
                        page.extend_from_slice(&layout.others[column - 1]);
                    }
                    page.extend_from_slice(&arena[from..to]);
                }
                found.truncated += row.cut;
                found.replaced += row.replaced;
            }
            self.finish(page, number)?;
            keep(page).ok_or(Undecided)?;
            number += 1;
            start = end;
        }
        found.rows = start;
        Ok(found)
    }

    fn set_rows(&mut self, arena: &mut Vec<u8>) -> Result<Vec<SetRow>, Undecided> {
        (self.start..self.end)
            .map(|number| {
                let mut row = SetRow { lines: 1, ..SetRow::default() };
                for (place, column) in self.layout.columns.iter().enumerate() {
                    let from = arena.len();
                    let Set { lines, is_cut, replaced } =
                        self.setter.cell(self.rows.cell(number, place), column, arena)?;
                    row.cells.push((from, arena.len()));
                    row.lines = row.lines.max(lines);
                    row.cut += u64::from(is_cut);
                    row.replaced += u64::from(replaced);
                }
                Ok(row)
            })
            .collect()
    }

    /// Where a page ends, and whether no more rows could stand on it: `PageTable.page_end`.
    fn page_end(&self, rows: &[SetRow], start: usize) -> (usize, bool) {
        let (heights, most) = (&self.layout.heights, self.layout.records);
        let last = rows.len().min(start + most);
        let (mut reached, mut end) = (0.0, start);
        for (place, row) in rows[start..last].iter().enumerate() {
            let height = heights.of(row.lines);
            reached = if place == 0 { height } else { reached + height };
            end += usize::from(reached <= heights.room);
        }
        (end, end < last || end - start == most)
    }

    /// The way across and down to a row's first cell.
    fn first_way(&self, lines: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.layout.first.0);
        write_points(-self.layout.heights.of(lines), out);
        out.extend_from_slice(&self.layout.first.1);
    }

    /// All that stands before a page's rows.
    fn begin(&self, page: &mut Vec<u8>, lines: &[usize]) {
        let (layout, heights) = (self.layout, &self.layout.heights);
        page.extend_from_slice(&layout.parts.top);
        let mut depth = 0.0;
        for (place, &count) in lines.iter().enumerate() {
            let height = heights.of(count);
            depth = if place == 0 { height } else { depth + height };
            if place % 2 == 1 {
                page.extend_from_slice(&layout.band.0);
                page.push(b' ');
                write_points(heights.top - depth, page);
                page.push(b' ');
                page.extend_from_slice(&layout.band.1);
                page.push(b' ');
                write_points(height, page);
                page.extend_from_slice(b" re\n");
            }
        }
        page.extend_from_slice(&layout.parts.after_bands);
        let above = heights.top + heights.of(lines[0]) - heights.row / 2.0;
        write_points(above - layout.drop, page);
        page.extend_from_slice(b" Td");
    }

    /// All that stands after its rows.
    fn finish(&self, page: &mut Vec<u8>, number: usize) -> Result<(), Undecided> {
        let (layout, mut line) = (self.layout, Vec::new());
        page.extend_from_slice(b")Tj ET\n");
        page.extend_from_slice(&layout.parts.before_number);
        self.glyphs.show(&format!("Page {number} of "), &mut line)?;
        // Another font would be switched to in the size of the footer.
        if !line.iter().all(|glyph| matches!(glyph.code, Code::Base(_))) {
            return Err(Undecided);
        }
        self.setter.encode(&line, page);
        page.extend_from_slice(&layout.parts.after_number);
        write_points(layout.end_of_number(width(&line)), page);
        page.extend_from_slice(&layout.parts.after_end);
        Ok(())
    }
}
