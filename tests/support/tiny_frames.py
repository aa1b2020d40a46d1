"""Compressed bytes in frames that hold a byte or nothing: legal, and as many as there are bytes."""

import gzip
import struct
from collections.abc import Callable

import cramjam
import lz4.frame
import zstandard

from tests.support.batches import CODECS, compressed


def _snappy_block(data: bytes) -> bytes:
    block = bytes(cramjam.snappy.compress_raw(data))
    return struct.pack(">i", len(block)) + block


_FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "snappy": _snappy_block,
    "lz4": lambda data: lz4.frame.compress(data, store_size=False),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
KINDS = list(_FRAMES)
SENT_KINDS = ["gzip", "snappy", "zstd"]
"""Those that a broker takes: it refuses lz4 of several frames."""


def tiny_frames(kind: str, content: bytes, size_bytes: int) -> bytes:
    """About ``size_bytes`` of frames that hold a byte of the content or nothing, then the rest.

    gzip's hold a byte, so content must be longer than a 20th of that: Java passes over an empty
    member by recursion, and a broker refuses some thousands.
    """
    make = _FRAMES[kind]
    head = compressed(CODECS[kind], ()) if kind == "snappy" else b""
    of_bytes = [make(bytes([byte])) for byte in range(256)]
    share = size_bytes if kind == "gzip" else size_bytes // 2
    alone = min(len(content) - 1, share // len(of_bytes[0]))
    tiny = b"".join(of_bytes[byte] for byte in content[:alone])
    empty = make(b"")
    empties = b"" if kind == "gzip" else empty * ((size_bytes - len(tiny)) // len(empty))
    return head + empties + tiny + make(content[alone:])
