"""What only an object store can show: lost answers, orphans of the dead, keys and attributes."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore, ObjectStore
from structlog.testing import capture_logs

from consumer.core.suspects import Place
from consumer.errors import LaneStopped, PartLost, StorageUnavailable
from consumer.storage.objects import attempts, bucket, scratch
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.client import open_bucket
from consumer.storage.objects.scratch import Scratch
from consumer.storage.objects.storage import ObjectStorage
from schemas.completions import ExportCompleted
from tests.storage.test_local import open_below
from tests.support import object_stores
from tests.support.storages import PARTITION, cancelled, completed, finished, read, s3proxy, synced

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


@pytest.fixture
def faulty() -> Faulty:
    return Faulty(MemoryStore())


def process(of: Bucket, directory: Path) -> ObjectStorage:
    """A further process, on a disk of its own."""
    storage = ObjectStorage(of, Scratch(directory / os.urandom(4).hex()))
    storage.check()
    return storage


def files(of: Faulty) -> set[str]:
    return {name for name in of.names() if name.startswith("files/")}


def test_where_things_lie(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    event = finished(storage, "a.b", b"x")
    prefix, _, rest = event.location.partition("/files/")
    partition, series, key, name = rest.split("/")
    assert (prefix, partition, key, name) == (URL, "3", "1-a.b", "a.b.csv")
    assert faulty.names() == {f"files/{rest}", "manifests/a.b.json", f"uploads/3/{series}"}


def test_a_file_says_what_it_is(faulty: Faulty, tmp_path: Path) -> None:
    store = MemoryStore()
    storage = process(Bucket(store, "s3://bucket"), tmp_path)
    event = finished(storage, "a", b"x")
    attributes = obstore.get(store, event.location.removeprefix("s3://bucket/")).attributes
    assert attributes == {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": 'attachment; filename="a.csv"',
    }


def test_a_lost_answer_to_a_manifest_is_read_back(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    part, event = synced(storage, "a", b"x")
    faulty.lost = {"create"}
    assert storage.decide(event) is event
    part.publish(event)
    assert read(storage, event) == b"x"


def test_a_manifest_that_may_have_been_made_is_not_doubted_twice(
    faulty: Faulty, tmp_path: Path
) -> None:
    storage = process(faulty, tmp_path)
    event = cancelled("a")
    faulty.refused = {"create"}
    with pytest.raises(StorageUnavailable, match="create is refused"):
        storage.decide(event)
    faulty.refused, faulty.lost = {"read"}, {"create"}
    with pytest.raises(StorageUnavailable):
        storage.decide(event)
    faulty.refused = set()
    assert storage.decide(event) is event
    faulty.lost = set()
    assert process(faulty, tmp_path).decide(cancelled("a", offset=9)) == event


def test_a_lost_answer_to_an_upload_leaves_one_file(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    part = storage.open_part(PARTITION, "a", "csv")
    part.append(b"x")
    faulty.lost = {"upload"}
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            part.sync()
    faulty.lost = set()
    part.sync()
    event = completed("a", b"x", part.location)
    assert storage.decide(event) == event
    part.publish(event)
    assert len(files(faulty)) == 1
    assert read(storage, event) == b"x"


def test_what_an_unknown_upload_left_is_swept_after_its_owner(
    faulty: Faulty, tmp_path: Path
) -> None:
    """The store answers nothing, and refuses to remove it too."""
    storage = process(faulty, tmp_path)
    part = storage.open_part(PARTITION, "a", "csv")
    part.append(b"x")
    faulty.lost, faulty.refused = {"upload"}, {"delete"}
    with pytest.raises(StorageUnavailable):
        part.sync()
    part.discard()
    faulty.lost = set()
    part.discard(storage.decide(cancelled("a")))
    assert len(files(faulty)) == 1
    faulty.refused = set()
    storage.close()
    assert process(faulty, tmp_path).sweep(PARTITION) == 1
    assert files(faulty) == set()


def test_a_series_is_announced_before_its_first_upload(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    faulty.calls.clear()
    for number in range(3):
        synced(storage, f"e{number}", b"x")
    written = [call.split("/")[0] for call in faulty.calls]
    assert written == ["write uploads", "upload files", "upload files", "upload files"]


def test_nothing_is_uploaded_unannounced(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    faulty.refused = {"write"}
    with pytest.raises(StorageUnavailable):
        synced(storage, "a", b"x")
    faulty.refused = set()
    assert faulty.names() == set()


def test_announcements_go_with_what_they_announce(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    for number in range(250):
        finished(storage, f"e{number}", b"x")
    assert len([name for name in faulty.names() if name.startswith("uploads/")]) == 1
    assert len(files(faulty)) == 250
    storage.close()
    assert not [name for name in faulty.names() if name.startswith("uploads/")]


def test_a_series_stays_announced_while_one_of_it_is_undecided(
    faulty: Faulty, tmp_path: Path
) -> None:
    dead = process(faulty, tmp_path)
    synced(dead, "undecided", b"x")
    for number in range(150):
        finished(dead, f"e{number}", b"x")
    ours = process(faulty, tmp_path)
    assert ours.sweep(PARTITION) == 0
    ours.decide(cancelled("undecided"))
    assert ours.sweep(PARTITION) == 1
    assert len(files(faulty)) == 150


def test_a_sweep_reads_the_manifest_of_a_finished_file_once(faulty: Faulty, tmp_path: Path) -> None:
    dead, ours = process(faulty, tmp_path), process(faulty, tmp_path)
    finished(dead, "a", b"x")
    ours.sweep(PARTITION)
    faulty.calls.clear()
    ours.sweep(PARTITION + 1)
    ours.sweep(PARTITION)
    assert "read manifests/a.json" not in faulty.calls


def test_what_nobody_renews_is_forgotten(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, ours = process(faulty, tmp_path), process(faulty, tmp_path)
    finished(dead, "a", b"x")
    synced(dead, "b", b"x")
    monkeypatch.setattr(attempts, "_FORGET_SECONDS", 0.0)
    assert ours.sweep(PARTITION) == 0
    assert [name for name in faulty.names() if name.startswith("uploads/")]
    ours.decide(cancelled("b"))
    assert ours.sweep(PARTITION) == 1
    assert not [name for name in faulty.names() if name.startswith("uploads/")]
    assert len(files(faulty)) == 1


def test_what_is_undecided_for_a_day_is_nobodys(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, ours = process(faulty, tmp_path), process(faulty, tmp_path)
    synced(dead, "a", b"x")
    assert ours.sweep(PARTITION) == 0
    monkeypatch.setattr(attempts, "_UNDECIDED_SECONDS", 0.0)
    assert ours.sweep(PARTITION) == 1


def test_an_announcement_is_renewed_before_it_is_forgotten(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = process(faulty, tmp_path)
    part, event = synced(storage, "a", b"x")
    faulty.calls.clear()
    monkeypatch.setattr(attempts, "_RENEW_SECONDS", 0.0)
    synced(storage, "b", bytes(3_000_000))
    assert len([call for call in faulty.calls if call.startswith("write uploads/")]) > 1
    storage.decide(event)
    part.publish(event)


def test_a_part_whose_bytes_are_lost_is_not_stored(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    part = storage.open_part(PARTITION, "a", "csv")
    part.append(b"0123456789")
    part.flush()
    (file,) = (path for path in tmp_path.rglob("a.csv.*") if path.is_file())
    file.write_bytes(b"01234")
    with pytest.raises(PartLost, match="has lost 5 bytes"):
        part.sync()
    assert files(faulty) == set()


def test_a_manifest_that_is_none_stops_the_lane_loudly(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    faulty.write("manifests/a.json", b"{}")
    with pytest.raises(LaneStopped, match=r"s3://bucket/deep/manifests/a\.json"):
        storage.manifest("a")


def test_a_bucket_copied_to_another_name_has_its_files(tmp_path: Path) -> None:
    store = MemoryStore()
    event = finished(process(Bucket(store, "s3://before/deep", "deep"), tmp_path), "a", b"x")
    assert read(process(Bucket(store, "gs://after/deep", "deep"), tmp_path), event) == b"x"


def test_a_decided_export_whose_file_is_elsewhere_stops_the_lane(
    faulty: Faulty, tmp_path: Path
) -> None:
    storage = process(faulty, tmp_path)
    decided = completed("a", b"x", "file:///exports/a.csv")
    part = storage.open_part(PARTITION, "a", "csv", decided)
    part.append(b"x")
    with pytest.raises(LaneStopped, match=r"file:///exports/a\.csv"):
        part.sync()


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b'{"storage_id": 5}', b"\xff"])
def test_what_names_no_id_is_not_overwritten(faulty: Faulty, tmp_path: Path, text: bytes) -> None:
    faulty.write(".sluice.json", text)
    storage = ObjectStorage(faulty, Scratch(tmp_path))
    for ask in (storage.find, storage.found, storage.check):
        with pytest.raises(StorageUnavailable, match="names no storage_id"):
            ask()
    assert faulty.read(".sluice.json") == text


def test_a_storage_that_is_no_longer_the_same_answers_nothing(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = process(faulty, tmp_path)
    event = finished(storage, "a", b"x")
    monkeypatch.setattr("consumer.storage.objects.identity._SURE_SECONDS", 0.0)
    for text in (None, b'{"storage_id": "another"}'):
        faulty.delete([*faulty.names(), ".sluice.json"])
        if text:
            faulty.write(".sluice.json", text)
        before = faulty.names()
        for call in (
            storage.check,
            lambda: storage.manifest("a"),
            lambda: storage.has_file(event),
            lambda: storage.open_file(event),
            lambda: storage.decide(cancelled("c")),
            lambda: storage.sweep(PARTITION),
        ):
            with pytest.raises(StorageUnavailable, match="is not the storage that it was"):
                call()
        assert faulty.names() == before


def test_a_lost_answer_to_the_id_is_read_back(faulty: Faulty, tmp_path: Path) -> None:
    faulty.lost = {"create"}
    storage = ObjectStorage(faulty, Scratch(tmp_path))
    assert storage.found() == storage.find()


def test_marks_of_a_killed_process_are_brought_in_by_the_next_on_its_disk(
    faulty: Faulty, tmp_path: Path
) -> None:
    elsewhere = process(faulty, tmp_path / "elsewhere")
    killed(faulty, tmp_path / "disk", Place(True, 42))
    assert elsewhere.left_marks(PARTITION) == []
    disk = Scratch(tmp_path / "disk")
    ObjectStorage(faulty, disk).check()
    marks = elsewhere.left_marks(PARTITION)
    assert [mark.place for mark in marks] == [Place(True, 42)]
    assert [path.name for path in disk.place.parent.iterdir()] == [disk.place.name]
    elsewhere.remove_marks(PARTITION, marks)
    assert elsewhere.left_marks(PARTITION) == []


def test_a_mark_that_cannot_be_brought_in_is_kept(faulty: Faulty, tmp_path: Path) -> None:
    killed(faulty, tmp_path, Place(True, 42))
    next_one = ObjectStorage(faulty, Scratch(tmp_path))
    next_one.find()
    next_one.sweep(PARTITION)
    faulty.refused = {"write"}
    with pytest.raises(StorageUnavailable):
        next_one.check()
    faulty.refused = set()
    next_one.check()
    assert [mark.place for mark in next_one.left_marks(PARTITION)] == [Place(True, 42)]


def test_a_living_process_on_the_same_disk_is_left_alone(faulty: Faulty, tmp_path: Path) -> None:
    one, other = (ObjectStorage(faulty, Scratch(tmp_path)) for _ in range(2))
    one.check()
    part = one.open_part(PARTITION, "a", "csv")
    part.append(b"x")
    part.flush()
    one.open_mark(PARTITION).set(True, 1, 1)
    other.check()
    other.sweep(PARTITION)
    part.sync()
    assert [mark.place for mark in one.left_marks(PARTITION)] == [Place(True, 1)]


def test_a_scratch_directory_that_was_removed_is_made_again(faulty: Faulty, tmp_path: Path) -> None:
    disk = Scratch(tmp_path)
    storage = ObjectStorage(faulty, disk)
    storage.check()
    part = storage.open_part(PARTITION, "a", "csv")
    part.append(b"x")
    part.flush()
    disk.place.rename(tmp_path / "elsewhere")
    part.append(b"x")
    with pytest.raises(PartLost):
        part.flush()
    storage.check()
    finished(storage, "b", b"x")


def test_drafts_of_scratch_directories_are_removed_when_they_are_old(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Scratch(tmp_path)
    storage = ObjectStorage(faulty, disk)
    storage.check()
    draft = disk.place.parent / ".new-0123"
    draft.mkdir()
    storage.check()
    assert draft.exists()
    monkeypatch.setattr(scratch, "_UNFINISHED_SECONDS", 0.0)
    time.sleep(0.01)
    storage.check()
    assert not draft.exists()


def test_no_descriptor_stays_open(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    for number in range(50):
        finished(storage, f"e{number}", b"x")
    (scratch,) = open_below(tmp_path)
    assert Path(scratch).is_dir(), "it holds the lock of its directory"


def test_parts_are_gone_once_they_are_uploaded(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    finished(storage, "a", b"x")
    lost, _event = synced(storage, "b", b"x")
    lost.discard()
    assert not [path for path in tmp_path.rglob("parts/*/*") if path.is_file()]
    assert isinstance(storage.manifest("a"), ExportCompleted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            (
                "Generic S3 error: Server returned non-2xx status code: 503 Service Unavailable: "
                "<Error><Code>SlowDown</Code><Key>s3cr3t</Key></Error>"
            ),
            "503 Service Unavailable (SlowDown)",
        ),
        (
            (
                "non-2xx status code: 403 Forbidden: <Code>SignatureDoesNotMatch</Code>"
                "<AWSAccessKeyId>AKIA</AWSAccessKeyId>"
            ),
            "403 Forbidden (SignatureDoesNotMatch)",
        ),
        ("non-2xx status code: 500 Internal Server Error: ", "500 Internal Server Error"),
        ("HTTP error | HttpError { kind: Timeout, source: }", "it does not answer in time"),
        ("hyper: ConnectError( dns error )", "its host is not known"),
        ("something with s3cr3t", "ValueError"),
    ],
)
def test_errors_show_nothing_that_a_store_echoes(text: str, words: str) -> None:
    assert bucket.in_words(ValueError(text)) == words


def killed(of: Bucket, directory: Path, place: Place) -> None:
    """A process that dies with a message in hand."""
    disk = Scratch(directory)
    storage = ObjectStorage(of, disk)
    storage.check()
    storage._marks.close()
    storage.open_mark(PARTITION).set(place.is_batch, place.offset, place.offset)
    os.close(disk._lock)  # as the system does


def test_a_store_that_lets_two_create_one_object_is_refused(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = process(faulty, tmp_path)

    def create(_: Bucket, name: str, content: bytes) -> bool:
        faulty.write(name, content)
        return True

    other = ObjectStorage(faulty, Scratch(tmp_path / "other"))
    with monkeypatch.context() as patched:
        patched.setattr(Faulty, "create", create)
        storage.check()  # it was tried before
        with pytest.raises(StorageUnavailable, match="lets two create one object"):
            other.check()
    other.check()


def test_uploads_that_nobody_ended_are_aborted(
    bucket: object_stores.Bucket, tmp_path: Path
) -> None:
    another = s3proxy(bucket, tmp_path)
    dead, ours = another(), another()
    assert isinstance(dead, ObjectStorage)
    attempt = dead._attempts.begin(PARTITION, "a", "a.csv")
    attempt.announce()
    writer = obstore.open_writer(
        bucket.client(), f"deep/prefix/{attempt.name}", buffer_size=5 * 1024 * 1024
    )
    writer.write(bytes(11 * 1024 * 1024))
    del writer  # as a process that is killed leaves it
    uploads = dead._bucket._uploads
    assert uploads is not None
    ours.sweep(PARTITION + 1)
    assert ours.sweep(PARTITION) == 0
    assert uploads.abort("deep/prefix/files") == 0


def test_uploads_elsewhere_are_left_alone(bucket: object_stores.Bucket, tmp_path: Path) -> None:
    storage = s3proxy(bucket, tmp_path)()
    assert isinstance(storage, ObjectStorage)
    writer = obstore.open_writer(
        bucket.client(), "deep/prefix/files/33/a/1-b/b&c.csv", buffer_size=5 * 1024 * 1024
    )
    writer.write(bytes(11 * 1024 * 1024))
    uploads = storage._bucket._uploads
    assert uploads is not None
    assert uploads.abort("deep/prefix/files/3") == 0
    assert uploads.abort("deep/prefix/files/33/a") == 1
    assert uploads.abort("deep/prefix/files/33/a") == 0
    with pytest.raises(Exception, match="NoSuchUpload"):
        writer.close()


def test_a_store_that_shows_no_uploads_is_swept_all_the_same(bucket: object_stores.Bucket) -> None:
    options = {"access_key_id": bucket.credentials["AWS_ACCESS_KEY_ID"], **bucket.options}
    stranger = open_bucket(bucket.url, {**options, "secret_access_key": "wrong"})
    with capture_logs() as logs:
        assert [stranger.abort_uploads("files") for _ in range(2)] == [0, 0]
    assert logs == [
        {"event": "abandoned uploads can't be looked for", "log_level": "warning", "error": "403"}
    ]
