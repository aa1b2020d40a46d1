"""Large JSON objects: no step takes long, memory is bounded, and what is too much is refused."""

import tracemalloc
from typing import Any

import pytest

from schemas import json_pieces
from schemas.json_pieces import UNBUILT, TooManyValues, divide
from tests.support.cpu import cpu_time

MIB = 1024 * 1024
LARGE = 16 * MIB
LONGEST_STEP_SECONDS = 1.0
"""Twenty times what a step takes on a quiet machine: what is not linear takes a minute."""


def filled(element: bytes, size: int = LARGE) -> bytes:
    return b",".join([element] * (size // (len(element) + 1)))


def large_rows(kind: str, size: int = LARGE) -> bytes:
    """So many bytes of rows of a kind, and their commas."""
    match kind:
        case "one string":
            return b'["' + b"a" * size + b'"]'
        case "escapes":
            return b'["' + b"\\n" * (size // 2) + b'"]'
        case "escapes and a long integer":
            return b'["' + b"\\n" * (size // 2) + b'",12345678901234567890123]'
        case "white space":
            return b" " * size
    return filled(ELEMENTS[kind], size)


@pytest.mark.parametrize(
    "text",
    [
        b'{"rows":[%b,["?caf"]]}',
        b'{"rows":[%b],"title":"?"}',
        b'{"title":"?","rows":[%b]}',
        b'{"rows":[%b],"?":1}',
    ],
)
@pytest.mark.parametrize("row", [b'["x"]', b"[18446744073709551616]"])
def test_what_is_no_utf8_is_found_by_its_byte_in_all_of_the_text(text: bytes, row: bytes) -> None:
    value = text.replace(b"?", b"\xe9") % filled(row, 200_000)
    with pytest.raises(ValueError, match=rf"byte {value.index(0xE9)} \(0xe9\) is not UTF-8$"):
        [*divide(value, "rows").pieces()]


ELEMENTS = {
    "arrays": b'[12345,"customer 1",12.5,null,true,"a note, with text"]',
    "objects": b'{"id":12345,"name":"customer 1","amount":12.5}',
    "empty arrays": b"[]",
    "empty objects": b"{}",
    "no rows": b"1",
    "long integers": b"[12345678901234567890123]",
}
KINDS = [*ELEMENTS, "one string", "escapes", "escapes and a long integer", "white space"]


SIZES = [4 * MIB, pytest.param(LARGE, id="as large as may be", marks=pytest.mark.long)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_no_step_takes_long(kind: str, size: int) -> None:
    divided = divide(b'{"rows":[' + large_rows(kind, size) + b'],"export_id":"a"}', "rows")
    pieces, longest = divided.pieces(), 0.0
    piece: Any = ()
    while piece is not None:
        with cpu_time() as took:
            piece = next(pieces, None)
        longest = max(longest, took.seconds)
    assert divided.others == {"export_id": "a"}
    assert longest < LONGEST_STEP_SECONDS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_dividing_is_linear(kind: str, size: int) -> None:
    rows = large_rows(kind, size)
    with cpu_time() as took:
        divide(b'{"rows":[' + rows + b"]}", "rows").count_values()
    assert took.seconds < size / (2 * MIB)  # 0.9 s of 16 MiB on a quiet machine


@pytest.mark.slow
def test_memory_is_that_of_a_piece() -> None:
    value = b'{"rows":[' + filled(b"[]", 3 * MIB) + b"]}"
    tracemalloc.start()
    try:
        rows = sum(map(len, divide(value, "rows").pieces()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == MIB
    assert peak < 4 * MIB


@pytest.mark.parametrize(
    ("rows", "at_byte"),
    [(b"," * LARGE, 9), (b"1,," * (LARGE // 3), 11), (b"[1]," * MIB, 9 + 4 * MIB)],
)
def test_an_element_that_is_missing_is_refused_at_once(rows: bytes, at_byte: int) -> None:
    value = b'{"rows":[' + rows + b"]}"
    tracemalloc.start()
    try:
        with cpu_time() as took, pytest.raises(ValueError, match=f"no value at byte {at_byte}$"):
            divide(value, "rows")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB
    assert took.seconds < 2


@pytest.mark.slow
@pytest.mark.parametrize("row", [b"[[[[1]]]]", b"[[[[1]]]],[1]", b"[[[[[[]]]]]]"])
def test_deep_elements_share_a_piece(row: bytes) -> None:
    size = MIB // 4
    value = b'{"rows":[' + filled(row, size) + b"]}"
    tracemalloc.start()
    try:
        divided = divide(value, "rows")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size // 4
    assert sum(1 for _ in divided.pieces()) <= 2 * size / json_pieces.PIECE_BYTES


@pytest.mark.parametrize("text", [b'{"rows":[%b]}', b'{"title":"x","rows":[[1],[1.5,%b]],"n":1}'])
def test_what_was_let_go_is_read_as_it_was(text: bytes) -> None:
    value = text % filled(b'["a,b",{"c":[2]}]', 300_000)
    divided = divide(value, "rows")
    before = list(divided.pieces())
    divided.read_by(lambda start, end: value[start:end])
    assert not divided.held_bytes
    assert list(divided.pieces()) == before
    assert list(divided.pieces(first=1)) == before[1:]


def test_an_error_in_what_was_let_go_names_its_byte_in_the_whole_text() -> None:
    value = b'{"rows":[%b,[\xe9]]}' % filled(b'["x"]', 200_000)
    divided = divide(value, "rows")
    divided.read_by(lambda start, end: value[start:end])
    with pytest.raises(ValueError, match=rf"byte {value.index(0xE9)} \(0xe9\) is not UTF-8$"):
        list(divided.pieces())


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


@pytest.mark.slow
@pytest.mark.parametrize("saw", [b"[" * 900 + b"]" * 900, b'{"a":[[[[[]]]]]}'])
def test_what_is_nested_deeply_too_often_is_refused_soon(saw: bytes) -> None:
    value = b'{"rows":[' + filled(saw) + b"]}"
    with cpu_time() as took, pytest.raises(TooManyValues, match="nested deeply"):
        divide(value, "rows")
    assert took.seconds < 8


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
    with pytest.raises(ValueError, match=r"byte 14 \(0xff\) is not UTF-8$"):
        list(divided.pieces())


def test_it_can_be_walked_again() -> None:
    divided = divide(b'{"rows":[[1],{"a":2}]}', "rows")
    assert list(divided.pieces()) == list(divided.pieces()) == [[[1], {"a": 2}]]
