"""How far back a topic is read for its last messages."""

import heapq

import pytest

from consumer.core.tail import Tail


def read_tail(logs: dict[int, list[int | None]], most: int) -> tuple[list[int], int]:
    """The last messages that a reading keeps, and how many offsets it reads.

    A log has a timestamp for each offset, None where there is no message.
    """
    kept: list[int] = []
    offsets = 0
    tail = Tail(dict.fromkeys(logs, 0), {one: len(log) for one, log in logs.items()}, most)
    while spans := tail.further(kept[0] if len(kept) == most else None):
        for one, span in spans.items():
            offsets += len(span)
            for millis in (logs[one][offset] for offset in span):
                if millis is not None:
                    tail.saw(one, millis)
                    heapq.heappush(kept, millis)
                    if len(kept) > most:
                        heapq.heappop(kept)
    return sorted(kept), offsets


@pytest.mark.parametrize(
    "logs",
    [
        {0: [*range(1000)], 1: [*range(1000, 2000)]},
        {0: [*range(5)], 1: [*range(5, 3000)], 2: []},
        {0: [None, *range(50), None], 1: [None] * 40},
        {0: [1, *[None] * 5000], 1: [2, *[None] * 5000]},
        {0: []},
    ],
    ids=["even", "all in one", "few", "markers", "empty"],
)
def test_it_finds_the_last_ones_wherever_they_lie(logs: dict[int, list[int | None]]) -> None:
    every = sorted(one for log in logs.values() for one in log if one is not None)
    assert read_tail(logs, 100)[0] == every[-100:]


def test_it_does_not_read_a_long_topic_to_its_start() -> None:
    logs: dict[int, list[int | None]] = {
        one: [4 * number + one for number in range(100_000)] for one in range(4)
    }
    kept, offsets = read_tail(logs, 1000)
    assert len(kept) == 1000
    assert offsets <= 8_000
