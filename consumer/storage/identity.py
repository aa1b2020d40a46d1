"""Identifies a directory storage: ``.sluice.json`` in its root holds a random id, written once.

A missing storage looks like a new one: an unmounted file system leaves an empty directory. Writing
to it would create a second truth, in which ended exports are unknown. So users of a root remember
its id and accept no other. Invariant: a root is created only together with its id, never because it
has disappeared.
"""

import contextlib
import json
import os
import uuid
from pathlib import Path

from consumer.errors import StorageUnavailable

NAME = ".sluice.json"
_MOST_BYTES = 4096


class Identity:
    """One root's id, as known to this process. Threads may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / NAME
        self._text = str(self._path)
        self._id: str | None = None
        self._seen: tuple[int, int, int] | None = None

    def find(self) -> str | None:
        """The root's id, or None; from now on no other is accepted.

        Raises:
            StorageUnavailable: it can't be read, or is none.
        """
        found = self._read()
        if found is not None:
            self._note(found)
        return found

    def found(self) -> str:
        """Give the root an id unless it has one, creating the root if missing.

        Of concurrent calls one wins, as with manifests: link(2) creates a name once.

        Raises:
            StorageUnavailable: it can't be written.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            raise StorageUnavailable(f"{self._root} can't be written: {error.strerror}") from error
        found = self._read()
        if found is None:
            raise StorageUnavailable(f"{self._path} is gone as soon as it was written")
        self._note(found)
        return found

    def require(self) -> None:
        """Check that the root still has the remembered id; the first call creates one if needed.

        Raises:
            StorageUnavailable: it has another id, or none.
        """
        if self._id is None:
            self.found()
            return
        try:
            status = os.stat(self._text)  # noqa: PTH116 - for each export: a Path takes as long again
        except FileNotFoundError as error:
            raise StorageUnavailable(
                f"{self._root} is not the storage that it was: {NAME} is gone; is it mounted?"
            ) from error
        except OSError as error:
            raise StorageUnavailable(f"{self._path} can't be read: {error.strerror}") from error
        # The change time too, because a new file may reuse a removed one's inode.
        seen = status.st_dev, status.st_ino, status.st_ctime_ns
        if seen != self._seen:  # replaced or rewritten; it may be a copy
            self._compare()
            self._seen = seen

    def _write(self) -> None:
        draft = self._root / f"{NAME}.{uuid.uuid4().hex}"
        try:
            with draft.open("xb") as file:
                file.write(json.dumps({"storage_id": uuid.uuid4().hex}).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            # Another process was faster: its id is read back.
            with contextlib.suppress(FileExistsError):
                self._path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)

    def _compare(self) -> None:
        found = self._read()
        if found != self._id:
            raise StorageUnavailable(
                f"{self._root} is not the storage that it was: {NAME} has the id {found}, and "
                f"this node works with {self._id}"
            )

    def _note(self, found: str) -> None:
        if self._id is None:
            self._id = found
        self._compare()

    def _read(self) -> str | None:
        try:
            with self._path.open("rb") as file:
                text = file.read(_MOST_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageUnavailable(f"{self._path} can't be read: {error.strerror}") from error
        with contextlib.suppress(ValueError, TypeError, KeyError):
            found = json.loads(text)["storage_id"]
            if isinstance(found, str) and found:
                return found
        raise StorageUnavailable(f"{self._path} names no storage_id; restore it from a copy")
