import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from clients import lifecycle
from clients.errors import ClientError
from clients.lifecycle import CONNECT_TIMEOUT_SECONDS
from producer.publisher import ExportPublisher
from schemas.topics import Topics

TOPICS = Topics.named()
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """``host:port`` of something that listens and is no Kafka."""
    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield f"{host}:{port}"


async def error_of(bootstrap_servers: str) -> str:
    with pytest.raises(ClientError) as caught:
        async with ExportPublisher(TOPICS, bootstrap_servers=bootstrap_servers):
            pass
    return str(caught.value)


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_port_that_nobody_listens_on_is_named_with_the_reason() -> None:
    async with server(hang_up) as address:
        pass
    message = await error_of(address)
    assert message.startswith(f"Kafka at {address} can't be used: ")
    assert "refused" in message or "Connect call failed" in message


async def test_a_name_that_is_not_known_is_named() -> None:
    message = await error_of("kafka.invalid:9092")
    assert message.startswith("Kafka at kafka.invalid:9092 can't be used: ")


async def test_a_server_that_hangs_up_raises_the_question_of_security() -> None:
    async with server(hang_up) as address:
        message = await error_of(address)
    assert message == (
        f"Kafka at {address} can't be used: it closes the connection; "
        "is SLUICE_SECURITY_PROTOCOL right?"
    )


async def test_servers_that_make_no_sense_are_named() -> None:
    message = await error_of("localhost:http")
    assert message.startswith("'localhost:http' is no list of host:port")


async def test_a_server_that_never_answers_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert CONNECT_TIMEOUT_SECONDS == 8, "with the time to find out why, less than ten"
    monkeypatch.setattr(lifecycle, "CONNECT_TIMEOUT_SECONDS", 0.5)
    done = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with server(say_nothing) as address, asyncio.timeout(10):
        message = await error_of(address)
        done.set()
    assert message == f"Kafka at {address} doesn't answer within 0.5 s"
