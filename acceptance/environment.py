"""The machine of a run: processor, memory, versions, load. No names, no paths. Linux only."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from broker.jars import locked_kafka

_GIB_IN_KIB = 1024 * 1024


def environment() -> dict[str, str]:
    """The values to show, by their labels."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{len(os.sched_getaffinity(0))} cores of {_processor()}",
        "memory": f"{_field('/proc/meminfo', 'MemTotal') / _GIB_IN_KIB:.0f} GiB",
        "system": f"{platform.system()} on {platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.1f} processes that wanted a core, over a minute",
        "Python": platform.python_version(),
        "Apache Kafka": f"{locked_kafka().version}, embedded, one broker",
        "Sluice": f"{version('sluice')}, one node, default settings",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _field(path: str, name: str) -> int:
    return int(Path(path).read_text("ascii").split(f"{name}:")[1].split()[0])
