"""Where bodies wait: room is shared in the order of arrival, and who is slow gets an answer."""

import asyncio

import pytest

from sluice.http.problems import Refusal
from sluice.http.spool import IN_MEMORY_BYTES, Hold, Room, Spool, SpoolPace

MIB = 1024 * 1024


async def hold(room: Room, size: int, seen: list[int], leave: asyncio.Event) -> None:
    async with room.held(size, 5):
        seen.append(size)
        await leave.wait()


async def settled() -> None:
    """Until all that can run now has run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_room_is_given_in_the_order_of_arrival() -> None:
    room, seen = Room(100), list[int]()
    leave = [asyncio.Event() for _ in range(4)]
    holding = [
        asyncio.create_task(hold(room, size, seen, event))
        for size, event in zip((60, 70, 10, 500), leave, strict=True)
    ]
    await settled()
    assert seen == [60], "10 would fit, but 70 came before"
    leave[0].set()
    await settled()
    assert seen == [60, 70, 10]
    leave[1].set()
    leave[2].set()
    await settled()
    assert seen[-1] == 500, "what is larger than all may have all"
    leave[3].set()
    await asyncio.gather(*holding)
    with Hold(room) as again:
        again.set(100)


async def test_who_waits_too_long_or_leaves_is_in_nobodys_way() -> None:
    room = Room(100)
    async with room.held(80, 1):
        with pytest.raises(Refusal) as refused:
            async with room.held(50, 0.01):
                pass
        assert refused.value.status == 503
        waiting = asyncio.create_task(hold(room, 90, [], asyncio.Event()))
        await asyncio.sleep(0)
        seen, leave = list[int](), asyncio.Event()
        behind = asyncio.create_task(hold(room, 20, seen, leave))
        await asyncio.sleep(0)
        waiting.cancel()
        await settled()
        assert seen == [20]
        leave.set()
        await behind
    with Hold(room) as everything:
        everything.set(100)


async def test_cancelled_as_its_turn_comes_it_gives_back() -> None:
    room = Room(100)
    async with room.held(100, 1):
        waiting = asyncio.create_task(hold(room, 100, [], asyncio.Event()))
        await settled()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    with Hold(room) as everything:
        everything.set(100)


def test_a_body_has_to_keep_its_pace() -> None:
    now = 0.0
    pace = SpoolPace(lambda: now)
    pace.check(0)
    now = 29.0
    pace.check(1)
    now = 31.0
    pace.check(MIB)
    now = 60.0
    pace.check(MIB)
    now = 62.0
    with pytest.raises(Refusal) as refused:
        pace.check(MIB + 1000)
    assert refused.value.status == 408


@pytest.mark.parametrize("size", [0, 10, IN_MEMORY_BYTES, IN_MEMORY_BYTES + 1, 3 * MIB + 7])
async def test_a_body_comes_back_as_it_came(size: int) -> None:
    room = Room(4 * MIB)
    sent = bytes(range(256)) * (size // 256 + 1)
    with Spool(room) as spool:
        for start in range(0, size, 50_000):
            await spool.append(sent[start : min(start + 50_000, size)])
        assert (spool.size, spool.on_disk) == (size, size > IN_MEMORY_BYTES)
        await spool.complete()
        assert spool.text() == sent[:size]
        if spool.on_disk:
            assert spool.read(size - 60_001, size - 1) == sent[size - 60_001 : size - 1]
        with Hold(room) as rest, pytest.raises(Refusal):
            rest.set(4 * MIB - size + 1 if spool.on_disk else 4 * MIB + 1)
    with Hold(room) as everything:
        everything.set(4 * MIB)


async def test_a_small_body_takes_no_room() -> None:
    room = Room(10)
    with Spool(room) as spool:
        await spool.append(b"x" * IN_MEMORY_BYTES)
        await spool.complete()
        assert len(spool.text()) == IN_MEMORY_BYTES
        with pytest.raises(Refusal):
            await spool.append(b"x")


async def test_a_disk_that_refuses_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sluice.http.spool.tempfile.TemporaryFile", full)
    room = Room(MIB)
    with Spool(room) as spool, pytest.raises(Refusal) as refused:
        await spool.append(b"x" * 100_000)
    assert refused.value.status == 503
    with Hold(room) as everything:
        everything.set(MIB)


async def test_a_disk_that_gives_too_little_back_is_a_503() -> None:
    with Spool(Room(MIB)) as spool:
        await spool.append(b"x" * 100_000)
        await spool.complete()
        with pytest.raises(Refusal) as refused:
            spool.read(50_000, 100_001)
        assert refused.value.status == 503
