"""Who works beside whom, on real threads."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest

from consumer.exports.gate import Gate
from tests.support.waiting import wait_until

LONG_SECONDS = 30.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Inside:
    """A thread that goes in and stays there until ``leave`` is set."""

    def __init__(self, threads: ThreadPoolExecutor, gate: Gate, *, alone: bool = False) -> None:
        self.is_in, self._leave = Event(), Event()
        self.is_alone = False
        self._gate, self._alone = gate, alone
        self._stay: Future[None] = threads.submit(self._run)

    def _run(self) -> None:
        if self._alone:
            self.is_alone = self._gate.enter_alone()
        else:
            self._gate.enter()
        self.is_in.set()
        self._leave.wait(LONG_SECONDS)
        (self._gate.leave_alone if self.is_alone else self._gate.leave)()

    def leave(self) -> None:
        self._leave.set()
        self._stay.result(LONG_SECONDS)


def test_many_are_in_beside_each_other(threads: ThreadPoolExecutor) -> None:
    gate = Gate(LONG_SECONDS)
    inside = [Inside(threads, gate) for _ in range(5)]
    assert all(one.is_in.wait(10) for one in inside)
    for one in inside:
        one.leave()


def test_one_alone_waits_for_all_and_all_wait_for_it(threads: ThreadPoolExecutor) -> None:
    gate = Gate(LONG_SECONDS)
    first, second = Inside(threads, gate), Inside(threads, gate)
    assert first.is_in.wait(10)
    assert second.is_in.wait(10)
    alone = Inside(threads, gate, alone=True)
    wait_until(lambda: gate.wanted)
    late = Inside(threads, gate)
    first.leave()
    assert not alone.is_in.wait(0.05)
    second.leave()
    assert alone.is_in.wait(10)
    assert not late.is_in.wait(0.05)
    alone.leave()
    assert late.is_in.wait(10)
    late.leave()


def test_two_alone_go_in_one_after_the_other(threads: ThreadPoolExecutor) -> None:
    gate = Gate(LONG_SECONDS)
    pair = [Inside(threads, gate, alone=True) for _ in range(2)]
    wait_until(lambda: any(one.is_in.is_set() for one in pair))
    first, second = sorted(pair, key=lambda one: not one.is_in.is_set())
    assert not second.is_in.wait(0.05)
    first.leave()
    assert second.is_in.wait(10)
    second.leave()


@pytest.mark.parametrize("alone", [False, True])
def test_who_hangs_inside_keeps_nobody_out_for_ever(
    threads: ThreadPoolExecutor, alone: bool
) -> None:
    gate = Gate(0.05)
    hanging = Inside(threads, gate, alone=alone)
    assert hanging.is_in.wait(10)
    for other in (Inside(threads, gate, alone=not alone), Inside(threads, gate)):
        assert other.is_in.wait(10)
        other.leave()
    hanging.leave()


def test_who_goes_in_beside_one_that_hangs_is_not_alone(threads: ThreadPoolExecutor) -> None:
    gate = Gate(0.05)
    hanging = Inside(threads, gate)
    assert hanging.is_in.wait(10)
    suspect = Inside(threads, gate, alone=True)
    assert suspect.is_in.wait(10)
    assert not suspect.is_alone
    suspect.leave()
    hanging.leave()
    alone = Inside(threads, gate, alone=True)
    assert alone.is_in.wait(10)
    assert alone.is_alone
    alone.leave()


def test_one_that_hangs_alone_delays_each_other_thread_once(threads: ThreadPoolExecutor) -> None:
    gate = Gate(0.3)
    hanging = Inside(threads, gate, alone=True)
    assert hanging.is_in.wait(10)
    begun_at = time.monotonic()
    for _ in range(20):
        gate.enter()
        gate.leave()
    assert 0.2 < time.monotonic() - begun_at < 3
    hanging.leave()


def test_suspects_that_follow_one_another_keep_nobody_out_for_longer_than_one(
    threads: ThreadPoolExecutor,
) -> None:
    gate = Gate(0.4)
    is_over = Event()

    def be_suspect() -> None:
        while not is_over.is_set():
            is_alone = gate.enter_alone()
            is_over.wait(0.1)
            (gate.leave_alone if is_alone else gate.leave)()

    suspects = [threads.submit(be_suspect) for _ in range(3)]
    wait_until(lambda: gate.wanted)
    others = [Inside(threads, gate) for _ in range(2)]
    try:
        assert all(other.is_in.wait(2) for other in others)
    finally:
        is_over.set()
        for other in others:
            other.leave()
        for suspect in suspects:
            suspect.result(10)


def test_after_a_storm_of_both_kinds_the_gate_is_free(threads: ThreadPoolExecutor) -> None:
    gate = Gate(LONG_SECONDS)
    inside, most_beside = [0, 0], [0]

    def work(number: int) -> None:
        alone = number % 7 == 0
        if alone:
            assert gate.enter_alone()
        else:
            gate.enter()
        inside[alone] += 1
        if inside[True]:
            most_beside[0] = max(most_beside[0], sum(inside))
        time.sleep(0.0002)
        inside[alone] -= 1
        (gate.leave_alone if alone else gate.leave)()

    list(threads.map(work, range(600)))
    assert most_beside == [1]
    assert gate.wanted == 0
    assert gate.enter_alone()
    gate.leave_alone()
