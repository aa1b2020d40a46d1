"""The storm's proxy leaves nothing open, whatever moment it is ended at."""

import asyncio
import gc
import warnings

import pytest

from broker.ports import LOOPBACK, pick_free_port
from tests.chaos.proxy import Proxy


@pytest.mark.parametrize("rounds", range(12))
def test_no_connection_outlives_it(rounds: int) -> None:
    asyncio.run(connected_for(rounds))
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in left] == []


async def connected_for(rounds: int) -> None:
    """A client connects, and after so many rounds of the loop the proxy is ended."""
    port, target = pick_free_port(), pick_free_port()
    far_ends: list[asyncio.StreamWriter] = []

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_ends.append(writer)

    server = await asyncio.start_server(accept, LOOPBACK, target)
    async with Proxy(port, target):
        _, client = await asyncio.open_connection(LOOPBACK, port)
        for _ in range(rounds):
            await asyncio.sleep(0)
    ends = [client, *far_ends]
    for writer in ends:
        writer.close()
    server.close()
    await server.wait_closed()
    await asyncio.gather(*(writer.wait_closed() for writer in ends), return_exceptions=True)
