"""Reads finished files in a bucket, piece by piece.

Invariant: a file holds no more in memory than it reads at a time.
"""

import io
from typing import TYPE_CHECKING

from consumer.storage.objects import layout
from consumer.storage.objects.bucket import Bucket, ListedObject

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_READ_BYTES = 1024 * 1024


class ObjectFile:
    """A ``StoredFile`` in a bucket: read a mebibyte at a time, keeping the last one.

    ``etag``: read only this object, not one that replaces it. A storage's own files need none,
    because their keys are never reused.
    """

    def __init__(self, bucket: Bucket, listed: ListedObject, etag: str | None = None) -> None:
        self.name = layout.location(bucket.url, listed.name)
        self.size, self.modified = listed.size, listed.modified
        self._bucket = bucket
        self._object = listed.name
        self._etag = etag
        self._held = (0, b"")

    def read(self, offset: int, size: int) -> bytes:
        """See ``StoredFile.read``."""
        if offset >= self.size or size <= 0:
            return b""
        begin, held = self._held
        if not begin <= offset < begin + len(held):
            # Each range is a separate request.
            count = min(max(size, _READ_BYTES), self.size - offset)
            begin = offset
            held = self._bucket.read_range(self._object, offset, count, self._etag)
            self._held = begin, held
        return held[offset - begin : offset - begin + size]

    def presign(self, method: str, seconds: int) -> str | None:
        """See ``StoredFile.presign``."""
        return self._bucket.presign(self._object, method, seconds)


class ObjectStream(io.RawIOBase):
    """An object as a Python file object, readable and seekable, without a descriptor."""

    def __init__(self, file: ObjectFile) -> None:
        self._file = file
        self._offset = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the offset of the next read; fetches nothing."""
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._file.size}
        self._offset = max(0, origins[whence] + offset)
        return self._offset

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fetch some bytes, unless those fetched last have them.

        Raises:
            StorageUnavailable: the store refuses, or another object has taken its place.
        """
        view = memoryview(buffer)
        piece = self._file.read(self._offset, len(view))
        view[: len(piece)] = piece
        self._offset += len(piece)
        return len(piece)
