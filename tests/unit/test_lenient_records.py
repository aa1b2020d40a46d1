"""Batches of real bytes: with a header name that is no UTF-8, or more than they weigh."""

from typing import Any

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from clients.lenient_records import LenientRecords, batches_handed_on
from clients.record_stream import PackedBatch, RecordStream
from schemas.limits import LARGE_BYTES
from schemas.unread_value import UnreadValue
from tests.support.batches import CODECS, framed, packed, record
from tests.support.odd_headers import OddName


def batch(first: int, names: list[str], compression: int) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for number, name in enumerate(names):
        value = f"value {first + number}".encode()
        builder.append(number, None, b"key", value, [(name, b"text")])
    built = bytearray(builder.build())
    built[0:8] = first.to_bytes(8, "big")
    return bytes(built)


def read(data: bytes) -> list[Any]:
    records = LenientRecords(data)
    assert records.size_in_bytes() == len(data)
    found = []
    while records.has_next():
        found += list(records.next_batch())
    return found


@pytest.mark.parametrize("compression", [0, 1, 4])
def test_every_record_comes_once_and_in_order(compression: int) -> None:
    data = batch(0, ["a", "b"], compression)
    data += batch(2, ["c", OddName("odd"), "e"], compression)
    data += batch(5, ["ö"], compression)
    records = read(data)
    assert [record.offset for record in records] == list(range(6))
    assert [record.value for record in records] == [f"value {n}".encode() for n in range(6)]
    names = [record.headers[0][0] for record in records]
    assert names == ["a", "b", "c", r"\xff\xfe\xfd", "e", "ö"]
    assert {record.headers[0][1] for record in records} == {b"text"}


def test_what_a_batch_says_of_itself_is_aiokafka_s() -> None:
    records = LenientRecords(batch(7, ["a"], 0))
    found = records.next_batch()
    assert (found.base_offset, found.next_offset, found.is_control_batch) == (7, 8, False)
    assert found.validate_crc()


def handed_on(data: bytes) -> list[Any]:
    with batches_handed_on():
        return read(data)


@pytest.mark.parametrize("kind", CODECS)
def test_a_batch_that_is_not_light_is_read_one_by_one_or_handed_on(kind: str) -> None:
    values = [bytes([65 + n]) * 260_000 for n in range(6)]
    light = packed(CODECS[kind], [record(n, b"k", values[n]) for n in range(4)])
    heavy = packed(CODECS[kind], [record(n, b"k", values[n]) for n in range(6)], 4)
    data = light + heavy
    assert [record.value for record in read(data)] == values[:4] + values
    given = handed_on(data)
    assert [record.offset for record in given] == [0, 1, 2, 3, 9]
    whole = given[4].value
    assert isinstance(whole, PackedBatch)
    assert [it.value for it in RecordStream(whole) if it] == values


def test_what_the_parser_refuses_is_handed_on_from_there() -> None:
    names = [b"a", b"b", b"\xff\xfe", b"d"]
    records = [record(n, b"k", b"v", headers=[(name, b"")]) for n, name in enumerate(names)]
    first, second, rest = handed_on(packed(CODECS["lz4"], records))
    assert (first.offset, second.offset, rest.offset) == (0, 1, 3)
    assert isinstance(rest.value, PackedBatch)
    assert rest.value.first_offset == 2


@pytest.mark.parametrize("kind", CODECS)
def test_broken_bytes_are_a_record_without_a_value(kind: str) -> None:
    (broken,) = read(framed(CODECS[kind], b"\xff" * 100, 5))
    assert broken.offset == 4
    assert isinstance(broken.value, UnreadValue)


def test_a_flood_of_headers_is_left_out() -> None:
    flood = [(b"", b"")] * (LARGE_BYTES // 4)
    one, two = read(packed(0, [record(0, b"k", b"v", headers=flood), record(1, b"k", b"w")]))
    assert (one.offset, one.key, one.value, one.headers) == (0, b"k", b"v", ())
    assert (two.offset, two.value) == (1, b"w")
