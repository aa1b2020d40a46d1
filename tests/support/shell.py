"""``sluice`` as a user runs it: as a process, with the settings of one test."""

import subprocess
from pathlib import Path

from tests.support.nodes import SLUICE


class Shell:
    """Runs ``sluice`` with the settings of one test."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory

    def run(
        self, *arguments: str, stdin: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [SLUICE, *arguments],
            env=self.environment | more,
            cwd=self.directory,
            input=stdin.encode(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

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
