"""Reads a large JSON object in bounded memory: its large array in pieces, other members whole.

Only for large values: dividing costs more than parsing.

``exact_json.loads`` on 16 MiB of ``[],`` makes 5 million lists and holds the interpreter for as
long as that takes. Here regular expressions divide the text, a window of it at a time; then each
piece is parsed by ``exact_json.loads`` at the depth at which it stands, so that its values are
those of a whole parse. Dividing only counts brackets: what isn't JSON is refused when its piece is
parsed. No step works on more than a window or one element of the array; all are linear in the text.

Invariant: what a whole parse refuses is refused here, by ``divide`` or by a walk along ``pieces``.
"""

import re
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from schemas import exact_json
from schemas.json_text import (
    BLANK,
    STRING,
    WINDOW_BYTES,
    exact_values,
    holds_more,
    skip,
    string_end,
    values_at_most,
)

PIECE_BYTES: Final = WINDOW_BYTES
"""A piece is at most as long, or is one element of the array."""
MOST_MEMBERS: Final = 1_000
"""Objects with more members are refused."""
MOST_MEMBER_VALUES: Final = 10_000
"""Of the members other than the array: those with which they hold more JSON values aren't built."""
MOST_MEMBER_BYTES: Final = 8 * 1024 * 1024
"""Of the members other than the array: those with which their text is longer aren't built."""
MOST_KEY_BYTES: Final = 64 * 1024
"""Objects with a longer member name are refused."""
MOST_ELEMENT_VALUES: Final = 100_000
"""An element of the array that holds more JSON values is not built: orjson keeps the interpreter
until all are, which is 46 ms of CPU for as many different keys of 60 bytes; 362 for a million keys
of 10, 134 for half a million of ``{"":[]}``."""

# Text without brackets, and with containers up to three levels deep: usual rows and what is
# nested in their cells are stepped over by one match. Deeper ones are counted one by one.
_FLAT = rb'(?:[^"\[\]{}]++|%b|(?!))*+' % STRING
_SHALLOW = rb'(?:[^"\[\]{}]++|%b|\[%b\]|\{%b\}|(?!))*+' % (STRING, _FLAT, _FLAT)
_NESTED = rb'(?:[^"\[\]{}]++|%b|\[%b\]|\{%b\}|(?!))*+' % (STRING, _SHALLOW, _SHALLOW)
_PART = rb'(?:[^"\[\]{},]++|%b|\[%b\]|\{%b\}|(?!))' % (STRING, _NESTED, _NESTED)
_ELEMENTS = re.compile(rb"(?:%b++,|(?!))*+" % _PART, re.DOTALL)
_ELEMENT = re.compile(rb"%b*+" % _PART, re.DOTALL)
_INSIDE = re.compile(_NESTED, re.DOTALL)
_SPACE = re.compile(rb"[ \t\n\r]*+")
_FEW_VALUES = 100  # as many may seem to be in a text; more are counted exactly
_MOST_DEPTH = 1_024  # of orjson
_MOST_STEPS = 1_000_000
_MOST_FIRST_STEPS = 50_000


class TooManyValues(ValueError):  # noqa: N818 - it names the text's fault, not ours
    """An element of the array, or the object itself, has more members than are ever built.

    ``others`` are the members apart from the array that were read before.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.others: dict[str, Any] = {}


class _Unbuilt:
    def __repr__(self) -> str:
        return "too many values"


UNBUILT: Final = _Unbuilt()
"""Stands for the value of a member that holds too many. Whether it is JSON is not known."""


class Divided:
    """A JSON object; the array under the member ``array`` is read in pieces.

    ``others`` are the members apart from that; it is among them where its value is no array.
    ``most_values`` is not less than the number of JSON values in the array, its elements and what
    is nested in them, and was found without parsing: what looks like structure in strings counts.
    """

    def __init__(self, value: bytes, others: dict[str, Any], spans: "array[int] | None") -> None:
        self.others = others
        self.has_array = spans is not None
        self._value = value
        self._size = len(value)
        self._read: Callable[[int, int], bytes] | None = None
        self._spans = spans or array("Q")
        self.most_values = sum(values_at_most(value, start, end) for start, end in self._pairs())

    @property
    def held_bytes(self) -> int:
        """Bytes of text held; 0 after ``let_go``."""
        return len(self._value)

    def let_go(self) -> None:
        """Release the text; call ``give_back`` before the next walk."""
        self._value = b""

    def give_back(self, value: bytes) -> None:
        """Hold the released text again.

        Raises:
            ValueError: it is a different text.
        """
        if len(value) != self._size:
            raise ValueError(f"the text has {len(value)} bytes, and had {self._size}")
        self._value = value

    def read_by(self, read: Callable[[int, int], bytes]) -> None:
        """Release the text for good; ``read`` gives what a walk needs, from one byte to another."""
        self._value, self._read = b"", read

    def pieces(self, longest_bytes: int | None = None, first: int = 0) -> Iterator[list[Any]]:
        """The array's elements in order, some at a time; it may be walked again, from a piece on.

        Only a walk to its end shows that the array is JSON; of an element whose text is longer than
        ``longest_bytes`` not even that, as ``UNBUILT`` stands for it.

        Raises:
            TooManyValues: an element has more than ``MOST_ELEMENT_VALUES``.
            ValueError: as ``exact_json.loads``; bytes are those of the whole text.
        """
        for start, end in islice(self._pairs(), first, None):
            # Only a piece of one element is as long.
            is_longer = longest_bytes is not None and end - start > max(longest_bytes, PIECE_BYTES)
            yield [UNBUILT] if is_longer else _elements(self._in_array(start, end), start)

    def _in_array(self, start: int, end: int) -> bytes:
        """Some of the elements, as the only array in an array: at the depth at which they stand."""
        text, size = self._value, end - start
        if self._read:
            text, start = self._read(start, end), 0
        if size > PIECE_BYTES and holds_more(text, MOST_ELEMENT_VALUES, start, start + size):
            raise TooManyValues(f"an element has more than {MOST_ELEMENT_VALUES:,} values")
        return b"[[%b]]" % text[start : start + size]

    def count_values(self) -> int:
        """JSON values in the array, its elements and what is nested in them, exactly.

        Takes about as long as to parse it. It means nothing for what is no JSON.
        """
        return sum(exact_values(self._value, start, end) for start, end in self._pairs())

    def _pairs(self) -> Iterator[tuple[int, int]]:
        return zip(self._spans[::2], self._spans[1::2], strict=True)


def divide(value: bytes, name: str) -> Divided:
    """Read a JSON object whose member ``name`` is a large array.

    Of members with the same name the last one counts, as in a whole parse.

    Raises:
        TooManyValues: it has more than a thousand members, or is nested deeply too often.
        ValueError: it is no JSON object in UTF-8; the array may still turn out not to be JSON.
    """
    reader = _Reader(value, name)
    try:
        reader.read()
    except TooManyValues as error:
        error.others = reader.others
        raise
    return Divided(value, reader.others, reader.spans)


def first_members(value: bytes, *, is_whole: bool) -> tuple[dict[str, Any], bool]:
    """The members at the beginning of an object, and whether others may follow them.

    That may be if there are more than are ever read, or if ``value`` is not the whole text. In no
    case is the rest known to be JSON. Takes 100 ms for a mebibyte, whatever it holds.
    """
    reader = _Reader(value, None, _MOST_FIRST_STEPS)
    try:
        reader.read()
    except TooManyValues:
        return reader.others, True
    except ValueError:
        return reader.others, not is_whole and value.lstrip(BLANK).startswith(b"{")
    return reader.others, False


class _Reader:
    """Goes along the text once and finds where the members, and the array's elements, begin."""

    def __init__(self, value: bytes, name: str | None, most_steps: int = _MOST_STEPS) -> None:
        self.others: dict[str, Any] = {}
        self.spans: array[int] | None = None
        self._value = value
        self._name = name
        self._at = 0
        self._room = MOST_MEMBER_BYTES
        self._most_steps = most_steps
        self._steps = 0
        self._values = 0

    def read(self) -> None:
        """Read the object, and nothing after it."""
        self._take(b"{")
        for _ in range(MOST_MEMBERS):
            if not self.others and self.spans is None and self._next() == b"}":
                break
            self._read_member()
            if self._next() == b"}":
                break
            self._take(b",")
        else:
            raise TooManyValues(f"the object has more than {MOST_MEMBERS:,} members")
        self._take(b"}")
        if self._next():
            raise self._wrong()

    def _read_member(self) -> None:
        key = self._read_key()
        self._take(b":")
        if key == self._name:
            self.others.pop(key, None)
            for _ in Divided(self._value, {}, self.spans).pieces():
                pass  # another array of the name was before: it is dropped, but must be JSON
            self.spans = None
            if self._next() == b"[":
                self._at += 1
                self.spans = self._read_array()
                return
        start, self._at = self._at, self._element_end(self._at)
        self._room -= self._at - start
        if self._room < 0:
            self.others[key] = UNBUILT
            return
        self.others[key] = self._member(start, self._at)

    def _read_key(self) -> str:
        if self._next() != b'"':
            raise self._wrong()
        start, self._at = self._at, string_end(self._value, self._at + 1)
        if self._at - start > MOST_KEY_BYTES:
            raise TooManyValues(f"the name of a member is longer than {MOST_KEY_BYTES:,} bytes")
        return str(exact_json.loads(self._value[start : self._at], start))

    def _read_array(self) -> "array[int]":
        """Beginnings and ends of the pieces, in pairs; the position is after the ``]`` then.

        Two neighbours are longer than a piece together, so there are few, whatever the elements.
        """
        spans = array("Q")
        while True:
            start = self._at
            end = skip(_ELEMENTS, self._value, start) - 1
            if end < start:
                end = self._element_end(start)
            self._at = end + 1
            is_last = self._value[end : self._at] != b","
            if end == start and (spans or not is_last):  # each would become a piece
                raise ValueError(f"not JSON: no value at byte {start}")
            if spans and end - spans[-2] <= PIECE_BYTES:
                spans[-1] = end
            else:
                spans.extend((start, end))
            if is_last:
                self._at = end
                self._take(b"]")
                is_empty = len(spans) == 2 and not self._value[spans[0] : end].strip(BLANK)
                return array("Q") if is_empty else spans

    def _member(self, start: int, end: int) -> Any:  # noqa: ANN401 - any JSON value
        count = values_at_most(self._value, start, end)
        if count > _FEW_VALUES:
            count = exact_values(self._value, start, end)
        # Of a thousand members none that is one value, such as an id, is too many.
        if count > 1 and self._values + count > MOST_MEMBER_VALUES:
            return UNBUILT
        self._values += count
        member = exact_json.loads(b"[%b]" % self._value[start:end], start - len("["))
        if not member:
            raise ValueError(f"not JSON: no value at byte {start}")
        return member[0]

    def _element_end(self, start: int) -> int:
        """Where the comma or bracket stands that ends the element from ``start``."""
        position, depth = start, 0
        while True:
            pattern = _INSIDE if depth else _ELEMENT
            position = skip(pattern, self._value, position)
            match self._value[position : position + 1]:
                case b'"':
                    position = string_end(self._value, position + 1)
                case b"[" | b"{":
                    # Deeper than the patterns go: one by one.
                    depth, position = depth + 1, position + 1
                    self._count_step(depth)
                case b"]" | b"}" if depth:
                    depth, position = depth - 1, position + 1
                case b"]" | b"}":
                    return position
                case b"," if not depth:
                    return position
                case b"":
                    raise ValueError("not JSON: it ends too early")

    def _count_step(self, depth: int) -> None:
        self._steps += 1
        if depth > _MOST_DEPTH:
            raise ValueError("nested too deep")
        if self._steps > self._most_steps:
            raise TooManyValues(f"more than {self._most_steps:,} values are nested deeply")

    def _next(self) -> bytes:
        """Move to the next byte that isn't white space, and return it; empty at the end."""
        while (position := skip(_SPACE, self._value, self._at)) > self._at:
            self._at = position
        return self._value[self._at : self._at + 1]

    def _take(self, byte: bytes) -> None:
        if self._next() != byte:
            raise self._wrong()
        self._at += 1

    def _wrong(self) -> ValueError:
        return ValueError(f"not a JSON object: unexpected byte {self._at}")


def _elements(in_array: bytes, start: int) -> list[Any]:
    ((elements,)) = exact_json.loads(in_array, start - len("[["))
    if not elements:
        raise ValueError(f"not JSON: no value at byte {start}")
    return list(elements)
