"""How an undisturbed run ends an export: the rows, the file, or the fault in its batches.

Invariant: it uses no code of the service but the shapes of its events.
"""

import hashlib
from typing import NamedTuple

from schemas.completions import ExportCompleted
from schemas.vocabulary import DeadLetterReason, FailReason
from tests.model.upstream import Ask, Meaning, Rows, Rubbish

HEADER, FOOTER = b"head\n", b"foot\n"
"""Of the files that the model's format writes; a row is its cells and a line feed."""


class End(NamedTuple):
    """How an undisturbed run ends an export, and at which offset of the records."""

    offset: int
    rows: int
    reason: FailReason | None = None
    content: bytes = b""


def undisturbed(ask: Ask, records: list[tuple[int, Meaning]], most_bytes: int) -> End | None:
    """How the export ends by its batches alone; None: it does not."""
    if not ask.valid:
        return End(-1, 0, FailReason.INVALID_REQUEST)
    expected, rows, content = 0, 0, HEADER
    for offset, meaning in records:
        match meaning:
            case Rubbish(reason=DeadLetterReason.UNREADABLE, key=ask.export_id):
                return End(offset, rows, FailReason.INVALID_BATCH)
            case Rows(export_id=ask.export_id) if meaning.fields_right and meaning.seq < expected:
                continue
            case Rows(export_id=ask.export_id):
                fault, content = _applied(meaning, expected, rows, content, most_bytes)
            case _:
                continue
        if fault:
            return End(offset, rows, fault)
        expected += 1
        rows += len(meaning.rows)
        if meaning.last:
            return End(offset, rows, None, content)
    return None


def _applied(
    batch: Rows, expected: int, rows: int, content: bytes, most_bytes: int
) -> tuple[FailReason | None, bytes]:
    """What is wrong first with a batch, which is applied row by row, and the file with it."""
    if not batch.fields_right:
        return FailReason.INVALID_BATCH, content
    if batch.seq > expected:
        return FailReason.SEQUENCE_GAP, content
    for row in batch.rows:
        if len(row) != 1:
            return FailReason.INVALID_BATCH, content
        content += ",".join(row).encode() + b"\n"
        if len(content) > most_bytes:
            return FailReason.TOO_LARGE, content
    if batch.total is not None and batch.total != rows + len(batch.rows):
        return FailReason.ROW_COUNT_MISMATCH, content
    content += FOOTER if batch.last else b""
    return FailReason.TOO_LARGE if len(content) > most_bytes else None, content


def is_file_of(event: ExportCompleted, end: End) -> bool:
    sha256 = hashlib.sha256(end.content).hexdigest()
    return (event.rows, event.bytes, event.sha256) == (end.rows, len(end.content), sha256)
