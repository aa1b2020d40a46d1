"""A storage in a bucket in memory, whose ends are concluded by hand."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from obstore.store import MemoryStore

from consumer.errors import StorageUnavailable
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.scratch import Scratch
from consumer.storage.objects.storage import ObjectStorage


class ByHand(Executor):
    """Runs what was submitted when a test says so."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: call(*args, **kwargs)))
        return future

    def run(self, at: int = 0) -> None:
        """The call that was submitted as this one of those that wait."""
        future, call = self.waiting[at]
        del self.waiting[at]
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except Exception as error:  # noqa: BLE001 - as a pool does
                future.set_exception(error)


class Store(Bucket):
    """Refuses calls as a test wants."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), "s3://bucket")
        self.refused: set[str] = set()

    def read(self, name: str) -> bytes | None:
        if "read" in self.refused:
            raise StorageUnavailable("read is refused")
        return super().read(name)

    def create(self, name: str, content: bytes) -> bool:
        if "create" in self.refused and name.startswith("manifests/"):
            raise StorageUnavailable("create is refused")
        return super().create(name, content)

    def upload(self, name: str, *more: Any) -> None:
        if "upload" in self.refused:
            raise StorageUnavailable("upload is refused")
        super().upload(name, *more)

    def files(self) -> list[str]:
        return [one.name for one in self.list("files")]


class ApartStorage(ObjectStorage):
    """Its ends are concluded by hand."""

    def __init__(self, store: Store, directory: Path) -> None:
        super().__init__(store, Scratch(directory))
        self.by_hand = ByHand()

    @property
    def threads(self) -> Callable[[int], Executor]:
        return lambda _: self.by_hand
