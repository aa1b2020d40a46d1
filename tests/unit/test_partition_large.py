"""Messages that are too large to be read, or to be held: what becomes of their exports."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.inflate import BrokenData
from consumer.core.budget import TURN_BYTES
from consumer.exports.kept_texts import KeptTexts
from consumer.exports.messages import LargeMessage
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from schemas.completions import ExportFailed
from schemas.json_pieces import divide
from schemas.limits import LARGE_BYTES
from schemas.unread_value import UnreadValue, too_large
from schemas.vocabulary import DeadLetterReason, FailReason
from tests.support.partition import RECORDS, REQUESTS, START, Bench, only, take_outcome, work_off

MIB = 1024 * 1024
UNREAD = too_large(60_000_000, 16_777_216)
WHY = "the message has 60000000 bytes, more than 16777216"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@dataclass
class Source:
    """A value that is read on demand, and how often it was."""

    value: bytes | None
    times: int = 0
    fault: BrokenData | None = None

    def read(self) -> bytes | None:
        self.times += 1
        if self.fault:
            raise self.fault
        return self.value and bytes(bytearray(self.value))  # a copy, as to decompress makes one

    def message(self, offset: int, key: bytes = b"a") -> LargeMessage:
        return LargeMessage(RECORDS, 3, offset, 0, key, len(self.value or b""), self.read)


def test_its_key_names_the_export_that_fails(bench: Bench) -> None:
    bench.request("a")
    bench.batch(0, [1])
    bench.raw(RECORDS, UNREAD, b"a")
    bench.request("b")
    bench.batch(0, [1], export_id="b", last=True)
    bench.partition.take_requests(bench.requests)
    bench.partition.take_records(bench.records)
    work_off(bench.partition)
    outcome = take_outcome(bench.partition)
    failed, completed = outcome.events
    assert isinstance(failed, ExportFailed)
    assert (failed.reason, failed.message, failed.rows) == (FailReason.TOO_LARGE, WHY, 1)
    assert (completed.type, completed.export_id) == ("export.completed", "b")
    (letter,) = outcome.dead_letters
    assert (letter.reason, letter.message.offset) == (DeadLetterReason.UNREADABLE, 1)


def test_of_an_unknown_key_it_waits_for_its_request(bench: Bench) -> None:
    bench.partition.take_records([bench.raw(RECORDS, UNREAD, b"a")])
    assert bench.partition.turn().end is TurnEnd.OWNER_UNKNOWN
    bench.request("a")
    assert only(bench.turn()).type == "export.failed"


@pytest.mark.parametrize("key", [None, b"no id!", b"b"])
def test_its_beginning_names_the_export_rather_than_its_key(
    bench: Bench, key: bytes | None
) -> None:
    beginning = b'{"export_id": "a", "seq": 1, "rows": [["' + b"x" * 60_000
    bench.request("a")
    bench.request("b")
    bench.batch(0, [1])
    bench.raw(RECORDS, too_large(60_000_000, 16_777_216, beginning), key)
    bench.batch(0, [1], export_id="b", last=True)
    bench.partition.take_requests(bench.requests)
    bench.partition.take_records(bench.records)
    work_off(bench.partition)
    outcome = take_outcome(bench.partition)
    failed, completed = outcome.events
    assert isinstance(failed, ExportFailed)
    assert (failed.export_id, failed.reason, failed.rows) == ("a", FailReason.TOO_LARGE, 1)
    assert (completed.type, completed.export_id) == ("export.completed", "b")
    assert [it.reason for it in outcome.dead_letters] == [DeadLetterReason.UNREADABLE]


@pytest.mark.parametrize("key", [None, b"no id!", b"x" * 1024])
def test_without_an_id_for_a_key_it_is_a_dead_letter_alone(bench: Bench, key: bytes | None) -> None:
    bench.request("a")
    bench.raw(RECORDS, UNREAD, key)
    bench.batch(0, [1], last=True)
    assert only(bench.turn()).type == "export.completed"


def test_a_request_fails_by_the_id_at_its_beginning(bench: Bench) -> None:
    beginning = b'{"type": "export.requested", "export_id": "a", "format": "pdf", "title": "xxx'
    bench.partition.take_requests(
        [bench.raw(REQUESTS, too_large(60_000_000, 1_048_576, beginning), b"b")]
    )
    work_off(bench.partition)
    outcome = take_outcome(bench.partition)
    failed = only(outcome.events)
    assert isinstance(failed, ExportFailed)
    assert (failed.export_id, failed.reason) == ("a", FailReason.INVALID_REQUEST)
    assert (failed.format, failed.message) == ("pdf", WHY.replace("16777216", "1048576"))
    assert outcome.dead_letters == []


def test_a_request_with_a_later_id_fails_by_its_key(bench: Bench) -> None:
    unread = too_large(60_000_000, 1_048_576, b'{"columns": ["')
    bench.partition.take_requests([bench.raw(REQUESTS, unread, b"a")])
    work_off(bench.partition)
    outcome = take_outcome(bench.partition)
    failed = only(outcome.events)
    assert isinstance(failed, ExportFailed)
    assert (failed.export_id, failed.format, failed.reason) == (
        "a",
        "unknown",
        FailReason.INVALID_REQUEST,
    )
    assert outcome.dead_letters == []


def test_a_request_without_a_beginning_is_a_dead_letter_whatever_its_key(bench: Bench) -> None:
    bench.partition.take_requests([bench.raw(REQUESTS, UNREAD, b"a")])
    work_off(bench.partition)
    outcome = take_outcome(bench.partition)
    assert outcome.events == []
    assert [it.reason for it in outcome.dead_letters] == [DeadLetterReason.UNREADABLE]


def test_the_rest_of_a_broken_batch_fails_nobody_by_size(bench: Bench) -> None:
    bench.request("a")
    bench.raw(RECORDS, UnreadValue("it is broken", too_large=False), b"a")
    failed = only(bench.turn())
    assert isinstance(failed, ExportFailed)
    assert (failed.reason, failed.message) == (FailReason.INVALID_BATCH, "it is broken")


def test_a_large_value_is_read_in_its_turn_and_let_go(bench: Bench) -> None:
    bench.request("a")
    source = Source(bench.encode({"export_id": "a", "seq": 0, "rows": [[1]], "last": True}))
    message = source.message(0)
    bench.partition.take_records([message])
    assert bench.partition.turn().end is TurnEnd.OWNER_UNKNOWN
    assert source.times == 1
    assert message._value is None  # nothing public says whether it is held
    bench.partition.take_requests(bench.requests)
    work_off(bench.partition)
    assert only(take_outcome(bench.partition).events).type == "export.completed"


def half_applied(bench: Bench, rows: int) -> tuple[Source, LargeMessage]:
    """A large batch of which a turn applied some."""
    bench.request("a")
    value = {"export_id": "a", "seq": 0, "rows": [[n] for n in range(rows)], "last": True}
    source = Source(bench.encode(value))
    message = source.message(0)
    bench.partition.take_requests(bench.requests)
    bench.partition.turn()
    bench.partition.take_records([message])
    assert bench.partition.turn(0.0).end is TurnEnd.SPENT
    return source, message


@pytest.mark.slow
@pytest.mark.parametrize(("kept_bytes", "reads"), [(0, 10), (8 * MIB, 1)])
def test_a_large_batch_applied_in_part_is_gone_on_with(
    tmp_path: Path, kept_bytes: int, reads: int
) -> None:
    bench = Bench(tmp_path, max_export_bytes=8 * MIB, kept_bytes=kept_bytes)
    source, message = half_applied(bench, 150_000)
    while bench.partition.turn(0.0).end is TurnEnd.SPENT:
        assert message._value is None
    assert only(take_outcome(bench.partition).events).type == "export.completed"
    lines = "".join(f"{n}\r\n" for n in ("n", *range(150_000)))
    assert (tmp_path / "a.csv").read_bytes() == lines.encode()
    assert (source.times > reads) if kept_bytes == 0 else (source.times == reads)


@pytest.mark.slow
def test_between_turns_a_large_batch_takes_little_memory(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_export_bytes=8 * MIB, kept_bytes=0)
    tracemalloc.start()
    try:
        half_applied(bench, 150_000)
        bench.requests.clear()
        held, _ = tracemalloc.get_traced_memory()
        bench.partition.discard()
        less, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held - less < MIB // 4


def test_after_a_rest_the_message_that_is_there_is_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_export_bytes=8 * MIB, kept_bytes=0)
    source, _ = half_applied(bench, 150_000)
    bench.partition.drop_pending()
    again = Source(source.value)
    bench.partition.take_records([again.message(0)])
    work_off(bench.partition)
    assert only(take_outcome(bench.partition).events).type == "export.completed"
    assert (source.times, again.times) == (1, 1)


def test_a_large_batch_that_reads_otherwise_the_second_time_fails_its_export(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, max_export_bytes=8 * MIB, kept_bytes=0)
    source, _ = half_applied(bench, 150_000)
    source.value = b"{}"
    work_off(bench.partition)
    failed = only(take_outcome(bench.partition).events)
    assert isinstance(failed, ExportFailed)
    assert failed.reason is FailReason.INTERNAL
    assert "the text has 2 bytes" in failed.message


def test_a_node_keeps_the_texts_that_there_is_room_for() -> None:
    texts = [divide(b'{"rows":[1]}', "rows") for _ in range(3)]
    kept = KeptTexts(30)
    for text in (*texts, texts[0]):
        kept.keep(text)
    assert [text.held_bytes for text in texts] == [12, 12, 0]
    del texts[0], text
    texts[-1].give_back(b'{"rows":[2]}')
    kept.keep(texts[-1])
    assert [text.held_bytes for text in texts] == [12, 12]


def test_a_large_value_is_read_only_when_no_other_partition_is_at_work_on_one(
    bench: Bench,
) -> None:
    context = bench.context()
    busy = PartitionExports(3, START, context)
    bench.request("a")
    source = Source(bench.encode({"export_id": "a", "seq": 0, "rows": [[1]]}) + b" " * TURN_BYTES)
    busy.take_requests(bench.requests)
    busy.turn()
    busy.take_records([source.message(0)])
    with ThreadPoolExecutor(1) as threads:
        with context.at_work_on(LARGE_BYTES + 1):
            turn = threads.submit(busy.turn)
            assert not wait([turn], timeout=0.3).done
            assert source.times == 0
        turn.result(timeout=30)
    assert source.times == 1


def test_a_large_value_without_an_owner_is_not_held_while_it_is_looked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = bench.encode({"export_id": "b", "seq": 0, "rows": [[1]]}) + b" " * 3 * MIB
    message = Source(value).message(0, b"b")
    held: list[bool] = []
    monkeypatch.setattr(
        bench.storage, "manifest", lambda _: held.append(message._value is not None)
    )
    bench.partition.take_records([message])
    assert bench.partition.turn().end is TurnEnd.OWNER_UNKNOWN
    assert held == [False]


def test_a_large_value_counts_as_its_turn(bench: Bench) -> None:
    bench.request("a")
    padding = b" " * TURN_BYTES
    sources = [
        Source(bench.encode({"export_id": "a", "seq": n, "rows": [[n]]}) + padding)
        for n in range(2)
    ]
    bench.partition.take_requests(bench.requests)
    bench.partition.turn()
    bench.partition.take_records([it.message(n) for n, it in enumerate(sources)])
    assert bench.partition.turn().end is TurnEnd.SPENT
    assert [it.times for it in sources] == [1, 0]


def test_a_large_value_that_breaks_off_is_unreadable(bench: Bench) -> None:
    bench.request("a")
    bench.partition.take_requests(bench.requests)
    bench.partition.take_records([Source(b"", fault=BrokenData("it ends")).message(0)])
    work_off(bench.partition)
    assert only(take_outcome(bench.partition).events).type == "export.failed"


def test_dead_letters_hold_no_large_value(bench: Bench) -> None:
    for offset, size in enumerate((1_500_000, 3_000_000)):
        source = Source(b"{" * size)
        bench.partition.take_records([source.message(offset, b"no id!")])
    work_off(bench.partition)
    small, large = (it.message for it in take_outcome(bench.partition).dead_letters)
    assert small.value == b"{" * 1_500_000
    assert isinstance(large.value, UnreadValue)


def test_many_dead_letters_fill_an_outcome(bench: Bench) -> None:
    for _ in range(3):
        bench.raw(RECORDS, b"{" * 500_000, b"no id!")
    bench.partition.take_records(bench.records)
    work_off(bench.partition)
    full = bench.partition.outcome_full
    take_outcome(bench.partition)
    assert (full, bench.partition.outcome_full) == (True, False)
