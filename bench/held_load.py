"""A load that lies in Kafka before anybody may read it: a transaction that is open until released.

Its commit shows all of it to ``read_committed`` readers at one moment.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from bench.peers.ours import request_for
from bench.rows import EXPORT_ID, MessageFile, read_messages
from schemas.codec import encode_request
from schemas.requests import ExportRequested
from schemas.topics import Topics
from schemas.vocabulary import Format

_MOST_SECONDS = 300


@dataclass(frozen=True, slots=True)
class HeldLoad:
    """``exports`` exports of the same rows, one in each partition."""

    file_format: Format
    messages: MessageFile
    exports: int
    codec: str | None = None
    """Of Kafka, such as ``lz4``; None: not compressed."""

    @property
    def rows(self) -> int:
        """Of all exports together."""
        return self.exports * self.messages.rows

    @property
    def requests(self) -> list[ExportRequested]:
        """A request for each, its id as long as the one in the messages."""
        ids = [f"bench-{number:03d}" for number in range(1, self.exports + 1)]
        data_set = self.messages.data_set
        return [
            request_for(self.file_format, data_set.columns, data_set.widths, one) for one in ids
        ]


@asynccontextmanager
async def held(servers: str, topics: Topics, load: HeldLoad) -> AsyncIterator[AIOKafkaProducer]:
    """Everything sent and acknowledged; ``commit_transaction`` of what is given releases it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers,
        transactional_id=f"bench-{topics.requests}",
        transaction_timeout_ms=_MOST_SECONDS * 1000,
        linger_ms=5,
        compression_type=load.codec,
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        for partition, request in enumerate(load.requests):
            await _send(producer, topics, load, request, partition)
        yield producer
    finally:
        await producer.stop()


async def _send(
    producer: AIOKafkaProducer,
    topics: Topics,
    load: HeldLoad,
    request: ExportRequested,
    partition: int,
) -> None:
    key = request.export_id.encode()
    await producer.send_and_wait(topics.requests, encode_request(request), key, partition)
    sent = []
    with load.messages.path.open("rb") as file:
        for message in read_messages(file):
            value = message.replace(EXPORT_ID.encode(), key, 1)
            sent.append(await producer.send(topics.records, value, key, partition))
    for acknowledged in sent:
        await acknowledged
