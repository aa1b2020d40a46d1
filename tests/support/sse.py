"""A client of ``GET /export/events``: one stream, its messages as they come."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Stream:
    """What came over one stream."""

    status: int
    headers: httpx.Headers
    messages: list[dict[str, Any]] = field(default_factory=list)
    comments: int = 0
    last_id: str | None = None
    ended: bool = False

    def shown(self, kind: str = "state") -> list[tuple[str, str]]:
        """Ids and states of messages of a kind."""
        return [(one["export_id"], one["state"]) for one in self.messages if one["type"] == kind]

    def take(self, line: str) -> None:
        """A line, by the rules of the standard."""
        name, _, value = line.partition(": ")
        if name == "id":
            self.last_id = value
        elif name == "data":
            self.messages.append(json.loads(value))
        elif line.startswith(":"):
            self.comments += 1


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, last_id: str | None = None, **headers: str
) -> AsyncIterator[Stream]:
    """A stream that is open and has its first id."""
    if last_id:
        headers["Last-Event-ID"] = last_id
    async with client.stream("GET", "/export/events", headers=headers) as answer:
        stream = Stream(answer.status_code, answer.headers)
        if answer.status_code != 200:
            await answer.aread()
            stream.messages.append(answer.json())
            yield stream
            return
        reading = asyncio.create_task(_read(answer, stream))
        async with asyncio.timeout(10):
            while stream.last_id is None:
                await asyncio.sleep(0.005)
        try:
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(answer: httpx.Response, stream: Stream) -> None:
    async for line in answer.aiter_lines():
        stream.take(line)
    stream.ended = True
