"""Slots on a real event loop: who gets one, and that none is ever lost."""

import asyncio

import pytest

from consumer.core.fair_queue import Claim
from consumer.lanes.slots import Slots

ALICE, BOB = Claim("alice", 5), Claim("bob", 5)


class Lanes:
    """Lanes whose turns a test ends; ``begun`` names those whose turns began, in order."""

    def __init__(self, capacity: int) -> None:
        self.slots = Slots(capacity)
        self.begun: list[str] = []
        self.most_running = 0
        self._ends: dict[str, asyncio.Event] = {}

    def start(self, name: str, claim: Claim, turns: int = 1) -> asyncio.Task[None]:
        self._ends[name] = asyncio.Event()
        return asyncio.create_task(self._run(name, claim, turns))

    async def end(self, name: str) -> None:
        """Let the turn under way end, and all that follows from it happen."""
        self._ends[name].set()
        await settled()

    async def _run(self, name: str, claim: Claim, turns: int) -> None:
        for _ in range(turns):
            async with self.slots.turn(claim):
                self.begun.append(name)
                self.most_running = max(self.most_running, self.slots.running)
                await self._ends[name].wait()
                self._ends[name].clear()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def all_free(slots: Slots) -> bool:
    """Whether every slot can be had, and no more."""
    lanes = Lanes(slots.capacity)
    lanes.slots = slots
    tasks = [lanes.start(str(number), BOB) for number in range(slots.capacity + 1)]
    await settled()
    had = len(lanes.begun), slots.running
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settled()
    return had == (slots.capacity, slots.capacity) and slots.running == 0


async def test_as_many_run_as_there_are_slots() -> None:
    lanes = Lanes(2)
    tasks = [lanes.start(name, ALICE) for name in "abc"]
    await settled()
    assert lanes.begun == ["a", "b"]
    await lanes.end("a")
    assert lanes.begun == ["a", "b", "c"]
    await lanes.end("b")
    await lanes.end("c")
    await asyncio.gather(*tasks)
    assert lanes.most_running == 2
    assert lanes.slots.running == 0


async def test_a_lane_whose_turn_ended_stands_beside_those_that_wait() -> None:
    lanes = Lanes(1)
    urgent = lanes.start("urgent", Claim("alice", 9), turns=3)
    later = lanes.start("later", Claim("alice", 0))
    await settled()
    for _ in range(3):
        await lanes.end("urgent")
    assert lanes.begun == ["urgent", "urgent", "urgent", "later"]
    await lanes.end("later")
    await asyncio.gather(urgent, later)


async def test_who_comes_while_another_works_is_next() -> None:
    lanes = Lanes(1)
    tasks = [lanes.start(name, ALICE, turns=2) for name in "abc"]
    await settled()
    tasks.append(lanes.start("x", BOB))
    await settled()
    await lanes.end("a")
    assert lanes.begun == ["a", "x"]
    await cancelled(*tasks)


async def test_it_tells_how_many_turns_were_waited_for() -> None:
    slots = Slots(1)
    waited: list[int] = []

    async def lane() -> None:
        async with slots.turn(ALICE) as turns:
            waited.append(turns)

    await asyncio.gather(lane(), lane(), lane())
    assert waited == [0, 1, 2]


async def test_an_error_in_a_turn_gives_its_slot_back() -> None:
    slots = Slots(1)
    with pytest.raises(ZeroDivisionError):
        async with slots.turn(ALICE):
            _ = 1 / 0
    assert await all_free(slots)


async def test_cancelled_while_waiting_none_is_held() -> None:
    lanes = Lanes(1)
    first, second, third = (lanes.start(name, ALICE) for name in "abc")
    await settled()
    await cancelled(second)
    await lanes.end("a")
    assert lanes.begun == ["a", "c"]
    await lanes.end("c")
    await asyncio.gather(first, third)
    assert await all_free(lanes.slots)


async def test_cancelled_in_a_turn_its_slot_is_free() -> None:
    lanes = Lanes(1)
    task = lanes.start("a", ALICE)
    await settled()
    await cancelled(task)
    assert await all_free(lanes.slots)


# Between a lane's claim and its turn lie steps of the event loop; a cancellation at each of them:
# before it waits, as it waits, as the slot is granted, as it wakes, in the turn.
@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("others", [0, 1, 3])
async def test_cancelled_at_any_step_no_slot_is_lost(steps: int, others: int) -> None:
    lanes = Lanes(1)
    holder = lanes.start("holder", ALICE)
    await settled()
    waiting = [lanes.start("x", BOB)]
    waiting += [lanes.start(str(number), ALICE) for number in range(others)]
    await settled()
    lanes._ends["holder"].set()  # the steps that follow are the test's to count
    for _ in range(steps):
        await asyncio.sleep(0)
    await cancelled(waiting[0])
    await settled()
    assert holder.done()
    assert lanes.slots.running == min(1, others)
    await cancelled(*waiting)
    assert await all_free(lanes.slots)


async def test_granted_and_cancelled_in_one_step_of_the_loop() -> None:
    slots, loop = Slots(1), asyncio.get_running_loop()
    task = asyncio.create_task(hold(slots))
    await asyncio.sleep(0)  # it waits now, and the granting comes next
    loop.call_soon(task.cancel)
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await all_free(slots)


async def test_a_storm_of_cancellations_loses_no_slot() -> None:
    slots = Slots(3)
    running = most = 0

    async def lane(number: int) -> None:
        nonlocal running, most
        async with slots.turn(Claim(f"user {number % 4}", number % 10)):
            running += 1
            most = max(most, running)
            try:
                await steps(number % 5)
            finally:
                running -= 1

    for first in range(200):
        tasks = [asyncio.create_task(lane(first + number)) for number in range(12)]
        for number, task in enumerate(tasks):
            await steps((first * 7 + number) % 3)
            if (first + number) % 2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert await all_free(slots)


async def hold(slots: Slots) -> None:
    async with slots.turn(ALICE):
        await asyncio.Event().wait()


async def steps(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
