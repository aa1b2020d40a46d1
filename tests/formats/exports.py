"""An export of every kind of cell in any format, and the command that prints its SHA-256.

``python -m tests.formats.exports FORMAT`` makes the file in a process of its own, so that whatever
differs from process to process would show.
"""

import hashlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from consumer.formats.base import FormatWriter
from consumer.formats.registry import Formats
from schemas.records import Cell
from schemas.requests import Column, ExportRequested
from schemas.vocabulary import Format

REQUESTED_AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
COLUMNS = ("id", "name", "amount", "paid", "note", "tags", "meta")


def new_writer(
    file_format: Format = Format.CSV, columns: tuple[str, ...] = COLUMNS
) -> FormatWriter:
    """A writer as a node makes it."""
    request = ExportRequested(
        export_id="ord-2026-11",
        format=file_format,
        columns=tuple(Column(key=key) for key in columns),
        title="Sipariş özeti",
        requested_at=REQUESTED_AT,
    )
    return Formats().writer(request, REQUESTED_AT)


def rows(count: int, start: int = 0) -> list[list[Cell]]:
    """Reproducible rows: every kind of cell, and the same characters in every thousand."""
    return list(_rows(start, start + count))


def _rows(start: int, end: int) -> Iterator[list[Cell]]:
    names = ("Gülşen Öğüt", "Łukasz Żak", "Ελένη", "Борис", 'Ann "A", Lee', "=1+1", "Zoë\nIna")
    for number in range(start, end):
        yield [
            number,
            names[number % len(names)],
            number / 8,
            number % 2 == 0,
            None if number % 3 else f"note {number}",
            [number % 10, None],
            {"b": number % 5, "a": 2**70},
        ]


def whole(writer: FormatWriter, cells: list[list[Cell]]) -> bytes:
    """A file made at one go."""
    return writer.append(cells) + b"".join(writer.finish())


def main() -> None:
    """Print the hash of 500 rows in the format that the first argument names."""
    made = whole(new_writer(Format(sys.argv[1])), rows(500))
    sys.stdout.write(hashlib.sha256(made).hexdigest())


if __name__ == "__main__":
    main()
