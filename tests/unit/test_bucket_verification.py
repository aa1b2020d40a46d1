"""Finished files of a bucket against their manifests: what is wrong is found, and nothing else."""

import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from consumer.errors import StorageUnavailable
from consumer.storage.objects.bucket import Bucket, ListedObject
from consumer.storage.objects.layout import name_of
from consumer.storage.objects.scratch import Scratch
from consumer.storage.objects.storage import ObjectStorage
from consumer.verify.bucket_verifier import BucketVerifier
from consumer.verify.content import ContentVerifier, Verdict
from schemas.completions import ExportCompleted
from tests.support.storages import cancelled, completed, finished, synced

CSV = b"name,note\r\nann,x\r\nbob,y\r\n"


class World:
    """A storage with one finished export, of two rows."""

    def __init__(self, directory: Path) -> None:
        self.store = MemoryStore()
        self.bucket = Bucket(self.store, "s3://bucket")
        self.storage = ObjectStorage(self.bucket, Scratch(directory))
        self.event = self.finish("a", CSV)
        self.file = name_of(self.event.location) or ""
        self.verifier = BucketVerifier(self.bucket, ContentVerifier(lambda _: True))

    def finish(
        self, export_id: str, content: bytes, expires_at: datetime | None = None
    ) -> ExportCompleted:
        part = self.storage.open_part(3, export_id, "csv")
        part.append(content)
        part.sync()
        event = completed(export_id, content, part.location).model_copy(
            update={"rows": 2, "expires_at": expires_at}
        )
        self.storage.decide(event)
        part.publish(event)
        return event

    def verify(self) -> list[Verdict]:
        return list(self.verifier.all())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_has_neither_exports_nor_an_id_is_no_storage(tmp_path: Path) -> None:
    bucket = Bucket(MemoryStore(), "s3://bucket/mistyped")
    verifier = BucketVerifier(bucket, ContentVerifier(lambda _: True))
    with pytest.raises(StorageUnavailable, match="s3://bucket/mistyped is no storage of a group"):
        list(verifier.all())
    ObjectStorage(bucket, Scratch(tmp_path)).found()
    assert list(verifier.all()) == []


def test_what_is_as_its_manifest_says_is_good(world: World) -> None:
    world.storage.decide(cancelled("b"))
    verdicts = world.verify()
    assert verdicts == [
        Verdict(world.file, True, f"2 rows {len(CSV)} bytes sha256 {world.event.sha256}"),
        Verdict("b", True, "cancelled, no file"),
    ]
    assert world.verifier.one(world.file) == world.verifier.one("manifests/a.json") == verdicts[0]
    assert world.verifier.unnamed() == 0


def changed(world: World) -> None:
    world.bucket.write(world.file, CSV.replace(b"bob", b"rob"))


def cut(world: World) -> None:
    world.bucket.write(world.file, CSV[:-7])


def removed(world: World) -> None:
    world.bucket.delete([world.file])


def unreadable(world: World) -> None:
    world.bucket.write("manifests/a.json", b"{}")


def of_another(world: World) -> None:
    text = obstore.get(world.store, "manifests/a.json").bytes()
    world.bucket.write("manifests/a.json", bytes(text).replace(b'"a"', b'"c"'))


def elsewhere(world: World) -> None:
    text = obstore.get(world.store, "manifests/a.json").bytes()
    content = bytes(text).replace(world.event.location.encode(), b"file:///exports/a.csv")
    world.bucket.write("manifests/a.json", content)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (changed, "differs: sha256"),
        (cut, "differs: bytes 18, manifest 25; rows 1, manifest 2; sha256"),
        (removed, "isn't there, but its manifest is"),
        (unreadable, "has a manifest that is none"),
        (of_another, "has the manifest of c"),
        (elsewhere, "has a manifest that names file:///exports/a.csv, which is in no bucket"),
    ],
)
def test_what_differs_is_found(world: World, tamper: Callable[[World], None], words: str) -> None:
    tamper(world)
    (verdict,) = world.verify()
    assert not verdict.good
    assert verdict.words.startswith(words)


def test_a_name_that_belongs_to_no_export_is_wrong(world: World) -> None:
    _, stray = synced(world.storage, "a", CSV)
    _, early = synced(world.storage, "b", CSV)
    for name, words in (
        (name_of(stray.location), f"is not the file of its manifest: {world.file} is"),
        (name_of(early.location), "has no manifest"),
        ("manifests/nobodys.json", "isn't there"),
        ("files/x", "isn't there"),
    ):
        verdict = world.verifier.one(name or "")
        assert (verdict.good, verdict.words) == (False, words)
    assert world.verifier.unnamed() == 2


def test_files_that_no_manifest_names_are_counted(world: World) -> None:
    synced(world.storage, "b", CSV)
    world.bucket.write("files/notes.txt", b"")
    assert all(verdict.good for verdict in world.verify())
    assert world.verifier.unnamed() == 2


class WithFolders(Bucket):
    """As after "create folder" in a console: an object ``manifests/``, listed without its slash."""

    def list(self, folder: str) -> Iterator[ListedObject]:
        yield ListedObject(folder, 0, 0.0)
        yield from super().list(folder)


def test_what_is_no_export_is_passed_over(world: World) -> None:
    world.bucket.write("manifests/README", b"")
    bucket = WithFolders(world.store, "s3://bucket")
    verifier = BucketVerifier(bucket, ContentVerifier(lambda _: True))
    assert [verdict.name for verdict in verifier.all()] == [world.file]
    assert verifier.unnamed() == 0


@pytest.mark.slow
def test_memory_does_not_grow_with_a_file(tmp_path: Path) -> None:
    storage = ObjectStorage(Bucket(MemoryStore(), "s3://bucket"), Scratch(tmp_path))
    finished(storage, "a", b"x" * 64 * 1024 * 1024)
    read = 0

    def on_read(count: int) -> None:
        nonlocal read
        read += count

    verifier = BucketVerifier(storage._bucket, ContentVerifier(lambda _: True, on_read))
    tracemalloc.start()
    try:
        assert all(verdict.good for verdict in verifier.all())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == 64 * 1024 * 1024
    assert most < 8 * 1024 * 1024


def test_what_has_expired_may_be_gone(world: World) -> None:
    now = datetime.now(UTC)
    events = [world.finish(one, CSV, now - timedelta(seconds=1)) for one in ("gone", "there")]
    early = world.finish("early", CSV, now + timedelta(hours=1))
    files = [name_of(event.location) or "" for event in (*events, early)]
    world.bucket.delete([files[0], files[2]])
    found = {verdict.name: verdict for verdict in world.verify()}
    assert found[files[0]].good
    assert found[files[0]].words.startswith("expired at 2")
    assert found[files[1]].words == f"2 rows {len(CSV)} bytes sha256 {early.sha256}, expired"
    assert not found[files[2]].good


def test_what_expires_while_it_is_read_is_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = world.finish("b", CSV, datetime.now(UTC) - timedelta(seconds=1))
    file = name_of(event.location) or ""
    found = world.bucket.head(file)
    world.bucket.delete([file])
    answers = iter([found])
    head = world.bucket.head
    monkeypatch.setattr(world.bucket, "head", lambda name: next(answers, None) or head(name))
    assert world.verifier.one("manifests/b.json").good


def test_a_manifest_that_is_removed_meanwhile_is_no_fault(world: World) -> None:
    world.storage.decide(cancelled("b"))
    world.storage.decide(cancelled("c"))
    verdicts = world.verifier.all()
    first = next(verdicts)
    world.bucket.delete(["manifests/b.json", "manifests/c.json"])
    assert all(one.good for one in (first, *verdicts))
