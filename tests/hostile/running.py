"""One kind after the other: sent, waited for, measured and judged.

Invariant: a kind that broke something leaves its bed; the next one begins on a new one, so one
finding is no other kind's.
"""

import asyncio
import re
import signal
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.acceptance.sampling import peak_bytes, reset_peak, resident_bytes
from tests.hostile.bed import PARTITIONS, Bed, Watched, laid_bed
from tests.hostile.beside import Beside, good_exports
from tests.hostile.bounds import Measured, findings_of, within
from tests.hostile.target import Kind, Target

_SWOLLEN_BYTES = 300 * 1024 * 1024
_PROBE_SECONDS = 70.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one kind did."""

    name: str
    measured: Measured | None
    ends: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


async def run_all(servers: str, directory: Path, kinds: Sequence[Kind]) -> AsyncIterator[Result]:
    """The results, as they come."""
    beds = AsyncExitStack()
    bed: Bed | None = None
    try:
        for number, kind in enumerate(kinds):
            if bed is None:
                bed = await beds.enter_async_context(laid_bed(servers, directory))
            result = await run_kind(bed, kind, number)
            yield result
            if result.findings or kind.after or _is_swollen(bed):
                await beds.aclose()
                bed = None
    finally:
        await beds.aclose()


def _is_swollen(bed: Bed) -> bool:
    return any(resident_bytes(one.node.pid) > _SWOLLEN_BYTES for one in bed.nodes)


async def run_kind(bed: Bed, kind: Kind, number: int) -> Result:
    """Send it, wait for what it should come to, and measure."""
    prefix = f"{re.sub('[^a-zA-Z0-9]+', '-', kind.name)[:50].strip('-')}-{number}"
    target = Target(bed, zlib.crc32(prefix.encode()) % PARTITIONS, prefix)
    target.letters_before = bed.downstream.letters.copy()
    watch = await _Watch.begun(bed)
    beside = Beside()
    try:
        partition = (target.partition + kind.leaves_partition) % PARTITIONS
        async with good_exports(bed, f"good-{prefix}", partition) as beside:
            await kind.attack(target)
            await target.settled(kind.seconds)
    except Exception as error:  # noqa: BLE001 - an attack that can't be made is a finding too
        target.findings.append(f"the attack failed: {error!r:.200}")
    measured = await watch.ended(beside)
    findings = [*findings_of(measured), *watch.deaths(), *target.findings, *beside.findings]
    if kind.after and not watch.deaths():
        target.findings.clear()
        await kind.after(target)
        findings += target.findings
    findings += [f"{one} has two events" for one in bed.downstream.doubled[:3]]
    return Result(kind.name, measured, target.ends(), target.answers, findings)


@dataclass(slots=True)
class _Watch:
    """Measures both nodes from ``begun`` to ``ended``."""

    nodes: list[Watched]
    at: float
    before_bytes: int

    @classmethod
    async def begun(cls, bed: Bed) -> "_Watch":
        for watched in bed.nodes:
            reset_peak(watched.node.pid)
            await _longest_stall(watched)  # what was before is none of ours
        before = max(resident_bytes(watched.node.pid) for watched in bed.nodes)
        return cls(bed.nodes, time.monotonic(), before)

    async def ended(self, beside: Beside) -> Measured:
        until = time.monotonic()
        await self._looked_past(until)
        looks = [within(watched.looks(), self.at, until) for watched in self.nodes]
        all_looks = [look for some in looks for look in some]
        stalls = [await _longest_stall(watched) for watched in self.nodes]
        known = [stall for stall in stalls if stall is not None]
        return Measured(
            before_bytes=self.before_bytes,
            peak_bytes=max((self._peak(watched) for watched in self.nodes), default=0),
            stall_seconds=max(known, default=None),
            health_seconds=max((look.seconds for look in all_looks), default=0.0),
            health_failures=sum(look.status != "200" for look in all_looks),
            late_seconds=max((look.late_seconds for look in all_looks), default=0.0),
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


async def _longest_stall(_watched: Watched) -> float | None:
    """The longest time that the node's event loop stood still, by its own count, if it has one."""
    await asyncio.sleep(0)
    return None
