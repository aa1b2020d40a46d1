"""Our own code that breaks on a message: it is read again, then set aside; or nothing is judged."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from consumer.core.resume import ResumePoint
from consumer.core.suspects import MessagePlace
from consumer.errors import LaneStopped, MessageFault
from consumer.exports import batch_routing, request_routing
from consumer.exports.partition import PartitionExports
from consumer.formats.csv import CsvWriter
from consumer.lanes.faults import Faults
from consumer.storage.local import LocalStorage
from schemas.codec import decode_request
from schemas.completions import ExportCompleted, ExportFailed
from schemas.vocabulary import DeadLetterReason, FailReason
from tests.support.partition import (
    RECORDS,
    REQUESTS,
    START,
    Bench,
    Sent,
    only,
    take_outcome,
    work_off,
)

HOW = "TypeError: of our own"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Breaks a decoder: ``decode_request`` or ``decode_batch``."""
    module = {"decode_request": request_routing, "decode_batch": batch_routing}
    return lambda name: monkeypatch.setattr(module[name], name, faulty)


def faulty(*_: object) -> NoReturn:
    raise TypeError("of our own")


def place(message: Sent) -> MessagePlace:
    return MessagePlace(message.topic == RECORDS, message.offset)


def owner(bench: Bench, *breaks_on: Sent, point: ResumePoint = START) -> PartitionExports:
    return bench.owner(point, breaks_on={place(message): HOW for message in breaks_on})


@pytest.mark.parametrize("name", ["decode_request", "decode_batch"])
def test_no_verdict_when_our_code_breaks(
    bench: Bench, breaks: Callable[[str], None], name: str
) -> None:
    sent = {"decode_request": bench.request(), "decode_batch": bench.batch(0, [1], last=True)}
    breaks(name)
    bench.feed(bench.partition)
    with pytest.raises(MessageFault, match=HOW) as broken:
        work_off(bench.partition)
    assert MessagePlace(broken.value.is_batch, broken.value.offset) == place(sent[name])
    assert not take_outcome(bench.partition)
    assert bench.partition.resume_point().will_read(place(sent[name]))
    assert bench.files() == set()


def test_a_request_that_breaks_our_code_fails_unread(bench: Bench) -> None:
    bench.request("a")
    bad = bench.request("b")
    bench.batch(0, [1], export_id="a", last=True)
    failed, completed = bench.turn(owner(bench, bad))
    assert isinstance(failed, ExportFailed)
    assert (failed.export_id, failed.reason) == ("b", FailReason.INTERNAL)
    assert f"Sluice failed twice at {REQUESTS} 3:1: {HOW}" in failed.message
    assert isinstance(completed, ExportCompleted)
    assert bench.metric("sluice_messages_set_aside_total") == 1


def test_a_batch_that_breaks_our_code_fails_its_export_alone(bench: Bench) -> None:
    bench.request("a")
    bench.request("b")
    bad = bench.batch(0, [1])
    bench.batch(0, [1], export_id="b", last=True)
    failed, completed = bench.turn(owner(bench, bad))
    assert isinstance(failed, ExportFailed)
    assert (failed.export_id, failed.reason) == ("a", FailReason.INTERNAL)
    assert isinstance(completed, ExportCompleted)


@pytest.mark.parametrize("topic", [REQUESTS, RECORDS])
def test_without_an_id_for_a_key_it_is_a_dead_letter(bench: Bench, topic: str) -> None:
    bad = bench.raw(topic, b"{}", b"no id")
    partition = owner(bench, bad)
    bench.feed(partition)
    partition.owners_known(1)
    partition.turn()
    outcome = take_outcome(partition)
    (letter,) = outcome.dead_letters
    assert (letter.reason, letter.message) == (DeadLetterReason.UNREADABLE, bad)
    assert not outcome.events


def test_what_breaks_even_so_is_not_judged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = bench.request()
    partition = owner(bench, bad)
    monkeypatch.setattr(LocalStorage, "manifest", faulty)
    bench.feed(partition)
    with pytest.raises(TypeError, match="of our own"):
        partition.turn()
    assert not take_outcome(partition)


def test_the_file_of_a_manifest_is_made_however_often_that_breaks(
    bench: Bench, breaks: Callable[[str], None]
) -> None:
    bench.request()
    bad = bench.batch(0, [1], last=True)
    only(bench.turn())
    (bench.directory / "a.csv").unlink()
    partition = owner(bench, *bench.requests, bad)
    breaks("decode_batch")
    bench.feed(partition)
    with pytest.raises(MessageFault):
        work_off(partition)
    assert not take_outcome(partition)


async def count(bench: Bench, times: int, point: ResumePoint = START) -> Mapping[MessagePlace, str]:
    """What is set aside after so many faults at one batch."""
    with ThreadPoolExecutor() as threads:
        faults = Faults(3, bench.context(), threads)
        for _ in range(times):
            await faults.count(MessageFault(7, HOW, is_batch=True))
        return dict(faults.above(point))


async def test_the_second_fault_sets_a_message_aside(bench: Bench) -> None:
    assert await count(bench, 1) == {}
    assert await count(bench, 2) == {MessagePlace(True, 7): HOW}
    assert await count(bench, 2, ResumePoint(0, (), 8, 8)) == {}
    assert bench.files() == set(), "the trial was made elsewhere"
    assert bench.metric("export_requests_total", format="csv", status="succeeded") == 0


def breaks_on_all(_: object, key: bytes | None) -> NoReturn:
    raise TypeError(f"at {key!r}")


async def test_a_build_that_breaks_on_everything_stops_and_starts_counting_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_routing, "decode_request", breaks_on_all)
    fault = MessageFault(7, HOW, is_batch=False)
    with ThreadPoolExecutor() as threads:
        faults = Faults(3, bench.context(), threads)
        for _ in range(2):
            await faults.count(fault)
            with pytest.raises(LaneStopped, match=r"offset 7 of the requests \(TypeError: of our"):
                await faults.count(fault)
            assert not faults.above(START)
        monkeypatch.setattr(request_routing, "decode_request", decode_request)
        await faults.count(fault)
        assert not faults.above(START)
        await faults.count(fault)
        assert faults.above(START)


async def test_a_trial_that_does_not_complete_stops_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CsvWriter, "append", faulty)
    with pytest.raises(LaneStopped, match=f"at a trial export too: TrialFailed: internal: {HOW}"):
        await count(bench, 2)


async def test_settings_that_are_strict_don_t_fail_the_trial(tmp_path: Path) -> None:
    assert await count(Bench(tmp_path, max_export_bytes=1), 2)
