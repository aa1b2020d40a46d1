//! What Python sees: the module `sluice_native`.
//!
//! Each encoder is made once per export and holds nothing that changes, so any thread may use it.
//! Invariant: no panic reaches Python, whose `except Exception` does not catch one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::batch::{Batch, Table};
use crate::csv::{Csv, CsvOptions};
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

/// Encode a record, with the interpreter's lock released.
fn encoded<'py>(
    value: &Bound<'py, PyBytes>,
    work: impl for<'a> FnOnce(&'a [u8]) -> Option<(Batch<'a>, Vec<u8>, usize)> + Send,
) -> Option<Encoded<'py>> {
    let (py, bytes) = (value.py(), value.as_bytes());
    let (batch, data, replaced) = py.detach(|| guarded(|| work(bytes)))?;
    let id = batch.export_id.to_owned();
    let data = PyBytes::new(py, &data);
    Some((id, batch.seq, batch.last, batch.total_rows, batch.rows, data, replaced))
}

fn table(keys: Vec<String>, types: &[Option<String>]) -> PyResult<Table> {
    Table::new(keys, types)
        .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("an unknown column type"))
}

/// Encodes the batches of one CSV export.
#[pyclass(frozen, module = "sluice_native")]
struct CsvEncoder {
    table: Table,
    csv: Csv,
}

#[pymethods]
impl CsvEncoder {
    /// `formulas` are `STARTS` and `PASSED_OVER` of `schemas.formulas`.
    #[new]
    #[pyo3(signature = (keys, types, *, delimiter, line_ending, quotes_all, decimal_comma, words, head, has_header, escapes, formulas))]
    #[allow(clippy::too_many_arguments, reason = "they are named, and each is an option")]
    fn new(
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
        Ok(Self { table: table(keys, &types)?, csv })
    }

    /// `begun`: the file's beginning was written. Returns `None` where Python is to encode it.
    fn encode<'py>(
        &self,
        value: &Bound<'py, PyBytes>,
        begun: bool,
        most_bytes: usize,
    ) -> Option<Encoded<'py>> {
        encoded(value, |bytes| {
            let (batch, data) = self.csv.encode(bytes, &self.table, begun, most_bytes)?;
            Some((batch, data, 0))
        })
    }
}

/// Encodes the batches of one JSON or NDJSON export.
#[pyclass(frozen, module = "sluice_native")]
struct JsonEncoder {
    table: Table,
    json: Json,
}

#[pymethods]
impl JsonEncoder {
    #[new]
    #[pyo3(signature = (keys, types, *, first, between))]
    fn new(
        keys: Vec<String>,
        types: Vec<Option<String>>,
        first: Vec<u8>,
        between: Vec<u8>,
    ) -> PyResult<Self> {
        let json = Json::new(&keys, first, between);
        Ok(Self { table: table(keys, &types)?, json })
    }

    /// `begun`: a row was written. Returns `None` where Python is to encode it.
    fn encode<'py>(
        &self,
        value: &Bound<'py, PyBytes>,
        begun: bool,
        most_bytes: usize,
    ) -> Option<Encoded<'py>> {
        encoded(value, |bytes| {
            let (batch, data) = self.json.encode(bytes, &self.table, begun, most_bytes)?;
            Some((batch, data, 0))
        })
    }
}

/// Encodes the batches of one XML export.
#[pyclass(frozen, module = "sluice_native")]
struct XmlEncoder {
    table: Table,
    xml: Xml,
}

#[pymethods]
impl XmlEncoder {
    /// `row` is what begins and ends one; `elements` are of each column what stands before and
    /// after its text, and what a null is.
    #[new]
    #[pyo3(signature = (keys, types, *, head, row, elements))]
    fn new(
        keys: Vec<String>,
        types: Vec<Option<String>>,
        head: Vec<u8>,
        row: [Vec<u8>; 2],
        elements: Vec<[Vec<u8>; 3]>,
    ) -> PyResult<Self> {
        let xml = Xml::new(XmlOptions { head, row, elements });
        Ok(Self { table: table(keys, &types)?, xml })
    }

    /// `begun`: the file's beginning was written. Returns `None` where Python is to encode it.
    fn encode<'py>(
        &self,
        value: &Bound<'py, PyBytes>,
        begun: bool,
        most_bytes: usize,
    ) -> Option<Encoded<'py>> {
        encoded(value, |bytes| self.xml.encode(bytes, &self.table, begun, most_bytes))
    }
}

/// Encodes the batches of one XLSX export, as XML that is still to be packed.
#[pyclass(frozen, module = "sluice_native")]
struct XlsxEncoder {
    table: Table,
    xlsx: Xlsx,
}

#[pymethods]
impl XlsxEncoder {
    /// `styles` are quoted, whole, date, timestamp, the same with milliseconds, and that of one
    /// decimal, as `styles.py` numbers them.
    #[new]
    #[pyo3(signature = (keys, types, *, styles, most_decimals, triggers, most_cell_characters, most_sheet_rows, days))]
    #[allow(clippy::too_many_arguments, reason = "they are named")]
    fn new(
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
        Ok(Self { table: table(keys, &types)?, xlsx })
    }

    /// `number` is the first row's in its sheet. Returns `None` where Python is to encode it.
    fn encode<'py>(
        &self,
        value: &Bound<'py, PyBytes>,
        number: usize,
        most_bytes: usize,
    ) -> Option<Encoded<'py>> {
        encoded(value, |bytes| {
            let (batch, data) = self.xlsx.encode(bytes, &self.table, number, most_bytes)?;
            Some((batch, data, 0))
        })
    }
}

/// Sluice's encoders in Rust.
#[pymodule]
mod sluice_native {
    #[pymodule_export]
    use super::{CsvEncoder, JsonEncoder, XlsxEncoder, XmlEncoder};
    #[pymodule_export]
    use crate::pdf::binding::{PdfPages, PdfRecords, PdfRows};

    /// Compared with the one that Sluice was written for, when it is loaded.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
