"""Batches of real bytes, with a header name that is no UTF-8."""

from typing import Any

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from schemas.lenient_records import LenientRecords
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
