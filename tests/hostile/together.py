"""All kinds at once, from several clients, at nodes whose memory the kernel bounds.

Invariant: the two nodes are the same from beginning to end; what is judged is their resident
memory, that they live and are never refused any, and that everything ends as it should: what the
crowd keeps out gets an answer or an end that says so.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.bed import Bed, laid_bed
from tests.hostile.beside import good_exports
from tests.hostile.bounds import MIB, PEAK_BYTES, kept_from
from tests.hostile.running import Result, Watch, new_target
from tests.hostile.target import Kind, Target

CLIENTS = 4
NAME = "all at once, from 4 clients"
_SETTLE_SECONDS = 240.0
_NO_MEMORY = "MemoryError"
_DATA_BYTES = PEAK_BYTES + 240 * MIB
"""What is mapped and never touched counts for the kernel: 20 stacks, and the room that the JSON
parser takes for the worst of 16 MiB, 128 MiB of which most text uses little."""


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The kinds that are left to send, and what was sent."""

    bed: Bed
    left: list[tuple[int, Kind]]
    sent: list[tuple[Kind, Target]]

    async def client(self) -> None:
        """Send one after the other."""
        while self.left:
            number, kind = self.left.pop()
            target = new_target(self.bed, kind, number, crowded=True)
            self.sent.append((kind, target))
            try:
                await kind.attack(target)
            except Exception as error:  # noqa: BLE001 - an attack that can't be made is a finding
                target.findings.append(f"the attack failed: {error!r:.200}")


async def run_together(
    servers: str, directory: Path, kinds: Sequence[Kind], seed: int = 1
) -> Result:
    """Send all of them, in an order that the seed gives, and measure."""
    usable = [(n, kind) for n, kind in enumerate(kinds) if not kind.after and not kind.many]
    random.Random(seed).shuffle(usable)
    async with laid_bed(servers, directory, data_bytes=_DATA_BYTES) as bed:
        crowd = _Crowd(bed, usable, [])
        watch = await Watch.begun(bed)
        async with good_exports(bed, "good-together", 0, _SETTLE_SECONDS) as beside:
            await asyncio.gather(*(crowd.client() for _ in range(CLIENTS)))
            deadline = time.monotonic() + _SETTLE_SECONDS
            for _, target in crowd.sent:
                await target.settled(max(1.0, deadline - time.monotonic()))
        measured = await watch.ended(beside)
        findings = [
            f"{kind.name}: {it}"
            for kind, target in crowd.sent
            for it in (*target.findings, *target.unsettled)
        ]
        findings += [*kept_from(measured), *watch.deaths(), *_out_of_memory(bed)]
        findings += [it for it in beside.findings if not _is_kept_out(it)]
        if measured.peak_bytes > PEAK_BYTES:
            findings.append(f"peak memory {measured.peak_bytes / MIB:,.0f} MiB")
        ends, answers = _sum(crowd.sent)
        return Result(NAME, measured, ends, answers, findings)


def _is_kept_out(finding: str) -> bool:
    """Whether a good export was, by an answer that says that others fill the queue."""
    return finding.startswith("good PDF: was refused: 429 ")


def _sum(sent: Sequence[tuple[Kind, Target]]) -> tuple[Counter[str], Counter[str]]:
    ends: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for _, target in sent:
        ends += target.ends()
        answers += target.answers
    return ends, answers


def _out_of_memory(bed: Bed) -> list[str]:
    """Where a node met the kernel's bound."""
    texts = [watched.node.log.read_text() for watched in bed.nodes]
    return [f"node {n} logged {_NO_MEMORY}" for n, text in enumerate(texts) if _NO_MEMORY in text]
