"""What every format does: rows in, bytes out.

No I/O here and in no format. Invariant: the same request and rows give the same bytes, in however
many pieces the rows come.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from schemas.records import Cell


class FormatWriter(Protocol):
    """Encodes one export. Not thread-safe; one thread at a time calls it.

    Memory does not grow with the number of rows.
    """

    @property
    def pages(self) -> int | None:
        """Pages so far, or None where the format has none."""

    @property
    def replaced_characters(self) -> int | None:
        """Characters that no font had so far, or None where it can't happen."""

    @property
    def truncated_cells(self) -> int | None:
        """Cells that are not shown whole so far, or None where all are."""

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Encode rows; each has exactly one cell per column, in column order.

        Returns the bytes that are ready to be written; there may be none.

        Raises:
            ExportFailure: a cell can't be written; the export must end.
        """

    def finish(self) -> Iterator[bytes]:
        """The last bytes of the file, in pieces. Call it once, after the last ``append``.

        Raises:
            ExportFailure: as ``append``, while it is read.
        """
