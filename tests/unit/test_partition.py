"""One partition's messages: owners, ends, repeats, bounds, on a real directory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consumer.core.admission_limit import MOST_OPEN
from consumer.core.fair_queue import Claim
from consumer.core.resume import ResumePoint
from consumer.exports.turn_result import TurnEnd
from consumer.formats.base import Encoders
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed
from schemas.vocabulary import DeadLetterReason, FailReason
from tests.support.partition import RECORDS, REQUESTS, Bench, only, take_outcome


@pytest.fixture
def bench(tmp_path: Path, encoders: Encoders) -> Bench:
    return Bench(tmp_path, encoders=encoders)


def test_batches_become_a_file_and_an_event(bench: Bench) -> None:
    request = bench.request(user="alice", title="T")
    bench.batch(0, [1], [2])
    bench.batch(1, [3], last=True, total_rows=3)
    event = only(bench.turn())
    assert isinstance(event, ExportCompleted)
    assert (event.rows, event.user, event.source.offset) == (3, "alice", request.offset)
    assert (bench.directory / "a.csv").read_bytes() == b"n\r\n1\r\n2\r\n3\r\n"
    assert event.bytes == len(b"n\r\n1\r\n2\r\n3\r\n")
    assert bench.files() == {"a.csv", "a.manifest.json"}
    assert bench.parts() == []
    assert bench.partition.resume_point() == ResumePoint(1, (), 2, 2)


def test_a_request_keeps_its_place_while_it_is_open(bench: Bench) -> None:
    bench.request("a")
    bench.request("b")
    bench.batch(0, [1], export_id="b")
    bench.batch(0, [1], export_id="a")
    bench.batch(1, export_id="b", last=True)
    only(bench.turn())
    assert bench.partition.resume_point() == ResumePoint(2, (0,), 1, 3, ((0, 1),))


def test_more_exports_than_slots_interleave(bench: Bench) -> None:
    ids = [f"e{number}" for number in range(20)]
    for export_id in ids:
        bench.request(export_id)
    for seq in range(5):
        for export_id in ids:
            bench.batch(seq, [seq], export_id=export_id, last=seq == 4)
    events = bench.turn()
    assert [event.export_id for event in events] == ids
    assert {event.rows for event in events} == {5}


def test_a_batch_waits_for_its_owner_and_then_is_an_orphan(bench: Bench) -> None:
    bench.batch(0, [1], export_id="nobody")
    bench.partition.take_records(bench.records)
    assert bench.partition.turn().end is TurnEnd.OWNER_UNKNOWN
    assert bench.partition.turn().end is TurnEnd.OWNER_UNKNOWN
    bench.partition.owners_known(below=1)
    assert bench.partition.turn().end is TurnEnd.IDLE
    letter = take_outcome(bench.partition).dead_letters[0]
    assert (letter.reason, letter.message) == (DeadLetterReason.ORPHAN_BATCH, bench.records[0])


def test_a_batch_that_was_visible_before_its_request_finds_it(bench: Bench) -> None:
    bench.batch(0, [1], last=True)
    bench.partition.take_records(bench.records)
    assert bench.partition.turn().end is TurnEnd.OWNER_UNKNOWN
    bench.request()
    assert isinstance(only(bench.turn()), ExportCompleted)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"columns": []}, "columns"),
        ({"format": "xls"}, "format"),
        ({"format": ["csv"]}, "format"),
        ({"format": {"csv": 1}}, "format"),
        ({"format": 5}, "format"),
        ({"priority": 11}, "priority"),
        ({"options": {"delimiter": "ab"}}, "options.delimiter"),
        ({"bogus": 1}, "bogus: is not a field of the contract"),
    ],
)
def test_an_invalid_request_fails_and_names_the_field(
    bench: Bench, fields: dict[str, Any], words: str
) -> None:
    bench.request(user="eve", **fields)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.reason, event.user, event.rows) == (FailReason.INVALID_REQUEST, "eve", 0)
    assert words in event.message
    assert event.format == ("unknown" if "format" in fields else "csv")
    assert bench.files() == {"a.manifest.json"}


@pytest.mark.parametrize(
    ("batches", "reason"),
    [
        ([(0, [1]), (2, [3])], FailReason.SEQUENCE_GAP),
        ([(0, [1]), (1, [1, 2])], FailReason.INVALID_BATCH),
        ([(0, [1]), (1, {"m": 1})], FailReason.INVALID_BATCH),
        ([(0, [1]), (-1, [1])], FailReason.INVALID_BATCH),
    ],
)
def test_a_bad_batch_fails_its_export_alone(
    bench: Bench, batches: list[tuple[int, Any]], reason: FailReason
) -> None:
    bench.request("a")
    bench.request("b")
    bench.batch(0, [7], export_id="b")
    for seq, row in batches:
        bench.batch(seq, row)
    bench.batch(1, [8], export_id="b", last=True)
    bench.batch(3, [9], last=True)
    failed, done = bench.turn()
    assert isinstance(failed, ExportFailed)
    assert (failed.reason, failed.rows) == (reason, 1)
    assert isinstance(done, ExportCompleted)
    assert bench.files() == {"a.manifest.json", "b.csv", "b.manifest.json"}
    assert bench.metric("sluice_batches_dropped_total", why="late") == 1
    assert bench.parts() == []


def test_a_wrong_total_fails(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1], last=True, total_rows=2)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.ROW_COUNT_MISMATCH


def test_a_file_beyond_the_limit_fails(tmp_path: Path, encoders: Encoders) -> None:
    bench = Bench(tmp_path, max_export_bytes=100, encoders=encoders)
    bench.request()
    bench.batch(0, ["x" * 60])
    bench.batch(1, ["x" * 60], last=True)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.reason, event.rows) == (FailReason.TOO_LARGE, 1)
    assert bench.files() == {"a.manifest.json"}


@pytest.mark.parametrize("wrong", [[1, 2], ["x" * 200]])
def test_an_export_started_with_the_first_batch_that_was_applied(
    tmp_path: Path, encoders: Encoders, wrong: list[Any]
) -> None:
    bench = Bench(tmp_path, max_export_bytes=100, encoders=encoders)
    bench.request()
    bench.batch(0, wrong)
    event = only(bench.turn())
    assert (event.rows, event.started_at) == (0, None)
    bench.request("b")
    bench.batch(0, [1], export_id="b")
    bench.batch(1, wrong, export_id="b")
    event = only(bench.turn())
    assert event.rows == 1
    assert event.started_at is not None


def test_a_user_that_is_too_long_is_not_made_another_ones(bench: Bench) -> None:
    bench.request(user="x" * 257)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.reason, event.user) == (FailReason.INVALID_REQUEST, "anonymous")


def test_a_repeat_of_a_batch_is_dropped_and_counted(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1])
    bench.batch(0, [1])
    bench.batch(1, last=True)
    assert only(bench.turn()).rows == 1
    assert bench.metric("sluice_batches_dropped_total", why="repeat") == 1


def test_a_repeated_request_is_ignored_and_counted(bench: Bench) -> None:
    bench.request()
    bench.request()
    bench.batch(0, [1], last=True)
    assert len(bench.turn()) == 1
    bench.request()
    assert bench.turn() == []
    labels = {"format": "csv", "status": "duplicate", "user": "anonymous"}
    assert bench.metric("export_requests_total", **labels) == 2


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        (REQUESTS, b"{", DeadLetterReason.UNREADABLE),
        (REQUESTS, b"[]", DeadLetterReason.UNREADABLE),
        (REQUESTS, None, DeadLetterReason.NULL_VALUE),
        (REQUESTS, b'{"type": "export.bogus", "export_id": "a"}', DeadLetterReason.UNKNOWN_TYPE),
        (
            REQUESTS,
            b'{"type": "export.requested", "export_id": "../x"}',
            DeadLetterReason.INVALID_ID,
        ),
        (RECORDS, b"\xff", DeadLetterReason.UNREADABLE),
        (RECORDS, None, DeadLetterReason.NULL_VALUE),
        (RECORDS, b'{"export_id": 5, "seq": 0, "rows": []}', DeadLetterReason.INVALID_ID),
    ],
)
def test_what_cannot_be_tied_to_an_export_is_a_dead_letter(
    bench: Bench, topic: str, value: bytes | None, reason: DeadLetterReason
) -> None:
    message = bench.raw(topic, value, b"some-key")
    bench.partition.owners_known(below=1)
    assert bench.turn() == []
    bench.partition.take_requests([])
    assert bench.partition.next_offsets in {(1, 0), (0, 1)}
    replayed, _ = bench.replay(bench.partition.resume_point())
    assert take_outcome(replayed).dead_letters == [], "sent once"
    owner = bench.owner()
    owner.owners_known(below=1)
    feed = owner.take_requests if topic == REQUESTS else owner.take_records
    feed([message])
    owner.turn()
    letter = take_outcome(owner).dead_letters[0]
    assert (letter.reason, letter.message) == (reason, message)


def test_an_unreadable_batch_fails_the_open_export_of_its_key(bench: Bench) -> None:
    bench.request()
    bench.raw(RECORDS, b"{", b"a")
    bench.partition.take_requests(bench.requests)
    bench.partition.take_records(bench.records)
    assert bench.partition.turn().end is TurnEnd.SPENT
    assert bench.partition.turn().end is TurnEnd.IDLE
    outcome = take_outcome(bench.partition)
    assert len(outcome.dead_letters) == 1
    event = only(outcome.events)
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.INVALID_BATCH


def test_cancel_before_in_the_middle_and_too_late(bench: Bench) -> None:
    bench.request("before")
    bench.cancel("before")
    bench.request("middle")
    bench.batch(0, [1], export_id="middle")
    first = only(bench.turn())
    bench.cancel("middle", message="line 3: has 1 cells for 2 columns")
    second = only(bench.turn())
    assert isinstance(first, ExportCancelled)
    assert isinstance(second, ExportCancelled)
    assert first.message == "cancelled on request"
    assert second.message == "line 3: has 1 cells for 2 columns"
    assert (first.rows, second.rows) == (0, 1)
    bench.cancel("middle")
    bench.cancel("nobody")
    assert bench.turn() == []
    assert bench.metric("sluice_cancels_ignored_total") == 2
    assert bench.files() == {"before.manifest.json", "middle.manifest.json"}
    assert bench.parts() == []


def test_an_idle_export_is_timed_out(bench: Bench) -> None:
    bench.request("idle")
    bench.turn()
    bench.clock.seconds = 50
    bench.request("fresh")
    bench.turn()
    assert bench.partition.idle_since() == 0
    bench.partition.expire(active_before=49)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.export_id, event.reason) == ("idle", FailReason.TIMED_OUT)
    assert bench.partition.idle_since() == 50


def test_one_export_too_many_is_refused_by_name(bench: Bench) -> None:
    for number in range(MOST_OPEN + 1):
        bench.request(f"e{number}")
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.export_id, event.reason) == (f"e{MOST_OPEN}", FailReason.TOO_MANY_OPEN)
    assert len(bench.partition.resume_point().committed_requests().metadata) <= 4096


def test_what_kafka_does_not_show_is_passed(bench: Bench) -> None:
    bench.partition.advance(5, 9)
    assert bench.partition.resume_point() == ResumePoint(5, (), 9, 9)
    bench.partition.take_records([replace(bench.batch(0, [1]), offset=9)])
    bench.partition.advance(6, 12)
    assert bench.partition.next_offsets == (6, 9)


def test_requests_and_batches_take_turns_so_that_neither_waits_for_all_of_the_other(
    bench: Bench,
) -> None:
    partition = bench.partition
    bench.request("a")
    bench.batch(0, [1], export_id="a")
    bench.batch(1, export_id="a", last=True)
    partition.take_requests(bench.requests)
    partition.take_records(bench.records)
    partition.turn()
    assert partition.next_offsets == (1, 0), "a turn of requests handles no batch"
    partition.take_requests([bench.request("b"), bench.request("c")])
    partition.turn(0.0)
    assert partition.next_offsets == (1, 1), "more requests have come, but batches waited"
    partition.turn(0.0)
    assert partition.next_offsets == (2, 1), "and now requests did"
    partition.turn(0.0)
    assert partition.next_offsets == (2, 2)
    partition.turn(0.0)
    assert partition.next_offsets == (3, 2)


def test_a_batch_whose_request_is_at_hand_needs_no_search(bench: Bench) -> None:
    partition = bench.partition
    bench.request("a")
    bench.batch(0, export_id="b", last=True)
    partition.take_requests(bench.requests)
    partition.take_records(bench.records)
    partition.turn()
    partition.take_requests([bench.request("b")])
    assert partition.turn().end is TurnEnd.SPENT, "a turn of batches, whose owner isn't open yet"
    while partition.turn().end is TurnEnd.SPENT:
        pass
    assert only(take_outcome(partition).events).export_id == "b"


def test_a_turn_is_claimed_for_the_user_of_its_first_batch(bench: Bench) -> None:
    partition = bench.partition
    bench.request("a", user="alice", priority=9)
    bench.request("b")
    bench.batch(0, export_id="b", last=True)
    bench.batch(0, [1], export_id="a")
    bench.batch(0, [1], export_id="stranger")
    bench.raw(RECORDS, b"[]")
    assert partition.claim == Claim(None, 5)
    partition.take_requests(bench.requests)
    partition.take_records(bench.records)
    partition.owners_known(below=4)
    assert partition.claim == Claim(None, 9), "a request, of whomever"
    partition.turn()
    claims = [partition.claim]
    while partition.turn(0.0).end is TurnEnd.SPENT:
        claims.append(partition.claim)
    assert claims == [
        Claim("anonymous", 5),
        Claim("alice", 9),
        Claim(None, 5),
        Claim(None, 5),
    ]
