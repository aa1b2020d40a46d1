"""Faults as they strike: each is counted only when it was seen to have happened.

Invariant: whatever a fault changes around the nodes it sets right again, cancelled too.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from broker.store import EmbeddedStore
from tests.chaos.broker import StormBroker
from tests.chaos.disk import Disk
from tests.chaos.fleet import Fleet, Process
from tests.chaos.schedule import STORE_DISTURBANCES, Kind, Strike
from tests.chaos.store_proxy import StoreProxy, Weather

_T = TypeVar("_T")

_TARGET_SECONDS = 8.0
_SEEN_SECONDS = 15.0
_TROUBLE_LASTS_SECONDS = 20.0
_STEP_SECONDS = 40.0  # on a busy machine a node takes half of it to start
_WEATHER = {
    Kind.STORE_REFUSES: Weather.REFUSES,
    Kind.STORE_SLOW: Weather.SLOW,
    Kind.STORE_LOSES: Weather.LOSES,
}


@dataclass(frozen=True, slots=True)
class Kill:
    """One node that was killed, when (seconds since the epoch), and what it held then."""

    at: float
    held: frozenset[int]


@dataclass(slots=True)
class Tally:
    """What struck. ``missed``: it was tried, and not seen to happen."""

    struck: Counter[Kind] = field(default_factory=Counter)
    missed: Counter[Kind] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    broker_seconds: list[float] = field(default_factory=list)
    skipped: Counter[Kind] = field(default_factory=Counter)


class Faults:
    """Strikes a fleet and what is around it."""

    def __init__(
        self,
        fleet: Fleet,
        broker: StormBroker,
        disk: Disk,
        store: EmbeddedStore | None = None,
        store_proxy: StoreProxy | None = None,
    ) -> None:
        self._fleet = fleet
        self._broker = broker
        self._disk = disk
        self._store = store
        self._store_proxy = store_proxy
        self._troubles = 0
        self._trouble_until = 0.0
        self.tally = Tally()
        fleet.starts_may_fail = self.in_trouble

    def in_trouble(self) -> bool:
        """Whether a start may be refused: broker or disk are away, or just were."""
        return self._troubles > 0 or time.monotonic() < self._trouble_until

    def struck(self) -> dict[Kind, int]:
        """How many faults of each kind were seen to strike."""
        return {**self.tally.struck, Kind.STEP_KILL: len(self._fleet.books.step_kills)}

    def all_struck(self) -> bool:
        """Whether each kind was seen that can be."""
        due = set(Kind) - ({Kind.DISK} if not self._disk.limited else set())
        due -= {*STORE_DISTURBANCES} if self._store is None else set()
        struck = self.struck()
        return all(struck.get(kind) for kind in due)

    async def run(self, strikes: Iterator[Strike]) -> None:
        """One after the other, until cancelled."""
        for strike in strikes:
            await asyncio.sleep(strike.pause_seconds)
            await self._strike(strike)

    async def _strike(self, strike: Strike) -> None:
        self.tally.times.append(time.time())
        match strike.kind:
            case Kind.KILL | Kind.STEP_KILL:
                await self._kill(strike)
            case Kind.TERMINATE:
                await self._terminate(strike)
            case Kind.ZOMBIE:
                await self._zombie(strike)
            case Kind.BROKER:
                await self._in_trouble(self._kill_broker(strike))
            case Kind.DISK:
                await self._in_trouble(self._fill_disk(strike))
            case Kind.STORE:
                await self._in_trouble(self._kill_store(strike))
            case Kind.STORE_REFUSES | Kind.STORE_SLOW | Kind.STORE_LOSES:
                await self._in_trouble(self._spoil_answers(strike))
            case Kind.NETWORK:
                await self._in_trouble(self._cut(strike))
        self.tally.times.append(time.time())

    async def _kill(self, strike: Strike) -> None:
        """Kill members; the next process of a slot with a point dies there by itself."""
        targets = await self._members(strike.slots)
        if strike.point:
            for process in targets:
                self._fleet.doom(process.slot, strike.point)
        at = time.time()
        kills = asyncio.gather(*(self._fleet.kill(process) for process in targets))
        died = await _to_its_end(kills)  # else its end seems to be one of its own
        for process, dead in zip(targets, died, strict=True):
            self._count(Kind.KILL, seen=dead)
            if dead:
                self.tally.kills.append(Kill(at, process.journal.partitions))
        if strike.point:
            # The next kill waits: on a busy machine it came before the step every time.
            before = len(self._fleet.books.step_kills)
            await _seen(lambda: len(self._fleet.books.step_kills) > before, _STEP_SECONDS)

    async def _terminate(self, strike: Strike) -> None:
        targets = await self._members(strike.slots)
        stops = asyncio.gather(*(self._fleet.terminate(process) for process in targets))
        for seen in await _to_its_end(stops):
            self._count(Kind.TERMINATE, seen=seen)

    async def _zombie(self, strike: Strike) -> None:
        for process in await self._members(strike.slots):
            process.send(signal.SIGSTOP)
            try:
                seen = await self._lost_its_partitions(process, strike.seconds)
            finally:
                process.send(signal.SIGCONT)
            self._count(strike.kind, seen=seen)

    async def _cut(self, strike: Strike) -> None:
        proxy = self._broker.proxy
        for process in await self._members(strike.slots):
            (proxy.cut if strike.silent else proxy.reset)()
            try:
                seen = await self._lost_its_partitions(process, strike.seconds)
            finally:
                proxy.restore()
            self._count(strike.kind, seen=seen)

    async def _lost_its_partitions(self, process: Process, seconds: float) -> bool:
        """Whether other nodes take over all it held while it lives on, cut off."""
        at, held = time.time(), process.journal.partitions
        process.afflicted = True
        try:
            await asyncio.sleep(seconds)
            moved = await _seen(lambda: held <= self._fleet.taken_over_since(at, process))
        finally:
            process.afflicted = False
        return bool(held) and moved and process.process.poll() is None

    async def _kill_broker(self, strike: Strike) -> None:
        self._broker.kill()
        seen = self._broker.refuses()
        try:
            await asyncio.sleep(strike.seconds)
        finally:
            begun = time.monotonic()
            await _to_its_end(self._broker.start())
            self.tally.broker_seconds.append(time.monotonic() - begun)
        self._count(strike.kind, seen=seen)

    async def _kill_store(self, strike: Strike) -> None:
        assert self._store
        before = self._refusals()
        self._store.kill()
        try:
            await asyncio.sleep(strike.seconds)
            seen = await _seen(lambda: self._refusals() > before)
        finally:
            self._store.spawn()  # not on another thread: it ends with the one that spawned it
            await _to_its_end(asyncio.to_thread(self._store.wait_ready))
        self._count(strike.kind, seen=seen)

    async def _spoil_answers(self, strike: Strike) -> None:
        assert self._store_proxy
        proxy, before = self._store_proxy, self._store_proxy.struck
        proxy.weather = _WEATHER[strike.kind]
        try:
            await asyncio.sleep(strike.seconds)
            seen = await _seen(lambda: proxy.struck > before)
        finally:
            proxy.weather = Weather.PASSES
        self._count(strike.kind, seen=seen)

    async def _fill_disk(self, strike: Strike) -> None:
        if not self._disk.limited:
            self.tally.skipped[strike.kind] += 1
            return
        before = self._refusals()
        try:
            await asyncio.to_thread(self._disk.fill)
            full = self._disk.is_full()
            await asyncio.sleep(strike.seconds)
            refused = await _seen(lambda: self._refusals() > before)
        finally:
            self._disk.free()
        self._count(strike.kind, seen=full and refused)

    async def _in_trouble(self, strike: "asyncio.Future[None] | object") -> None:
        self._troubles += 1
        try:
            await strike  # type: ignore[misc]
        finally:
            self._troubles -= 1
            self._trouble_until = time.monotonic() + _TROUBLE_LASTS_SECONDS

    async def _members(self, slots: tuple[int, ...]) -> list[Process]:
        """The members in these slots, once there is one in each that isn't afflicted."""
        deadline = time.monotonic() + _TARGET_SECONDS
        while True:
            running = [self._fleet.now.get(slot) for slot in slots]
            free = [process for process in running if process is None or not process.afflicted]
            members = [process for process in free if process and process.is_member]
            if (members and len(members) == len(free)) or time.monotonic() > deadline:
                return members
            await asyncio.sleep(0.05)

    def _refusals(self) -> int:
        return sum(journal.storage_refused for journal in self._fleet.journals)

    def _count(self, kind: Kind, *, seen: bool) -> None:
        (self.tally.struck if seen else self.tally.missed)[kind] += 1


async def _to_its_end(call: Awaitable[_T]) -> _T:
    """Wait for a call that a storm needs done: cancelled, only once it has returned."""
    running = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await running
        raise


async def _seen(what: Callable[[], bool], seconds: float = _SEEN_SECONDS) -> bool:
    """Whether it is seen within this time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
