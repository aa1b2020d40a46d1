"""On a real node: a batch that freezes the interpreter is measured and named."""

import sys
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, settings_for
from tests.support.outcomes import events
from tests.support.upstream import Upstream

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def test_the_message_in_hand_is_named(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    environment = settings_for(bootstrap_servers, topics, tmp_path / "exports")
    command = (sys.executable, "-m", "tests.support.stalling_node", "serve")
    async with NodeProcess(environment, tmp_path / "node.log", command) as node:
        await upstream.request("one")
        await upstream.batch("one", 0, [[1, "harmless"]])
        await upstream.batch("one", 1, [[2, "hold 0.9"]], last=True)
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
        async with http_client(node.url) as client:
            lines = (await client.get("/metrics")).text.splitlines()
    stalls = [line for line in node.lines() if line["event"] == "event loop stood still"]
    batch = {"topic": topics.records, "partition": event.source.partition, "offset": 1}
    assert [line["in_hand"] for line in stalls if line["seconds"] > 0.7] == [[batch]]
    (longest,) = [line for line in lines if line.startswith("sluice_event_loop_longest_stall")]
    assert float(longest.split()[-1]) > 0.7
