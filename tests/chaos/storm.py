"""A storm: three nodes on one disk or bucket, one broker, a load, faults by a seed; then the judge.

faults and load      for as long as it shall last
settle               faults stop; every export has to end within a bounded time
judge                the nodes stop in order, one more sweeps, the oracle looks at what is there
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import httpx

from broker.store import EmbeddedStore
from clients.topics import create_topics
from schemas.topics import Topics
from tests.chaos.broker import StormBroker
from tests.chaos.commits import CommitWatch
from tests.chaos.disk import Disk, small_disk
from tests.chaos.faults import Faults
from tests.chaos.fleet import Fleet, environments_for
from tests.chaos.kept import Directory, Kept, Objects
from tests.chaos.load import PARTITIONS, Load
from tests.chaos.node import POINTS, POINTS_ON_OBJECTS, Side, Step
from tests.chaos.oracle import Fault, Scene, Violation, check_metrics, judge
from tests.chaos.plans import KEPT_SECONDS
from tests.chaos.report import Report, count_steps, recoveries, spread
from tests.chaos.schedule import (
    DEATHS,
    DEATHS_ON_OBJECTS,
    DISTURBANCES,
    DISTURBANCES_ON_OBJECTS,
    Pace,
    Strike,
    deaths,
    disturbances,
)
from tests.chaos.store_proxy import StoreProxy
from tests.support.clients import http_client
from tests.support.nodes import SLUICE, NodeProcess, settings_for
from tests.support.object_stores import bucket_of

PACE = Pace(deaths_seconds=1.2, disturbances_seconds=6, session_seconds=3)
_SETTLE_SECONDS = 120.0
_AGAIN_SECONDS = 10.0
_WARM_SECONDS = 60.0
_SAY_SECONDS = 10.0
_PROBE_SECONDS = 0.5
_EXPIRE_SECONDS = 10.0
_PREFIX = "group/files"


@dataclass(frozen=True, slots=True)
class Plot:
    """What storm it is to be: so many ``seconds`` at most of faults that come at ``pace``.

    ``unfinished``: exports on their way at a time. ``until_all_struck``: each kind once is enough.
    ``on_objects``: the storage is a bucket, and each node has a scratch directory of its own.
    """

    seconds: float
    seed: int
    nodes: int = 3
    unfinished: int = 60
    disk_mib: int = 512
    until_all_struck: bool = False
    on_objects: bool = False
    pace: Pace = PACE

    def tracks(self) -> list[Iterator[Strike]]:
        """The schedule."""
        fatal = DEATHS_ON_OBJECTS if self.on_objects else DEATHS
        around = DISTURBANCES_ON_OBJECTS if self.on_objects else DISTURBANCES
        return [
            deaths(self.seed, self.nodes, self.pace, self.points, fatal),
            disturbances(self.seed, self.nodes, self.pace, around),
        ]

    @property
    def points(self) -> Sequence[tuple[Side, Step]]:
        """The named steps at which nodes die."""
        return POINTS_ON_OBJECTS if self.on_objects else POINTS


class Storm:
    """One storm in a directory; ``run`` it once, in the main thread."""

    def __init__(
        self,
        plot: Plot,
        directory: Path,
        broker: StormBroker,
        disk: Disk,
        store: EmbeddedStore | None,
        store_proxy: StoreProxy | None,
    ) -> None:
        self._plot = plot
        self._directory = directory
        self._broker = broker
        self._topics = Topics.named("storm")
        self._settings = settings_for(
            broker.servers,
            self._topics,
            disk.storage,
            SESSION_TIMEOUT_SECONDS=plot.pace.session_seconds,
            DRAIN_TIMEOUT_SECONDS=1,
        )
        self._kept: Kept = Directory(disk.storage)
        if store and store_proxy:
            bucket = bucket_of(store)
            proxied = replace(bucket, options={**bucket.options, "endpoint": store_proxy.endpoint})
            self._settings |= proxied.environment(_PREFIX)
            self._kept = Objects(bucket, _PREFIX)
        environments = environments_for(
            self._settings, broker.servers, broker.proxied_servers, disk.scratch, plot.nodes
        )
        self._settings = environments[-1]  # of the last node, too
        self._fleet = Fleet(directory, environments)
        self._faults = Faults(self._fleet, broker, disk, store, store_proxy)
        self._load = Load(broker.servers, self._topics, plot.seed, plot.unfinished)
        self._commits = CommitWatch(
            broker.servers,
            self._topics,
            self._settings["SLUICE_GROUP_ID"],
            PARTITIONS,
            directory / "kafka",
        )
        self._settle_seconds = 0.0

    async def run(self) -> Report:
        """All of it. Whatever is wrong is in the report."""
        await create_topics(
            self._topics,
            partitions=PARTITIONS,
            replication_factor=1,
            bootstrap_servers=self._broker.servers,
        )
        violations = await self._rage()
        violations += self._fleet.books.violations
        violations += await self._judge()
        return self._report(violations)

    async def _rage(self) -> list[Violation]:
        """Nodes, load and faults, until all exports have ended or can't."""
        async with (
            _background(
                self._load.follow(),
                self._fleet.run(),
                self._commits.run(),
                self._say(),
                self._probe(),
                self._expire(),
            ),
            _background(self._load.run()) as (loading,),
        ):
            await self._until_members(_WARM_SECONDS)
            async with _background(*map(self._faults.run, self._plot.tracks())) as tracks:
                await self._until_enough(tracks)
            violations = await self._settle(loading)
            with contextlib.suppress(TimeoutError):  # one may have died at its step just now
                await self._until_members(_AGAIN_SECONDS)
            living = [p for p in self._fleet.now.values() if p.process.returncode is None]
            urls = [p.journal.url for p in living if p.journal.url]
            violations += await check_metrics(urls)
        await self._fleet.stop_all()
        went_back = self._commits.went_back
        return violations + [Violation(Fault.FORGOTTEN, what) for what in went_back]

    async def _until_enough(self, tracks: "Sequence[asyncio.Task[None]]") -> None:
        """Until the time is over, or each kind has struck where that is enough."""
        deadline = time.monotonic() + self._plot.seconds
        while time.monotonic() < deadline and not any(track.done() for track in tracks):
            if self._plot.until_all_struck and self._faults.all_struck():
                break
            await asyncio.sleep(0.1)

    async def _probe(self) -> None:
        """Ask each node whether it is ready, as an orchestrator does."""
        async with http_client(timeout=5) as client:
            while True:
                for process in list(self._fleet.now.values()):
                    if process.is_member and process.journal.url:
                        with contextlib.suppress(httpx.HTTPError):
                            await client.get(f"{process.journal.url}/ready")
                await asyncio.sleep(_PROBE_SECONDS)

    async def _expire(self) -> None:
        """Remove what has expired while faults strike, sooner than nodes do."""
        while True:
            await asyncio.sleep(_EXPIRE_SECONDS)
            await self._remove_expired()

    async def _remove_expired(self) -> int:
        removing = await asyncio.create_subprocess_exec(
            *(SLUICE, "expire"),
            env=self._settings,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            return await removing.wait()
        finally:
            if removing.returncode is None:
                removing.kill()

    async def _settle(self, loading: "asyncio.Task[None]") -> list[Violation]:
        begun = time.monotonic()
        self._load.enough()
        done, _ = await asyncio.wait([loading], timeout=_SETTLE_SECONDS)
        self._settle_seconds = time.monotonic() - begun
        if done:
            loading.result()
            return []
        late = self._load.unfinished()
        return [Violation(Fault.LOST, f"{name} has not ended in time") for name in late]

    async def _judge(self) -> list[Violation]:
        """One more node takes everything over, and so sweeps; then the oracle looks.

        Expired files are removed before, so that it would make one again that it shouldn't.
        """
        await asyncio.sleep(KEPT_SECONDS)
        if code := await self._remove_expired():
            return [Violation(Fault.NOT_GONE, f"`sluice expire` ended with {code}")]
        async with NodeProcess(self._settings, self._directory / "last.log") as last:
            await self._swept(last)
            scene = Scene(
                self._broker.servers,
                self._topics,
                self._settings["SLUICE_GROUP_ID"],
                self._kept,
                [last.url],
            )
            found = await judge(scene, self._load.plans)
            code = last.terminate()
        if code:
            found.append(Violation(Fault.NODE, f"the last node ended with {code}"))
        doubled = (f"{name} was seen {times + 1} times" for name, times in self._doubled())
        return found + [Violation(Fault.DOUBLED, what) for what in doubled]

    async def _swept(self, last: NodeProcess) -> None:
        async with asyncio.timeout(_WARM_SECONDS):
            while True:
                lines = last.lines()
                taken = {it["partition"] for it in lines if it["event"] == "partition taken over"}
                if len(taken) == PARTITIONS:
                    return
                await asyncio.sleep(0.2)

    async def _until_members(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while sum(p.is_member for p in self._fleet.now.values()) < self._plot.nodes:
                await asyncio.sleep(0.1)

    async def _say(self) -> None:
        begun = time.monotonic()
        while True:
            await asyncio.sleep(_SAY_SECONDS)
            struck = sum(self._faults.struck().values())
            ended = self._load.outcomes.total()
            print(
                f"{time.monotonic() - begun:5.0f} s: {struck} faults struck,"
                f" {ended} of {len(self._load.plans)} exports ended,"
                f" {len(self._fleet.books.violations)} nodes ended wrongly",
                flush=True,
            )

    def _doubled(self) -> Sequence[tuple[str, int]]:
        return list(self._load.doubled.items())

    def _report(self, violations: Sequence[Violation]) -> Report:
        tally, books, load = self._faults.tally, self._fleet.books, self._load
        taken: dict[int, list[float]] = {}
        for journal in self._fleet.journals:
            for number, times in journal.taken.items():
                taken.setdefault(number, []).extend(times)
        strikes = tally.times + books.step_kill_times
        return Report(
            seed=self._plot.seed,
            nodes=self._plot.nodes,
            seconds=self._plot.seconds,
            struck=_by_name(self._faults.struck()),
            missed=_by_name(tally.missed),
            skipped=_by_name(tally.skipped),
            step_kills=count_steps(books.step_kills, self._plot.points),
            kills_of_holders=sum(bool(kill.held) for kill in tally.kills),
            processes=books.started,
            refused_starts=len(books.refused_starts),
            exports=len(load.plans),
            outcomes=dict(load.outcomes),
            sends_repeated=load.sends_repeated,
            settle_seconds=self._settle_seconds,
            recovery_seconds=spread(recoveries(tally.kills, taken, strikes)),
            broker_restart_seconds=spread(tally.broker_seconds),
            stop_seconds=spread(books.stop_seconds),
            violations=_by_name(Counter(violation.fault for violation in violations)),
            details=[str(violation)[:1000] for violation in chain(violations)],
            unexpected=books.unexpected,
        )


async def storm(plot: Plot, directory: Path) -> Report:
    """Run one in a directory of its own; logs of nodes and broker stay there."""
    broker = StormBroker(directory / "kafka")
    store = EmbeddedStore(directory / "store") if plot.on_objects else None
    with small_disk(directory / "disk", plot.disk_mib) as disk, store or contextlib.nullcontext():
        await broker.start()
        try:
            async with broker.proxy, _before(store) as store_proxy:
                run = Storm(plot, directory, broker, disk, store, store_proxy)
                try:
                    return await run.run()
                finally:
                    run._fleet.kill_all()
        finally:
            broker.stop()


@asynccontextmanager
async def _before(store: EmbeddedStore | None) -> AsyncIterator[StoreProxy | None]:
    """What the nodes reach the store by, where there is one."""
    async with contextlib.AsyncExitStack() as stack:
        yield await stack.enter_async_context(StoreProxy(lambda: store.port)) if store else None


@asynccontextmanager
async def _background(*calls: object) -> "AsyncIterator[list[asyncio.Task[None]]]":
    """Run coroutines for the block; a failure of one comes out at its end."""
    tasks = [asyncio.ensure_future(call) for call in calls]  # type: ignore[call-overload]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    _raise_failure(tasks)


def _raise_failure(tasks: "Sequence[asyncio.Task[None]]") -> None:
    for task in tasks:
        if task.done():
            with contextlib.suppress(asyncio.CancelledError):
                task.result()


def _by_name(counter: "Mapping[Any, int]") -> dict[str, int]:
    return {str(name): count for name, count in counter.items()}
