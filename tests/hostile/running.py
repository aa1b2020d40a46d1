"""One kind after the other: sent, waited for, measured and judged.

Invariant: a kind that broke something leaves its bed; the next one begins on a new one, so one
finding is no other kind's.
"""

import asyncio
import itertools
import re
import signal
import time
import zlib
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from acceptance.sampling import peak_bytes, reset_peak, resident_bytes
from tests.hostile.bed import PARTITIONS, Bed, Watched, laid_bed
from tests.hostile.beside import Beside, good_exports
from tests.hostile.bounds import Measured, late, refused, refused_seconds, swollen, within
from tests.hostile.stalls import Stalls, stalls_of
from tests.hostile.target import Kind, Target

_SWOLLEN_BYTES = 300 * 1024 * 1024
_PROBE_SECONDS = 70.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one kind did."""

    name: str
    measured: Measured
    ends: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    lateness: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        """All that is not as it should be: what was found, and the bounds of time."""
        return [*self.findings, *self.lateness]


class Run:
    """Runs kinds on a bed that it makes when one is needed."""

    def __init__(self, servers: str, directory: Path) -> None:
        self._servers = servers
        self._directory = directory
        self._beds = AsyncExitStack()
        self._bed: Bed | None = None
        self._numbers = itertools.count()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._beds.aclose()

    async def kind(self, kind: Kind) -> Result:
        """The result of one kind.

        One that broke nothing but a bound of time is sent once more, and the better run counts: on
        a machine that others use, a process may stand still for no reason of its own.
        """
        result = await self._once(kind)
        if not result.lateness or result.findings:
            return result
        again = await self._once(kind)
        return min(result, again, key=lambda one: len(one.broken))

    async def _once(self, kind: Kind) -> Result:
        if self._bed is None:
            bed = laid_bed(self._servers, self._directory)
            self._bed = await self._beds.enter_async_context(bed)
        result = await run_kind(self._bed, kind, next(self._numbers))
        if result.broken or kind.after or _is_swollen(self._bed):
            self._bed = None
            await self._beds.aclose()
        return result


def _is_swollen(bed: Bed) -> bool:
    return any(resident_bytes(one.node.pid) > _SWOLLEN_BYTES for one in bed.nodes)


async def run_kind(bed: Bed, kind: Kind, number: int) -> Result:
    """Send it, wait for what it should come to, and measure."""
    target = new_target(bed, kind, number)
    watch = await Watch.begun(bed)
    beside = Beside()
    try:
        partition = (target.partition + kind.leaves_partition) % PARTITIONS
        held_up = target.partition if kind.leaves_partition else None
        good = good_exports(bed, f"good-{target.prefix}", partition, held_up=held_up)
        async with good as beside:
            await kind.attack(target)
            await target.settled(kind.seconds)
    except Exception as error:  # noqa: BLE001 - an attack that can't be made is a finding too
        target.findings.append(f"the attack failed: {error!r:.200}")
    measured = await watch.ended(beside)
    findings = [*swollen(measured), *refused(measured), *watch.deaths()]
    findings += [*target.findings, *target.unsettled, *beside.findings]
    if kind.after and not watch.deaths():
        target.findings, target.unsettled = [], []
        await kind.after(target)
        findings += [*target.findings, *target.unsettled]
    findings += [f"{one} has two events" for one in bed.downstream.doubled[:3]]
    ends, lateness = target.ends(), list(late(measured))
    return Result(kind.name, measured, ends, target.answers, findings, lateness)


def new_target(bed: Bed, kind: Kind, number: int, *, crowded: bool = False) -> Target:
    """The target of one attack; the number makes its ids its own."""
    prefix = f"{re.sub('[^a-zA-Z0-9]+', '-', kind.name)[:50].strip('-')}-{number}"
    target = Target(bed, zlib.crc32(prefix.encode()) % PARTITIONS, prefix, crowded=crowded)
    target.letters_before = bed.downstream.letters.copy()
    return target


@dataclass(slots=True)
class Watch:
    """Measures both nodes from ``begun`` to ``ended``."""

    nodes: list[Watched]
    at: float
    before_bytes: int
    stalls: list[Stalls | None]

    @classmethod
    async def begun(cls, bed: Bed) -> "Watch":
        for watched in bed.nodes:
            reset_peak(watched.node.pid)
        before = max(resident_bytes(watched.node.pid) for watched in bed.nodes)
        stalls = [await stalls_of(watched.node) for watched in bed.nodes]
        return cls(bed.nodes, time.monotonic(), before, stalls)

    async def ended(self, beside: Beside) -> Measured:
        until = time.monotonic()
        await self._looked_past(until)
        looks = [within(watched.looks(), self.at, until) for watched in self.nodes]
        all_looks = [look for some in looks for look in some]
        now = [await stalls_of(watched.node) for watched in self.nodes]
        pairs = zip(now, self.stalls, strict=True)
        known = [late.longest_since(early) for late, early in pairs if late and early]
        return Measured(
            before_bytes=self.before_bytes,
            peak_bytes=max((self._peak(watched) for watched in self.nodes), default=0),
            stall_seconds=max(known, default=None),
            health_seconds=max((look.seconds for look in all_looks), default=0.0),
            own_health_seconds=max((look.own_seconds for look in all_looks), default=0.0),
            health_failures=sum(look.status != "200" for look in all_looks),
            refused_seconds=max(map(refused_seconds, looks), default=0.0),
            csv_seconds=max(beside.csv_seconds, default=0.0),
            pdf_seconds=max(beside.pdf_seconds, default=0.0),
            seconds=until - self.at,
        )

    def deaths(self) -> list[str]:
        """Nodes that are no more."""
        codes = [(n, watched.node.exit_code) for n, watched in enumerate(self.nodes)]
        return [f"node {n} died: {_how(code)}" for n, code in codes if code is not None]

    def _peak(self, watched: Watched) -> int:
        try:
            return peak_bytes(watched.node.pid)
        except (FileNotFoundError, IndexError):  # it died: what its probe saw last
            return max((look.resident_bytes for look in watched.looks()), default=0)

    async def _looked_past(self, until: float) -> None:
        """Wait until each probe has had an answer that it began to wait for after that time."""
        deadline = time.monotonic() + _PROBE_SECONDS
        for watched in self.nodes:
            while watched.node.exit_code is None and time.monotonic() < deadline:
                looks = watched.looks()
                if looks and looks[-1].ended >= until:
                    break
                await asyncio.sleep(0.05)


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
