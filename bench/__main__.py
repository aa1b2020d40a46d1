"""``python -m bench [NAME …]``: measurements, printed, kept as JSON, and put into the docs.

All of them, or those named, such as ``encoders``. The figures in ``docs/performance.md`` are those
of the last run, so commit that page only after a run of all on a quiet machine.
"""

import asyncio
import inspect
import json
import logging
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import (
    encoders,
    end_to_end,
    formats,
    goals,
    main_job,
    memory,
    object_storage,
    plot,
    small_exports,
    stages,
    takeover,
    turns,
)
from bench.document import with_figures
from bench.machine import machine

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BENCHES = (
    encoders,
    end_to_end,
    formats,
    stages,
    main_job,
    small_exports,
    takeover,
    turns,
    memory,
    object_storage,
)


def main(chosen: list[str]) -> int:
    """Measure, print, write; 2 for a name that is none."""
    names = {_name(bench): bench for bench in BENCHES}
    if unknown := set(chosen) - names.keys():
        print(f"bench: {', '.join(sorted(unknown))}: not one of {', '.join(names)}")
        return 2
    RESULTS.mkdir(exist_ok=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it retries; a fault raises
    _show("machine", machine())
    for name in chosen or names:
        begun = time.monotonic()
        result = _measured(names[name])
        text = json.dumps(result, indent=2) + "\n"
        (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
        _show(name, names[name].report(result))
        print(f"({name}: {time.monotonic() - begun:.0f} s)", flush=True)
        if names[name] is encoders:
            plot.draw(result, RESULTS / "encoders.png")
    if not chosen or {_name(encoders), _name(end_to_end)} & set(chosen):
        _show("goals", goals.report(_kept(encoders), _kept(end_to_end)))
    return 0


def _measured(bench: ModuleType) -> Any:  # noqa: ANN401 - each has figures of its own shape
    measured = bench.measure()
    return asyncio.run(measured) if inspect.iscoroutine(measured) else measured


def _kept(bench: ModuleType) -> Any:  # noqa: ANN401 - as above
    return json.loads((RESULTS / f"{_name(bench)}.json").read_text("utf-8"))


def _name(bench: ModuleType) -> str:
    return bench.__name__.rpartition(".")[2]


def _show(name: str, report: str) -> None:
    print(f"\n{report}", flush=True)
    PAGE.write_text(with_figures(PAGE.read_text("utf-8"), name, report), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
