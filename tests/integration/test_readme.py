"""The README as a reader follows it: its snippets, run literally and in order, on real parts.

Only the two ports are replaced, as others on this machine may hold them. ``make`` is left to the
tests of what it calls.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.ports import pick_free_port

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
_SECONDS = 60.0
# What stays in the foreground, and what shows that a reader may go on.
FOREGROUND = {
    ".venv/bin/sluice broker": "bootstrap.servers=",
    "SLUICE_LINK_KEYS=any-secret-of-32-characters-or-more .venv/bin/sluice serve": "node started",
    ".venv/bin/sluice watch --from-beginning": "completed submit-",
    ".venv/bin/python mailer.py": "ord-1 export.completed 1\n",
}
PRINTED = {
    ".venv/bin/sluice submit": r"submit-\S+\ncompleted submit-\S+ 2 rows 1 pages ",
    "curl -sL": r"^id,amount\s+1,12\.50\s*$",
    "curl": r'\{"type":"export.completed","export_id":"ord-1".*\}\s*id,amount\s+1,12\.50\s',
    ".venv/bin/sluice verify": "2 checked, all as their manifests say\n",
}


@dataclass(frozen=True)
class Snippet:
    """A block of the README, with the paragraph before it."""

    language: str
    before: str
    text: str


def snippets() -> list[Snippet]:
    """Those that are run, in the README's order."""
    found = re.findall(
        r"((?:^(?!```)[^\n]+\n)+)\n?^```(sh|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    )
    return [Snippet(language, before, text) for before, language, text in found]


def commands(text: str) -> list[str]:
    return text.replace("\\\n", " ").splitlines()


class Terminals:
    """Terminals in one directory; what is in the foreground there ends with the last of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ports = {port: str(pick_free_port()) for port in ("9092", "4001")}
        kafka = f"127.0.0.1:{self._ports['9092']}"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        self._environment = inherited | {
            "SLUICE_BOOTSTRAP_SERVERS": kafka,
            "SLUICE_HTTP_PORT": self._ports["4001"],
            "PYTHONUNBUFFERED": "1",  # a terminal shows each line at once
        }
        self._foreground: list[subprocess.Popen[bytes]] = []

    def ported(self, text: str) -> str:
        """With this test's ports."""
        text = re.sub(r"(sluice broker)\b", rf"\1 --port {self._ports['9092']}", text)
        return re.sub(r"(?<=:)(9092|4001)\b", lambda port: self._ports[port[0]], text)

    def run(self, script: str) -> str:
        """What a script prints; it has to succeed."""
        done = subprocess.run(
            ["bash", "-euc", self.ported(script)],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done
        return done.stdout

    def keep(self, command: str, shows: str) -> None:
        """Start what stays in the foreground, and wait until it shows that it works."""
        output = self._directory / f"terminal-{len(self._foreground)}.log"
        with output.open("wb") as both:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {self.ported(command)}"],
                cwd=self._directory,
                env=self._environment,
                stdout=both,
                stderr=both,
            )
        self._foreground.append(process)
        deadline = time.monotonic() + _SECONDS
        while shows not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)

    def interrupt_all(self) -> None:
        """Ctrl-C in each, the latest first."""
        for process in reversed(self._foreground):
            process.send_signal(signal.SIGINT)
            assert process.wait(_SECONDS) in (0, 1, 130, -signal.SIGINT), process.args

    def kill(self) -> None:
        for process in self._foreground:
            process.kill()
            process.wait()


@contextmanager
def terminals(directory: Path) -> Iterator[Terminals]:
    (directory / ".venv").symlink_to(sys.prefix)  # a reader's is made by ``make install``
    opened = Terminals(directory)
    # Under nohup, or in the background of a script, SIGINT is ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield opened
        opened.interrupt_all()
    finally:
        opened.kill()
        signal.signal(signal.SIGINT, before)


def test_its_snippets_work_in_their_order(tmp_path: Path) -> None:
    assert shutil.which("curl"), "the README's snippets need curl"
    shown: dict[str, str] = {}
    with terminals(tmp_path) as terminal:
        for snippet in snippets():
            lines = commands(snippet.text)
            if snippet.language == "python":
                (name,) = re.findall(r"Save this as\s+`(\w+\.py)`", snippet.before)
                (tmp_path / name).write_text(terminal.ported(snippet.text))
                lines = re.findall(rf"`(\.venv/bin/python {name})`", snippet.before)
            for line in lines:
                if line in FOREGROUND:
                    assert "the foreground" in snippet.before
                    terminal.keep(line, FOREGROUND[line])
                else:
                    program = next((start for start in PRINTED if line.startswith(start)), line)
                    shown[program] = shown.get(program, "") + terminal.run(line)
    for program, pattern in PRINTED.items():
        assert re.search(pattern, shown[program]), shown[program]


def test_nothing_that_can_be_run_is_left_out() -> None:
    fences = re.findall(r"^```(\w*)$", README, re.MULTILINE)
    assert len(snippets()) == sum(fence in ("sh", "python") for fence in fences)
    lines = [line for snippet in snippets() for line in commands(snippet.text)]
    inline = [line for snippet in snippets() for line in re.findall("`(.+?)`", snippet.before)]
    assert FOREGROUND.keys() <= {*lines, *inline}
