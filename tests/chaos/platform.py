"""A container platform in small: restarts nodes that end, kills those that hang or take too much.

Invariant: it knows nothing of the messages; it looks at processes, and asks ``/health``.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.chaos.journal import Journal
from tests.support.clients import http_client

COMMAND = (sys.executable, "-m", "tests.chaos.killers")
_TICK_SECONDS = 0.05
_ASK_SECONDS = 0.25
_ANSWER_SECONDS = 2.0
_SILENT_SECONDS = 5.0
_START_SECONDS = 60.0
_PAGE_BYTES = 4096


@dataclass(slots=True)
class Pod:
    """One run of a node. ``answered_at``: when /health answered last, or may be late to begin."""

    process: subprocess.Popen[bytes]
    journal: Journal
    answered_at: float

    @property
    def resident_bytes(self) -> int:
        """Of a process that lives; else 0."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            statm = Path(f"/proc/{self.process.pid}/statm").read_text()
            return int(statm.split()[1]) * _PAGE_BYTES
        return 0


class Platform:
    """``run`` keeps so many nodes alive until cancelled; ``ends`` counts why they ended."""

    def __init__(
        self, environment: dict[str, str], directory: Path, nodes: int, most_bytes: int
    ) -> None:
        self._environment = environment
        self._directory = directory
        self._nodes = nodes
        self._most_bytes = most_bytes
        self.pods: list[Pod] = []
        self.journals: list[Journal] = []
        self.ends: Counter[str] = Counter()

    async def run(self) -> None:
        """Start nodes, and start them again."""
        asking = asyncio.create_task(self._ask())
        try:
            while True:
                for pod in list(self.pods):
                    self._look_at(pod)
                while len(self.pods) < self._nodes:
                    self._start()
                await asyncio.sleep(_TICK_SECONDS)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    def terminate(self) -> Sequence[int]:
        """SIGTERM to all; their exit codes."""
        for pod in self.pods:
            pod.process.terminate()
        return [pod.process.wait(20) for pod in self.pods]

    def kill(self) -> None:
        """End what is left."""
        for pod in self.pods:
            if pod.process.poll() is None:
                pod.process.kill()
                pod.process.wait()

    def deaths(self) -> Counter[str]:
        """How often nodes died by the messages of each export."""
        found: Counter[str] = Counter()
        for journal in self.journals:
            journal.read()
            found.update(journal.died_on)
        return found

    def _look_at(self, pod: Pod) -> None:
        pod.journal.read()
        code = pod.process.poll()
        if code is not None:
            self._end(pod, f"ended by itself: {code}")
        elif pod.resident_bytes > self._most_bytes:
            self._end(pod, "killed: took too much memory")
        elif time.monotonic() - pod.answered_at > _SILENT_SECONDS:
            self._end(pod, "killed: /health did not answer")

    def _end(self, pod: Pod, why: str) -> None:
        if pod.process.poll() is None:
            pod.process.kill()
            pod.process.wait()
        self.ends[why] += 1
        self.pods.remove(pod)

    def _start(self) -> None:
        log = self._directory / f"node-{len(self.journals)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(COMMAND, env=self._environment, stdout=output, stderr=output)
        journal = Journal(log)
        self.journals.append(journal)
        self.pods.append(Pod(process, journal, time.monotonic() + _START_SECONDS))

    async def _ask(self) -> None:
        async with http_client(timeout=_ANSWER_SECONDS) as client:
            while True:
                await asyncio.gather(*(self._ask_one(client, pod) for pod in list(self.pods)))
                await asyncio.sleep(_ASK_SECONDS)

    async def _ask_one(self, client: httpx.AsyncClient, pod: Pod) -> None:
        if pod.journal.url:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{pod.journal.url}/health")).is_success:
                    pod.answered_at = time.monotonic()
