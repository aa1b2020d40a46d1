"""Ends that are concluded outside of turns, on threads that a test runs by hand."""

from pathlib import Path

import pytest

from consumer.core.resume import ResumePoint
from consumer.errors import LaneStopped, PartLost, StorageUnavailable
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.storage.objects.bucket import Bucket
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed, TerminalEvent
from schemas.vocabulary import FailReason
from tests.support.apart import ApartStorage, Store
from tests.support.partition import STORAGE_SECONDS, Bench, only, take_outcome
from tests.support.storages import read


@pytest.fixture
def bench(storage: ApartStorage, tmp_path: Path) -> Bench:
    return Bench(tmp_path, made=storage)


def ready(bench: Bench, *export_ids: str) -> None:
    """Exports of which everything is sent."""
    for export_id in export_ids:
        bench.request(export_id)
    for export_id in export_ids:
        bench.batch(0, [1], export_id=export_id, last=True)


def committed(owner: PartitionExports) -> tuple[list[TerminalEvent], ResumePoint | None]:
    """What a transaction would hold now, if there can be one."""
    checkpoint = owner.take_checkpoint(None, progress=True)
    return (checkpoint.outcome.events, checkpoint.point) if checkpoint else ([], None)


def runnable(bench: Bench) -> bool:
    """Whether a turn could do something."""
    return bench.partition.runnable


def test_an_end_comes_out_once_it_is_concluded(bench: Bench, storage: ApartStorage) -> None:
    ready(bench, "a")
    assert bench.turn() == []
    assert bench.partition.open_count == 1
    assert bench.partition.progress("a") == (1, len(b"n\r\n1\r\n"))
    assert not runnable(bench)
    storage.by_hand.run()
    assert runnable(bench)
    event = only(bench.turn())
    assert isinstance(event, ExportCompleted)
    assert read(storage, event) == b"n\r\n1\r\n"
    assert bench.partition.open_count == 0
    assert not runnable(bench)


def test_others_go_on_meanwhile_and_are_committed(bench: Bench, storage: ApartStorage) -> None:
    bench.request("slow")
    bench.batch(0, [1], export_id="slow", last=True)
    bench.turn()
    ready(bench, "b", "c")
    bench.partition.take_requests(bench.requests[1:])
    bench.partition.take_records(bench.records[1:])
    for _ in range(3):
        bench.partition.turn()
    storage.by_hand.run(1)
    storage.by_hand.run(1)
    bench.partition.turn()
    events, point = committed(bench.partition)
    assert [event.export_id for event in events] == ["b", "c"]
    assert point == ResumePoint(3, (0,), 0, 3, ((0, 0),))


def test_one_that_was_committed_as_open_is_made_again(
    bench: Bench, storage: ApartStorage, store: Store
) -> None:
    bench.request("a")
    bench.request("b")
    bench.batch(0, [1], export_id="b")
    bench.batch(0, [1], export_id="a", last=True)
    bench.turn()
    _, point = committed(bench.partition)
    assert point == ResumePoint(2, (0, 1), 0, 2, ((0, 1), (1, 0)))
    storage.by_hand.run()  # it was decided, but its owner died before it could say so
    again, events = bench.replay(point)
    assert events == []
    storage.by_hand.run()
    again.turn()
    event = only(take_outcome(again).events)
    assert event == storage.manifest("a")
    assert len(store.files()) == 1
    # The predecessor brought it into the bucket, in the same process here.
    assert bench.metric("sluice_storage_uploaded_bytes_total") == len(b"n\r\n1\r\n")
    assert bench.metric("sluice_storage_upload_seconds_count") == 1


def test_a_kill_before_the_manifest_leaves_nothing(
    bench: Bench, storage: ApartStorage, store: Store
) -> None:
    ready(bench, "a")
    bench.turn()
    _, point = committed(bench.partition)
    assert point is not None
    store.refused = {"create"}
    storage.by_hand.run()
    assert len(store.files()) == 1
    store.refused = set()
    successor = ApartStorage(store, bench.directory / "elsewhere")
    other = Bench(bench.directory, made=successor, requests=bench.requests, records=bench.records)
    again, _ = other.replay(point)
    successor.by_hand.run()
    again.turn()
    event = only(take_outcome(again).events)
    assert isinstance(event, ExportCompleted)
    assert successor.sweep(3) == 1
    assert read(successor, event) == b"n\r\n1\r\n"


@pytest.mark.parametrize("how", ["cancel", "fail"])
def test_an_end_whose_cause_is_not_read_again_holds_up_its_partition(
    bench: Bench, storage: ApartStorage, how: str
) -> None:
    bench.request("a")
    bench.batch(0, [1])
    bench.turn()
    if how == "cancel":
        bench.cancel()
    else:
        bench.batch(5, [1])
    ready(bench, "b")
    bench.partition.take_requests(bench.requests[1:])
    bench.partition.take_records(bench.records[1:])
    bench.partition.turn()
    while runnable(bench):
        bench.partition.turn()
    assert committed(bench.partition) == ([], None)
    handled = bench.partition.next_offsets
    assert bench.partition.turn().end is TurnEnd.IDLE
    assert bench.partition.next_offsets == handled
    while storage.by_hand.waiting:
        storage.by_hand.run()
        while runnable(bench):
            bench.partition.turn()
    events, point = committed(bench.partition)
    assert {event.export_id for event in events} == {"a", "b"}
    assert point == ResumePoint(len(bench.requests), (), len(bench.records), len(bench.records))


def test_a_cancellation_that_comes_after_the_last_batch_is_ignored(
    bench: Bench, storage: ApartStorage
) -> None:
    ready(bench, "a")
    bench.turn()
    bench.cancel()
    bench.turn()
    storage.by_hand.run()
    assert isinstance(only(bench.turn()), ExportCompleted)
    assert bench.metric("sluice_cancels_ignored_total") == 1


def test_a_repeated_request_and_a_late_batch_meanwhile_are_none_of_its_own(
    bench: Bench, storage: ApartStorage
) -> None:
    ready(bench, "a")
    bench.turn()
    bench.request("a")
    bench.batch(0, [7], export_id="a", last=True)
    assert bench.turn() == []
    storage.by_hand.run()
    assert not storage.by_hand.waiting
    assert only(bench.turn()).rows == 1
    assert bench.metric("sluice_batches_dropped_total", why="late") == 1


def test_a_refused_end_is_tried_again_after_a_while(
    bench: Bench, storage: ApartStorage, store: Store
) -> None:
    ready(bench, "a")
    bench.turn()
    store.refused = {"upload"}
    storage.by_hand.run()
    assert bench.turn() == []
    assert not runnable(bench)
    bench.clock.seconds += 1
    store.refused = set()
    assert runnable(bench)
    bench.turn()
    storage.by_hand.run()
    assert isinstance(only(bench.turn()), ExportCompleted)


@pytest.mark.parametrize("refused", ["upload", "create"])
def test_an_end_that_is_refused_for_too_long_fails(
    bench: Bench, storage: ApartStorage, store: Store, refused: str
) -> None:
    ready(bench, "a")
    bench.turn()
    store.refused = {refused}
    for _ in range(2):
        storage.by_hand.run()
        bench.turn()
        bench.clock.seconds += STORAGE_SECONDS
        bench.turn()
    store.refused = set()
    storage.by_hand.run()
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.STORAGE_UNAVAILABLE
    assert event.message == f"{refused} is refused"
    assert store.files() == []
    assert storage.sweep(3) == 0


def test_one_that_was_given_up_binds_if_its_manifest_was_made_after_all(
    bench: Bench, storage: ApartStorage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All answers to its creation were lost."""
    ready(bench, "a")
    bench.turn()
    create = Bucket.create

    def lost(bucket: Bucket, name: str, content: bytes = b"") -> bool:
        if content:
            create(bucket, name, content)
        raise StorageUnavailable("the answer is lost")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "create", lost)
        patched.setattr(Store, "read", lost)
        for _ in range(2):
            storage.by_hand.run()
            bench.turn()
            bench.clock.seconds += STORAGE_SECONDS
            bench.turn()
    storage.by_hand.run()
    with pytest.raises(PartLost, match="it completed"):
        bench.turn()
    manifest = storage.manifest("a")
    assert isinstance(manifest, ExportCompleted)
    assert read(storage, manifest) == b"n\r\n1\r\n"


def test_who_lost_the_partition_decides_nothing_more(
    bench: Bench, storage: ApartStorage, store: Store
) -> None:
    ready(bench, "a", "b")
    bench.turn()
    bench.partition.abandon()
    storage.by_hand.run()
    bench.partition.discard()
    storage.by_hand.run()
    assert storage.manifest("a") is None
    assert storage.manifest("b") is None
    assert store.files() == []
    assert bench.parts() == []


def test_a_part_that_is_lost_on_its_way_reloads_the_partition(
    bench: Bench, storage: ApartStorage
) -> None:
    bench.request("a")
    bench.batch(0, [1])
    bench.turn()
    bench.batch(1, last=True)
    bench.turn()
    storage.sweep(3)
    storage.by_hand.run()
    with pytest.raises(PartLost):
        bench.turn()


def test_bytes_of_another_build_stop_the_lane(bench: Bench, storage: ApartStorage) -> None:
    ready(bench, "a")
    bench.turn()
    part = storage.open_part(3, "a", "csv")
    part.append(b"others")
    part.sync()
    ending = bench.partition.publication.ending("a")
    assert ending is not None
    changes = {"sha256": part.sha256, "location": part.location}
    storage.decide(ending.proposed.model_copy(update=changes))
    storage.by_hand.run()
    with pytest.raises(LaneStopped, match="names other bytes"):
        bench.turn()


def test_ends_on_their_way_count_as_open(bench: Bench, storage: ApartStorage) -> None:
    bench.partition._exports.most_open = 2
    ready(bench, "a", "b")
    bench.turn()
    bench.request("c")
    bench.turn()
    storage.by_hand.run(2)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.export_id, event.reason) == ("c", FailReason.TOO_MANY_OPEN)


def test_who_waits_is_woken(storage: ApartStorage, bench: Bench) -> None:
    woken: list[bool] = []
    bench.partition.publication._apart._moved = lambda: woken.append(True)  # type: ignore[union-attr]
    ready(bench, "a")
    bench.turn()
    assert woken == []
    storage.by_hand.run()
    assert woken == [True]


def test_an_export_that_another_partition_ended_is_a_duplicate(
    bench: Bench, storage: ApartStorage
) -> None:
    ready(bench, "a")
    bench.turn()
    ending = bench.partition.publication.ending("a")
    assert ending is not None
    elsewhere = ending.proposed.source.model_copy(update={"partition": 9})
    fields = ending.proposed.model_dump(include=set(ExportCancelled.model_fields) - {"type"})
    storage.decide(ExportCancelled(**{**fields, "source": elsewhere, "message": "m"}))
    storage.by_hand.run()
    assert bench.turn() == []
    assert bench.partition.settled
    assert bench.metric("export_requests_total", format="csv", status="duplicate", user="anonymous")
