"""Decompresses Kafka's four codecs within bounds.

A few KB can decompress to gigabytes, so nothing here decompresses a whole batch:
``inflated_within`` gives up at a bound, ``pieces`` yields one piece after the other. Invariant:
neither holds more than its bound, a codec's window and one block, for any input.
"""

import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
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
MOST_LIGHT_FRAMES = 1_000
"""gzip members or snappy blocks that are decompressed at once: each costs 1 to 3 us, however little
it holds."""

_FIRST_INPUT_BYTES = 512  # codecs copy what follows a frame's end, and frames may be tiny
_INPUT_BYTES = 16 * 1024  # lz4 makes up to 255 bytes of one, before it looks at a limit
_XERIAL = b"\x82SNAPPY\x00"
# The magic bytes, then two versions of four bytes each.
_XERIAL_HEADER_BYTES = 16
_XERIAL_LENGTH = struct.Struct(">i")
_SMALL_BLOCKS = 256  # that make one piece: a step for each would double what they cost
_MOST_SNAPPY_RATIO = 22  # a copy of 64 bytes takes three
# zlib's number for gzip: the largest window, 15, and 16 for the header.
_GZIP_WRAPPER = 31
_GZIP_MAGIC = b"\x1f\x8b\x08"

_scratch = threading.local()
# One snappy block of a node at a time: each may be 64 MiB.
_one_block = threading.Lock()


class BrokenData(ValueError):  # noqa: N818 - it names the data
    """The data can't be decompressed, or only with more memory than is allowed."""


def inflated_within(codec: int, data: memoryview, most_bytes: int) -> memoryview | None:
    """``data`` decompressed; None if that exceeds the bound, or is broken.

    The result is valid until this thread's next call.
    """
    if len(data) > most_bytes:
        return None
    if codec == NONE:
        return data
    if codec == GZIP and bytes(data).count(_GZIP_MAGIC) > MOST_LIGHT_FRAMES:
        return None
    buffer: bytearray | None = getattr(_scratch, "buffer", None)
    if buffer is None or len(buffer) < most_bytes:
        buffer = _scratch.buffer = bytearray(most_bytes)
    try:
        # The buffer is the limit: codecs fail if their output doesn't fit.
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
        blocks = list(islice(_snappy_blocks(data), MOST_LIGHT_FRAMES + 1))
        if len(blocks) > MOST_LIGHT_FRAMES:
            raise BrokenData("it has too many snappy blocks")
        size = 0
        for block in blocks:
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
    at = 0
    while at < len(data):
        member = zlib.decompressobj(_GZIP_WRAPPER)
        size = _FIRST_INPUT_BYTES
        while not member.eof:
            part = data[at : at + size]
            if not part:
                raise BrokenData("gzip ends too early")
            yield member.decompress(part, PIECE_BYTES)
            # By position: to carry on with a copy of the rest is quadratic in the members.
            at += len(part) - len(member.unconsumed_tail) - len(member.unused_data)
            size = min(2 * size, _INPUT_BYTES)


def _unsnapped(data: memoryview) -> Iterator[bytes]:
    small = bytearray()
    for number, block in enumerate(_snappy_blocks(data)):
        size = cramjam.snappy.decompress_raw_len(block)
        # The length in front is only the sender's claim; these bytes can't produce more than this.
        if size > min(MOST_BLOCK_BYTES, _MOST_SNAPPY_RATIO * len(block) + PIECE_BYTES):
            raise BrokenData(f"a snappy block of {size} bytes")
        if size <= PIECE_BYTES // _SMALL_BLOCKS:
            small += cramjam.snappy.decompress_raw(block)
            if number % _SMALL_BLOCKS == 0:
                yield bytes(small)
                small.clear()
            continue
        # First yield what was gathered before this block.
        yield bytes(small)
        small.clear()
        for at in range(0, size, MOST_KEPT_BYTES):
            # Again for each piece: a node has many batches half unpacked, all of such blocks.
            with _one_block:
                whole = memoryview(cramjam.snappy.decompress_raw(block))
                piece = bytes(whole[at : at + MOST_KEPT_BYTES])
                del whole
            yield piece
    yield bytes(small)


def _unlz4ed(data: memoryview) -> Iterator[bytes]:
    frame, at = lz4.frame.LZ4FrameDecompressor(), 0
    while at < len(data):
        frame.reset()
        size = _FIRST_INPUT_BYTES
        while not frame.eof:
            part = bytes(data[at : at + size]) if frame.needs_input else b""
            if frame.needs_input and not part:
                raise BrokenData("lz4 ends too early")
            at += len(part)
            yield frame.decompress(part, PIECE_BYTES)
            size = min(2 * size, _INPUT_BYTES)
        at -= len(frame.unused_data or b"")


def _unzstded(data: memoryview) -> Iterator[bytes]:
    # Checked before the reader allocates it; the library's own error names no bound.
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


def _snappy_blocks(data: memoryview) -> Iterator[memoryview]:
    """The blocks of the xerial framing; without it, all is one block."""
    if bytes(data[: len(_XERIAL)]) != _XERIAL:
        yield data
        return
    at = _XERIAL_HEADER_BYTES
    while at < len(data):
        if at + _XERIAL_LENGTH.size > len(data):
            raise BrokenData("a snappy block ends too early")
        (size,) = _XERIAL_LENGTH.unpack_from(data, at)
        at += _XERIAL_LENGTH.size
        if size < 0 or at + size > len(data):
            raise BrokenData("a snappy block ends too early")
        yield data[at : at + size]
        at += size
