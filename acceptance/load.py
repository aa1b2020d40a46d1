"""``python -m acceptance.load``: exports of 10,000 and 50,000 rows through a running node.

Then ``sluice check`` makes its assertions on that node. Exits 0 only if every export completed and
all assertions hold.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from acceptance.bed import laid_bed

_SEEDS = (
    ("--records", 10_000, "--format", "csv", "--exports", 10),
    ("--records", 50_000, "--format", "csv", "--exports", 5),
    ("--records", 10_000, "--format", "pdf", "--exports", 5),
)


async def _load(place: Path) -> int:
    async with laid_bed(place) as bed:
        commands = [("seed", *seed, "--wait") for seed in _SEEDS]
        for command in [*commands, ("check", bed.node.url)]:
            ran = await bed.sluice(*command)
            print("\n".join(ran.lines), flush=True)
            print(f"({ran.seconds:.1f} s)", flush=True)
            if ran.code:
                return ran.code
    return 0


def main() -> int:
    """Load, check; the first exit code that is not 0."""
    with tempfile.TemporaryDirectory(prefix="sluice-load-") as directory:
        return asyncio.run(_load(Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
