"""Looks at one node every 50 ms: ``python -m tests.hostile.probe PID URL FILE``.

A process of its own, so that no work of the harness delays it. Each look is a new connection, as
that of an orchestrator's probe. Invariant: one look after the other; a line is written when the
look has ended, so a node that doesn't answer shows as one long look.
"""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

EVERY_SECONDS = 0.05
_MOST_SECONDS = 60.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_REQUEST = b"GET /health HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Look:
    """One answer of ``/health``; ``begun`` is of ``time.monotonic``.

    Meanwhile the node's threads had ``cpu_seconds`` on a core, and stood in line for one for
    ``waited_seconds``, all together.
    """

    begun: float
    seconds: float
    status: str
    resident_bytes: int
    cpu_seconds: float
    waited_seconds: float

    @property
    def ended(self) -> float:
        return self.begun + self.seconds

    @property
    def own_seconds(self) -> float:
        """Of its time, what can't be the machine's: the node computed, or stood in no line."""
        computed = min(self.seconds, self.cpu_seconds)
        return max(computed, self.seconds - self.waited_seconds)


def looks(pid: int, url: str) -> Iterator[Look]:
    """Look until the process is gone."""
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, IndexError):
        while True:
            cpu_before, waited_before = _scheduled(pid)
            begun = time.monotonic()
            status = _ask(host, port)
            seconds = time.monotonic() - begun
            cpu, waited = _scheduled(pid)
            resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
            # A thread that has ended takes its counts with it.
            cpu, waited = max(0.0, cpu - cpu_before), max(0.0, waited - waited_before)
            yield Look(begun, seconds, status, resident, cpu, waited)
            time.sleep(EVERY_SECONDS)


def _scheduled(pid: int) -> tuple[float, float]:
    """Seconds on a core, and in line for one, of all threads (Linux, sched-stats.rst)."""
    ran = waited = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (task / "schedstat").read_text().split()
            ran, waited = ran + int(words[0]), waited + int(words[1])
    return ran / 1e9, waited / 1e9


def _ask(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=_MOST_SECONDS) as connection:
            connection.sendall(_REQUEST)
            answer = b""
            while len(answer) < 12:
                more = connection.recv(4096)
                if not more:
                    return "closed"
                answer += more
            return answer[9:12].decode("latin-1")
    except OSError as error:
        return type(error).__name__


def read_looks(path: Path) -> list[Look]:
    """What a probe has written so far."""
    whole, _, _ = path.read_text().rpartition("\n") if path.exists() else ("", "", "")
    return [Look(**json.loads(line)) for line in whole.splitlines()]


def main() -> None:
    """Look, and write."""
    pid, url, path = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    # What is measured is the node, not how long a busy machine lets its probe wait.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    with path.open("a", buffering=1) as file:
        for look in looks(pid, url):
            file.write(json.dumps(asdict(look)) + "\n")


if __name__ == "__main__":
    main()
