"""The acceptance's load, one phase after the other, and what is seen of each.

Downstream listens all the while: an export's end is when its event is committed. Invariant: a phase
is over when all of its exports have ended, and the node is idle when the next one begins.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from acceptance.bed import Bed
from acceptance.sampling import peak_bytes, reset_peak, resident_bytes
from bench.held_load import HeldLoad, held
from bench.rows import DataSet, MessageFile
from producer.completions import CompletionFeed
from schemas.completions import ExportCompleted, TerminalEvent
from schemas.vocabulary import Format

CSV_10K, CSV_50K, PDF_10K = "CSV 10,000 rows", "CSV 50,000 rows", "PDF 10,000 rows"
BATCH, BACKLOG = "batch of five", "backlog of 12 PDFs"
_SEEDS = {
    CSV_10K: ("--records", 10_000, "--format", "csv", "--exports", 20),
    CSV_50K: ("--records", 50_000, "--format", "csv", "--exports", 5),
    PDF_10K: ("--records", 10_000, "--format", "pdf", "--exports", 5),
    BATCH: ("--batch",),
}
# The phases in their order, and how many exports each requests.
EXPORTS = {CSV_10K: 20, CSV_50K: 5, PDF_10K: 5, BATCH: 5, BACKLOG: 12}
EXPECTED = sum(EXPORTS.values())
_BACKLOG_ROWS = 10_000
_REST_SECONDS = 1.0
_MOST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class PhaseEnding:
    """A terminal event, the phase of its request, and when downstream received it."""

    phase: str
    at_seconds: float
    event: TerminalEvent

    @property
    def completed(self) -> bool:
        """Whether there is a file."""
        return isinstance(self.event, ExportCompleted)


@dataclass(frozen=True, slots=True)
class Phase:
    """When a phase ran, from the first request, or before, to the last event, or after.

    ``code`` is the command's. ``growth_bytes`` is the node's resident peak in the phase less what
    it held when it was new and idle.
    """

    name: str
    begun_seconds: float
    seconds: float
    code: int
    growth_bytes: int


@dataclass(slots=True)
class Downstream:
    """Who listens to the completions."""

    feed: CompletionFeed
    begun: float
    phase: str = ""
    endings: list[PhaseEnding] = field(default_factory=list)

    async def listen(self) -> None:
        """Receive events until cancelled."""
        async for completion in self.feed:
            now = time.perf_counter() - self.begun
            self.endings.append(PhaseEnding(self.phase, now, completion.event()))

    async def until(self, count: int) -> None:
        """Wait for that many events; one that never comes is missing in ``endings``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOST_SECONDS):
                while len(self.endings) < count:
                    await asyncio.sleep(0.02)


@asynccontextmanager
async def downstream(bed: Bed, begun: float) -> AsyncIterator[Downstream]:
    """One that listens for the block; ``begun`` is when its seconds start (``perf_counter``)."""
    async with (
        CompletionFeed(bed.topics, bootstrap_servers=bed.servers) as feed,
        asyncio.TaskGroup() as tasks,
    ):
        one = Downstream(feed, begun)
        listening = tasks.create_task(one.listen())
        yield one
        listening.cancel()


async def run_phases(bed: Bed, seen: Downstream) -> list[Phase]:
    """All phases, in turn."""
    await asyncio.sleep(_REST_SECONDS)
    idle_bytes = resident_bytes(bed.node.pid)
    phases = []
    for name, count in EXPORTS.items():
        reset_peak(bed.node.pid)
        seen.phase = name
        ends = len(seen.endings) + count
        begun, seconds, code = await _LOADS.get(name, _seeded)(bed, seen, ends)
        growth = peak_bytes(bed.node.pid) - idle_bytes
        phases.append(Phase(name, begun, seconds, code, growth))
        await asyncio.sleep(_REST_SECONDS)
    return phases


async def _seeded(bed: Bed, seen: Downstream, ends: int) -> tuple[float, float, int]:
    """``sluice seed --wait``, the whole of the command: its begin, seconds and exit code."""
    begun = time.perf_counter() - seen.begun
    ran = await bed.sluice("seed", *_SEEDS[seen.phase], "--wait")
    await seen.until(ends)
    return begun, ran.seconds, ran.code


async def _backlogged(bed: Bed, seen: Downstream, ends: int) -> tuple[float, float, int]:
    """An export in each of twelve partitions, all visible at one moment: more than may run."""
    place = bed.storage.parent
    messages = MessageFile.write(place, DataSet.ORDERS, _BACKLOG_ROWS)
    load = HeldLoad(Format.PDF, messages, EXPORTS[BACKLOG])
    async with held(bed.servers, bed.topics, load) as producer:
        begun = time.perf_counter() - seen.begun
        print(f"# {load.exports} exports at once, committed by their upstream", flush=True)
        await producer.commit_transaction()
        await seen.until(ends)
    return begun, time.perf_counter() - seen.begun - begun, 0


_Loading = Callable[[Bed, Downstream, int], Awaitable[tuple[float, float, int]]]
_LOADS: dict[str, _Loading] = {BACKLOG: _backlogged}
