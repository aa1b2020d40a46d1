"""The records of one batch, one by one, in bounded memory.

For batches that are too large to decompress at once, or that aiokafka's parser refuses. A record
that is too large is skipped in pieces and returned without its value. So is the rest of a batch
after broken bytes. Format: Kafka's record batch, magic 2. Invariant: each record comes once and in
order; at most one record, a codec's window and one piece are held.
"""

import struct
from collections.abc import Generator, Iterator
from io import BytesIO
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from clients.inflate import BrokenData, pieces
from schemas.unread_value import UnreadValue, too_large

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""The default bound of a record, decompressed: key, value and headers together."""
MOST_HEADERS = 1_000
"""A record with more keeps none: an empty header takes two bytes, and a hundred in memory."""
MOST_KEY_BYTES = 1024
"""Key bytes kept of a record whose value is skipped."""
MOST_BEGINNING_BYTES = 64 * 1024
"""Value bytes kept likewise: a request names its export at its beginning."""

_HEADER = struct.Struct(">qiibIhiqqqhii")
# Bits of a batch's attributes.
_CODEC, _APPEND_TIME = 0x07, 0x08
# Ten bytes of seven bits: the most that a 64-bit number takes.
_MOST_VARINT_BITS = 70
# Of the smallest record that is counted; see ``is_flood``.
_FLOOD_BYTES = 64 * 1024

HeadersRead = tuple[tuple[str, bytes | None], ...]


class PackedBatch(bytes):
    """An unparsed record batch; ``first_offset`` is that of the first record still to be read."""

    first_offset: int = 0


class LargeValue:
    """A value that each ``read`` decompresses again; it is not kept."""

    def __init__(self, stream: "RecordStream", offset: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._stream = stream
        self._offset = offset

    def read(self) -> bytes | None:
        """Decompress the value, from the batch's beginning unless the stream stands at it.

        Raises:
            BrokenData: the batch ends within it.
        """
        return self._stream.read_value(self, self._offset)


class StreamedRecord(NamedTuple):
    """A record with the attributes of aiokafka's."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | LargeValue | None
    headers: HeadersRead = ()
    checksum: None = None


class RecordStream:
    """An iterator over the records of ``batch`` from ``first_offset`` on.

    While it skips data it yields None now and then, so that a caller with a deadline can stop. A
    record larger than ``large_bytes``, if given, has a ``LargeValue`` and no headers.
    """

    def __init__(
        self,
        batch: bytes | memoryview,
        *,
        first_offset: int = 0,
        most_bytes: int = MAX_RECORD_BYTES,
        large_bytes: int | None = None,
    ) -> None:
        self._batch = batch
        self._first_offset = first_offset
        self._most_bytes = most_bytes
        self._large_bytes = most_bytes if large_bytes is None else min(large_bytes, most_bytes)
        header = _HEADER.unpack_from(batch)
        self._base_offset, self._count = header[0], header[12]
        self._last_offset = self._base_offset + header[6]
        self._appended_ms = header[8] if header[5] & _APPEND_TIME else None
        self._first_ms = header[7]
        self._source = _Source(pieces(header[5] & _CODEC, memoryview(batch)[_HEADER.size :]))
        self._waiting: LargeValue | None = None
        self._records = self._read()

    def __iter__(self) -> "RecordStream":
        return self

    def __next__(self) -> StreamedRecord | None:
        record = next(self._records)
        if record:
            self._first_offset = record.offset + 1
        return record

    def close(self) -> None:
        """Free what it holds, a piece and a codec's window: they are in a reference cycle."""
        self._records.close()

    def read_value(self, large: LargeValue, offset: int) -> bytes | None:
        """The value of a ``LargeValue``, as its ``read``."""
        if self._waiting is large:
            # The stream stands right before the value: nothing is decompressed again.
            self._waiting = None
            return _to_its_end(self._source.take(large.size_bytes))
        again = RecordStream(
            self._batch,
            first_offset=offset,
            most_bytes=self._most_bytes,
            large_bytes=self._large_bytes,
        )
        record = next(record for record in again if record)
        value = record.value
        try:
            return value.read() if isinstance(value, LargeValue) else value
        finally:
            again.close()

    def _read(self) -> Generator[StreamedRecord | None, None, None]:
        try:
            for _ in range(self._count):
                # In no variable: until the next one is wanted, it would be held here too.
                yield from self._next()
        except BrokenData as error:
            if self._last_offset >= self._first_offset:
                why = f"the rest of its batch can't be read: {error}"
                yield self._unread(self._last_offset, 0, None, UnreadValue(why, too_large=False))

    def _next(self) -> Iterator[StreamedRecord | None]:
        size = yield from self._source.varint()
        if size > self._large_bytes:
            yield from self._next_large(size)
            return
        try:
            yield self._wanted(self._parsed((yield from self._source.take(size))))
        except (IndexError, UnicodeError) as error:
            # Its lengths may be wrong, so the records after it can't be trusted either.
            raise BrokenData(f"a record is broken: {error}") from None

    def _next_large(self, size: int) -> Iterator[StreamedRecord | None]:
        source = self._source
        end = source.position + size
        yield from source.take(1)  # attributes, of which there are none
        millis = yield from source.varint()
        offset = self._base_offset + (yield from source.varint())
        key_bytes = yield from self._length_within(end)
        key = None
        if key_bytes >= 0:
            key = yield from source.take(min(key_bytes, MOST_KEY_BYTES))
        if offset < self._first_offset:
            yield from source.skip(end - source.position)
            return
        yield from source.skip(max(0, key_bytes - MOST_KEY_BYTES))
        value_bytes = yield from self._length_within(end)
        if size <= self._most_bytes:
            yield self._large(offset, millis, key, value_bytes)
            self._waiting = None  # read or not, the stream continues after the value
            yield from source.skip(end - source.position)
            return
        beginning = yield from source.take(min(max(0, value_bytes), MOST_BEGINNING_BYTES))
        yield from source.skip(end - source.position)
        yield self._unread(offset, millis, key, too_large(size, self._most_bytes, beginning))

    def _wanted(self, record: StreamedRecord) -> StreamedRecord | None:
        return record if record.offset >= self._first_offset else None

    def _length_within(self, end: int) -> "_Steps[int]":
        length = yield from self._source.varint()
        if length > end - self._source.position:
            raise BrokenData("a key or a value is longer than its record")
        return length

    def _large(
        self, offset: int, millis: int, key: bytes | None, value_bytes: int
    ) -> StreamedRecord:
        if value_bytes < 0:
            return StreamedRecord(offset, *self._time(millis), key, None)
        self._waiting = LargeValue(self, offset, value_bytes)
        return StreamedRecord(offset, *self._time(millis), key, self._waiting)

    def _unread(
        self, offset: int, millis: int, key: bytes | None, value: UnreadValue
    ) -> StreamedRecord:
        return StreamedRecord(offset, *self._time(millis), key, value)

    def _time(self, millis: int) -> tuple[int, Literal[0, 1]]:
        if self._appended_ms is not None:
            return self._appended_ms, 1
        return self._first_ms + millis, 0

    def _parsed(self, data: bytes) -> StreamedRecord:
        millis, at = _varint(data, 1)
        delta, at = _varint(data, at)
        key, at = _nullable(data, at)
        value, at = _nullable(data, at)
        count, at = _varint(data, at)
        headers = _headers(data, at, count) if 0 < count <= MOST_HEADERS else ()
        return StreamedRecord(self._base_offset + delta, *self._time(millis), key, value, headers)


def is_flood(records: memoryview) -> bool:
    """Whether a record of at least ``_FLOOD_BYTES`` has too many headers, or is broken.

    A smaller one has at most thirty thousand, which aiokafka parses in some milliseconds.
    """
    end, at = len(records), 0
    if end < _FLOOD_BYTES:
        return False
    try:
        while at < end:
            low, middle = records[at], records[at + 1]
            if low < 0x80:  # the usual lengths by hand: batches of a thousand records are usual
                size, at = low >> 1, at + 1
            elif middle < 0x80:
                size, at = (low & 0x7F | middle << 7) >> 1, at + 2
            else:
                size, at = _varint(records, at)
            if size >= _FLOOD_BYTES and _header_count(records, at) > MOST_HEADERS:
                return True
            at += size
    except IndexError:
        return True
    return False


def _header_count(data: memoryview, at: int) -> int:
    _, at = _varint(data, at + 1)
    _, at = _varint(data, at)
    # Lengths of -1 stand for null.
    for _ in ("key", "value"):
        size, at = _varint(data, at)
        at += max(0, size)
    return _varint(data, at)[0]


def _headers(data: bytes, at: int, count: int) -> HeadersRead:
    headers = []
    for _ in range(count):
        name, at = _nullable(data, at)
        text, at = _nullable(data, at)
        # Names are bytes to brokers and to some clients.
        headers.append(((name or b"").decode(errors="backslashreplace"), text))
    return tuple(headers)


def _nullable(data: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(data, at)
    if size < 0:
        return None, at
    if at + size > len(data):
        raise IndexError("it is longer than its length")
    return data[at : at + size], at + size


def _varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    value, shift = byte & 0x7F, 7
    while byte >= 0x80 and shift < _MOST_VARINT_BITS:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value >> 1) ^ -(value & 1), at + 1


_T = TypeVar("_T")
_Steps: TypeAlias = Generator[None, None, _T]


def _to_its_end(steps: _Steps[_T]) -> _T:
    """Run a generator to its end and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result


class _Source:
    """Reads forward through bytes that arrive in pieces.

    Each method is a generator that yields whenever it has fetched a piece: pieces may be empty, and
    as many as the batch has bytes.
    """

    def __init__(self, coming: Iterator[bytes]) -> None:
        self._coming = coming
        self._piece = b""
        self._at = 0
        self.position = 0

    def take(self, size: int) -> _Steps[bytes]:
        """The next bytes. Raises BrokenData."""
        if size < 0:
            raise BrokenData("a length is negative")
        begin, end = self._at, self._at + size
        if end <= len(self._piece):
            self._at = end
            self.position += size
            return self._piece[begin:end]
        # This buffer becomes the result; joining pieces would hold them twice.
        taken = BytesIO()
        missing = size - taken.write(self._piece[begin:])
        while missing:
            self._fetch()
            self._at = taken.write(self._piece[:missing])
            missing -= self._at
            yield None
        self.position += size
        return taken.getvalue()

    def skip(self, size: int) -> _Steps[None]:
        """Skip bytes. Raises BrokenData."""
        if size < 0:
            raise BrokenData("a length is wrong")
        while size:
            # An empty piece is fetched past too, with a yield for each, so that a deadline holds.
            if self._at == len(self._piece):
                self._fetch()
            passed = min(size, len(self._piece) - self._at)
            self._at += passed
            self.position += passed
            size -= passed
            yield None

    def varint(self) -> _Steps[int]:
        """The next number, zigzag as Protocol Buffers'. Raises BrokenData."""
        value = shift = 0
        while shift < _MOST_VARINT_BITS:
            while self._at == len(self._piece):
                self._fetch()
                yield None
            byte = self._piece[self._at]
            self._at += 1
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
        raise BrokenData("a length is no number")

    def _fetch(self) -> None:
        self._piece, self._at = b"", 0  # never two at a time
        piece = next(self._coming, None)
        if piece is None:
            raise BrokenData("it ends too early")
        self._piece = piece
