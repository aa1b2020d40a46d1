"""Verifies a finished file's content against its manifest by counting again.

Invariant: a file is read in pieces, whatever is in it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from consumer.verify.decompression import PIECE_BYTES, content_of
from consumer.verify.row_counter import RowCounter, looks_headed, row_counter
from schemas.completions import ExportCompleted
from schemas.times import format_time
from schemas.vocabulary import Format

HasHeader: TypeAlias = Callable[[ExportCompleted], bool | None]
"""Whether a CSV was requested with a header line; None if unknown."""


class Content(Protocol):
    """A file that can be read more than once, as ``BinaryIO``."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end."""

    def seek(self, offset: int, /) -> int:
        """Read on from an offset."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an export's file matches its manifest, and how it differs."""

    name: str
    good: bool
    words: str


def removed(name: str, event: ExportCompleted) -> Verdict | None:
    """The verdict on a missing file that has expired, as it should."""
    if event.expires_at is None or not event.expired(datetime.now(UTC)):
        return None
    return Verdict(name, True, f"expired at {format_time(event.expires_at)}, removed")


class ContentVerifier:
    """Verifies contents; ``has_header`` is called only where the manifest leaves it open.

    ``on_read`` is called with the number of bytes read, a piece at a time.
    """

    def __init__(
        self, has_header: HasHeader, on_read: Callable[[int], None] = lambda _: None
    ) -> None:
        self._has_header = has_header
        self._on_read = on_read

    def verify(self, name: str, content: Content, event: ExportCompleted) -> Verdict:
        """A file of this name that stands at its beginning. Raises as reading it does."""
        hashed = _Hashed(content, self._on_read)
        counted = _counted(hashed, event)
        # After the hash: the beginning may be read once more.
        rows = self._rows(content, counted, event)
        facts = [
            ("bytes", hashed.size, event.bytes),
            ("rows", rows, event.rows),
            ("pages", counted.pages, event.pages),
            ("sha256", hashed.sha256, event.sha256),
        ]
        differ = [
            f"{fact} {found}, manifest {stated}" for fact, found, stated in facts if found != stated
        ]
        if differ:
            return Verdict(name, False, "differs: " + "; ".join(differ))
        pages = "" if counted.pages is None else f"{counted.pages} pages "
        words = f"{rows} rows {pages}{event.bytes} bytes sha256 {event.sha256}"
        if event.expired(datetime.now(UTC)):
            words += ", expired"
        return Verdict(name, True, words)

    def _rows(self, content: Content, counted: RowCounter, event: ExportCompleted) -> int:
        """Rows without a header line; whether there is one, no manifest says.

        As many records as rows: a CSV without a header line, or one row too few. One more: one
        with. Any other number is wrong in both cases.
        """
        if event.format != Format.CSV:
            return counted.rows
        is_open = counted.rows == event.rows
        headed = self._headed(content, event) if is_open else True
        return max(0, counted.rows - headed)

    def _headed(self, content: Content, event: ExportCompleted) -> bool:
        headed = self._has_header(event)
        if headed is None:
            content.seek(0)
            headed = looks_headed(next(content_of(content, event.compression), b""))
        return headed


class _Hashed:
    """A file that is hashed while it is read, once, from start to end."""

    def __init__(self, file: Content, on_read: Callable[[int], None]) -> None:
        self.size = 0
        self._on_read = on_read
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was read, in hexadecimal."""
        return self._digest.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        """Read as the file does."""
        piece = self._file.read(size)
        self.size += len(piece)
        self._on_read(len(piece))
        self._digest.update(piece)
        return piece


def _counted(file: _Hashed, event: ExportCompleted) -> RowCounter:
    """Read a file to its end; what is counted of its content."""
    counted = row_counter(event.format)
    for piece in content_of(file, event.compression):
        counted.feed(piece)
    while file.read(PIECE_BYTES):  # what follows the end of the compressed content
        pass
    return counted
