"""A bucket whose store fails as a test wants, and processes that work on it."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from obstore.store import ObjectStore

from consumer.core.suspects import MessagePlace
from consumer.errors import StorageUnavailable
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.scratch import Scratch
from consumer.storage.objects.storage import ObjectStorage
from tests.support.storages import PARTITION

URL = "s3://bucket/deep"


class Faulty(Bucket):
    """Fails as a test wants, after the store has done it, or before."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store, URL, "deep")
        self.lost: set[str] = set()
        """What is done, and answered with an error."""
        self.refused: set[str] = set()
        self.calls: list[str] = []

    def create(self, name: str, content: bytes) -> bool:
        self._strike("create", name)
        done = super().create(name, content)
        if "create" in self.lost:
            raise StorageUnavailable("the answer is lost")
        return done

    def upload(self, name: str, pieces: Iterable[bytes], attributes: dict[str, str]) -> None:
        self._strike("upload", name)
        super().upload(name, pieces, attributes)
        if "upload" in self.lost:
            raise StorageUnavailable("the answer is lost")

    def write(self, name: str, content: bytes) -> None:
        self._strike("write", name)
        super().write(name, content)

    def read(self, name: str) -> bytes | None:
        self._strike("read", name)
        return super().read(name)

    def delete(self, names: Sequence[str]) -> None:
        self._strike("delete", *names)
        super().delete(names)

    def names(self) -> set[str]:
        """Of all objects."""
        return {
            one.name
            for folder in ("files", "manifests", "uploads", "in-hand", "probe")
            for one in self.list(folder)
        }

    def _strike(self, call: str, *names: str) -> None:
        self.calls += [f"{call} {name}" for name in names]
        if call in self.refused:
            raise StorageUnavailable(f"{call} is refused")


def process(of: Bucket, directory: Path) -> ObjectStorage:
    """A further process, on a disk of its own."""
    storage = ObjectStorage(of, Scratch(directory / os.urandom(4).hex()))
    storage.check()
    return storage


def files(of: Faulty) -> set[str]:
    return {name for name in of.names() if name.startswith("files/")}


def killed(of: Bucket, directory: Path, place: MessagePlace) -> None:
    """A process that dies with a message in hand."""
    disk = Scratch(directory)
    storage = ObjectStorage(of, disk)
    storage.check()
    storage._marks.close()
    storage.open_mark(PARTITION).set(place.is_batch, place.offset, place.offset)
    os.close(disk._lock)  # as the system does
