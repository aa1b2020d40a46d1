"""Threads that hang hold up nothing: no other call, and not the end of the process."""

import subprocess
import sys
import threading

import pytest

from consumer.daemon_threads import DaemonThreads
from tests.support.waiting import wait_until


def test_a_call_gives_its_result_or_its_error() -> None:
    threads = DaemonThreads(2, "t")
    assert threads.submit(divmod, 7, 2).result(5) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 7, 0).result(5)
    threads.shutdown()


def test_an_idle_thread_is_used_again() -> None:
    threads = DaemonThreads(9, "t")
    names = set()
    for _ in range(50):
        names.add(threads.submit(lambda: threading.current_thread().name).result(5))
        wait_until(lambda: threads._idle)  # the result comes before that
    assert len(names) < 9
    threads.shutdown()


def test_calls_that_hang_hold_up_no_other_below_the_limit() -> None:
    threads, until = DaemonThreads(4, "t"), threading.Event()
    hanging = [threads.submit(until.wait) for _ in range(3)]
    for number in range(200):
        assert threads.submit(abs, -number).result(5) == number
    late = threads.submit(until.wait)
    queued = [threads.submit(abs, -number) for number in range(3)]
    assert threads.waiting == 3
    until.set()
    assert [one.result(5) for one in queued] == [0, 1, 2]
    assert all(one.result(5) for one in [*hanging, late])
    assert threads.waiting == 0
    threads.shutdown()


def test_a_call_that_waits_can_be_cancelled() -> None:
    threads, until = DaemonThreads(1, "t"), threading.Event()
    hanging = threads.submit(until.wait)
    done: list[int] = []
    waiting = threads.submit(done.append, 1)
    assert waiting.cancel()
    until.set()
    assert hanging.result(5)
    assert threads.submit(lambda: 2).result(5) == 2
    assert done == []
    threads.shutdown()


def test_many_at_once_all_come_to_an_end() -> None:
    threads = DaemonThreads(7, "t")
    futures = [threads.submit(pow, number, 2) for number in range(2_000)]
    assert [one.result(10) for one in futures] == [number**2 for number in range(2_000)]
    threads.shutdown()


def test_after_the_end_threads_are_gone_and_none_is_started() -> None:
    threads = DaemonThreads(3, "gone")
    until = threading.Event()
    hanging = threads.submit(until.wait)
    threads.submit(int).result(5)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(int)
    until.set()
    assert hanging.result(5)
    wait_until(lambda: not [it for it in threading.enumerate() if it.name.startswith("gone-")])


def test_a_process_ends_while_one_hangs() -> None:
    code = (
        "import threading\n"
        "from consumer.daemon_threads import DaemonThreads\n"
        "DaemonThreads(1, 't').submit(threading.Event().wait)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode == 0
