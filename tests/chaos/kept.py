"""What a group's storage holds, as the judge sees it: names of files and manifests, and bytes.

Invariant: it is read by the operating system or by a store's own client, never by the product's
storage.
"""

import re
from pathlib import Path
from typing import Protocol

import obstore

from consumer.storage import expiring, identity
from consumer.storage.marks import IN_HAND
from schemas.completions import ExportCompleted
from tests.support.object_stores import Bucket

_STAYS_A_WHILE = ("uploads/", "in-hand/", "probe/", "expiring/")
"""Announcements, marks and probes of the dead, notes of what expires: removed some time later."""
_DRAFT = re.compile(r"(manifests|files)/.+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What S3Proxy has left of a write that a kill or a full disk broke off, and lists as an object.

No name of the product's ends so: a file's name ends in its format, a manifest's in ``.json``.
"""


class Kept(Protocol):
    """The storage of a group. Names are relative to its root."""

    identity: str

    def manifest(self, export_id: str) -> str:
        """The name of an export's manifest."""

    def file(self, event: ExportCompleted) -> str:
        """The name of a completed export's file."""

    def read(self, name: str) -> bytes | None:
        """What is there, or None."""

    def names(self) -> set[str]:
        """All that is there, but for what may stay for a while."""


class Directory:
    """``Kept`` in a directory."""

    identity = identity.NAME

    def __init__(self, root: Path) -> None:
        self._root = root

    def manifest(self, export_id: str) -> str:
        return f"{export_id}.manifest.json"

    def file(self, event: ExportCompleted) -> str:
        return f"{event.export_id}.{event.extension}"

    def read(self, name: str) -> bytes | None:
        path = self._root / name
        return path.read_bytes() if path.exists() else None

    def names(self) -> set[str]:
        files = (path for path in self._root.rglob("*") if path.is_file())
        names = {str(path.relative_to(self._root)) for path in files}
        return {name for name in names if not name.startswith((f"{IN_HAND}/", f"{expiring.NAME}/"))}


class Objects:
    """``Kept`` in a bucket, below a prefix."""

    identity = ".sluice.json"

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._client = bucket.client()
        self._url = f"{bucket.url}/{prefix}/"
        self._prefix = f"{prefix}/"

    def manifest(self, export_id: str) -> str:
        return f"manifests/{export_id}.json"

    def file(self, event: ExportCompleted) -> str:
        assert event.location.startswith(f"{self._url}files/"), event.location
        return event.location.removeprefix(self._url)

    def read(self, name: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._client, self._prefix + name).bytes())
        except FileNotFoundError:
            return None

    def names(self) -> set[str]:
        listed = obstore.list(self._client, self._prefix).collect()
        names = {one["path"].removeprefix(self._prefix) for one in listed}
        return {
            name
            for name in names
            if not name.startswith(_STAYS_A_WHILE) and not _DRAFT.fullmatch(name)
        }
