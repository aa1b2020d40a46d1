"""The interface of every format: rows in, bytes out.

No format does I/O. Invariant: the same request and rows give the same bytes, however the rows are
divided into pieces.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from schemas.records import Batch, Cell, EncodedRows
from schemas.requests import ExportRequested


class FormatWriter(Protocol):
    """Encodes one export. Not thread-safe; one thread at a time calls it.

    Memory does not grow with the number of rows.
    """

    @property
    def pages(self) -> int | None:
        """Pages so far, or None if the format has none."""

    @property
    def replaced_characters(self) -> int | None:
        """Characters replaced so far, or None if that can't happen."""

    @property
    def truncated_cells(self) -> int | None:
        """Cells truncated so far, or None if that can't happen."""

    @property
    def is_behind(self) -> bool:
        """Whether rows were taken that take long to encode: ``append`` none, until it isn't."""

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Encode rows; each has exactly one cell per column, in column order.

        Returns the bytes ready to be written; there may be none.

        Raises:
            ExportFailure: a cell can't be written; the export must end.
        """

    def finish(self) -> Iterator[bytes]:
        """The last bytes of the file, in pieces. Call it once, after the last ``append``.

        Raises:
            ExportFailure: as ``append``, while it is read.
        """


class WholeCells:
    """A ``FormatWriter`` that has no pages, and encodes every cell and character whole, at once."""

    is_behind: bool = False
    pages: int | None = None
    replaced_characters: int | None = None
    truncated_cells: int | None = None


class BatchEncoder(Protocol):
    """Encodes batches of one export from their records' bytes, without Python objects.

    It is immutable, so any thread may use it.
    """

    def encode(self, value: bytes, writer: FormatWriter | None, most_bytes: int) -> Batch | None:
        """The batch with ``EncodedRows``, whose bytes follow those written by ``writer``.

        ``writer`` is None before the file is begun. Returns None if Python has to decode the record
        and encode its rows: whenever that may fail or produce more than ``most_bytes``.
        """

    def adopt(self, writer: FormatWriter, rows: EncodedRows) -> bytes:
        """The bytes of such rows; ``writer`` continues after them."""


class Encoders(Protocol):
    """A node's encoders, besides its formats' writers."""

    name: str

    def encoder(self, request: ExportRequested) -> BatchEncoder:
        """The encoder for an export's batches."""
