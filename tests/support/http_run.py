"""Requests to ``POST /export/run``, and what its refusals name."""

import asyncio
from typing import Any

import httpx

from tests.support.serving import assert_problem

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
GOOD: dict[str, Any] = {"format": "csv", "columns": ["a", "b"], "data": [[1, "x"], {"b": 2}]}
TOKENS = {"users_by_token": {"ta": "alice", "tb": "bob"}}
ALICE, BOB = ({"Authorization": f"Bearer t{letter}"} for letter in "ab")


async def run(client: httpx.AsyncClient, query: str = "", **fields: Any) -> httpx.Response:
    return await client.post(f"/export/run{query}", json={**GOOD, **fields})


async def run_as(client: httpx.AsyncClient, user: dict[str, str], export_id: str) -> httpx.Response:
    return await client.post("/export/run", json={**GOOD, "export_id": export_id}, headers=user)


async def upload(
    client: httpx.AsyncClient, body: Any, query: str = "format=csv&columns=a,b", **headers: str
) -> httpx.Response:
    return await client.post(f"/export/run?{query}", content=body, headers={**NDJSON, **headers})


async def run_until(
    client: httpx.AsyncClient, status: int, query: str = "", **fields: Any
) -> httpx.Response:
    """Retry as a client does, until the answer has this status."""
    async with asyncio.timeout(30):
        while (answer := await run(client, query, **fields)).status_code != status:
            pass
    return answer


def named(answer: httpx.Response) -> dict[str, str]:
    """What a refusal says of each field."""
    problem = assert_problem(answer, 400)
    return {error["field"]: error["message"] for error in problem["errors"]}


async def raw_upload(client: httpx.AsyncClient, length: int) -> asyncio.StreamWriter:
    return (await raw_connection(client, length))[1]


async def raw_connection(
    client: httpx.AsyncClient, length: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        "POST /export/run?export_id=n&format=csv&columns=a HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n"
    )
    writer.write(head.encode())
    return reader, writer
