"""A repeat of an upload that another node took, and that may have broken off there."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from consumer.core.backlog import UnfinishedRequest
from schemas.completions import Source
from schemas.vocabulary import Format
from sluice.http.repeats import ATTEMPT
from tests.support.http import World, serving_world

BODY = {"format": "csv", "columns": ["a"], "data": [[1]], "export_id": "e-1"}


@pytest.fixture
async def client(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Of a node, beside another one that has requested e-1."""
    monkeypatch.setattr("sluice.http.bodies._LEAST_TAKEN_BYTES", 1_600_000)
    async with serving_world(world, max_body_bytes=1_000_000) as client:
        assert (await client.post("/export/run", json=BODY)).status_code == 202
        world.headers[0] = [(ATTEMPT, b"another node's")]
        yield client


async def has_answered(answer: "asyncio.Task[httpx.Response]") -> bool:
    """Whether there is an answer, after the node has looked at the export a few times."""
    return bool((await asyncio.wait([answer], timeout=0.6))[0])


@pytest.mark.parametrize("end", ["begun", "cancelled"])
async def test_it_is_answered_once_its_upload_goes_on_or_has_ended(
    client: httpx.AsyncClient, world: World, end: str
) -> None:
    answer = asyncio.create_task(client.post("/export/run?wait=0.1", json=BODY))
    assert not await has_answered(answer), "the first node may be about to cancel it"
    if end == "begun":
        world.begun.add("e-1")
        assert (await answer).status_code == 202
    else:
        world.end("e-1", "cancelled")
        assert (await answer).json()["type"] == "export.cancelled"
    assert len(world.requests) == 1
    assert world.cancelled() == []


async def test_an_upload_whose_rows_wait_for_a_turn_is_answered_at_once(
    client: httpx.AsyncClient, world: World
) -> None:
    world.with_batches.add(0)
    answer = asyncio.create_task(client.post("/export/run", json=BODY))
    assert (await asyncio.wait_for(answer, 6)).status_code == 202, "not after 8 s, as a last resort"


async def test_an_upload_without_rows_is_answered_in_the_end(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.http.exports._BREAKING_OFF_SECONDS", 0.2)
    assert (await client.post("/export/run", json=BODY)).status_code == 202


async def test_a_header_without_a_value_is_no_upload_of_a_node(
    client: httpx.AsyncClient, world: World
) -> None:
    world.headers[0] = [(ATTEMPT, None)]
    answer = asyncio.create_task(client.post("/export/run", json=BODY))
    assert (await asyncio.wait_for(answer, 6)).status_code == 202, "not after 8 s, as a last resort"


async def test_a_repeat_that_waits_keeps_no_large_body_waiting(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 1.8 MB, of which 1.6 are taken at a time: the second one finds no room beside the first.
    monkeypatch.setattr("sluice.http.exports._BREAKING_OFF_SECONDS", 60.0)
    padding = b" " * 900_000
    body = json.dumps(BODY).encode() + padding
    headers = {"content-type": "application/json"}
    answer = asyncio.create_task(client.post("/export/run", content=body, headers=headers))
    assert not await has_answered(answer)
    other = json.dumps({**BODY, "export_id": "e-2"}).encode() + padding
    async with asyncio.timeout(30):
        answered = await client.post("/export/run", content=other, headers=headers)
    assert answered.status_code == 202
    assert not answer.done()
    world.begun.add("e-1")
    assert (await answer).status_code == 202


async def test_one_of_another_export_is_a_conflict_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/export/run", json={**BODY, "columns": ["b"]})
    assert answer.status_code == 409


async def test_who_lost_the_race_to_an_export_that_has_ended_already_learns_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The winner is committed, and the loser's request not handled: that one is unfinished."""
    world = World(tmp_path)
    async with serving_world(world) as client:
        world.room.clear()
        answer = asyncio.create_task(client.post("/export/run", json=BODY))
        async with asyncio.timeout(5):
            while world.waiting == 0:
                await asyncio.sleep(0)
        world.others["e-1"] = "mallory"
        world.end("e-1")
        source = Source(topic="export.requests", partition=0, offset=0)
        loser = UnfinishedRequest("e-1", "anonymous", Format.CSV, source, begun=False)

        async def find(_export_id: str, *, accepted: bool = False) -> UnfinishedRequest:
            return loser

        monkeypatch.setattr(world, "find", find)
        world.room.set()
        assert (await answer).status_code == 409
    assert world.records == []
    assert world.cancelled() == []
