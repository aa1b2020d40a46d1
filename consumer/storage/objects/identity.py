"""Identifies a bucket storage: ``.sluice.json`` below the prefix holds a random id.

As with a directory (``consumer.storage.identity``), what is gone looks new. Invariant: what isn't
there isn't in the storage whose id this process knows, as that was there a moment ago.
"""

import contextlib
import json
import time
import uuid

from consumer.errors import StorageUnavailable
from consumer.storage.objects import layout
from consumer.storage.objects.bucket import Bucket

# Each read is a request: one serves all calls within this time.
_SURE_SECONDS = 2.0


class ObjectIdentity:
    """One storage's id, as known to this process. Threads may share it."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._id: str | None = None
        self._seen_at = float("-inf")

    @property
    def known(self) -> str:
        """The id, once ``require`` has returned."""
        return self._id or ""

    def find(self) -> str | None:
        """See ``GroupStorage.find``."""
        found = self._read()
        if found is not None:
            self._note(found)
        return found

    def found(self) -> str:
        """See ``GroupStorage.found``."""
        text = json.dumps({"storage_id": uuid.uuid4().hex}).encode() + b"\n"
        try:
            self._bucket.create(layout.IDENTITY, text)
        except StorageUnavailable:
            if self._read() is None:  # otherwise ours or another's was created
                raise
        found = self._read()
        if found is None:
            where = f"{self._bucket.url}/{layout.IDENTITY}"
            raise StorageUnavailable(f"{where} is gone as soon as it was written")
        self._note(found)
        return found

    def require(self, *, now: bool = False) -> None:
        """Check that the storage still has the remembered id; the first call creates one if needed.

        ``now``: check again, even if it was checked a moment ago.

        Raises:
            StorageUnavailable: it has another id, or none.
        """
        if self._id is None:
            self.found()
        elif now or time.monotonic() - self._seen_at > _SURE_SECONDS:
            found = self._read()
            if found is None:
                raise StorageUnavailable(
                    f"{self._bucket.url} is not the storage that it was: {layout.IDENTITY} is gone"
                )
            self._note(found)

    def _note(self, found: str) -> None:
        if self._id is None:
            self._id = found
        if found != self._id:
            raise StorageUnavailable(
                f"{self._bucket.url} is not the storage that it was: {layout.IDENTITY} has the id "
                f"{found}, and this node works with {self._id}"
            )
        self._seen_at = time.monotonic()

    def _read(self) -> str | None:
        text = self._bucket.read(layout.IDENTITY)
        if text is None:
            return None
        with contextlib.suppress(ValueError, TypeError, KeyError):
            found = json.loads(text)["storage_id"]
            if isinstance(found, str) and found:
                return found
        raise StorageUnavailable(
            f"{self._bucket.url}/{layout.IDENTITY} names no storage_id; restore it from a copy"
        )
