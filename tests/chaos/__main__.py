"""``python -m tests.chaos --seconds 1800 --seed 7``: a storm, and its table; 1 on any violation."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from sluice.logs import quiet_libraries
from tests.chaos.report import markdown, write
from tests.chaos.storm import Plot, storm


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--unfinished", type=int, default=60, help="exports on their way at a time")
    parser.add_argument("--storage", choices=("local", "s3"), default="local")
    parser.add_argument("--report", type=Path, help="a directory for storm.json and storm.md")
    parser.add_argument("--keep", type=Path, help="a directory for logs, which are kept there")
    given = parser.parse_args()
    quiet_libraries()  # the storm's own clients lose the broker too
    plot = Plot(
        given.seconds,
        given.seed,
        given.nodes,
        given.unfinished,
        on_objects=given.storage == "s3",
    )
    own = Path(tempfile.mkdtemp(prefix="sluice-chaos-"))
    report = asyncio.run(storm(plot, given.keep or own))
    print(markdown(report))
    if report.violations and not given.keep:
        print(f"what it left is in {own}")
    else:
        shutil.rmtree(own)
    if given.report:
        write(report, given.report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
