"""Decompresses Kafka's four codecs within bounds.

A few KB can decompress to gigabytes, so nothing here decompresses a whole batch:
``inflated_within`` gives up at a bound, ``pieces`` yields one piece after the other. Invariant:
neither holds more than its bound, a codec's window and one block, for any input.
"""

import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import cramjam
import lz4.frame
import zstandard

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
"""Codecs, as a record batch's attributes number them."""

PIECE_BYTES = 256 * 1024
MOST_WINDOW_BYTES = 8 * 1024 * 1024
"""The furthest that zstd may refer back: up to its level 19, where level 22 goes 128 MiB back. Each
batch that is being read holds its window, and a partition reads up to two."""
MOST_BLOCK_BYTES = 64 * 1024 * 1024
"""A snappy block can't be decompressed in pieces."""
MOST_KEPT_BYTES = 4 * 1024 * 1024
"""How much of a snappy block is kept between two pieces."""

_INPUT_BYTES = 16 * 1024  # lz4 makes up to 255 bytes of one, before it looks at a limit
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES, _LENGTH_BYTES = 16, 4
_MOST_SNAPPY_RATIO = 22  # a copy of 64 bytes takes three
_GZIP_WRAPPER = 31

_scratch = threading.local()
_one_block = threading.Lock()


class BrokenData(ValueError):  # noqa: N818 - it names the data
    """Bytes that their codec can't decompress, or only with more memory than is allowed."""


def inflated_within(codec: int, data: memoryview, most_bytes: int) -> memoryview | None:
    """``data`` decompressed; None if that exceeds the bound, or is broken.

    The result is valid until this thread's next call.
    """
    if codec == NONE:
        return data if len(data) <= most_bytes else None
    if codec == SNAPPY and _snappy_bytes(data) > most_bytes:
        return None
    buffer: bytearray | None = getattr(_scratch, "buffer", None)
    if buffer is None or len(buffer) < most_bytes:
        buffer = _scratch.buffer = bytearray(most_bytes)
    try:
        size = _inflate_into(codec, data, memoryview(buffer)[:most_bytes])
    except (cramjam.DecompressionError, BrokenData):
        return None
    return memoryview(buffer)[:size]


def pieces(codec: int, data: memoryview) -> Iterator[bytes]:
    """``data`` decompressed, in pieces of about ``PIECE_BYTES``.

    Raises:
        BrokenData: the rest can't be decompressed.
    """
    if codec not in _PIECES:
        raise BrokenData(f"codec {codec} is unknown")
    try:
        yield from _PIECES[codec](data)
    except (
        zlib.error,
        zstandard.ZstdError,
        cramjam.DecompressionError,
        RuntimeError,  # lz4's
    ) as error:
        raise BrokenData(str(error)) from None


def _inflate_into(codec: int, data: memoryview, into: memoryview) -> int:
    if codec == SNAPPY:
        size = 0
        for block in _snappy_blocks(data):
            size += cramjam.snappy.decompress_raw_into(block, into[size:])
        return size
    modules: dict[int, Any] = {GZIP: cramjam.gzip, LZ4: cramjam.lz4, ZSTD: cramjam.zstd}
    if codec not in modules:
        raise BrokenData(f"codec {codec} is unknown")
    return int(modules[codec].decompress_into(data, into))


def _plain(data: memoryview) -> Iterator[bytes]:
    for at in range(0, len(data), PIECE_BYTES):
        yield bytes(data[at : at + PIECE_BYTES])


def _gunzipped(data: memoryview) -> Iterator[bytes]:
    rest: bytes | memoryview = data
    while rest:
        member = zlib.decompressobj(_GZIP_WRAPPER)
        # Sliced, as zlib copies what it has not consumed each time.
        source = _slices(rest)
        unused = b""
        for part in source:
            pending: bytes | memoryview = part
            while pending and not member.eof:
                yield member.decompress(pending, PIECE_BYTES)
                pending = member.unconsumed_tail
            if member.eof:
                unused = member.unused_data + b"".join(source)
                break
        if not member.eof:
            raise BrokenData("gzip ends too early")
        rest = unused


def _unsnapped(data: memoryview) -> Iterator[bytes]:
    for block in _snappy_blocks(data):
        size = cramjam.snappy.decompress_raw_len(block)
        if size > min(MOST_BLOCK_BYTES, _MOST_SNAPPY_RATIO * len(block) + PIECE_BYTES):
            raise BrokenData(f"a snappy block of {size} bytes")
        for at in range(0, max(size, 1), MOST_KEPT_BYTES):
            # Again for each piece: a node has many batches half unpacked, all of such blocks.
            with _one_block:
                whole = memoryview(cramjam.snappy.decompress_raw(block))
                piece = bytes(whole[at : at + MOST_KEPT_BYTES])
                del whole
            yield piece


def _unlz4ed(data: memoryview) -> Iterator[bytes]:
    frame = lz4.frame.LZ4FrameDecompressor()
    begun = False
    for part in _slices(data):
        pending = bytes(part)
        while pending or (begun and not frame.needs_input):
            if frame.eof:
                frame, begun = lz4.frame.LZ4FrameDecompressor(), False
            yield frame.decompress(pending, PIECE_BYTES)
            begun = True
            pending = frame.unused_data or b"" if frame.eof else b""
            if frame.eof and not pending:
                break
    if not (begun and frame.eof):
        raise BrokenData("lz4 ends too early")


def _unzstded(data: memoryview) -> Iterator[bytes]:
    window_bytes = zstandard.get_frame_parameters(data).window_size
    if window_bytes > MOST_WINDOW_BYTES:
        raise BrokenData(
            f"it has a zstd window of {window_bytes:,} bytes, more than {MOST_WINDOW_BYTES:,}: "
            "compress by level 19 at most"
        )
    inflater = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW_BYTES)
    with inflater.stream_reader(bytes(data), read_across_frames=True) as reader:
        while piece := reader.read(PIECE_BYTES):
            yield piece


_PIECES: dict[int, Callable[[memoryview], Iterator[bytes]]] = {
    NONE: _plain,
    GZIP: _gunzipped,
    SNAPPY: _unsnapped,
    LZ4: _unlz4ed,
    ZSTD: _unzstded,
}


def _slices(data: bytes | memoryview) -> Iterator[memoryview]:
    view = memoryview(data)
    for at in range(0, len(view), _INPUT_BYTES):
        yield view[at : at + _INPUT_BYTES]


def _snappy_bytes(data: memoryview) -> int:
    """The decompressed size by the blocks' headers; the maximum if these are broken."""
    try:
        return sum(map(cramjam.snappy.decompress_raw_len, _snappy_blocks(data)))
    except (cramjam.DecompressionError, BrokenData):
        return MOST_BLOCK_BYTES


def _snappy_blocks(data: memoryview) -> Iterator[memoryview]:
    """The blocks of the xerial framing; without it, all is one block."""
    if bytes(data[: len(_XERIAL)]) != _XERIAL:
        yield data
        return
    at = _XERIAL_HEADER_BYTES
    while at < len(data):
        size = int.from_bytes(data[at : at + _LENGTH_BYTES], "big", signed=True)
        at += _LENGTH_BYTES
        if size < 0 or at + size > len(data):
            raise BrokenData("a snappy block ends too early")
        yield data[at : at + size]
        at += size
