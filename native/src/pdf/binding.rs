//! What Python sees of PDFs. Locks are released while records are read and pages are drawn.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySlice};

use super::glyphs::{Code, Glyph};
use super::layout::{Align, Column, Heights, Layout, Parts, Whole};
use super::pages::{Drawn, Pages};
use super::rows::TextRows;
use crate::batch::Table;
use crate::binding::guarded;

/// Rows of a record in column order, checked. A sequence as far as `Batch` needs one.
#[pyclass(frozen, module = "sluice_native")]
pub struct PdfRows {
    rows: std::sync::Arc<TextRows>,
    start: usize,
    end: usize,
}

#[pymethods]
impl PdfRows {
    fn __len__(&self) -> usize {
        self.end - self.start
    }

    fn __getitem__(&self, slice: &Bound<'_, PySlice>) -> PyResult<Self> {
        let found = slice.indices((self.end - self.start) as isize)?;
        if found.step != 1 {
            return Err(PyValueError::new_err("rows come in order"));
        }
        let (first, count) = (self.start + found.start as usize, found.slicelength);
        Ok(Self { rows: self.rows.clone(), start: first, end: first + count })
    }

    /// Of texts, shortened.
    #[getter]
    fn characters(&self) -> usize {
        self.rows.characters(self.start..self.end)
    }
}

/// `(export_id, seq, last, total_rows, rows)`.
type Read = (String, u64, bool, Option<u64>, PdfRows);

/// Reads the batches of one PDF export.
#[pyclass(frozen, module = "sluice_native")]
pub struct PdfRecords {
    table: Table,
    most_text: usize,
}

#[pymethods]
impl PdfRecords {
    /// Of a cell's text `most_text` characters are kept.
    #[new]
    fn new(keys: Vec<String>, types: Vec<Option<String>>, most_text: usize) -> PyResult<Self> {
        let table = Table::new(keys, &types)
            .ok_or_else(|| PyValueError::new_err("an unknown column type"))?;
        Ok(Self { table, most_text })
    }

    /// Read a record; `None` where Python is to read it.
    fn read(&self, value: &Bound<'_, PyBytes>) -> Option<Read> {
        let (py, bytes) = (value.py(), value.as_bytes());
        let work = || TextRows::read(bytes, &self.table, self.most_text);
        let (batch, rows) = py.detach(|| guarded(work))?;
        let end = rows.len();
        let rows = PdfRows { rows: std::sync::Arc::new(rows), start: 0, end };
        Some((batch.export_id.to_owned(), batch.seq, batch.last, batch.total_rows, rows))
    }
}

/// `(character, code, font, advance, shown, is_decimal, is_replaced)`; the font is a composite's
/// number, or -1 for the base font, or -2 where nothing is shown.
type GlyphTuple = (char, Vec<u8>, i32, u32, char, bool, bool);
/// `(room, align, whole, widest_whole, widest_text)`.
type ColumnTuple = (u32, String, Option<bool>, u32, u32);
/// `(top, room, row, line, most_lines)`.
type HeightsTuple = (f64, f64, f64, f64, usize);

fn column((room, align, whole, widest_whole, widest_text): ColumnTuple) -> PyResult<Column> {
    let align = match align.as_str() {
        "left" => Align::Left,
        "right" => Align::Right,
        "center" => Align::Center,
        _ => return Err(PyValueError::new_err("an unknown alignment")),
    };
    let whole = match whole {
        Some(true) => Whole::All,
        Some(false) => Whole::None,
        None => Whole::ByText,
    };
    Ok(Column { room, align, whole, widest_whole, widest_text })
}

fn too_many() -> PyErr {
    PyValueError::new_err("more than 4 GiB of text wait for their page")
}

/// Draws the pages of one export: one thread at a time.
#[pyclass(module = "sluice_native")]
pub struct PdfPages {
    pages: Pages,
    level: i32,
}

#[pymethods]
impl PdfPages {
    /// `block`: rows that are set at a time; `level`: of compression.
    #[new]
    fn new(width: usize, most_text: usize, block: usize, level: i32) -> Self {
        Self { pages: Pages::new(width, most_text, block), level }
    }

    /// Further characters, and the names of all composite fonts.
    fn add_glyphs(&mut self, glyphs: Vec<GlyphTuple>, composites: Vec<Vec<u8>>) {
        self.pages.glyphs.composites = composites;
        for (character, code, font, advance, shown, is_decimal, is_replaced) in glyphs {
            let code = match (font, code.as_slice()) {
                (-2, _) => Code::Left,
                (-1, &[code]) => Code::Base(code),
                (0.., &[high, low]) => Code::Composite(font as u16, [high, low]),
                _ => continue,
            };
            let glyph = Glyph { code, advance, shown, is_decimal, is_replaced };
            self.pages.glyphs.add(character, glyph);
        }
    }

    /// How pages are laid out from now on.
    #[pyo3(signature = (columns, heights, *, wraps, records, top, after_bands, bottom, band, drop, first, others, size, base_font, margin, footer_size))]
    #[allow(clippy::too_many_arguments, reason = "they are named")]
    fn lay_out(
        &mut self,
        columns: Vec<ColumnTuple>,
        heights: HeightsTuple,
        wraps: bool,
        records: usize,
        top: Vec<u8>,
        after_bands: Vec<u8>,
        bottom: (Vec<u8>, Vec<u8>, Vec<u8>),
        band: (Vec<u8>, Vec<u8>),
        drop: f64,
        first: (Vec<u8>, Vec<u8>),
        others: Vec<Vec<u8>>,
        size: Vec<u8>,
        base_font: Vec<u8>,
        margin: f64,
        footer_size: f64,
    ) -> PyResult<()> {
        let (before_number, after_number, after_end) = bottom;
        let parts = Parts { top, after_bands, before_number, after_number, after_end };
        let (heights_top, room, row, line, most_lines) = heights;
        let heights = Heights { top: heights_top, room, row, line, most_lines };
        let columns = columns.into_iter().map(column).collect::<PyResult<_>>()?;
        self.pages.layout = Some(Layout {
            columns,
            heights,
            wraps,
            records,
            parts,
            band,
            drop,
            first,
            others,
            size,
            base_font,
            margin,
            footer_size,
        });
        Ok(())
    }

    /// How many rows wait.
    #[getter]
    fn waiting(&self) -> usize {
        self.pages.waiting_rows()
    }

    /// Take rows.
    fn add(&mut self, rows: &PdfRows) -> PyResult<()> {
        self.pages.waiting.extend(&rows.rows, rows.start..rows.end).ok_or_else(too_many)
    }

    /// Take rows that Python has read, as texts.
    fn add_texts(&mut self, rows: Vec<Vec<String>>) -> PyResult<()> {
        let mut cells = rows.iter().flatten();
        cells.try_for_each(|text| self.pages.waiting.push(text, true)).ok_or_else(too_many)
    }

    /// Draw pages, the first of which has a number, until a decision is due or rows are too few.
    ///
    /// Returns compressed contents, characters replaced, cells cut, and whether a decision is due.
    fn draw<'py>(
        &mut self,
        py: Python<'py>,
        number: usize,
    ) -> (Vec<Bound<'py, PyBytes>>, u64, u64, bool) {
        let (pages, level) = (&mut self.pages, self.level);
        let before = pages.done();
        let drawn = py.detach(|| guarded(|| Some(pages.draw(number, level))));
        // After a panic Python draws all of it, from where this began.
        let drawn = drawn.unwrap_or_else(|| {
            self.pages.go_back(before);
            Drawn { is_undecided: true, ..Drawn::default() }
        });
        let contents = drawn.pages.iter().map(|content| PyBytes::new(py, content)).collect();
        (contents, drawn.replaced, drawn.truncated, drawn.is_undecided)
    }

    /// The first waiting rows, as texts.
    fn texts(&self, count: usize) -> Vec<Vec<&str>> {
        self.pages.texts(count)
    }

    /// Python has drawn the first waiting rows.
    fn pass_over(&mut self, rows: usize) {
        self.pages.pass_over(rows);
    }
}
