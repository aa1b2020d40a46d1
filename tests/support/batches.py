"""Record batches of any content and any codec, made in pieces, sent as they are.

What a hostile client could send: a gigabyte in some KB, whose sender holds none of it either.
"""

import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import cramjam
import lz4.frame
import zstandard
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CODECS = {"plain": 0, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
_HEADER = struct.Struct(">qiibIhiqqqhii")
_ATTRIBUTES_AT = 21
_XERIAL = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
TIME_MS = int(time.time() * 1000)


def varint(number: int) -> bytes:
    """As in Kafka's records: zigzag, seven bits a byte."""
    left = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while left >= 0x80:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*encoded, left])


def record(
    delta: int,
    key: bytes | None,
    value: Iterable[bytes] | bytes | None,
    size: int | None = None,
    headers: Sequence[tuple[bytes, bytes | None]] = (),
) -> Iterator[bytes]:
    """A record's bytes in pieces; the value of ``size`` bytes may come in pieces too."""
    pieces = [value] if isinstance(value, bytes) else value
    size = len(value) if isinstance(value, bytes) else size
    head = b"\0" + varint(0) + varint(delta) + _text(key)
    head += varint(-1 if size is None else size)
    tail = varint(len(headers)) + b"".join(_text(name) + _text(text) for name, text in headers)
    yield varint(len(head) + (size or 0) + len(tail)) + head
    yield from pieces or ()
    yield tail


def packed(codec: int, records: Sequence[Iterable[bytes]], first_offset: int = 0) -> bytes:
    """A batch of records, as a broker stores it."""
    return framed(
        codec, compressed(codec, (it for one in records for it in one)), len(records), first_offset
    )


def framed(codec: int, body: bytes, count: int, first_offset: int = 0) -> bytes:
    """A batch around what was compressed."""
    times = (TIME_MS, TIME_MS, -1, -1, -1)
    length = _HEADER.size - 12 + len(body)
    head = bytearray(_HEADER.pack(first_offset, length, 0, 2, 0, codec, count - 1, *times, count))
    struct.pack_into(">I", head, 17, calc_crc32c(bytes(head[_ATTRIBUTES_AT:]) + body))
    return bytes(head) + body


def compressed(codec: int, pieces: Iterable[bytes]) -> bytes:
    """By any of Kafka's codecs, without ever holding what is compressed."""
    if codec == 0:
        return b"".join(pieces)
    if codec == SNAPPY:
        return _XERIAL + b"".join(
            struct.pack(">i", len(block)) + block
            for piece in pieces
            for block in [bytes(cramjam.snappy.compress_raw(piece))]
            if piece
        )
    sink: _Sink = {GZIP: _Gzip, LZ4: _Lz4, ZSTD: _Zstd}[codec]()
    return b"".join([*map(sink.compress, pieces), sink.flush()])


def repeated(piece: bytes, size: int) -> Iterator[bytes]:
    """``size`` bytes of the same again and again."""
    large = piece * (256 * 1024 // len(piece))
    while size:
        yield large[:size]
        size -= min(size, len(large))


async def send_batch(producer: AIOKafkaProducer, topic: str, partition: int, batch: bytes) -> int:
    """Send a batch that was made here; its first offset."""
    builder = producer.create_batch()
    builder.append(timestamp=None, key=b"", value=b"")
    builder.close()
    builder._buffer = batch  # aiokafka has no way for a batch of one's own
    metadata = await (await producer.send_batch(builder, topic, partition=partition))
    return int(metadata.offset)


def _text(text: bytes | None) -> bytes:
    return varint(-1) if text is None else varint(len(text)) + text


class _Sink(Protocol):
    def compress(self, piece: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._stream: Any = zlib.compressobj(6, wbits=31)

    def compress(self, piece: bytes) -> bytes:
        return bytes(self._stream.compress(piece))

    def flush(self) -> bytes:
        return bytes(self._stream.flush())


class _Zstd(_Gzip):
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor(level=3).compressobj()


class _Lz4(_Gzip):
    def __init__(self) -> None:
        self._stream = lz4.frame.LZ4FrameCompressor(block_linked=False)
        self._begun = False

    def compress(self, piece: bytes) -> bytes:
        begin = b"" if self._begun else self._stream.begin()
        self._begun = True
        return bytes(begin + self._stream.compress(piece))
