//! What Python sees: the module `sluice_native`.
//!
//! Each encoder is made once per export and holds nothing that changes, so any thread may use it.
//! Invariant: no panic reaches Python, whose `except Exception` does not catch one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::batch::Table;
use crate::csv::{Csv, CsvOptions};

/// `(export_id, seq, last, total_rows, rows, data)`.
type Encoded<'py> = (String, u64, bool, Option<u64>, usize, Bound<'py, PyBytes>);

/// A panic is a fault of ours: its message goes to stderr, and Python encodes instead.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
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
        let table = Table::new(keys, &types)
            .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("an unknown column type"))?;
        Ok(Self { table, csv })
    }

    /// Encode a record, with the interpreter's lock released.
    ///
    /// `begun`: the file's beginning was written. Returns `None` where Python is to encode it.
    fn encode<'py>(
        &self,
        value: &Bound<'py, PyBytes>,
        begun: bool,
        most_bytes: usize,
    ) -> Option<Encoded<'py>> {
        let (py, bytes) = (value.py(), value.as_bytes());
        let work = || self.csv.encode(bytes, &self.table, begun, most_bytes);
        let (batch, data) = py.detach(|| guarded(work))?;
        let id = batch.export_id.to_owned();
        let data = PyBytes::new(py, &data);
        Some((id, batch.seq, batch.last, batch.total_rows, batch.rows, data))
    }
}

/// Sluice's encoders in Rust.
#[pymodule]
mod sluice_native {
    #[pymodule_export]
    use super::CsvEncoder;
    #[pymodule_export]
    use crate::pdf::binding::{PdfPages, PdfRecords, PdfRows};

    /// Compared with the one that Sluice was written for, when it is loaded.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
