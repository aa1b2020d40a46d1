"""The encoders in Rust (``native/``): from a record's bytes to the file's, at one go.

They are of use where the wheel is installed, and nothing depends on it. Invariant: what one of them
answers is exactly what decoding and the format's writer would make, or None: then Python does it,
and words what is wrong.
"""

from importlib import import_module
from typing import Any, Final, Protocol, cast

import structlog

from consumer.formats.base import BatchEncoder, Encoders, FormatWriter
from consumer.formats.csv import CsvWriter
from consumer.formats.pdf.native_pages import NativePdfModule
from consumer.formats.pdf.native_records import NativePdf
from schemas.records import Batch, EncodedRows
from schemas.requests import ExportRequested
from schemas.vocabulary import Format

log = structlog.get_logger(__name__)

VERSION: Final = "0.2.0"
"""Of the crate that this code was written for."""
_MODULE = "sluice_native"

_Encoded = tuple[str, int, bool, int | None, int, bytes]


class _CsvEncoder(Protocol):
    def encode(self, value: bytes, begun: bool, most_bytes: int) -> _Encoded | None: ...


class Native(NativePdfModule, Protocol):
    """The module that ``native/src/binding.rs`` makes."""

    VERSION: str

    def CsvEncoder(  # noqa: N802 - it is a class
        self,
        keys: list[str],
        types: list[str | None],
        **options: Any,  # noqa: ANN401
    ) -> _CsvEncoder:
        """See ``CsvWriter.native_options``."""


def find_encoders() -> Encoders:
    """The native ones, if they can be used."""
    native = load()
    return NativeEncoders(native) if native else PythonEncoders()


def load() -> Native | None:
    """The module, if it is installed and of the version that belongs to this code."""
    try:
        native = cast("Native", import_module(_MODULE))
        version = native.VERSION
    except ModuleNotFoundError:  # usual
        return None
    except (ImportError, AttributeError) as error:
        log.warning("native encoders not used", reason=str(error))
        return None
    if version != VERSION:
        reason = f"they are of version {version}, and {VERSION} belongs to this code"
        log.warning("native encoders not used", reason=reason)
        return None
    return native


class _Python:
    """Stands where a format has no native encoder."""

    def encode(self, value: bytes, writer: FormatWriter | None, most_bytes: int) -> None:
        """Leave it to Python."""

    def adopt(self, writer: FormatWriter, rows: EncodedRows) -> bytes:
        """Never called, as there are no such rows."""
        raise TypeError("no rows are encoded here")


class PythonEncoders:
    """None: the formats' writers do it all; ``Encoders``."""

    name = "python"

    def encoder(self, request: ExportRequested) -> BatchEncoder:
        """What encodes nothing."""
        return _Python()


class NativeEncoders:
    """Those in Rust, for the formats that have one; ``Encoders``."""

    name = "native"

    def __init__(self, native: Native) -> None:
        self._native = native

    def encoder(self, request: ExportRequested) -> BatchEncoder:
        """The encoder of an export's batches."""
        match request.format:
            case Format.CSV:
                return NativeCsv(self._native, request)
            case Format.PDF:
                return NativePdf(self._native, request)
            case _:
                return _Python()


class NativeCsv:
    """Encodes the batches of one CSV export; a ``BatchEncoder``."""

    def __init__(self, native: Native, request: ExportRequested) -> None:
        columns = request.columns
        self._encoder = native.CsvEncoder(
            [column.key for column in columns],
            [column.type for column in columns],
            **CsvWriter(request).native_options(),
        )

    def encode(self, value: bytes, writer: FormatWriter | None, most_bytes: int) -> Batch | None:
        """See ``BatchEncoder``."""
        begun = isinstance(writer, CsvWriter) and writer.begun
        found = self._encoder.encode(value, begun, most_bytes)
        if found is None:
            return None
        export_id, seq, last, total_rows, count, data = found
        return Batch(export_id, seq, [], last, total_rows, encoded=EncodedRows(count, data))

    def adopt(self, writer: FormatWriter, rows: EncodedRows) -> bytes:
        """See ``BatchEncoder``."""
        assert isinstance(writer, CsvWriter), "the writer is that of the format"  # noqa: S101
        writer.go_on_after_rows()
        return rows.data
