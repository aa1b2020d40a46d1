"""``python -m acceptance.evidence [--into DIR]``: the acceptance, from start to end.

Runs the load on a fresh Kafka and node, asserts, and writes what shows it. Exits 1 unless every
assertion holds; what was seen is written either way. Needs Linux.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import httpx

from acceptance.assertions import Facts, assertions
from acceptance.bed import Bed, Ran, laid_bed
from acceptance.environment import environment
from acceptance.evidence_files import findings_table, hashed_files, write_evidence
from acceptance.phases import downstream, run_phases
from acceptance.sampling import sampled
from schemas.completions import ExportCompleted
from sluice.metric_assertions import read_scrape

_EVERY_SECONDS = 0.1


def main() -> int:
    """Run, assert, write; 0 only if all hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path("evidence"), metavar="DIR")
    into: Path = parser.parse_args().into
    with tempfile.TemporaryDirectory(prefix="sluice-evidence-") as directory:
        return asyncio.run(_accept(Path(directory), into))


async def _accept(place: Path, into: Path) -> int:
    machine = environment()
    async with laid_bed(place) as bed:
        facts, metrics, hashes = await _run(bed)
    findings = assertions(facts)
    write_evidence(into, facts, findings, machine, metrics, hashes)
    failed = sum(not one.holds for one in findings)
    print(f"\n{findings_table(findings)}\n\n{into}/: {failed or 'none'} of {len(findings)} failed")
    return 1 if failed else 0


async def _run(bed: Bed) -> tuple[Facts, str, dict[str, str]]:
    begun = time.perf_counter()
    async with sampled(bed.node, _EVERY_SECONDS) as samples, downstream(bed, begun) as seen:
        phases = await run_phases(bed, seen)
    async with httpx.AsyncClient(base_url=bed.node.url, trust_env=False) as client:
        metrics = (await client.get("/metrics")).raise_for_status().text
    check = _shown(await bed.sluice("check", bed.node.url))
    verify = await bed.sluice("verify", bed.storage)
    verified = sum(line.startswith("ok ") for line in verify.lines)
    hashes = hashed_files(bed.storage)
    agreed = hashes == {
        f"{one.event.export_id}.{one.event.extension}": one.event.sha256
        for one in seen.endings
        if isinstance(one.event, ExportCompleted)
    }
    facts = Facts(
        phases=phases,
        endings=seen.endings,
        samples=samples,
        scrape=read_scrape(metrics),
        check_code=check.code,
        verify_code=verify.code,
        verified=verified,
        hashes_agree=agreed,
    )
    return facts, metrics, hashes


def _shown(ran: Ran) -> Ran:
    print("\n".join(ran.lines), flush=True)
    return ran


if __name__ == "__main__":
    sys.exit(main())
