"""A JSON object in pieces is the JSON object: the same values, the same refusals, for any text."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import exact_json, json_pieces, json_text

texts = st.text(alphabet=st.sampled_from('a,:[]{}"\\\n\x00é😀' + "0"), max_size=6)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**19, max_value=10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
cells = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
names = st.sampled_from(["rows", "rows", "export_id", "seq", "r\\u006fws", ""])
spaces = st.sampled_from(["", "", " ", "\n\t \r"])


@st.composite
def json_texts(draw: st.DrawFn) -> bytes:
    """An object with members in any order, one name twice at times, spaces where they may be."""
    members = draw(
        st.lists(st.tuples(names, st.lists(cells, max_size=12) | cells), min_size=0, max_size=5)
    )
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), ("\n,", "\t: ")]))
    ascii_only = draw(st.booleans())
    parts = [
        f'{draw(spaces)}"{name}"{draw(spaces)}:'
        f"{json.dumps(member, ensure_ascii=ascii_only, separators=separators)}{draw(spaces)}"
        for name, member in members
    ]
    return f"{draw(spaces)}{{{','.join(parts)}{draw(spaces)}}}{draw(spaces)}".encode()


@st.composite
def broken_texts(draw: st.DrawFn) -> bytes:
    """A text with some bytes taken out, put in or doubled."""
    text = bytearray(draw(json_texts()))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 3))
        text[start:end] = draw(
            st.sampled_from([b"", b",", b"[", b"]", b"{", b"}", b'"', b":", b"\\", b"1", b"\xff"])
            | st.just(bytes(text[start:end] * 2))
            | st.sampled_from([b"\xef\xbb\xbf", b'"\\ud800"', b"NaN", b"\n", b" ", b"\x00", b",,"])
        )
    return bytes(text)


@contextmanager
def windows_of(size: int) -> Iterator[None]:
    """Windows so small that all that happens at their borders happens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "PIECE_BYTES", size)
        patch.setattr(json_text, "WINDOW_BYTES", size)
        yield


def in_pieces(text: bytes) -> Any:
    """The whole object, put together; None: it is refused."""
    try:
        divided = json_pieces.divide(text, "rows")
        pieces = list(divided.pieces())
    except ValueError:
        return None
    if not divided.has_array:
        return divided.others
    rows = [row for piece in pieces for row in piece]
    assert rows == [row for piece in divided.pieces() for row in piece]
    assert divided.count_values() == values_in(rows) <= divided.most_values
    return {**divided.others, "rows": rows}


def values_in(value: Any) -> int:
    count, stack = 0, [value]
    while stack:
        container = stack.pop()
        members = list(container.values()) if isinstance(container, dict) else container
        count += len(members)
        stack.extend(member for member in members if isinstance(member, list | dict))
    return count


def whole(text: bytes) -> Any:
    try:
        parsed = exact_json.loads(text)
        # Half a surrogate pair is refused in a member that another of the name replaces, too.
        json.loads(text, object_pairs_hook=_writable)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _writable(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    json.dumps(pairs, ensure_ascii=False).encode()
    return dict(pairs)


def typed(value: Any) -> str:
    """Tells 1 from 1.0 and True; the members by name, as their order isn't kept."""
    members = sorted(value.items()) if isinstance(value, dict) else value
    return repr(members)


@given(json_texts(), st.sampled_from([2, 3, 7, 20, 64 * 1024]))
@example(b'{"rows":[[1],[2]],"rows":null}', 2)
@example(b'{"rows":null,"rows":[[1],[2]]}', 2)
@example(b'{"rows":[[1,2]],"rows":[[3]]}', 2)
def test_it_is_what_a_whole_parse_gives(text: bytes, window: int) -> None:
    with windows_of(window):
        assert typed(in_pieces(text)) == typed(whole(text))


@given(broken_texts(), st.sampled_from([2, 3, 7, 20, 64 * 1024]))
@example(b'{"rows":[1,]}', 2)
@example(b'{"rows":[,1]}', 2)
@example(b'{"rows":[1,,2]}', 2)
@example(b'{"rows":[[1},{2]]}', 2)
@example(b'{"rows":[1]],"a":[[2]}', 2)
@example(b'{"rows":[[1,]],"rows":[]}', 2)
@example(b'{"rows":[1],}', 2)
@example(b"{,}", 2)
@example(b'{"rows":[]} x', 2)
@example(b'\xef\xbb\xbf{"rows":[]}', 2)
@example(b'{"rows":["\\', 2)
@example(b'{"rows":["a\\"]}', 2)
@example(b'{"a":}', 2)
@example(b'{"a":1 2}', 2)
@example(b'{"rows":["' + "é".encode("latin-1") + b'"]}', 2)
def test_what_a_whole_parse_refuses_is_refused(text: bytes, window: int) -> None:
    with windows_of(window):
        assert typed(in_pieces(text)) == typed(whole(text))


@pytest.mark.parametrize("depth", [1_000, 1_021, 1_022, 1_023, 1_024, 1_025])
@pytest.mark.parametrize("name", ["rows", "other"])
def test_it_is_as_deep_as_a_whole_parse_goes(depth: int, name: str) -> None:
    text = b'{"%b":%b%b}' % (name.encode(), b"[" * depth, b"]" * depth)
    assert _is_refused(text, _walked) == _is_refused(text, exact_json.loads)


def _walked(text: bytes) -> list[list[Any]]:
    return list(json_pieces.divide(text, "rows").pieces())


def _is_refused(text: bytes, read: Callable[[bytes], object]) -> bool:
    try:
        read(text)
    except ValueError:
        return True
    return False
