"""``python -m bench``: run every measurement, print it and keep it in ``bench/results``."""

import asyncio
import json
from pathlib import Path

from bench.main_job import measure, report

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, write."""
    result = asyncio.run(measure())
    print(report(result))
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2) + "\n"
    (RESULTS / "main_job.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
