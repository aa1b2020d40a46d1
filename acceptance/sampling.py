"""What a node shows over time: some of its metrics, and what Linux counts of its process.

Invariant: samples are in order of time, each from one answer of the node; one that it does not
give is an error, not a gap.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from sluice.metric_assertions import Scrape, read_scrape
from tests.support.nodes import NodeProcess

_KIB = 1024
_METRICS = MappingProxyType(
    {
        "running": "export_concurrent_running",
        "queued": "export_queue_depth",
        "open_exports": "sluice_open_exports",
        "lag_records": "sluice_consumer_lag_records",
    }
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A node at one moment; ``at_seconds`` counts from when sampling began."""

    at_seconds: float
    resident_bytes: int
    descriptors: int
    threads: int
    running: float
    queued: float
    open_exports: float
    lag_records: float
    succeeded: float


@asynccontextmanager
async def sampled(node: NodeProcess, every_seconds: float) -> AsyncIterator[list[Sample]]:
    """Samples for the block, in a list that grows; the last one is taken at its end."""
    samples: list[Sample] = []
    async with httpx.AsyncClient(base_url=node.url, timeout=30, trust_env=False) as client:
        begun = time.perf_counter()

        async def take() -> None:
            samples.append(await _sample(client, node.pid, begun))

        async def go_on() -> None:
            while True:
                await take()
                await asyncio.sleep(every_seconds)

        async with asyncio.TaskGroup() as tasks:
            sampling = tasks.create_task(go_on())
            yield samples
            sampling.cancel()
        await take()


async def _sample(client: httpx.AsyncClient, pid: int, begun: float) -> Sample:
    answer = await client.get("/metrics")
    scrape = read_scrape(answer.raise_for_status().text)
    return Sample(
        at_seconds=time.perf_counter() - begun,
        resident_bytes=resident_bytes(pid),
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(_status(pid, "Threads")),
        succeeded=_succeeded(scrape),
        **{field: sum(scrape.of(metric)) for field, metric in _METRICS.items()},
    )


def _succeeded(scrape: Scrape) -> float:
    series = scrape.values.get("export_requests_total", ())
    return sum(value for labels, value in series if labels["status"] == "succeeded")


def resident_bytes(pid: int) -> int:
    """Resident memory now (proc(5), status)."""
    return int(_status(pid, "VmRSS").split()[0]) * _KIB


def peak_bytes(pid: int) -> int:
    """The most resident memory since the count began (proc(5), status)."""
    return int(_status(pid, "VmHWM").split()[0]) * _KIB


def reset_peak(pid: int) -> None:
    """Reset the kernel's count of the resident peak (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, field: str) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return status.split(f"\n{field}:")[1].split("\n")[0].strip()


def per_second(samples: Sequence[Sample], width_seconds: float) -> list[tuple[float, float]]:
    """Middle and completed exports a second of each interval of that width, the last one apart."""
    rates, start = [], samples[0]
    for sample in samples:
        if (passed := sample.at_seconds - start.at_seconds) >= width_seconds:
            middle = (sample.at_seconds + start.at_seconds) / 2
            rates.append((middle, (sample.succeeded - start.succeeded) / passed))
            start = sample
    return rates
