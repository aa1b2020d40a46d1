"""Where a node's CPU time goes: fetch, decode, encode, hash, write, transaction, and what is left.

One node with stopwatches makes the files of a load, as in ``end_to_end``. *Fetch* is all that the
event loop's thread does but transactions: aiokafka, the poller, the lanes, heartbeats. *Turns* is
what a turn does besides the stages in it, *other* what threads cost that do neither.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.end_to_end import EndToEndCase, KafkaBed
from bench.figures import table
from bench.processes import main_thread_cpu_seconds
from bench.readers import our_nodes
from broker.embedded import EmbeddedKafka
from schemas.vocabulary import Format

ROWS = {Format.CSV: 1_000_000, Format.PDF: 400_000}
IN_TURNS = ("decode", "encode", "hash", "write")
STAGES = ("fetch", *IN_TURNS, "transaction", "turns", "other")


async def measure() -> dict[str, Any]:
    """CPU seconds per million rows, by format and stage."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka:
            bed = KafkaBed(kafka.bootstrap_servers, place)
            return {one.value: await _stages(bed, one, rows) for one, rows in ROWS.items()}


async def _stages(bed: KafkaBed, file_format: Format, rows: int) -> dict[str, float]:
    async with bed.laid(EndToEndCase("traced", file_format, rows)) as laid:
        trace = laid.place / "trace.json"
        command = (sys.executable, "-m", "bench.traced_node", trace)
        where = (laid.servers, laid.topics, laid.place, laid.load)
        async with our_nodes(*where, 1, command) as readers:
            (node,) = readers.nodes
            before = main_thread_cpu_seconds(node.pid)
            run = await laid.timed(readers)
            loop = main_thread_cpu_seconds(node.pid) - before
            assert node.terminate() == 0
        traced = json.loads(trace.read_text("utf-8"))
    return by_stage(traced, loop, run.cpu_seconds, run.rows / 1e6)


def by_stage(
    traced: dict[str, float], loop: float, total: float, million_rows: float
) -> dict[str, float]:
    """CPU seconds per million rows, of each stage, which together are ``total``."""
    transaction = traced.get("transaction", 0.0)
    seconds = {name: traced.get(name, 0.0) for name in IN_TURNS}
    seconds["turns"] = traced["turn"] - sum(seconds.values())
    seconds |= {"fetch": loop - transaction, "transaction": transaction}
    seconds["other"] = total - traced["turn"] - loop
    return {name: seconds[name] / million_rows for name in STAGES}


def report(result: dict[str, Any]) -> str:
    """The figures as a table for people."""
    headings = ["CPU s per million rows", *(f"{name.upper()}, share" for name in result)]
    rows = [
        [stage, *(_shown(figures[stage], figures) for figures in result.values())]
        for stage in STAGES
    ]
    totals = ["together", *(f"{sum(figures.values()):.2f}" for figures in result.values())]
    return table(headings, [*rows, totals])


def _shown(seconds: float, figures: dict[str, float]) -> str:
    return f"{seconds:.2f}, {seconds / sum(figures.values()):.0%}"
