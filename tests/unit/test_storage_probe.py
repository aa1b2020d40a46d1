"""The storage is checked aside: one that hangs is waited for by nobody, and checked once."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from consumer.errors import StorageUnavailable
from sluice.storage_probe import StorageProbe

LONG = 30.0


class HangingStorage:
    """Answers once ``may_answer`` is set; counts how often it was checked."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        assert self.may_answer.wait(LONG)


@pytest.fixture
def storage() -> Iterator[HangingStorage]:
    storage = HangingStorage()
    yield storage
    storage.may_answer.set()


def checks() -> list[threading.Thread]:
    """Those that hang: others end by themselves within the moment."""
    found = [thread for thread in threading.enumerate() if thread.name == "storage-check"]
    for thread in found:
        thread.join(0.1)
    return [thread for thread in found if thread.is_alive()]


async def test_a_storage_that_works_is_no_problem() -> None:
    checks: list[None] = []
    probe = StorageProbe(lambda: checks.append(None), LONG)
    assert [await probe.problem() for _ in range(3)] == [None] * 3
    assert len(checks) == 3


async def test_what_a_storage_says_is_passed_on_until_it_works_again() -> None:
    answers: list[Exception | None] = [StorageUnavailable("it is full"), None]

    def check() -> None:
        if error := answers.pop(0):
            raise error

    probe = StorageProbe(check, LONG)
    assert await probe.problem() == "it is full"
    assert await probe.problem() is None


async def test_how_long_it_fails_counts_from_the_first_check_that_failed() -> None:
    answers: list[str | None] = ["it is full", "it is gone", "it is full", None, "it is full"]
    seconds = iter(range(0, 1_000, 10))

    def check() -> None:
        if error := answers.pop(0):
            raise StorageUnavailable(error)

    probe = StorageProbe(check, LONG, lambda: float(next(seconds)))
    assert [await probe.problem() for _ in range(5)] == [
        "it is full, for 10 s now",
        "it is gone, for 30 s now",
        "it is full, for 50 s now",
        None,
        "it is full, for 10 s now",
    ]


async def test_a_fault_of_the_check_is_no_answer() -> None:
    def check() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await StorageProbe(check, LONG).problem()


async def test_a_storage_that_hangs_is_checked_once_and_keeps_no_process(
    storage: HangingStorage,
) -> None:
    probe = StorageProbe(storage.check, 0.01)
    for _ in range(3):
        assert await probe.problem() == "the storage does not answer"
    assert storage.checks == 1
    assert [thread.daemon for thread in checks()] == [True]
    storage.may_answer.set()
    async with asyncio.timeout(LONG):
        while await probe.problem():
            pass


async def test_who_asks_meanwhile_shares_the_answer(storage: HangingStorage) -> None:
    probe = StorageProbe(storage.check, LONG)
    asking = [asyncio.create_task(probe.problem()) for _ in range(3)]
    await asyncio.sleep(0)  # each of them begins
    asking.pop().cancel()
    storage.may_answer.set()
    assert await asyncio.gather(*asking) == [None, None]
    assert storage.checks == 1
    assert await probe.problem() is None
    assert storage.checks == 2
