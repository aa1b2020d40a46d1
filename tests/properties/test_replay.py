"""A replay changes ids and nothing else, keeps order, and sums up by the definitions."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.replay.catalogue import export_catalogue
from producer.replay.merge import ReplayMessage, merge_by_time
from producer.replay.pacing import AtRate, AtSpeed, nearest_rank, offered_rate
from producer.replay.results import COMPLETED, replay_results
from producer.replay.rewriting import batch_with_id, replay_id, request_with_id
from schemas.codec import decode_request
from schemas.records import Batch, decode_batch
from schemas.requests import ExportRequested
from schemas.vocabulary import EXPORT_ID, is_export_id
from tests.support.strategies import cells, texts

ids = st.from_regex(EXPORT_ID.replace("127", "20"), fullmatch=True)
full_ids = st.from_regex(EXPORT_ID, fullmatch=True)
# What looks like the id's field, in places where it is none.
lures = st.sampled_from(["export_id", '{"export_id": "x"}', '\\"export_id":"a",', "\\"])
rows = st.lists(
    st.lists(cells | lures, max_size=4) | st.dictionaries(texts | lures, cells | lures, max_size=4),
    max_size=4,
)
spaces = st.text(" \t\r\n", max_size=2)


def escaped(draw: st.DrawFn, text: str) -> str:
    """The text as a JSON string in which some characters needn't be escaped, but are."""
    characters = (
        f"\\u{ord(char):04x}" if draw(st.booleans()) else json.dumps(char)[1:-1] for char in text
    )
    return f'"{"".join(characters)}"'


@st.composite
def batches(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A batch as some upstream may write it, and the same text with ``NEW`` where an id stands."""
    odd = draw(st.booleans())
    ascii_only = draw(st.booleans())
    fields: list[tuple[str, Any]] = [
        ("seq", draw(st.integers(0, 2**80))),
        ("rows", draw(rows)),
        ("last", draw(st.booleans())),
    ]
    fields.insert(draw(st.integers(0, 3)), ("export_id", draw(ids)))
    if draw(st.booleans()):  # of a repeated key, the last counts
        fields.insert(draw(st.integers(0, 3)), ("export_id", draw(ids)))
    texts_of = []
    for name, value in fields:
        key = escaped(draw, name) if odd else json.dumps(name)
        if name == "export_id":
            texts_of.append((key, escaped(draw, value) if odd else json.dumps(value), "NEW"))
        else:
            text = json.dumps(value, ensure_ascii=ascii_only)
            texts_of.append((key, text, text))
    space = [draw(spaces) for _ in range(4)]

    def joined(which: int) -> bytes:
        pairs = (f"{space[0]}{one[0]}{space[1]}:{space[2]}{one[which]}" for one in texts_of)
        return ("{" + f"{space[3]},".join(pairs) + "}").encode()

    return joined(1), joined(2)


@given(batches(), full_ids)
def test_a_batch_keeps_every_byte_but_its_id(batch: tuple[bytes, bytes], new_id: str) -> None:
    before, expected = batch
    original = decode_batch(before)
    after = batch_with_id(before, new_id)
    assert after.replace(f'"{new_id}"'.encode(), b"\0") == expected.replace(b"NEW", b"\0").replace(
        f'"{new_id}"'.encode(), b"\0"
    )
    again = decode_batch(after)
    assert again == Batch(new_id, original.seq, original.rows, original.last)


@pytest.mark.parametrize("number", ["12.50", "18446744073709551616", "1E400000000", "-0", "1e-7"])
def test_numbers_keep_their_digits(number: str) -> None:
    before = f'{{"seq":0,"rows":[[{number}]],"export_id":"a","last":true}}'.encode()
    assert batch_with_id(before, "b") == before.replace(b'"a"', b'"b"')


def test_a_batch_nested_as_deep_as_can_be_read_is_rewritten() -> None:
    deep = b"[" * 1_000 + b"]" * 1_000
    before = b'{"rows":[[' + deep + b']],"seq":0,"export_id":"a"}'
    assert batch_with_id(before, "b") == before.replace(b'"a"', b'"b"')


@given(full_ids, st.integers(1, 10**10 - 1), st.integers(0, 999))
def test_a_new_id_is_an_id_that_shows_whose_copy_it_is(
    original: str, number: int, copy: int
) -> None:
    new_id = replay_id(original, "replay-01a1fdd84029db7933c06b", number, copy)
    assert is_export_id(new_id)
    assert new_id.startswith(original[:80])


def test_a_request_is_dated_now() -> None:
    request = ExportRequested.model_validate(
        {
            "export_id": "a",
            "format": "pdf",
            "columns": [{"key": "k", "header": "K", "width": 80}, "b"],
            "title": "Orders",
            "user": "alice",
            "priority": 9,
            "requested_at": "2026-11-21T10:00:00Z",
            "options": {"records_per_page": 7},
        }
    )
    again = decode_request(request_with_id(request, "b"))
    assert again == request.model_copy(update={"export_id": "b", "requested_at": None})


# Order


def message(at_ms: int, partition: int = 0) -> ReplayMessage:
    return ReplayMessage(1, "a", partition, at_ms, at_ms, b"", is_request=True, is_last=False)


async def stream_of(messages: list[ReplayMessage]) -> AsyncIterator[ReplayMessage]:
    for one in messages:
        yield one


@given(st.lists(st.lists(st.integers(0, 9), max_size=6).map(sorted), max_size=4))
def test_streams_are_merged_by_time_and_equals_by_stream(times: list[list[int]]) -> None:
    streams = [
        stream_of([message(at_ms, place) for at_ms in one]) for place, one in enumerate(times)
    ]

    async def all_of_them() -> list[tuple[int, int]]:
        return [(one.at_ms, one.partition) async for one in merge_by_time(streams)]

    assert asyncio.run(all_of_them()) == sorted(
        (at_ms, place) for place, one in enumerate(times) for at_ms in one
    )


# Figures


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=200), st.floats(0.1, 100))
def test_a_percentile_is_the_least_value_that_enough_values_do_not_exceed(
    values: list[int], percent: float
) -> None:
    values.sort()
    found = values[nearest_rank(percent, len(values)) - 1]

    def share(limit: int) -> float:
        return sum(value <= limit for value in values) / len(values) * 100

    assert share(found) >= percent - 1e-9
    assert all(share(value) < percent for value in values if value < found)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_the_ledger_has_the_percentiles_of_completed_exports(seconds: list[float]) -> None:
    with replay_results() as sent:
        for number, latency in enumerate(seconds):
            sent.add(f"e{number}", due_at=5.0, sent_at=10.0)
            sent.end(f"e{number}", COMPLETED, 10.0 + latency)
            sent.end(f"e{number}", "timed_out", 500.0)  # an event that comes again
        sent.add("other", due_at=5.0, sent_at=10.0)
        sent.end("other", "timed_out", 1_000.0)
        sent.add("waiting", due_at=5.0, sent_at=10.0)
        found, late = sent.latencies(), sent.lateness()
        counted = (sent.sent, sent.waiting, sent.outcomes())
    assert found
    assert found.max == pytest.approx(max(seconds))
    assert found.p50 == pytest.approx(sorted(seconds)[(len(seconds) + 1) // 2 - 1])
    assert late
    assert (late.p50, late.max) == (5.0, 5.0)
    assert counted == (len(seconds) + 2, 1, {COMPLETED: len(seconds), "timed_out": 1})


@given(st.integers(1, 50), st.integers(1, 5), st.floats(0.01, 1_000))
def test_a_rate_is_offered_whatever_the_recording_was(
    recorded: int, copies: int, rate: float
) -> None:
    pace = AtRate(rate)
    dues = [pace.request_due(number * copies, 123.0) for number in range(recorded)]
    assert dues == sorted(dues)
    offered = offered_rate(recorded * copies, copies, dues[-1])
    assert offered is None if recorded == 1 else offered == pytest.approx(rate)


@given(st.floats(0, 1e6), st.floats(0.001, 1e6))
def test_speed_divides_time(seconds: float, factor: float) -> None:
    pace = AtSpeed(factor)
    assert pace.request_due(7, seconds) == pace.batch_due(seconds) == seconds / factor


# What is whole


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=8))
def test_an_export_is_whole_if_sluice_would_complete_it(sent: list[tuple[int, bool]]) -> None:
    expected, ends_at = 0, None
    for offset, (seq, last) in enumerate(sent):
        if seq > expected:
            break  # a gap: it fails
        if seq == expected:
            expected += 1
            if last:
                ends_at = offset
                break
    with export_catalogue() as exports:
        exports.add_request(0, "a", 3, 1_000)
        for offset, (seq, last) in enumerate(sent):
            exports.add_batch(0, Batch("a", seq, [], last), offset)
        place = exports.request_at(0, 3)
        assert (place is not None) == (ends_at is not None)
        assert exports.counts() == (1, int(ends_at is not None))
        if ends_at is not None:
            (stretch,) = exports.offset_spans()
            assert (stretch.requests, stretch.records.stop) == (range(3, 4), ends_at + 1)
            end = exports.batch_at(0, "a", ends_at)
            assert end
            assert end.last
            assert exports.batch_at(0, "a", ends_at + 1) is None
