//! What Python sees: the module `sluice_native`.
//!
//! Each encoder is made once per export and holds nothing that changes, so any thread may use it.
//! Invariant: no panic reaches Python, whose `except Exception` does not catch one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::batch::Table;
use crate::csv::{Csv, CsvOptions};
use crate::format::Encode;
use crate::json::Json;
use crate::xlsx::{Styles, Xlsx, XlsxOptions};
use crate::xml::{Xml, XmlOptions};

/// `(export_id, seq, last, total_rows, rows, data, replaced)`; `replaced` are characters that the
/// format can't hold.
type Encoded<'py> = (String, u64, bool, Option<u64>, usize, Bound<'py, PyBytes>, usize);

/// A panic is a fault of ours: its message goes to stderr, and Python encodes instead.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

/// Encodes the batches of one export, in a format whose rows follow each other.
#[pyclass(frozen, module = "sluice_native")]
struct RowEncoder {
    table: Table,
    format: Box<dyn Encode>,
}

impl RowEncoder {
    fn of(
        keys: Vec<String>,
        types: &[Option<String>],
        format: impl Encode + 'static,
    ) -> PyResult<Self> {
        let table = Table::new(keys, types)
            .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("an unknown column type"))?;
        Ok(Self { table, format: Box::new(format) })
    }
}

#[pymethods]
impl RowEncoder {
    /// `formulas` are `STARTS` and `PASSED_OVER` of `schemas.formulas`.
    #[staticmethod]
    #[pyo3(signature = (keys, types, *, delimiter, line_ending, quotes_all, decimal_comma, words, head, has_header, escapes, formulas))]
    #[allow(clippy::too_many_arguments, reason = "they are named, and each is an option")]
    fn csv(
        keys: Vec<String>,
        types: Vec<Option<String>>,
        delimiter: String,
        line_ending: String,
        quotes_all: bool,
        decimal_comma: bool,
        words: [String; 3],
        head: Vec<u8>,
        has_header: bool,
        escapes: bool,
        formulas: (String, String),
    ) -> PyResult<Self> {
        let options = CsvOptions {
            delimiter,
            line_ending,
            quotes_all,
            decimal_comma,
            words,
            head,
            has_header,
        };
        let csv = Csv::new(options, keys.len(), escapes, (&formulas.0, &formulas.1));
        Self::of(keys, &types, csv)
    }

    /// Of JSON or NDJSON.
    #[staticmethod]
    #[pyo3(signature = (keys, types, *, first, between))]
    fn json(
        keys: Vec<String>,
        types: Vec<Option<String>>,
        first: Vec<u8>,
        between: Vec<u8>,
    ) -> PyResult<Self> {
        let json = Json::new(&keys, first, between);
        Self::of(keys, &types, json)
    }

    /// `row` is what begins and ends one; `elements` are of each column what stands before and
    /// after its text, and what a null is.
    #[staticmethod]
    #[pyo3(signature = (keys, types, *, head, row, elements))]
    fn xml(
        keys: Vec<String>,
        types: Vec<Option<String>>,
        head: Vec<u8>,
        row: [Vec<u8>; 2],
        elements: Vec<[Vec<u8>; 3]>,
    ) -> PyResult<Self> {
        Self::of(keys, &types, Xml::new(XmlOptions { head, row, elements }))
    }

    /// `styles` are quoted, whole, date, timestamp, the same with milliseconds, and that of one
    /// decimal, as `styles.py` numbers them. Parts are XML that is still to be packed.
    #[staticmethod]
    #[pyo3(signature = (keys, types, *, styles, most_decimals, triggers, most_cell_characters, most_sheet_rows, days))]
    #[allow(clippy::too_many_arguments, reason = "they are named")]
    fn xlsx(
        keys: Vec<String>,
        types: Vec<Option<String>>,
        styles: [usize; 6],
        most_decimals: usize,
        triggers: Vec<u8>,
        most_cell_characters: usize,
        most_sheet_rows: usize,
        days: (i64, i64),
    ) -> PyResult<Self> {
        let [quoted, whole, date, timestamp, timestamp_millis, fraction] = styles;
        let styles =
            Styles { quoted, whole, date, timestamp, timestamp_millis, fraction, most_decimals };
        let options = XlsxOptions { styles, triggers, most_cell_characters, most_sheet_rows, days };
        let xlsx = Xlsx::new(options, &types);
        Self::of(keys, &types, xlsx)
    }

    /// Encode a record, with the interpreter's lock released; `None` where Python is to do it.
    ///
    /// `place` is where its first row goes: its number in a sheet, else 0 if nothing of the file
    /// is out.
    fn encode<'py>(
        &self,
        value: &Bound<'py, PyBytes>,
        place: usize,
        most_bytes: usize,
    ) -> Option<Encoded<'py>> {
        let (py, bytes) = (value.py(), value.as_bytes());
        let work = || self.format.encode(bytes, &self.table, place, most_bytes);
        let (batch, part) = py.detach(|| guarded(work))?;
        let id = batch.export_id.to_owned();
        let data = PyBytes::new(py, &part.data);
        Some((id, batch.seq, batch.last, batch.total_rows, batch.rows, data, part.replaced))
    }
}

/// Sluice's encoders in Rust.
#[pymodule]
mod sluice_native {
    #[pymodule_export]
    use super::RowEncoder;
    #[pymodule_export]
    use crate::pdf::binding::{PdfPages, PdfRecords, PdfRows};

    /// Compared with the one that Sluice was written for, when it is loaded.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
