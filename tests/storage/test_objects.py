"""What only an object store can show: lost answers, orphans of the dead, keys and attributes."""

from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from consumer.errors import LaneStopped, PartLost, StorageUnavailable
from consumer.storage.objects import attempts
from consumer.storage.objects import storage as storage_module
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.scratch import Scratch
from consumer.storage.objects.storage import ObjectStorage
from schemas.completions import encode_event
from tests.support.faulty_bucket import URL, Faulty, files, process
from tests.support.storages import PARTITION, cancelled, completed, finished, read, synced


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


def test_an_unreadable_manifest_keeps_its_file_and_stops_no_sweep(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an export that ended long ago, say, or of a newer build."""
    dead, ours = process(faulty, tmp_path), process(faulty, tmp_path)
    finished(dead, "a", b"x")
    synced(dead, "b", b"x")
    manifest = faulty.read("manifests/a.json")
    assert manifest
    faulty.write("manifests/a.json", b"{}")
    ours.decide(cancelled("b"))
    for name in ("_FORGET_SECONDS", "_UNDECIDED_SECONDS"):
        monkeypatch.setattr(attempts, name, -1.0)
    assert [ours.sweep(PARTITION), ours.tidy(PARTITION)] == [1, 0]
    assert [name.rpartition("/")[2] for name in files(faulty)] == ["a.csv"]
    assert [name for name in faulty.names() if name.startswith("uploads/")]
    faulty.write("manifests/a.json", manifest)
    assert ours.tidy(PARTITION) == 0
    assert not [name for name in faulty.names() if name.startswith("uploads/")]


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


def test_what_is_no_manifest_makes_no_older_storage(faulty: Faulty, tmp_path: Path) -> None:
    storage = ObjectStorage(faulty, Scratch(tmp_path))
    faulty.write("manifests/README", b"")
    assert not storage.holds_exports()
    faulty.write("manifests/a.json", b"{}")
    assert storage.holds_exports()


def test_a_manifest_that_is_none_stops_the_lane_loudly(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    faulty.write("manifests/a.json", b"{}")
    with pytest.raises(LaneStopped, match=r"s3://bucket/deep/manifests/a\.json"):
        storage.manifest("a")


def test_of_what_is_too_large_for_a_manifest_the_beginning_is_read(
    faulty: Faulty, tmp_path: Path
) -> None:
    storage, event = process(faulty, tmp_path), cancelled("a")
    faulty.write("manifests/a.json", b" " * 3_000_000 + encode_event(event))
    assert len(faulty.read("manifests/a.json") or b"") == 1024 * 1024
    with pytest.raises(LaneStopped, match="is no manifest of this version"):
        storage.manifest("a")
    faulty.write("manifests/a.json", encode_event(event))
    assert storage.manifest("a") == event


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


@pytest.mark.parametrize("text", [None, b'{"storage_id": "another"}'])
def test_nor_is_what_lies_in_another_storage_answered(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes | None
) -> None:
    storage = process(faulty, tmp_path)
    event = finished(storage, "a", b"x")
    monkeypatch.setattr("consumer.storage.objects.identity._SURE_SECONDS", 0.0)
    faulty.delete([".sluice.json"])
    if text:
        faulty.write(".sluice.json", text)
    for call in (
        lambda: storage.manifest("a"),
        lambda: storage.has_file(event),
        lambda: storage.open_file(event),
    ):
        with pytest.raises(StorageUnavailable, match="is not the storage that it was"):
            call()


def test_a_lost_answer_to_the_id_is_read_back(faulty: Faulty, tmp_path: Path) -> None:
    faulty.lost = {"create"}
    storage = ObjectStorage(faulty, Scratch(tmp_path))
    assert storage.found() == storage.find()


def test_probes_of_processes_that_ended_meanwhile_are_removed(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.write("probe/dead", b"")
    faulty.refused = {"write"}
    with pytest.raises(StorageUnavailable):
        process(faulty, tmp_path)
    faulty.refused = set()
    process(faulty, tmp_path)
    assert len(faulty.names()) == 2, "they may be of others that live"
    monkeypatch.setattr(storage_module, "_OLD_PROBE_SECONDS", -1.0)
    process(faulty, tmp_path)
    assert faulty.names() == set()


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
