"""``sluice broker`` and ``sluice store`` as a shell would start them, and the Java below them."""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.nodes import SLUICE

START_SECONDS = 60.0


@contextlib.contextmanager
def foreground(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """``sluice …`` in a process group of its own."""
    process = subprocess.Popen(
        [SLUICE, *arguments],
        env={**os.environ, "LC_ALL": "C", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def java_below(pid: int) -> int:
    """The pid of the Java server that ``pid`` started, as soon as it runs."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            # Not the launcher before it becomes Java, and not the tool that formats storage.
            command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if command[0].endswith(b"/java") and b"format" not in command:
                return int(child)
        time.sleep(0.01)
    raise AssertionError("no Java was started")


def ends(pid: int, within_seconds: float = 10) -> bool:
    """Whether the process, which needn't be our child, has ended in that time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with contextlib.closing(os.fdopen(descriptor)):
        return bool(select.select([descriptor], [], [], within_seconds)[0])
