"""One partition's backlog: what a commit says of the requests that were read."""

import json

import pytest

from consumer.backlog.backlog_reader import requested
from consumer.core.backlog import PartitionBacklog, Requested, UnfinishedRequest
from consumer.core.listing import Position
from consumer.core.resume import ResumePoint
from schemas.completions import Source
from schemas.vocabulary import Format

NOTHING = ResumePoint(0, (), 0, 0)


def request(export_id: str, user: str = "alice") -> Requested:
    return Requested(export_id, user, Format.CSV)


def backlog(*ids: str, point: ResumePoint = NOTHING) -> PartitionBacklog:
    """After these requests were read, from offset 0."""
    new = PartitionBacklog("export.requests", 3, point)
    for offset, export_id in enumerate(ids):
        new.put(offset, request(export_id))
    return new


def ids_of(partition: PartitionBacklog, ids: str) -> str:
    return "".join(one for one in ids if partition.find(one))


def test_what_nobody_has_handled_is_unfinished() -> None:
    partition = backlog("a", "b")
    assert len(partition) == 2
    source = Source(topic="export.requests", partition=3, offset=1)
    assert partition.find("b") == UnfinishedRequest("b", "alice", Format.CSV, source, begun=False)
    assert partition.find("c") is None


def test_below_the_position_only_what_is_listed_is_unfinished() -> None:
    partition = backlog("a", "b", "c", "d")
    assert partition.commit(ResumePoint(3, (1,), 0, 9))
    assert ids_of(partition, "abcd") == "bd"
    assert partition.commit(ResumePoint(4, (), 0, 9))
    assert len(partition) == 0


def test_an_export_is_begun_when_the_commit_says_so() -> None:
    partition = backlog("a", "b")
    assert partition.commit(ResumePoint(2, (0, 1), 5, 9, ((1, 5),)))
    found = [partition.find(one) for one in "ab"]
    assert [one and one.begun for one in found] == [False, True]


def test_exports_are_counted_by_user() -> None:
    partition = backlog("a", "b")
    partition.put(2, request("c", "bob"))
    partition.put(3, request("a", "bob"))
    counts = [partition.count_of(user) for user in ("alice", "bob", "carol")]
    assert counts == [2, 1, 0], "a repeat counts for nobody"
    assert partition.commit(ResumePoint(4, (1,), 0, 9))
    assert [partition.count_of(user) for user in ("alice", "bob")] == [1, 0]
    assert len(partition._by_user) == 1, "nothing is kept of users without exports"


def test_a_repeat_is_not_another_export() -> None:
    partition = backlog("a", "b", "a")
    assert len(partition) == 2
    found = partition.find("a")
    assert found
    assert found.source.offset == 0
    assert partition.commit(ResumePoint(3, (0,), 0, 0))
    assert ids_of(partition, "ab") == "a"


def test_one_that_begins_in_the_middle_reads_from_the_first_that_is_open() -> None:
    partition = backlog("a", "b", "c", "d", "e", point=ResumePoint(4, (1, 3), 0, 0))
    assert partition.start == 1
    assert [partition.wants(offset) for offset in range(5)] == [False, True, False, True, True]
    assert ids_of(partition, "abcde") == "bde"


def test_what_is_read_after_its_end_was_committed_is_not_held() -> None:
    partition = backlog()
    assert partition.commit(ResumePoint(2, (1,), 0, 0))
    for offset, export_id in enumerate("abc"):
        partition.put(offset, request(export_id))
    assert ids_of(partition, "abc") == "bc"


def test_a_group_that_was_reset_is_read_again() -> None:
    partition = backlog("a", "b", "c", point=ResumePoint(2, (1,), 0, 0))
    assert not partition.commit(ResumePoint(1, (), 0, 0)), "the position went back"
    assert not partition.commit(ResumePoint(2, (0, 1), 0, 0)), "what had ended is open"
    assert ids_of(partition, "abc") == "bc", "nothing has changed"
    assert partition.commit(ResumePoint(3, (1, 2), 0, 0))


def test_of_a_wrong_request_is_kept_what_its_event_will_say() -> None:
    sent = b'{"type": "export.requested", "export_id": "a", "format": "xls", "user": 7}'
    assert requested(sent) == Requested("a", "anonymous", "unknown")


def test_what_opens_no_export_is_nothing() -> None:
    for value in (None, b"", b"{", b"[1]", b"7", b"\xff", b'{"type": "export.requested"}'):
        assert requested(value) is None
    assert requested(b'{"type": "export.cancel_requested", "export_id": "a"}') is None
    assert requested(b'{"export_id": "a", "format": "csv"}') is None
    assert requested(b'{"type": {}, "export_id": "a"}') is None


def test_a_request_beyond_a_bound_asks_for_an_export_that_fails() -> None:
    fields = {"type": "export.requested", "export_id": "a", "format": "csv"}
    for excess in ("x" * 2_000_000, "," * 70_000):
        value = json.dumps({**fields, "title": excess}).encode()
        assert requested(value, b"key") == Requested("a", "anonymous", Format.CSV)
    assert requested(json.dumps({"title": "," * 70_000, **fields}).encode()) == Requested(
        "a", "anonymous", Format.CSV
    )
    late = json.dumps({"title": "x" * 2_000_000, **fields}).encode()
    assert requested(late, b"key") == Requested("key", "anonymous", "unknown")
    for key in (None, b"", b"no id!", b"\xff"):
        assert requested(late, key) is None


@pytest.mark.parametrize("stamp", [-1, 0, 2**62])
def test_whatever_kafkas_timestamp_is_the_request_has_a_place_in_lists(stamp: int) -> None:
    found = requested(b'{"type":"export.requested","export_id":"a"}', None, stamp)
    assert found
    Position.decode(Position(found.requested_at_ms, "a").encode())
