"""Sends one message whose header name is no UTF-8, as a client that speaks bytes would.

Run it as a program, with AIOKAFKA_NO_EXTENSIONS=1: only the Python code of aiokafka asks the name
for its bytes. Arguments: bootstrap servers, topic, key, value.
"""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


class OddName(str):
    """The name of a header, which is sent as bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe\xfd"


async def send(servers: str, topic: str, key: str, value: str) -> None:
    """Send it, and wait for the acknowledgement."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        headers = [(OddName("odd"), b"text")]
        await producer.send_and_wait(topic, value.encode(), key=key.encode(), headers=headers)
    finally:
        await producer.stop()


if __name__ == "__main__":
    asyncio.run(send(*sys.argv[1:]))
