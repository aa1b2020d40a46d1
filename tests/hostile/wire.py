"""Record batches of Kafka's format v2, made piece by piece, so that a value may be larger than RAM.

aiokafka's builder holds a batch uncompressed and bounds it; a hostile producer does neither. The
format: https://kafka.apache.org/documentation/#recordbatch. Invariant: of what is compressed, one
piece is in memory at a time.
"""

import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import cramjam
from aiokafka.record.util import calc_crc32c

from tests.support.tiny_frames import tiny_frames

PIECE_BYTES = 256 * 1024
_XERIAL = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)


class Codec(IntEnum):
    """What a batch is compressed by; the numbers are Kafka's."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes that are made when they are wanted: ``before``, ``unit`` so many times, ``after``."""

    before: bytes
    unit: bytes = b""
    times: int = 0
    after: bytes = b""

    def __len__(self) -> int:
        return len(self.before) + len(self.unit) * self.times + len(self.after)

    def pieces(self) -> Iterator[bytes]:
        """All of it, in pieces of about ``PIECE_BYTES``."""
        yield self.before
        if self.unit:
            at_once = max(1, PIECE_BYTES // len(self.unit))
            piece = self.unit * at_once
            for _ in range(self.times // at_once):
                yield piece
            yield self.unit * (self.times % at_once)
        yield self.after

    def whole(self) -> bytes:
        """All of it at once."""
        return b"".join(self.pieces())


@dataclass(frozen=True, slots=True)
class Record:
    """A message. Names of headers are bytes, as nothing on the wire makes them UTF-8."""

    value: Text | bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[bytes, bytes | None]] = ()


class WireBatch:
    """A finished batch, to be given to ``AIOKafkaProducer.send_batch`` as if it were a builder."""

    def __init__(self, data: bytes, records: int) -> None:
        self._data = data
        self._records = records

    def size(self) -> int:
        return len(self._data)

    def record_count(self) -> int:
        return self._records

    def closed(self) -> bool:
        return True

    def close(self) -> None:
        """It is."""

    def append(self, **_: Any) -> None:
        """Nothing more fits: aiokafka begins another batch."""

    def _build(self) -> bytes:
        return self._data


def make_batch(records: Iterable[Record], codec: Codec = Codec.NONE) -> WireBatch:
    """A batch of these records."""
    compressor = _COMPRESSORS[codec]()
    compressed: list[bytes] = []
    count = 0
    for count, record in enumerate(records, start=1):
        compressed += [done for piece in _framed(record, count - 1) if (done := compressor(piece))]
    compressed.append(compressor(None))
    return _batch_around(b"".join(compressed), codec, count)


def make_tiny_batch(record: Record, codec: Codec, size_bytes: int) -> WireBatch:
    """A batch of one record, in so many bytes of frames that hold a byte of it or nothing."""
    content = b"".join(_framed(record, 0))
    return _batch_around(tiny_frames(codec.name.lower(), content, size_bytes), codec, 1)


def _batch_around(body: bytes, codec: Codec, count: int) -> WireBatch:
    now = int(time.time() * 1000)
    # From the attributes on: what the checksum is of.
    checked = struct.pack(">hiqqqhii", codec, count - 1, now, now, -1, -1, -1, count) + body
    crc = calc_crc32c(checked)
    head = struct.pack(">qiibI", 0, len(checked) + 9, -1, 2, crc)
    return WireBatch(head + checked, count)


def _framed(record: Record, offset: int) -> Iterator[bytes]:
    key = _sized(record.key)
    headers = b"".join(_varint2(name) + _sized(content) for name, content in record.headers)
    end = _varint(len(record.headers)) + headers
    head = b"\0" + _varint(0) + _varint(offset) + key
    length = -1 if record.value is None else len(record.value)
    head += _varint(length)
    yield _varint(len(head) + max(0, length) + len(end)) + head
    if isinstance(record.value, Text):
        yield from record.value.pieces()
    elif record.value:
        yield record.value
    yield end


def _sized(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint2(name: bytes) -> bytes:
    return _varint(len(name)) + name


def _varint(number: int) -> bytes:
    left = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


class _Compress(Protocol):
    """Takes the next piece, or None at the end; gives what is ready of the compressed bytes."""

    def __call__(self, piece: bytes | None) -> bytes: ...


def _plain() -> _Compress:
    return lambda piece: piece or b""


def _gzip() -> _Compress:
    stream = zlib.compressobj(6, wbits=31)
    return lambda piece: stream.flush() if piece is None else stream.compress(piece)


def _snappy() -> _Compress:
    # As snappy-java frames it: a header, then blocks, each behind its length.
    head = [_XERIAL]

    def compress(piece: bytes | None) -> bytes:
        block = bytes(cramjam.snappy.compress_raw(piece)) if piece else b""
        framed = struct.pack(">i", len(block)) + block if block else b""
        return (head.pop() if head else b"") + framed

    return compress


def _stream(make: Callable[[], Any]) -> Callable[[], _Compress]:
    def start() -> _Compress:
        stream = make()

        def compress(piece: bytes | None) -> bytes:
            if piece is None:
                return bytes(stream.finish())
            stream.compress(piece)
            return b""

        return compress

    return start


_COMPRESSORS: dict[Codec, Callable[[], _Compress]] = {
    Codec.NONE: _plain,
    Codec.GZIP: _gzip,
    Codec.SNAPPY: _snappy,
    # Kafka reads no linked blocks (KIP-57).
    Codec.LZ4: _stream(
        lambda: cramjam.lz4.Compressor(level=1, content_checksum=False, block_linked=False)
    ),
    Codec.ZSTD: _stream(lambda: cramjam.zstd.Compressor(level=1)),
}
