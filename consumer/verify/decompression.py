"""The content of a finished file, compressed or not, in pieces.

Invariant: a piece has at most ``PIECE_BYTES``, whatever the file claims; data that can't be
decompressed ends the content without raising: the file's hash will differ.
"""

import gzip
import zlib
from collections.abc import Iterator
from typing import IO, Protocol, cast

import zstandard

from schemas.vocabulary import Compression

PIECE_BYTES = 256 * 1024
# Files of ours have a window of 256 KiB.
_MOST_WINDOW_BYTES = 8 * 1024 * 1024


class Readable(Protocol):
    """What a file is read by."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end."""


def content_of(file: Readable, compression: Compression) -> Iterator[bytes]:
    """The content from where the file stands on. Reads no further than it gets."""
    reader = _reader(file, compression)
    try:
        while piece := reader.read(PIECE_BYTES):
            yield piece
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError):
        return


def _reader(file: Readable, compression: Compression) -> Readable:
    match compression:
        case Compression.NONE:
            return file
        case Compression.GZIP:
            return gzip.GzipFile(fileobj=cast("IO[bytes]", file))  # which it only reads
        case Compression.ZSTD:
            inflater = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW_BYTES)
            return inflater.stream_reader(cast("IO[bytes]", file), read_across_frames=True)
