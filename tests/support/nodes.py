"""A node as its own process, so that it can be killed for real."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.forked import ForkedSluice

SLUICE = Path(sys.executable).with_name("sluice")
SERVE = (SLUICE, "serve")
MEASURED = (sys.executable, "-m", "sluice", "serve")
"""The same, and never forked: a fork begins with less in memory, and so grows by 10 MiB more."""
_START_SECONDS = 30.0


def settings_for(
    bootstrap_servers: str, topics: Topics, storage: Path, **more: Any
) -> dict[str, str]:
    """The environment of a process that works on these topics and this storage."""
    prefix = topics.requests.removesuffix(".requests")
    own = {
        "BOOTSTRAP_SERVERS": bootstrap_servers,
        "TOPIC_PREFIX": prefix,
        "GROUP_ID": f"group-{prefix}",
        "STORAGE_URL": str(storage),
        "HTTP_PORT": "0",
        "LOG_FORMAT": "json",
        **more,
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    return inherited | {f"SLUICE_{name}": str(value) for name, value in own.items()}


class NodeProcess:
    """``sluice serve``, started on entering and killed on leaving; its log is in ``log``."""

    forks: ClassVar[bool] = False
    """Whether ``SERVE`` is forked (``forked``): in tests, but not where one measures."""

    def __init__(
        self, environment: dict[str, str], log: Path, command: Sequence[str | Path] = SERVE
    ) -> None:
        self._environment = environment
        self._command = command
        self.log = log
        self._process: subprocess.Popen[bytes] | ForkedSluice | None = None
        self._url: str | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.kill()
            raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.kill()

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self._url = None
        with self.log.open("ab") as log:
            self._process = (
                ForkedSluice(["serve"], self._environment, self.log, self.log)
                if self.forks and self._command == SERVE
                else subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
            )
        deadline = time.monotonic() + _START_SECONDS
        while not await self._ready():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            await asyncio.sleep(0.05)
        self._url = self.url

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        return self._process.poll() if self._process else None

    @property
    def url(self) -> str:
        """Where its HTTP server answers. Its log says so, and may be long once it is ready."""
        if self._url:
            return self._url
        started = [line for line in self.lines() if line.get("event") == "node started"]
        return str(started[-1]["url"])

    def lines(self) -> list[dict[str, Any]]:
        """Its log, without a line that is just being written."""
        whole, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line[:1] == "{"]

    def kill(self) -> None:
        """kill -9."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def terminate(self, seconds: float = 15.0) -> int:
        """SIGTERM; its exit code."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    async def _ready(self) -> bool:
        try:
            async with http_client(self.url) as client:
                return (await client.get("/ready")).status_code == 200
        except (IndexError, httpx.HTTPError):
            return False


@asynccontextmanager
async def node_on(
    bootstrap_servers: str,
    topics: Topics,
    directory: Path,
    log: str = "node.log",
    *,
    command: Sequence[str | Path] = SERVE,
    **settings: Any,
) -> AsyncIterator[NodeProcess]:
    """A ready node that writes to ``exports`` in the directory, for the block."""
    environment = settings_for(bootstrap_servers, topics, directory / "exports", **settings)
    async with NodeProcess(environment, directory / log, command) as node:
        yield node
