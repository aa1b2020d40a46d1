"""A static member that restarts in time moves nothing."""

from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.integration.test_two_nodes import shares
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, events
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def rebalances(node: NodeProcess) -> int:
    return sum(line.get("event") == "partitions assigned" for line in node.lines())


async def test_a_rolling_restart_moves_nothing(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    ids = [f"export-{number}" for number in range(12)]
    async with (
        node_on(
            bootstrap_servers, topics, tmp_path, log="one.log",
            GROUP_INSTANCE_ID="one", SESSION_TIMEOUT_SECONDS=20,
        ) as one,
        node_on(
            bootstrap_servers, topics, tmp_path, log="two.log",
            GROUP_INSTANCE_ID="two", SESSION_TIMEOUT_SECONDS=20,
        ) as two,
    ):  # fmt: skip
        before = await shares(one, two)
        assert all(before)
        for export_id in ids:
            await upstream.request(export_id)
            await upstream.batch(export_id, 0, rows_of(0, 100))
        settled = rebalances(two)
        assert one.terminate() == 0
        await one.start()
        assert await shares(one, two) == before
        for export_id in ids:
            await upstream.batch(export_id, 1, rows_of(100, 100), last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=len(ids)))
        assert rebalances(two) == settled, "the other one did not notice"
    assert set(done) == set(ids)
    for export_id in ids:
        content = (tmp_path / "exports" / f"{export_id}.csv").read_bytes()
        assert content == csv_bytes(rows_of(0, 200))
