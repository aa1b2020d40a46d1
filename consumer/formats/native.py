"""The encoders in Rust (``native/``): from a record's bytes to the file's, at one go.

They are of use where the wheel is installed, and nothing depends on it. Invariant: what one of them
answers is exactly what decoding and the format's writer would make, or None: then Python does it,
and words what is wrong.
"""

from importlib import import_module
from typing import Any, Final, Protocol, cast

import structlog

from consumer.formats.csv import CsvWriter
from schemas.records import Batch, EncodedRows
from schemas.requests import ExportRequested

log = structlog.get_logger(__name__)

VERSION: Final = "0.1.0"
"""Of the crate that this code was written for."""
_MODULE = "sluice_native"

_Encoded = tuple[str, int, bool, int | None, int, bytes]


class _CsvEncoder(Protocol):
    def encode(self, value: bytes, begun: bool, most_bytes: int) -> _Encoded | None: ...


class Native(Protocol):
    """The module that ``native/src/binding.rs`` makes."""

    VERSION: str

    def CsvEncoder(  # noqa: N802 - it is a class
        self,
        keys: list[str],
        types: list[str | None],
        **options: Any,  # noqa: ANN401
    ) -> _CsvEncoder:
        """See ``CsvWriter.native_options``."""


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


class NativeCsv:
    """Encodes the batches of one CSV export. Holds nothing that changes."""

    def __init__(self, native: Native, request: ExportRequested) -> None:
        columns = request.columns
        self._encoder = native.CsvEncoder(
            [column.key for column in columns],
            [column.type for column in columns],
            **CsvWriter(request).native_options(),
        )

    def encode(self, value: bytes, *, begun: bool, most_bytes: int) -> Batch | None:
        """A record as a batch with its rows encoded, or None.

        ``begun``: the file's beginning was written. At most ``most_bytes`` are made.
        """
        found = self._encoder.encode(value, begun, most_bytes)
        if found is None:
            return None
        export_id, seq, last, total_rows, count, data = found
        return Batch(export_id, seq, [], last, total_rows, encoded=EncodedRows(count, data))
