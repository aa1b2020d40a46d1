"""``python -m tests.chaos.commit_hunt --kills 1000``: does a killed Kafka forget commits? 1 if so.

Twelve lanes commit offsets in transactions, by the product's own producer. The broker is killed at
moments that a log is likely not to like, and has to say afterwards what it has acknowledged. Where
it doesn't, all it has on disk is kept.

1. spawn          a life begins, with settings of its own
2. first answer   as early as there is one: nothing older than what is settled (``Ledger``)
3. lanes start    each fences its predecessor, so what is in doubt ends
4. stable answer  exactly what was acknowledged, or what was in doubt
5. commits        until the kill
"""

import argparse
import asyncio
import contextlib
import gc
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from aiokafka.errors import KafkaError

from broker.errors import ServerError
from clients.topics import create_topics
from consumer.core.resume import ResumePoint
from consumer.exports.messages import Outcome
from consumer.lanes.transactions import Destination, PartitionProducer
from sluice.logs import quiet_libraries
from tests.chaos.coordinator import GROUP, LANES, TOPICS, client_of
from tests.chaos.hunted import (
    Hunted,
    HuntedKafka,
    Prey,
    Shape,
    Version,
    java_version,
    until_file,
)
from tests.chaos.ledger import Answer, Ledger

_MOST_OPEN_REQUESTS = 300  # what a commit's metadata grows by
_ANSWER_SECONDS = 60.0
_LIVES_OF_A_LOG = {Shape.COMPACTED: 60, Shape.LONG: 120}
_COMMITS_FIRST = {Shape.COMPACTED: (0, 1), Shape.LONG: (2_000, 18_000)}
"""Before the first kill. A commit is three offsets, and a coordinator loads 16,384 at a time."""
_SAY_EVERY = 10
_MOST_KEPT = 3


class Moment(StrEnum):
    """When a life is ended."""

    STARTING = "while it starts"
    LOADED = "at its first answer"
    COMMITTING = "under commits"
    ROLLED = "as a segment was begun"
    CLEANING = "while compacted segments are swapped in"
    STOPPING = "some milliseconds after SIGTERM"
    STOPPED = "SIGTERM, and no kill"


_MOMENTS = {
    Moment.STARTING: 25,
    Moment.LOADED: 10,
    Moment.COMMITTING: 25,
    Moment.ROLLED: 10,
    Moment.CLEANING: 20,
    Moment.STOPPING: 7,
    Moment.STOPPED: 3,
}


@dataclass(slots=True)
class Findings:
    """What a hunt did and found."""

    prey: str
    seed: int
    java: str
    kills: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    """How often files of a kind lay in the log of commits as the broker was killed."""
    commits: int = 0
    checks: int = 0
    most_bytes: int = 0
    """Of the log of commits, at a kill."""
    seconds: float = 0.0
    troubles: list[str] = field(default_factory=list)
    """Where a client gave up, which says nothing of commits."""
    wrong: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """All of it."""
        return json.dumps({it.name: getattr(self, it.name) for it in fields(self)}, indent=1)

    def killed(self) -> int:
        """Kills so far; a SIGTERM alone is none."""
        return sum(count for name, count in self.kills.items() if name != Moment.STOPPED)


class Hunt:
    """One version in one shape. ``run`` it once, in the main thread."""

    def __init__(self, prey: Prey, seed: int, keep: Path, pace_seconds: float) -> None:
        self._prey, self._keep = prey, keep
        self._pace_seconds = pace_seconds
        self._chance = random.Random(seed)
        self._directory = Path(tempfile.mkdtemp(prefix="sluice-hunt-"))
        self.findings = Findings(str(prey), seed, java_version())

    async def run(self, kills: int, seconds: float) -> None:
        """Log after log, until so many kills or seconds."""
        begun = time.monotonic()
        number = 0
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        # What clients that nobody awaits any more complain of says nothing of commits either.
        loop.set_exception_handler(lambda _, it: self.findings.troubles.append(it["message"]))
        try:
            while self.findings.killed() < kills and time.monotonic() - begun < seconds:
                number += 1
                directory = self._directory / str(number)
                broker = Hunted(self._prey, directory, self._chance)
                first = self._chance.randrange(*_COMMITS_FIRST[self._prey.shape])
                keep = self._keep / f"{self._prey}-{number}"
                log = _Log(broker, self._chance, self.findings, self._pace_seconds, first, keep)
                try:
                    for _ in range(_LIVES_OF_A_LOG[self._prey.shape]):
                        await log.live()
                        self._say(begun)
                        enough = self.findings.killed() >= kills
                        if enough or time.monotonic() - begun > seconds:
                            break
                finally:
                    broker.kill()
                shutil.rmtree(directory)
        finally:
            self.findings.seconds = time.monotonic() - begun
            gc.collect()
            loop.set_exception_handler(handler)
            shutil.rmtree(self._directory, ignore_errors=True)

    def _say(self, begun: float) -> None:
        found = self.findings
        if sum(found.kills.values()) % _SAY_EVERY == 0:
            print(
                f"{time.monotonic() - begun:6.0f} s, {self._prey}:"
                f" {found.killed()} kills, {found.commits} commits, {len(found.wrong)} wrong",
                flush=True,
            )


class _WrongError(Exception):
    """The coordinator's answer can't be."""


class _Log:
    """One data directory, life after life."""

    def __init__(
        self,
        broker: Hunted,
        chance: random.Random,
        findings: Findings,
        pace_seconds: float,
        commits_first: int,
        keep: Path,
    ) -> None:
        self._keep = keep
        self._broker = broker
        self._chance = chance
        self._findings = findings
        self._pace_seconds = pace_seconds
        self._commits_first = findings.commits + commits_first
        self._ledger = Ledger()
        self._created = False

    async def live(self) -> None:
        """One life, and its end."""
        settings = self._broker.spawn()
        ready = asyncio.create_task(self._broker.ready())
        moment = self._moment() if self._created else Moment.COMMITTING
        try:
            if moment is Moment.STARTING:
                await asyncio.sleep(self._chance.uniform(0.2, 2.5))
                await self._end(moment)
            else:
                await self._work(moment, ready)
        except _WrongError as wrong:
            self._strike(f"{settings}: {wrong}")
        except (TimeoutError, ServerError) as error:
            self._strike(f"{settings}: no answers, {type(error).__name__} {error}")
        except KafkaError as error:
            self._findings.troubles.append(f"{moment}: {type(error).__name__} {error}")
        finally:
            self._broker.kill()
            await asyncio.gather(ready, return_exceptions=True)

    def _strike(self, what: str) -> None:
        """Note it, and keep what the broker has on disk; the next life may tell the truth again."""
        self._findings.kills[Moment.LOADED] += 1
        self._broker.kill()
        self._findings.wrong.append(what[:2000])
        print(f"WRONG: {what}"[:400], flush=True)
        if len(self._findings.wrong) <= _MOST_KEPT:
            self._broker.keep(self._keep / f"{len(self._findings.wrong)}")

    def _moment(self) -> Moment:
        return self._chance.choices(list(_MOMENTS), list(_MOMENTS.values()))[0]

    async def _end(self, moment: Moment) -> None:
        self._findings.kills[moment] += 1
        if moment is Moment.STOPPED:
            await self._broker.stop()
        elif moment is Moment.STOPPING:
            await self._broker.stop(self._chance.uniform(0, 0.5))
        else:
            self._broker.kill()
        if self._broker.commits.exists():
            files = list(self._broker.commits.iterdir())
            self._findings.met.update({path.suffix for path in files})
            logs = sum(path.stat().st_size for path in files if path.suffix == ".log")
            self._findings.most_bytes = max(self._findings.most_bytes, logs)

    async def _work(self, moment: Moment, ready: "asyncio.Task[None]") -> None:
        """Check, commit, and end it in the middle of that."""
        if not self._created:
            await ready
            servers = self._broker.servers
            await create_topics(
                TOPICS, partitions=LANES, replication_factor=1, bootstrap_servers=servers
            )
            self._created = True
        async with client_of(self._broker.servers) as ask:
            self._check(await ask(), self._ledger.settled())
            if moment is Moment.LOADED:
                await self._end(moment)
            else:
                await self._commit_until(moment, ask)

    async def _commit_until(self, moment: Moment, ask: Callable[[], Awaitable[Answer]]) -> None:
        async with self._lanes() as committing:
            answer = await ask()
            self._check(answer, self._ledger.acknowledged)
            self._ledger.take(answer)
            committing.set()
            while self._findings.commits < self._commits_first:
                await asyncio.sleep(0.1)
            await self._until_moment(moment, ask)
            await self._end(moment)

    async def _until_moment(self, moment: Moment, ask: Callable[[], Awaitable[Answer]]) -> None:
        """Check all the time until then; the end of the broker ends a question under way."""
        ending = asyncio.create_task(self._met(moment))
        checking = asyncio.create_task(self._check_on(ask))
        try:
            done, _ = await asyncio.wait([ending, checking], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*done)
        finally:
            for task in (ending, checking):
                task.cancel()
            await asyncio.gather(ending, checking, return_exceptions=True)

    async def _check_on(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        while True:
            least = self._ledger.settled()
            self._check(await ask(), least)
            await asyncio.sleep(0.3)

    async def _met(self, moment: Moment) -> None:
        await asyncio.sleep(self._chance.uniform(0.05, 1.5))
        then = self._chance.choice([0, 0.001, 0.005])
        if moment is Moment.ROLLED:
            await until_file(self._broker.commits, ".log", then)
        elif moment is Moment.CLEANING:
            # The first two lie there for some milliseconds, so no task of ours may come in between.
            suffix = self._chance.choice([".cleaned", ".swap", ".deleted"])
            if await until_file(self._broker.commits, suffix, then) and suffix != ".deleted":
                self._broker.kill()

    def _check(self, answer: Answer, least: dict[int, int]) -> None:
        self._findings.checks += 1
        if wrong := list(self._ledger.wrong(answer, least)):
            raise _WrongError("; ".join(wrong))

    @contextlib.asynccontextmanager
    async def _lanes(self) -> AsyncIterator[asyncio.Event]:
        """All lanes have fenced their predecessors; they commit from when the event is set."""
        to = Destination(TOPICS, GROUP, {"bootstrap_servers": self._broker.servers}, 1_000_000)
        producers = [PartitionProducer(number, to) for number in range(LANES)]
        committing = asyncio.Event()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await asyncio.gather(*(producer.start() for producer in producers))
            lanes = [
                asyncio.create_task(self._commit(number, producer, committing))
                for number, producer in enumerate(producers)
            ]
            try:
                yield committing
            finally:
                for lane in lanes:
                    lane.cancel()
                await asyncio.gather(*lanes, return_exceptions=True)
        finally:
            await asyncio.gather(*(producer.drop() for producer in producers))

    async def _commit(
        self, lane: int, producer: PartitionProducer, committing: asyncio.Event
    ) -> None:
        await committing.wait()
        while True:
            number = self._ledger.send(lane)
            opened = tuple(
                range(max(0, number - self._chance.randrange(_MOST_OPEN_REQUESTS)), number)
            )
            await producer.commit(Outcome(), ResumePoint(number, opened, number, number))
            self._ledger.acknowledge(lane, number)
            self._findings.commits += 1
            await asyncio.sleep(self._pace_seconds)


def main() -> int:
    """Hunt."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.commit_hunt", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=36_000)
    parser.add_argument("--version", default="", help="of Kafka; the locked one if not given")
    parser.add_argument("--shape", type=Shape, choices=list(Shape), default=Shape.COMPACTED)
    parser.add_argument("--session-ms", type=int, default=2000, help="as the embedded Kafka's")
    parser.add_argument("--load-bytes", type=int, default=0, help="few make a load slow")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace-seconds", type=float, default=0.02, help="between a lane's commits")
    parser.add_argument("--keep", type=Path, default=Path("tests/chaos/results"))
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and report what was found till then
    quiet_libraries()  # the lanes lose the broker all the time
    version = Version.named(given.version)
    with tempfile.TemporaryDirectory(prefix="sluice-hunt-") as directory:
        HuntedKafka(version, Path(directory), 0).record_classes()
    prey = Prey(version, given.shape, given.session_ms, given.load_bytes)
    hunt = Hunt(prey, given.seed, given.keep, given.pace_seconds)
    try:
        asyncio.run(hunt.run(given.kills, given.seconds))
    finally:
        given.keep.mkdir(parents=True, exist_ok=True)
        report = given.keep / f"hunt-{prey}-{given.seed}.json"
        report.write_text(hunt.findings.as_json() + "\n")
        print(report.read_text())
    return 1 if hunt.findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
