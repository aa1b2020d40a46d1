"""Floods: messages that are harmless alone, by the ten thousand."""

import itertools
import json
from collections.abc import Iterable, Iterator

from tests.hostile.bed import PARTITIONS
from tests.hostile.target import CANCELLED, COMPLETED, Kind, Target, batch_value
from tests.hostile.wire import Codec, Record

_MANY = 10_000
_AT_ONCE = 1_000
_STARTED = COMPLETED | CANCELLED


def _cancellation(export_id: str) -> Record:
    fields = {"type": "export.cancel_requested", "export_id": export_id}
    return Record(json.dumps(fields).encode(), export_id.encode())


async def _in_batches(
    target: Target, records: Iterable[Record], *, to_records: bool = False
) -> None:
    send = target.records if to_records else target.requests
    left = iter(records)
    while some := list(itertools.islice(left, _AT_ONCE)):
        await send(some, Codec.LZ4)


async def _cancels(target: Target) -> None:
    """Of exports that nobody knows."""
    await _in_batches(target, (_cancellation(target.new_id()) for _ in range(_MANY)))


async def _cancels_of_one(target: Target) -> None:
    """Of one export, which ends by the first."""
    export_id = await target.request(_STARTED)
    await _in_batches(target, itertools.repeat(_cancellation(export_id), _MANY))
    await _in_batches(target, itertools.repeat(target.requested(export_id, _STARTED), _MANY))


async def _repeats(target: Target) -> None:
    """Of one request, and of its batches."""
    record = target.requested(target.new_id(), COMPLETED)
    export_id = (record.key or b"").decode()
    await _in_batches(target, itertools.repeat(record, _MANY))
    first = Record(batch_value(export_id, b"[[1]]", 0, last=False), record.key)
    await _in_batches(target, itertools.repeat(first, _MANY), to_records=True)
    await target.records([Record(batch_value(export_id, b"[[1]]", 1), record.key)])
    await _in_batches(target, itertools.repeat(first, _MANY), to_records=True)


async def _requests_and_cancels(target: Target) -> None:
    """1,000 exports in each partition, each cancelled at once, and again."""
    for partition in range(PARTITIONS):
        await target.requests(_opened_and_cancelled(target), Codec.LZ4, partition)


def _opened_and_cancelled(target: Target) -> Iterator[Record]:
    for _ in range(_AT_ONCE):
        export_id = target.new_id()
        yield target.requested(export_id, CANCELLED)
        yield _cancellation(export_id)
        yield _cancellation(export_id)


async def _open_exports(target: Target) -> None:
    """700 open in each partition, of the 800 that may be, each with a batch; then all cancelled."""
    ids = [[target.new_id() for _ in range(700)] for _ in range(PARTITIONS)]
    for partition, some in enumerate(ids):
        requests = [target.requested(export_id, CANCELLED) for export_id in some]
        await target.requests(requests, Codec.LZ4, partition)
        first = [Record(batch_value(one, b"[[1]]", last=False), one.encode()) for one in some]
        await target.records(first, Codec.LZ4, partition)
    for partition, some in enumerate(ids):
        await target.requests(map(_cancellation, some), Codec.LZ4, partition)


async def _dead_letters(target: Target) -> None:
    """10,000 of each kind that costs little to send."""
    for reason, value in (
        ("null_value", None),
        ("unreadable", b"{"),
        ("invalid_id", b'{"export_id":"/","seq":0,"rows":[]}'),
    ):
        await _in_batches(target, itertools.repeat(Record(value, b"k"), _MANY), to_records=True)
        target.wanted_letters[reason] += _MANY
    orphans = (Record(batch_value(target.new_id(), b"[[1]]")) for _ in range(_MANY))
    await _in_batches(target, orphans, to_records=True)
    target.wanted_letters["orphan_batch"] += _MANY


KINDS = (
    Kind("10,000 cancels of nothing", _cancels),
    Kind("10,000 cancels and requests of one id", _cancels_of_one),
    Kind("10,000 repeats of request and batch", _repeats),
    Kind("6,000 requests, cancelled at once", _requests_and_cancels),
    Kind("4,200 open exports", _open_exports),
    Kind("40,000 dead letters", _dead_letters, seconds=90),
)
