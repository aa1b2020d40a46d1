"""The encoders in Rust (``native/``): from a record's bytes to the file's, in one step.

They are used if the wheel is installed; nothing requires it. Invariant: an encoder returns exactly
what decoding and the format's writer would produce, or None: then Python does the work and words
any error.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, Protocol, cast

import structlog

from consumer.formats.base import BatchEncoder, Encoders, FormatWriter
from consumer.formats.csv import CsvWriter
from consumer.formats.json import JsonWriter, NdjsonWriter
from consumer.formats.pdf.native_pages import NativePdfModule
from consumer.formats.pdf.native_records import NativePdf
from consumer.formats.xlsx import XlsxWriter
from consumer.formats.xml import XmlWriter
from schemas.records import Batch, EncodedRows
from schemas.requests import ExportRequested
from schemas.vocabulary import Format

log = structlog.get_logger(__name__)

VERSION: Final = "0.6.4"
"""Of the crate that this code was written for."""
_MODULE = "sluice_native"

_MOST_SHEET_BYTES: Final = 1024 * 1024
"""Of a sheet's XML that a batch makes at one go: packing it takes some 20 ms."""

_Encoded = tuple[str, int, bool, int | None, int, bytes, int]


class NativeWriter(FormatWriter, Protocol):
    """A writer that can continue after natively encoded rows."""

    @property
    def native_place(self) -> int | None:
        """The next row's place, in the form the format's encoder takes; None: not natively."""

    def native_options(self) -> dict[str, object]:
        """Options for the format's encoder, from a writer that has written nothing."""

    def adopt(self, rows: EncodedRows) -> bytes:
        """The file's bytes for such rows; the next rows follow them."""


class _RowEncoder(Protocol):
    def encode(self, value: bytes, place: int, most_bytes: int) -> _Encoded | None: ...


class _MakeEncoder(Protocol):
    def __call__(
        self,
        keys: Sequence[str],
        types: Sequence[str | None],
        **options: Any,  # noqa: ANN401
    ) -> _RowEncoder:
        """See ``native_options`` of the format's writer."""


class _RowEncoders(Protocol):
    csv: _MakeEncoder
    json: _MakeEncoder
    xml: _MakeEncoder
    xlsx: _MakeEncoder


class Native(NativePdfModule, Protocol):
    """The module that ``native/src/binding.rs`` makes."""

    VERSION: str
    RowEncoder: _RowEncoders


def find_encoders() -> Encoders:
    """The native encoders if they can be used, else Python's."""
    native = load()
    return NativeEncoders(native) if native else PythonEncoders()


def load() -> Native | None:
    """The module, if it is installed in the version that belongs to this code."""
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
    """Stands in for a format's missing native encoder."""

    def encode(self, value: bytes, writer: FormatWriter | None, most_bytes: int) -> None:
        """Return None: Python does it."""

    def adopt(self, writer: FormatWriter, rows: EncodedRows) -> bytes:
        """Never called, as there are no such rows."""
        raise TypeError("no rows are encoded here")


class PythonEncoders:
    """``Encoders`` that encode nothing: the formats' writers do it all."""

    name = "python"

    def encoder(self, request: ExportRequested) -> BatchEncoder:
        """An encoder that encodes nothing."""
        return _Python()


class NativeEncoders:
    """``Encoders`` in Rust, for the formats that have one."""

    name = "native"

    def __init__(self, native: Native) -> None:
        self._native = native

    def encoder(self, request: ExportRequested) -> BatchEncoder:
        """The encoder of an export's batches."""
        native, rows = self._native, self._native.RowEncoder
        match request.format:
            case Format.CSV:
                return NativeRows(rows.csv, CsvWriter(request), request)
            case Format.NDJSON:
                return NativeRows(rows.json, NdjsonWriter(request), request)
            case Format.JSON:
                return NativeRows(rows.json, JsonWriter(request), request)
            case Format.XML:
                return NativeRows(rows.xml, XmlWriter(request), request)
            case Format.XLSX:
                writer = XlsxWriter(request, dated_at=None)
                return NativeRows(rows.xlsx, writer, request, _MOST_SHEET_BYTES)
            case Format.PDF:
                return NativePdf(native, request)


class NativeRows:
    """Encodes the batches of one export, a row after the other; a ``BatchEncoder``.

    ``blank`` is a writer of the export that has written nothing; writers passed later have the same
    class.
    """

    def __init__(
        self,
        make: _MakeEncoder,
        blank: NativeWriter,
        request: ExportRequested,
        most_bytes: int | None = None,
    ) -> None:
        columns = request.columns
        keys, types = [column.key for column in columns], [column.type for column in columns]
        self._encoder = make(keys, types, **blank.native_options())
        self._first_place = blank.native_place
        self._most_bytes = most_bytes

    def encode(self, value: bytes, writer: FormatWriter | None, most_bytes: int) -> Batch | None:
        """See ``BatchEncoder``."""
        place = cast("NativeWriter", writer).native_place if writer else self._first_place
        if place is None:
            return None
        most_bytes = min(most_bytes, self._most_bytes or most_bytes)
        found = self._encoder.encode(value, place, most_bytes)
        if found is None:
            return None
        export_id, seq, last, total_rows, count, data, replaced = found
        rows = EncodedRows(count, data, replaced_characters=replaced)
        return Batch(export_id, seq, [], last, total_rows, encoded=rows)

    def adopt(self, writer: FormatWriter, rows: EncodedRows) -> bytes:
        """See ``BatchEncoder``."""
        return cast("NativeWriter", writer).adopt(rows)
