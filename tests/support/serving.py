"""An application on a port of its own, and what is wrong with an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import httpx
from starlette.types import ASGIApp

from consumer.core.group_overview import GroupNode, GroupOverview, GroupPartition
from sluice.http.server import HttpServer
from sluice.http.view import NodeStatus
from tests.support.clients import http_client

STATUS = NodeStatus(
    running=2,
    queued=3,
    open_exports=5,
    assigned_partitions=[0, 4, 11],
    lag=17,
    partition_lag={0: 5, 4: 12, 11: 0},
    capacity=5,
)
GROUP = GroupOverview(
    group_id="sluice",
    state="Stable",
    nodes=[
        GroupNode("sluice-alpha-17", "10.0.0.7", [0, 4, 11]),
        GroupNode("sluice-beta-4", "10.0.0.8", [1, 2, 3]),
    ],
    partitions=[
        GroupPartition(0, 5, "sluice-alpha-17"),
        GroupPartition(1, 2_000, "sluice-beta-4"),
        GroupPartition(2, 0, "sluice-beta-4"),
        GroupPartition(3, 0, "sluice-beta-4"),
        GroupPartition(4, 12, "sluice-alpha-17"),
        GroupPartition(5, 1, None),
        GroupPartition(11, 0, "sluice-alpha-17"),
    ],
    lag=2_018,
    answered_by="sluice-alpha-17",
)
_MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)


class _Hasty:
    """asyncio for uvicorn, which looks ten times a second whether it is to stop: here more often.

    Several hundred tests would wait 0.2 s for their server's end.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 20)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, on a port of its own."""
    with patch("uvicorn.server.asyncio", _Hasty()):
        async with HttpServer(app, "127.0.0.1", 0) as server, http_client(server.url) as client:
            yield client


def assert_problem(
    answer: httpx.Response, status: int, detail: str | None = None
) -> dict[str, Any]:
    """The problem that an answer is, with this detail if one is given."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert detail in {None, problem["detail"]}
    assert {"type", "title", "detail"} <= problem.keys()
    return problem
