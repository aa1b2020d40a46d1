"""Which rows the consumer will take: their shape and size, checked before they are published.

Pure. The shapes are those of ``consumer.core.assembly``, which has the last word. Invariant: a row
without a finding fits a message.
"""

from collections.abc import Iterable, Sequence

from producer.batching import ROW_MAX_BYTES, encode_row

_SURELY_FITS_BYTES = 500
"""Text that is shorter makes no row that is too large, or too deep to be written again."""


class RowCheck:
    """Finds what is wrong with rows of these column keys; None: the columns aren't known."""

    def __init__(self, keys: Iterable[str] | None) -> None:
        self._keys = None if keys is None else frozenset(keys)

    def finding(self, row: object, text_bytes: int) -> str | None:
        """What is wrong with a row, which was read from at most so many bytes; or None."""
        if isinstance(row, list | dict):
            shape = self._shape(row)
            if shape or text_bytes <= _SURELY_FITS_BYTES:
                return shape
            return _size(row)
        return "must be an array or an object"

    def _shape(self, row: Sequence[object] | dict[str, object]) -> str | None:
        if self._keys is None:
            return None
        if isinstance(row, dict):
            if row.keys() <= self._keys:
                return None
            return f"{min(row.keys() - self._keys)!r:.80} is no column"
        if len(row) == len(self._keys):
            return None
        return f"has {len(row)} cells for {len(self._keys)} columns"


def _size(row: list[object] | dict[str, object]) -> str | None:
    try:
        size_bytes = len(encode_row(row))
    except (TypeError, ValueError, RecursionError):
        return "is nested too deep"
    if size_bytes > ROW_MAX_BYTES:
        return f"its {size_bytes:,} bytes don't fit a message; at most {ROW_MAX_BYTES:,} do"
    return None
