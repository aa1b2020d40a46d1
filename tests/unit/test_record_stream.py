"""Records of a batch, one by one: as aiokafka reads them, and where it would not."""

import gc
import os
import random
from collections.abc import Iterator
from itertools import chain

import pytest
from aiokafka.record.default_records import DefaultRecordBatch

from clients.inflate import BrokenData
from clients.record_stream import MOST_KEY_BYTES, LargeValue, RecordStream, StreamedRecord
from schemas.unread_value import UnreadValue
from tests.support.batches import (
    CODECS,
    GZIP,
    compressed,
    framed,
    packed,
    record,
    repeated,
    varint,
)

MIB = 1024 * 1024
KINDS = sorted(CODECS)


def read(batch: bytes, **options: int) -> list[StreamedRecord]:
    return [it for it in RecordStream(batch, **options) if it]


def some(chance: random.Random) -> Iterator[Iterator[bytes]]:
    for delta in range(chance.randrange(1, 40)):
        headers = [
            (f"h{n}é".encode(), chance.choice([None, b"", chance.randbytes(chance.randrange(200))]))
            for n in range(chance.randrange(4))
        ]
        key = chance.choice([None, b"", b"key", chance.randbytes(100)])
        size = chance.choice([0, 1, 63, 64, 8191, 8192, 300_000])
        value = chance.choice([None, chance.randbytes(size), b"0" * size])
        yield record(delta, key, value, headers=headers)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", KINDS)
def test_it_reads_what_aiokafka_reads(kind: str, seed: int) -> None:
    chance = random.Random(seed)
    batch = packed(CODECS[kind], list(some(chance)), chance.choice([0, 7, 2**40]))
    expected = [
        (it.offset, it.timestamp, it.timestamp_type, it.key, it.value, tuple(it.headers))
        for it in DefaultRecordBatch(batch)
    ]
    assert [tuple(it)[:6] for it in read(batch)] == expected
    first = expected[len(expected) // 2][0]
    assert [it.offset for it in read(batch, first_offset=first)] == list(
        range(first, expected[-1][0] + 1)
    )


@pytest.mark.parametrize("kind", ["gzip", "zstd", "lz4", "snappy", "plain"])
def test_a_record_beyond_the_bound_keeps_its_place_and_its_key(kind: str) -> None:
    batch = packed(
        CODECS[kind],
        [
            record(0, b"a", b"1"),
            record(1, b"b", repeated(b"\0", 20 * MIB), 20 * MIB),
            record(2, b"k" * 2 * MIB, b"2"),
            record(3, None, b"3", headers=[(b"h", b"\0" * MIB)]),
            record(4, b"c", b"4"),
        ],
    )
    found = read(batch, most_bytes=MIB)
    assert [it.offset for it in found] == [0, 1, 2, 3, 4]
    assert [it.key for it in found] == [b"a", b"b", b"k" * MOST_KEY_BYTES, None, b"c"]
    assert [isinstance(it.value, UnreadValue) for it in found] == [False, True, True, True, False]
    unread = found[1].value
    assert isinstance(unread, UnreadValue)
    assert unread.too_large
    assert "20971" in unread.why
    assert "more than 1048576" in unread.why
    assert [it.offset for it in read(batch, first_offset=2, most_bytes=MIB)] == [2, 3, 4]


def test_a_large_value_is_read_when_it_is_used() -> None:
    value = os.urandom(MIB)
    batch = packed(
        CODECS["gzip"],
        [record(n, b"%d" % n, value if n % 2 else b"small") for n in range(5)],
    )
    found = []
    for it in RecordStream(batch, large_bytes=1000):
        if it and isinstance(it.value, LargeValue):
            assert it.value.size_bytes == len(value)
            found.append(it.value)
            if it.offset == 1:
                assert it.value.read() == value
        elif it:
            assert it.value == b"small"
    # The stream has passed both by now.
    assert [it.read() for it in found] == [value, value]


def test_to_read_a_value_again_leaves_nothing_behind() -> None:
    """What is left holds a piece and a codec's window, until Python looks for cycles."""
    batch = packed(CODECS["zstd"], [record(n, b"k", b"v" * MIB) for n in range(3)])
    stream = RecordStream(batch, large_bytes=1000)
    values = [it.value for it in stream if it]
    gc.collect()
    gc.disable()
    try:
        assert [isinstance(it, LargeValue) and len(it.read() or b"") for it in values] == [MIB] * 3
        assert [it for it in gc.get_objects() if type(it) is RecordStream] == [stream]
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_broken_bytes_is_one_record_without_a_value(kind: str) -> None:
    good = b"".join(b"".join(record(n, b"k", b"v")) for n in range(3))
    for rest in (b"", b"\x7f", varint(-5), b"\x80" * 12, varint(5) + b"\0" * 5):
        batch = framed(CODECS[kind], compressed(CODECS[kind], [good, rest]), 10)
        found = read(batch)
        assert [it.offset for it in found] == [0, 1, 2, 9], rest
        unread = found[3].value
        assert isinstance(unread, UnreadValue)
        assert not unread.too_large
        assert "can't be read" in unread.why
        assert read(batch, first_offset=10) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_record_that_breaks_off_stands_there_once(kind: str) -> None:
    cut = b"".join(record(1, b"b", b"0" * MIB))[:-1000]
    batch = framed(CODECS[kind], compressed(CODECS[kind], [*record(0, b"a", b"1"), cut]), 2)
    first, broken = read(batch, large_bytes=1000)
    assert (first.offset, broken.offset) == (0, 1)
    assert isinstance(broken.value, LargeValue)
    with pytest.raises(BrokenData):
        broken.value.read()


@pytest.mark.parametrize("length", [MIB + 1, 20 * MIB, 2**62])
@pytest.mark.parametrize("field", ["key", "value"])
def test_no_length_goes_beyond_its_record(field: str, length: int) -> None:
    """What it says would be read, or passed over, whatever the record's own bound is."""
    fields = varint(length) if field == "key" else varint(-1) + varint(length)
    body = b"\0" + varint(0) + varint(0) + fields + b"0" * MIB
    content = chain([varint(len(body)), body], repeated(b"0", 40 * MIB))
    batch = framed(GZIP, compressed(GZIP, content), 1)
    stream = RecordStream(batch, large_bytes=1000)
    (found,) = [it for it in stream if it]
    assert isinstance(found.value, UnreadValue)
    assert "longer than its record" in found.value.why
    assert stream._source.position < 2 * MIB, "nothing beyond the record is read"


def test_a_flood_of_headers_is_left_out() -> None:
    flood = [(b"", b"")] * 2_000
    batch = packed(
        0, [record(0, b"k", b"v", headers=flood), record(1, b"k", b"v", headers=flood[:1000])]
    )
    first, second = read(batch)
    assert (first.value, first.headers, len(second.headers)) == (b"v", (), 1000)


def test_names_of_headers_may_be_any_bytes() -> None:
    (found,) = read(packed(0, [record(0, b"k", b"v", headers=[(b"\xff\xfe", b"x")])]))
    assert found.headers == ((r"\xff\xfe", b"x"),)


def test_noise_is_never_anything_else_than_broken() -> None:
    chance = random.Random(1)
    whole = packed(0, [record(n, b"key", b"value" * 50, headers=[(b"h", b"t")]) for n in range(20)])
    for _ in range(2_000):
        noisy = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            noisy[chance.randrange(61, len(noisy))] = chance.randrange(256)
        assert all(isinstance(it, StreamedRecord) for it in read(bytes(noisy)))
