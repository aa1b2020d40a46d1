"""Finished files in a bucket, as they are read: some of it at a time.

Invariant: a file holds no more of its content in memory than it reads at a time.
"""

from consumer.storage.objects import layout
from consumer.storage.objects.bucket import Bucket, ListedObject

_READ_BYTES = 1024 * 1024


class ObjectFile:
    """``StoredFile`` in a bucket: read a mebibyte at a time, of which the last is kept."""

    def __init__(self, bucket: Bucket, listed: ListedObject) -> None:
        self.name = layout.location(bucket.url, listed.name)
        self.size, self.modified = listed.size, listed.modified
        self._bucket = bucket
        self._object = listed.name
        self._held = (0, b"")

    def read(self, offset: int, size: int) -> bytes:
        """See ``StoredFile.read``."""
        if offset >= self.size or size <= 0:
            return b""
        begin, held = self._held
        if not begin <= offset < begin + len(held):
            # Each range that is read is a request of its own.
            count = min(max(size, _READ_BYTES), self.size - offset)
            begin, held = offset, self._bucket.read_range(self._object, offset, count)
            self._held = begin, held
        return held[offset - begin : offset - begin + size]

    def presign(self, method: str, seconds: int) -> str | None:
        """See ``StoredFile.presign``."""
        return self._bucket.presign(self._object, method, seconds)
