"""Each kind of storage as the processes of a group open it, and what tests put there."""

import hashlib
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from obstore.store import MemoryStore

from consumer.storage.base import GroupStorage, Part
from consumer.storage.local import LocalStorage
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.client import open_bucket
from consumer.storage.objects.scratch import Scratch
from consumer.storage.objects.storage import ObjectStorage
from schemas.completions import ExportCancelled, ExportCompleted, Source
from schemas.vocabulary import Format
from tests.support import object_stores

MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)
PARTITION = 3

Opened = Callable[[], GroupStorage]
"""Opens the storage as a further process does."""


def local(directory: Path) -> Opened:
    """A directory."""
    return lambda: LocalStorage(directory / "exports")


def memory(directory: Path) -> Opened:
    """Objects in memory; each process has a scratch directory of its own."""
    return objects(Bucket(MemoryStore(), "memory://bucket/deep/prefix", "deep/prefix"), directory)


def on_store(found: object_stores.Bucket, directory: Path) -> Opened:
    """Objects on a real server, likewise."""
    return objects(open_deep(found), directory)


def open_deep(found: object_stores.Bucket) -> Bucket:
    """A prefix of a bucket, as the product opens it."""
    credentials = {name.lower(): value for name, value in found.credentials.items()}
    return open_bucket(f"{found.url}/deep/prefix", {**found.options, **credentials})


def objects(bucket: Bucket, directory: Path) -> Opened:
    """Objects in a bucket, likewise."""
    numbers = itertools.count()

    def open_one() -> ObjectStorage:
        return ObjectStorage(bucket, Scratch(directory / f"scratch-{next(numbers)}"))

    return open_one


def cancelled(export_id: str, offset: int = 0) -> ExportCancelled:
    """How an export may end without a file."""
    return ExportCancelled(
        export_id=export_id,
        user="u",
        rows=0,
        requested_at=MOMENT,
        started_at=None,
        completed_at=MOMENT,
        duration_ms=1,
        source=Source(topic="t", partition=PARTITION, offset=offset),
        format=Format.CSV,
        message="no more wanted",
    )


def completed(export_id: str, content: bytes, location: str) -> ExportCompleted:
    """How it may end with one."""
    fields = cancelled(export_id).model_dump(exclude={"type", "message"})
    return ExportCompleted(
        **fields,
        location=location,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def synced(storage: GroupStorage, export_id: str, content: bytes) -> tuple[Part, ExportCompleted]:
    """A part that is where a manifest may name it, and the event for that."""
    part = storage.open_part(PARTITION, export_id, "csv")
    part.append(content)
    part.sync()
    return part, completed(export_id, content, part.location)


def finished(
    storage: GroupStorage, export_id: str, content: bytes, expires_at: datetime | None = None
) -> ExportCompleted:
    """A finished export, whole."""
    part, event = synced(storage, export_id, content)
    event = event.model_copy(update={"expires_at": expires_at})
    assert storage.decide(event) == event
    part.publish(event)
    storage.settle()
    return event


def read(storage: GroupStorage, event: ExportCompleted) -> bytes | None:
    """What an export's file holds, by its manifest."""
    file = storage.open_file(event)
    return file.read(0, file.size + 1) if file else None
