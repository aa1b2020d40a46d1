"""``sluice`` as a user runs it: as a process, with the settings of one test."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.forked import ForkedSluice
from tests.support.nodes import SLUICE

_SECONDS = 120.0
# In a small process in between: a child's peak counts its parent's memory until the exec.
_PEAK_OF = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


class Shell:
    """Runs ``sluice`` with the settings of one test."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory

    def run(
        self, *arguments: str, stdin: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with tempfile.TemporaryDirectory() as place:
            given, output, errors = (Path(place, name) for name in ("given", "output", "errors"))
            given.write_bytes(stdin.encode())
            command = ForkedSluice(
                arguments,
                self.environment | more,
                output,
                errors,
                stdin=given,
                directory=self.directory,
            )
            try:
                code = command.wait(_SECONDS)
            finally:
                command.kill()
            return subprocess.CompletedProcess(
                arguments, code, output.read_bytes().decode(), errors.read_bytes().decode()
            )

    def peak_kib(self, *arguments: str | Path) -> int:
        """The most memory that a command takes, in KiB."""
        done = subprocess.run(
            [sys.executable, "-c", _PEAK_OF, SLUICE, *arguments],
            env=self.environment,
            capture_output=True,
            check=True,
        )
        return int(done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [SLUICE, *arguments],
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def file(self, name: str, content: str | bytes) -> str:
        path = self.directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def fails(self, *arguments: str, code: int = 1, **more: str) -> str:
        """The one line that a command ends with."""
        done = self.run(*arguments, **more)
        assert (done.returncode, done.stdout) == (code, ""), done
        (line,) = done.stderr.splitlines()
        assert line.startswith("sluice: ")
        return line.removeprefix("sluice: ")
