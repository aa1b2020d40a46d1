"""What upstream services send: scripts of requests, batches and rubbish, right and wrong.

Each message carries its meaning, so that the oracle never decodes what the service decodes.
An export's request is in its log before any of its batches, as the contract asks, and may become
visible later than they do; but for upstreams that break the contract, and send a batch before.
Invariant: the batches of such an upstream, sent once more, differ from those that it sent before.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

import orjson

from schemas.vocabulary import DeadLetterReason
from tests.model.tape import Tape

PARTITION = 3
REQUESTS, RECORDS = "export.requests", "export.records"
SENT_AT_MS = 1_795_255_200_000


class Ask(NamedTuple):
    """``export.requested``; ``held``: in a transaction that ends later.

    A process dies on one that ``kills``, whenever it handles it.
    """

    export_id: str
    valid: bool = True
    held: bool = False
    kills: bool = False


class Cancel(NamedTuple):
    """``export.cancel_requested``."""

    export_id: str


class Rows(NamedTuple):
    """A batch. Without ``fields_right`` it has one that the contract doesn't name.

    ``kills``: as a request's.
    """

    export_id: str
    seq: int
    rows: tuple[tuple[str, ...], ...]
    last: bool = False
    total: int | None = None
    fields_right: bool = True
    kills: bool = False


class Rubbish(NamedTuple):
    """What can't be tied to an export."""

    topic: str
    reason: DeadLetterReason
    key: str | None = None


class Marker(NamedTuple):
    """What a consumer is never shown: the end of some transaction, or an aborted message."""

    topic: str


class Release(NamedTuple):
    """The transaction of a held request ends."""

    commits: bool


Meaning: TypeAlias = Ask | Cancel | Rows | Rubbish
Line: TypeAlias = Meaning | Marker | Release


class Sent(NamedTuple):
    """A consumed record."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    partition: int = PARTITION
    timestamp: int = SENT_AT_MS
    headers: Sequence[tuple[str, bytes]] = ()


def topic_of(meaning: Meaning) -> str:
    """Where it is sent."""
    match meaning:
        case Ask() | Cancel():
            return REQUESTS
        case Rows():
            return RECORDS
        case Rubbish():
            return meaning.topic


@cache
def encoded(meaning: Meaning) -> tuple[bytes | None, bytes | None]:
    """Key and value."""
    match meaning:
        case Ask():
            fields = {"type": "export.requested", "export_id": meaning.export_id, "format": "csv"}
            value: bytes | None = orjson.dumps(
                {**fields, "columns": ["n"]} if meaning.valid else fields
            )
        case Cancel():
            value = orjson.dumps(
                {"type": "export.cancel_requested", "export_id": meaning.export_id}
            )
        case Rows():
            value = orjson.dumps(_batch(meaning))
        case Rubbish():
            value = _RUBBISH[meaning.reason]
            return meaning.key.encode() if meaning.key else None, value
    return meaning.export_id.encode(), value


_RUBBISH: dict[DeadLetterReason, bytes | None] = {
    DeadLetterReason.UNREADABLE: b"{",
    DeadLetterReason.NULL_VALUE: None,
    DeadLetterReason.INVALID_ID: b'{"type": "export.requested", "export_id": "../x"}',
}


def _batch(batch: Rows) -> dict[str, object]:
    fields: dict[str, object] = {
        "export_id": batch.export_id,
        "seq": batch.seq,
        "rows": batch.rows,
        "last": batch.last,
    }
    if batch.total is not None:
        fields["total_rows"] = batch.total
    if not batch.fields_right:
        fields["bogus"] = True
    return fields


def script(tape: Tape, *, in_order: bool = False) -> list[Line]:
    """Up to three exports and some rubbish, mixed; each export's lines keep their order.

    ``in_order``: no upstream sends a batch before its request.
    """
    threads = [_export(tape, name, in_order=in_order) for name in "abc"[: 1 + tape.pick(3)]]
    if tape.once_in(3):
        threads.append([Marker((REQUESTS, RECORDS)[tape.pick(2)])])
    if tape.once_in(4):
        threads.append([Rows("nobody", 0, (("x",),), last=tape.once_in(2))])
    if tape.once_in(4):
        reasons = list(_RUBBISH)
        topic = (REQUESTS, RECORDS)[tape.pick(2)]
        threads.append([Rubbish(topic, reasons[tape.pick(len(reasons))], "nobody")])
    return _mixed(tape, threads)


def _mixed(tape: Tape, threads: list[list[Line]]) -> list[Line]:
    lines: list[Line] = []
    while threads:
        thread = threads[tape.pick(len(threads))]
        lines.append(thread.pop(0))
        threads = [thread for thread in threads if thread]
    return lines


def _export(tape: Tape, export_id: str, *, in_order: bool) -> list[Line]:
    """An export's request and batches, and what else may be published of it."""
    held = tape.once_in(8)
    lines: list[Line] = [Ask(export_id, valid=not tape.once_in(12), held=held)]
    lines += _batches(tape, export_id)
    # A repeat, or the end of the request's transaction, comes at any time after it.
    if held:
        lines.insert(1 + tape.pick(len(lines)), Release(commits=not tape.once_in(4)))
    elif tape.once_in(6):
        lines.insert(1 + tape.pick(len(lines)), Ask(export_id))
    if tape.once_in(4):
        lines.insert(tape.pick(len(lines) + 1), Cancel(export_id))
    if not in_order and tape.once_in(4):
        lines = _early(tape, export_id) + lines
    if tape.once_in(6):
        place = tape.pick(len(lines))
        line = lines[place]
        lines[place] = line._replace(kills=True) if isinstance(line, Ask | Rows) else line
    return lines


def _early(tape: Tape, export_id: str) -> list[Line]:
    """What an upstream sent that split the rows otherwise and died before its request was sent."""
    first = Rows(export_id, 0, (("early",),), last=tape.once_in(4))
    more = Rows(export_id, 1, (("early",), ("too",)), last=tape.once_in(2))
    early: list[list[Line]] = [[first], [first, first], [first, more], [more]]
    return early[tape.pick(4)]


def _batches(tape: Tape, export_id: str) -> list[Line]:
    """Whole in one case of two; else with one of the faults that there are."""
    count = 1 + tape.pick(3)
    batches = [Rows(export_id, seq, _some_rows(tape, f"{export_id}{seq}")) for seq in range(count)]
    if tape.once_in(4):
        batches.append(Rows(export_id, count, ()))
    total = sum(len(batch.rows) for batch in batches)
    batches[-1] = batches[-1]._replace(last=True, total=total if tape.once_in(3) else None)
    return [*batches] if tape.once_in(2) else _faulty(tape, batches)


def _some_rows(tape: Tape, name: str) -> tuple[tuple[str, ...], ...]:
    """One to three: with pieces of a row, a turn may end between any two."""
    return tuple((f"{name}{'' if number == 0 else number}",) for number in range(1 + tape.pick(3)))


def _faulty(tape: Tape, batches: list[Rows]) -> list[Line]:
    """With one batch changed, repeated, added or left out."""
    place = tape.pick(len(batches))
    one, last = batches[place], batches[-1]
    before, after = batches[:place], batches[place + 1 :]
    reason = [DeadLetterReason.UNREADABLE, *_RUBBISH][tape.pick(4)]
    faulty: list[list[Line]] = [
        [*before, one, *after[:1], one, *after[1:]],  # a repeat, now or later
        [*before, one, one._replace(rows=(("other",),)), *after],  # a repeat: the first one counts
        [*before, one._replace(seq=one.seq + 1), *after],  # a gap
        [*before, one._replace(rows=(*one.rows, ("x", "y"))), *after],  # a row of the wrong shape
        [*before, one._replace(fields_right=False), *after],  # a field that is none
        [*before, Rubbish(RECORDS, reason, one.export_id), one, *after],  # only the key is right
        [*batches[:-1], last._replace(total=17)],  # a wrong total
        [*batches, last._replace(seq=last.seq + 1)],  # a batch after the end
        [*before],  # upstream stops
    ]
    return faulty[tape.pick(len(faulty))]
