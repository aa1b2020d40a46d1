"""``python -m bench``: run every measurement, print it and keep it in ``bench/results``."""

import asyncio
import json
from pathlib import Path

from bench import main_job, small_exports

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, write."""
    RESULTS.mkdir(exist_ok=True)
    for bench in (main_job, small_exports):
        result = asyncio.run(bench.measure())
        print(bench.report(result))
        name = bench.__name__.rpartition(".")[2]
        text = json.dumps(result, indent=2) + "\n"
        (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
