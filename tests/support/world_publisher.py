"""An ``ExportPublisher`` whose Kafka is a ``World``."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from clients.errors import ClientError, KafkaUnreachable
from producer.batching import Batcher
from producer.publisher import Export
from schemas.codec import decode_request, encode_request
from schemas.completions import (
    Source,
)
from schemas.requests import CancelRequested, ExportRequested

if TYPE_CHECKING:
    from tests.support.http import World


class WorldPublisher:
    """``ExportPublisher``, whose Kafka is the world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        world.publishers += 1

    async def __aenter__(self) -> Self:
        if self._world.is_down:
            raise KafkaUnreachable("Kafka at nowhere can't be used: [Errno 111]")
        if self._world.start_fails:
            raise self._world.start_fails
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def request(
        self, request: ExportRequested, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Export:
        if self._world.held:
            await self._world.held.wait()
        await self.send("requests", request.export_id, encode_request(request))
        offset = len(self._world.requests) - 1
        self._world.headers[offset] = list(headers)
        source = Source(topic="export.requests", partition=0, offset=offset)
        window: Any = self
        return Export(request.export_id, source, window, "records", Batcher(request.export_id))

    async def cancel(self, export_id: str, message: str | None = None) -> None:
        wanted = CancelRequested(export_id=export_id, message=message)
        await self.send("requests", export_id, encode_request(wanted))
        self._world.reasons.append(message)

    async def send(self, topic: str, _key: str, value: bytes) -> "WorldPublisher":
        world = self._world
        world.waiting += 1
        await world.room.wait()
        world.waiting -= 1
        if world.is_down or (topic == "records" and world.refuses_records):
            raise ClientError(f"{topic}: Kafka acknowledges nothing within 30 s")
        if topic == "requests":
            world.requests.append(decode_request(value))
        else:
            world.records.append(json.loads(value))
        return self

    settled = True

    async def acknowledged(self) -> tuple[int, int]:
        return 0, 0
