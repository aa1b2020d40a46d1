"""What figures were measured on, in a line: no name of a machine, no address."""

import importlib.metadata
import json
import os
import platform
import shutil
from pathlib import Path

from bench.node_packages import NODE_DIRECTORY, node_version

_PYTHON_PEERS = ("orjson", "polars", "reportlab", "fpdf2", "XlsxWriter", "lxml")


def machine() -> str:
    """Processor, cores, versions of what takes part."""
    peers = [f"{name} {importlib.metadata.version(name)}" for name in _PYTHON_PEERS]
    cores = len(os.sched_getaffinity(0))
    python = f"Python {platform.python_version()}"
    return ", ".join([f"{cores} cores of {_processor()}", python, *peers, *_node_versions()])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _node_versions() -> list[str]:
    if not shutil.which("node"):
        return []
    wanted = json.loads((NODE_DIRECTORY / "package.json").read_text("utf-8"))["dependencies"]
    return [f"Node {node_version()}", *(f"{name} {version}" for name, version in wanted.items())]
