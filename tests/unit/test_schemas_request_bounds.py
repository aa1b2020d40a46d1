"""What a record of the requests topic may cost: bounds, and what is read of one beyond them."""

import json
from typing import Any

import pytest

from schemas.codec import InvalidRequest, decode_request, encode_request
from schemas.errors import Unreadable
from schemas.limits import LARGE_BYTES
from schemas.options import CsvOptions
from schemas.requests import Column, ExportRequested
from schemas.unread_value import UnreadValue, too_large
from schemas.vocabulary import DeadLetterReason
from tests.support.cpu import cpu_time

_MINIMAL = {
    "type": "export.requested",
    "export_id": "a",
    "format": "csv",
    "columns": ["id"],
}
_BLANKS = " " * 60_000
_HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "a long title": ({"title": "x" * 1_001}, "title: must have at most 1000 characters"),
    "a title of 16 MiB": ({"title": "x" * 2**24}, "bytes, more than 1048576"),
    "a title of 1 MiB": ({"title": "x" * 1_000_000}, "title: must have at most 1000 characters"),
    "a long key": ({"columns": ["x" * 1_001]}, "columns.0.key: must have at most 1000 characters"),
    "a long header": (
        {"columns": [{"key": "a", "header": "x" * 1_001}]},
        "columns.0.header: must have at most 1000 characters",
    ),
    "a long null": ({"options": {"null": "-" * 65}}, "options.null: must have at most 64 char"),
    "a null of 300 KB": ({"options": {"null": "-" * 300_000}}, "options.null: must have at most"),
    "many wrong columns": ({"columns": [[]] * 4_000}, "columns: must have at most 256 items"),
    "many columns": ({"columns": [[]] * 200_000}, "holds more than 10,000 JSON values"),
    "many fields": ({f"{n}": 1 for n in range(900)}, "has 904 fields, more than 100"),
    "many fields of a column": (
        {"columns": [{"key": "a", **{f"{n}": 1 for n in range(5_000)}}]},
        "columns.0: has 5,001 fields, more than 100",
    ),
    "many options": ({"options": {f"{n}": 1 for n in range(9_000)}}, "options: has 9,000 fields"),
    "many nested options": ({"options": [[[]] * 200_000]}, "holds more than 10,000 JSON values"),
    "a large unknown field": ({"x": [{}] * 600_000}, "bytes, more than 1048576"),
    "a field of blanks": ({_BLANKS: 1}, " " * 200),
}


@pytest.mark.parametrize(("fields", "words"), _HOSTILE.values(), ids=_HOSTILE)
def test_what_a_request_costs_is_bounded(fields: dict[str, Any], words: str) -> None:
    value = json.dumps({**_MINIMAL, **fields}).encode()
    with cpu_time() as took, pytest.raises(InvalidRequest) as caught:
        decode_request(value)
    assert took.seconds < 5  # 0.3 on a quiet machine
    assert words in str(caught.value)
    assert len(str(caught.value)) < 5_000


@pytest.mark.parametrize(
    "path",
    [
        *(f"{name}" for name in ExportRequested.model_fields if name not in ("type", "export_id")),
        *(f"columns.0.{name}" for name in Column.model_fields),
        *(f"options.{name}" for name in CsvOptions.model_fields),
    ],
)
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_brackets_in_each_other_are_a_wrong_value(path: str, brackets: tuple[str, str]) -> None:
    """As deep as JSON may be, read as deep in the stack as a node does."""
    nested = f"{brackets[0] * 1_000}1{brackets[1] * 1_000}"
    within, _, name = path.rpartition(".")
    wrong: dict[str, Any] = {name: "nested"}
    if within:
        inner = [{"key": "a", **wrong}] if within == "columns.0" else wrong
        wrong = {within.partition(".")[0]: inner}
    value = json.dumps({**_MINIMAL, **wrong}).replace('"nested"', nested).encode()

    def read(depth: int) -> None:
        if depth:
            read(depth - 1)
        else:
            decode_request(value)

    with pytest.raises(InvalidRequest) as caught:
        read(40)
    assert caught.value.errors[0].field.startswith(path.partition(".")[0])


def test_all_that_fits_is_accepted() -> None:
    """Of fields as long as they may be, it is rather the request's own bound that is reached."""
    columns = [
        {"key": f"{n:03}" + "x" * 997, "header": "\N{GRINNING FACE}" * 750} for n in range(256)
    ]
    options = {"null": "\N{GRINNING FACE}" * 64}
    fields = {"columns": columns, "title": "x" * 1_000, "options": options}
    value = json.dumps({**_MINIMAL, **fields}, ensure_ascii=False).encode()
    request = decode_request(value.ljust(LARGE_BYTES))
    assert isinstance(request, ExportRequested)
    assert decode_request(encode_request(request)) == request


def test_commas_and_brackets_in_texts_count_as_nothing() -> None:
    header = ", ".join(f"v{n} [{{" for n in range(45))
    columns = [{"key": f"c{n}", "header": header} for n in range(256)]
    request = decode_request(json.dumps({**_MINIMAL, "columns": columns}).encode())
    assert isinstance(request, ExportRequested)
    assert request.columns[255].header == header


@pytest.mark.parametrize("strings", ['""', '"",', '"a"   '])
def test_values_of_a_request_are_counted_quickly(strings: str) -> None:
    few = f'{{"x":"{"," * 10_001}","y":[{strings * (1_000_000 // len(strings))}'
    value = few.encode()
    with cpu_time() as took, pytest.raises(Unreadable):
        decode_request(value)
    assert took.seconds < 1  # 0.1 on a quiet machine


_EXCESS = {
    "bytes": ({"x": "x" * LARGE_BYTES}, "bytes, more than 1048576"),
    "values": ({"x": [{}] * 10_001}, "more than 10,000 JSON values"),
    "members": ({f"{n}": 0 for n in range(10_001)}, "more than 10,000 JSON values"),
}


@pytest.mark.parametrize(("fields", "words"), _EXCESS.values(), ids=_EXCESS)
def test_of_a_request_beyond_a_bound_its_beginning_is_read(
    fields: dict[str, Any], words: str
) -> None:
    beginning = {"title": "x" * 60_000, "user": "al", **_MINIMAL}
    with pytest.raises(InvalidRequest, match=words) as caught:
        decode_request(json.dumps({**beginning, **fields}).encode())
    assert caught.value.export_id == _MINIMAL["export_id"]
    assert (caught.value.fields["format"], caught.value.fields["user"]) == ("csv", "al")
    with pytest.raises(Unreadable, match=words) as refused:
        decode_request(json.dumps({**_MINIMAL, "export_id": "no id!", **fields}).encode(), b"key")
    assert refused.value.reason is DeadLetterReason.UNREADABLE


_HELD = {
    "columns": {"columns": [f"c{n}" for n in range(12_000)]},
    "texts with commas": {"x": ["," * 40] * 20_000},
    "values": {"x": [{}] * 200_000},
    "all that is built": {"columns": [0] * 9_999, "x": [0] * 9_999},
    "nested": {"x": [[[[[[]]]]]] * 4_000},
    "named before": {"export_id": "other", "x": [0] * 200_000},
}


@pytest.mark.parametrize("fields", _HELD.values(), ids=_HELD)
def test_one_that_is_held_is_looked_through_for_its_id(fields: dict[str, Any]) -> None:
    end = {name: value for name, value in _MINIMAL.items() if name not in fields}
    value = json.dumps({**fields, **end}).encode()
    if "export_id" in fields:
        value = value[:-1] + b', "export_id": "a"}'
    assert 10_000 < len(value) <= LARGE_BYTES
    with pytest.raises(InvalidRequest, match="more than 10,000 JSON values") as caught:
        decode_request(value, b"key")
    assert caught.value.export_id == "a"
    assert caught.value.fields["format"] == "csv"


_UNSEEN = {
    "bytes": {"x": "x" * LARGE_BYTES},
    "members": {f"{n}": 0 for n in range(10_001)},
    "nested": {"x": [[[[[[]]]]]] * 60_000},
}


@pytest.mark.parametrize("fields", _UNSEEN.values(), ids=_UNSEEN)
def test_an_id_beyond_what_is_ever_read_is_taken_from_the_key(fields: dict[str, Any]) -> None:
    value = json.dumps({"user": "al", **fields, **_MINIMAL}).encode()
    with pytest.raises(InvalidRequest, match="more than") as caught:
        decode_request(value, b"key-1")
    assert (caught.value.export_id, caught.value.fields["user"]) == ("key-1", "al")
    for key in (None, b"no id!"):
        with pytest.raises(Unreadable, match="more than"):
            decode_request(value, key)
    for begun in ({"type": "export.cancel_requested"}, {"export_id": "no id!"}):
        with pytest.raises(Unreadable, match="more than"):
            decode_request(json.dumps({**begun, **fields}).encode(), b"key-1")


@pytest.mark.parametrize(
    "value", [b"x" * 2 * LARGE_BYTES, b'{"x":' + b"[]," * 20_000, b'{"x":[0%b]}' % (b",0" * 20_000)]
)
def test_a_key_makes_no_request_of_what_is_none(value: bytes) -> None:
    with pytest.raises(Unreadable, match="more than"):
        decode_request(value, b"key-1")


def test_so_it_is_of_one_that_is_not_held() -> None:
    beginning = json.dumps({**_MINIMAL, "title": "x" * 80_000}).encode()[:65_536]
    with pytest.raises(InvalidRequest, match="the message has 5000000 bytes") as caught:
        decode_request(too_large(5_000_000, LARGE_BYTES, beginning), b"key")
    assert caught.value.export_id == _MINIMAL["export_id"]
    with pytest.raises(InvalidRequest, match="the message has 5000000 bytes") as caught:
        decode_request(too_large(5_000_000, LARGE_BYTES, b'{"title": "x'), b"key")
    assert caught.value.export_id == "key"
    with pytest.raises(Unreadable, match="it is broken"):
        decode_request(UnreadValue("it is broken", too_large=False))


@pytest.mark.parametrize("size", [15_000, 2_000_000])
def test_a_cancellation_beyond_a_bound_is_a_dead_letter(size: int) -> None:
    fields = {"type": "export.cancel_requested", "export_id": "a", "x": [0] * size}
    with pytest.raises(Unreadable, match="more than"):
        decode_request(json.dumps(fields).encode())


_COSTLY = {
    "arrays": b"[]",
    "nested": b"[[[]]]",
    "objects": b'{"":{"":[]}}',
    "digits": b"1" * 4_300,
    "escapes": b'"' + b"\\u00e9" * 100 + b'"',
    "beyond 64 bits": b"18446744073709551616",
    "text": b'"' + "é".encode() * 50 + b'"',
}


@pytest.mark.parametrize("unit", _COSTLY.values(), ids=_COSTLY)
@pytest.mark.parametrize("most", [9_000, 2**20])
def test_a_request_is_decoded_in_no_time(unit: bytes, most: int) -> None:
    """The backlog and HTTP do so on the event loop, which may stand still for 250 ms at most."""
    head = json.dumps(_MINIMAL).encode()[:-1] + b', "title": ['
    signs = max(1, unit.count(b"[") + unit.count(b"{") + 1)
    count = min(most // signs, (LARGE_BYTES - 200) // (len(unit) + 1))
    value = head + b",".join([unit] * count) + b'], "x": 18446744073709551616}'
    assert len(value) <= LARGE_BYTES
    best = 10.0
    for _ in range(5):
        with cpu_time() as took, pytest.raises(InvalidRequest):
            decode_request(value)
        best = min(best, took.seconds)
    assert best < 1.0, "a slow core takes a quarter of that; unbounded, some took many seconds"


def test_a_cancellation_of_many_fields_is_a_dead_letter() -> None:
    fields = {"type": "export.cancel_requested", "export_id": "a"}
    value = json.dumps({**fields, **{f"{n}": 1 for n in range(9_000)}}).encode()
    with pytest.raises(Unreadable, match="9,002 fields"):
        decode_request(value)
