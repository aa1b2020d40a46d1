"""On a real node: our own code breaks on requests, on one of them or on all."""

from pathlib import Path

import httpx
import pytest

from schemas.topics import Topics
from schemas.vocabulary import FailReason
from tests.support import breaking_writer
from tests.support.clients import http_client
from tests.support.faulty_node import faulty
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events
from tests.support.upstream import Upstream, csv_bytes, file_names
from tests.support.waiting import until

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.parametrize("topics", [1], indirect=True),
]

ROWS = [[1, "one"]]


async def send(upstream: Upstream, *export_ids: str) -> None:
    for export_id in export_ids:
        await upstream.request(export_id)
        await upstream.batch(export_id, 0, ROWS, last=True)


async def problems(node: NodeProcess) -> str:
    async with http_client(node.url) as client:
        answer = await client.get("/ready")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    return answer.text


async def test_a_fault_at_all_of_them_costs_none(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, command=faulty("")) as node:
        await send(upstream, "a", "b")
        await until(lambda: any(line["event"] == "lane stopped" for line in node.lines()))
        assert "fails at offset 0 of the requests (TypeError: of our own)" in await problems(node)
        assert await committed(bootstrap_servers, topics.dead_letters) == []
        assert await events(bootstrap_servers, topics.completions) == []
        assert node.terminate() == 0
    async with node_on(bootstrap_servers, topics, tmp_path, "repaired.log"):
        ends = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
    assert {one: end.rows for one, end in ends.items()} == {"a": 1, "b": 1}
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(ROWS)
    assert await committed(bootstrap_servers, topics.dead_letters) == []


async def test_a_fault_at_one_of_them_fails_that_one(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, command=faulty('"bad')) as node:
        await send(upstream, "good", "bad-1", "better", "bad-2", "best")
        ends = by_id(await events(bootstrap_servers, topics.completions, at_least=5))
        assert [ends[one].reason for one in ("bad-1", "bad-2")] == [FailReason.INTERNAL] * 2
        assert "failed twice" in ends["bad-1"].message
        assert file_names(tmp_path) >= {"good.csv", "better.csv", "best.csv"}
        assert await committed(bootstrap_servers, topics.dead_letters) == []
        async with http_client(node.url) as client:
            metrics = (await client.get("/metrics")).text.splitlines()
        assert 'export_requests_total{format="csv",status="succeeded",user="anonymous"} 3.0' in (
            metrics
        ), "trial exports don't count"


async def test_a_writer_that_breaks_once_costs_nothing_and_one_that_does_again_its_export(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(
        bootstrap_servers, topics, tmp_path, command=breaking_writer.COMMAND
    ) as node:
        await send(upstream, "good", "breaks-1", "better", "breaks-9", "best")
        ends = await events(bootstrap_servers, topics.completions, at_least=5)
        assert node.terminate() == 0
        reloads = [line for line in node.lines() if line["event"] == "lane reloads"]
    found = by_id(ends)
    assert len(ends) == len(found) == 5, "one event each"
    assert found["breaks-1"].attempts == 2
    assert (tmp_path / "exports" / "breaks-1.csv").read_bytes() == csv_bytes(ROWS)
    # Within the minute of the other's.
    assert (found["breaks-9"].reason, found["breaks-9"].attempts) == (FailReason.INTERNAL, None)
    assert {found[one].type for one in ("good", "better", "best")} == {"export.completed"}
    assert len(reloads) == 1
    assert "breaks-1 broke with TypeError: of our own" in reloads[0]["reason"]
