"""``sluice`` forked from a process that has imported all of it and runs nothing.

Imports are two thirds of the CPU time that a node's start takes, and nearly all of a short
command's; `make test` starts hundreds of both. What follows them is the same as for the program:
arguments, environment, files, signals, exit code. Invariant: what is forked has one thread, as a
lock that another one holds would stay locked in the fork.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from pathlib import Path
from subprocess import TimeoutExpired

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["sluice.cli", "sluice.node"])
_LOCK = threading.Lock()  # each start looks at all processes, and an exit code is read once


class ForkedSluice:
    """``sluice ARGUMENTS`` with this environment; its methods are those of ``Popen``.

    It reads ``stdin`` or nothing, and appends to ``output`` and ``errors``, which may be one file.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: Path,
        errors: Path,
        *,
        stdin: Path = Path(os.devnull),
        directory: Path | None = None,
    ) -> None:
        self._command = ["sluice", *arguments]
        call = (self._command, dict(environment), stdin, output, errors, directory)
        self._process = _FORKS.Process(target=_run, args=call)
        with _LOCK:
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, or the signal that killed it as a negative number; None while it runs."""
        with _LOCK:
            return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises TimeoutExpired."""
        connection.wait([self._process.sentinel], timeout)
        if (code := self.poll()) is None:
            raise TimeoutExpired(self._command, timeout or 0.0)
        return code


def _run(
    command: list[str],
    environment: dict[str, str],
    stdin: Path,
    output: Path,
    errors: Path,
    directory: Path | None,
) -> None:
    from sluice.__main__ import main  # noqa: PLC0415 - forked with nearly all that it imports

    sys.stdin = stdin.open(encoding="utf-8")
    for stream, path in ((sys.stdout, output), (sys.stderr, errors)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), stream.fileno())
    if directory:
        os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = command
    main()
