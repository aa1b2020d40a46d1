"""An upstream service without any code of ours: JSON on two topics; and what it should give."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from consumer.storage import identity
from consumer.storage.marks import IN_HAND
from schemas.topics import Topics


class Upstream:
    """Publishes as any upstream service would: JSON on two topics, no code of ours."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    async def request(self, export_id: str, **fields: Any) -> None:
        sent = {"type": "export.requested", "export_id": export_id, "format": "csv"}
        await self.send(self._topics.requests, export_id, {**sent, "columns": ["n", "t"], **fields})

    async def batch(self, export_id: str, seq: int, rows: list[Any], **fields: Any) -> None:
        sent = {"export_id": export_id, "seq": seq, "rows": rows, **fields}
        await self.send(self._topics.records, export_id, sent)

    async def publish(self, message: dict[str, Any]) -> None:
        """A whole message; one with a type is for the requests topic."""
        topic = self._topics.requests if "type" in message else self._topics.records
        await self.send(topic, message["export_id"], message)

    async def send(
        self, topic: str, key: str | None, sent: Any, partition: int | None = None
    ) -> None:
        value = sent if isinstance(sent, bytes | None) else json.dumps(sent).encode()
        await self._producer.send_and_wait(
            topic, value, key=key.encode() if key else None, partition=partition
        )


def rows_of(first: int, count: int) -> list[list[Any]]:
    return [[n, f"Müşteri «{n}», Ω"] for n in range(first, first + count)]


def csv_bytes(rows: list[list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["n", "t"], *rows])
    return text.getvalue().encode()


def file_names(directory: Path) -> set[str]:
    """What lies in the storage, but for its identity and what nodes have in hand."""
    files = (path for path in (directory / "exports").rglob("*") if path.is_file())
    return {path.name for path in files if IN_HAND not in path.parts} - {identity.NAME}
