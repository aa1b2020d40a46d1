"""Large JSON objects: no step takes long, memory is bounded, and what is too much is refused."""

import time
import tracemalloc

import pytest

from schemas import json_pieces
from schemas.json_pieces import UNBUILT, TooManyValues, divide

MIB = 1024 * 1024
LARGE = 16 * MIB
LONGEST_STEP_SECONDS = 1.0
"""Twenty times what a step takes on a quiet machine: what is not linear takes a minute."""


def filled(element: bytes, size: int = LARGE) -> bytes:
    return b",".join([element] * (size // (len(element) + 1)))


LARGE_ROWS = {
    "arrays": filled(b'[12345,"customer 1",12.5,null,true,"a note, with text"]'),
    "objects": filled(b'{"id":12345,"name":"customer 1","amount":12.5}'),
    "empty arrays": filled(b"[]"),
    "empty objects": filled(b"{}"),
    "no rows": filled(b"1"),
    "long integers": filled(b"[12345678901234567890123]"),
    "one string": b'["' + b"a" * LARGE + b'"]',
    "escapes": b'["' + b"\\n" * (LARGE // 2) + b'"]',
    "escapes and a long integer": b'["' + b"\\n" * (LARGE // 2) + b'",12345678901234567890123]',
    "white space": b" " * LARGE,
}


@pytest.mark.slow
@pytest.mark.parametrize("rows", LARGE_ROWS.values(), ids=LARGE_ROWS.keys())
def test_no_step_of_16_mib_takes_long(rows: bytes) -> None:
    divided = divide(b'{"rows":[' + rows + b'],"export_id":"a"}', "rows")
    begun, longest = time.thread_time(), 0.0
    for _ in divided.pieces():
        now = time.thread_time()
        longest, begun = max(longest, now - begun), now
    assert divided.others == {"export_id": "a"}
    assert longest < LONGEST_STEP_SECONDS


@pytest.mark.parametrize("rows", LARGE_ROWS.values(), ids=LARGE_ROWS.keys())
def test_dividing_is_linear(rows: bytes) -> None:
    begun = time.thread_time()
    divide(b'{"rows":[' + rows + b"]}", "rows").count_values()
    assert time.thread_time() - begun < 8  # 0.9 on a quiet machine


@pytest.mark.slow
def test_memory_is_that_of_a_piece() -> None:
    value = b'{"rows":[' + filled(b"[]", 6 * MIB) + b"]}"
    tracemalloc.start()
    try:
        rows = sum(map(len, divide(value, "rows").pieces()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == 2 * MIB
    assert peak < 4 * MIB


@pytest.mark.parametrize(
    ("rows", "at_byte"),
    [(b"," * LARGE, 9), (b"1,," * (LARGE // 3), 11), (b"[1]," * MIB, 9 + 4 * MIB)],
)
def test_an_element_that_is_missing_is_refused_at_once(rows: bytes, at_byte: int) -> None:
    value = b'{"rows":[' + rows + b"]}"
    begun = time.thread_time()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"no value at byte {at_byte}$"):
            divide(value, "rows")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB
    assert time.thread_time() - begun < 2


@pytest.mark.parametrize("row", [b"[[[[1]]]]", b"[[[[1]]]],[1]", b"[[[[[[]]]]]]"])
def test_deep_elements_share_a_piece(row: bytes) -> None:
    value = b'{"rows":[' + filled(row, MIB) + b"]}"
    tracemalloc.start()
    try:
        divided = divide(value, "rows")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB // 4
    assert sum(1 for _ in divided.pieces()) <= 2 * MIB / json_pieces.PIECE_BYTES


def test_an_element_of_too_many_values_is_refused_and_not_built() -> None:
    divided = divide(b'{"rows":[[1],[' + filled(b"[]", 4 * MIB) + b"]]}", "rows")
    tracemalloc.start()
    try:
        with pytest.raises(TooManyValues, match="100,000 values"):
            list(divided.pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB


def test_an_element_of_just_as_many_values_as_may_be_is_built() -> None:
    row = b"[" + b",".join([b'""'] * (json_pieces.MOST_ELEMENT_VALUES - 1)) + b"]"
    divided = divide(b'{"rows":[' + row + b"]}", "rows")
    assert divided.count_values() == json_pieces.MOST_ELEMENT_VALUES
    assert [len(row) for piece in divided.pieces() for row in piece] == [
        json_pieces.MOST_ELEMENT_VALUES - 1
    ]


@pytest.mark.parametrize("saw", [b"[" * 900 + b"]" * 900, b'{"a":[[[[[]]]]]}'])
def test_what_is_nested_deeply_too_often_is_refused_soon(saw: bytes) -> None:
    begun = time.thread_time()
    with pytest.raises(TooManyValues, match="nested deeply"):
        divide(b'{"rows":[' + filled(saw) + b"]}", "rows")
    assert time.thread_time() - begun < 8


def test_a_member_of_too_many_values_is_not_built() -> None:
    value = b'{"export_id":"a","rows":[[1]],"x":{"y":[' + filled(b"[]", MIB) + b"]}}"
    divided = divide(value, "rows")
    assert divided.others == {"export_id": "a", "x": UNBUILT}


def test_a_long_text_with_commas_is_one_value() -> None:
    divided = divide(b'{"title":"' + b"a,[" * 100_000 + b'","rows":[]}', "rows")
    assert divided.others == {"title": "a,[" * 100_000}


def test_too_many_members_are_refused() -> None:
    members = b",".join(b'"m%d":1' % number for number in range(1_001))
    with pytest.raises(TooManyValues, match="1,000 members"):
        divide(b"{" + members + b"}", "rows")
    fewer = members.rpartition(b",")[0]
    assert len(divide(b"{" + fewer + b"}", "rows").others) == 1_000


def test_an_error_names_the_byte() -> None:
    divided = divide(b'{"rows":[[1],[\xff]]}', "rows")
    with pytest.raises(ValueError, match="from byte 9"):
        list(divided.pieces())


def test_it_can_be_walked_again() -> None:
    divided = divide(b'{"rows":[[1],{"a":2}]}', "rows")
    assert list(divided.pieces()) == list(divided.pieces()) == [[[1], {"a": 2}]]
