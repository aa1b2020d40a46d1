"""``python -m tests.hostile [WORD…]``: hostile input of every kind; 1 if a bound is broken."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from broker.embedded import EmbeddedKafka
from sluice.logs import quiet_libraries
from tests.hostile.catalogue import chosen
from tests.hostile.report import as_json, line, markdown
from tests.hostile.running import Result, Run
from tests.hostile.target import Kind
from tests.hostile.together import run_together


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("words", nargs="*", help="only kinds whose name holds one of these")
    parser.add_argument("--short", action="store_true", help="the short form")
    parser.add_argument("--together", action="store_true", help="only all of them at once")
    parser.add_argument("--list", action="store_true", help="print the kinds, and do nothing")
    parser.add_argument("--markdown", type=Path, help="a file for the table")
    parser.add_argument("--json", type=Path, help="a file for all that was measured")
    parser.add_argument("--keep", type=Path, help="a directory for logs, which are kept there")
    given = parser.parse_args()
    kinds = chosen(given.words, short=given.short)
    if given.list:
        print(*(kind.name for kind in kinds), sep="\n")
        return 0
    quiet_libraries()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no node is left behind
    own = Path(tempfile.mkdtemp(prefix="sluice-hostile-"))
    place = given.keep or own
    with EmbeddedKafka(place / "kafka", notice=print) as kafka:
        alone = [] if given.together else kinds
        crowd = kinds if given.together or not given.words else []
        results = asyncio.run(_run(kafka.bootstrap_servers, place, alone, crowd))
    shutil.rmtree(own)
    if given.markdown:
        given.markdown.write_text(markdown(results))
    if given.json:
        given.json.write_text(as_json(results))
    broken = [result.name for result in results if result.broken]
    print(f"{len(results)} kinds, {len(broken)} of them broke something", *broken, sep="\n  ")
    return 1 if broken else 0


async def _run(servers: str, place: Path, alone: list[Kind], crowd: list[Kind]) -> list[Result]:
    """One after the other, then all at once."""
    results: list[Result] = []
    async with Run(servers, place) as run:
        for kind in alone:
            results.append(await run.kind(kind))
            print(line(results[-1]), flush=True)
    if crowd:
        results.append(await run_together(servers, place, crowd))
        print(line(results[-1]), flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
