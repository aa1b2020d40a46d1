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
    """One answer of ``/health``; times are ``time.monotonic``.

    ``late_seconds`` is by how much the system woke the probe too late: what the machine adds.
    """

    begun: float
    seconds: float
    status: str
    resident_bytes: int
    late_seconds: float

    @property
    def ended(self) -> float:
        return self.begun + self.seconds


def looks(pid: int, url: str) -> Iterator[Look]:
    """Look until the process is gone."""
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    due = time.monotonic()
    while True:
        begun = time.monotonic()
        status = _ask(host, port)
        seconds = time.monotonic() - begun
        try:
            resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        except (FileNotFoundError, ProcessLookupError, IndexError):
            return
        yield Look(begun, seconds, status, resident, begun - due)
        due = time.monotonic() + EVERY_SECONDS
        time.sleep(EVERY_SECONDS)


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
