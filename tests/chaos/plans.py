"""What is published, and what has to come of it: an export's messages and the file they make.

Pure and reproducible: an export is its number, its size and its style. The expected file is made by
the product's own format writer, in one go and undisturbed. Invariant: a plan says which ends are
right whatever happens meanwhile; where a cancellation races with the last batch, both are.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import orjson

from consumer.formats.compression import new_compressor
from consumer.formats.registry import Formats
from schemas.codec import decode_request
from schemas.requests import ExportRequested
from schemas.vocabulary import Compression, FailReason, Format

COMPLETED: Final = "export.completed"
CANCELLED: Final = "export.cancelled"
FAILED: Final = "export.failed"

_COLUMNS = ["n", "name", {"key": "amount", "header": "Amount (EUR)"}, "paid", "note"]
_NAMES = ("Gülşen Öğüt", "Łukasz Żak", "Ελένη", 'Ann "A", Lee', "=1+1", "Zoë\nIna", "-5")
_FORMATS = {
    Format.CSV: 35,
    Format.PDF: 20,
    Format.XLSX: 15,
    Format.NDJSON: 10,
    Format.JSON: 10,
    Format.XML: 10,
}
_NEVER_COMPRESSED = {Format.PDF, Format.XLSX}
KEPT_SECONDS = 2
"""How long a file is kept that expires."""
_REQUESTED_AT = "2026-11-21T10:00:00Z"


class Style(StrEnum):
    """What an upstream does with an export."""

    PLAIN = "plain"
    REPEATED = "repeated"
    """Batches come again, one by one and as a whole run."""
    REQUESTED_TWICE = "requested twice"
    """The request comes again between the batches."""
    LATE = "late"
    """The request and a batch come again after the end."""
    EXPIRES = "expires"
    """Likewise, and its file is kept for some seconds."""
    GAP = "gap"
    """A batch is missing; the ones after it come."""
    MALFORMED = "malformed"
    """A row in the middle has too few cells."""
    INVALID = "invalid"
    """The request asks for a format that isn't there."""
    CANCELLED = "cancelled"
    """Cancelled in the middle; the last batch never comes."""
    CANCEL_RACES = "cancel races"
    """Cancelled right before the last batch."""
    KILLS = "kills"
    """A batch in the middle kills the node that has it in hand."""
    REQUEST_KILLS = "request kills"
    """The request does."""
    STRAY_KILLS = "stray kills"
    """A batch in the middle does, and its key doesn't say whose it is."""


WEIGHTS = {
    Style.PLAIN: 50,
    Style.REPEATED: 12,
    Style.REQUESTED_TWICE: 10,
    Style.LATE: 8,
    Style.EXPIRES: 8,
    Style.GAP: 5,
    Style.MALFORMED: 3,
    Style.INVALID: 2,
    Style.CANCELLED: 5,
    Style.CANCEL_RACES: 5,
}
_ENDS: dict[Style, set[tuple[str, FailReason | None]]] = {
    Style.GAP: {(FAILED, FailReason.SEQUENCE_GAP)},
    Style.MALFORMED: {(FAILED, FailReason.INVALID_BATCH)},
    Style.INVALID: {(FAILED, FailReason.INVALID_REQUEST)},
    Style.CANCELLED: {(CANCELLED, None)},
    Style.KILLS: {(FAILED, FailReason.INTERNAL)},
    Style.REQUEST_KILLS: {(FAILED, FailReason.INTERNAL)},
    Style.STRAY_KILLS: {(FAILED, FailReason.SEQUENCE_GAP)},
    Style.CANCEL_RACES: {(CANCELLED, None), (COMPLETED, None)},
}

_FAIL_IN_THE_MIDDLE = {Style.GAP, Style.MALFORMED, Style.KILLS, Style.STRAY_KILLS}


@dataclass(frozen=True, slots=True)
class Expected:
    """A file as it has to be."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """One export. ``batches`` are of equal size but the last. ``weapon`` is what it kills by.

    ``compression`` is the option of that name.
    """

    export_id: str
    number: int
    format: str
    rows: int
    batches: int
    style: Style = Style.PLAIN
    weapon: str = ""
    compression: str = Compression.NONE

    @property
    def ends(self) -> set[tuple[str, FailReason | None]]:
        """The types of terminal event, with their reasons, that are right."""
        return _ENDS.get(self.style, {(COMPLETED, None)})

    @property
    def failed_rows(self) -> int:
        """Rows that a failed export of this plan had applied."""
        whole = self.batches // 2 if self.style in _FAIL_IN_THE_MIDDLE else 0
        return sum(len(self._batch(seq)["rows"]) for seq in range(whole))

    def request(self) -> dict[str, Any]:
        """The request."""
        return {
            "type": "export.requested",
            "export_id": self.export_id,
            "format": "docx" if self.style is Style.INVALID else self.format,
            "columns": _COLUMNS,
            "title": self.weapon if self.style is Style.REQUEST_KILLS else f"Sipariş {self.number}",
            "user": f"user-{self.number % 5}",
            "requested_at": _REQUESTED_AT,
            **({"expires_in_seconds": KEPT_SECONDS} if self.style is Style.EXPIRES else {}),
            "options": {}
            if self.format in _NEVER_COMPRESSED
            else {"compression": self.compression},
        }

    def messages(self) -> Iterator[dict[str, Any]]:
        """What an upstream sends, in order; a message with a type is for the requests topic."""
        yield self.request()
        middle = self.batches // 2
        for seq in range(self.batches):
            batch = self._batch(seq)
            if seq == middle:
                if self.style is Style.REQUESTED_TWICE:
                    yield self.request()
                if self.style in (Style.CANCELLED, Style.CANCEL_RACES):
                    yield {"type": "export.cancel_requested", "export_id": self.export_id}
                if self.style is Style.CANCELLED:
                    return
                if self.style is Style.GAP:
                    continue
                self._spoil(batch["rows"])
                if self.style is Style.REPEATED:
                    yield from (self._batch(earlier) for earlier in range(seq))
            yield batch
            if self.style is Style.REPEATED and not batch["last"]:
                yield batch

    def _spoil(self, rows: list[list[Any]]) -> None:
        """Make the batch in the middle what the style says."""
        if self.style is Style.MALFORMED:
            rows[-1] = [1]
        if self.style in (Style.KILLS, Style.STRAY_KILLS):
            rows[0][1] = self.weapon

    def late_messages(self) -> Iterator[dict[str, Any]]:
        """What is sent after the end."""
        if self.style in (Style.LATE, Style.EXPIRES):
            yield self.request()
            yield self._batch(self.batches - 1)

    @cached_property
    def expected(self) -> Expected:
        """What the file of an undisturbed run is like."""
        made = self.file()
        return Expected(hashlib.sha256(made).hexdigest(), len(made))

    def file(self) -> bytes:
        """The file of an undisturbed run."""
        request = decode_request(orjson.dumps(self.request()))
        assert isinstance(request, ExportRequested)
        assert request.requested_at
        writer = Formats().writer(request, request.requested_at)
        rows = writer.append([_row(self.number, n) for n in range(self.rows)])
        compressor = new_compressor(request.compression)
        return compressor.compress(rows + b"".join(writer.finish())) + compressor.finish()

    def _batch(self, seq: int) -> dict[str, Any]:
        size = -(-self.rows // self.batches)
        rows = range(self.rows)[size * seq : size * (seq + 1)]
        return {
            "export_id": self.export_id,
            "seq": seq,
            "rows": [_row(self.number, n) for n in rows],
            "last": seq == self.batches - 1,
        }


def random_plan(chance: random.Random, prefix: str, number: int) -> Plan:
    """An export of mixed size (10 to 2,000 rows), format, compression and style."""
    rows = int(10 * 200 ** chance.random() ** 1.5)
    style = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    file_format = chance.choices(list(_FORMATS), list(_FORMATS.values()))[0]
    compression = chance.choice([Compression.NONE, *Compression])
    batches = chance.randint(3, 8)  # so that something follows the middle
    return Plan(f"{prefix}-{number}", number, file_format, rows, batches, style, "", compression)


def _row(number: int, index: int) -> list[Any]:
    name = _NAMES[(number + index) % len(_NAMES)]
    note = None if index % 3 else "ş"
    return [index, f"{name} {number}-{index}", index / 8, index % 2 == 0, note]
